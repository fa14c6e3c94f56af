"""NAS-Bench-101: cells that are graphs of up to seven vertices, in a fixed macro-skeleton.

Reference: Ying, Klein, Christiansen, Real, Murphy and Hutter, NAS-Bench-101: Towards Reproducible
Neural Architecture Search, ICML 2019, sections 2.2 (cells, skeleton) and 2.3 (unique graphs).
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from kernas.errors import ArchitectureError, ConfigurationError
from kernas.kernels import Architecture

from .abilities import Distribution
from .base import (
    PATIENCE,
    Candidate,
    Picture,
    Space,
    check_sample_size,
    distinct,
    genotype_of,
    pixels_given,
    random_neighbour,
)
from .cell_graphs import (
    OPERATIONS,
    Cell,
    canonical,
    cells,
    module_hash,
    neighbours_of,
    number_of_cells,
    pruned,
)
from .graph_cover import COVER
from .graph_forms import cell_of, name_of_cell
from .graph_skeleton import graph_network
from .parts import MaxPooling, Normalization, check_center, check_one_of
from .pictures import picture_of_nodes

MOST_VERTICES, MOST_EDGES = 7, 9
"""Of the published cells, input and output included."""


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
    max_pool: MaxPooling = "maximum"
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
        check_one_of("max_pool", self.max_pool, MaxPooling)
        check_one_of("normalize", self.normalize, Normalization)
        check_center(self.center, self.normalize)

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
        return cell_of(cell, self.max_vertices, self.max_edges)

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

    def pictures(self, genotype: Any) -> list[Picture]:
        """The cell, with an operation at each vertex."""
        operations, edges = self.parse(genotype)
        return [("cell", picture_of_nodes(("input", *operations, "output"), edges))]

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
        return random_neighbour(self, self.neighbours(candidate), rng)

    def neighbours(self, candidate: Candidate) -> list[Candidate]:
        """All cells with another operation at one vertex, with one edge more or less, or with one
        vertex more or less that has one edge in and one out."""
        near = neighbours_of(genotype_of(self, candidate), self.max_vertices, self.max_edges)
        return [self._named(cell) for cell in near]

    def crossover(self, first: Candidate, second: Candidate, rng: random.Random) -> Candidate:
        """Every value of :meth:`values_of` from one of two candidates, drawn evenly."""
        own, other = self.values_of(first), self.values_of(second)
        return self.candidate_of({name: rng.choice((own[name], other[name])) for name in own})

    def encode(self, candidate: Candidate) -> np.ndarray:
        """0 or 1 for each edge there may be, then one-hot of each vertex's operation, zeros where a
        smaller cell has none; the output is the last vertex of all cells."""
        operations, _ = genotype_of(self, candidate)
        padded = [*operations, *[None] * (self.max_vertices - 2 - len(operations))]
        edges = [float(v) for v in self.values_of(candidate).values() if isinstance(v, bool)]
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
        shape = pixels_given(image_shape, f"the cells of {self.name}")
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
        return Candidate(self, genotype, name_of_cell(genotype))
