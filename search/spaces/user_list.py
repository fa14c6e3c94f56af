"""The user's own list of candidates: their names, and files of names or of JSON."""

from __future__ import annotations

import errno
from collections.abc import Iterable
from pathlib import Path
from typing import TypeGuard

from kernas.errors import ArchitectureError, DataError
from kernas.files import read_text, user_path
from kernas.kernels import Architecture

from .architecture_list import ArchitectureList
from .base import Candidate, Space, repeated_name
from .cell_strings import Cell


def read_candidates(items: Iterable[Cell | Path], space: Space) -> list[Candidate]:
    """Candidates in the order given; everything is read and checked at once.

    Args:
        items: each one a candidate of ``space`` in any form that it takes, such as a cell, the path
            of a ``.json`` file written with ``Architecture.to_json()``, or the path of a text file
            with one candidate a line (empty lines and lines that begin with # are passed over).
        space: makes the candidates. A text such as ``235`` is a cell if there is no such file.

    Returns:
        Candidates named as the space names them, such as by their cell string, or by the path of
        the JSON file as given.

    Raises:
        DataError: a file cannot be read, the list is empty, or a name stands in it twice.
        ArchitectureError: a candidate or an architecture is malformed.
    """
    items, candidates = list(items), []
    for item in items:
        candidates += _read_item(item, space)
    if not candidates:
        raise DataError(
            f"the list of architectures{_files(items, space)} is empty: give candidates "
            "such as cell strings, or files of them"
        )
    name = repeated_name(candidates)
    if name is not None:
        raise DataError(
            f"{name!r} stands in the list{_files(items, space)} twice; give every architecture once"
        )
    return candidates


def _files(items: list[Cell | Path], space: Space) -> str:
    """The files that a list was made of, in words."""
    files = [str(item) for item in items if not _is_candidate(item, space)]
    more = f" and {len(files) - 3} more" if len(files) > 3 else ""
    return f" of {', '.join(files[:3])}{more}" if files else ""


def _is_candidate(item: Cell | Path, space: Space) -> TypeGuard[Cell]:
    """Whether it is one, where a text such as ``235`` may be the name of a file."""
    if not isinstance(item, str):
        return not isinstance(item, Path)
    return space.recognises(item) and ("|" in item or not _exists(item))


def _exists(item: str) -> bool:
    """Whether it is the name of a file; a candidate's may be longer than such names can be."""
    try:
        return user_path(item, "architectures").exists()
    except OSError as error:
        if error.errno != errno.ENAMETOOLONG:
            raise
        return False


def _read_item(item: Cell | Path, space: Space) -> list[Candidate]:
    if _is_candidate(item, space):
        return [space.candidate(item)]
    path = user_path(str(item), "architectures")
    try:
        text = read_text(path)
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(
            f"cannot read {str(item)!r} ({error}); give a candidate of {space.name}, such as "
            f"{space.sample(1)[0].name}, a .json architecture, or a text file with one candidate "
            "a line"
        ) from None
    if path.suffix == ".json":
        return [_read_json(text, Path(str(item)))]
    return _read_lines(text, path, space)


def _read_json(text: str, path: Path) -> Candidate:
    try:
        architecture = Architecture.from_json(text)
    except ArchitectureError as error:
        raise ArchitectureError(f"{path}: {error}") from None
    name = path.as_posix()
    return ArchitectureList({name: architecture}).candidate(name)


def _read_lines(text: str, path: Path, space: Space) -> list[Candidate]:
    candidates: list[Candidate] = []
    for number, line in enumerate(text.splitlines(), start=1):
        cell = line.strip()
        if not cell or cell.startswith("#"):
            continue
        try:
            candidates.append(space.candidate(cell))
        except ArchitectureError as error:
            raise ArchitectureError(f"{path}, line {number}: {error}") from None
    return candidates
