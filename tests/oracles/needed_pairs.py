"""Which pairs of pixels of each node's own moment a kernel depends on: pair by pair, in loops.

The covariance of node ``a`` at pixel ``p`` with node ``b`` at pixel ``q`` is taken apart until both
are sources, and every pair on the way is written down. Nodes without pixels keep those of what they
flattened. Variances are no pairs: they are recorded once per image.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from itertools import product

from oracles.geometry import Grid, axis_windows, window_taps

from kernas.kernels.architecture.activations import Activation
from kernas.kernels.architecture.graph import Architecture
from kernas.kernels.architecture.layers import (
    AvgPool,
    Concat,
    Dense,
    Flatten,
    GlobalAvgPool,
    Identity,
    Input,
    Layer,
    LayerNorm,
    LocalAvgPool,
    MaxPool,
    Normalize,
    Sum,
    WeightLayer,
    WindowLayer,
    Zero,
)

LINEAR = (Identity, Flatten, Sum, Zero, AvgPool, MaxPool, LocalAvgPool, GlobalAvgPool, LayerNorm)

Pairs = set[tuple[int, int]]
"""Pixels of the left and of the right image, row by row."""


def needed_pairs(
    architecture: Architecture, image_shape: tuple[int, ...]
) -> dict[int, tuple[Grid, Pairs]]:
    """The pairs of each node's moment with itself that the kernel depends on.

    Args:
        architecture: a network without ``Concat``.
        image_shape: ``(height, width, channels)`` or ``(features,)``.

    Returns:
        The pixels and the pairs of every weight layer and nonlinearity that the kernel reads.
    """
    network = _Network(architecture, image_shape)
    output = len(architecture.nodes) - 1
    wanted: dict[tuple[int, int], Pairs] = defaultdict(set)
    wanted[output, output] = {(i, i) for i in range(network.grids[output].size)}
    found: dict[int, tuple[Grid, Pairs]] = {}
    while wanted:
        a, b = max(wanted, key=sum)  # what is taken apart comes earlier in the network
        pairs = wanted.pop((a, b))
        if a == b and isinstance(architecture.nodes[a].layer, WeightLayer | Activation):
            found[a] = network.grids[a], pairs
        for p, q in pairs:
            for (left, at_p), (right, at_q) in network.reads(a, p, b, q):
                wanted[left, right].add((at_p, at_q))
    return found


def displacements(grid: Grid, pairs: Pairs) -> tuple[set[int], set[int]]:
    """``q − p`` of pairs along the rows and along the columns of the images."""
    width = grid.width
    rows = {q // width - p // width for p, q in pairs}
    return rows, {q % width - p % width for p, q in pairs}


class _Network:
    """Where every number of a network comes from."""

    def __init__(self, architecture: Architecture, image_shape: tuple[int, ...]) -> None:
        self.nodes = architecture.nodes
        self.grids: list[Grid] = []
        self.taps: list[list[list[int | None]]] = []
        for node in self.nodes:
            before = self.grids[node.inputs[0]] if node.inputs else None
            grid, taps = _windows(node.layer, before, image_shape)
            self.grids.append(grid)
            self.taps.append(taps)

    def reads(self, a: int, p: int, b: int, q: int) -> Iterator[Sequence[tuple[int, int]]]:
        """The covariances, each of two nodes at a pixel each, of which one is made."""
        side = 0 if self._order(a) >= self._order(b) else 1
        node = self.nodes[(a, b)[side]]
        if isinstance(node.layer, (*LINEAR, Normalize)):
            for source, tap in product(node.inputs, self.taps[(a, b)[side]][(p, q)[side]]):
                if tap is not None and not isinstance(node.layer, Zero):
                    yield ((source, tap), (b, q)) if side == 0 else ((a, p), (source, tap))
        elif isinstance(node.layer, Activation):
            others = (self.nodes[a], self.nodes[b])
            if all(isinstance(other.layer, Activation) for other in others):
                yield (others[0].inputs[0], p), (others[1].inputs[0], q)
            elif side == 0:
                yield (node.inputs[0], p), (b, q)
            else:
                yield (a, p), (node.inputs[0], q)
        elif a == b and not isinstance(node.layer, Input):
            # Fresh weights: with itself, and the taps of both windows move together.
            for left, right in zip(self.taps[a][p], self.taps[a][q], strict=True):
                if left is not None and right is not None:
                    yield (node.inputs[0], left), (node.inputs[0], right)

    def _order(self, index: int) -> tuple[int, int]:
        """Linear nodes are taken apart first, so that sources meet sources; then late ones."""
        layer = self.nodes[index].layer
        return (2 if isinstance(layer, LINEAR) else isinstance(layer, Normalize)), index


def _windows(
    layer: Layer, before: Grid | None, image_shape: tuple[int, ...]
) -> tuple[Grid, list[list[int | None]]]:
    """The pixels of a node, and for each the pixels of its input that it reads."""
    if before is None:
        height, width = image_shape[:2] if len(image_shape) == 3 else (1, 1)
        return Grid(height, width, len(image_shape) == 1, ()), []
    everything: list[list[int | None]] = [list(range(before.size))]
    itself: list[list[int | None]] = [[p] for p in range(before.size)]
    flat = Grid(before.height, before.width, True, ())
    if isinstance(layer, Dense):
        return Grid(1, 1, True, ()), everything
    if isinstance(layer, GlobalAvgPool) and not before.flat:
        return Grid(1, 1, True, ()), everything
    if isinstance(layer, LocalAvgPool) and not before.flat:
        return flat, [
            [j for j in range(before.size) if _near(layer, i, j, before)]
            for i in range(before.size)
        ]
    if isinstance(layer, Flatten | GlobalAvgPool | LocalAvgPool):
        return flat, itself
    if isinstance(layer, WindowLayer):
        rows, columns = (
            len(axis_windows(layer, axis, size))
            for axis, size in enumerate((before.height, before.width))
        )
        return Grid(rows, columns, False, ()), window_taps(layer, before)
    if isinstance(layer, Concat):
        raise ValueError("channels of a Concat have several moments each")
    return before, itself


def _near(layer: LocalAvgPool, i: int, j: int, grid: Grid) -> bool:
    for size, distance in (
        (grid.height, abs(i // grid.width - j // grid.width)),
        (grid.width, abs(i % grid.width - j % grid.width)),
    ):
        around = min(distance, size - distance) if layer.edges == "circular" else distance
        if around > layer.radius:
            return False
    return True
