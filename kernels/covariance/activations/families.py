"""Which formula belongs to which nonlinearities."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import jax.numpy as jnp
from jax import Array

from ...architecture.activations import (
    Abs,
    Activation,
    Cos,
    Elementwise,
    Erf,
    Exp,
    Gaussian,
    Gelu,
    Hermite,
    LeakyRelu,
    Monomial,
    Relu,
    Sign,
    Sin,
    Sinusoid,
)
from .error_function import erf_dual, error_function_slope, gelu_dual
from .exponential import exp_dual, exponential_slope, gaussian_dual
from .piecewise import piecewise_dual, piecewise_slope
from .polynomial import polynomial_dual, polynomial_slope
from .series import series_dual, series_slope
from .trigonometric import sinusoid_dual, sinusoid_slope

Dual = partial[tuple[Array, Array]]
PairDual = Callable[[Activation, Activation, Array, Array, Array], tuple[Array, Array]]
Slope = Callable[[Activation, Array], Array]

FAMILIES: tuple[tuple[tuple[type[Activation], ...], PairDual, Slope], ...] = (
    ((Relu, LeakyRelu, Abs, Sign), piecewise_dual, piecewise_slope),
    ((Sin, Cos, Sinusoid), sinusoid_dual, sinusoid_slope),
    ((Erf,), erf_dual, error_function_slope),
    ((Gelu,), gelu_dual, error_function_slope),
    ((Exp,), exp_dual, exponential_slope),
    ((Gaussian,), gaussian_dual, exponential_slope),
    ((Monomial, Hermite), polynomial_dual, polynomial_slope),
    ((Elementwise,), series_dual, series_slope),
)
"""Nonlinearities whose pairs have one formula, that formula, and their mean derivative."""


def has_closed_form(left: Activation, right: Activation) -> bool:
    """Whether the dual of two nonlinearities is a formula, and no series."""
    return _formula(left, right) is not series_dual


def dual(left: Activation, right: Activation) -> Dual:
    """The function ``(k, a, b) → (E[φ(u) ψ(v)], E[φ'(u) ψ'(v)])`` of two nonlinearities.

    ``k`` is the covariance of ``u`` and ``v``, ``a`` and ``b`` are their variances, broadcast
    against ``k``. Pairs within a family are in closed form, all others a series.
    """
    return partial(_formula(left, right), left, right)


def _formula(left: Activation, right: Activation) -> PairDual:
    for members, formula, _ in FAMILIES:
        if isinstance(left, members) and isinstance(right, members):
            return formula
    return series_dual


def stein_slopes(activation: Activation, b: Array) -> tuple[Array, Array]:
    """What multiplies ``K`` and ``Θ`` of a Gaussian ``u`` with ``v`` to give those with ``φ(v)``.

    Both are ``E[φ'(v)]``: Stein's lemma, ``E[u φ(v)] = E[u v] E[φ'(v)]``, and the chain rule. They
    differ where φ has a step, whose derivative a gradient does not see.

    Args:
        activation: φ.
        b: variance of ``v``.
    """
    for members, _, slope in FAMILIES:
        if isinstance(activation, members):
            value = slope(activation, b)
            return value, value if activation.has_gradient else jnp.zeros_like(b)
    raise TypeError(f"no formula is known for {activation}")
