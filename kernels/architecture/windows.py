"""Window geometry: how a stride, a window and a padding map an axis of pixels to another."""

from __future__ import annotations

from typing import cast

import numpy as np

from kernas.errors import ArchitectureError

from .layers import AvgPool, Conv

Pair = tuple[int, int]


def window_of(layer: Conv | AvgPool) -> Pair:
    """The layer's window as the pair it was normalised to."""
    return cast(Pair, layer.window)


def stride_of(layer: Conv | AvgPool) -> Pair:
    """The layer's stride as the pair it was normalised to."""
    return cast(Pair, layer.stride)


def axis_padding(layer: Conv | AvgPool, axis: int, size: int) -> Pair:
    """Rows of zeros before and after an axis of ``size`` pixels.

    ``"SAME"`` is XLA's: ``ceil(size / stride)`` outputs, the odd row of padding at the end.
    """
    if isinstance(layer.padding, tuple):
        return layer.padding[axis]
    if layer.padding == "VALID":
        return 0, 0
    window, stride = window_of(layer)[axis], stride_of(layer)[axis]
    total = max((-(-size // stride) - 1) * stride + window - size, 0)
    return total // 2, total - total // 2


def output_size(name: str, layer: Conv | AvgPool, axis: int, size: int) -> int:
    """Pixels that an axis of ``size`` pixels becomes.

    Raises:
        ArchitectureError: the window is larger than the padded axis.
    """
    window, stride = window_of(layer)[axis], stride_of(layer)[axis]
    padded = size + sum(axis_padding(layer, axis, size))
    if padded < window:
        raise ArchitectureError(
            f"{name} has a window of {window} pixels on an axis of {padded} (padding included); "
            "use larger images, a smaller window, or padding='SAME'"
        )
    return (padded - window) // stride + 1


def pooling_matrix(layer: AvgPool, axis: int, size: int) -> np.ndarray:
    """``L`` of one axis: shape ``(output_size, size)``, rows that average a window."""
    window, stride = window_of(layer)[axis], stride_of(layer)[axis]
    low, _ = axis_padding(layer, axis, size)
    rows = output_size("AvgPool", layer, axis, size)
    starts = np.arange(rows)[:, None] * stride - low
    columns = np.arange(size)[None, :]
    inside = (columns >= starts) & (columns < starts + window)
    divisor = window if layer.divisor == "window" else inside.sum(axis=1, keepdims=True)
    return inside / divisor
