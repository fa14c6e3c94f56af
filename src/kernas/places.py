"""Places where bytes are kept by name: a folder, or the objects of a store such as S3.

What is written is there whole or not at all. Names have ``/`` between their parts. A folder has
locks, which the system frees when a process dies; an object store has none.
"""

from __future__ import annotations

import errno
import os
import re
import shutil
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from functools import cached_property
from itertools import groupby
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np
from jaxtyping import UInt8

from kernas.errors import ConfigurationError, MissingDependencyError
from kernas.files import Location, is_url, nearest_folder, read_bytes
from kernas.locks import exclusive

Bytes = UInt8[np.ndarray, " length"]

IN_FLIGHT, BYTES_IN_FLIGHT = 64, 64 * 2**20
"""Objects that are read at a time, and about the bytes that they may have together."""

WORTH_A_LIST = 8
"""Of so many names with equal first parts it is asked first which there are."""

_URL_AS_PATH = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:/[^/]")
_LOCAL = ("file", "local")
_S3 = ("s3", "s3a")


class Place(ABC):
    """Where bytes are kept by name.

    Attributes:
        location: which :func:`place_of` takes, in other processes too.
        has_locks: whether :meth:`claim` keeps others off.
    """

    has_locks: bool

    @property
    @abstractmethod
    def location(self) -> Location: ...

    def __str__(self) -> str:
        return str(self.location)

    def __reduce__(self) -> tuple[Any, ...]:
        return place_of, (self.location,)

    def shared_location(self) -> Location:
        """The same for processes that work in another folder."""
        return self.location

    @abstractmethod
    def at(self, name: str) -> Location:
        """What messages call it."""

    @abstractmethod
    def names(self) -> list[str]:
        """First parts of the names that there are.

        Raises:
            OSError: the place refuses, or there is no such bucket.
        """

    @abstractmethod
    def content(self, name: str, most: int) -> bytes | None:
        """What is kept; ``None`` if there is nothing.

        Raises:
            OSError: it cannot be read, is no regular file, or has more than ``most`` bytes.
        """

    @abstractmethod
    def read(self, name: str, start: int = 0, length: int | None = None) -> Bytes | None:
        """Bytes of what is kept; ``None`` if there is nothing.

        Args:
            name: of it.
            start: the first one; negative counts from the end.
            length: how many, or fewer where it ends; ``None`` for the rest.

        Raises:
            OSError: it cannot be read.
        """

    def read_all(self, names: Iterable[str], size: int) -> Iterator[Bytes | None]:
        """What :meth:`read` says of each, in order, a few in memory at a time.

        Args:
            names: those next to each other best with equal first parts.
            size: about the bytes of each.
        """
        return map(self.read, names)

    @abstractmethod
    def present(self, names: Iterable[str]) -> Iterator[bool]:
        """Whether there is something, for each."""

    @abstractmethod
    def write(self, name: str, data: bytes) -> None:
        """Put it in place, whole or not at all.

        Raises:
            OSError: it cannot be written; what was there before still is.
        """

    def create(self, name: str, data: bytes) -> bool:
        """The same where nothing is yet; ``False`` if something was there.

        In an object store of two who do it at once one is told so.
        """
        if next(self.present([name])):
            return False
        self.write(name, data)
        return True

    def claim(self, name: str, *, wait: bool = False) -> AbstractContextManager[bool]:
        """Keep others off what has this name; ``False`` if somebody else does. Always true where
        there are no locks."""
        return nullcontext(True)

    def drop_claims(self, pattern: str) -> None:
        """Remove the traces of claims whose names match, which nobody needs any more."""
        return

    def has_remains(self, name: str) -> bool:
        """Whether a writer of this name was killed and left something."""
        return False

    def tidy(self, name: str) -> None:
        """Remove what writers of this name left who were killed."""
        return

    def free_bytes(self) -> int | None:
        """Room there; ``None`` where that has no meaning."""
        return None

    @abstractmethod
    def probe(self) -> AbstractContextManager[str]:
        """Something with a new name, for a while: who sees it means the same place.

        Raises:
            OSError: it cannot be written.
        """


