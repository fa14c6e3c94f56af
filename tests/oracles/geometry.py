"""Which pixels lie under which window: the references' own geometry, in loops."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from kernas.kernels.architecture.graph import Architecture
from kernas.kernels.architecture.layers import (
    AvgPool,
    Conv,
    Dense,
    Flatten,
    GlobalAvgPool,
    Layer,
)


@dataclass(frozen=True)
class Grid:
    """The pixels of a node; ``flat`` if they became channels, side by side (``Flatten``)."""

    height: int
    width: int
    flat: bool

    @property
    def size(self) -> int:
        """Number of pixels, or of the blocks of channels that they became."""
        return self.height * self.width


def node_grids(architecture: Architecture, input_shape: tuple[int, ...]) -> list[Grid]:
    """The pixels of every node, for inputs ``(height, width, channels)`` or ``(features,)``.

    Raises:
        ValueError: a sum of nodes that do not align.
    """
    grids: list[Grid] = []
    for index, node in enumerate(architecture.nodes):
        inputs = {grids[i] for i in node.inputs}
        if len(inputs) > 1:
            raise ValueError(f"node {index} sums nodes that do not align: {inputs}")
        grids.append(_output_grid(node.layer, inputs.pop() if inputs else None, input_shape))
    return grids


def _output_grid(layer: Layer, grid: Grid | None, input_shape: tuple[int, ...]) -> Grid:
    if grid is None:
        flat = len(input_shape) == 1
        height, width = (1, 1) if flat else input_shape[:2]
        return Grid(height, width, flat)
    if isinstance(layer, Conv | AvgPool):
        rows, columns = axis_windows(layer, 0, grid.height), axis_windows(layer, 1, grid.width)
        return Grid(len(rows), len(columns), False)
    if isinstance(layer, Flatten):
        return Grid(grid.height, grid.width, True)
    if isinstance(layer, Dense) or (isinstance(layer, GlobalAvgPool) and not grid.flat):
        return Grid(1, 1, True)
    return grid


def axis_windows(layer: Conv | AvgPool, axis: int, size: int) -> list[list[int | None]]:
    """For each output position on an axis, the positions under its taps; ``None`` is padding."""
    window, stride = np.broadcast_to(layer.window, 2)[axis], np.broadcast_to(layer.stride, 2)[axis]
    if layer.padding == "VALID":
        low, high = 0, 0
    elif layer.padding == "SAME":
        total = max((-(-size // stride) - 1) * stride + window - size, 0)
        low, high = total // 2, total - total // 2
    else:
        low, high = layer.padding[axis]
    starts = range(-low, size + high - window + 1, stride)
    return [[i if 0 <= i < size else None for i in range(j, j + window)] for j in starts]


def window_taps(layer: Conv | AvgPool, grid: Grid) -> list[list[int | None]]:
    """For each output pixel, row by row, the input pixels under the taps of its window."""
    rows = axis_windows(layer, 0, grid.height)
    columns = axis_windows(layer, 1, grid.width)
    return [
        [None if i is None or j is None else i * grid.width + j for i in row for j in column]
        for row in rows
        for column in columns
    ]


def pool_matrix(layer: AvgPool, grid: Grid) -> np.ndarray:
    """``L`` of an average pool: ``(pixels out, pixels in)``."""
    taps = window_taps(layer, grid)
    L = np.zeros((len(taps), grid.size))
    for p, at_p in enumerate(taps):
        inside = [k for k in at_p if k is not None]
        L[p, inside] = 1 / (len(inside) if layer.divisor == "valid" else len(at_p))
    return L
