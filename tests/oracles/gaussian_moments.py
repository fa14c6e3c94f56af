"""Second moments of nonlinearities of two Gaussian variables, by integration in the plane.

In polar coordinates ``(u, v) = r (√a cos t, √b cos(t − θ))``, ``cos θ = ρ``, a kink at ``u = 0`` or
``v = 0`` lies on a ray. Between the four rays, and along them, everything is smooth, so that
Gauss-Legendre sums are exact to some 1e-12 for every function here, and for ``ρ = ±1`` as well.
The functions and their derivatives are written in NumPy, one by one.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from scipy.special import erf, eval_hermitenorm, expit, log_ndtr, ndtr

from kernas.kernels.architecture.activations import (
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

Function = Callable[[np.ndarray], np.ndarray]
RAYS, RADII, REACH = 40, 64, 10.0


def _density(x: np.ndarray) -> np.ndarray:
    return np.exp(-(x**2) / 2) / math.sqrt(2 * math.pi)


def _mish_slope(x: np.ndarray) -> np.ndarray:
    t = np.tanh(np.logaddexp(0, x))
    return t + x * (1 - t**2) * expit(x)


def _exponential_linear(p: float, q: float) -> tuple[Function, Function]:
    """``p x`` for positive ``x``, ``q (exp(x) − 1)`` for others, and its derivative, q at 0."""
    return (
        lambda x: np.where(x > 0, p * x, q * np.expm1(np.minimum(x, 0))),
        lambda x: np.where(x > 0, p, q * np.exp(np.minimum(x, 0))),
    )


NAMED: dict[str, tuple[Function, Function]] = {
    "arctan": (np.arctan, lambda x: 1 / (1 + x**2)),
    "mish": (lambda x: x * np.tanh(np.logaddexp(0, x)), _mish_slope),
    "sigmoid": (expit, lambda x: expit(x) * expit(-x)),
    "silu": (lambda x: x * expit(x), lambda x: expit(x) * (1 + x * expit(-x))),
    "softplus": (lambda x: np.logaddexp(0, x), expit),
    "tanh": (np.tanh, lambda x: np.cosh(np.clip(x, -300, 300)) ** -2.0),
}


def pointwise(layer: Activation) -> tuple[Function, Function]:
    """``φ`` and ``φ'`` almost everywhere."""
    match layer:
        case Relu():
            return lambda x: np.maximum(x, 0), lambda x: 1.0 * (x > 0)
        case LeakyRelu(slope):
            return lambda x: np.where(x > 0, x, slope * x), lambda x: np.where(x > 0, 1, slope)
        case Elu(alpha):
            return _exponential_linear(1.0, alpha)
        case Selu():
            return _exponential_linear(1.0507009873554805, 1.0507009873554805 * 1.6732632423543772)
        case Abs():
            return np.abs, np.sign
        case Sign():
            return np.sign, np.zeros_like
        case Erf():
            return erf, lambda x: 2 / math.sqrt(math.pi) * np.exp(-(x**2))
        case Gelu():
            return lambda x: x * ndtr(x), lambda x: ndtr(x) + x * _density(x)
        case Sin():
            return np.sin, np.cos
        case Cos():
            return np.cos, lambda x: -np.sin(x)
        case Sinusoid(w, p):
            return lambda x: np.sin(w * x + p), lambda x: w * np.cos(w * x + p)
        case Exp(rate):
            return lambda x: np.exp(rate * x), lambda x: rate * np.exp(rate * x)
        case Gaussian(scale):
            bell = lambda x: np.exp(-0.5 * (x / scale) ** 2)  # noqa: E731
            return bell, lambda x: -x / scale**2 * bell(x)
        case Monomial(d):
            return lambda x: x**d, lambda x: d * x ** (d - 1)
        case Hermite(d):
            norm = math.sqrt(math.factorial(d))
            return (
                lambda x: eval_hermitenorm(d, x) / norm,
                lambda x: d * eval_hermitenorm(d - 1, x) / norm,
            )
        case Elementwise(name):
            return NAMED[name]
    raise ValueError(f"no function for {layer}")


def has_kink(layer: Activation) -> bool:
    """Whether the derivative jumps at zero."""
    return isinstance(layer, Relu | LeakyRelu | Abs | Sign)


def _legendre(points: int) -> tuple[np.ndarray, np.ndarray]:
    """Nodes and weights on [0, 1]."""
    node, weight = np.polynomial.legendre.leggauss(points)
    return (node + 1) / 2, weight / 2


