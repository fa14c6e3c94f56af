"""The macro-skeleton of NAS-Bench-101: stem, stacks of cells with max pools between, readout.

Reference: Ying et al. 2019, section 2.2 and appendix A; what the paper leaves open is as in the
code published with it (``model_builder.py``, ``base_ops.py``).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from kernas.kernels import (
    Architecture,
    Concat,
    Conv,
    Dense,
    GlobalAvgPool,
    GraphBuilder,
    MaxPool,
    Relu,
    Sum,
)

from .cell_graphs import Cell
from .parts import RELU_GAIN, normalization_layer

if TYPE_CHECKING:
    from .nasbench101 import NasBench101


def graph_network(space: NasBench101, cells: Sequence[Cell]) -> Architecture:
    """The network of the cells that follow each other in every stack.

    Args:
        space: decides the skeleton; its number of cells does not count.
        cells: of each stack, in canonical form.
    """
    skeleton = _Skeleton(space)
    node = skeleton.conv(skeleton.builder.input, 3, 1.0)
    for stack in range(space.stacks):
        if stack > 0:
            node = skeleton.pool(node, 2, stride=2)
        for cell in cells:
            node = skeleton.cell(node, cell, 2.0**stack)
    for layer in (GlobalAvgPool(), Dense(W_std=RELU_GAIN)):
        node = skeleton.add(layer, node)
    return skeleton.builder.build(node)


def vertex_channels(cell: Cell, channels: int) -> list[int]:
    """The channels of the vertices between a cell's input and output.

    The output's channels are divided among the vertices that are concatenated there, the first ones
    taking what is left over; another vertex has as many as the widest that reads it.

    Args:
        cell: in canonical form.
        channels: of the cell's output.

    Reference: ``compute_vertex_channels`` of the published ``model_builder.py``.

    >>> chain = ("conv3x3-bn-relu",) * 3, ((0, 1), (0, 2), (0, 3), (1, 4), (2, 4), (3, 4))
    >>> vertex_channels(chain, 8)
    [3, 3, 2]
    """
    operations, edges = cell
    last = len(operations) + 1
    concatenated = [source for source, target in edges if target == last and source > 0]
    found = dict.fromkeys(range(1, last), 0)
    for number, vertex in enumerate(concatenated):
        found[vertex] = channels // len(concatenated)
        found[vertex] += number < channels % len(concatenated)
    for vertex in reversed(range(1, last)):
        if vertex not in concatenated:
            found[vertex] = max(found[target] for source, target in edges if source == vertex)
    return list(found.values())


class _Skeleton:
    """A network in the making; its methods append to it and return the last node."""

    def __init__(self, space: NasBench101) -> None:
        self.space = space
        self.builder = GraphBuilder()
        self.add = self.builder.add

    def conv(self, node: int, window: int, width: float) -> int:
        """Convolution, normalisation, ReLU."""
        node = self.add(Conv(window, padding="SAME", W_std=RELU_GAIN, width=width), node)
        normalized = normalization_layer(self.space.normalize, self.space.center)
        return self.add(Relu(), node if normalized is None else self.add(normalized, node))

    def pool(self, node: int, window: int, stride: int) -> int:
        as_average = self.space.max_pool == "average"
        layer = MaxPool(window, stride=stride, padding="SAME", as_average=as_average)
        return self.add(layer, node)

    def cell(self, node: int, cell: Cell, width: float) -> int:
        """A cell that reads ``node`` and has an output of ``width``.

        The channels of a vertex are parts of one width or two: what is cut off where its value is
        added to one of a channel less is a part of its own.
        """
        operations, edges = cell
        last = len(operations) + 1
        widths = self._widths(cell, width)
        values: dict[int, list[int]] = {}
        for vertex, operation in enumerate(operations, start=1):
            sources = [source for source, target in edges if target == vertex]
            read = [
                self._sum(node, part, [values[s][number] for s in sources if s], 0 in sources)
                for number, part in enumerate(widths[vertex - 1])
            ]
            if operation == "maxpool3x3":
                values[vertex] = [self.pool(part, 3, stride=1) for part in read]
            else:
                whole, window = self._concat(read), 3 if operation == "conv3x3-bn-relu" else 1
                values[vertex] = [self.conv(whole, window, part) for part in widths[vertex - 1]]
        ends = [source for source, target in edges if target == last]
        parts = [(n, w) for s in ends if s for n, w in zip(values[s], widths[s - 1], strict=True)]
        if not parts:
            return self.conv(node, 1, width)
        return self._concat([self._sum(node, part, [end], 0 in ends) for end, part in parts])

    def _widths(self, cell: Cell, width: float) -> list[tuple[float, ...]]:
        """The widths of the parts of each vertex, relative to the stem's."""
        operations, edges = cell
        whole = self.space.channels
        if whole is None:
            ends = [source for source, target in edges if target == len(operations) + 1 and source]
            return [(width / len(ends),) for _ in operations]
        channels = vertex_channels(cell, round(whole * width))
        least = min(channels, default=0)
        return [(least / whole, *[1 / whole] * (own - least)) for own in channels]

    def _sum(self, node: int, width: float, terms: list[int], projected: bool) -> int:
        """The terms, and the cell's input through a 1×1 convolution."""
        terms = [*terms, self.conv(node, 1, width)] if projected else terms
        return terms[0] if len(terms) == 1 else self.add(Sum(), *terms)

    def _concat(self, parts: list[int]) -> int:
        return parts[0] if len(parts) == 1 else self.add(Concat(), *parts)
