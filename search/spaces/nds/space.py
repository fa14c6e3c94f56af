"""The five spaces of cells of two inputs; what they differ in is operations, nodes and outputs.

Reference: Radosavovic, Johnson, Xie, Lo and Dollár, On Network Design Spaces for Visual
Recognition, ICCV 2019, table 1.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, ClassVar

from kernas.errors import ConfigurationError
from kernas.kernels import Architecture
from kernas.kernels.architecture.drawing import Box

from ..abilities import Distribution
from ..base import PATIENCE, Candidate, Picture, check_sample_size, distinct, pixels_given
from ..parts import MaxPooling, Normalization, check_center, check_one_of
from ..pictures import picture_of_edges
from ..tuples import Genotype, TupleSpace
from .cover import covering_cells
from .genotypes import Cell, Cells, concatenated, genotype_text, read_genotype
from .network import network_of, reductions

TOLD_APART = 5
"""Genotypes whose networks of so many cells differ have different deeper ones, too."""


@dataclass(frozen=True)
class NdsSpace(TupleSpace):
    """A normal and a reduction cell, each of nodes that add two operations on earlier nodes.

    A cell reads the outputs of the two cells before it, each through ReLU, a 1×1 convolution and a
    normalisation; its output is the concatenation of its nodes. Reduction cells stand at one and
    two thirds of the depth: they halve the pixels and double the channels. The stem is a 3×3
    convolution to three times the channels of the first cells and a normalisation, the readout the
    mean over pixels and a linear layer. The auxiliary head, which is there in training only, is
    left out. ``docs/spaces.md`` compares this with the published code, layer by layer.

    A candidate's name is its genotype in the spelling of the published code,
    ``Genotype(normal=[('sep_conv_3x3', 0), …], normal_concat=[2, 3, 4, 5], reduce=[…],
    reduce_concat=[…])``. There are ``(Π_j o² (j + 1)²)²`` pairs of cells of ``o`` operations, j = 1
    to the number of nodes; many are the same network.

    Args:
        cells: cells from stem to readout, >= 3 (published: 20). Five have both cells follow each
            other in either order.
        max_pool: what kernels take a max-pool for: ``"maximum"``, which has no exact kernel, so
            that candidates with max-pools are refused one; or ``"average"``, the kernel of the
            network with average pools in their place (``MaxPool(as_average=True)``). Finite
            networks take the maximum.
        normalize: ``"batch"``, as published; ``"layer"``, every pixel over its channels; or
            ``"none"``. See :class:`kernas.search.NasBench201`.
        center: whether batch normalisation subtracts the mean (``Normalize(center=…)``).

    Raises:
        ConfigurationError: an argument is out of its range.
    """

    label: ClassVar[str]
    operations: ClassVar[tuple[str, ...]]
    nodes: ClassVar[int]
    loose: ClassVar[bool]

    cells: int = 20
    max_pool: MaxPooling = "maximum"
    normalize: Normalization = "batch"
    center: bool = True

    def __post_init__(self) -> None:
        if type(self.cells) is not int or self.cells < 3:
            raise ConfigurationError(
                f"cells={self.cells!r}: expected an integer >= 3 (published: 20), two of the cells "
                "being reductions"
            )
        check_one_of("max_pool", self.max_pool, MaxPooling)
        check_one_of("normalize", self.normalize, Normalization)
        check_center(self.center, self.normalize)

    @property
    def name(self) -> str:
        """The name on the command line and in records."""
        return self.label

    @property
    def choices(self) -> dict[str, Distribution]:
        """Of both edges ``a`` and ``b`` of each node the operation, and the node that it reads."""
        return self._choices

    @cached_property
    def _choices(self) -> dict[str, Distribution]:
        found: dict[str, Distribution] = {}
        for kind in Cells._fields:
            for node in range(2, 2 + self.nodes):
                for edge in "ab":
                    found[f"{kind}_{node}{edge}"] = list(self.operations)
                    found[f"{kind}_{node}{edge}_from"] = list(range(node))
        return found

    def candidate(self, given: Any) -> Candidate:
        """The candidate of a genotype.

        Args:
            given: the text ``Genotype(…)``; a mapping or a named tuple of its four fields, as in
                the published code; or a tuple of values, one for each of :attr:`choices`.

        Raises:
            ArchitectureError: it is none of these; a cell has another number of edges, an unknown
                operation, a node that reads a later one, or others concatenated than the space
                does.
        """
        if not isinstance(given, tuple) or len(given) != len(self.choices):
            cells = read_genotype(
                given, self.operations, self.nodes, loose=self.loose, name=self.name
            )
            given = tuple(value for edges in cells for edge in edges for value in edge)
        return super().candidate(given)

    def name_of(self, genotype: Genotype) -> str:
        """The published spelling."""
        return genotype_text(self.pair(genotype), loose=self.loose)

    def pair(self, genotype: Genotype) -> Cells:
        """The normal cell and the reduction cell of a genotype."""
        edges = tuple(zip(genotype[::2], genotype[1::2], strict=True))
        return Cells(edges[: 2 * self.nodes], edges[2 * self.nodes :])

    def recognises(self, text: str) -> bool:
        """Whether a text begins like a genotype."""
        return text.strip().startswith("Genotype(")

    def pictures(self, genotype: Genotype) -> list[Picture]:
        """The normal and the reduction cell, with operations on their edges."""
        cells = self.pair(genotype)
        return [
            (title, self._picture(edges))
            for title, edges in (("normal cell", cells.normal), ("reduction cell", cells.reduce))
        ]

    def _picture(self, edges: Cell) -> list[Box]:
        """Of a cell, whose node n is n + 1 here: the first stands for the network before."""
        last = self.nodes + 3
        names = {0: "network", 1: "last but one", 2: "last", last: "concatenation"}
        names |= {node: str(node - 1) for node in range(3, last)}
        into = [(source + 1, 3 + place // 2, op) for place, (op, source) in enumerate(edges)]
        out = [(node + 1, last, "") for node in concatenated(edges, loose=self.loose)]
        return picture_of_edges([*into, *out], names, before=((), (0,), (0,)))

    def architecture(self, genotype: Genotype) -> Architecture:
        """The whole network of a genotype."""
        return network_of(self, [self.pair(genotype)] * self.cells)

    def sample(self, n: int, seed: int = 0) -> list[Candidate]:
        """Candidates of which every operation and every node that is read is drawn uniformly,
        without repeats of one network.

        Networks are compared by their hash in a skeleton of no more than five cells, which is cheap
        and passes over a few that differ in deeper ones only.

        Args:
            n: how many, >= 1.
            seed: fixes the order; ``sample(m)`` begins with ``sample(n)`` for n < m.

        Raises:
            ConfigurationError: n < 1, or more than there are different networks.
        """
        check_sample_size(n, self.size())
        rng = random.Random(seed)
        skeleton = replace(self, cells=min(self.cells, TOLD_APART))
        return distinct(
            iter(lambda: self.draw(rng), None),
            n,
            key=lambda candidate: skeleton.architecture(candidate.genotype).hash,
            patience=PATIENCE,
        )

    def cover(self, image_shape: Sequence[int]) -> list[Architecture]:
        """Some thirty networks of this skeleton, a few of them not of the space: with a node
        more in a cell.

        Max-pools are taken for averages whatever the space's field says.
        """
        space = replace(self, max_pool="average")
        found = covering_cells(self.label, self.operations)
        return [network_of(space, [cells] * self.cells) for cells in found]

    def check_shape(self, image_shape: Sequence[int]) -> None:
        """Refuse vectors, and sides that the two reductions cannot halve.

        Raises:
            ConfigurationError: it is no shape, or a side in pixels is no multiple of 4.
            DataError: there are no pixels.
        """
        shape = pixels_given(image_shape, f"the cells of {self.name}")
        divisor = 2 ** len(reductions(self.cells))
        for size in shape[:2]:
            if size % divisor:
                raise ConfigurationError(
                    f"image size {size}: the two reductions of {self.name} halve it twice; choose "
                    f"a multiple of {divisor}, for example {max(divisor, size - size % divisor)}"
                )


@dataclass(frozen=True)
class DartsSpace(NdsSpace):
    """The cells of DARTS, which are those of NAS-Bench-301: four nodes, all of them concatenated.

    See :class:`NdsSpace` for the arguments. Without ``none`` it is the space of Liu, Simonyan and
    Yang, ICLR 2019; with it that of Radosavovic et al., who count 242 billion cells.

    >>> space = DartsSpace(cells=5, max_pool="average")
    >>> space.architecture(space.sample(1, seed=0)[0].genotype)
    <Architecture ...>
    """

    label = "darts"
    operations = (
        "none",
        "max_pool_3x3",
        "avg_pool_3x3",
        "skip_connect",
        "sep_conv_3x3",
        "sep_conv_5x5",
        "dil_conv_3x3",
        "dil_conv_5x5",
    )
    nodes = 4
    loose = False


@dataclass(frozen=True)
class EnasSpace(NdsSpace):
    """The cells of ENAS (Pham et al. 2018): five nodes, those that no node reads concatenated.

    See :class:`NdsSpace` for the arguments.
    """

    label = "enas"
    operations = (
        "skip_connect",
        "sep_conv_3x3",
        "sep_conv_5x5",
        "avg_pool_3x3",
        "max_pool_3x3",
    )
    nodes = 5
    loose = True


@dataclass(frozen=True)
class PnasSpace(NdsSpace):
    """The cells of PNAS (Liu et al. 2018): five nodes, all of them concatenated.

    See :class:`NdsSpace` for the arguments. Normal and reduction cell are chosen apart, as by
    Radosavovic et al.; in PNAS they are one.
    """

    label = "pnas"
    operations = (
        "sep_conv_3x3",
        "sep_conv_5x5",
        "sep_conv_7x7",
        "conv_7x1_1x7",
        "skip_connect",
        "avg_pool_3x3",
        "max_pool_3x3",
        "dil_conv_3x3",
    )
    nodes = 5
    loose = False


@dataclass(frozen=True)
class NasNetSpace(NdsSpace):
    """The cells of NASNet (Zoph et al. 2018): five nodes, those that no node reads concatenated.

    See :class:`NdsSpace` for the arguments.
    """

    label = "nasnet"
    operations = (
        "skip_connect",
        "conv_3x1_1x3",
        "conv_7x1_1x7",
        "dil_conv_3x3",
        "avg_pool_3x3",
        "max_pool_3x3",
        "max_pool_5x5",
        "max_pool_7x7",
        "conv_1x1",
        "conv_3x3",
        "sep_conv_3x3",
        "sep_conv_5x5",
        "sep_conv_7x7",
    )
    nodes = 5
    loose = True


@dataclass(frozen=True)
class AmoebaNetSpace(NdsSpace):
    """The cells of AmoebaNet (Real et al. 2019): five nodes, those that no node reads concatenated.

    See :class:`NdsSpace` for the arguments.
    """

    label = "amoebanet"
    operations = (
        "skip_connect",
        "sep_conv_3x3",
        "sep_conv_5x5",
        "sep_conv_7x7",
        "avg_pool_3x3",
        "max_pool_3x3",
        "dil_sep_conv_3x3",
        "conv_7x1_1x7",
    )
    nodes = 5
    loose = True
