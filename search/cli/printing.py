"""What goes to stdout."""

from __future__ import annotations

import contextlib
import sys
from contextlib import AbstractContextManager
from typing import Any


def messages_aside(json: bool) -> AbstractContextManager[Any]:
    """In JSON mode whatever a library prints goes to stderr: it must not mix with the object."""
    return contextlib.redirect_stdout(sys.stderr) if json else contextlib.nullcontext()
