"""Layers with a window, and its geometry: how it maps an axis of pixels to another."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal, cast

from kernas.errors import ArchitectureError

from .base import Layer

Pair = tuple[int, int]
Padding = Literal["SAME", "VALID", "CIRCULAR"] | tuple[Pair, Pair]

LARGEST_STEP = 2**17
"""Windows, strides, dilations and paddings have at most so many pixels."""

LARGEST_SIDE = 2**11
"""Pixels along an axis of an image, of those that a network makes as well."""

LARGEST_MAP = 2**27
"""Taps of a window times pairs of its outputs along an axis, which are listed."""


@dataclass(frozen=True)
class WindowLayer(Layer):
    """A layer that moves a window over an image. Only the window is given by position.

    Args:
        window: height and width, one integer for both.
        stride: step in pixels, one integer for both axes.
        padding: ``"SAME"``, ``"VALID"``, ``"CIRCULAR"`` or ``((top, bottom), (left, right))`` rows
            and columns of zeros, negative ones cropped. ``"SAME"`` pads as XLA does: at stride 2
            and window 3 an even side gets (0, 1), where PyTorch's ``padding=1`` is
            ``((1, 1), (1, 1))``. ``"CIRCULAR"`` puts the opposite edge's pixels where ``"SAME"``
            puts zeros.

    Raises:
        ArchitectureError: a parameter is out of its range.
    """

    window: int | Pair
    stride: int | Pair = field(default=1, kw_only=True)
    padding: Padding = field(default="SAME", kw_only=True)

    def __post_init__(self) -> None:
        object.__setattr__(self, "window", pair(self.window, "window"))
        object.__setattr__(self, "stride", pair(self.stride, "stride"))
        object.__setattr__(self, "padding", _padding(self.padding))
        for axis in (0, 1):
            edges = self.padding[axis] if isinstance(self.padding, tuple) else (0, 0)
            if max(edges) >= extent(self, axis):
                raise ArchitectureError(
                    f"padding={self.padding} with a window of {extent(self, axis)} pixels: a "
                    "window would lie entirely in the padding; every edge must be smaller"
                )

    @property
    def dilations(self) -> Pair:
        """Pixels from one tap of the window to the next, for both axes."""
        return 1, 1


def pair(value: Any, name: str) -> Pair:
    """``3`` or ``(3, 5)`` as a pair of positive integers.

    Raises:
        ArchitectureError: it is none.
    """
    both = tuple(value) if isinstance(value, list | tuple) else (value, value)
    if len(both) != 2 or not all(
        isinstance(v, int) and not isinstance(v, bool) and v >= 1 for v in both
    ):
        raise ArchitectureError(
            f"{name}={value!r}: expected an integer >= 1 or a pair (height, width) of them"
        )
    _check_step(max(both), name)
    return both[0], both[1]


def _check_step(pixels: int, name: str) -> None:
    if pixels > LARGEST_STEP:
        raise ArchitectureError(
            f"{name} of more than {LARGEST_STEP:,} pixels: expected at most that many; no image is "
            "as large"
        )


def _padding(value: Any) -> Padding:
    """Check a padding and return it in its hashable form."""
    if value in ("SAME", "VALID", "CIRCULAR"):
        return value
    try:
        (top, bottom), (left, right) = value
    except (TypeError, ValueError):
        top = bottom = left = right = None
    edges: tuple[Any, ...] = (top, bottom, left, right)
    if not all(isinstance(v, int) and not isinstance(v, bool) for v in edges):
        raise ArchitectureError(
            f"padding={value!r}: expected 'SAME', 'VALID', 'CIRCULAR' or rows and columns "
            "((top, bottom), (left, right)), negative ones to crop"
        )
    _check_step(max(map(abs, edges)), "padding")
    return cast(Padding, ((top, bottom), (left, right)))


def window_of(layer: WindowLayer) -> Pair:
    """The layer's window as the pair it was normalised to."""
    return cast(Pair, layer.window)


def stride_of(layer: WindowLayer) -> Pair:
    """The layer's stride as the pair it was normalised to."""
    return cast(Pair, layer.stride)


def extent(layer: WindowLayer, axis: int) -> int:
    """Pixels from the first to the last tap of the window, both included."""
    return (window_of(layer)[axis] - 1) * layer.dilations[axis] + 1


def axis_padding(layer: WindowLayer, axis: int, size: int) -> Pair:
    """Rows of padding before and after an axis of ``size`` pixels; negative ones are cropped.

    ``"SAME"`` is XLA's: ``ceil(size / stride)`` outputs, the odd row of padding at the end;
    ``"CIRCULAR"`` is as wide.
    """
    if isinstance(layer.padding, tuple):
        return layer.padding[axis]
    if layer.padding == "VALID":
        return 0, 0
    stride = stride_of(layer)[axis]
    total = max((-(-size // stride) - 1) * stride + extent(layer, axis) - size, 0)
    return total // 2, total - total // 2


def output_size(name: str, layer: WindowLayer, axis: int, size: int) -> int:
    """Pixels that an axis of ``size`` pixels becomes.

    Raises:
        ArchitectureError: the window is larger than the padded axis, or what it makes of the axis
            is too large.
    """
    padded = size + sum(axis_padding(layer, axis, size))
    if padded < extent(layer, axis):
        raise ArchitectureError(
            f"{name} has a window of {extent(layer, axis)} pixels on an axis of {padded} (padding "
            "included); use larger images, a smaller window, or padding='SAME'"
        )
    outputs = (padded - extent(layer, axis)) // stride_of(layer)[axis] + 1
    taps = window_of(layer)[axis]
    if outputs > LARGEST_SIDE or taps * outputs**2 > LARGEST_MAP:
        raise ArchitectureError(
            f"{name} makes {outputs} pixels of an axis of {size} with a window of {taps} taps, too "
            "many to be listed; use smaller images, a smaller window, or less padding"
        )
    return outputs


def tap_offsets(layer: WindowLayer, axis: int, size: int) -> range:
    """Where the taps of output 0 lie; those of output ``p`` lie ``stride · p`` further.

    Pixels outside ``range(size)`` are zero, or taken modulo ``size`` if the padding is circular.
    """
    low, _ = axis_padding(layer, axis, size)
    return range(-low, extent(layer, axis) - low, layer.dilations[axis])
