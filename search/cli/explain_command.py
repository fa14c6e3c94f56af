"""The subcommand ``kernas explain``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kernas.errors import ConfigurationError

from .exit_codes import DONE
from .options import ExplainOptions
from .printing import say
from .space import space_of

if TYPE_CHECKING:
    from ..spaces import Candidate


def run_explain(options: ExplainOptions) -> int:
    """Explain each architecture that the options name, and return the exit code."""
    from kernas.kernels import explain

    candidates, shape = candidates_and_shape(options)
    for candidate in candidates:
        say(candidate.name)
        say(str(explain(candidate.architecture, shape)))
    return DONE


def candidates_and_shape(options: ExplainOptions) -> tuple[list[Candidate], tuple[int, ...]]:
    """The architectures that the options name, and the images that they are to see.

    Raises:
        ConfigurationError: the size or the channels are not usable.
    """
    from ..spaces import read_candidates

    if options.image_size < 0 or options.channels < 1:
        raise ConfigurationError(
            f"--image-size {options.image_size} --channels {options.channels}: expected a side in "
            "pixels, or 0 for vectors, and at least one channel"
        )
    side, channels = options.image_size, options.channels
    shape = (side, side, channels) if side else (channels,)
    return list(read_candidates([options.architecture], space_of(options))), shape
