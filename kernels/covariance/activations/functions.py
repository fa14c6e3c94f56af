"""The nonlinearities themselves, as functions of a JAX array, and their derivatives."""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp
from jax import Array

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
from ...architecture.elementwise import Function, function_named


def function_of(activation: Activation) -> Function:
    """``φ``, each number of an array by itself."""
    match activation:
        case Relu():
            return jax.nn.relu
        case LeakyRelu(slope):
            return lambda x: jnp.where(x > 0, x, slope * x)
        case Elu(alpha):
            return lambda x: jax.nn.elu(x, alpha)
        case Selu():
            return jax.nn.selu
        case Abs():
            return jnp.abs
        case Sign():
            return jnp.sign
        case Erf():
            return jax.scipy.special.erf
        case Gelu():
            return lambda x: x * jax.scipy.special.ndtr(x)
        case Sin():
            return jnp.sin
        case Cos():
            return jnp.cos
        case Sinusoid(frequency, phase):
            return lambda x: jnp.sin(frequency * x + phase)
        case Exp(rate):
            return lambda x: jnp.exp(rate * x)
        case Gaussian(scale):
            return lambda x: jnp.exp(-((x / scale) ** 2) / 2)
        case Monomial(degree):
            return lambda x: x**degree
        case Hermite(degree):
            return lambda x: _hermite(degree, x)
        case Elementwise(name):
            return function_named(name)
    raise TypeError(f"no function is known for {activation}")


def derivative_of(activation: Activation) -> Function:
    """``φ'`` almost everywhere."""
    function = function_of(activation)
    return lambda x: jax.jvp(function, (x,), (jnp.ones_like(x),))[1]


def _hermite(degree: int, x: Array) -> Array:
    before, value = jnp.ones_like(x), x
    for n in range(1, degree):
        before, value = value, (x * value - math.sqrt(n) * before) / math.sqrt(n + 1)
    return value
