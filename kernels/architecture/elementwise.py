"""Nonlinearities without a closed form, by name: what ``Elementwise(name)`` computes.

A network is a value that is hashed and written as JSON, and a Python callable can be neither. So a
function enters under a name, and the name stands for it in hashes and files.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import jax
import jax.numpy as jnp
from jax import Array

from kernas.errors import ArchitectureError

from .foreign_names import answer

Function = Callable[[Array], Array]

FUNCTIONS: dict[str, Function] = {
    "arctan": jnp.arctan,
    "gelu_tanh": lambda x: jax.nn.gelu(x, approximate=True),
    "mish": lambda x: x * jnp.tanh(jax.nn.softplus(x)),
    "sigmoid": jax.nn.sigmoid,
    "silu": jax.nn.silu,
    "softplus": jax.nn.softplus,
    "tanh": jnp.tanh,
}
"""Smooth functions of users' networks; :func:`register_elementwise` adds to them."""


def register_elementwise(name: str, function: Function) -> None:
    """Let ``Elementwise(name)`` stand for a function of your own.

    The kernel of such a layer is a Hermite series whose coefficients are integrated numerically;
    it converges for smooth functions, and a function with kinks is refused when the kernel is made
    (write it with ``LeakyRelu``, ``Abs`` or ``Sign``, whose kernels are exact).

    Args:
        name: what hashes and files call it. A changed function needs a new name: results that were
            recorded under a name are taken to be of the same function.
        function: works on JAX arrays of any shape, each number by itself, and is differentiable.

    Raises:
        ArchitectureError: the name is taken by another function, or the function does not map an
            array to an array of finite numbers of the same shape.

    >>> import jax.numpy as jnp
    >>> from kernas.kernels import Dense, Elementwise, register_elementwise, serial
    >>> register_elementwise("log_cosh", lambda x: jnp.logaddexp(x, -x) - jnp.log(2.0))
    >>> serial(Dense(), Elementwise("log_cosh"), Dense())
    <Architecture 4 nodes, 2 weight layers>
    """
    if not isinstance(name, str) or not name:
        raise ArchitectureError(f"name={name!r}: expected a word, e.g. 'log_cosh'")
    if FUNCTIONS.get(name, function) is not function:
        raise ArchitectureError(
            f"name={name!r} stands for another function already; choose a new name"
        )
    x = jnp.linspace(-2.0, 2.0, 6).reshape(2, 3)
    value = jnp.asarray(function(x))
    if value.shape != x.shape or not bool(jnp.isfinite(value).all()):
        raise ArchitectureError(
            f"function of {name!r}: expected finite numbers of shape {x.shape} for numbers of that "
            f"shape in [-2, 2], got {value.dtype} of shape {value.shape}; map each number by itself"
        )
    FUNCTIONS[name] = function


def function_named(name: str, layers: Iterable[str] = ()) -> Function:
    """The function that a name stands for.

    Args:
        name: as in ``Elementwise(name)``.
        layers: names of nonlinearities that are layers of their own, for the message.

    Raises:
        ArchitectureError: no function has this name in this process.
    """
    if not isinstance(name, str) or name not in FUNCTIONS:
        said = answer(name, (*FUNCTIONS, *layers))
        hint = "" if said is None else f"{said}; "
        raise ArchitectureError(
            f"name={name!r}: {hint}expected one of {', '.join(sorted(FUNCTIONS))}; add your own "
            "with register_elementwise(name, function)"
        )
    return FUNCTIONS[name]
