"""Weight layers: convolutions and dense layers with fresh weights."""

from __future__ import annotations

from functools import reduce

import jax.numpy as jnp
from jax import Array, lax

from ..architecture.layers import Conv, WeightLayer
from ..architecture.windows import axis_padding, output_size, stride_of, window_of


def _shifted(x: Array, layer: Conv, axis: int, tap: int) -> Array:
    """``x[s p + tap − low, s q + tap − low]`` along one image axis, zero outside."""
    size, stride = x.shape[axis], stride_of(layer)[axis]
    low, _ = axis_padding(layer, axis, size)
    length = (output_size("Conv", layer, axis, size) - 1) * stride + 1
    edges = [(0, 0, 0)] * x.ndim
    edges[axis] = edges[axis + 2] = (low - tap, length - size - (low - tap), 0)
    steps = [1] * x.ndim
    steps[axis] = steps[axis + 2] = stride
    padded = lax.pad(x, jnp.zeros((), x.dtype), edges)
    return padded if stride == 1 else lax.slice(padded, [0] * x.ndim, padded.shape, steps)


def tap_mean(layer: WeightLayer, x: Array) -> Array:
    """``(1 / q_h q_w) Σ_k x[p + k, q + k]``: the taps of a window move both pixels together."""
    if not isinstance(layer, Conv):
        return x
    for axis in (0, 1):
        taps = [_shifted(x, layer, axis, tap) for tap in range(window_of(layer)[axis])]
        x = reduce(jnp.add, taps)
    window = window_of(layer)
    return x if window == (1, 1) else x / (window[0] * window[1])


def weight_moment(layer: WeightLayer, K: Array, T: Array | None) -> tuple[Array, Array | None]:
    """``K ← σ_w² · tap mean of K + σ_b²`` and ``Θ ← σ_w² · tap mean of Θ`` (+ new ``K``).

    The new ``K`` is the kernel of this layer's own weights and bias, so it enters ``Θ`` where the
    layer is trainable (Arora et al. 2019, section 4; Yang 2020, section 2, for the reuse of
    gradients).

    Args:
        layer: a dense layer or a convolution.
        K: covariance of the layer's input with itself, ``[h, w, h', w', *pairs]``.
        T: its tangent kernel, or ``None`` for zero.

    Returns:
        The two kernels of the layer's output.
    """
    scale = layer.W_std**2
    new = scale * tap_mean(layer, K) + layer.b_std**2
    tangent = None if T is None else scale * tap_mean(layer, T)
    if layer.trainable:
        tangent = new if tangent is None else tangent + new
    return new, tangent
