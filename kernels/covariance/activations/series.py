r"""Any two nonlinearities: Mehler's formula, with Hermite coefficients from quadrature.

With ``h_m`` the normalised probabilists' Hermite polynomials, ``c_m(a) = E[φ'(√a z) h_m(z)]`` for a
standard normal ``z``, and ``d_m(b)`` the same of ``ψ'``::

    E[φ'(u) ψ'(v)] = Σ_m ρᵐ c_m d_m
    E[φ(u) ψ(v)]   = E[φ(u)] E[ψ(v)] + k Σ_m ρᵐ c_m d_m / (m + 1)

(Mehler 1866; Daniely et al. 2016, section 4). The coefficients depend on one pixel only, so a pair
costs as many multiplications as the sum has terms, where quadrature in two dimensions would cost
thousands. ``k`` in front keeps the digits of small covariances, and the sums converge at
``ρ = ±1`` too.

What is smooth has coefficients that fall fast, found by Gauss-Hermite quadrature. Those of a kink
fall slowly and quadrature does not find them, but they are known, or found by quadrature on either
side of it; beside a smooth function the
products still fall fast. The sum ends where what is left is below rounding; what ``TERMS`` leave
out is measured in ``accuracy.py``.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jax import Array, lax
from jaxtyping import Float
from scipy.special import roots_hermitenorm

from ...architecture.activations import Abs, Activation, Elu, Exp, LeakyRelu, Relu, Selu, Sign
from .correlation import Duals, OfPairs, OfPixels, Spread, correlation, root, spread
from .functions import derivative_of, function_of
from .piecewise import sides

TERMS = 512
"""Most terms of the series."""

NODES = 768
"""Nodes of the quadrature: exact for polynomials of degree 1535, so that what enters the last of
the ``TERMS`` coefficients wrongly has an index above 1023."""

REACH = 13.0
"""Largest node where the two sides of 0 have sums of their own, in standard deviations."""

BLOCK = 8
"""Terms that one loop adds up, while the sums stay in registers."""


class Expansion(NamedTuple):
    """``E[φ(√a z)]``, ``c_m(a)`` with an axis of ``TERMS`` before those of ``a``, and ``a``."""

    mean: OfPixels
    slopes: Float[Array, " terms *pixels"]
    spread: Spread


Beside = Callable[[Array], Array]
"""Puts an array over the pixels of one side, perhaps with axes before them, beside covariances."""


@cache
def _quadrature(kink: bool = False) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Nodes ``z_i``, weights ``w_i``, and ``w_i h_m(z_i)`` as ``[TERMS, nodes]``.

    Args:
        kink: nodes for functions that are smooth on either side of 0 only.
    """
    if kink:
        node, weight = np.polynomial.legendre.leggauss(NODES // 2)
        side = REACH * (node + 1) / 2
        bell = REACH * weight / 2 * np.exp(-(side**2) / 2) / math.sqrt(2 * math.pi)
        nodes, weights = np.concatenate([-side[::-1], side]), np.concatenate([bell[::-1], bell])
    else:
        nodes, weights, total = roots_hermitenorm(NODES, mu=True)
        weights = weights / total
    # |w h_m| <= sqrt(w): far nodes weigh nothing, and what grows would overflow there in float32.
    near = weights > 1e-50
    nodes, weights = nodes[near], weights[near]
    values = np.ones((TERMS, len(nodes)))
    values[1] = nodes
    for m in range(1, TERMS - 1):
        values[m + 1] = (nodes * values[m] - math.sqrt(m) * values[m - 1]) / math.sqrt(m + 1)
    return nodes, weights, values * weights


@cache
def _sign_coefficients() -> np.ndarray:
    """``E[sgn(z) h_m(z)]`` for ``m = 0 … TERMS``: ``sqrt(2/π) He_{m−1}(0) / √m!`` for odd ``m``."""
    values = np.zeros(TERMS + 1)
    values[1] = math.sqrt(2 / math.pi)
    for m in range(1, TERMS - 1, 2):
        values[m + 2] = -values[m] * m / math.sqrt((m + 1) * (m + 2))
    return values


def expansion(activation: Activation, a: OfPixels) -> Expansion:
    """The coefficients of a nonlinearity of a Gaussian variable of variance ``a``."""
    own = spread(a)
    deviation = own.deviation
    column = (slice(None), *[None] * a.ndim)
    match activation:
        case Relu() | LeakyRelu() | Abs():
            # φ' is a constant and a step: (p − q)/2 + (p + q)/2 · sgn.
            p, q = sides(activation)
            slopes = (p + q) / 2 * _sign_coefficients()[:TERMS]
            slopes[0] = (p - q) / 2
            mean = deviation * ((p + q) / math.sqrt(2 * math.pi))
            return Expansion(mean, jnp.asarray(slopes, a.dtype)[column], own)
        case Sign():
            # φ' is twice Dirac's delta: √a c_m = √(m + 1) E[sgn(z) h_{m+1}(z)].
            steps = np.sqrt(np.arange(1, TERMS + 1)) * _sign_coefficients()[1:]
            slopes = jnp.asarray(steps, a.dtype)[column] * own.inverse
            return Expansion(jnp.zeros_like(a), slopes, own)
        case Exp(rate):
            # E[exp(t z) h_m(z)] = exp(t²/2) tᵐ / √m! with t = rate √a.
            t = rate * deviation
            mean = jnp.exp(t**2 / 2)
            factors = 1 / np.sqrt(np.maximum(np.arange(TERMS), 1))
            steps = (t * jnp.asarray(factors, a.dtype)[column]).at[0].set(rate * mean)
            return Expansion(mean, jnp.cumprod(steps, axis=0), own)
    kink = isinstance(activation, Elu | Selu)
    nodes, weights, projection = (jnp.asarray(part, a.dtype) for part in _quadrature(kink))
    x = deviation * nodes[column]
    mean = _contract(weights, function_of(activation)(x))
    return Expansion(mean, _contract(projection, derivative_of(activation)(x)), own)


def _contract(weights: Array, values: Array) -> Array:
    return jnp.tensordot(weights, values, 1, precision=lax.Precision.HIGHEST)


def series_dual(
    left: Activation,
    right: Activation,
    k: OfPairs,
    first: Expansion,
    second: Expansion,
    beside: tuple[Beside, Beside],
    *,
    whole: bool = False,
) -> Duals:
    """``E[φ(u) ψ(v)]`` and ``E[φ'(u) ψ'(v)]`` by the series in the module's docstring.

    Args:
        left: φ.
        right: ψ.
        k: covariances.
        first: φ's expansion, for each pixel.
        second: ψ's expansion, for each pixel.
        beside: put arrays over left and over right pixels beside ``k``; called on a block of terms
            at a time, since all of them beside all pairs would not fit into memory.
        whole: whether to add up all ``TERMS``, whatever their size: a loop whose length depends on
            them cannot be differentiated backwards.
    """
    a, b = (
        Spread(*map(see, part.spread)) for see, part in zip(beside, (first, second), strict=True)
    )
    of = correlation(k, a, b)
    s, rho = of.s, of.rho
    blocks = TERMS // BLOCK if whole else _blocks(first.slopes, second.slopes)

    def block(index: Array, sums: tuple[Array, Array]) -> tuple[Array, Array]:
        start = BLOCK * (blocks - 1 - index)
        c = beside[0](lax.dynamic_slice_in_dim(first.slopes, start, BLOCK))
        d = beside[1](lax.dynamic_slice_in_dim(second.slopes, start, BLOCK))
        order = (start + jnp.arange(BLOCK) + 1).astype(rho.dtype)
        K, T = sums
        for m in range(BLOCK - 1, -1, -1):
            product = c[m] * d[m]
            K, T = K * rho + product / order[m], T * rho + product
        return K, T

    zeros = jnp.zeros_like(rho)
    K, T = lax.fori_loop(0, blocks, block, (zeros, zeros))
    K = beside[0](first.mean) * beside[1](second.mean) + s * rho * K
    if not (left.has_gradient and right.has_gradient):
        T = zeros
    return K, T


def _blocks(c: Array, d: Array) -> Array:
    """How many blocks of terms the sum needs, until what is left is below rounding."""
    largest = [jnp.max(jnp.abs(x), axis=tuple(range(1, x.ndim))) for x in (c, d)]
    terms = largest[0] * largest[1]
    left = jnp.cumsum(terms[::-1])[::-1]
    needed = jnp.sum(left > jnp.finfo(c.dtype).eps * left[0])
    return (needed + BLOCK - 1) // BLOCK


def series_slope(activation: Activation, b: OfPixels) -> OfPixels:
    """``E[φ'(v)]``, the first coefficient."""
    nodes, weights, _ = (jnp.asarray(part, b.dtype) for part in _quadrature())
    x = root(b) * nodes[(slice(None), *[None] * b.ndim)]
    return _contract(weights, derivative_of(activation)(x))
