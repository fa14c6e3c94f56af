"""Linear maps of whole moments, ``[h, h', w, w', pairs]``: all pairs of pixels of small images.

Rows of the left and of the right image come first, then the columns of both, so that a pool of one
side moves along one axis of each two, and a convolution along both at once. Every window reads an
array that is in memory (an optimisation barrier): fused into one loop, XLA would compute what it
reads once for every tap.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from itertools import chain
from math import prod

import jax.numpy as jnp
import numpy as np
from jax import Array, lax
from jaxtyping import Inexact

from ..architecture.layers import AvgPool, Conv, GlobalAvgPool
from ..architecture.pools import pooling_divisor
from ..architecture.windows import WindowLayer, output_size, stride_of, tap_offsets, window_of
from .moments import Moment, Numbers

Pixels = tuple[int, int]

Grid = Inexact[Array, "h h_right w w_right pairs"]
"""A whole moment."""

DIRECT_TAPS, DIRECT_PAIRS = 9, 8
"""A window of more taps, or on fewer pairs of images, is summed along the rows, then along the
columns: with few pairs the columns of the right image are what vectors run over, and only the
second sum then reads them where vectors do not begin."""


def beside_left(
    x: Inexact[Array, "*before h w pairs"],
) -> Inexact[Array, "*before h 1 w 1 pairs"]:
    """An array over left pixels, ``[…, h, w, pairs]``, beside all pairs of pixels."""
    return x[..., :, None, :, None, :]


def beside_right(
    x: Inexact[Array, "*before h w pairs"],
) -> Inexact[Array, "*before 1 h 1 w pairs"]:
    """An array over right pixels beside all pairs of pixels."""
    return x[..., None, :, None, :, :]


def diagonal(x: Inexact[Array, "h h w w pairs"]) -> Inexact[Array, "h w pairs"]:
    """Equal pixels: ``x[p, p]``, ``[h, w, pairs]``."""
    rows, columns = (jnp.arange(x.shape[axis]) for axis in (0, 2))
    return x[rows[:, None], rows[:, None], columns, columns]


def scaled(x: Moment, factor: Numbers | float) -> Moment:
    """A moment times a real number, without the arithmetic of complex ones."""
    if not jnp.iscomplexobj(x):
        return x * factor
    return lax.complex(lax.real(x) * factor, lax.imag(x) * factor)


def left_mean(x: Grid) -> Inexact[Array, "h_right w_right pairs"]:
    """The mean over left pixels, ``[h', w', pairs]``."""
    # Written out: XLA's reductions over outer axes do not run in vectors.
    rows = lax.optimization_barrier(reduce(jnp.add, list(x)))
    total = reduce(jnp.add, [rows[:, column] for column in range(rows.shape[1])])
    return scaled(total, 1 / (x.shape[0] * x.shape[2]))


def window_mean(
    window: Conv, x: Grid, left: Pixels, right: Pixels
) -> Inexact[Array, "_ _ _ _ pairs"]:
    """``(1 / q_h q_w) Σ_k x[s p + k, s q + k]``: a convolution moves both pixels together.

    Args:
        window: of the convolution, of any stride.
        x: a moment ``[h, h', w, w', pairs]``.
        left: pixels of the left image, ``(h, w)``.
        right: pixels of the right image.
    """
    moves = [
        [(2 * axis + side, _Taps(window, axis, of[axis])) for side, of in enumerate((left, right))]
        for axis in (0, 1)
    ]
    return scaled(_summed(x, moves), 1 / prod(window_of(window)))


def pool_mean(
    layer: AvgPool | GlobalAvgPool, x: Grid, side: int
) -> Inexact[Array, "_ _ _ _ pairs"]:
    """The pool of one side: its taps move that side's pixel only.

    Args:
        layer: the pool.
        x: a moment ``[h, h', w, w', pairs]``.
        side: 0 for the left pixels, 1 for the right ones.
    """
    pixels = x.shape[side], x.shape[2 + side]
    if isinstance(layer, GlobalAvgPool):
        total = jnp.sum(x, axis=(side, 2 + side), keepdims=True)
        return scaled(total, 1 / (pixels[0] * pixels[1]))
    x = _summed(x, [[(2 * i + side, _Taps(layer, i, size))] for i, size in enumerate(pixels)])
    rows, columns = (1 / pooling_divisor(layer, i, size) for i, size in enumerate(pixels))
    shape = [1] * x.ndim
    shape[side], shape[2 + side] = len(rows), len(columns)
    return scaled(x, jnp.asarray(np.outer(rows, columns), jnp.finfo(x.dtype).dtype).reshape(shape))


class _Taps:
    """Where a window's taps lie along an axis of ``size`` pixels, and what it needs around them."""

    def __init__(self, window: WindowLayer, axis: int, size: int) -> None:
        self.offsets = tuple(tap_offsets(window, axis, size))
        self.stride = stride_of(window)[axis]
        self.outputs = output_size(type(window).__name__, window, axis, size)
        self.size = size
        self.circular = window.padding == "CIRCULAR"
        self.low = max(0, -self.offsets[0])
        last = self.offsets[-1] + self.stride * (self.outputs - 1)
        self.high = max(0, last + 1 - size)

    def __len__(self) -> int:
        return len(self.offsets)

    def tap(self, x: Array, axis: int, number: int) -> Array:
        start = self.low + self.offsets[number]
        stop = start + self.stride * (self.outputs - 1) + 1
        return lax.slice_in_dim(x, start, stop, self.stride, axis)


Moves = Sequence[tuple[int, _Taps]]
"""Windows along some axes whose taps move together."""


def _summed(x: Array, moves: Sequence[Moves]) -> Array:
    """The sum over all taps of windows along the rows and along the columns."""
    count = prod(len(together[0][1]) for together in moves)
    if len(moves) > 1 and (count > DIRECT_TAPS or x.shape[-1] < DIRECT_PAIRS):
        return reduce(lambda y, together: _summed(y, [together]), moves, x)
    if x.shape[-1] < DIRECT_PAIRS:
        x = lax.optimization_barrier(x)  # a nonlinearity and the border around it, in two loops
    edges = [(0, 0, 0)] * x.ndim
    for axis, taps in chain(*moves):
        if taps.circular:
            x = jnp.take(x, np.arange(-taps.low, taps.size + taps.high) % taps.size, axis)
        else:
            edges[axis] = (taps.low, taps.high, 0)
    x = lax.optimization_barrier(lax.pad(x, jnp.zeros((), x.dtype), edges))
    parts = [x]
    for together in moves:
        parts = [
            reduce(lambda y, move: move[1].tap(y, move[0], number), together, part)
            for part in parts
            for number in range(len(together[0][1]))
        ]
    return reduce(jnp.add, parts)
