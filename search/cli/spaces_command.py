"""The subcommand ``kernas spaces``."""

from __future__ import annotations

from typing import Any

from .exit_codes import DONE
from .options import SpacesOptions
from .printing import say, say_json


def run_spaces(options: SpacesOptions) -> int:
    """Print the spaces with their fields, and return the exit code."""
    spaces = described()
    if options.json:
        say_json(spaces)
        return DONE
    lines: list[str] = []
    for space in spaces:
        lines += [f"{space['name']}: {space['meaning']}"]
        written = [f"{field['name']}={field['default']}" for field in space["fields"]]
        width = max(map(len, written), default=0)
        for text, field in zip(written, space["fields"], strict=True):
            lines.append(f"  {text:<{width}}  {field['meaning']} ({field['expected']})")
    say("\n".join(lines))
    return DONE


def described() -> list[dict[str, Any]]:
    """The known spaces as JSON values: names, fields, defaults, and a line on each."""
    from kernas.fields import expected, fields_of, first_line, value_text

    from ..spaces.registry import SPACES

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
            ],
        }
        for name, kind in SPACES.items()
    ]
