"""Data sets that are made when they are named, by a name with fields: ``circle:degree=2,n=400``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

from kernas.errors import ConfigurationError
from kernas.fields import fields_of, parse_fields, value_text

from .named_points import Circle, Hypercube, Hypersphere
from .signals import Rows, Text
from .source import Source

ReadSource = Callable[[str], Source]


class NamedSet(Protocol):
    """What a name with its fields stands for: a dataclass whose fields are those of the text."""

    def source(self, whole: str, read: ReadSource) -> Source:
        """Its arrays.

        Args:
            whole: its name with all fields.
            read: what reads other data sets.

        Raises:
            ConfigurationError, DataError: a field is out of its range, or a file no such data.
        """
        ...


NAMED_SETS: Mapping[str, type[NamedSet]] = {
    "hypersphere": Hypersphere,
    "circle": Circle,
    "hypercube": Hypercube,
    "rows": Rows,
    "text": Text,
}
"""Synthetic sets of vectors, and those of signals that are made of other data."""


def is_named(text: str) -> bool:
    """Whether a text is the name of such a set, with fields or without."""
    return text.partition(":")[0].strip() in NAMED_SETS


def whole_text(text: str) -> str:
    """A name with all its fields, the same however it is written.

    Raises:
        ConfigurationError: a field or its value is unknown.
    """
    name, made = _made(text)
    fields = (
        f"{of.name}={value_text(getattr(made, of.attribute))}" for of in fields_of(type(made))
    )
    return f"{name}:{','.join(fields)}"


def read_named(text: str, read: ReadSource) -> Source:
    """The arrays of the set that a name with its fields stands for.

    Args:
        text: the name.
        read: what reads other data sets.

    Raises:
        ConfigurationError: a field is unknown, or its value is out of its range.
        DataError: what the set is made of cannot be read.
    """
    _, made = _made(text)
    try:
        return made.source(whole_text(text), read)
    except ConfigurationError as error:
        raise ConfigurationError(f"data set {text!r}: {error}") from None


def _made(text: str) -> tuple[str, NamedSet]:
    name, _, fields = (part.strip() for part in text.partition(":"))
    kind = NAMED_SETS[name]
    return name, kind(**parse_fields(kind, fields, text))
