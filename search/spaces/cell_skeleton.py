"""The macro-skeleton of NAS-Bench-201: stem, three stages of cells, two reductions, readout.

Reference: Dong and Yang 2020, section 2.1 and figure 1.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from kernas.kernels import (
    Architecture,
    AvgPool,
    Conv,
    Dense,
    GraphBuilder,
    Identity,
    Relu,
    Sum,
    Zero,
    serial,
)
from kernas.kernels.architecture import Slot

from .cell_strings import EDGES, OPERATIONS
from .parts import RELU_GAIN, normalization_layer, readout_layer, same_padding

if TYPE_CHECKING:
    from .nasbench201 import NasBench201

STAGE_WIDTHS = (1.0, 2.0, 4.0)
"""Channels of the three stages, relative to the stem's."""

OPEN = tuple(range(len(EDGES)))
"""The cell whose edges are slots, each with a choice of its own among :data:`OPERATIONS`."""


def cell_network(
    space: NasBench201, cells: Sequence[Sequence[str | int]], *, apart: bool = False
) -> Architecture:
    """The network of the cells that follow each other in every stage.

    Args:
        space: decides the skeleton; its number of cells does not count.
        cells: the six operations of each; a number in place of one is a slot of that choice.
        apart: whether a convolution stands before every cell that would not read a normalised
            image, where the first one of its stage does.
    """
    skeleton = _Skeleton(space)
    node = skeleton.normalized(skeleton.conv(skeleton.builder.input, 3, 1.0))
    for stage, width in enumerate(STAGE_WIDTHS):
        if stage > 0:
            node = skeleton.reduction(node, width)
        after_norm = stage == 0 or space.reduction == "pool"
        for place, operations in enumerate(cells):
            if apart and after_norm and place > 0:
                node = skeleton.relu_conv_normalized(node, 3, width)
            node = skeleton.cell(node, operations, width)
    return skeleton.whole(node)


def sized_network(
    space: NasBench201, operations: Sequence[str], channels: Sequence[float]
) -> Architecture:
    """The network of one cell a stage, whose stages and reductions have channels of their own.

    Args:
        space: decides the skeleton; its number of cells does not count.
        operations: the six of the cell.
        channels: relative widths of the stem and the first cell, the first reduction, the second
            cell, the second reduction and the third cell.

    Reference: ``DynamicShapeTinyNet`` of the code published with Dong et al. 2021.
    """
    skeleton = _Skeleton(space)
    node = skeleton.normalized(skeleton.conv(skeleton.builder.input, 3, channels[0]))
    node = skeleton.cell(node, operations, channels[0])
    for before, after in (channels[1:3], channels[3:5]):
        node = skeleton.reduction(node, before)
        node = skeleton.cell(node, operations, after, read=before)
    return skeleton.whole(node)


class _Skeleton:
    """A network in the making; its methods append to it and return the last node."""

    def __init__(self, space: NasBench201) -> None:
        self.space = space
        self.builder = GraphBuilder()
        self.add = self.builder.add

    def conv(
        self, node: int, window: int, width: float, stride: int = 1, W_std: float = RELU_GAIN
    ) -> int:
        layer = Conv(
            window,
            stride=stride,
            padding=same_padding(self.space.padding, window),
            W_std=W_std,
            width=width,
        )
        return self.add(layer, node)

    def normalized(self, node: int) -> int:
        layer = normalization_layer(self.space.normalize, self.space.center)
        return node if layer is None else self.add(layer, node)

    def relu_conv_normalized(self, node: int, window: int, width: float, stride: int = 1) -> int:
        return self.normalized(self.conv(self.add(Relu(), node), window, width, stride))

    def reduction(self, node: int, width: float) -> int:
        pooled = self.add(AvgPool(2, stride=2, padding="VALID"), node)
        if self.space.reduction == "pool":
            return self.normalized(self.conv(pooled, 1, width))
        shortcut = self.conv(pooled, 1, width, W_std=self.space.shortcut_W_std)
        branch = self.relu_conv_normalized(node, 3, width, stride=2)
        branch = self.relu_conv_normalized(branch, 3, width)
        return self.add(Sum(), branch, shortcut)

    def whole(self, node: int) -> Architecture:
        """The network that reads out ``node``."""
        node = self.add(Relu(), self.normalized(node))
        node = self.add(readout_layer(self.space.readout), node)
        return self.builder.build(self.add(Dense(W_std=self.space.readout_W_std), node))

    def cell(
        self,
        node: int,
        operations: Sequence[str | int],
        width: float,
        *,
        read: float | None = None,
    ) -> int:
        """A cell that reads ``node``, whose width is ``read`` if it is another; edges that carry
        zero are left out. A skip from another width is a convolution without ReLU before it."""
        widens = read not in (None, width)
        values: dict[int, int | None] = {0: node}
        edges = dict(zip(EDGES, operations, strict=True))
        for target in (1, 2, 3):
            parts: list[int] = []
            for source in range(target):
                value, operation = values[source], edges[source, target]
                if value is None or operation == "none":
                    continue
                if widens and source == 0 and operation == "skip_connect":
                    parts.append(self.normalized(self.conv(value, 1, width)))
                else:
                    parts.append(self._edge(value, operation, width))
            values[target] = self.add(Sum(), *parts) if parts else None
        output = values[3]
        return self.add(Zero(), node) if output is None else output

    def _edge(self, node: int, operation: str | int, width: float) -> int:
        if isinstance(operation, int):
            branches = tuple(self._branch(known, width) for known in OPERATIONS)
            return self.add(Slot(branches, operation), node)
        if operation == "skip_connect":
            return node
        if operation == "avg_pool_3x3":
            pool = AvgPool(
                3, stride=1, padding=same_padding(self.space.padding, 3), divisor="valid"
            )
            return self.add(pool, node)
        return self.relu_conv_normalized(node, 1 if operation == "nor_conv_1x1" else 3, width)

    def _branch(self, operation: str, width: float) -> Architecture:
        """What an edge does, as a network of its own."""
        if operation == "none":
            return serial(Zero())
        branch = _Skeleton(self.space)
        end = branch._edge(branch.builder.input, operation, width)
        return branch.builder.build(end or branch.add(Identity(), end))
