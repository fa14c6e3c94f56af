"""Where a study is kept: optuna's storage, the lock of who writes there, and who is at work.

A process that is killed leaves its trials running in the storage. Each one that works at a study
holds a lock of its own, which the system frees when it dies, and its trials name it: the next one
finds that the lock is free.
"""

from __future__ import annotations

import hashlib
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

import platformdirs

from kernas.errors import ConfigurationError
from kernas.locks import exclusive

from .dependency import JournalFileBackend, optuna

JOURNALS = (".journal", ".log")
SQLITE = "sqlite:///"
LOCK = "study.lock"


@dataclass
class Place:
    """A storage, and the folder with the locks of those who work there.

    Attributes:
        storage: optuna's.
        folder: of the locks; ``None`` in memory, where nobody else is.
        worker: the name of this process there.
    """

    storage: optuna.storages.BaseStorage
    folder: Path | None
    worker: str = field(default_factory=lambda: f"{_host()}-{os.getpid()}-{uuid4().hex[:8]}")

    def __post_init__(self) -> None:
        if self.folder is not None:
            self.folder.mkdir(parents=True, exist_ok=True)

    @classmethod
    def opened(cls, storage: Any) -> Place:
        """That of a storage, or of a text that names one.

        Args:
            storage: ``None`` for one in memory; ``sqlite:///PATH`` or another URL of a database;
                a path that ends in ``.journal``; or a storage of optuna.

        Raises:
            ConfigurationError: it cannot be opened.
        """
        if storage is None:
            return cls(optuna.storages.InMemoryStorage(), None)
        if isinstance(storage, optuna.storages.BaseStorage):
            in_memory = isinstance(storage, optuna.storages.InMemoryStorage)
            return cls(storage, None if in_memory else _folder_of(getattr(storage, "url", "")))
        text = str(storage)
        try:
            if text.endswith(JOURNALS):
                folder = _beside(Path(text))
            elif "://" in text:
                folder = _folder_of(text)
            else:
                raise ValueError("expected sqlite:///PATH, another database's URL or PATH.journal")
            if folder is None:
                return cls(_storage(text), None)
            folder.mkdir(parents=True, exist_ok=True)
            with exclusive(folder / LOCK, wait=True):  # another may be making the same tables
                return cls(_storage(text), folder)
        except Exception as error:  # of whatever driver is behind the URL
            reason = " ".join(str(getattr(error, "orig", None) or error).split())
            raise ConfigurationError(
                f"storage {_without_password(text)!r} cannot be opened ({reason[:200]}); give "
                "sqlite:///PATH, the URL of a database that is reachable, or PATH.journal"
            ) from error

    @contextmanager
    def working(self) -> Iterator[None]:
        """Hold the lock that says that this process is at work."""
        if self.folder is None:
            yield
            return
        own = self._lock_of(self.worker)
        try:
            with exclusive(own):
                yield
        finally:
            with suppress(OSError):
                own.unlink()

    def locked(self) -> Any:
        """Hold the lock of who changes what others read, for a moment."""
        if self.folder is None:
            return nullcontext()
        return exclusive(self.folder / LOCK, wait=True)

    def is_at_work(self, worker: str | None) -> bool:
        """Whether the process of a name lives; one of another machine is believed to."""
        if worker == self.worker:
            return True
        if worker is None or self.folder is None:
            return False
        path = self._lock_of(worker)
        if not path.exists():
            return not worker.startswith(f"{_host()}-")
        with exclusive(path) as dead:
            if dead:
                path.unlink(missing_ok=True)
            return not dead

    def _lock_of(self, worker: str) -> Path:
        assert self.folder is not None
        return self.folder / f"{worker}.lock"


def _storage(text: str) -> optuna.storages.BaseStorage:
    if text.endswith(JOURNALS):
        return optuna.storages.JournalStorage(JournalFileBackend(text))
    return optuna.storages.get_storage(text)


def _host() -> str:
    return "".join(c if c.isalnum() else "_" for c in socket.gethostname()) or "host"


def _beside(path: Path) -> Path:
    return path.with_name(f"{path.name}.workers")


def _folder_of(url: str) -> Path | None:
    """Beside a file, and of a server among what this machine keeps."""
    if url.startswith(SQLITE):
        name = url.removeprefix(SQLITE)
        return None if name in ("", ":memory:") else _beside(Path(name))
    digest = hashlib.sha256(url.encode()).hexdigest()[:16]
    return Path(platformdirs.user_cache_dir("kernas")) / "studies" / digest


def _without_password(url: str) -> str:
    scheme, found, rest = url.partition("://")
    return f"{scheme}://…@{rest.rpartition('@')[2]}" if found and "@" in rest else url
