"""The convolution of finite networks, in two ways that give the same sums.

On a CPU, XLA's own convolution of small images with few channels is many times slower than the
same sums as one matrix product of the windows' pixels, more so where several networks with weights
of their own are mapped over. ``experiments/benchmarks/training.py`` measures both.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

import jax.numpy as jnp
from jax import Array, lax

ConvolutionName = Literal["lax", "patches"]

LARGEST_PATCHED = 32 * 32
"""Pixels of an image whose windows are gathered on a CPU; of larger ones they take much memory."""


def by_patches(
    x: Array,
    kernel: Array,
    strides: Sequence[int],
    padding: Sequence[tuple[int, int]],
    *,
    rhs_dilation: Sequence[int],
    feature_group_count: int = 1,
    **options: Any,
) -> Array:
    """``y[p, o] = Σ_k Σ_i x[stride·p + dilation·k − low, i] · kernel[k, i, o]``.

    Called as :func:`jax.lax.conv_general_dilated` is by :class:`flax.linen.Conv`.

    Args:
        x: ``(n, height, width, channels)``.
        kernel: ``(rows, columns, channels, outputs)``; ``(rows, columns, 1, channels)`` where every
            channel is a group.
        strides, rhs_dilation: of both axes.
        padding: zeros before and after both axes, >= 0.
        feature_group_count: 1, or the number of channels.
        options: ``precision`` of the products; what else flax gives is as by default.
    """
    rows, columns = kernel.shape[:2]
    x = jnp.pad(x, ((0, 0), *padding, (0, 0)))
    sizes = [
        (size - (taps - 1) * dilation - 1) // stride + 1
        for size, taps, stride, dilation in zip(
            x.shape[1:3], (rows, columns), strides, rhs_dilation, strict=True
        )
    ]

    def tap(row: int, column: int) -> Array:
        starts = (row * rhs_dilation[0], column * rhs_dilation[1])
        spans = [
            slice(start, start + (size - 1) * stride + 1, stride)
            for start, size, stride in zip(starts, sizes, strides, strict=True)
        ]
        return x[:, spans[0], spans[1]]

    taps = [tap(row, column) for row in range(rows) for column in range(columns)]
    precision = options.get("precision")
    if feature_group_count == 1:
        patches = jnp.concatenate(taps, axis=-1)
        return jnp.matmul(patches, kernel.reshape(-1, kernel.shape[-1]), precision=precision)
    return jnp.einsum("knhwc,kc->nhwc", jnp.stack(taps), kernel.reshape(len(taps), -1))


CONVOLUTIONS: Mapping[ConvolutionName, Callable[..., Array]] = {
    "lax": lax.conv_general_dilated,
    "patches": by_patches,
}
"""What computes convolutions: XLA's own, or a matrix product of gathered windows."""


def convolution_for(platform: str, pixels: Sequence[int]) -> ConvolutionName:
    """The faster of :data:`CONVOLUTIONS`.

    Args:
        platform: of the device, ``"cpu"`` or another.
        pixels: along every axis of the images; of vectors there are none.
    """
    small = bool(pixels) and math.prod(pixels) <= LARGEST_PATCHED
    return "patches" if platform == "cpu" and small else "lax"
