"""Pools and readouts: weight-free linear maps of pixels, applied to one side of a moment."""

from __future__ import annotations

from functools import reduce

import jax.numpy as jnp
from jax import Array

from ..architecture.layers import AvgPool, GlobalAvgPool
from ..architecture.pools import pooling_divisor
from ..architecture.windows import output_size, stride_of, tap_offsets
from .shifts import shifted


def pool_side(layer: AvgPool | GlobalAvgPool, x: Array, side: int) -> Array:
    """``L x`` (``side`` 0) or ``x Lᵀ`` (``side`` 1): average one image's pixels over windows.

    ``L`` is separable per axis and so is its divisor, for either edge rule.

    Args:
        layer: the pool.
        x: a moment ``[h, w, h', w', *pairs]``.
        side: 0 for the left image's pixels, 1 for the right one's.
    """
    axes = (2 * side, 2 * side + 1)
    if isinstance(layer, GlobalAvgPool):
        return jnp.mean(x, axis=axes, keepdims=True)
    for image_axis, axis in enumerate(axes):
        x = _pool_axis(layer, x, image_axis, axis)
    return x


def _pool_axis(layer: AvgPool, x: Array, image_axis: int, axis: int) -> Array:
    size, stride = x.shape[axis], stride_of(layer)[image_axis]
    rows = output_size("AvgPool", layer, image_axis, size)
    circular = layer.padding == "CIRCULAR"
    taps = tap_offsets(layer, image_axis, size)
    total = reduce(
        jnp.add, [shifted(x, (axis,), tap, stride, rows, circular=circular) for tap in taps]
    )
    weights = 1 / pooling_divisor(layer, image_axis, size)
    shape = [1] * x.ndim
    shape[axis] = len(weights)
    return total * jnp.asarray(weights, x.dtype).reshape(shape)


def flatten_moment(x: Array) -> Array:
    """``(1/P) Σ_p x[p, p]``: all pixels side by side, as a moment of one pixel."""
    trace = jnp.einsum("hwhw...->...", x)
    return (trace / (x.shape[0] * x.shape[1]))[None, None, None, None]