def dual_moments(
    left: Activation,
    right: Activation,
    K: np.ndarray,
    a: np.ndarray,
    b: np.ndarray,
    reach: float = REACH,
) -> tuple[np.ndarray, np.ndarray]:
    """``E[φ(u) ψ(v)]`` and ``E[φ'(u) ψ'(v)]``.

    Args:
        K: covariances, of any shape.
        a: variances of ``u``, broadcast against ``K``.
        b: variances of ``v``.
        reach: radius to which is integrated, in standard deviations.
    """
    K, a, b = np.broadcast_arrays(*(np.asarray(x, float) for x in (K, a, b)))
    shape = K.shape
    K, a, b = K.ravel(), a.ravel().clip(0), b.ravel().clip(0)
    if left == right:
        a, b = np.minimum(a, b), np.maximum(a, b)
    # Of a symmetric matrix each entry is integrated once.
    (K, a, b), places = np.unique(np.stack([K, a, b]), axis=1, return_inverse=True)
    s = np.sqrt(a * b)
    theta = np.arccos(np.clip(np.divide(K, s, out=np.zeros_like(K), where=s > 0), -1, 1))
    # Large variances make functions steep: more points.
    finer = max(1, math.ceil(math.sqrt(max(a.max(initial=0), b.max(initial=0))) / 4))
    node, weight = _legendre(finer * RAYS)
    radius, radial = _legendre(finer * RADII)
    radius = reach * radius
    radial = reach * radial * radius * np.exp(-(radius**2) / 2) / (2 * math.pi)
    functions = [pointwise(left), pointwise(right)]
    result = np.zeros((2, len(K)))
    for index in range(len(K)):
        half = math.pi / 2
        # u = 0 on the rays t = ±π/2, v = 0 on the rays t = θ ± π/2.
        edges = np.array([-half, theta[index] - half, half, theta[index] + half, 3 * half])
        widths = np.diff(edges)
        t = (edges[:-1, None] + widths[:, None] * node).ravel()
        w = (widths[:, None] * weight).ravel()
        u = math.sqrt(a[index]) * np.outer(np.cos(t), radius)
        v = math.sqrt(b[index]) * np.outer(np.cos(t - theta[index]), radius)
        for part in (0, 1):
            result[part, index] = w @ (functions[0][part](u) * functions[1][part](v)) @ radial
    first, second = result[:, places.ravel()]
    return first.reshape(shape), second.reshape(shape)


def exponential_linear_moments(
    left: Elu | Selu, right: Elu | Selu, rho: float, a: float, b: float
) -> tuple[float, float]:
    """The moments of two exponential linear units at any variances: one integral, over ``u``.

    Given ``u``, ``v`` has mean ``rho sqrt(b/a) u`` and variance ``b (1 − rho²)``, and of such a
    normal variable the means of ``max(v, 0)`` and ``exp(v)`` below 0 are known. Panels on either
    side of 0 shrink towards it.
    """
    edges = np.concatenate([[0.0], np.geomspace(1e-6, 12.0, 150)])
    node, weight = _legendre(20)
    z = (edges[:-1, None] + np.diff(edges)[:, None] * node).ravel()
    w = (np.diff(edges)[:, None] * weight).ravel()
    z, w = np.concatenate([-z, z]), np.concatenate([w, w])
    w = w * _density(z)
    mean, deviation = rho * math.sqrt(b) * z, math.sqrt(b * (1 - rho**2))
    slope_of = pointwise(right)[1]
    p, q = float(slope_of(np.ones(()))), float(slope_of(np.zeros(())))
    if deviation == 0:
        values = [f(mean) for f in pointwise(right)]
    else:
        at = mean / deviation
        tilted = np.exp(mean + deviation**2 / 2 + log_ndtr(-at - deviation))
        ramp = mean * ndtr(at) + deviation * _density(at)
        values = [p * ramp + q * (tilted - ndtr(-at)), p * ndtr(at) + q * tilted]
    first = [f(math.sqrt(a) * z) for f in pointwise(left)]
    value, slope = (float(w @ (x * y)) for x, y in zip(first, values, strict=True))
    return value, slope


def mean_slopes(layer: Activation, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """``E[v φ(v)] / b``, by which ``u`` meets ``φ(v)`` in ``K``, and ``E[φ'(v)]``, in ``Θ``.

    The first is regression of ``u`` on ``v``, without any derivative; 0 where ``b`` is 0.
    """
    function, derivative = pointwise(layer)
    node, weight = _legendre(200)
    z = np.concatenate([-12 * node, 12 * node])
    w = np.concatenate([weight, weight]) * 12 * _density(z)
    deviation = np.sqrt(np.asarray(b).clip(0))[..., None]
    regression = (z * function(deviation * z)) @ w
    size = deviation[..., 0]
    first = np.divide(regression, size, out=np.zeros_like(regression), where=size > 0)
    return first, derivative(deviation * z) @ w