class Folder(Place):
    """A folder, made when something is written into it.

    Args:
        path: of it.
    """

    has_locks = True

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._path = Path(path)

    @property
    def location(self) -> Path:
        return self._path

    def shared_location(self) -> Path:
        return self._path.absolute()

    def at(self, name: str) -> Path:
        return self.location / name

    def names(self) -> list[str]:
        path = self.location
        return [path.name] if path.is_file() else [entry.name for entry in path.glob("*")]

    def content(self, name: str, most: int) -> bytes | None:
        file = self.location / name
        return read_bytes(file, most) if file.exists() else None

    def read(self, name: str, start: int = 0, length: int | None = None) -> Bytes | None:
        count = -1 if length is None else length
        try:
            if start < 0:
                start = max(0, self.at(name).stat().st_size + start)
            return np.fromfile(f"{self._path}/{name}", np.uint8, count, offset=start)
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
            return None

    def present(self, names: Iterable[str]) -> Iterator[bool]:
        return ((self.location / name).exists() for name in names)

    def write(self, name: str, data: bytes) -> None:
        file = self.location / name
        self.tidy(name)
        file.parent.mkdir(parents=True, exist_ok=True)
        partial = file.with_suffix(f".{uuid4().hex}.partial")
        try:
            partial.write_bytes(data)
            partial.replace(file)
        except BaseException:
            with suppress(OSError):  # what stopped it is what is said
                partial.unlink(missing_ok=True)
            raise

    @contextmanager
    def claim(self, name: str, *, wait: bool = False) -> Iterator[bool]:
        lock = self.location / name
        lock.parent.mkdir(parents=True, exist_ok=True)
        with exclusive(lock, wait=wait) as held:
            yield held

    def drop_claims(self, pattern: str) -> None:
        for lock in self.location.glob(pattern):
            # On Windows not those of who is still looking at it, and none on a read-only medium.
            with suppress(OSError):
                lock.unlink(missing_ok=True)

    def has_remains(self, name: str) -> bool:
        return any(self._remains(name))

    def tidy(self, name: str) -> None:
        for partial in list(self._remains(name)):
            partial.unlink()

    def _remains(self, name: str) -> Iterator[Path]:
        file = self.location / name
        return file.parent.glob(f"{file.stem}.*.partial")

    def free_bytes(self) -> int:
        return shutil.disk_usage(nearest_folder(self.location)).free

    @contextmanager
    def probe(self) -> Iterator[str]:
        self.location.mkdir(parents=True, exist_ok=True)
        name = f".probe-{uuid4().hex}"
        file = self.location / name
        file.touch()
        try:
            yield name
        finally:
            file.unlink(missing_ok=True)


