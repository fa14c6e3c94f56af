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
                return name, _short(there.get(key)), _short(here.get(key))
            found = first_difference(there[key], here[key], name)
            if found is not None:
                return found
        return None
    return None if there == here else (field, _short(there), _short(here))


def _short(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 60 else f"{text[:57]}…"
