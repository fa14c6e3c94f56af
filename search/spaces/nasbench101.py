"""NAS-Bench-101: cells that are graphs of up to seven vertices, in a fixed macro-skeleton.

Reference: Ying, Klein, Christiansen, Real, Murphy and Hutter, NAS-Bench-101: Towards Reproducible
Neural Architecture Search, ICML 2019, sections 2.2 (cells, skeleton) and 2.3 (unique graphs).
"""

from __future__ import annotations

import itertools
import random
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np

from kernas import documents
from kernas.errors import ArchitectureError, ConfigurationError, DataError, DocumentError
from kernas.fields import nearest
from kernas.kernels import Architecture

from .abilities import Distribution
from .base import (
    PATIENCE,
    Candidate,
    Space,
    check_sample_size,
    distinct,
    genotype_of,
    shape_given,
)
from .cell_graphs import (
    OPERATIONS,
    Cell,
    Edge,
    canonical,
    cells,
    cycle_of,
    module_hash,
    number_of_cells,
    pruned,
)
from .graph_cover import COVER
from .graph_skeleton import graph_network
from .parts import Normalization, check_one_of

MOST_VERTICES, MOST_EDGES = 7, 9
"""Of the published cells, input and output included."""

EXAMPLE = "conv3x3-bn-relu,maxpool3x3;0-1,0-2,1-3,2-3"

MATRIX_NAMES = (("matrix", "ops"), ("module_adjacency", "module_operations"))
"""What the published code and table call a matrix and its operations."""

Pooling = Literal["maximum", "average"]

_EDGE = re.compile("([0-9]{1,6})-([0-9]{1,6})")


