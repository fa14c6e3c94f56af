"""Layers with a window, and its geometry: how it maps an axis of pixels to another."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, cast

from kernas.errors import ArchitectureError

from .base import Layer

Pair = tuple[int, int]
Steps = tuple[int] | Pair
"""Pixels along each axis: of a signal there is one, of an image there are two."""

Edges = Literal["SAME", "VALID", "CIRCULAR"]
Padding = Edges | tuple[Pair] | tuple[Pair, Pair]

LARGEST_STEP = 2**17
"""Windows, strides, dilations and paddings have at most so many pixels."""

LARGEST_SIDE = 2**11
"""Pixels along an axis of an image, of those that a network makes as well."""

LARGEST_MAP = 2**27
"""Taps of a window times pairs of its outputs along an axis, which are listed."""


@dataclass(frozen=True)
class WindowLayer(Layer):
    """A layer that moves a window over an image, or along a signal. Only the window is given by
    position.

    A signal ``(length, channels)`` is an image of one row: a window ``(3,)`` of one axis is that of
    ``(1, 3)`` pixels, and takes signals, where one of two axes takes images.

    Args:
        window: height and width, one integer for both; ``(length,)`` for signals.
        stride: step in pixels, one integer for every axis.
        padding: ``"SAME"``, ``"VALID"``, ``"CIRCULAR"`` or ``((top, bottom), (left, right))`` rows
            and columns of zeros, negative ones cropped; ``((before, after),)`` for signals.
            ``"SAME"`` pads as XLA does: at stride 2 and window 3 an even side gets (0, 1), where
            PyTorch's ``padding=1`` is ``((1, 1), (1, 1))``. ``"CIRCULAR"`` puts the opposite edge's
            pixels where ``"SAME"`` puts zeros.

    Raises:
        ArchitectureError: a parameter is out of its range.
    """

    window: int | Steps
    stride: int | Steps = field(default=1, kw_only=True)
    padding: Padding = field(default="SAME", kw_only=True)

    def __post_init__(self) -> None:
        axes = axes_of(self.window)
        object.__setattr__(self, "window", steps(self.window, "window", axes))
        object.__setattr__(self, "stride", steps(self.stride, "stride", axes))
        object.__setattr__(self, "padding", _padding(self.padding, axes))
        for axis in (0, 1):
            edges = padding_of(self)
            if isinstance(edges, tuple) and max(edges[axis]) >= extent(self, axis):
                raise ArchitectureError(
                    f"padding={self.padding} with a window of {extent(self, axis)} pixels: a "
                    "window would lie entirely in the padding; every edge must be smaller"
                )

    @property
    def axes(self) -> int:
        """Of the window: 2 for images, 1 for signals."""
        return len(cast(Steps, self.window))

    @property
    def dilations(self) -> Pair:
        """Pixels from one tap of the window to the next, for both axes of an image."""
        return 1, 1


def axes_of(window: Any) -> int:
    """How many axes a window has, as it was given: one number in a tuple is of signals."""
    return 1 if isinstance(window, list | tuple) and len(window) == 1 else 2


def steps(value: Any, name: str, axes: int) -> Steps:
    """``3``, ``(3, 5)`` or ``(3,)`` as positive integers, one for each axis.

    Raises:
        ArchitectureError: they are none.
    """
    given = tuple(value) if isinstance(value, list | tuple) else (value,) * axes
    if len(given) != axes or not all(
        isinstance(v, int) and not isinstance(v, bool) and v >= 1 for v in given
    ):
        several = "a pair (height, width) of them" if axes == 2 else "(length,) with one"
        signals = ", or (length,) for signals" if axes == 2 and name == "window" else ""
        raise ArchitectureError(f"{name}={value!r}: expected an integer >= 1 or {several}{signals}")
    _check_step(max(given), name)
    return cast(Steps, given)


def _check_step(pixels: int, name: str) -> None:
    if pixels > LARGEST_STEP:
        raise ArchitectureError(
            f"{name} of more than {LARGEST_STEP:,} pixels: expected at most that many; no image is "
            "as large"
        )


def _padding(value: Any, axes: int) -> Padding:
    """Check a padding and return it in its hashable form."""
    if value in ("SAME", "VALID", "CIRCULAR"):
        return value
    try:
        edges = tuple((low, high) for low, high in value)
    except (TypeError, ValueError):
        edges = ()
    pixels = [edge for both in edges for edge in both]
    if len(edges) != axes or not all(
        isinstance(v, int) and not isinstance(v, bool) for v in pixels
    ):
        two = "rows and columns ((top, bottom), (left, right))"
        raise ArchitectureError(
            f"padding={value!r}: expected 'SAME', 'VALID', 'CIRCULAR' or "
            f"{two if axes == 2 else 'pixels ((before, after),)'}, negative ones to crop"
        )
    _check_step(max(map(abs, pixels)), "padding")
    return cast(Padding, edges)


def of_image(along: tuple[int, ...]) -> Pair:
    """Pixels along both axes of an image; those along a signal are of an image of one row."""
    (height, width) = along if len(along) == 2 else (1, *along)
    return height, width


def as_image(input_shape: Sequence[int]) -> tuple[int, ...]:
    """The shape in which inputs are computed with: of signals ``(1, length, channels)``, of others
    their own."""
    shape = tuple(input_shape)
    return (1, *shape) if len(shape) == 2 else shape


def window_of(layer: WindowLayer) -> Pair:
    """The layer's window on an image, height and width."""
    return of_image(cast(Steps, layer.window))


def stride_of(layer: WindowLayer) -> Pair:
    """The layer's stride on an image, along both axes."""
    return of_image(cast(Steps, layer.stride))


def padding_of(layer: WindowLayer) -> Edges | tuple[Pair, Pair]:
    """The layer's padding of an image: a name, or edges of both axes."""
    edges = layer.padding
    if not isinstance(edges, tuple):
        return edges
    return edges if len(edges) == 2 else ((0, 0), *edges)


def extent(layer: WindowLayer, axis: int) -> int:
    """Pixels from the first to the last tap of the window, both included."""
    return (window_of(layer)[axis] - 1) * layer.dilations[axis] + 1


def axis_padding(layer: WindowLayer, axis: int, size: int) -> Pair:
    """Rows of padding before and after an axis of ``size`` pixels; negative ones are cropped.

    ``"SAME"`` is XLA's: ``ceil(size / stride)`` outputs, the odd row of padding at the end;
    ``"CIRCULAR"`` is as wide.
    """
    edges = padding_of(layer)
    if isinstance(edges, tuple):
        return edges[axis]
    if edges == "VALID":
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
