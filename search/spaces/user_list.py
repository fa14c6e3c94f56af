"""The user's own list of candidates: cell strings, and files of cell strings or of JSON."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from pathlib import Path

from kernas.errors import ArchitectureError, DataError
from kernas.kernels import Architecture

from .base import Candidate, Space, repeated_name
from .cell_strings import Cell, is_cell_text


def read_candidates(items: Iterable[Cell | Path], space: Space) -> list[Candidate]:
    """Candidates in the order given; everything is read and checked at once.

    Args:
        items: each one a cell of ``space`` in any form that it takes, the path of a ``.json`` file
            written with ``Architecture.to_json()``, or the path of a text file with one cell a
            line (empty lines and lines that begin with # are passed over).
        space: parses the cells. A text such as ``235`` is a cell if there is no such file.

    Returns:
        Candidates named by their cell string, or by the path of the JSON file as given.

    Raises:
        DataError: a file cannot be read, the list is empty, or a name stands in it twice.
        ArchitectureError: a cell string or an architecture is malformed.
    """
    candidates: list[Candidate] = []
    for item in items:
        candidates += _read_item(item, space)
    if not candidates:
        raise DataError("the list of architectures is empty: give cell strings or files of them")
    name = repeated_name(candidates)
    if name is not None:
        raise DataError(f"{name!r} stands in the list twice; give every architecture once")
    return candidates


def _read_item(item: Cell | Path, space: Space) -> list[Candidate]:
    if not isinstance(item, str | Path):
        return [space.candidate(item)]
    path = Path(item)
    if isinstance(item, str) and is_cell_text(item) and ("|" in item or not path.exists()):
        return [space.candidate(item)]
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(
            f"cannot read {str(item)!r} ({error}); give a cell string (with its bars |), a .json "
            "architecture, or a text file with one cell string a line"
        ) from None
    try:
        if path.suffix == ".json":
            architecture = Architecture.from_json(text)
            return [Candidate(path.as_posix(), partial(Architecture, architecture.nodes))]
        lines = (line.strip() for line in text.splitlines())
        return [space.candidate(line) for line in lines if line and not line.startswith("#")]
    except ArchitectureError as error:
        raise ArchitectureError(f"{path}: {error}") from None
