"""The search space that the options describe, and one network of it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from kernas.errors import ConfigurationError

from ..defaults import SPACE
from .options import SpaceOptions

if TYPE_CHECKING:
    from kernas.kernels import Architecture

    from ..spaces import Candidate, Space


def space_of(options: SpaceOptions, default: str = SPACE) -> Space:
    """The space of the options, or one by default; a user's own module may lie in the current
    folder.

    Raises:
        ConfigurationError: the space, a field or a value is unknown.
    """
    from ..spaces import space_from_text

    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.append(here)
    return space_from_text(options.space or default)


def candidate_of(options: SpaceOptions, text: str) -> Candidate:
    """The one candidate that a cell string or a file names.

    Raises:
        ConfigurationError: they are several.
    """
    from ..spaces import read_candidates

    candidates = read_candidates([text], space_of(options))
    if len(candidates) != 1:
        raise ConfigurationError(
            f"{text} has {len(candidates)} cells: expected one network; give the cell's string"
        )
    return candidates[0]


def architecture_of(options: SpaceOptions, text: str) -> Architecture:
    """The one network that a cell string or a file names.

    Raises:
        ConfigurationError: they are several.
    """
    return candidate_of(options, text).architecture
