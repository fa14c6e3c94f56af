r"""Exponentials and Gaussian bells: each with itself, whatever rates and scales."""

from __future__ import annotations

import jax.numpy as jnp

from ...architecture.activations import Activation, Exp, Gaussian
from .correlation import Duals, OfPairs, OfPixels, Spread, correlation, determinant


def exp_dual(left: Activation, right: Activation, k: OfPairs, a: Spread, b: Spread) -> Duals:
    """``exp((r² a + r'² b)/2 + r r' k)``, and ``r r'`` times that for the derivatives.

    The moment generating function of a Gaussian, as in Mairal et al. 2014, Convolutional kernel
    networks, for unit variances.
    """
    assert isinstance(left, Exp)
    assert isinstance(right, Exp)
    r, r2 = left.rate, right.rate
    value = jnp.exp((r**2 * a.variance + r2**2 * b.variance) / 2 + r * r2 * k)
    return value, r * r2 * value


def gaussian_dual(left: Activation, right: Activation, k: OfPairs, a: Spread, b: Spread) -> Duals:
    """``D^{−1/2}`` and ``k/(l² l'²) D^{−3/2}``, with ``D = (1 + a/l²)(1 + b/l'²) − k²/(l² l'²)``.

    ``l`` and ``l'`` are the scales. The integral of a Gaussian density times Gaussian bells
    (Williams 1997, section 4.2); its derivative by ``k`` is the second (Price 1958).
    """
    assert isinstance(left, Gaussian)
    assert isinstance(right, Gaussian)
    one, two = 1 / left.scale**2, 1 / right.scale**2
    of = correlation(k, a, b)
    D = 1 + one * a.variance + two * b.variance + one * two * determinant(of)
    value = 1 / jnp.sqrt(D)
    return value, one * two * of.s * of.rho * value / D


def exponential_slope(activation: Activation, b: OfPixels) -> OfPixels:
    """``E[φ'(v)]``: ``r exp(r² b / 2)`` for exponentials, 0 for bells, which are even."""
    match activation:
        case Exp():
            return activation.rate * jnp.exp(activation.rate**2 * b / 2)
        case Gaussian():
            return jnp.zeros_like(b)
    raise TypeError(f"{activation} is not an exponential")
