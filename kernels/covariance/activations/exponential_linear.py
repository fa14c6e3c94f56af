r"""Functions with an exponential on one side of zero: ELU and SELU, also beside kinks at zero.

With ``r(x) = max(x, 0)`` and ``E(x) = exp(x) − 1`` for ``x ≤ 0``, else 0, each of them is
``p r(x) + q r(−x) + α E(x)``. Tsuchida et al. 2021, Avoiding kernel fixed points, have the moments
of ELU as normal distribution functions of two variables at shifted points, such as
``E[exp(u + v); u, v ≤ 0] = exp((a + 2k + b)/2) Φ₂(−(a + k)/√a, −(b + k)/√b; ρ)``. Written so, the
factor overflows for large variances, and for small ones four terms near 1 cancel to one of size
``sqrt(a b)``. Here they are the integrals over an angle that Φ₂ is, with positive terms only.

Where both are negative let ``u = −r √a sin τ`` and ``v = −r √b sin(ω − τ)`` with ``cos ω = −ρ``,
``0 ≤ τ ≤ ω``, and integrate over the radius, with ``M(c) = (1 − Φ(c)) / Φ'(c)`` (Mills' ratio),
``p = √a sin τ`` and ``q = √b sin(ω − τ)``::

    E[exp(u); u, v ≤ 0]     = 1/2π ∫ J(p) dτ,         J(c) = 1 − c M(c)
    E[exp(u + v); u, v ≤ 0] = 1/2π ∫ J(p + q) dτ
    E[E(u) E(v)]            = 1/2π ∫ D(p, q) dτ,      D = J(p + q) − J(p) − J(q) + 1
    E[E(u) r(v)]            = sqrt(a b) sin θ (M(σ) − M(0)) / 2πσ + k E[exp(u); u ≤ 0 < v]

with ``σ = √a sin θ``, ``cos θ = ρ``; the last is Stein's lemma for the factor ``v`` of ``r(v)``.
``M`` and its divided differences come from one polynomial, so that ``D``, of size ``p q``, keeps
its digits. Errors of the integrals are below 1e-11 in float64 for variances up to 10⁴.
"""

from __future__ import annotations

import math
from functools import cache
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jax import Array, lax
from scipy.special import erfcx

from ...architecture.activations import Activation, Elu, Selu
from .correlation import Duals, OfPairs, OfPixels, Spread, correlation, root
from .piecewise import sides

_MILLS = math.sqrt(math.pi / 2)
"""``M(0)``."""

_SHIFT = 3.0
"""``M`` is a polynomial of ``t = 3 / (3 + c)``, which takes [0, ∞) to (0, 1]."""

_SHARP = 10.0
"""Standard deviation at which the integrands have steep ends."""


class Wedge(NamedTuple):
    """Integrals over both negative, divided by 2π, of ``J(p)``, ``J(q)``, ``J(p + q)``, ``D``."""

    left: Array
    right: Array
    both: Array
    product: Array


def parts(activation: Activation) -> tuple[float, float, float]:
    """``(p, q, α)`` with ``φ(x) = p r(x) + q r(−x) + α E(x)``."""
    match activation:
        case Elu(alpha):
            return 1.0, 0.0, alpha
        case Selu():
            return activation.SCALE, 0.0, activation.SCALE * activation.ALPHA
    return *sides(activation), 0.0


def exponential_linear_dual(
    left: Activation, right: Activation, k: OfPairs, a: Spread, b: Spread
) -> Duals:
    """The moments in the module's docstring, and those of ReLU in ``piecewise.py``, put together.

    The derivatives' are ``P(u > 0, v > 0)``, ``E[exp(u); u ≤ 0 < v]`` and ``E[exp(u + v)]``.
    """
    (p, q, alpha), (p2, q2, alpha2) = parts(left), parts(right)
    of = correlation(k, a, b)
    theta, sine = of.angle_and_sine()
    turn, back = (math.pi - theta) / (2 * math.pi), theta / (2 * math.pi)
    k, edge = of.covariance, of.s * sine / (2 * math.pi)
    wedge = _wedge(math.pi - theta, a, b)
    before_left = negative_mean(a.deviation) - wedge.left  # E[exp(u); u ≤ 0 < v]
    before_right = negative_mean(b.deviation) - wedge.right
    slopes_left = p2 * before_left - q2 * wedge.left
    slopes_right = p * before_right - q * wedge.right
    same, opposite = p * p2 + q * q2, p * q2 + q * p2

    T = same * turn - opposite * back + alpha * slopes_left + alpha2 * slopes_right
    K = same * (edge + k * turn) + opposite * (edge - k * back)
    K = K + alpha * (k * slopes_left - (p2 + q2) * edge * _fall(a.deviation * sine))
    K = K + alpha2 * (k * slopes_right - (p + q) * edge * _fall(b.deviation * sine))
    return K + alpha * alpha2 * wedge.product, T + alpha * alpha2 * wedge.both


