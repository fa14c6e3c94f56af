"""Functions of numbers by the names that libraries call them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
from scipy.special import erf, expit

from .steps import Affine, Array, Pointwise, Step

FUNCTIONS: dict[str, Callable[..., Any]] = {
    "add": np.add,
    "sub": np.subtract,
    "mul": np.multiply,
    "div": np.divide,
    "truediv": np.divide,
    "neg": np.negative,
    "negative": np.negative,
    "pow": np.power,
    "square": np.square,
    "sqrt": np.sqrt,
    "reciprocal": np.reciprocal,
    "abs": np.abs,
    "sign": np.sign,
    "exp": np.exp,
    "log": np.log,
    "log1p": np.log1p,
    "sin": np.sin,
    "cos": np.cos,
    "tanh": np.tanh,
    "atan": np.arctan,
    "arctan": np.arctan,
    "sigmoid": expit,
    "erf": erf,
    "maximum": np.maximum,
    "minimum": np.minimum,
    "clamp": lambda x, low=None, high=None: np.clip(x, low, high),
    "clamp_min": np.maximum,
}

LINEAR = ("add", "sub", "mul", "div", "truediv")


def arithmetic(name: str, arguments: list[Any]) -> tuple[Step, tuple[str, ...]] | None:
    """A function of what the network computes, and the names of what that is.

    Args:
        name: in ``FUNCTIONS``.
        arguments: names of operations as texts, constants as numbers and arrays.

    Returns:
        ``None`` where an array is none for every channel, or is not added or multiplied.
    """
    inputs = tuple(part for part in arguments if isinstance(part, str))
    arrays = [part for part in arguments if isinstance(part, np.ndarray) and part.size > 1]
    if arrays:
        step = _of_channels(name, arguments) if len(arguments) == 2 and inputs else None
        return None if step is None else (step, inputs)
    constants = [
        part if isinstance(part, str) or part is None else np.float32(part) for part in arguments
    ]

    def function(*values: Array) -> Array:
        rest = iter(values)
        return FUNCTIONS[name](*(next(rest) if isinstance(c, str) else c for c in constants))

    adds = name == "add" and len(inputs) == 2
    return Pointwise(function, adds), inputs


def _of_channels(name: str, arguments: list[Any]) -> Step | None:
    """A scale and a shift of every channel."""
    if name not in LINEAR:
        return None
    first = isinstance(arguments[0], str)
    given = np.asarray(arguments[1 if first else 0], dtype=np.float64)
    last = given.ndim < 3
    constant = channels_of(given, -1 if last else -3)
    if constant is None:
        return None
    found = with_constant(name, constant, first=first)
    return None if found is None else replace(found, of_last_axis=last)


def with_constant(name: str, constant: Array, *, first: bool) -> Affine | None:
    """``x`` and a constant, added or multiplied; ``None`` for what is no scale and shift of ``x``.

    Args:
        name: in ``LINEAR``.
        constant: one number, or one for every channel.
        first: whether ``x`` is the first of both.
    """
    one, none = np.ones(()), np.zeros(())
    match name:
        case "add":
            return Affine(one, constant)
        case "sub":
            return Affine(one, -constant) if first else Affine(-one, constant)
        case "mul":
            return Affine(constant, none)
        case "div" | "truediv" if first:
            return Affine(1 / constant, none)
    return None


def channels_of(array: Any, axis: int) -> Array | None:
    """The numbers of a constant, if it has one for all or one for every channel.

    Args:
        array: as it is added to features or multiplied with them.
        axis: of the channels among the axes of features, counted from the end: -3 or -1.
    """
    constant = np.asarray(array)
    if constant.size == 1:
        return constant.reshape(())
    if constant.ndim < -axis or constant.size != constant.shape[axis]:
        return None
    return constant.ravel()
