r"""Erf and GELU."""

from __future__ import annotations

import math

import jax.numpy as jnp

from ...architecture.activations import Activation, Erf, Gelu
from .correlation import Duals, OfPairs, OfPixels, Spread, correlation, determinant


def erf_dual(left: Activation, right: Activation, k: OfPairs, a: Spread, b: Spread) -> Duals:
    """``(2/π) arctan(2k / sqrt D)`` and ``(4/π) / sqrt D`` with ``D = (1 + 2a)(1 + 2b) − 4k²``.

    Williams 1997, Computing with infinite networks, equation (11), with the arcsine of
    ``2k / sqrt((1 + 2a)(1 + 2b))`` written as an arctangent, which keeps its digits near 1.
    """
    of = correlation(k, a, b)
    root = jnp.sqrt(1 + 2 * (a.variance + b.variance) + 4 * determinant(of))
    return jnp.arctan2(2 * of.covariance, root) * (2 / math.pi), (4 / math.pi) / root


def gelu_dual(left: Activation, right: Activation, k: OfPairs, a: Spread, b: Spread) -> Duals:
    r"""With ``D = (1 + a)(1 + b) − k²``, ``F = 1/4 + arctan(k / sqrt D) / 2π = E[Φ(u) Φ(v)]`` and
    ``N = ab + k² (1 − ab) / ((1 + a)(1 + b))``::

        E[φ(u) φ(v)]   = k F + N / (2π sqrt D)
        E[φ'(u) φ'(v)] = F + (k + 2k (1 − ab) / ((1 + a)(1 + b)) + N k / D) / (2π sqrt D)

    Tsuchida et al. 2021, Avoiding kernel fixed points, section 3. By Stein's lemma applied to both
    factors, ``E[φφ] = k F + (ab + k²) ∂F/∂k + 2ak ∂F/∂a + 2bk ∂F/∂b``; its derivative by ``k`` is
    ``E[φ'φ']`` (Price 1958).
    """
    of = correlation(k, a, b)
    k, excess = of.covariance, determinant(of)
    total = a.variance + b.variance
    D = 1 + total + excess
    root = 2 * math.pi * jnp.sqrt(D)
    both = (1 + a.variance) * (1 + b.variance)
    # (1 − ab) / both = (2 + a + b) / both − 1, and ab − k² = excess: no large numbers cancel.
    share = (2 + total) / both
    N = excess + k**2 * share
    F = 0.25 + jnp.arctan2(k, jnp.sqrt(D)) / (2 * math.pi)
    return k * F + N / root, F + k * (2 * share - 1 + N / D) / root


def error_function_slope(activation: Activation, b: OfPixels) -> OfPixels:
    """``E[φ'(v)]``: ``2 / sqrt(π (1 + 2b))`` for erf, 1/2 for GELU (``φ' − 1/2`` is odd)."""
    match activation:
        case Erf():
            return 2 / jnp.sqrt(math.pi * (1 + 2 * b))
        case Gelu():
            return jnp.full_like(b, 0.5)
    raise TypeError(f"{activation} is not of the error function's family")
