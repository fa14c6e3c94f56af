"""The files of a run: identity, one line a finished architecture, and whole files put in place.

Whatever the moment at which the process is killed, the folder is in one of three states: without
``config.json`` (nothing began), with it and some complete lines in ``results.jsonl`` (the last line
may be cut and is then dropped), or finished. Every file but ``results.jsonl`` is written beside its
name and moved onto it. Each line of ``results.jsonl`` carries the checksum of its content.
"""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kernas.comparison import first_difference
from kernas.documents import OBJECT, TEXT, expect, field, parse, read, sealed, unsealed
from kernas.errors import DocumentError, RunFolderError
from kernas.files import write_whole
from kernas.locks import exclusive

from .records import Record

CONFIG, RESULTS, LOCK = "config.json", "results.jsonl", "run.lock"


@dataclass(frozen=True)
class RunFolder:
    """An open run folder of one configuration; :func:`open_run` makes it."""

    path: Path

    def records(self, check: Callable[[Record], None] = lambda record: None) -> list[Record]:
        """The finished architectures, in the order in which they finished.

        Args:
            check: refuses, by a ``DocumentError``, what is no record of this run.

        Raises:
            RunFolderError: a line is not what was written there; the message has its number.
        """
        try:
            data = (self.path / RESULTS).read_bytes()
        except FileNotFoundError:
            return []
        records: list[Record] = []
        for number, line in enumerate(data.split(b"\n")[:-1], start=1):
            try:
                record = unsealed(parse(line))
                field(record, "hash", TEXT)
                check(record)
            except DocumentError as error:
                raise RunFolderError(
                    f"line {number} of {self.path / RESULTS} is not a result: {error}; remove the "
                    "line to have it computed again, or choose another output folder"
                ) from None
            records.append(record)
        return records

    def append(self, record: Record) -> None:
        """Add a finished architecture; it is on the disk when this returns."""
        document = sealed(record, default=str)
        line = json.dumps(document, ensure_ascii=False, allow_nan=False) + "\n"
        with (self.path / RESULTS).open("ab") as file:
            file.write(line.encode())
            file.flush()
            os.fsync(file.fileno())

    def write_text(self, name: str, text: str) -> Path:
        """Put a text file in place, whole or not at all."""
        return self.write_bytes(name, text.encode())

    def write_bytes(self, name: str, data: bytes) -> Path:
        """Put a file in place, whole or not at all."""
        return write_whole(self.path / name, data)


def check_run(
    output: str | os.PathLike[str], config: Mapping[str, Any], *, resume: bool, whole: bool = True
) -> RunFolder:
    """Refuse what :func:`open_run` would refuse, before long work; writes nothing.

    Args:
        output: the folder, which may not exist.
        config: of the run.
        resume: as for :func:`open_run`.
        whole: whether ``config`` is all of it, or what is known already: of this, what it lacks is
            not compared.

    Returns:
        The folder, whose records can be read if there are any.

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
        with _held(folder) if (path / LOCK).exists() else nullcontext():
            _check(folder, config, resume, whole=whole)
    except OSError as error:
        raise _unwritten(path, error) from None
    return folder


@contextmanager
def open_run(
    output: str | os.PathLike[str], config: Mapping[str, Any], *, resume: bool
) -> Iterator[RunFolder]:
    """Open a run folder for one configuration, new or to be resumed, and hold its lock.

    Args:
        output: the folder; made if it does not exist.
        config: what identifies the run, JSON values. A folder of another configuration is refused.
        resume: whether to go on with a folder of this configuration; a new one begins either way.

    Raises:
        RunFolderError: the folder cannot be written, is in use, belongs to another configuration
            (the message names the field), or to this one and ``resume`` is false.
    """
    path = Path(output)
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _unmade(path, error) from None
    folder = RunFolder(path)
    with _held(folder):
        try:
            if _check(folder, config, resume, whole=True):
                _drop_cut_line(path / RESULTS)
            else:
                folder.write_text(CONFIG, _text(config))
        except OSError as error:
            raise _unwritten(path, error) from None
        yield folder


def _unmade(path: Path, error: OSError) -> RunFolderError:
    return RunFolderError(
        f"cannot make the run folder {path} ({error.strerror}); choose another output folder"
    )


def _unwritten(path: Path, error: OSError) -> RunFolderError:
    return RunFolderError(
        f"cannot write in {path} ({error.strerror}); choose another output folder"
    )


@contextmanager
def _held(folder: RunFolder) -> Iterator[None]:
    """Hold the lock of a folder that exists.

    Raises:
        RunFolderError: the lock cannot be written, or another process holds it.
    """
    with ExitStack() as stack:
        try:
            held = stack.enter_context(exclusive(folder.path / LOCK))
        except OSError as error:
            raise _unwritten(folder.path, error) from None
        if not held:
            raise RunFolderError(
                f"another process is writing in {folder.path}; wait for it, or choose another "
                "output folder"
            )
        yield


def _text(config: Mapping[str, Any]) -> str:
    return json.dumps(config, indent=1, ensure_ascii=False) + "\n"


def _check(folder: RunFolder, config: Mapping[str, Any], resume: bool, *, whole: bool) -> bool:
    """Whether the folder holds a run of this configuration, to be resumed.

    Args:
        folder: one that may not exist.
        config: of the run, or what is known of it.
        resume: whether a run that is there may be.
        whole: whether ``config`` is the whole configuration.

    Raises:
        RunFolderError: it holds another run, or this one and ``resume`` is false.
    """
    stored_path = folder.path / CONFIG
    if not stored_path.exists():
        if (folder.path / RESULTS).exists():
            raise RunFolderError(
                f"{folder.path} has a {RESULTS} but no {CONFIG}; choose another output folder"
            )
        return False
    try:
        stored = expect(read(stored_path, finite=False), OBJECT, "the document")
    except DocumentError as error:
        raise RunFolderError(
            f"{stored_path} cannot be read: {error}; choose another output folder"
        ) from None
    here = json.loads(_text(config))
    difference = first_difference(stored if whole else _common(stored, here), here)
    if difference is not None:
        name, there, wanted = difference
        if name == "version":
            raise RunFolderError(
                f"{folder.path} is of format version {there}, not {wanted}: its files stay as they "
                "are; resume it with the kernas that began it, or choose another output folder"
            )
        raise RunFolderError(
            f"{folder.path} belongs to another configuration: {name} is {there} there and {wanted} "
            "here; choose another output folder, or give the same options"
        )
    if not resume:
        raise RunFolderError(
            f"{folder.path} already holds this run; give --resume (resume=True) to go on with it, "
            "or choose another output folder"
        )
    return True


def _common(stored: Any, known: Any) -> Any:
    """What is stored in the fields that are known, inside objects too."""
    if isinstance(stored, dict) and isinstance(known, dict):
        return {key: _common(stored[key], known[key]) for key in known if key in stored}
    return stored


def _drop_cut_line(results: Path) -> None:
    """Remove a last line without its end: its writer was killed."""
    if not results.exists():
        return
    data = results.read_bytes()
    complete = data.rfind(b"\n") + 1
    if complete < len(data):
        with results.open("r+b") as file:
            file.truncate(complete)
            file.flush()
            os.fsync(file.fileno())
