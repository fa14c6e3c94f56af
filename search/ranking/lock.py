"""One writer at a time in a run folder: a lock that the system drops when its process dies."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from kernas.errors import RunFolderError

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
def exclusive(path: Path) -> Iterator[None]:
    """Hold the lock file ``path``; it stays behind, unlocked.

    Raises:
        RunFolderError: another process holds it, or the file cannot be written.
    """
    try:
        file = path.open("ab")
    except OSError as error:
        raise RunFolderError(
            f"cannot write in {path.parent} ({error.strerror}); choose another output folder"
        ) from None
    with file:
        try:
            _acquire(file)
        except OSError:
            raise RunFolderError(
                f"another process is writing in {path.parent}; wait for it, or choose another "
                "output folder"
            ) from None
        try:
            yield
        finally:
            _release(file)
