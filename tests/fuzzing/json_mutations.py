"""Damage to JSON documents that knows their structure: values, keys, types, nesting, seals."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from typing import Any

import numpy as np

from kernas.documents import CHECKSUM, sealed

VALUES: tuple[Any, ...] = (
    *(None, True, False, 0, 1, -1, 2, 0.5, -0.0, 1e-300, 1e30, 1e200, 10**18, 10**40),
    *(float("nan"), float("inf"), "", "x", "ntk", "\0", "ü\u2028", "../x", "9" * 50, "a" * 5000),
    *([], {}, [[]], [1, 2], {"a": 1}, [None] * 40),
)
"""What a value is replaced by."""

RAW = (
    *("9" * 6000, "1e999", "-Infinity", r'"\ud800"', '"\\x"', "'a'", "[" * 200 + "]" * 200),
    *('{"a":' * 200 + "1" + "}" * 200, "01", "tru", "", '"', "{", "]", ",", "/**/1", '"\t"'),
)
"""Texts that stand in place of a value, most of which are no JSON."""

_HOLE = "…hole…"


def mutate_json(rng: np.random.Generator, content: bytes, *, seal: bool) -> bytes:
    """One to three changes of a document.

    Args:
        rng: decides which.
        content: of the document.
        seal: whether objects that had a checksum get the one of what they say now.
    """
    document = json.loads(content)
    raw = ""
    for _ in range(int(rng.choice([1, 1, 2, 3]))):
        places = list(_places(document))
        if not places:
            break
        holder, key = places[int(rng.integers(len(places)))]
        change = int(rng.integers(8))
        if change == 0:
            del holder[key]
        elif change == 1:
            holder[key] = [holder[key]]
        elif change == 2:
            other, name = places[int(rng.integers(len(places)))]
            holder[key] = copy.deepcopy(other[name])
        elif change == 3 and isinstance(holder[key], int | float):
            holder[key] = [holder[key] + 1, -holder[key], holder[key] * 2, str(holder[key])][
                int(rng.integers(4))
            ]
        elif change == 4 and isinstance(holder, dict):
            holder[str(VALUES[int(rng.integers(len(VALUES)))])[:20]] = holder[key]
        elif change == 5 and isinstance(holder, list):
            holder.insert(key, copy.deepcopy(holder[key]))
        elif change == 6 and not raw:
            holder[key], raw = _HOLE, RAW[int(rng.integers(len(RAW)))]
        else:
            holder[key] = copy.deepcopy(VALUES[int(rng.integers(len(VALUES)))])
    if seal:
        document = _sealed_again(document)
    text = json.dumps(document, ensure_ascii=bool(rng.integers(2)))
    text = text.replace(json.dumps(_HOLE), raw).replace(f'"{_HOLE}"', raw)
    if rng.random() < 0.1:  # a key that stands there twice
        text = text.replace("{", '{"version": 1, "version": 2, ', 1)
    return text.encode("utf-8", "surrogatepass")


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Every value within another one, as its holder and its key."""
    items = value.items() if isinstance(value, dict) else enumerate(value)
    for key, inner in list(items):
        yield value, key
        if isinstance(inner, dict | list):
            yield from _places(inner)


def _sealed_again(value: Any) -> Any:
    if isinstance(value, list):
        return [_sealed_again(inner) for inner in value]
    if not isinstance(value, dict):
        return value
    found = {key: _sealed_again(inner) for key, inner in value.items()}
    return sealed(found) if CHECKSUM in found else found
