"""Where two records of settings, JSON values, differ: who resumes must not mix."""

from __future__ import annotations

import json
from typing import Any


def first_difference(there: Any, here: Any, field: str = "") -> tuple[str, str, str] | None:
    """The first field, in the order of ``here``, in which two JSON values differ.

    Returns:
        ``(dotted name, value there, value here)``, the values as short JSON, or ``None``.
    """
    if isinstance(there, dict) and isinstance(here, dict):
        for key in [*here, *(key for key in there if key not in here)]:
            name = f"{field}.{key}" if field else key
            if key not in there or key not in here:
                return name, short(there.get(key)), short(here.get(key))
            found = first_difference(there[key], here[key], name)
            if found is not None:
                return found
        return None
    return None if _equal(there, here) else (field, short(there), short(here))


def short(value: Any) -> str:
    """A JSON value for a message: its beginning, if it is long."""
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 60 else f"{text[:57]}…"


def _equal(there: Any, here: Any) -> bool:
    """Equality in which true is not 1."""
    if isinstance(there, list) and isinstance(here, list):
        return len(there) == len(here) and all(map(_equal, there, here))
    if isinstance(there, dict) and isinstance(here, dict):
        return first_difference(there, here) is None
    return isinstance(there, bool) == isinstance(here, bool) and there == here
