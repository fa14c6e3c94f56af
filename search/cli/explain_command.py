"""The subcommand ``kernas explain``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from kernas.errors import ConfigurationError, RunFolderError
from kernas.files import write_whole

from .exit_codes import DONE
from .options import ExplainOptions, SeenOptions
from .printing import say
from .space import space_of

if TYPE_CHECKING:
    from ..spaces import Candidate


def run_explain(options: ExplainOptions) -> int:
    """Explain each architecture that the options name, and return the exit code."""
    from kernas.kernels import explain

    candidates, shape = candidates_and_shape(options)
    if options.svg is not None:
        _draw(candidates, options.svg)
    for candidate in candidates:
        say(candidate.name)
        say(str(explain(candidate.architecture, shape)))
    return DONE


def _draw(candidates: Sequence[Candidate], path: Path) -> None:
    """Write the picture of the one candidate.

    Raises:
        ConfigurationError: there are several, it is too large, or the file is there.
        RunFolderError: it cannot be written.
    """
    if len(candidates) != 1:
        raise ConfigurationError(f"--svg of {len(candidates)} networks: expected one")
    picture = candidates[0].svg()
    if picture is None:
        raise ConfigurationError(
            f"--svg: {candidates[0].name:.60} has {len(candidates[0].architecture)} nodes, which "
            "no picture shows; draw a smaller network, for example of one cell a stage"
        )
    if path.exists():
        raise ConfigurationError(f"--svg {path} is there already; choose another name")
    try:
        write_whole(path, f"{picture}\n".encode())
    except OSError as error:
        raise RunFolderError(f"--svg {path} cannot be written ({error.strerror})") from None


def candidates_and_shape(options: SeenOptions) -> tuple[list[Candidate], tuple[int, ...]]:
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
    candidates = list(read_candidates([options.architecture], space_of(options)))
    signals = all(one.failure is None and one.architecture.takes_signals for one in candidates)
    sides = (side,) if signals else (side, side)
    return candidates, (*sides, channels) if side else (channels,)
