"""Files: where they are, those that are there whole or not at all, those that are no devices."""

from __future__ import annotations

import contextlib
import os
import stat
from pathlib import Path
from typing import BinaryIO

from .errors import ConfigurationError


def user_path(path: str | os.PathLike[str]) -> Path:
    """A path that a user wrote, with ``~`` and ``~name`` as the home folders that they stand for.

    Raises:
        ConfigurationError: there is no such home, or no path can be written so.
    """
    text = os.fspath(path)
    if "\0" in text:
        raise ConfigurationError(f"path {text!r} has a zero character: expected a path without")
    try:
        return Path(text).expanduser()
    except RuntimeError:
        raise ConfigurationError(
            f"path {text!r}: the home folder of {text.split('/')[0]} is not known here; write the "
            "path in full"
        ) from None


def cache_home() -> Path | None:
    """``$XDG_CACHE_HOME``, by default ``~/.cache``; ``None`` where neither is known."""
    root = os.environ.get("XDG_CACHE_HOME")
    try:
        return Path(root) if root else Path.home() / ".cache"
    except RuntimeError:
        return None


def open_regular(path: Path) -> BinaryIO:
    """Open a file to read its bytes, unless it is a pipe, which would wait, or a device.

    Raises:
        OSError: there is no such file, it may not be read, or it is no regular file.
    """
    if not stat.S_ISREG(path.stat().st_mode):
        raise OSError("not a regular file")
    return path.open("rb")


def write_whole(path: Path, data: bytes) -> Path:
    """Put a file in place: written beside its name, on the disk, then moved onto it.

    Raises:
        OSError: it cannot be written; what was there before still is.
    """
    temporary = path.with_name(f".{path.name}.partial")
    try:
        with temporary.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise
    return path
