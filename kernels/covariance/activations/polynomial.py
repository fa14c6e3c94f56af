r"""Monomials and Hermite polynomials, all pairs of them."""

from __future__ import annotations

import math

import jax.numpy as jnp

from ...architecture.activations import Activation, Hermite, Monomial
from .correlation import Duals, OfPairs, OfPixels, Spread


def mean_derivatives(activation: Activation, a: OfPixels) -> list[OfPixels]:
    """``E[φ⁽ⁿ⁾(u)]`` for ``n = 0 … degree`` and ``u`` of variance ``a``.

    ``d!/(d−n)! · (d−n−1)!! aʲ`` for ``xᵈ`` with ``d − n = 2j``, zero for odd ``d − n``; for a
    Hermite polynomial ``a − 1`` stands in place of ``a``, and ``√d!`` divides.
    """
    assert isinstance(activation, Monomial | Hermite)
    degree = activation.degree
    hermite = isinstance(activation, Hermite)
    base, scale = (a - 1, math.sqrt(math.factorial(degree))) if hermite else (a, 1.0)
    means = []
    for n in range(degree + 1):
        j, odd = divmod(degree - n, 2)
        if odd:
            means.append(jnp.zeros_like(a))
            continue
        pairings = math.factorial(2 * j) // (2**j * math.factorial(j))
        factor = math.factorial(degree) // math.factorial(degree - n) * pairings / scale
        means.append(factor * base**j if j else jnp.full_like(a, factor))
    return means


def polynomial_dual(left: Activation, right: Activation, k: OfPairs, a: Spread, b: Spread) -> Duals:
    """``Σ_n kⁿ/n! E[φ⁽ⁿ⁾(u)] E[ψ⁽ⁿ⁾(v)]``, and the same from ``n = 1`` with ``kⁿ⁻¹/(n−1)!``.

    Mehler's formula, a finite sum for polynomials (Daniely et al. 2016, section 4, for Hermite
    polynomials at unit variance). It holds at variance 0 too.
    """
    pairs = zip(
        mean_derivatives(left, a.variance), mean_derivatives(right, b.variance), strict=False
    )
    products = [first * second / math.factorial(n) for n, (first, second) in enumerate(pairs)]
    K, T = jnp.zeros_like(k), jnp.zeros_like(k)
    for n in range(len(products) - 1, -1, -1):
        K = K * k + products[n]
        if n:
            T = T * k + n * products[n]
    return K, T


def polynomial_slope(activation: Activation, b: OfPixels) -> OfPixels:
    """``E[φ'(v)]``: see :func:`mean_derivatives`."""
    return mean_derivatives(activation, b)[1]