@dataclass(frozen=True)
class NasBench101(Space):
    """The NAS-Bench-101 space of 423,624 cells.

    A cell is a graph without cycles. Vertex 0 is its input, the last one its output; a vertex
    between applies its operation (``conv3x3-bn-relu``, ``conv1x1-bn-relu``, ``maxpool3x3``) to the
    sum of what it reads, the input through a 1×1 convolution. What the output reads is
    concatenated, the input through a 1×1 convolution added. Channels are divided over what is
    concatenated. A name lists the operations and the edges: ``conv3x3-bn-relu,maxpool3x3;0-1,…``.
    Vertices that are on no path from input to output are left out, and equal graphs have one name.

    Args:
        cells_per_stack: cells in each stack, >= 1 (published: 3).
        stacks: stacks of cells, >= 1 (published: 3); between them a max pool 2×2, and twice the
            channels.
        max_pool: what kernels take for a max pool, which has none: ``"maximum"`` refuses them, and
            ``"average"`` puts the average over the same windows in its place. Finite networks take
            the maximum whatever is given.
        max_vertices: most vertices of a cell, input and output included, 2 to 7 (published: 7).
        max_edges: most edges, >= 1 (published: 9).
        center: whether the normalisation subtracts the mean (``Normalize(center=…)``).
        normalize: ``"batch"``, as published; ``"layer"``, every pixel over its channels; or
            ``"none"``.
        channels: the stem's, for which divisions of channels are rounded as published (published:
            128); finite networks of this width have the published channels. ``None`` divides
            evenly, as the limit of wide networks does.

    Normalisations remove gains; without them they are √2 (He et al. 2015), as that of the last
    layer is (Glorot's, in the limit). ``docs/spaces.md`` compares the published skeleton with this
    one, layer by layer.

    Raises:
        ConfigurationError: an argument is out of its range.

    >>> space = NasBench101(cells_per_stack=1, max_pool="average")
    >>> space.candidate("conv3x3-bn-relu,maxpool3x3,conv1x1-bn-relu;0-1,0-3,1-2,2-4,1-4").name
    'conv3x3-bn-relu,maxpool3x3;0-1,1-2,1-3,2-3'
    """

    cells_per_stack: int = field(default=3, metadata={"alias": "cells"})
    stacks: int = 3
    max_pool: Pooling = "maximum"
    max_vertices: int = MOST_VERTICES
    max_edges: int = MOST_EDGES
    center: bool = True
    normalize: Normalization = "batch"
    channels: int | None = None

    def __post_init__(self) -> None:
        for name, published in (("cells_per_stack", 3), ("stacks", 3), ("max_edges", MOST_EDGES)):
            value = getattr(self, name)
            if type(value) is not int or value < 1:
                raise ConfigurationError(
                    f"{name}={value!r}: expected an integer >= 1 (published: {published})"
                )
        if type(self.max_vertices) is not int or not 2 <= self.max_vertices <= MOST_VERTICES:
            raise ConfigurationError(
                f"max_vertices={self.max_vertices!r}: expected an integer from 2 to "
                f"{MOST_VERTICES} (published: {MOST_VERTICES})"
            )
        most = self.max_vertices - 2
        if self.channels is not None and (type(self.channels) is not int or self.channels < most):
            raise ConfigurationError(
                f"channels={self.channels!r}: expected none, or an integer >= {max(1, most)}, one "
                "for each vertex that may be concatenated (published: 128)"
            )
        check_one_of("max_pool", self.max_pool, Pooling)
        check_one_of("normalize", self.normalize, Normalization)
        if self.normalize != "batch" and not self.center:
            raise ConfigurationError(
                f"center=False with normalize={self.normalize!r}: only batch normalisation has a "
                "form that subtracts no mean"
            )

    @property
    def name(self) -> str:
        """The name on the command line and in records."""
        return "nasbench101"

    def parse(self, cell: Any) -> Cell:
        """A cell in canonical form, pruned.

        Args:
            cell: a name; operations of the vertices between and edges, as a genotype has them; or a
                matrix of zeros and ones, ``matrix[source][target]``, with the operations of all
                vertices, as the published code and table have them: the pair of them, a mapping
                ``{"matrix": …, "ops": …}`` or ``{"module_adjacency": …, "module_operations": …}``,
                or the text of one of these, in JSON or Python. Vertices may be numbered in any
                order between input, the first, and output, the last.

        Raises:
            ArchitectureError: it is none of these, an operation is unknown, there is a cycle, no
                path from input to output, or, once pruned, too many vertices or edges.

        >>> NasBench101().parse(([[0, 1], [0, 0]], ["input", "output"]))
        ((), ((0, 1),))
        """
        operations, edges = _parts_of(cell)
        for operation in operations:
            if operation not in OPERATIONS:
                raise ArchitectureError(
                    f"cell {_shown(cell)}: unknown operation {operation!r:.60}"
                    f"{nearest(str(operation), OPERATIONS)}, expected some of "
                    f"{', '.join(OPERATIONS)}"
                )
        size = len(operations) + 2
        for edge in edges:
            if not all(type(end) is int and 0 <= end < size for end in edge):
                raise ArchitectureError(
                    f"cell {_shown(cell)}: no edge {edge!r:.60} between its {size} vertices; "
                    f"expected numbers from 0, the input, to {size - 1}, the output"
                )
        cycle = cycle_of(size, edges)
        if cycle:
            raise ArchitectureError(
                f"cell {_shown(cell)}: a cycle through vertices {', '.join(map(str, cycle))}; "
                "expected edges from earlier vertices to later ones"
            )
        found = pruned(operations, edges)
        if found is None:
            raise ArchitectureError(
                f"cell {_shown(cell)}: no path leads from its input, vertex 0, to its output, "
                f"vertex {size - 1}; add edges, as in {EXAMPLE}"
            )
        for what, count, most in (
            ("vertices", len(found[0]) + 2, self.max_vertices),
            ("edges", len(found[1]), self.max_edges),
        ):
            if count > most:
                raise ArchitectureError(
                    f"cell {_shown(cell)}: {count} {what} on paths from input to output, expected "
                    f"at most {most}"
                )
        return canonical(found)

    def module_hash(self, cell: Any) -> str:
        """The published hash, by which the benchmark's table knows a cell; 32 hexadecimal digits.

        It is made of degrees and operations by md5, and is equal for isomorphic cells.

        Raises:
            ArchitectureError: as :meth:`parse`.

        Reference: Ying et al. 2019, section 2.3; ``hash_module`` of the published code.

        >>> NasBench101().module_hash("conv3x3-bn-relu;0-1,1-2")
        'b49ac8c578b4561d79ac7087988f1c61'
        """
        return module_hash(self.parse(cell))

    def candidate(self, given: Any) -> Candidate:
        """A cell as a candidate, named by the operations and edges of its canonical form.

        Raises:
            ArchitectureError: as :meth:`parse`.
        """
        return self._named(self.parse(given))

    def recognises(self, text: str) -> bool:
        """Whether a text has the semicolon of a name, or begins with a bracket."""
        return ";" in text or text.strip()[:1] in ("[", "(", "{")

    def architecture(self, genotype: Any) -> Architecture:
        """The cell's whole network.

        Stem (3×3 convolution, normalisation, ReLU); ``stacks`` stacks of ``cells_per_stack``
        cells, with a max pool 2×2 before each but the first, whose channels are twice those before;
        global average pool, dense.

        Raises:
            ArchitectureError: as :meth:`parse`.
        """
        return graph_network(self, [self.parse(genotype)] * self.cells_per_stack)

    def size(self) -> int:
        """How many cells: of up to seven vertices and nine edges 423,624."""
        return number_of_cells(self.max_vertices, self.max_edges)

    def enumerate(self) -> Iterator[Candidate]:
        """Every cell once, those of fewer vertices first, as they are asked for.

        To go through all 423,624 takes seconds; that is without building their networks.
        """
        found = cells(self.max_vertices, self.max_edges)
        return map(self._named, found)

    def sample(self, n: int, seed: int = 0) -> list[Candidate]:
        """Cells drawn as :meth:`draw` does, without repeats of one network.

        Networks are compared by their hash in the skeleton of one cell and one stack, which is
        cheap and tells the same cells apart as a deeper one.

        Args:
            n: how many, >= 1.
            seed: fixes the order; ``sample(m)`` begins with ``sample(n)`` for n < m.

        Raises:
            ConfigurationError: n < 1, or more than there are different networks.
        """
        check_sample_size(n, self.size(), "cells")
        rng = random.Random(seed)
        skeleton = replace(self, cells_per_stack=1, stacks=1)
        return distinct(
            iter(lambda: self.draw(rng), None),
            n,
            key=lambda cell: skeleton.architecture(cell.genotype).hash,
            patience=PATIENCE,
            of="cells",
        )

    def draw(self, rng: random.Random) -> Candidate:
        """A cell as the published notebook draws them: each edge of ``max_vertices`` vertices with
        odds of one half and each operation uniformly, until what pruning leaves is a cell."""
        pairs = list(itertools.combinations(range(self.max_vertices), 2))
        while True:
            edges = [pair for pair in pairs if rng.random() < 0.5]
            operations = [rng.choice(OPERATIONS) for _ in range(self.max_vertices - 2)]
            cell = pruned(operations, edges)
            if cell is not None and len(cell[1]) <= self.max_edges:
                return self._canonical(cell)

    def mutate(self, candidate: Candidate, rng: random.Random) -> Candidate:
        """One of the neighbours, drawn uniformly.

        Raises:
            ConfigurationError: there is none.
        """
        neighbours = self.neighbours(candidate)
        if not neighbours:
            raise ConfigurationError(f"space {self.text!r} has one candidate, which has no other")
        return rng.choice(neighbours)

    def neighbours(self, candidate: Candidate) -> list[Candidate]:
        """All cells with another operation at one vertex, with one edge more or less, or with one
        vertex more or less that has one edge in and one out."""
        operations, edges = genotype_of(self, candidate)
        last = len(operations) + 1
        vertices, inner = range(last + 1), range(1, last)
        found: dict[Candidate, None] = {}

        def note(operations: tuple[str, ...], edges: set[Edge]) -> None:
            size = len(operations) + 2
            if size > self.max_vertices or len(edges) > self.max_edges or cycle_of(size, edges):
                return
            cell = pruned(operations, edges)
            if cell is not None and (len(cell[0]) + 2, len(cell[1])) == (size, len(edges)):
                found[self._canonical(cell)] = None

        for place, operation in itertools.product(range(last - 1), OPERATIONS):
            note((*operations[:place], operation, *operations[place + 1 :]), set(edges))
        for source, target in itertools.product(vertices[:-1], vertices[1:]):
            if source != target:
                note(operations, set(edges) ^ {(source, target)})
        for source, target in itertools.product(vertices[:-1], vertices[1:]):
            moved = {(s + (s == last), t + (t == last)) for s, t in edges}
            new = {(source, last), (last, target + (target == last))}
            for operation in OPERATIONS:
                note((*operations, operation), moved | new)
        for vertex in inner:
            if sum(vertex in edge for edge in edges) == 2:
                left = {
                    (s - (s > vertex), t - (t > vertex)) for s, t in edges if vertex not in (s, t)
                }
                note((*operations[: vertex - 1], *operations[vertex:]), left)
        found.pop(candidate, None)
        return list(found)

    def crossover(self, first: Candidate, second: Candidate, rng: random.Random) -> Candidate:
        """Every value of :meth:`values_of` from one of two candidates, drawn evenly."""
        own, other = self.values_of(first), self.values_of(second)
        return self.candidate_of({name: rng.choice((own[name], other[name])) for name in own})

    def encode(self, candidate: Candidate) -> np.ndarray:
        """0 or 1 for each edge there may be, then one-hot of each vertex's operation, zeros where a
        smaller cell has none; the output is the last vertex of all cells."""
        operations, _ = genotype_of(self, candidate)
        padded = [*operations, *[None] * (self.max_vertices - 2 - len(operations))]
        edges = [float(value) for value in self.values_of(candidate).values() if value in (0, 1)]
        return np.array(edges + [float(of == known) for of in padded for known in OPERATIONS])

    def distributions(self) -> dict[str, Distribution]:
        """Whether there is each edge ``source-target``, and the operation of each vertex."""
        edges = itertools.combinations(range(self.max_vertices), 2)
        inner = range(1, self.max_vertices - 1)
        return {
            **{f"{source}-{target}": [False, True] for source, target in edges},
            **{f"operation {vertex}": list(OPERATIONS) for vertex in inner},
        }

    def candidate_of(self, values: Mapping[str, Any]) -> Candidate:
        """The cell of one value for each name.

        Not all values are those of a cell: while more edges are on paths from input to output than
        may be, the last of those given goes, and where no path is left, the cell has the edge from
        input to output alone.

        Raises:
            ArchitectureError: a name is missing or unknown, or a value is.
        """
        known = self.distributions()
        for name in [*known, *values]:
            if name not in known or name not in values or values[name] not in known[name]:
                raise ArchitectureError(
                    f"{name}={values.get(name)!r:.60} is no value of the space {self.name!r}: "
                    f"expected one for each of {', '.join(known)}"
                )
        pairs = list(itertools.combinations(range(self.max_vertices), 2))
        edges = [pair for pair, name in zip(pairs, known, strict=False) if values[name]]
        operations = [values[name] for name in list(known)[len(pairs) :]]
        cell = pruned(operations, edges)
        while cell is not None and len(cell[1]) > self.max_edges:
            cell = pruned(operations, edges := edges[:-1])
        return self._canonical(cell or ((), ((0, 1),)))

    def values_of(self, candidate: Candidate) -> dict[str, Any]:
        """Its edges, the output being the last vertex that there may be, and its operations; those
        of vertices that it lacks are the first of all."""
        operations, edges = genotype_of(self, candidate)
        last, end = len(operations) + 1, self.max_vertices - 1
        own = {(source, end if target == last else target) for source, target in edges}
        pairs = itertools.combinations(range(self.max_vertices), 2)
        padded = [*operations, *[OPERATIONS[0]] * (end - last)]
        values = [*(pair in own for pair in pairs), *padded]
        return dict(zip(self.distributions(), values, strict=True))

    def cover(self, image_shape: Sequence[int]) -> Sequence[Architecture]:
        """Networks of a few cells that need all operations, and nearly as much room as any."""
        return [graph_network(self, [cell] * self.cells_per_stack) for cell in COVER]

    def check_shape(self, image_shape: Sequence[int]) -> None:
        """Refuse vectors, and images that the pools between stacks cannot halve.

        Raises:
            ConfigurationError: it is no shape, or a side in pixels is below ``2^(stacks − 1)``.
            DataError: there are no pixels.
        """
        shape = shape_given(image_shape)
        if len(shape) == 1:
            raise DataError(
                f"vectors of {shape[0]} features: the cells of {self.name} need images (height, "
                "width, channels)"
            )
        least = 2 ** (self.stacks - 1)
        for side in shape[:2]:
            if side < least:
                raise ConfigurationError(
                    f"image size {side}: the {self.stacks - 1} pools between the stacks of "
                    f"{self.name} halve it each; choose at least {least}, or fewer stacks"
                )

    def _canonical(self, cell: Cell) -> Candidate:
        """The candidate of a cell whose edges rise."""
        return self._named(canonical(cell))

    def _named(self, genotype: Cell) -> Candidate:
        """The candidate of a canonical form."""
        operations, edges = genotype
        pairs = ",".join(f"{source}-{target}" for source, target in edges)
        return Candidate(self, genotype, f"{','.join(operations)};{pairs}")


