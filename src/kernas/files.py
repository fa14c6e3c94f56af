"""Files: where they are, those that are there whole or not at all, those that are no devices."""

from __future__ import annotations

import contextlib
import os
import re
import stat
from pathlib import Path
from typing import BinaryIO

from .errors import ConfigurationError

Location = Path | str
"""A folder, or the URL of what is beneath a name in an object store."""

_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://.*", re.DOTALL)


def is_url(text: str) -> bool:
    """Whether a text is a URL, and not the name of a file or folder."""
    return _URL.fullmatch(text) is not None


def user_path(path: str | os.PathLike[str], what: str = "path") -> Path:
    """A path that a user wrote, with ``~`` and ``~name`` as the home folders that they stand for.

    Args:
        path: as it was given.
        what: the option or variable that it was given with, for the message.

    Raises:
        ConfigurationError: there is no such home, or the text is none that records, which are in
            UTF-8, and the file system both can hold.
    """
    text = os.fspath(path)
    if "\0" in text or not _in_utf8(text):
        raise ConfigurationError(
            f"{what} {text!r} is not in UTF-8, or has a zero character: rename the file or folder"
        )
    try:
        return Path(text).expanduser()
    except RuntimeError:
        raise ConfigurationError(
            f"{what} {text!r}: the home folder of {Path(text).parts[0]} is not known here; write "
            "the path in full"
        ) from None


def nearest_folder(path: Path) -> Path:
    """The folder, or the nearest one above it that exists: on whose disk it lies or would lie."""
    return next(folder for folder in (path.absolute(), *path.absolute().parents) if folder.exists())


def home_cache() -> Path | None:
    """``$XDG_CACHE_HOME/kernas``, by default ``~/.cache/kernas``; ``None`` without a known home."""
    root = os.environ.get("XDG_CACHE_HOME")
    try:
        return (Path(root) if root else Path.home() / ".cache") / "kernas"
    except RuntimeError:
        return None


def system_cache() -> Path | None:
    """The cache folder where the system has those of programs; ``None`` without a known home."""
    import platformdirs

    try:
        folder = platformdirs.user_cache_path("kernas")
    except RuntimeError:  # so it is in new versions of platformdirs where the home is not known
        return None
    # In old ones the ~ stays, and would be a folder in the current one.
    return folder if folder.is_absolute() else None


def read_text(path: Path, most: int = 1 << 28) -> str:
    """The text of a file in UTF-8, with or without a byte-order mark.

    Args:
        path: of a regular file.
        most: bytes that are read.

    Raises:
        OSError: it cannot be read, or is larger.
        UnicodeDecodeError: it is not in UTF-8.
    """
    return read_bytes(path, most).decode("utf-8-sig")


def read_bytes(path: Path, most: int) -> bytes:
    """The bytes of a file.

    Args:
        path: of a regular file.
        most: bytes that it may have.

    Raises:
        OSError: it cannot be read, or is larger.
    """
    size = path.stat().st_size
    if size <= most:
        with open_regular(path) as file:
            content = file.read(size + 1)
        if len(content) <= size:
            return content
    raise OSError(f"it has more than {min(size, most):,} bytes")


def open_regular(path: Path) -> BinaryIO:
    """Open a file to read its bytes, unless it is a pipe, which would wait, or a device.

    Raises:
        OSError: there is no such file, it may not be read, or it is no regular file.
    """
    if not stat.S_ISREG(path.stat().st_mode):
        raise OSError("not a regular file")
    return path.open("rb")


def _in_utf8(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


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
