"""What every layer is: a frozen description, a hashable value; and checks of its parameters."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from typing import Any, ClassVar

from kernas.errors import ArchitectureError


@dataclass(frozen=True)
class Layer:
    """What a node computes. Subclasses are frozen dataclasses, hence hashable values.

    Attributes:
        arity: number of inputs of the node, ``None`` for one or more in any order.
        flattens: the output has no pixels left, whatever the input.
    """

    arity: ClassVar[int | None] = 1
    flattens: ClassVar[bool] = False

    def parameters(self) -> dict[str, Any]:
        """The layer's fields by name, as JSON values."""
        return {f.name: getattr(self, f.name) for f in fields(self)}


def finite_number(
    value: Any, name: str, *, positive: bool = False, negative: bool = True, zero: bool = True
) -> float:
    """``value`` as a finite float.

    Args:
        value: the parameter.
        name: for the message.
        positive: only numbers > 0 are taken.
        negative: whether numbers < 0 are taken.
        zero: whether 0 is taken.

    Raises:
        ArchitectureError: it is none.
    """
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = math.nan
    negative, zero = negative and not positive, zero and not positive
    if not math.isfinite(number) or (number < 0 and not negative) or (number == 0 and not zero):
        bound = " > 0" if not (negative or zero) else " >= 0" if not negative else ""
        bound = bound or ("" if zero else " other than 0")
        raise ArchitectureError(f"{name}={value!r}: expected a finite number{bound}")
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
