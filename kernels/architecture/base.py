"""What every layer is: a frozen description, a hashable value."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, ClassVar


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
