"""The files of a run: what it is asked for, a line for each outcome, and whole files put in place.

Whatever the moment at which a process is killed, the folder is in one of three states: without
``config.json`` (nothing began), with it and some complete lines in ``results.jsonl`` (the last line
may be cut and is then dropped), or finished. Every file but ``results.jsonl`` and the claims is
written beside its name and moved onto it. Each line of ``results.jsonl`` carries the checksum of
its content.

Several processes may work at one run. Each holds a lock in ``workers/`` as long as it lives and
writes there what it is going to evaluate, so that no other one does the same; what a process that
has died left undone is free again. ``run.lock`` is held for a moment, while something is written.
"""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO
from uuid import uuid4

from kernas.documents import OBJECT, TEXT, expect, list_of, parse, read, sealed, unsealed
from kernas.errors import DocumentError, RunFolderError
from kernas.files import write_whole
from kernas.locks import exclusive

from .config import RunConfig, check_version
from .outcome import Outcome, Place, enter

CONFIG, RESULTS, LOCK, WORKERS = "config.json", "results.jsonl", "run.lock", "workers"


@dataclass
class RunFolder:
    """An open run folder; :func:`open_run` makes it.

    Attributes:
        path: of the folder.
        worker: the file with the claims of this process; ``None`` for one that only reads.
    """

    path: Path
    worker: Path | None = None
    _read: int = field(default=0, repr=False)
    _lines: int = field(default=0, repr=False)
    _found: dict[Place, Outcome] = field(default_factory=dict, repr=False)

    def config(self) -> RunConfig | None:
        """What the run is asked for; ``None`` if there is none.

        Raises:
            RunFolderError: it cannot be read, or another version made it.
        """
        path = self.path / CONFIG
        if not path.exists():
            if (self.path / RESULTS).exists():
                raise RunFolderError(
                    f"{self.path} has a {RESULTS} but no {CONFIG}; choose another output folder"
                )
            return None
        try:
            document = expect(read(path), OBJECT, "the document")
            check_version(document, str(self.path))
            return RunConfig.from_document(document)
        except (DocumentError, OSError) as error:
            raise RunFolderError(
                f"{path} cannot be read: {error}; choose another output folder"
            ) from None

    def outcomes(self) -> Mapping[Place, Outcome]:
        """The outcomes so far, of every process; what was read before is not read again.

        Returns:
            Of every piece of work the last outcome that is no failure, or its last failure; what
            comes later is entered there when this is called again.

        Raises:
            RunFolderError: a line is not what was written there; the message has its number.
        """
        try:
            with (self.path / RESULTS).open("rb") as file:
                file.seek(self._read)
                data = file.read()
        except FileNotFoundError:
            return self._found
        except OSError as error:
            raise RunFolderError(
                f"{self.path / RESULTS} cannot be read ({error.strerror}); choose another output "
                "folder"
            ) from None
        whole = data[: data.rfind(b"\n") + 1]
        for line in whole.split(b"\n")[:-1]:
            try:
                enter(Outcome.from_document(unsealed(parse(line))), self._found)
            except DocumentError as error:
                raise RunFolderError(
                    f"line {self._lines + 1} of {self.path / RESULTS} is not a result: "
                    f"{error}; remove the line to have it computed again, or choose another output "
                    "folder"
                ) from None
            self._read += len(line) + 1
            self._lines += 1
        return self._found

    def append(self, outcome: Outcome) -> None:
        """Add an outcome; it is on the disk when this returns."""
        document = sealed(outcome.to_document(), default=str)
        line = json.dumps(document, ensure_ascii=False, allow_nan=False) + "\n"
        with self._locked(), (self.path / RESULTS).open("ab+") as file:
            _drop_cut_line(file)
            file.write(line.encode())
            file.flush()
            os.fsync(file.fileno())

    def claimed(self, places: Iterable[Place], done: Callable[[Place], bool]) -> Iterator[Place]:
        """Places one by one, each claimed for this process when it is asked for.

        Args:
            places: in the order in which they are wanted.
            done: whether a place needs nothing any more; those are passed over, and so are those
                that another process works at.
        """
        for place in places:
            with self._locked():
                free = not done(place) and place not in self._claims_of_others()
                if free:
                    self._claim(place)
            if free:
                yield place

    def write_text(self, name: str, text: str) -> Path:
        """Put a text file in place, whole or not at all."""
        return self.write_bytes(name, text.encode())

    def write_bytes(self, name: str, data: bytes) -> Path:
        """Put a file in place, whole or not at all."""
        with self._locked():
            return write_whole(self.path / name, data)

    def write_config(self, config: RunConfig) -> None:
        """Put what the run is asked for in place; the lock is held already."""
        text = json.dumps(config.to_document(), indent=1, ensure_ascii=False) + "\n"
        write_whole(self.path / CONFIG, text.encode())

    @contextmanager
    def _locked(self) -> Iterator[None]:
        with exclusive(self.path / LOCK, wait=True):
            yield

    def _claim(self, place: Place) -> None:
        if self.worker is not None:
            with self.worker.open("a") as file:
                file.write(json.dumps(place) + "\n")

    def _claims_of_others(self) -> set[Place]:
        """What living processes have claimed; the files of dead ones go."""
        claims: set[Place] = set()
        for path in self.path.glob(f"{WORKERS}/*.jsonl"):
            if path == self.worker:
                continue
            with exclusive(_lock_of(path)) as dead:
                if dead:
                    path.unlink(missing_ok=True)
                else:
                    claims |= _claims(path)
            if dead:
                _lock_of(path).unlink(missing_ok=True)
        return claims


