"""Correlations of two Gaussian variables, and their angles, in either precision.

Kernels are differentiated too (``engine/traced.py``), and the formulas have points where a plain
chain rule gives 0 · ∞: equal pixels, ``ρ = ±1``, where the angle has a cusp, and pixels that do not
vary. The functions here keep their values and are given derivatives that are right there: of the
angle and of the deviation, which are even functions of what moves two equal pixels apart or one
away from zero, the *symmetric* derivative, the mean of both sides', which is 0.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import jax
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


@jax.custom_jvp
def root(x: OfPixels) -> OfPixels:
    """``sqrt(max(x, 0))``, whose derivative at 0 is set to 0."""
    return jnp.sqrt(jnp.maximum(x, 0))


@root.defjvp
def _root_derivative(primals: Any, tangents: Any) -> Any:
    value = root(primals[0])
    return value, tangents[0] * _inverse(value) / 2


@jax.custom_jvp
def tied(value: OfPairs, like: OfPairs) -> OfPairs:
    """``value``, which is ``like`` up to rounding, with the derivative of ``like``."""
    return value


@tied.defjvp
def _tied_derivative(primals: Any, tangents: Any) -> Any:
    return tied(*primals), jnp.broadcast_to(tangents[1], primals[0].shape)


@jax.custom_jvp
def _size(rho: OfPairs) -> OfPairs:
    """``|ρ|``, nearly 1 taken for 1; it moves with ``ρ`` there too, and at 0 as on the right."""
    size = jnp.abs(rho)
    return jnp.where(size > 1 - EQUAL * jnp.finfo(rho.dtype).eps, 1, size)


@_size.defjvp
def _size_derivative(primals: Any, tangents: Any) -> Any:
    (rho,), (tangent,) = primals, tangents
    return _size(rho), jnp.where(rho < 0, -tangent, tangent)


@jax.custom_jvp
def _angle_and_sine(size: OfPairs, negative: Bool[Array, "*pairs"]) -> tuple[OfPairs, OfPairs]:
    if size.dtype != jnp.float32:
        rho = jnp.where(negative, -size, size)
        return jnp.arccos(rho), jnp.sqrt((1 - size) * (1 + size))
    near = jnp.sqrt(1 - size)
    acute = near * _horner(_ARCCOS, size)
    theta = jnp.where(negative, jnp.float32(math.pi) - acute, acute)
    return theta, near * _horner(_SINE, size)


@_angle_and_sine.defjvp
def _angle_derivative(primals: Any, tangents: Any) -> Any:
    """``dθ = −dρ / sin θ`` and ``d sin θ = cos θ dθ``; both 0 where ``sin θ`` is."""
    (size, negative), (tangent, _) = primals, tangents
    theta, sine = _angle_and_sine(size, negative)
    # In terms of |ρ|, whose angle grows where that of ρ falls.
    acute = -tangent * _inverse(sine)
    return (theta, sine), (jnp.where(negative, -acute, acute), size * acute)


def _inverse(x: Array) -> Array:
    """``1 / x``, and 0 where x is not positive."""
    return jnp.where(x > 0, 1 / jnp.where(x > 0, x, 1), 0)


class Spread(NamedTuple):
    """A variance ``a`` with ``√a`` and ``1 / √a``, taken once per image rather than per pair.

    What rounding left below 0 is 0, and so is the inverse of 0.
    """

    variance: OfPixels
    deviation: OfPixels
    inverse: OfPixels


def spread(variance: OfPixels) -> Spread:
    """A variance with its roots."""
    deviation = root(variance)
    return Spread(variance, deviation, _inverse(deviation))


class Correlation(NamedTuple):
    """``ρ = k / s`` with ``s = sqrt(a b)``, in [−1, 1], by its size and its sign.

    XLA keeps a loop whole if its result is used once; the sign is therefore put back only where
    ``ρ`` itself is wanted. ``k`` and ``both``, the product of the variances, are what derivatives
    are taken of.
    """

    s: OfPairs
    size: OfPairs
    negative: Bool[Array, "*pairs"]
    k: OfPairs
    both: OfPairs

    @property
    def rho(self) -> OfPairs:
        return jnp.where(self.negative, -self.size, self.size)

    @property
    def covariance(self) -> OfPairs:
        """``s ρ``, which is ``k`` within its bounds."""
        return tied(self.s * self.rho, self.k)

    def angle_and_sine(self) -> tuple[OfPairs, OfPairs]:
        """``(arccos ρ, sqrt(1 − ρ²))``.

        In float32 by polynomials with one square root (absolute error below 1e-7 away from
        |ρ| = 1); in float64 by the library.
        """
        return _angle_and_sine(self.size, self.negative)


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
    both = a.variance * b.variance
    return Correlation(a.deviation * b.deviation, _size(rho), rho < 0, k, both)


def determinant(of: Correlation) -> OfPairs:
    """``a b − k² = s² (1 − ρ²)``, without the cancellation near ``ρ = ±1``."""
    return tied(of.s**2 * (1 - of.size) * (1 + of.size), of.both - of.k**2)
