"""NAS-Bench-201: cells of four nodes and six edges in a fixed macro-skeleton.

Reference: Dong and Yang, NAS-Bench-201: Extending the Scope of Reproducible Neural Architecture
Search, ICLR 2020, section 2.1 and figure 1 (cell, operations, skeleton).
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from kernas.errors import ConfigurationError
from kernas.kernels import Architecture

from .abilities import Distribution
from .base import Candidate, Picture, check_sample_size, distinct, genotype_of, pixels_given
from .cell_cover import COVER, NOTHING
from .cell_skeleton import OPEN, cell_network
from .cell_strings import EDGES, OPERATIONS, Cell, format_cell, is_cell_text, operations_of
from .parts import PYTORCH_GAIN, Edges, Normalization, check_center, check_one_of, readout_layer
from .pictures import picture_of_edges
from .tuples import TupleSpace

Reduction = Literal["residual", "pool"]

CHOICES: dict[str, Distribution] = {f"{s}-{t}": list(OPERATIONS) for s, t in EDGES}


@dataclass(frozen=True)
class NasBench201(TupleSpace):
    """The NAS-Bench-201 space of 15,625 cells.

    A cell string lists, for the nodes 1 to 3, the operation on the edge from every earlier node:
    ``|op~0|+|op~0|op~1|+|op~0|op~1|op~2|``. A node is the sum of its edges, node 0 the input.

    Args:
        cells_per_stage: cells in each of the three stages, >= 1 (published: 5).
        center: whether the normalisation subtracts the mean (``Normalize(center=…)``).
        reduction: what stands between stages: ``"residual"``, the published block of stride 2, or
            ``"pool"``, an average pool 2×2, a 1×1 convolution and a normalisation.
        shortcut_W_std: gain of the shortcut's 1×1 convolution in a residual reduction, > 0. It has
            neither a ReLU before it nor a normalisation after it, so that it weighs the shortcut
            against the block.
        readout_W_std: gain of the last layer, > 0, which scales both kernels by its square.
        normalize: ``"batch"``, as published; ``"layer"``, every pixel over its channels
            (:class:`LayerNorm`); or ``"none"``. Networks without batch normalisation need no
            reference images, and neural-tangents can express those whose sums have uncorrelated
            terms.
        readout: what makes a vector of the last image: ``"gap"``, the mean over pixels, as
            published; ``"lap:C"``, means over windows of ``2 C + 1`` pixels
            (:class:`LocalAvgPool`); or ``"flatten"``.
        padding: edges of the 3×3 windows, ``"zero"``, as published, or ``"circular"``.

    Normalisations remove every other gain; without them it is √2 (He et al. 2015).
    ``docs/spaces.md`` compares the published skeleton with this one, layer by layer.

    Raises:
        ConfigurationError: an argument is out of its range.

    >>> space = NasBench201(cells_per_stage=1)
    >>> space.architecture(space.sample(1, seed=0)[0].name)
    <Architecture ...>
    """

    cells_per_stage: int = field(default=5, metadata={"alias": "cells"})
    center: bool = True
    reduction: Reduction = "residual"
    shortcut_W_std: float = PYTORCH_GAIN
    readout_W_std: float = PYTORCH_GAIN
    normalize: Normalization = "batch"
    readout: str = "gap"
    padding: Edges = "zero"

    def __post_init__(self) -> None:
        if not isinstance(self.cells_per_stage, int) or self.cells_per_stage < 1:
            raise ConfigurationError(
                f"cells_per_stage={self.cells_per_stage!r}: expected an integer >= 1 (published: 5)"
            )
        check_one_of("reduction", self.reduction, Reduction)
        check_one_of("normalize", self.normalize, Normalization)
        check_one_of("padding", self.padding, Edges)
        check_center(self.center, self.normalize)
        readout_layer(self.readout)
        for name in ("shortcut_W_std", "readout_W_std"):
            gain = getattr(self, name)
            if not isinstance(gain, int | float) or not 0 < gain < float("inf"):
                raise ConfigurationError(
                    f"{name}={gain!r}: expected a number > 0 (published: {PYTORCH_GAIN:.4f})"
                )

    @property
    def name(self) -> str:
        """The name on the command line and in records."""
        return "nasbench201"

    @property
    def choices(self) -> dict[str, Distribution]:
        """The operations of each edge ``source-target``, in the order of :data:`EDGES`."""
        return CHOICES

    def parse(self, cell: Cell) -> tuple[str, ...]:
        """The six operations of a cell, in the order of :data:`EDGES`.

        Args:
            cell: a cell string, with the edges of a node in any order; six operations in the order
                of :data:`EDGES`; a tuple of NASLib's six indices, ``(4, 0, 3, 1, 4, 3)``, whose
                order of operations and of edges is NASLib's own; or the number of the cell in the
                published table, 0 to 15,624, which lies in a folder of data and has another order
                than :meth:`enumerate`. All methods that take a cell take all of these.

        Raises:
            ArchitectureError: it is none of these, an operation is unknown, or a node does not
                read each earlier node exactly once. The message names the part and the fix.

        >>> space = NasBench201()
        >>> space.parse(1) == space.parse((2, 2, 0, 4, 2, 0))
        True
        """
        return operations_of(cell)

    def format(self, operations: tuple[str, ...]) -> str:
        """The cell string of six operations: the inverse of :meth:`parse`.

        Raises:
            ArchitectureError: there are not six operations, or one is unknown.
        """
        return format_cell(operations)

    def name_of(self, genotype: tuple[Any, ...]) -> str:
        """The cell string of a genotype, which is six operations."""
        return self.format(genotype)

    def canonical(self, cell: Cell) -> str:
        """The benchmark's own name of the cell's class: 6,466 classes in all.

        A node's text joins its edges' texts, sorted, by ``+``: ``#`` for an edge that carries zero,
        the source's text for a skip, ``(source)@operation`` otherwise. This is the benchmark's
        notion of equal cells, not that of equal networks: since a skip inserts its source's text
        without brackets or sorting, it merges some different networks, and it does not know that
        pools are linear, so it splits some equal ones. ``architecture(cell).hash`` decides what is
        computed once.

        Raises:
            ArchitectureError: as :meth:`parse`.

        Reference: the isomorphism check of Dong and Yang 2020, section 2.1.
        """
        texts = {0: "0"}
        edges = dict(zip(EDGES, self.parse(cell), strict=True))
        for target in (1, 2, 3):
            parts = []
            for source in range(target):
                operation, text = edges[source, target], texts[source]
                if operation == "none" or text == "#":
                    parts.append("#")
                elif operation == "skip_connect":
                    parts.append(text)
                else:
                    parts.append(f"({text})@{operation}")
            texts[target] = "+".join(sorted(parts))
        return texts[3]

    def architecture(self, cell: Cell) -> Architecture:
        """The cell's whole network.

        Stem (3×3 convolution, normalisation); three stages of ``cells_per_stage`` cells with a
        reduction before the second and the third; normalisation, ReLU, global average pool, dense.
        An edge with a convolution is ReLU, convolution, normalisation.

        Raises:
            ArchitectureError: as :meth:`parse`.
        """
        return cell_network(self, [self.parse(cell)] * self.cells_per_stage)

    def pictures(self, genotype: Cell) -> list[Picture]:
        """The cell, with operations on its edges."""
        names = {0: "input", 1: "1", 2: "2", 3: "output"}
        operations = self.parse(genotype)
        edges = [(*edge, op) for edge, op in zip(EDGES, operations, strict=True)]
        return [("cell", picture_of_edges(edges, names))]

    def template(self, candidate: Candidate) -> Architecture:
        """The skeleton with a slot in place of every edge; one for all candidates.

        A slot holds the five operations, and all cells of the network are filled alike.
        """
        genotype_of(self, candidate)
        return cell_network(self, [OPEN] * self.cells_per_stage)

    def slots(self, candidate: Candidate) -> tuple[int, ...]:
        """The numbers of the six operations, in the order of the published table."""
        return tuple(OPERATIONS.index(operation) for operation in genotype_of(self, candidate))

    def candidate(self, given: Cell) -> Candidate:
        """A cell as a candidate, named by its cell string in the published order of edges.

        Raises:
            ArchitectureError: as :meth:`parse`.
        """
        operations = self.parse(given)
        return Candidate(self, operations, self.format(operations))

    def recognises(self, text: str) -> bool:
        """Whether a text has the bars, or is a number or tuple of numbers."""
        return is_cell_text(text)

    def candidate_of(self, values: Any) -> Candidate:
        """The cell of one operation for each edge ``source-target``.

        Raises:
            ArchitectureError: an edge is missing or unknown, or an operation is.
        """
        return self.candidate(self._in_order(values))

    def sample(self, n: int, seed: int = 0) -> list[Candidate]:
        """Cells drawn uniformly without repeats of one network.

        Cells are visited in a random order of all 15,625, and one whose network was seen before is
        passed over. Networks are compared by their hash in the skeleton of one cell per stage,
        which is cheap and tells the same cells apart as a deeper one.

        Args:
            n: how many, >= 1.
            seed: fixes the order; ``sample(m)`` begins with ``sample(n)`` for n < m.

        Raises:
            ConfigurationError: n < 1, or larger than the number of different networks.
        """
        check_sample_size(n, self.size(), "cells")
        cells = list(itertools.product(OPERATIONS, repeat=len(EDGES)))
        random.Random(seed).shuffle(cells)
        skeleton = replace(self, cells_per_stage=1)
        return distinct(
            map(self.candidate, cells),
            n,
            key=lambda cell: skeleton.architecture(cell.genotype).hash,
            of="cells",
        )

    def check_shape(self, image_shape: Sequence[int]) -> None:
        """Refuse vectors, and sides that the two reductions cannot halve.

        Raises:
            ConfigurationError: a side in pixels is not a positive multiple of 4.
            DataError: there are no pixels.
        """
        if len(image_shape) != 3:
            pixels_given(image_shape, f"the cells of {self.name}")
        for size in image_shape[:2]:
            if size < 4 or size % 4:
                raise ConfigurationError(
                    f"image size {size}: the two reductions of NAS-Bench-201 halve it twice; "
                    f"choose a multiple of 4, for example {max(4, size - size % 4)}"
                )

    def cover(self, image_shape: Sequence[int]) -> list[Architecture]:
        """Eight to ten networks of this skeleton that need all operations, and as much room as any.

        They are not of the space: several different cells follow each other in a stage. Of a deeper
        skeleton the few cells that only pool, whose pools join into ever longer chains, are not
        held.
        """
        networks = [cell_network(self, cells, apart=True) for cells in COVER]
        if self.reduction == "pool":  # two normalisations in a row, with nothing between
            networks.append(cell_network(self, [NOTHING]))
        if self.cells_per_stage > 1:
            dense = [("nor_conv_3x3",) * len(EDGES)] * (2 * self.cells_per_stage)
            networks.append(cell_network(self, dense))
        return networks
