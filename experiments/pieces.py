"""A table that a long experiment fills piece by piece, in as many sittings as it takes.

It stands beside the script, a row for each candidate and some columns for each piece, and is
committed like a record: a piece that it has is not computed again, on another machine either. Its
first line, after a ``#``, says what identifies each piece.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from kernas.csv_text import csv_rows, csv_table
from kernas.errors import DataError
from kernas.files import write_whole

Columns = dict[str, list[float | None]]

DIGITS = 7
"""Significant ones that are kept."""


@dataclass(frozen=True)
class Pieces:
    """The pieces of an experiment.

    Args:
        path: of the table, ``None`` to keep none.
        rows: the names of the candidates.
    """

    path: Path | None
    rows: Sequence[str]

    def get(self, piece: str, key: str, compute: Callable[[], Mapping[str, Sequence]]) -> Columns:
        """The columns of a piece: those of the table, or else computed and added to it.

        Args:
            piece: its name, without a slash; its columns are ``PIECE/COLUMN``.
            key: what identifies it: equal for equal settings and data.
            compute: column → a value for each row, ``None`` where there is none.

        Raises:
            DataError: the table has other rows, or the piece with another key.
        """
        keys, columns = self._read()
        if piece in keys:
            if keys[piece] != key:
                raise DataError(
                    f"{self.path} has {piece!r} of other settings or data ({keys[piece]}, here "
                    f"{key}): move the table away to measure all anew"
                )
            head = f"{piece}/"
            return {
                name.removeprefix(head): values
                for name, values in columns.items()
                if name.startswith(head)
            }
        found = {
            name: [None if value is None else float(f"{value:.{DIGITS}g}") for value in values]
            for name, values in compute().items()
        }
        keys, columns = self._read()  # another process may have added a piece meanwhile
        columns |= {f"{piece}/{name}": values for name, values in found.items()}
        self._write({**keys, piece: key}, columns)
        return found

    def __contains__(self, piece: str) -> bool:
        """Whether the table has a piece."""
        return piece in self._read()[0]

    def _read(self) -> tuple[dict[str, str], Columns]:
        """Piece → key, and column → values."""
        if self.path is None or not self.path.exists():
            return {}, {}
        first, *lines = self.path.read_text(encoding="utf-8").splitlines()
        names, rows = csv_rows(lines)
        if [row[0] for row in rows] != list(self.rows):
            raise DataError(
                f"{self.path} is of {len(rows)} other candidates than these {len(self.rows)}: move "
                "it away to measure all anew"
            )
        columns = {
            name: [float(row[place]) if row[place] else None for row in rows]
            for place, name in enumerate(names[1:], start=1)
        }
        return json.loads(first.removeprefix("#")), columns

    def _write(self, keys: Mapping[str, str], columns: Columns) -> None:
        if self.path is None:
            return
        texts = [[_text(value) for value in values] for values in columns.values()]
        lines = zip(self.rows, *texts, strict=True)
        table = csv_table([["cell", *columns], *lines])
        self.path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(self.path, f"# {json.dumps(keys)}\n{table}".encode())


def _text(value: float | None) -> str:
    """A value as the table has it."""
    return "" if value is None else f"{value:.{DIGITS}g}"
