"""Asking whether long work is to begin."""

from __future__ import annotations

import sys

from kernas.errors import ConfigurationError

from .printing import tell

UNASKED_SECONDS = 600
"""What takes no longer is begun without a question."""


def agreed() -> bool:
    """Whether the user says yes.

    Raises:
        ConfigurationError: there is no terminal to ask on.
    """
    if sys.stdin is None or sys.stdin.closed or not sys.stdin.isatty():
        raise ConfigurationError(
            "there is no terminal to ask on whether to begin: give --yes to begin without asking"
        )
    tell("begin? [y/N] ", end="")
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def told(estimate: object, seconds: float, *, yes: bool, quiet: bool) -> bool:
    """Whether to begin, once it was said what it takes.

    Args:
        estimate: what is said, unless it is ``quiet`` and takes no time.
        seconds: that it may take; beyond ten minutes it is asked for.
        yes: whether that was agreed to before.
        quiet: whether only what is asked is said.

    Raises:
        ConfigurationError: nobody can be asked.
    """
    asks = seconds > UNASKED_SECONDS and not yes
    if asks or not quiet:
        tell(str(estimate))
    return not asks or agreed()
