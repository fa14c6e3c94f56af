"""Options of ``kernas spaces``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import tyro


@dataclass(frozen=True)
class SpacesOptions:
    """List the search spaces and their fields, as --space takes them."""

    json: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    """Print one JSON list and nothing else on stdout."""
