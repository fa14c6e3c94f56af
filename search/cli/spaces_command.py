"""The subcommands ``kernas spaces`` and ``kernas strategies``: classes and their fields."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .exit_codes import DONE
from .options import SpacesOptions, StrategiesOptions
from .printing import say, say_json


def run_spaces(options: SpacesOptions) -> int:
    """Print the spaces with their fields, and return the exit code."""
    from ..spaces.registry import SPACES

    return _shown(described(SPACES), json=options.json)


def run_strategies(options: StrategiesOptions) -> int:
    """Print the strategies with their fields, and return the exit code."""
    from ..studies.registry import STRATEGIES

    return _shown(described(STRATEGIES), json=options.json)


def _shown(known: list[dict[str, Any]], *, json: bool) -> int:
    if json:
        say_json(known)
        return DONE
    lines: list[str] = []
    for one in known:
        lines += [f"{one['name']}: {one['meaning']}"]
        written = [f"{field['name']}={field['default']}" for field in one["fields"]]
        width = max(map(len, written), default=0)
        for text, field in zip(written, one["fields"], strict=True):
            lines.append(f"  {text:<{width}}  {field['meaning']} ({field['expected']})")
    say("\n".join(lines))
    return DONE


def described(kinds: Mapping[str, type]) -> list[dict[str, Any]]:
    """Classes as JSON values: names, fields that a text sets, defaults, and a line on each."""
    from kernas.fields import expected, fields_of, first_line, is_written, value_text

    return [
        {
            "name": name,
            "meaning": first_line(kind),
            "fields": [
                {
                    "name": field.name,
                    "default": value_text(field.default),
                    "expected": expected(field.type),
                    "meaning": field.meaning,
                }
                for field in fields_of(kind)
                if is_written(field)
            ],
        }
        for name, kind in kinds.items()
    ]