def _lock_of(claims: Path) -> Path:
    return claims.with_suffix(".lock")


def _claims(path: Path) -> set[Place]:
    """The claims in a file of a process; a last line that is cut claims nothing."""
    claims: set[Place] = set()
    for line in path.read_bytes().split(b"\n")[:-1]:
        try:
            source, work = expect(parse(line), list_of(TEXT, 2), "a claim")
        except (DocumentError, ValueError):
            continue
        claims.add((source, work))
    return claims


def check_run(
    output: str | os.PathLike[str], *, resume: bool, check: Callable[[RunConfig], object]
) -> RunFolder:
    """Refuse what :func:`open_run` would refuse, before long work; writes nothing.

    Args:
        output: the folder, which may not exist.
        resume: as for :func:`open_run`.
        check: refuses, by a ``RunFolderError``, to go on with what is there.

    Returns:
        The folder, whose outcomes can be read if there are any.

    Raises:
        RunFolderError: as for :func:`open_run`.
    """
    path = Path(output)
    try:
        there = next(place for place in (path, *path.absolute().parents) if os.path.lexists(place))
        if not there.is_dir():
            reason = errno.EEXIST if there == path else errno.ENOTDIR
            raise OSError(reason, os.strerror(reason))
    except OSError as error:
        raise _unmade(path, error) from None
    folder = RunFolder(path)
    try:
        if not os.access(there, os.W_OK | os.X_OK):
            raise OSError(errno.EACCES, os.strerror(errno.EACCES))
        stored = folder.config()
    except OSError as error:
        raise _unwritten(path, error) from None
    if stored is not None:
        check(stored)
        _check_resumed(path, resume)
    return folder


@contextmanager
def open_run(
    output: str | os.PathLike[str], config: RunConfig, *, resume: bool
) -> Iterator[RunFolder]:
    """Open a run folder, new or to be gone on with, beside other processes that work at it.

    Args:
        output: the folder; made if it does not exist.
        config: what the run is asked for; what is there already must be a part of it.
        resume: whether to go on with a run that is there; a new one begins either way.

    Raises:
        RunFolderError: the folder cannot be written, holds a run that cannot grow into this one
            (the message says why), or one and ``resume`` is false.
    """
    path = Path(output)
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _unmade(path, error) from None
    folder = RunFolder(path)
    with ExitStack() as stack:
        try:
            with folder._locked():
                stored = folder.config()
                if stored is not None:
                    config = config.grown_from(stored, str(path))
                    _check_resumed(path, resume)
                if config != stored:
                    folder.write_config(config)
                stack.enter_context(_working(folder))
        except OSError as error:
            raise _unwritten(path, error) from None
        yield folder


@contextmanager
def _working(folder: RunFolder) -> Iterator[None]:
    """Hold the lock that says that this process works at the run."""
    workers = folder.path / WORKERS
    workers.mkdir(exist_ok=True)
    claims = workers / f"{os.getpid()}-{uuid4().hex[:8]}.jsonl"
    try:
        with exclusive(_lock_of(claims)):
            claims.touch()
            folder.worker = claims
            folder._claims_of_others()  # and the files of dead ones go
            yield
    finally:
        folder.worker = None
        with suppress(OSError):
            claims.unlink(missing_ok=True)
            _lock_of(claims).unlink(missing_ok=True)
            workers.rmdir()  # unless others are there


def _check_resumed(path: Path, resume: bool) -> None:
    if not resume:
        raise RunFolderError(
            f"{path} already holds this run; give --resume (resume=True) to go on with it, "
            "or choose another output folder"
        )


def _unmade(path: Path, error: OSError) -> RunFolderError:
    return RunFolderError(
        f"cannot make the run folder {path} ({error.strerror}); choose another output folder"
    )


def _unwritten(path: Path, error: OSError) -> RunFolderError:
    return RunFolderError(
        f"cannot write in {path} ({error.strerror}); choose another output folder"
    )


def _drop_cut_line(file: BinaryIO) -> None:
    """Remove a last line without its end: its writer was killed."""
    end = file.seek(0, os.SEEK_END)
    start = end
    while start > 0:
        block = min(start, 1 << 16)
        file.seek(start - block)
        found = file.read(block).rfind(b"\n")
        if found >= 0:
            start = start - block + found + 1
            break
        start -= block
    if start < end:
        file.truncate(start)
