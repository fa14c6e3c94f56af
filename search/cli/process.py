"""The process of the command line: its streams, its signals, and the code that it ends with."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import NoReturn

from .interruption import ignore_signals, leave, received, take_signals, watch_signals


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the command line and exit.

    Args:
        arguments: without the program's name; those of the process if ``None``.
    """
    try:
        take_signals()
        code = _code(sys.argv[1:] if arguments is None else list(arguments))
        ignore_signals()
    finally:
        # Whatever became of the KeyboardInterrupt on its way through the code of libraries.
        number = received()
        if number is not None:
            leave(number)
    sys.exit(code)


def _code(arguments: list[str]) -> int | str | None:
    """The exit code of the command that the arguments name."""
    from .printing import open_streams  # all of these take a while, which may be interrupted

    open_streams()
    watch_signals()
    from .app import run

    try:
        return run(arguments)
    except SystemExit as usage:
        return usage.code
