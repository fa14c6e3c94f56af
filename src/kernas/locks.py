"""Locks between processes: files that one process holds, and that the system frees when it dies."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

FIRST_SECONDS, POLL_SECONDS = 0.001, 0.05
"""How soon who waits for a lock looks again: at first, since most are held for a moment, and after
ever longer pauses at last."""

if sys.platform == "win32":
    import msvcrt

    def _acquire(file: BinaryIO) -> None:
        file.seek(0)
        msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)

    def _release(file: BinaryIO) -> None:
        file.seek(0)
        msvcrt.locking(file.fileno(), msvcrt.LK_UNLCK, 1)

else:
    import fcntl

    def _acquire(file: BinaryIO) -> None:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def _release(file: BinaryIO) -> None:
        fcntl.flock(file, fcntl.LOCK_UN)


@contextmanager
def exclusive(path: Path, *, wait: bool = False) -> Iterator[bool]:
    """Hold the lock file ``path`` if nobody else does; it stays behind, unlocked and empty.

    Args:
        path: the file, in a folder that exists.
        wait: whether to wait for whoever holds it.

    Yields:
        Whether it is held here; always true with ``wait``.

    Raises:
        OSError: the file cannot be made.
    """
    with path.open("ab") as file:
        held = _acquired(file)
        pause = FIRST_SECONDS
        while wait and not held:
            time.sleep(pause)
            pause = min(1.5 * pause, POLL_SECONDS)
            held = _acquired(file)
        try:
            yield held
        finally:
            if held:
                _release(file)


def _acquired(file: BinaryIO) -> bool:
    try:
        _acquire(file)
    except (BlockingIOError, PermissionError):  # another holds it, on Linux and on Windows
        return False
    return True
