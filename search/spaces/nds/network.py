"""Networks of cells of two inputs: stem, normal and reduction cells, readout.

References:
    Liu, Simonyan and Yang 2019, section 3.1.1 and appendix A, and ``model.py`` of the published
    code, class ``NetworkCIFAR``.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from kernas.kernels import (
    Architecture,
    AvgPool,
    Concat,
    Conv,
    Dense,
    GlobalAvgPool,
    GraphBuilder,
    Relu,
    Sum,
    Zero,
)
from kernas.kernels.architecture import Layer

from ..parts import PYTORCH_GAIN, RELU_GAIN, normalization_layer
from .genotypes import Cell, Cells, concatenated
from .operations import LINEAR, OPERATIONS, around

if TYPE_CHECKING:
    from .space import NdsSpace

STEM_WIDTH = 3.0
"""Channels of the stem, relative to a convolution of the first cells."""


def reductions(cells: int) -> tuple[int, ...]:
    """The places of the reduction cells, at one and two thirds of the depth."""
    return cells // 3, 2 * cells // 3


def network_of(space: NdsSpace, genotypes: Sequence[Cells]) -> Architecture:
    """The network of a space's skeleton with these cells, in their order.

    Args:
        space: decides pools, normalisation and which nodes are concatenated; its number of cells
            does not count.
        genotypes: of each place; of the pair the normal cell is taken, or the other one where the
            pixels are halved.
    """
    builder = GraphBuilder()
    part = CellPart(space, builder, 1.0)
    stem = builder.add(Conv(3, padding=around((3, 3)), width=STEM_WIDTH), builder.input)
    before = after = part.normalized(stem)
    width, was_reduced = 1.0, False
    for place, cells in enumerate(genotypes):
        reduces = place in reductions(len(genotypes))
        width = 2 * width if reduces else width
        part = CellPart(space, builder, width, reduces=reduces, was_reduced=was_reduced)
        made = part.whole(before, after, cells.reduce if reduces else cells.normal)
        before, after, was_reduced = after, made, reduces
    node = builder.add(GlobalAvgPool(), after)
    return builder.build(builder.add(Dense(W_std=PYTORCH_GAIN), node))


class CellPart:
    """A cell in the making; its methods append to the network and return the last node.

    A factorised reduction concatenates two halves of its channels that look at other pixels. What
    is added to it is two halves then, each the output of a convolution of half the width, which is
    the same network as one convolution of the whole. Edges that carry zero are left out.

    Args:
        space: decides pools, normalisation and concatenated nodes.
        builder: of the network.
        width: channels of its convolutions, relative to those of the first cells.
        reduces: whether it halves the pixels.
        was_reduced: whether the cell before did.
    """

    def __init__(
        self,
        space: NdsSpace,
        builder: GraphBuilder,
        width: float,
        *,
        reduces: bool = False,
        was_reduced: bool = False,
    ) -> None:
        self.space = space
        self.add = builder.add
        self.width = width
        self.reduces = reduces
        self.was_reduced = was_reduced
        self.averages = space.max_pool == "average"

    def whole(self, before: int, after: int, cell: Cell) -> int:
        """The cell that reads the outputs of the last cell but one and of the last one."""
        edges = _carrying(cell)
        halved = self._halved(edges)
        first = (
            self.factorised(before) if self.was_reduced else self._preprocessed(before, 0 in halved)
        )
        nodes = {0: first, 1: self._preprocessed(after, 1 in halved)}
        for node in range(2, 2 + len(cell) // 2):
            ends = [
                OPERATIONS[operation](self, nodes[source], self._stride(source), node in halved)
                for operation, source in edges.get(node, ())
            ]
            nodes[node] = self.add(Sum(), *ends) if ends else self._zeros(nodes[1])
        chosen = concatenated(cell, loose=self.space.loose)
        return self.add(Concat(), *(nodes[node] for node in chosen))

    def _stride(self, source: int) -> int:
        return 2 if self.reduces and source < 2 else 1

    def _halved(self, edges: dict[int, Cell]) -> set[int]:
        """The nodes that are two halves: those that factorised reductions are added to, and what
        is added to them or they to others, as they are or pooled."""
        found = {0} if self.was_reduced else set[int]()
        joined: list[tuple[int, int]] = []
        for node, of in edges.items():
            for operation, source in of:
                if operation == "skip_connect" and self._stride(source) == 2:
                    found.add(node)
                elif operation in LINEAR:
                    joined.append((source, node))
        while more := [pair for pair in joined if len(found.intersection(pair)) == 1]:
            found.update(*more)
        return found

    def _zeros(self, like: int) -> int:
        kept = self.add(AvgPool(1, stride=2), like) if self.reduces else like
        return self.add(Zero(), kept)

    def _preprocessed(self, node: int, halved: bool) -> int:
        layer = Conv(1, W_std=RELU_GAIN)
        return self.normalized(self.widened(layer, self.add(Relu(), node), halved))

    def factorised(self, node: int) -> int:
        """Half the pixels: two 1×1 convolutions of stride 2, the second one a pixel further."""
        read = self.add(Relu(), node)
        halves = (
            Conv(1, stride=2, padding=padding, W_std=RELU_GAIN, width=self.width / 2)
            for padding in (((0, 0), (0, 0)), ((-1, 0), (-1, 0)))
        )
        return self.normalized(self._side_by_side(halves, read))

    def widened(self, layer: Conv, node: int, halved: bool = False) -> int:
        """A convolution to the channels of the cell, or to both halves of them."""
        halves = 2 if halved else 1
        of = (replace(layer, width=self.width / halves) for _ in range(halves))
        return self._side_by_side(of, node)

    def normalized(self, node: int) -> int:
        """What the space normalises by, if it does."""
        layer = normalization_layer(self.space.normalize, self.space.center)
        return node if layer is None else self.add(layer, node)

    def _side_by_side(self, layers: Iterable[Layer], node: int) -> int:
        ends = [self.add(layer, node) for layer in layers]
        return ends[0] if len(ends) == 1 else self.add(Concat(), *ends)


def _carrying(cell: Cell) -> dict[int, Cell]:
    """The edges of each node that do not carry zero; no node of which there are none."""
    found: dict[int, Cell] = {}
    for place in range(0, len(cell), 2):
        edges = tuple(
            (operation, source)
            for operation, source in cell[place : place + 2]
            if operation != "none" and (source < 2 or source in found)
        )
        if edges:
            found[2 + place // 2] = edges
    return found
