"""Correlations of two Gaussian variables, and their angles, in either precision."""

from __future__ import annotations

import math
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jax import Array
from jaxtyping import Bool, Float

OfPixels = Float[Array, "*pixels"]
"""A number for each pixel."""

OfPairs = Float[Array, "*pairs"]
"""A number for each pair of pixels."""

Duals = tuple[OfPairs, OfPairs]
"""``E[φ(u) ψ(v)]`` and ``E[φ'(u) ψ'(v)]``."""

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


EQUAL = 8
"""Correlations within so many units of rounding of ±1 are ±1."""


class Spread(NamedTuple):
    """A variance ``a`` with ``√a`` and ``1 / √a``, taken once per image rather than per pair.

    What rounding left below 0 is 0, and so is the inverse of 0.
    """

    variance: OfPixels
    deviation: OfPixels
    inverse: OfPixels


def spread(variance: OfPixels) -> Spread:
    """A variance with its roots."""
    deviation = jnp.sqrt(jnp.maximum(variance, 0))
    inverse = jnp.where(deviation > 0, 1 / jnp.where(deviation > 0, deviation, 1), 0)
    return Spread(variance, deviation, inverse)


class Correlation(NamedTuple):
    """``ρ = k / s`` with ``s = sqrt(a b)``, in [−1, 1], by its size and its sign.

    XLA keeps a loop whole if its result is used once; the sign is therefore put back only where
    ``ρ`` itself is wanted.
    """

    s: OfPairs
    size: OfPairs
    negative: Bool[Array, "*pairs"]

    @property
    def rho(self) -> OfPairs:
        return jnp.where(self.negative, -self.size, self.size)

    def angle_and_sine(self) -> tuple[OfPairs, OfPairs]:
        """``(arccos ρ, sqrt(1 − ρ²))``.

        In float32 by polynomials with one square root (absolute error below 1e-7 away from
        |ρ| = 1); in float64 by the library.
        """
        size = self.size
        if size.dtype != jnp.float32:
            return jnp.arccos(self.rho), jnp.sqrt((1 - size) * (1 + size))
        root = jnp.sqrt(1 - size)
        acute = root * _horner(_ARCCOS, size)
        theta = jnp.where(self.negative, jnp.float32(math.pi) - acute, acute)
        return theta, root * _horner(_SINE, size)


def correlation(k: OfPairs, a: Spread, b: Spread) -> Correlation:
    """The correlation of two Gaussian variables; 0 where one of them does not vary.

    Equal pixels are common (an image with itself, flat backgrounds, a pool as large as its map),
    and there the derivative of arccos turns a rounding of ε in ρ into an angle of ``sqrt(2 ε)``.
    So correlations within ``8 ε`` of ±1 are taken for ±1: equal pixels are exact, and nearly equal
    ones err by an angle of at most ``sqrt(16 ε)``, 1.4e-3 in float32.

    Args:
        k: covariance of the two variables.
        a: variance of the left one, broadcast against ``k``.
        b: variance of the right one, likewise.
    """
    # Roots apart: their product is 0 in float32 for variances of 1e-20.
    rho = k * a.inverse * b.inverse
    size = jnp.abs(rho)
    size = jnp.where(size > 1 - EQUAL * jnp.finfo(k.dtype).eps, 1, size)
    return Correlation(a.deviation * b.deviation, size, rho < 0)


def determinant(of: Correlation) -> OfPairs:
    """``a b − k² = s² (1 − ρ²)``, without the cancellation near ``ρ = ±1``."""
    return of.s**2 * (1 - of.size) * (1 + of.size)
