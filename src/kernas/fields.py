"""The fields of a dataclass as text: ``cells=1,reduction=pool`` of a space, or of a data set."""

from __future__ import annotations

import inspect
import re
from collections.abc import Sequence
from dataclasses import MISSING, fields, is_dataclass
from difflib import get_close_matches
from types import NoneType, UnionType
from typing import Any, Literal, NamedTuple, Union, get_args, get_origin, get_type_hints

from kernas.errors import ConfigurationError

BOOLEANS = {"true": True, "yes": True, "false": False, "no": False}
JOINED = "+"
"""Between the texts of a tuple."""


class Field(NamedTuple):
    """One field: its name in texts and in Python, its type, its default and what it means."""

    name: str
    attribute: str
    type: Any
    default: Any
    meaning: str


def fields_of(kind: type) -> list[Field]:
    """The fields of a class by which an instance is made; none if it is no dataclass.

    A field whose metadata has an ``alias`` is called so in texts. Its meaning is the first sentence
    about it in the class's docstring, or of one that it derives from.
    """
    if not is_dataclass(kind):
        return []
    types, meanings = get_type_hints(kind), _meanings(kind)
    return [
        Field(
            field.metadata.get("alias", field.name),
            field.name,
            types[field.name],
            field.default if field.default_factory is MISSING else field.default_factory(),
            meanings.get(field.name, ""),
        )
        for field in fields(kind)
        if field.init
    ]


def parse_fields(kind: type, text: str, whole: str) -> dict[str, Any]:
    """The values of ``field=value,field=value`` by attribute.

    Args:
        kind: the dataclass.
        text: the fields.
        whole: what messages quote.

    Raises:
        ConfigurationError: a field is unknown, stands twice, or has a value of another type.
    """
    known = {field.name: field for field in fields_of(kind) if is_written(field)}
    values: dict[str, Any] = {}
    for part in text.split(",") if text else ():
        name, equals, value = (piece.strip() for piece in part.partition("="))
        if name not in known:
            raise ConfigurationError(
                f"{whole!r}: unknown field {name!r}{nearest(name, known)}, expected field=value "
                f"with {', '.join(known) or 'no field: it has none'}"
            )
        field = known[name]
        if not equals or field.attribute in values:
            problem = "has no value" if not equals else "stands twice"
            raise ConfigurationError(f"{whole!r}: {name} {problem}; write {name}=value once")
        values[field.attribute] = _value(field, value, whole)
    return values


def format_fields(value: Any) -> str:
    """The fields of a dataclass that are not as by default, which :func:`parse_fields` reads."""
    changed = []
    for field in fields_of(type(value)):
        own = getattr(value, field.attribute)
        if own != field.default:
            changed.append(f"{field.name}={value_text(own)}")
    return ",".join(changed)


def is_written(field: Field) -> bool:
    """Whether a text can have a value of the field: not of a function, or another object."""
    kinds = get_args(field.type) if get_origin(field.type) in (Union, UnionType) else (field.type,)
    return all(
        kind in (int, float, bool, str, NoneType) or get_origin(kind) in (Literal, tuple)
        for kind in kinds
    )


def value_text(value: Any) -> str:
    """A value of a field as it is written."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        return JOINED.join(map(value_text, value))
    return "none" if value is None else str(value)


def expected(kind: Any) -> str:
    """What a field's type takes, in words."""
    if get_origin(kind) is Literal:
        return " or ".join(map(str, get_args(kind)))
    if get_origin(kind) is tuple:
        return f"texts joined by {JOINED}"
    if get_origin(kind) in (Union, UnionType):
        return " or ".join(map(expected, get_args(kind)))
    names = {int: "an integer", float: "a number", bool: "true or false", str: "a text"}
    return "none" if kind is NoneType else names.get(kind, str(kind))


def nearest(word: str, known: Any) -> str:
    """A proposal for a word that is not known, if there is one near it."""
    found = get_close_matches(word, list(map(str, known)), n=1, cutoff=0.5)
    return f", did you mean {found[0]!r}?" if found else ""


def _value(field: Field, text: str, whole: str) -> Any:
    try:
        return _converted(field.type, text)
    except ValueError:
        of = get_args(field.type) if get_origin(field.type) is Literal else ()
        raise ConfigurationError(
            f"{whole!r}: {field.name}={text}{nearest(text, of)}: expected {expected(field.type)}"
        ) from None


def _converted(kind: Any, text: str) -> Any:
    """A text as a value of a type.

    Raises:
        ValueError: it is none.
    """
    origin, inside = get_origin(kind), get_args(kind)
    if origin is Literal:
        return {str(value): value for value in inside}[_known(text, map(str, inside))]
    if origin is tuple:
        return tuple(_converted(inside[0], part.strip()) for part in text.split(JOINED))
    if origin in (Union, UnionType):
        if NoneType in inside and text == "none":
            return None
        return _converted(next(part for part in inside if part is not NoneType), text)
    if kind is bool:
        return BOOLEANS[_known(text.lower(), BOOLEANS)]
    if kind in (int, float, str):
        return kind(text)
    raise ValueError(text)


def _known(text: str, known: Any) -> str:
    if text not in (names := list(known)):
        raise ValueError(f"{text}: expected one of {names}")
    return text


def _meanings(kind: type) -> dict[str, str]:
    """What the docstrings of a class and of those that it derives from say of each argument."""
    found: dict[str, str] = {}
    for one in reversed(kind.__mro__):
        found |= _own_meanings(one)
    return found


def _own_meanings(kind: type) -> dict[str, str]:
    """What the docstring of a class says of each argument, up to the end of a sentence."""
    lines = inspect.cleandoc(kind.__doc__ or "").splitlines()
    if "Args:" not in lines:
        return {}
    found: dict[str, str] = {}
    name = ""
    for line in lines[lines.index("Args:") + 1 :]:
        if line and not line.startswith(" "):
            break
        begun = re.match(r" {4}(\w+): (.*)", line)
        if begun:
            name = begun[1]
            found[name] = begun[2]
        elif name:
            found[name] = f"{found[name]} {line.strip()}".strip()
    return {name: _first_sentence(text) for name, text in found.items()}


def _first_sentence(text: str) -> str:
    end = re.search(r"\.(\s|$)", text)
    text = text[: end.start()] if end else text
    return re.sub(r":\w+:`([^`]*)`", r"\1", text).replace("``", "")


def first_line(kind: type) -> str:
    """The first line of a class's docstring, without the dot."""
    lines: Sequence[str] = inspect.cleandoc(kind.__doc__ or "").splitlines()
    return lines[0].removesuffix(".") if lines else ""
