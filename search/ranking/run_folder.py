"""The files of a run: identity, one line a finished architecture, and whole files put in place.

Whatever the moment at which the process is killed, the folder is in one of three states: without
``config.json`` (nothing began), with it and some complete lines in ``results.jsonl`` (the last line
may be cut and is then dropped), or finished. Every file but ``results.jsonl`` is written beside its
name and moved onto it. Each line of ``results.jsonl`` carries the checksum of its content.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
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
        raise RunFolderError(
            f"cannot make the run folder {path} ({error.strerror}); choose another output folder"
        ) from None
    with ExitStack() as stack:
        folder = RunFolder(path)
        try:
            held = stack.enter_context(exclusive(path / LOCK))
            if held:
                _prepare(folder, config, resume)
        except OSError as error:
            raise RunFolderError(
                f"cannot write in {path} ({error.strerror}); choose another output folder"
            ) from None
        if not held:
            raise RunFolderError(
                f"another process is writing in {path}; wait for it, or choose another output "
                "folder"
            )
        yield folder


def _prepare(folder: RunFolder, config: Mapping[str, Any], resume: bool) -> None:
    text = json.dumps(config, indent=1, ensure_ascii=False) + "\n"
    stored_path, results = folder.path / CONFIG, folder.path / RESULTS
    if not stored_path.exists():
        if results.exists():
            raise RunFolderError(
                f"{folder.path} has a {RESULTS} but no {CONFIG}; choose another output folder"
            )
        folder.write_text(CONFIG, text)
        return
    try:
        stored = expect(read(stored_path, finite=False), OBJECT, "the document")
    except DocumentError as error:
        raise RunFolderError(
            f"{stored_path} cannot be read: {error}; choose another output folder"
        ) from None
    difference = first_difference(stored, json.loads(text))
    if difference is not None:
        name, there, here = difference
        if name == "version":
            raise RunFolderError(
                f"{folder.path} is of format version {there}, not {here}: its files stay as they "
                "are; resume it with the kernas that began it, or choose another output folder"
            )
        raise RunFolderError(
            f"{folder.path} belongs to another configuration: {name} is {there} there and {here} "
            "here; choose another output folder, or give the same options"
        )
    if not resume:
        raise RunFolderError(
            f"{folder.path} already holds this run; give --resume (resume=True) to go on with it, "
            "or choose another output folder"
        )
    _drop_cut_line(results)


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
