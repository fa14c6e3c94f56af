"""What every layer is: a frozen description, a hashable value; and checks of its parameters."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from typing import Any, ClassVar, Self

import numpy as np

from kernas.errors import ArchitectureError

from .foreign_names import refuse_foreign_call


@dataclass(frozen=True)
class Layer:
    """What a node computes. Subclasses are frozen dataclasses, hence hashable values.

    Attributes:
        arity: number of inputs of the node, ``None`` for one or more.
        flattens: the output has no pixels left, whatever the input.

    Raises:
        ArchitectureError: it is called as a layer of another library is, e.g. with channels.
    """

    arity: ClassVar[int | None] = 1
    flattens: ClassVar[bool] = False

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        refuse_foreign_call(
            cls.__name__, args, kwargs, tuple(f.name for f in fields(cls)), cls.__match_args__
        )
        return super().__new__(cls)

    def parameters(self) -> dict[str, Any]:
        """The layer's fields by name, as JSON values."""
        return {f.name: getattr(self, f.name) for f in fields(self)}


LARGEST = 1e30
"""Parameters of layers are squared and multiplied with each other, so they keep away from the end
of float64."""


def finite_number(
    value: Any,
    name: str,
    *,
    at_least: float = -math.inf,
    above: float = -math.inf,
) -> float:
    """``value`` as a finite float.

    Raises:
        ArchitectureError: it is none (a truth value or a text is none), is less than ``at_least``,
            not more than ``above``, or beyond ``LARGEST``.
    """
    try:
        number = math.nan if isinstance(value, bool | np.bool_ | str | bytes) else float(value)
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if LARGEST < abs(number) < math.inf:
        raise ArchitectureError(
            f"{name}={value!r}: expected a finite number of at most {LARGEST:g} in size"
        )
    if not (math.isfinite(number) and number >= at_least and number > above):
        bounds = f" >= {at_least:g}" if at_least > -math.inf else ""
        bounds += f" > {above:g}" if above > -math.inf else ""
        raise ArchitectureError(f"{name}={value!r}: expected a finite number{bounds}")
    return number


def nonzero_number(value: Any, name: str) -> float:
    """``value`` as a finite float other than 0.

    Raises:
        ArchitectureError: it is none.
    """
    number = finite_number(value, name)
    if number == 0:
        raise ArchitectureError(f"{name}={value!r}: expected a finite number other than 0")
    return number


def integer_in(value: Any, name: str, low: int, high: int, why: str = "") -> int:
    """``value`` if it is an integer from ``low`` to ``high``.

    Raises:
        ArchitectureError: it is none; ``why`` is added to the message.
    """
    if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
        raise ArchitectureError(f"{name}={value!r}: expected an integer from {low} to {high}{why}")
    return value


def flag(value: Any, name: str) -> bool:
    """``value`` if it is ``True`` or ``False``.

    Raises:
        ArchitectureError: it is neither.
    """
    if not isinstance(value, bool):
        raise ArchitectureError(f"{name}={value!r}: expected True or False")
    return value
