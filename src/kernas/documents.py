"""JSON documents, read strictly: what is malformed, or of another kind than expected, is said.

``json.loads`` alone takes repeated keys, ``NaN``, numbers beyond every range and surrogates without
their pair, and ends in other errors where brackets are deep or integers long. What kernas writes
for itself is sealed: it carries the checksum of its content.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

from kernas.comparison import short
from kernas.errors import DocumentError
from kernas.files import open_regular

T = TypeVar("T")

LARGEST = 64 * 2**20
"""Bytes of a document: a network of a thousand layers has less than a hundredth of it."""

DEEPEST = 100
"""Brackets that may be open at a time: the documents of kernas have fewer than 20."""

LONGEST = 100
"""Digits of an integer: seeds of 128 bits have 39."""

CHECKSUM = "checksum"

_TOKENS = re.compile(r'"[^"\\]*+(?:\\.[^"\\]*+)*+"?|[\[\]{}]', re.DOTALL)
"""Strings, also one without its end, and brackets."""

_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")


def read(path: Path, *, finite: bool = True) -> Any:
    """The JSON value in a file: see :func:`parse`.

    Raises:
        DocumentError: it is malformed, or too large.
        OSError: it cannot be read.
    """
    with open_regular(path) as file:
        size = os.fstat(file.fileno()).st_size
        if size > LARGEST:
            raise DocumentError(f"{size:,} bytes: expected at most {LARGEST:,}")
        return parse(file.read(), finite=finite)


def parse(data: bytes | str, *, finite: bool = True) -> Any:
    """A JSON value.

    Args:
        data: a text, or its bytes in UTF-8.
        finite: whether ``NaN``, ``Infinity`` and numbers beyond float64 are refused.

    Raises:
        DocumentError: it is malformed, repeats a key, is nested too deeply, or has a number that is
            none; the message says which of these, not what was read.
    """
    try:
        text = data if isinstance(data, str) else data.decode()
        text.encode()  # a text may hold what no file does
        _check_depth(text)
        found = json.loads(
            text,
            object_pairs_hook=_object,
            parse_int=_integer,
            parse_float=_finite if finite else None,
            parse_constant=_constant if finite else None,
        )
        if _SURROGATE.search(text):
            json.dumps(found, ensure_ascii=False).encode()
    except (UnicodeDecodeError, UnicodeEncodeError) as error:
        raise DocumentError(f"not UTF-8 ({error.reason})") from None
    except json.JSONDecodeError as error:
        raise DocumentError(f"not JSON ({error})") from None
    return found


@dataclass(frozen=True)
class Kind(Generic[T]):
    """What a value has to be.

    Attributes:
        words: what that is, for messages: ``"an integer"``.
        holds: whether a JSON value is it.
    """

    words: str
    holds: Callable[[Any], bool]


TEXT: Kind[str] = Kind("a text", lambda value: isinstance(value, str))
INTEGER: Kind[int] = Kind("an integer", lambda value: type(value) is int)
COUNT: Kind[int] = Kind("an integer >= 0", lambda value: type(value) is int and value >= 0)
SIZE: Kind[int] = Kind("an integer >= 1", lambda value: type(value) is int and value >= 1)
NUMBER: Kind[float] = Kind(
    "a finite number", lambda value: type(value) in (int, float) and math.isfinite(value)
)
NOT_NEGATIVE: Kind[float] = Kind(
    "a finite number >= 0", lambda value: NUMBER.holds(value) and value >= 0
)
POSITIVE: Kind[float] = Kind("a finite number > 0", lambda value: NUMBER.holds(value) and value > 0)
FLAG: Kind[bool] = Kind("true or false", lambda value: isinstance(value, bool))
OBJECT: Kind[dict[str, Any]] = Kind("an object", lambda value: isinstance(value, dict))


def one_of(*values: T) -> Kind[T]:
    """One of some values, of their types."""
    words = ", ".join(map(short, values))
    return Kind(
        words if len(values) == 1 else f"one of {words}",
        lambda value: any(type(value) is type(known) and value == known for known in values),
    )


def optional(kind: Kind[T]) -> Kind[T | None]:
    """That kind, or null."""
    return Kind(f"{kind.words}, or null", lambda value: value is None or kind.holds(value))


def list_of(kind: Kind[T], length: int | None = None) -> Kind[list[T]]:
    """A list whose members are of that kind."""
    return Kind(
        f"a list of {'' if length is None else f'{length} times '}{kind.words}",
        lambda value: (
            isinstance(value, list) and length in (None, len(value)) and all(map(kind.holds, value))
        ),
    )


def expect(value: Any, kind: Kind[T], name: str) -> T:
    """A value of a kind.

    Args:
        value: found in a document.
        kind: that it has to be of.
        name: where it was found, for the message.

    Raises:
        DocumentError: it is of another kind.
    """
    if not kind.holds(value):
        raise DocumentError(f"{name} is {short(value)}: expected {kind.words}")
    return value


def field(document: Any, name: str, kind: Kind[T]) -> T:
    """A field of a document.

    Args:
        document: an object, perhaps of objects.
        name: the field's, with dots between the keys: ``"kernel.get"``.
        kind: of its value.

    Raises:
        DocumentError: it is missing, or its value is of another kind.
    """
    value, way = document, ""
    for key in name.split("."):
        if key not in expect(value, OBJECT, way or "the document"):
            raise DocumentError(f"it lacks {name!r}")
        value, way = value[key], f"{way}.{key}" if way else key
    return expect(value, kind, name)


def checksum(document: Mapping[str, Any]) -> str:
    """SHA-256 of JSON values by name, but for their own checksum, in hexadecimal."""
    content = {key: value for key, value in document.items() if key != CHECKSUM}
    text = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def sealed(
    document: Mapping[str, Any], default: Callable[[Any], Any] | None = None
) -> dict[str, Any]:
    """A document as JSON has it, with its checksum.

    Args:
        document: values by name.
        default: of ``json.dumps``, for values that JSON does not have.
    """
    content = json.loads(json.dumps(document, default=default))
    return {**content, CHECKSUM: checksum(content)}


def unsealed(document: Any) -> dict[str, Any]:
    """A sealed document without its checksum.

    Raises:
        DocumentError: it has none, or another than its content.
    """
    written, found = field(document, CHECKSUM, TEXT), checksum(document)
    if written != found:
        raise DocumentError(f"its content has the checksum {found[:12]}…, not {written[:12]!r}…")
    return {key: value for key, value in document.items() if key != CHECKSUM}


def _check_depth(text: str) -> None:
    if text.count("[") + text.count("{") <= DEEPEST:
        return
    depth = 0
    for token in _TOKENS.finditer(text):
        depth += {"[": 1, "{": 1, "]": -1, "}": -1}.get(token[0], 0)
        if depth > DEEPEST:
            raise DocumentError(f"more than {DEEPEST} brackets are open at a time")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in found if keys.count(key) > 1)
        raise DocumentError(f"the key {short(twice)} stands there twice")
    return found


def _integer(digits: str) -> int:
    if len(digits) > LONGEST:
        raise DocumentError(f"an integer of {len(digits):,} digits")
    return int(digits)


def _finite(digits: str) -> float:
    number = float(digits)
    if not math.isfinite(number):
        raise DocumentError(f"the number {short(digits)} is beyond float64")
    return number


def _constant(name: str) -> Any:
    raise DocumentError(f"{name} is no number of JSON")
