"""Options of ``kernas spaces``."""

from __future__ import annotations

from dataclasses import dataclass

from .arguments import Json


@dataclass(frozen=True)
class SpacesOptions:
    """List the search spaces and their fields, as --space takes them."""

    json: Json = False