def _shown(cell: Any) -> str:
    return f"{' '.join(repr(cell).split()):.120}"


def _parts_of(cell: Any) -> tuple[tuple[Any, ...], tuple[Edge, ...]]:
    """The operations between and the edges of a cell that is given in any form."""
    found = _evaluated(cell) if isinstance(cell, str) else cell
    if isinstance(found, Mapping):
        pairs = [pair for pair in MATRIX_NAMES if set(pair) <= set(found)]
        found = tuple(found[name] for name in pairs[0]) if pairs else None
    if isinstance(found, tuple | list) and len(found) == 2:
        first, second = found
        if _is_genotype(first, second):
            return tuple(first), tuple(map(tuple, second))
        matrix = _matrix(first)
        if matrix is not None and isinstance(second, tuple | list) and len(second) == len(matrix):
            edges = [(int(source), int(target)) for source, target in np.argwhere(matrix)]
            return tuple(second)[1:-1], tuple(edges)
    raise ArchitectureError(
        f"cell {_shown(cell)}: expected operations and edges, such as {EXAMPLE}, or a square "
        "matrix of zeros and ones of at least two vertices with as many operations"
    )


def _evaluated(text: str) -> Any:
    """What a text stands for: a name's operations and edges, or a JSON value, also as Python writes
    it."""
    operations, semicolon, edges = text.strip().partition(";")
    if semicolon:
        found = [_EDGE.fullmatch(part.strip()) for part in edges.split(",")]
        if all(found):
            pairs = tuple((int(edge[1]), int(edge[2])) for edge in found if edge)
            named = [part.strip() for part in operations.split(",")] if operations.strip() else []
            return tuple(named), pairs
        return None
    brackets = str.maketrans("'()", '"[]')
    try:
        return documents.parse(text.translate(brackets))
    except DocumentError:
        return None


def _is_genotype(operations: Any, edges: Any) -> bool:
    """Whether these are the operations between and pairs of numbers."""
    return (
        isinstance(operations, tuple | list)
        and isinstance(edges, tuple | list)
        and all(isinstance(operation, str) for operation in operations)
        and all(isinstance(edge, tuple | list) and len(edge) == 2 for edge in edges)
    )


def _matrix(given: Any) -> np.ndarray | None:
    """A square matrix of zeros and ones; ``None`` of what is none."""
    try:
        matrix = np.asarray(given)
    except ValueError:  # rows of different lengths
        return None
    square = matrix.ndim == 2 and matrix.shape[0] == matrix.shape[1] >= 2
    if not square or matrix.dtype.kind not in "biuf" or not np.isin(matrix, (0, 1)).all():
        return None
    return matrix.astype(bool)
