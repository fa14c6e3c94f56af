"""Pools and readouts: layers without weights that take pixels together."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar, Literal, cast

import numpy as np

from kernas.errors import ArchitectureError

from .base import Layer, flag, integer_in
from .windows import Padding, WindowLayer, output_size, stride_of, tap_offsets, window_of

LARGEST_RADIUS = 2**15


@dataclass(frozen=True)
class AvgPool(WindowLayer):
    """Mean over a window; ``K ← L K Lᵀ`` and likewise ``Θ``, with ``L`` separable per axis.

    Args:
        divisor: what the sum is divided by where the window hangs over the edge: the number of
            ``"valid"`` pixels (NAS-Bench-201; PyTorch's ``count_include_pad=False``) or the full
            ``"window"`` (the default of neural-tangents).

    The other arguments are those of :class:`WindowLayer`; the padding is ``"VALID"`` by default.
    """

    padding: Padding = field(default="VALID", kw_only=True)
    divisor: Literal["valid", "window"] = field(default="valid", kw_only=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.divisor not in ("valid", "window"):
            raise ArchitectureError(f"divisor={self.divisor!r}: expected 'valid' or 'window'")


@dataclass(frozen=True)
class MaxPool(WindowLayer):
    """Maximum over a window, for finite networks: it has no exact kernel and is refused one.

    Args:
        as_average: let the kernel take the average over the valid pixels of the window instead. It
            is then the kernel of another network, with ``AvgPool`` in this place.

    The other arguments are those of :class:`WindowLayer`; the padding is ``"VALID"`` by default.
    """

    padding: Padding = field(default="VALID", kw_only=True)
    as_average: bool = field(default=False, kw_only=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        flag(self.as_average, "as_average")

    @property
    def average(self) -> AvgPool:
        """The average pool of the same windows."""
        return AvgPool(self.window, stride=self.stride, padding=self.padding)


@dataclass(frozen=True)
class GlobalAvgPool(Layer):
    """Mean over all pixels: ``K ← (1/P²) Σ_{p,q} K[p, q]``."""

    flattens: ClassVar[bool] = True


@dataclass(frozen=True)
class LocalAvgPool(Layer):
    """Mean over the ``(2c + 1)²`` pixels around every pixel, then all pixels side by side.

    Along a signal, ``LocalAvgPool((c,))``, over the ``2c + 1`` pixels around every pixel.

    ``K ← (1/P) Σ_p (L K Lᵀ)[p, p]``, which reads displacements up to ``2c`` only. With ``c = 0`` it
    is ``Flatten``; with zero edges and ``c >= side − 1`` it is ``GlobalAvgPool`` up to a factor
    (Li et al. 2019, Enhanced convolutional neural tangent kernels, section 4.2).

    Args:
        c: radius in pixels, >= 0; ``(c,)`` for signals.
        edges: what lies outside the image, ``"zero"`` or ``"circular"``; a circular window must
            not be larger than the image.
    """

    flattens: ClassVar[bool] = True

    c: int | tuple[int]
    edges: Literal["zero", "circular"] = "zero"

    def __post_init__(self) -> None:
        if isinstance(self.c, list | tuple):
            object.__setattr__(self, "c", tuple(self.c))
        integer_in(self.radius, "c", 0, LARGEST_RADIUS)
        if self.edges not in ("zero", "circular"):
            raise ArchitectureError(f"edges={self.edges!r}: expected 'zero' or 'circular'")

    @property
    def radius(self) -> int:
        """In pixels."""
        return self.c[0] if isinstance(self.c, tuple) and len(self.c) == 1 else cast(int, self.c)

    @property
    def pool(self) -> AvgPool:
        """The average pool before the flattening."""
        window, around = 2 * self.radius + 1, (self.radius, self.radius)
        zeros = (around,) if isinstance(self.c, tuple) else (around, around)
        return AvgPool(
            (window,) if isinstance(self.c, tuple) else window,
            padding=zeros if self.edges == "zero" else "CIRCULAR",
            divisor="window",
        )


@dataclass(frozen=True)
class Flatten(Layer):
    """All pixels side by side as one vector: ``K ← (1/P) Σ_p K[p, p]``."""

    flattens: ClassVar[bool] = True


def pooling_matrix(layer: AvgPool, axis: int, size: int) -> np.ndarray:
    """``L`` of one axis: shape ``(output_size, size)``, rows that average a window.

    A circular window larger than the axis takes pixels several times.
    """
    taps = _taps(layer, axis, size)
    if layer.padding == "CIRCULAR":
        taps = taps % size
    hits = (taps[..., None] == np.arange(size)).sum(axis=1)
    return hits / pooling_divisor(layer, axis, size)[:, None]


def pooling_divisor(layer: AvgPool, axis: int, size: int) -> np.ndarray:
    """What the sum over each window of one axis is divided by: shape ``(output_size,)``."""
    taps = _taps(layer, axis, size)
    if layer.divisor == "window" or layer.padding == "CIRCULAR":
        return np.full(len(taps), window_of(layer)[axis])
    return ((taps >= 0) & (taps < size)).sum(axis=1)


def _taps(layer: AvgPool, axis: int, size: int) -> np.ndarray:
    """The pixels under each window, some of them outside: ``(output_size, window)``."""
    rows = np.arange(output_size("AvgPool", layer, axis, size))
    return stride_of(layer)[axis] * rows[:, None] + np.array(tap_offsets(layer, axis, size))
