"""Weight layers: convolutions, full and depthwise, and dense layers with fresh weights."""

from __future__ import annotations

from functools import reduce

import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from ..architecture.layers import Conv
from ..architecture.windows import output_size, tap_offsets
from .moments import covariance, moment, tangent

DIRECT_TAPS = 9
"""A window of more taps is summed along one axis, then along the other."""


def tap_mean(window: Conv, x: Array, pixels: tuple[int, int]) -> Array:
    """``(1 / q_h q_w) Σ_k x[p + k, q + k]`` of planes: stride 1, taps move along each slot.

    Args:
        window: of the convolution.
        x: a moment ``[slots, h, slots', w, *pairs]``, zero where a pair is outside.
        pixels: ``(h, w)`` of the images that the window moves over.
    """
    axes = (1, 3)
    taps = [tap_offsets(window, axis, size) for axis, size in enumerate(pixels)]
    sizes = [output_size("Conv", window, axis, size) for axis, size in enumerate(pixels)]
    padded = x
    for axis, offsets, after, before in zip(axes, taps, sizes, pixels, strict=True):
        padded = _around(padded, axis, offsets, before, after, window.padding == "CIRCULAR")
    # In memory before the window reads it: XLA would compute it once for every tap.
    padded = lax.optimization_barrier(padded)
    count = len(taps[0]) * len(taps[1])
    if count <= DIRECT_TAPS:
        rows = [
            lax.slice_in_dim(padded, t - taps[0][0], t - taps[0][0] + sizes[0], axis=1)
            for t in taps[0]
        ]
        shifted = [
            lax.slice_in_dim(row, t - taps[1][0], t - taps[1][0] + sizes[1], axis=3)
            for row in rows
            for t in taps[1]
        ]
        return reduce(jnp.add, shifted) * (1 / count)
    for axis, offsets, after in zip(axes, taps, sizes, strict=True):
        starts = [t - offsets[0] for t in offsets]
        parts = [lax.slice_in_dim(padded, s, s + after, axis=axis) for s in starts]
        padded = lax.optimization_barrier(reduce(jnp.add, parts))
    return padded * (1 / count)


def _around(x: Array, axis: int, offsets: range, before: int, after: int, circular: bool) -> Array:
    """All that the taps read along an axis: from the first tap of the first output to the last."""
    low, high = offsets[0], offsets[-1] + after
    if circular:
        return jnp.take(x, np.arange(low, high) % before, axis)
    edges = [(0, 0, 0)] * x.ndim
    edges[axis] = (-low, high - before, 0)
    return lax.pad(x, jnp.zeros((), x.dtype), edges)


def weight_moment(
    x: Array, mask: Array, *, W_std: float, b_std: float, trainable: bool, with_tangent: bool
) -> Array:
    """``K ← σ_w² · K + σ_b²`` and ``Θ ← σ_w² · Θ`` (+ new ``K``), of the mean over the window.

    Of a depthwise convolution too: the mean over channels of the products of a filter's outputs is
    the same whether a filter reads one channel or all.

    The new ``K`` is the kernel of this layer's own weights and bias, so it enters ``Θ`` where the
    layer is trainable (Arora et al. 2019, section 4; Yang 2020, section 2, for the reuse of
    gradients).

    Args:
        x: mean over the window of the layer's input with itself.
        mask: 1 at pairs of pixels, 0 at pairs that are outside.
        W_std: σ_w.
        b_std: σ_b.
        trainable: whether the layer's weights enter ``Θ``.
        with_tangent: whether ``Θ`` is wanted.
    """
    scale = W_std**2 * mask
    new = scale * covariance(x)
    if b_std:
        new = new + b_std**2 * mask
    before = tangent(x)
    if not with_tangent:
        return new
    T = None if before is None else scale * before
    if trainable:
        T = new if T is None else T + new
    return moment(new, T)
