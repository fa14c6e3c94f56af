"""Options of ``kernas scores``, ``kernas spaces`` and ``kernas strategies``."""

from __future__ import annotations

from dataclasses import dataclass

from .arguments import Json


@dataclass(frozen=True)
class ScoresOptions:
    """List the scores, as --score takes them: direction, cost, what each is and its source."""

    json: Json = False


@dataclass(frozen=True)
class SpacesOptions:
    """List the search spaces and their fields, as --space takes them."""

    json: Json = False


@dataclass(frozen=True)
class StrategiesOptions:
    """List the strategies of a search and their fields, as --strategy takes them."""

    json: Json = False
