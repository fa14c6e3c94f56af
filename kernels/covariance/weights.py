"""Weight layers: convolutions, full and depthwise, and dense layers with fresh weights."""

from __future__ import annotations

from functools import reduce

import jax.numpy as jnp
from jax import Array

from ..architecture.layers import ConvLayer, WeightLayer
from ..architecture.windows import output_size, stride_of, tap_offsets, window_of
from .shifts import shifted


def tap_mean(layer: WeightLayer, x: Array) -> Array:
    """``(1 / q_h q_w) Σ_k x[p + k, q + k]``: the taps of a window move both pixels together."""
    if not isinstance(layer, ConvLayer):
        return x
    circular = layer.padding == "CIRCULAR"
    for axis in (0, 1):
        size, stride = x.shape[axis], stride_of(layer)[axis]
        rows = output_size("Conv", layer, axis, size)
        offsets = tap_offsets(layer, axis, size)
        taps = [shifted(x, (axis, axis + 2), t, stride, rows, circular=circular) for t in offsets]
        x = reduce(jnp.add, taps)
    window = window_of(layer)
    return x if window == (1, 1) else x / (window[0] * window[1])


def weight_moment(layer: WeightLayer, K: Array, T: Array | None) -> tuple[Array, Array | None]:
    """``K ← σ_w² · tap mean of K + σ_b²`` and ``Θ ← σ_w² · tap mean of Θ`` (+ new ``K``).

    Of a depthwise convolution too: the mean over channels of the products of a filter's outputs is
    the same whether a filter reads one channel or all.

    The new ``K`` is the kernel of this layer's own weights and bias, so it enters ``Θ`` where the
    layer is trainable (Arora et al. 2019, section 4; Yang 2020, section 2, for the reuse of
    gradients).

    Args:
        layer: a dense layer or a convolution, full or depthwise.
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
