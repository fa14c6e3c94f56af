"""Which formula belongs to which nonlinearities."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import Array, lax
from jaxtyping import Float

from ...architecture.activations import (
    Abs,
    Activation,
    Cos,
    Elementwise,
    Elu,
    Erf,
    Exp,
    Gaussian,
    Gelu,
    Hermite,
    LeakyRelu,
    Monomial,
    Relu,
    Selu,
    Sign,
    Sin,
    Sinusoid,
)
from .correlation import Duals, OfPairs, OfPixels, Spread, spread
from .error_function import erf_dual, error_function_slope, gelu_dual
from .exponential import exp_dual, exponential_slope, gaussian_dual
from .exponential_linear import exponential_linear_dual, exponential_linear_slope
from .piecewise import piecewise_dual, piecewise_slope
from .polynomial import polynomial_dual, polynomial_slope
from .series import Beside, expansion, series_dual, series_slope
from .trigonometric import sinusoid_dual, sinusoid_slope

Formula = Callable[..., tuple[Array, Array]]
Slope = Callable[[Activation, Array], Array]

FAMILIES: tuple[tuple[tuple[type[Activation], ...], Formula, Slope], ...] = (
    ((Relu, LeakyRelu, Abs, Sign), piecewise_dual, piecewise_slope),
    ((Elu, Selu), exponential_linear_dual, exponential_linear_slope),
    ((Sin, Cos, Sinusoid), sinusoid_dual, sinusoid_slope),
    ((Erf,), erf_dual, error_function_slope),
    ((Gelu,), gelu_dual, error_function_slope),
    ((Exp,), exp_dual, exponential_slope),
    ((Gaussian,), gaussian_dual, exponential_slope),
    ((Monomial, Hermite), polynomial_dual, polynomial_slope),
    ((Elementwise,), series_dual, series_slope),
)
"""Nonlinearities whose pairs have one formula, that formula, and their mean derivative."""

MEETINGS: tuple[tuple[tuple[type[Activation], ...], Formula], ...] = (
    ((Relu, LeakyRelu, Abs, Elu, Selu), exponential_linear_dual),
)
"""Nonlinearities of several families whose pairs have one formula all the same."""


def has_closed_form(left: Activation, right: Activation) -> bool:
    """Whether the dual of two nonlinearities is a formula, and no series."""
    return formula_of(left, right) is not series_dual


MULTIPLYING = (Erf, Gelu, Gaussian)
"""Nonlinearities whose formulas multiply the variances of both sides by each other."""


def largest_variance(left: Activation, right: Activation, dtype: np.dtype) -> float:
    """Variances from here on overflow in the dual of two nonlinearities, whatever it is itself."""
    largest = float(np.finfo(dtype).max)
    multiplies = isinstance(left, MULTIPLYING) and isinstance(right, MULTIPLYING)
    return math.sqrt(largest) / 8 if multiplies else largest


def formula_of(left: Activation, right: Activation) -> Formula:
    """The function that computes the dual of two nonlinearities."""
    for members, formula in (*(family[:2] for family in FAMILIES), *MEETINGS):
        if isinstance(left, members) and isinstance(right, members):
            return formula
    return series_dual


@dataclass(frozen=True)
class Dual:
    """``(E[φ(u) ψ(v)], E[φ'(u) ψ'(v)])`` of two nonlinearities.

    Pairs within a family, and those of ``MEETINGS``, are in closed form, all others a series.

    Args:
        left: φ.
        right: ψ.
        differentiable: whether derivatives of the duals will be taken, which costs more.
    """

    left: Activation
    right: Activation
    differentiable: bool = False

    def of_pixels(self, a: Float[Array, "*left"], b: Float[Array, "*right"]) -> tuple[Any, Any]:
        """What depends on one pixel only, of left variances ``a`` and of right ones ``b``."""
        if has_closed_form(self.left, self.right):
            return spread(a), spread(b)
        return expansion(self.left, a), expansion(self.right, b)

    def of_pairs(
        self,
        k: OfPairs,
        pixels: tuple[Any, Any],
        beside: tuple[Beside, Beside],
    ) -> Duals:
        """The duals at covariances ``k``.

        Args:
            k: covariances.
            pixels: what :meth:`of_pixels` gave.
            beside: put arrays over left and over right pixels beside ``k``.
        """
        K, T = self._of_pairs(k, pixels, beside)
        if not (self.differentiable and self.left.has_gradient and self.right.has_gradient):
            return K, T
        # Where a variable does not vary its roots have derivatives 0, and k its own: Price's
        # theorem, ∂K/∂k = E[φ'(u) ψ'(v)].
        closed = has_closed_form(self.left, self.right)
        spreads = pixels if closed else tuple(part.spread for part in pixels)
        a, b = (see(of.variance) for see, of in zip(beside, spreads, strict=True))
        fixed = lax.stop_gradient(k)
        alone, _ = self._of_pairs(fixed, pixels, beside)
        return jnp.where((a > 0) & (b > 0), K, alone + T * (k - fixed)), T

    def _of_pairs(
        self, k: OfPairs, pixels: tuple[Any, Any], beside: tuple[Beside, Beside]
    ) -> Duals:
        left, right = self.left, self.right
        if not has_closed_form(left, right):
            return series_dual(left, right, k, *pixels, beside, whole=self.differentiable)
        a, b = (Spread(*map(see, part)) for see, part in zip(beside, pixels, strict=True))
        return formula_of(left, right)(left, right, k, a, b)

    def __call__(self, k: OfPairs, a: OfPairs, b: OfPairs) -> Duals:
        """The duals at covariances ``k`` and variances ``a`` and ``b``, all of one shape."""
        return self.of_pairs(k, self.of_pixels(a, b), (lambda x: x, lambda x: x))


def stein_slopes(activation: Activation, b: OfPixels) -> tuple[OfPixels, OfPixels]:
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
