"""Options of ``kernas scores``, ``spaces``, ``strategies`` and ``doctor``."""

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


@dataclass(frozen=True)
class DoctorOptions:
    """Look at this installation: versions, device, folders, data, and a ten-second self-test.

    Exits with 1 if something stands in the way of work.
    """

    json: Json = False
