"""Weight layers: convolutions, full and depthwise, and dense layers with fresh weights."""

from __future__ import annotations

from functools import reduce

import jax.numpy as jnp
import numpy as np
from jax import Array, lax
from jaxtyping import Inexact

from ..architecture.layers import Conv
from ..architecture.windows import output_size, tap_offsets
from .moments import Moment, Numbers, covariance, moment, tangent

DIRECT_TAPS = 9
"""A window of more taps is summed along one axis, then along the other."""

Planes = Inexact[Array, "slots h slots_right w *pairs"]
"""A moment by displacement."""

MovedPlanes = Inexact[Array, "slots _ slots_right _ *pairs"]
"""The same slots and pairs of images, other pixels."""

Border = tuple[tuple[int, int], tuple[int, int]]
"""Rows before and after, and columns before and after, the pixels of a plane."""

NONE: Border = ((0, 0), (0, 0))

ROW: Border = ((0, 1), (0, 0))
"""The least border that puts a plane in memory (:func:`surrounded`)."""


def border_of(window: Conv, pixels: tuple[int, int]) -> Border:
    """How far the taps of a window of stride 1 reach beyond the pixels that it moves over."""
    rows, columns = (
        (
            max(0, -tap_offsets(window, axis, size)[0]),
            max(0, tap_offsets(window, axis, size)[-1] + _outputs(window, axis, size) - size),
        )
        for axis, size in enumerate(pixels)
    )
    return rows, columns


def _outputs(window: Conv, axis: int, size: int) -> int:
    return output_size("Conv", window, axis, size)


def tap_mean(window: Conv, x: Planes, pixels: tuple[int, int], border: Border) -> MovedPlanes:
    """``(1 / q_h q_w) Σ_k x[p + k, q + k]`` of planes: stride 1, taps move along each slot.

    Args:
        window: of the convolution.
        x: a moment ``[slots, h, slots', w, *pairs]`` with a border around its pixels, zero where
            a pair is outside, in memory: XLA would compute it once for every tap.
        pixels: ``(h, w)`` without the border.
        border: of ``x``, at least that of the window.
    """
    axes = (1, 3)
    starts = [
        [border[axis][0] + tap for tap in tap_offsets(window, axis, size)]
        for axis, size in enumerate(pixels)
    ]
    sizes = [_outputs(window, axis, size) for axis, size in enumerate(pixels)]

    def taps(array: Array, number: int) -> list[Array]:
        return [
            lax.slice_in_dim(array, start, start + sizes[number], axis=axes[number])
            for start in starts[number]
        ]

    count = len(starts[0]) * len(starts[1])
    if count <= DIRECT_TAPS:
        total = reduce(jnp.add, [tap for row in taps(x, 0) for tap in taps(row, 1)])
    else:
        rows = surrounded(reduce(jnp.add, taps(x, 0)), ROW)
        total = reduce(jnp.add, taps(lax.slice_in_dim(rows, 0, sizes[0], axis=axes[0]), 1))
    return total * (1 / count)


def wrapped(x: Planes, border: Border) -> MovedPlanes:
    """Planes with the opposite edges' pixels around them."""
    for axis, (low, high) in zip((1, 3), border, strict=True):
        size = x.shape[axis]
        x = jnp.take(x, np.arange(-low, size + high) % size, axis)
    return lax.optimization_barrier(x)


def surrounded(x: Planes, border: Border) -> MovedPlanes:
    """Planes with zeros around them, which XLA writes before they are read.

    Fused into the loop of what reads them, they would be computed once for every time they are
    read there, and not in vectors.
    """
    edges = [(0, 0, 0)] * x.ndim
    for axis, (low, high) in zip((1, 3), border, strict=True):
        edges[axis] = (low, high, 0)
    return lax.optimization_barrier(lax.pad(x, jnp.zeros((), x.dtype), edges))


def weight_moment(
    x: Moment,
    scale: Numbers,
    shift: Numbers | None,
    own: tuple[Numbers | None, Numbers | None] | None = None,
    *,
    trainable: bool,
    with_tangent: bool,
) -> Moment:
    """``K ← σ_w² · K + σ_b²`` and ``Θ ← σ_w² · Θ`` (+ new ``K``), of the mean over the window.

    Of a depthwise convolution too: the mean over channels of the products of a filter's outputs is
    the same whether a filter reads one channel or all.

    The new ``K`` is the kernel of this layer's own weights and bias, so it enters ``Θ`` where the
    layer is trainable (Arora et al. 2019, section 4; Yang 2020, section 2, for the reuse of
    gradients); with learning rates of their own, ``η_w σ_w² K + η_b σ_b²`` does in its place.

    Args:
        x: mean over the window of the layer's input with itself.
        scale: σ_w², 0 at pairs of pixels that are outside.
        shift: σ_b², likewise; ``None`` without bias.
        own: η_w σ_w² and η_b σ_b², likewise, ``None`` where they are 0; ``None`` for both where η
            is 1.
        trainable: whether the layer's weights enter ``Θ``.
        with_tangent: whether ``Θ`` is wanted.
    """
    new = scale * covariance(x)
    if shift is not None:
        new = new + shift
    before = tangent(x)
    if not with_tangent:
        return new
    T = None if before is None else scale * before
    if trainable:
        for term in [new] if own is None else _rated(x, *own):
            T = term if T is None else T + term
    return moment(new, T)


def _rated(x: Moment, of_weights: Numbers | None, of_bias: Numbers | None) -> list[Moment]:
    """What weights and biases with learning rates of their own add to ``Θ``."""
    found = [] if of_weights is None else [of_weights * covariance(x)]
    if of_bias is not None:
        found.append(of_bias + jnp.zeros_like(covariance(x)))
    return found
