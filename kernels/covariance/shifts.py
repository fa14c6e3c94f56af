"""Shifts: what a tap of a window sees of a moment."""

from __future__ import annotations

from collections.abc import Sequence

import jax.numpy as jnp
import numpy as np
from jax import Array, lax


def shifted(
    x: Array, axes: Sequence[int], offset: int, stride: int, length: int, *, circular: bool
) -> Array:
    """``y[p] = x[stride · p + offset]`` along some axes at once, ``p < length``.

    Args:
        x: any array.
        axes: those that move together: one image's pixels for a pool, both images' for weights.
        offset: of the tap from output 0, may be negative.
        stride: pixels from one output to the next.
        length: number of outputs.
        circular: what lies outside is taken modulo the axis, instead of as zero.
    """
    size = x.shape[axes[0]]
    if circular:
        rows = (stride * np.arange(length) + offset) % size
        for axis in axes:
            x = jnp.take(x, rows, axis)
        return x
    reach = (length - 1) * stride + 1
    edges, steps = [(0, 0, 0)] * x.ndim, [1] * x.ndim
    for axis in axes:
        edges[axis] = (-offset, reach - size + offset, 0)
        steps[axis] = stride
    padded = lax.pad(x, jnp.zeros((), x.dtype), edges)
    return padded if stride == 1 else lax.slice(padded, [0] * x.ndim, padded.shape, steps)
