"""Which layer a function of one number is, by its values."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import jax.numpy as jnp
import numpy as np

from ..architecture import (
    Abs,
    Activation,
    Cos,
    Elementwise,
    Elu,
    Erf,
    Exp,
    Gaussian,
    Gelu,
    LeakyRelu,
    Monomial,
    Relu,
    Selu,
    Sign,
    Sin,
)
from ..architecture.elementwise import FUNCTIONS
from ..covariance.activations.functions import function_of
from .steps import Affine, Array

POINTS = np.array([*np.linspace(-6, 6, 49), -1.618, 2.718, -80, -11, 25, 80], dtype=np.float32)
"""Where functions are compared; they hold −1, 0 and 1, and what lies beyond a ``relu6``."""

TOLERANCE = 1e-5
"""Of values, and of those above 1 relative to them: float32 has no more where terms cancel."""

Function = Callable[[Array], Array]


def recognized(function: Function) -> Activation | Affine | None:
    """The activation, or the scale and shift, that a function of float32 numbers is."""
    with np.errstate(all="ignore"):
        values = np.asarray(function(POINTS), dtype=np.float64)
    if values.shape != POINTS.shape:
        values = np.broadcast_to(values, POINTS.shape)
    if not np.isfinite(values).all():
        return None
    left, middle, right = (values[point == POINTS][0] for point in (-80, 0, 80))
    straight = Affine(np.asarray((right - left) / 160), np.asarray(middle))
    if _near(values, straight.scale * POINTS + straight.shift):
        return straight
    for layer in _candidates(values):
        if _near(values, np.asarray(function_of(layer)(jnp.asarray(POINTS)), dtype=np.float64)):
            return layer
    return None


def _near(found: Array, expected: Array) -> bool:
    return bool((np.abs(found - expected) <= TOLERANCE * np.maximum(1, np.abs(expected))).all())


def _candidates(values: Array) -> Iterator[Activation]:
    """What could have these values; parameters are read off at −1 and 1."""
    before, after = (float(values[point == POINTS][0]) for point in (-1, 1))
    yield from (Relu(), Gelu(), Selu(), Abs(), Sign(), Erf(), Sin(), Cos())
    yield from (LeakyRelu(_short(-before)), Elu(_short(-before / -math.expm1(-1))))
    yield from (Monomial(degree) for degree in range(2, 6))
    if after > 0:
        rate = _short(math.log(after))
        if rate != 0:
            yield Exp(rate)
        if rate < 0:
            yield Gaussian(_short(math.sqrt(-0.5 / rate)))
    yield from map(Elementwise, FUNCTIONS)


def _short(value: float) -> float:
    """Without the digits that float32 adds to a decimal number."""
    return float(f"{value:.6g}")
