"""The process of the command line: its streams, its signals, and the code that it ends with."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import NoReturn

from .interruption import ignore_signals, take_signals, watch_signals


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the command line and exit.

    Args:
        arguments: without the program's name; those of the process if ``None``.
    """
    take_signals()
    from .printing import open_streams  # imports take a while

    open_streams()
    watch_signals()
    from .app import run

    try:
        code = run(sys.argv[1:] if arguments is None else list(arguments))
    except SystemExit as usage:
        code = usage.code
    ignore_signals()
    sys.exit(code)
