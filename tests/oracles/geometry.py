"""Where a node's numbers stand, and which lie under which window: the references' own, in loops."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from kernas.kernels.architecture.graph import Architecture
from kernas.kernels.architecture.layers import (
    AvgPool,
    Concat,
    ConvLayer,
    Dense,
    Flatten,
    FullWeightLayer,
    GlobalAvgPool,
    Layer,
    LocalAvgPool,
    MaxPool,
    WindowLayer,
)


@dataclass(frozen=True)
class Grid:
    """The pixels and channels of a node.

    Attributes:
        height: pixels from top to bottom; one where no pixels are left.
        width: pixels from left to right, likewise.
        flat: no pixels are left.
        channels: relative numbers of channels, stretch by stretch of channels that are alike: one
            after a weight layer, those of all parts of a ``Concat``, and those of all pixels after
            ``Flatten``, pixel by pixel.
        raw: the channels are the images' own.
    """

    height: int
    width: int
    flat: bool
    channels: tuple[float, ...]
    raw: bool = False

    @property
    def size(self) -> int:
        """Number of pixels."""
        return self.height * self.width


def node_grids(architecture: Architecture, input_shape: tuple[int, ...]) -> list[Grid]:
    """The pixels and channels of every node, for ``(height, width, channels)``, ``(length,
    channels)``, which is of one row, or ``(features,)``.

    Raises:
        ValueError: a sum of nodes that do not align, a ``Concat`` of different pixels, the raw
            input beside features, ``Dense`` of an image.
    """
    grids: list[Grid] = []
    for index, node in enumerate(architecture.nodes):
        inputs = [grids[i] for i in node.inputs]
        if len({grid.raw for grid in inputs}) > 1:
            raise ValueError(f"node {index} puts the raw input together with features")
        if isinstance(node.layer, Concat):
            inputs = [replace(g, channels=sum((i.channels for i in inputs), ())) for g in inputs]
        if len(set(inputs)) > 1:
            raise ValueError(f"node {index} joins nodes that do not align: {set(inputs)}")
        if isinstance(node.layer, Dense) and not inputs[0].flat:
            raise ValueError(f"node {index} is a Dense of an image")
        grids.append(_output_grid(node.layer, inputs[0] if inputs else None, input_shape))
    return grids


def _output_grid(layer: Layer, grid: Grid | None, input_shape: tuple[int, ...]) -> Grid:
    if grid is None:
        flat = len(input_shape) == 1
        height, width = (1, 1, *input_shape[:-1])[-2:]
        return Grid(height, width, flat, (1.0,), raw=True)
    if isinstance(layer, Flatten | LocalAvgPool):
        return Grid(1, 1, True, grid.size * grid.channels, grid.raw)
    if isinstance(layer, GlobalAvgPool):
        return Grid(1, 1, True, grid.channels, grid.raw)
    if isinstance(layer, WindowLayer):
        rows, columns = (axis_windows(layer, a, n) for a, n in ((0, grid.height), (1, grid.width)))
        grid = replace(grid, height=len(rows), width=len(columns))
    if isinstance(layer, FullWeightLayer):
        grid = replace(grid, channels=(layer.width,), raw=False)
    return grid


def axis_windows(layer: WindowLayer, axis: int, size: int) -> list[list[int | None]]:
    """For each output position on an axis, the positions under its taps; ``None`` is padding.

    Of a window of one axis, a signal's, the other one keeps its only position.
    """
    if isinstance(layer.window, tuple) and len(layer.window) == 1:
        if axis == 0:
            return [[position] for position in range(size)]
        axis = 0
    window, stride = np.broadcast_to(layer.window, 2)[axis], np.broadcast_to(layer.stride, 2)[axis]
    step = np.broadcast_to(layer.dilation, 2)[axis] if isinstance(layer, ConvLayer) else 1
    reach = (window - 1) * step + 1
    if layer.padding == "VALID":
        low, high = 0, 0
    elif layer.padding in ("SAME", "CIRCULAR"):
        total = max((-(-size // stride) - 1) * stride + reach - size, 0)
        low, high = total // 2, total - total // 2
    else:
        low, high = layer.padding[axis]
    windows: list[list[int | None]] = []
    for first in range(-low, size + high - reach + 1, stride):
        taps = [int(first + k * step) for k in range(window)]
        if layer.padding == "CIRCULAR":
            windows.append([i % size for i in taps])
        else:
            windows.append([i if 0 <= i < size else None for i in taps])
    return windows


def window_taps(layer: WindowLayer, grid: Grid) -> list[list[int | None]]:
    """For each output pixel, row by row, the input pixels under the taps of its window."""
    rows = axis_windows(layer, 0, grid.height)
    columns = axis_windows(layer, 1, grid.width)
    return [
        [None if i is None or j is None else i * grid.width + j for i in row for j in column]
        for row in rows
        for column in columns
    ]


def pool_matrix(layer: AvgPool | MaxPool, grid: Grid) -> np.ndarray:
    """``L`` of an average pool, or of the average over a max pool's valid pixels.

    Returns:
        ``(pixels out, pixels in)``.
    """
    taps = window_taps(layer, grid)
    whole = isinstance(layer, AvgPool) and layer.divisor == "window"
    L = np.zeros((len(taps), grid.size))
    for p, at_p in enumerate(taps):
        inside = [k for k in at_p if k is not None]
        for k in inside:
            L[p, k] += 1 / (len(at_p) if whole else len(inside))
    return L


def local_pool_matrix(layer: LocalAvgPool, grid: Grid) -> np.ndarray:
    """``L[p, i] = 1 / (2c + 1)²`` where ``|i − p| <= c`` on both axes: ``(pixels, pixels)``.

    Along a signal, which has one row, ``1 / (2c + 1)``. Circular edges measure the distance around
    the image.

    Raises:
        ValueError: a circular window is larger than the image.
    """
    circular = layer.edges == "circular"
    signal = isinstance(layer.c, tuple)
    c = layer.c[0] if isinstance(layer.c, tuple) else layer.c
    if circular and 2 * c + 1 > (grid.width if signal else min(grid.height, grid.width)):
        raise ValueError(f"a circular window of radius {c} is larger than {grid}")

    def near(i: int, p: int, size: int) -> bool:
        distance = abs(i - p)
        return (min(distance, size - distance) if circular else distance) <= c

    L = np.zeros((grid.size, grid.size))
    for p in range(grid.size):
        for i in range(grid.size):
            (row, column), (at_row, at_column) = divmod(i, grid.width), divmod(p, grid.width)
            if near(row, at_row, grid.height) and near(column, at_column, grid.width):
                L[p, i] = 1 / (2 * c + 1) ** (1 if signal else 2)
    return L
