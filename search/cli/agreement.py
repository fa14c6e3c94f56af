"""Asking whether long work is to begin."""

from __future__ import annotations

import sys

from kernas.errors import ConfigurationError

from .printing import tell


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