class Objects(Place):
    """Objects whose names begin with those of a URL: ``s3://BUCKET/PREFIX``, or another of fsspec.

    Credentials, region and endpoint are those of the library: of s3fs what botocore finds in the
    environment and in ``~/.aws``, once a process. An object that is put is there whole; no lists
    are kept, since other processes write too.

    Args:
        url: with its scheme.

    Raises:
        ConfigurationError: fsspec does not know the scheme, or it names no bucket.
        MissingDependencyError: what reads it is not installed.

    Reference:
        Amazon S3 User Guide, "Amazon S3 data consistency model" and "Conditional writes".
    """

    has_locks = False

    def __init__(self, url: str) -> None:
        self._url = url.rstrip("/") if url.rpartition("://")[2].strip("/") else url
        _ = self._opened

    @property
    def location(self) -> str:
        return self._url

    @property
    def _scheme(self) -> str:
        return self.location.partition("://")[0]

    @cached_property
    def _opened(self) -> tuple[Any, str]:
        """The file system of fsspec, and what every name begins with there."""
        scheme = self._scheme
        if not self.location.partition("://")[2].strip("/"):
            raise ConfigurationError(f"{self.location!r}: expected {scheme}://BUCKET/PREFIX")
        options: dict[str, Any] = {"use_listings_cache": False}
        if scheme in _S3:
            options["max_concurrency"] = 1  # else each object is asked for its size first
        try:
            import fsspec

            system, root = fsspec.url_to_fs(self.location, **options)
        except ImportError as error:
            way = "pip install 'kernas[s3]'" if scheme in _S3 else "install what it asks for"
            raise MissingDependencyError(
                f"{self.location} is read by fsspec, which lacks something ({error}): {way}"
            ) from error
        except ValueError as error:
            raise ConfigurationError(
                f"{self.location}: {error}; expected a folder, or a URL such as s3://BUCKET/PREFIX"
            ) from None
        return system, root.rstrip("/")

    def _whole(self, name: str) -> str:
        return f"{self._opened[1]}/{name}"

    def at(self, name: str) -> str:
        return f"{self.location}/{name}"

    def names(self) -> list[str]:
        return sorted(self._beneath(""))

    def _beneath(self, name: str) -> set[str]:
        """What comes next in the names that begin with this one."""
        system, _ = self._opened
        path = self._whole(name).rstrip("/")
        with self._refusals():
            try:
                found = system.ls(path, detail=False)
            except FileNotFoundError as error:
                if self._scheme in _S3 and error.__cause__ is not None:
                    raise  # S3's own answer, which has a cause, is that there is no such bucket
                return set()
        return {_last(entry.rstrip("/")) for entry in found if entry.strip("/") != path}

    def content(self, name: str, most: int) -> bytes | None:
        (data,) = self._fetched([name], 0, most + 1)
        if data is not None and len(data) > most:
            raise OSError(f"it has more than {most:,} bytes")
        return data

    def read(self, name: str, start: int = 0, length: int | None = None) -> Bytes | None:
        if length == 0:
            return np.empty(0, np.uint8)
        end = None if length is None or start + length == 0 else start + length
        return _numbers(*self._fetched([name], start or None, end))

    def _fetched(
        self, names: list[str], start: int | None = None, end: int | None = None
    ) -> list[bytes | None]:
        """Parts of objects, asked for side by side."""
        paths, number = [self._whole(name) for name in names], len(names)
        with self._refusals():
            found = self._opened[0].cat_ranges(
                paths, [start] * number, [end] * number, on_error="return"
            )
            return [_there(answer) for answer in found]

    def read_all(self, names: Iterable[str], size: int) -> Iterator[Bytes | None]:
        listed: tuple[str, set[str]] | None = None
        for batch in _batches(names, max(1, min(IN_FLIGHT, BYTES_IN_FLIGHT // size))):
            asked: list[str] = []
            for parent, group in groupby(batch, _parent):
                members = list(group)
                if len(members) >= WORTH_A_LIST:
                    if listed is None or listed[0] != parent:
                        listed = parent, self._beneath(parent)
                    members = [name for name in members if _last(name) in listed[1]]
                asked += members
            found = dict(zip(asked, self._fetched(asked), strict=True))
            for name in batch:
                yield _numbers(found.get(name))

    def present(self, names: Iterable[str]) -> Iterator[bool]:
        for parent, group in groupby(names, _parent):
            there = self._beneath(parent)
            for name in group:
                yield _last(name) in there

    def write(self, name: str, data: bytes) -> None:
        with self._refusals():
            self._opened[0].pipe_file(self._whole(name), data)

    def create(self, name: str, data: bytes) -> bool:
        with self._refusals():
            try:
                self._opened[0].pipe_file(self._whole(name), data, mode="create")
            except FileExistsError:
                return False
        return True

    @contextmanager
    def probe(self) -> Iterator[str]:
        name = f".probe-{uuid4().hex}"
        self.write(name, b"")
        try:
            yield name
        finally:
            with self._refusals():
                self._opened[0].rm_file(self._whole(name))

    @contextmanager
    def _refusals(self) -> Iterator[None]:
        """Whatever a store answers that is no content, as an error of the system, in one line.

        Raises:
            OSError: the library's own errors too, of which each has others.
        """
        try:
            yield
        except Exception as error:
            said = getattr(error, "strerror", None) or str(error) or type(error).__name__
            number = getattr(error, "errno", None) or errno.EIO
            raise OSError(number, " ".join(said.split())[:300], self.location) from error


def place_of(location: str | os.PathLike[str] | Place) -> Place:
    """The place of a folder or of a URL; ``file://…`` is a folder, and a place is itself.

    Raises:
        ConfigurationError: a URL of a scheme that is not known, or that was made a path.
        MissingDependencyError: what reads such URLs is not installed.
    """
    if isinstance(location, Place):
        return location
    text = os.fspath(location)
    if is_url(text):
        scheme, _, rest = text.partition("://")
        return Folder(rest) if scheme in _LOCAL else Objects(text)
    if _URL_AS_PATH.match(text):
        raise ConfigurationError(
            f"{text!r} was a URL before it was made a path, which has no '//': give it as a text"
        )
    return Folder(location)


def _there(answer: Any) -> bytes | None:
    """The content of an object; ``None`` if there is none.

    Raises:
        Exception: it could not be read.
    """
    if isinstance(answer, FileNotFoundError | IsADirectoryError):
        return None
    if isinstance(answer, OSError) and "not satisfiable" in str(answer):  # it ends before the part
        return b""
    if isinstance(answer, BaseException):
        raise answer
    return bytes(answer)


def _numbers(data: bytes | None) -> Bytes | None:
    return None if data is None else np.frombuffer(bytearray(data), np.uint8)


def _parent(name: str) -> str:
    return name.rpartition("/")[0]


def _last(name: str) -> str:
    return name.rpartition("/")[2]


def _batches(items: Iterable[Any], length: int) -> Iterator[list[Any]]:
    batch: list[Any] = []
    for item in items:
        batch.append(item)
        if len(batch) == length:
            yield batch
            batch = []
    if batch:
        yield batch
