r"""Functions with a kink or a step at zero: ReLU, leaky ReLU, abs, sign, and all pairs of them.

With ``r(x) = max(x, 0)`` the first three are ``p r(x) + q r(−x)``, so that everything follows from
``E[r(u) r(v)]`` at ``ρ`` and at ``−ρ``.
"""

from __future__ import annotations

import math

import jax.numpy as jnp

from ...architecture.activations import Abs, Activation, LeakyRelu, Relu, Sign
from .correlation import Duals, OfPairs, OfPixels, Spread, correlation

Piecewise = Relu | LeakyRelu | Abs | Sign


def sides(activation: Activation) -> tuple[float, float]:
    """``(p, q)`` with ``φ(x) = p r(x) + q r(−x)``."""
    match activation:
        case Relu():
            return 1.0, 0.0
        case LeakyRelu():
            return 1.0, -activation.slope
        case Abs():
            return 1.0, 1.0
    raise TypeError(f"{activation} has no kink at zero")


def piecewise_dual(left: Activation, right: Activation, k: OfPairs, a: Spread, b: Spread) -> Duals:
    """``(p p' + q q') R(ρ) + (p q' + q p') R(−ρ)``, and the same of slopes with ``T(ρ), −T(−ρ)``.

    ``R(ρ) = E[r(u) r(v)] = s (sin θ + (π − θ) cos θ) / 2π`` and
    ``T(ρ) = P(u > 0, v > 0) = (π − θ) / 2π`` with ``cos θ = ρ``: Cho & Saul 2009, equations (3)
    and (6) at n = 1 and n = 0, halved. Sign passes no gradient: the
    second moment of its slopes is 0.
    """
    if isinstance(left, Sign) or isinstance(right, Sign):
        return _sign_dual(left, right, k, a, b), jnp.zeros_like(k)
    (p, q), (p2, q2) = sides(left), sides(right)
    same, opposite = p * p2 + q * q2, p * q2 + q * p2
    of = correlation(k, a, b)
    s, rho = of.s, of.rho
    theta, sine = of.angle_and_sine()
    turn, back = (math.pi - theta) / (2 * math.pi), theta / (2 * math.pi)
    K, T = s * (sine / (2 * math.pi) + turn * rho), turn
    if same != 1:
        K, T = same * K, same * T
    if opposite != 0:
        K = K + opposite * s * (sine / (2 * math.pi) - back * rho)
        T = T - opposite * back
    return K, T


def _sign_dual(left: Activation, right: Activation, k: OfPairs, a: Spread, b: Spread) -> OfPairs:
    """``(2/π) arcsin ρ`` with itself; ``E[sgn(u) φ(v)] = (p − q)/2 · ρ sqrt(2 b / π)`` with others.

    The first is Sheppard's (1899); the second is Stein's lemma, ``E[sgn(u) |v|]`` being 0.
    """
    of = correlation(k, a, b)
    if isinstance(left, Sign) and isinstance(right, Sign):
        theta, _ = of.angle_and_sine()
        return 1 - theta * (2 / math.pi)
    other, variance = (right, b) if isinstance(left, Sign) else (left, a)
    p, q = sides(other)
    return (p - q) / 2 * of.rho * variance.deviation * math.sqrt(2 / math.pi)


def piecewise_slope(activation: Activation, b: OfPixels) -> OfPixels:
    """``E[φ'(v)]``: ``(p − q)/2`` whatever the variance ``b``; for sign ``sqrt(2 / (π b))``.

    At variance 0 sign's is set to 0: what it multiplies, a covariance with ``v``, is 0 there.
    """
    if isinstance(activation, Sign):
        return jnp.where(b > 0, jnp.sqrt(2 / math.pi / jnp.where(b > 0, b, 1)), 0)
    p, q = sides(activation)
    return jnp.full_like(b, (p - q) / 2)
