"""The search space that the options describe."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from .options import SpaceOptions

if TYPE_CHECKING:
    from ..spaces import Space


def space_of(options: SpaceOptions) -> Space:
    """The space of the options; a user's own module may lie in the current folder.

    Raises:
        ConfigurationError: the space, a field or a value is unknown.
    """
    from ..spaces import space_from_text

    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.append(here)
    return space_from_text(options.space)
