"""Correlations of two Gaussian variables, and their angles, in either precision."""

from __future__ import annotations

import math

import jax.numpy as jnp
import numpy as np
from jax import Array

# Minimax-like fits on [0, 1], used in float32 only: one square root serves both functions.
# arccos(r) = sqrt(1 - r) p(r), Abramowitz & Stegun 4.4.46, error 2e-8;
_ARCCOS = (
    1.5707963050,
    -0.2145988016,
    0.0889789874,
    -0.0501743046,
    0.0308918810,
    -0.0170881256,
    0.0066700901,
    -0.0012624911,
)
# sqrt(1 - r^2) = sqrt(1 - r) s(r), s interpolates sqrt(1 + r) at Chebyshev points, error 3e-8.
_SINE = tuple(
    float(c)
    for c in np.polynomial.Chebyshev.interpolate(lambda r: np.sqrt(1 + r), 7, domain=[0, 1])
    .convert(kind=np.polynomial.Polynomial)
    .coef
)


def _horner(coefficients: tuple[float, ...], x: Array) -> Array:
    result = jnp.full_like(x, coefficients[-1])
    for coefficient in reversed(coefficients[:-1]):
        result = result * x + jnp.asarray(coefficient, x.dtype)
    return result


def angle_and_sine(rho: Array) -> tuple[Array, Array]:
    """``(arccos ρ, sqrt(1 − ρ²))`` for ``ρ`` in [−1, 1].

    In float32 by polynomials with one square root (absolute error below 1e-7 away from |ρ| = 1);
    in float64 by the library.
    """
    if rho.dtype != jnp.float32:
        return jnp.arccos(rho), jnp.sqrt((1 - rho) * (1 + rho))
    size = jnp.abs(rho)
    root = jnp.sqrt(1 - size)
    acute = root * _horner(_ARCCOS, size)
    return jnp.where(rho < 0, jnp.float32(math.pi) - acute, acute), root * _horner(_SINE, size)


EQUAL = 8
"""Correlations within so many units of rounding of ±1 are ±1."""


def correlation(k: Array, a: Array, b: Array) -> tuple[Array, Array]:
    """``(s, ρ)`` with ``s = sqrt(a b)`` and ``ρ = k / s`` in [−1, 1]; ``ρ = 0`` where ``s = 0``.

    Equal pixels are common (an image with itself, flat backgrounds, a pool as large as its map),
    and there the derivative of arccos turns a rounding of ε in ρ into an angle of ``sqrt(2 ε)``.
    So correlations within ``8 ε`` of ±1 are taken for ±1: equal pixels are exact, and nearly equal
    ones err by an angle of at most ``sqrt(16 ε)``, 1.4e-3 in float32.

    Args:
        k: covariance of the two variables.
        a: variance of the left one, broadcast against ``k``; what rounding left below 0 is 0.
        b: variance of the right one, likewise.
    """
    # Not the root of the product, which is 0 in float32 for variances of 1e-20.
    s = jnp.sqrt(jnp.maximum(a, 0)) * jnp.sqrt(jnp.maximum(b, 0))
    rho = jnp.where(s > 0, k / jnp.where(s > 0, s, 1), 0)
    size = jnp.abs(rho)
    return s, jnp.where(size > 1 - EQUAL * jnp.finfo(k.dtype).eps, jnp.sign(rho), rho)


def determinant(s: Array, rho: Array) -> Array:
    """``a b − k² = s² (1 − ρ²)``, without the cancellation near ``ρ = ±1``."""
    return s**2 * (1 - rho) * (1 + rho)