def _wedge(omega: Array, a: Spread, b: Spread) -> Wedge:
    """The integrals over ``τ`` by a Gauss-Legendre sum.

    Large variances make the ends of the interval steep: ``τ = ω (g − m sin(2πg) / 2π)`` takes more
    points there, ``m`` from 0 to 1.
    """
    dtype = omega.dtype
    points = [jnp.asarray(part, dtype) for part in _points(16 if dtype == jnp.float32 else 32)]
    largest = jnp.maximum(a.deviation, b.deviation)
    m = largest / (largest + _SHARP)

    def node(index: Array, sums: Wedge) -> Wedge:
        g, from_end, sine, cosine, weight = (part[index] for part in points)
        p = a.deviation * jnp.sin(omega * (g - m * sine))
        q = b.deviation * jnp.sin(omega * (from_end + m * sine))
        near, far, both, D = _radial(jnp.minimum(p, q), jnp.maximum(p, q))
        first = p < q
        values = jnp.where(first, near, far), jnp.where(first, far, near), both, D
        weight = weight * (1 - m * cosine)
        return Wedge(*(total + weight * x for total, x in zip(sums, values, strict=True)))

    zeros = jnp.zeros_like(omega)
    sums = lax.fori_loop(0, len(points[0]), node, Wedge(zeros, zeros, zeros, zeros))
    return Wedge(*(total * omega / (2 * math.pi) for total in sums))


@cache
def _points(number: int) -> tuple[np.ndarray, ...]:
    """``g`` and ``1 − g`` in [0, 1], ``sin(2πg) / 2π``, ``cos(2πg)``, and the weights."""
    node, weight = np.polynomial.legendre.leggauss(number)
    g = (node + 1) / 2
    return g, g[::-1], np.sin(2 * np.pi * g) / (2 * np.pi), np.cos(2 * np.pi * g), weight / 2


def _radial(p: Array, q: Array) -> tuple[Array, Array, Array, Array]:
    """``J(p)``, ``J(q)``, ``J(p + q)`` and ``D(p, q)`` for ``0 ≤ p ≤ q``.

    With ``N(c) = (M(0) − M(c)) / c`` and ``d = (N(q) − N(p + q)) / p``::

        D = p (M(p) − M(p + q)) + q (M(q) − M(p + q))
          = p ((p + q) N(p + q) − p N(p) + q N(p + q) − q² d)
    """
    both = p + q
    t, t_both = _SHIFT / (_SHIFT + q), _SHIFT / (_SHIFT + both)
    # Horner's rule for P(t), and for the divided difference of P at t and t_both.
    value, difference = jnp.zeros_like(t), jnp.zeros_like(t)
    for coefficient in reversed(_coefficients(_degree(t))):
        difference = difference * (2 * t_both - 1) + value
        value = value * (2 * t - 1) + jnp.asarray(coefficient, t.dtype)
    slope = t * t_both / _SHIFT * (value + 2 * t_both * difference)
    far = t * value
    near, N = _fall(p), far - p * slope
    D = p * (both * N - p * near + q * (N - q * slope))
    return _radius(p, near), _radius(q, far), _radius(both, N), D


def _radius(c: Array, fall: Array) -> Array:
    """``J(c) = 1 − c M(c)``, given ``N(c)``."""
    return 1 - c * (_MILLS - c * fall)


def _fall(c: Array) -> Array:
    """``N(c) = (M(0) − M(c)) / c``, which is 1 at 0, for ``c ≥ 0``."""
    t = _SHIFT / (_SHIFT + c)
    value = jnp.zeros_like(t)
    for coefficient in reversed(_coefficients(_degree(t))):
        value = value * (2 * t - 1) + jnp.asarray(coefficient, t.dtype)
    return t * value


def _degree(t: Array) -> int:
    """Relative error of the polynomial: 3e-9, in float64 5e-15."""
    return 10 if t.dtype == jnp.float32 else 20


@cache
def _coefficients(degree: int) -> tuple[float, ...]:
    """Of ``P(2t − 1) = N(c) / t``, through Chebyshev points."""
    node, weight = np.polynomial.legendre.leggauss(40)

    def quotient(y: np.ndarray) -> np.ndarray:
        t = (y + 1) / 2
        c = _SHIFT * (1 - t) / t
        # N(c) is the mean of J = −M' between 0 and c: no cancellation where c is small.
        inner = np.minimum(c, 2)[:, None] * (node + 1) / 2
        mean = (1 - inner * _MILLS * erfcx(inner / math.sqrt(2))) @ (weight / 2)
        fall = _MILLS * (1 - erfcx(c / math.sqrt(2)))
        return np.where(c < 2, mean, fall / np.maximum(c, 2)) / t

    fit = np.polynomial.Chebyshev.interpolate(quotient, degree)
    return tuple(float(x) for x in fit.convert(kind=np.polynomial.Polynomial).coef)


def negative_mean(deviation: Array) -> Array:
    """``E[exp(u); u ≤ 0] = M(√a) / sqrt(2π)``."""
    return (_MILLS - deviation * _fall(deviation)) / math.sqrt(2 * math.pi)


def exponential_linear_slope(activation: Activation, b: OfPixels) -> OfPixels:
    """``E[φ'(v)] = (p − q)/2 + α M(√b) / sqrt(2π)``."""
    p, q, alpha = parts(activation)
    return (p - q) / 2 + alpha * negative_mean(root(b))
