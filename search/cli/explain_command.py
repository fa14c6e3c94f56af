"""The subcommand ``kernas explain``."""

from __future__ import annotations

from kernas.errors import ConfigurationError

from .options import ExplainOptions


def run_explain(options: ExplainOptions) -> int:
    """Explain each architecture that the options name, and return the exit code."""
    from kernas.kernels import explain

    from ..spaces import NasBench201, read_candidates

    if options.image_size < 0 or options.channels < 1:
        raise ConfigurationError(
            f"--image-size {options.image_size} --channels {options.channels}: expected a side in "
            "pixels, or 0 for vectors, and at least one channel"
        )
    side, channels = options.image_size, options.channels
    shape = (side, side, channels) if side else (channels,)
    space = NasBench201(options.cells, options.center, options.reduction)
    for candidate in read_candidates([options.architecture], space):
        print(candidate.name)
        print(explain(candidate.architecture, shape))
    return 0
