"""Pools and readouts: weight-free linear maps of pairs of pixels, for each axis by itself."""

from __future__ import annotations

from functools import reduce

import jax.numpy as jnp
from jax import Array, lax
from jaxtyping import Float, Inexact, Int

from .moments import Moments

HIGHEST = lax.Precision.HIGHEST


def gathered(
    x: Moments,
    axis: int,
    reads: Int[Array, "taps outputs"],
    weights: Float[Array, " outputs"],
) -> Moments:
    """``y[i] = weights[i] · Σ_k x[reads[k, i]]`` along an axis.

    Args:
        x: any array.
        axis: of the pairs.
        reads: positions ``(taps, outputs)``; the axis' length where nothing is read.
        weights: ``(outputs,)``.
    """
    taken = [jnp.take(x, tap, axis, mode="fill", fill_value=0) for tap in reads]
    shape = [1] * x.ndim
    shape[axis] = -1
    return reduce(jnp.add, taken) * weights.reshape(shape)


def multiplied(x: Moments, axis: int, matrix: Float[Array, "i j"]) -> Moments:
    """``y[i] = Σ_j matrix[i, j] · x[j]`` along an axis, of both parts of a moment."""

    def product(part: Array) -> Array:
        return jnp.moveaxis(
            jnp.tensordot(matrix, part, ((1,), (axis,)), precision=HIGHEST), 0, axis
        )

    if not jnp.iscomplexobj(x):
        return product(x)
    return lax.complex(product(lax.real(x)), product(lax.imag(x)))


def weighed(
    x: Inexact[Array, "i j *pairs"],
    rows: Float[Array, "readouts i"],
    columns: Float[Array, "readouts j"],
) -> Inexact[Array, " readouts *pairs"]:
    """``y = Σ_{i, j} rows[r, i] · columns[r, j] · x[i, j]`` for several readouts ``r``.

    A global average pool weighs all pairs alike; a local one of radius ``c`` by the number of
    windows that hold both pixels (Li et al. 2019, section 4.2), which is a product over the axes.

    Args:
        x: a moment ``[i, j, *pairs]``.
        rows: ``(readouts, i)``.
        columns: ``(readouts, j)``.
    """
    weights = (rows[:, :, None] * columns[:, None, :]).reshape(len(rows), -1)
    weights = lax.optimization_barrier(weights)
    pairs = x.shape[2:]

    def product(part: Array) -> Array:
        return jnp.matmul(weights, part.reshape(weights.shape[1], -1), precision=HIGHEST)

    if not jnp.iscomplexobj(x):
        return product(x).reshape(-1, *pairs)
    both = product(lax.optimization_barrier(jnp.stack([lax.real(x), lax.imag(x)], axis=2)))
    both = both.reshape(-1, 2, *pairs)
    return lax.complex(both[:, 0], both[:, 1])
