"""How exact the Hermite series is: estimated against a quadrature that does not mind kinks at 0."""

from __future__ import annotations

import math
from functools import lru_cache, partial

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from kernas.errors import ArchitectureError

from ...architecture.activations import Activation
from .families import has_closed_form
from .functions import derivative_of, function_of
from .series import expansion, series_dual

TOLERANCE = 1e-6
"""Largest error of a series that is used, relative to the size of the two nonlinearities."""

KINK = 1e-4
"""Error at unit variance from which a function, or its derivative, is taken to have a kink."""

SMALLEST = 2.0**-40
"""Variances below are judged as this one."""


def quadrature_error(
    left: Activation,
    right: Activation | None = None,
    variances: tuple[float, float] = (1.0, 1.0),
) -> float:
    """Error of the kernels of a nonlinearity without closed form, relative to their size.

    The larger of ``|error of E[φ(u) ψ(v)]| / sqrt(E[φ²] E[ψ²])`` and the same of derivatives, at
    ``ρ = 1``, where the series converges slowest; truncation and quadrature together. Exact values
    are Gauss-Legendre sums over panels on either side of zero, in float64.

    Args:
        left: φ.
        right: ψ, if the two branches that meet have different nonlinearities.
        variances: smallest and largest variance of ``u`` and of ``v``, >= 0.

    Returns:
        The largest error over five variances for each side; 0 where the kernel is in closed form.
        A function with a double zero, such as ``log cosh``, is small at small variances, where the
        digits that its own formula loses count.

    >>> from kernas.kernels import Elementwise, Relu
    >>> from kernas.kernels.covariance.activations import quadrature_error
    >>> quadrature_error(Relu())
    0.0
    >>> quadrature_error(Elementwise("tanh")) < 1e-12
    True
    """
    right = left if right is None else right
    low, high = float(variances[0]), float(variances[1])
    if not 0 <= low <= high < math.inf:
        raise ArchitectureError(
            f"variances={variances!r}: expected (smallest, largest), 0 <= smallest <= largest"
        )
    if has_closed_form(left, right):
        return 0.0
    return _error(left, right, low, low, high)


@partial(jax.jit, static_argnums=(0, 1))
def _series(
    left: Activation, right: Activation, k: Array, a: Array, b: Array
) -> tuple[Array, Array]:
    same = (lambda x: x, lambda x: x)
    return series_dual(left, right, k, expansion(left, a), expansion(right, b), same)


@lru_cache(maxsize=1024)
def _error(left: Activation, right: Activation, least: float, low: float, high: float) -> float:
    """The largest error at variances from ``least`` to ``high``.

    Relative to the size of the nonlinearities at the same variances, but never to a smaller one
    than they have from ``low`` to ``high``: what is smaller is added to what is not.
    """
    steps = np.linspace(0, 1, 1 if low == high else 5)
    used = low + (high - low) * steps**2
    below = np.linspace(least, low, 3)[:-1] if least < low else np.zeros(0)
    # At variance 0 the value of φ' at a kink matters to the sums, and to no kernel.
    grid = np.maximum(np.concatenate([used, below]), 1e-12)
    # Of numbers, also where a trace is under way that a network is lowered in.
    with jax.enable_x64(True), jax.ensure_compile_time_eval():
        z, weights = _panels()
        x = jnp.sqrt(jnp.asarray(grid))[:, None] * z
        a, b = jnp.asarray(grid)[:, None], jnp.asarray(grid)[None, :]
        approximate = _series(left, right, jnp.sqrt(a * b), a, b)
        errors = [0.0]
        for part, values in zip(approximate, (function_of, derivative_of), strict=True):
            if values is derivative_of and not (left.has_gradient and right.has_gradient):
                continue
            first, second = np.asarray(values(left)(x)), np.asarray(values(right)(x))
            exact = (first * weights) @ second.T
            norms = [np.sqrt((f**2) @ weights) for f in (first, second)]
            size = np.outer(*(np.maximum(norm, norm[: len(used)].min()) for norm in norms))
            error = np.abs(np.asarray(part) - exact) / np.where(size > 0, size, 1)
            errors.append(float(np.where(np.isfinite(error), error, np.inf).max()))
    return max(errors)


def _panels(reach: float = 16.0, panels: int = 80, order: int = 12) -> tuple[np.ndarray, ...]:
    """Nodes and weights for a standard normal variable, symmetric, with an edge at 0."""
    node, weight = np.polynomial.legendre.leggauss(order)
    width = reach / panels
    z = (width * (np.arange(panels)[:, None] + (node + 1) / 2)).ravel()
    w = np.tile(weight * width / 2, panels) * np.exp(-(z**2) / 2) / math.sqrt(2 * math.pi)
    return np.concatenate([-z[::-1], z]), np.concatenate([w[::-1], w])


def check_smooth(activation: Activation, name: str) -> None:
    """Refuse a function with a kink, before anything is computed.

    Args:
        activation: the nonlinearity.
        name: what messages call it.

    Raises:
        ArchitectureError: its series does not converge at unit variance.
    """
    error = quadrature_error(activation)
    if error > KINK:
        raise ArchitectureError(
            f"{name} is {activation}, whose kernel's series errs by {error:.1g} at variance 1: it "
            "or its derivative has a kink, or nearly; write it with Elu, LeakyRelu, Abs or Sign, "
            "whose kernels are exact, or use a smooth function"
        )


def check_accuracy(left: Activation, right: Activation, smallest: float, largest: float) -> None:
    """Refuse a series that is not exact enough at the variances at hand.

    Pixels of smaller variances than ``smallest`` are judged as well, by what they add to an image
    of that one.

    Args:
        left: φ.
        right: ψ.
        smallest: of the largest variances of the images at hand; rounded down to a power of 4.
        largest: of their variances; rounded up to a power of √2.

    Raises:
        ArchitectureError: the error is above ``TOLERANCE``.
    """
    if has_closed_form(left, right):
        return
    high = 2.0 ** (math.ceil(2 * math.log2(max(largest, SMALLEST))) / 2)
    low = min(high, 4.0 ** math.floor(math.log2(max(smallest, SMALLEST)) / 2))
    error = _error(left, right, 0.0, low, high)
    if error <= TOLERANCE:
        return
    pair = f"{left}" if left == right else f"{left} beside {right}"
    top = max(high, 1.0)
    if _error(left, right, top, top, top) <= TOLERANCE:
        raise ArchitectureError(
            f"{pair} at variances from {smallest:.3g}: the kernel errs by {error:.1g} of its size "
            f"there, at most {TOLERANCE:g} is allowed; raise W_std before it, standardise the "
            "images, or write the function so that it keeps its digits near 0"
        )
    raise ArchitectureError(
        f"{pair} at variances up to {largest:.3g}: the kernel's series errs by {error:.1g}, at "
        f"most {TOLERANCE:g} is allowed; lower W_std or b_std before it, or insert "
        "Conv(1) or Dense() where different nonlinearities meet, or write a function with "
        "kinks with Elu, LeakyRelu, Abs or Sign"
    )
