r"""Sine, cosine, and sinusoids of any frequency and phase, all pairs of them."""

from __future__ import annotations

import math

import jax.numpy as jnp

from ...architecture.activations import Activation, Cos, Sin, Sinusoid
from .correlation import Duals, OfPairs, OfPixels, Spread, correlation


def wave(activation: Activation) -> tuple[float, float, float]:
    """``(ω, sin p, cos p)`` with ``φ(x) = sin(ω x + p)``."""
    match activation:
        case Sin():
            return 1.0, 0.0, 1.0
        case Cos():
            return 1.0, 1.0, 0.0
        case Sinusoid():
            return activation.frequency, math.sin(activation.phase), math.cos(activation.phase)
    raise TypeError(f"{activation} is not a sinusoid")


def sinusoid_dual(left: Activation, right: Activation, k: OfPairs, a: Spread, b: Spread) -> Duals:
    r"""With ``A = (ω² a + ω'² b)/2`` and ``κ = ω ω' k``::

        E[φ(u) ψ(v)]   = e^{−A} (sin p sin p' cosh κ + cos p cos p' sinh κ)
        E[φ'(u) ψ'(v)] = ω ω' e^{−A} (cos p cos p' cosh κ + sin p sin p' sinh κ)

    From ``E[cos(ω u ± ω' v)] = exp(−A ∓ κ)``, the characteristic function of a Gaussian (Rahimi &
    Recht 2007, theorem 1, for the stationary case). ``A − |κ|`` is a sum of two non-negative
    numbers, so nothing overflows and equal pixels are exact.
    """
    (w, sin, cos), (w2, sin2, cos2) = wave(left), wave(right)
    of = correlation(k, a, b)
    size, size2 = abs(w), abs(w2)
    distance = size * a.deviation - size2 * b.deviation
    decay = jnp.exp(-(distance**2) / 2 - size * size2 * of.s * (1 - of.size)) / 2
    kappa = size * size2 * of.s * of.size  # its size; the sign is that of ω ω' ρ
    cosh = decay * (1 + jnp.exp(-2 * kappa))
    sinh = decay * -jnp.expm1(-2 * kappa)
    sinh = jnp.where(of.negative, -sinh, sinh) * math.copysign(1, w * w2)
    sines, cosines = sin * sin2, cos * cos2
    return sines * cosh + cosines * sinh, w * w2 * (cosines * cosh + sines * sinh)


def sinusoid_slope(activation: Activation, b: OfPixels) -> OfPixels:
    """``E[φ'(v)] = ω cos(p) exp(−ω² b / 2)``."""
    w, _, cos = wave(activation)
    return w * cos * jnp.exp(-(w**2) * b / 2)
