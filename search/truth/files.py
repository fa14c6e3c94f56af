"""Tables of measured values in files: names, and columns of numbers.

``.npz``: arrays of equal length, the names in ``arch_str``. ``.csv``: a line of titles, then a line
for each name, which stands in the first column. ``.json``: a name for each number, or for each
mapping of columns to numbers. None of them is unpickled or run.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from kernas import documents
from kernas.arrays import ArrayArchive, open_npz
from kernas.csv_text import as_it_was
from kernas.errors import DataError, DocumentError
from kernas.files import open_regular

from ..spaces.published import NAMES

WAY_OUT = f"expected an .npz of plain arrays with {NAMES!r} and columns of numbers"

LARGEST_CSV = 64 * 2**20
"""Bytes of a table as text: half a million lines of a hundred characters have fewer."""

SURROGATE = "surrogate"
"""What the document of a surrogate says that it is."""

VALUE = "value"
"""The column of a document that has one number for each name."""


@dataclass(frozen=True)
class Column:
    """One column of a table.

    Attributes:
        names: of the candidates.
        name: of the column.
        values: a number for each, NaN where there is none.
    """

    names: list[str]
    name: str
    values: list[float]


def read_document(path: Path) -> Any:
    """The JSON value of a table, or of a surrogate.

    Raises:
        DataError: it cannot be read.
    """
    try:
        return documents.read(path, finite=False)
    except (OSError, DocumentError) as error:
        raise DataError(f"{path} cannot be read ({error}); {JSON_FORM}") from None


def is_surrogate(document: Any) -> bool:
    """Whether a document says that it is a surrogate of a space's truth."""
    return isinstance(document, dict) and document.get("kind") == SURROGATE


def read_column(path: Path, column: str | None, default: str) -> Column:
    """A column of a ``.csv``, or of the arrays of an ``.npz``.

    Args:
        path: of the table.
        column: its name; ``None`` for the one of that name by ``default``, or the only one.
        default: what a column is called unless another is asked for.

    Raises:
        DataError: there is no such column (the message lists what there is), or the file is no such
            table.
    """
    if path.suffix.lower() == ".csv":
        return _chosen(path, _csv(path), column, default)
    with open_npz(path, way_out=WAY_OUT) as table:
        return _of_arrays(table, path, default if column is None else column)


def column_of(path: Path, document: Any, column: str | None, default: str) -> Column:
    """A column of the JSON value in a file; as :func:`read_column`.

    Raises:
        DataError: as there.
    """
    return _chosen(path, _of_document(path, document), column, default)


@dataclass(frozen=True)
class _Table:
    """Names, and columns of as many values; those that are no numbers are NaN, where all are it is
    no column."""

    names: list[str]
    columns: Mapping[str, list[float]]


def _chosen(path: Path, table: _Table, column: str | None, default: str) -> Column:
    known = [name for name, values in table.columns.items() if any(map(math.isfinite, values))]
    name = column
    if name is None:
        name = known[0] if len(known) == 1 else default
    if name not in known:
        raise DataError(
            f"{path} has no column {name!r} of numbers; expected one of "
            f"{', '.join(known) or 'none'}"
        )
    return Column(table.names, name, table.columns[name])


def _csv(path: Path) -> _Table:
    try:
        with open_regular(path) as file:
            content = file.read(LARGEST_CSV + 1)
        if len(content) > LARGEST_CSV:
            raise DataError(f"{path} has more than {LARGEST_CSV:,} bytes: expected a smaller table")
        lines = csv.reader(io.StringIO(content.decode("utf-8-sig"), newline=""), strict=True)
        titles, *rows = [line for line in lines if line] or [[]]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(
            f"{path} cannot be read ({error}); expected lines of comma-separated cells in UTF-8"
        ) from None
    if len(titles) < 2 or len(set(titles)) < len(titles):
        raise DataError(
            f"{path} begins with {titles!r:.80}: expected different titles of the names and of "
            "one column or more"
        )
    for number, row in enumerate(rows, start=2):
        if len(row) != len(titles):
            raise DataError(
                f"row {number} of {path} has {len(row)} cells: expected {len(titles)}, as many as "
                "there are titles"
            )
    columns = {
        as_it_was(title): [_number(row[place]) for row in rows]
        for place, title in enumerate(titles[1:], start=1)
    }
    return _Table([as_it_was(row[0]) for row in rows], columns)


def _of_document(path: Path, found: Any) -> _Table:
    if not isinstance(found, dict) or not found:
        raise DataError(f"{path} has {type(found).__name__} of no names; {JSON_FORM}")
    rows = {name: of if isinstance(of, dict) else {VALUE: of} for name, of in found.items()}
    titles = dict.fromkeys(title for of in rows.values() for title in of)
    columns = {title: [_number(of.get(title)) for of in rows.values()] for title in titles}
    return _Table(list(rows), columns)


JSON_FORM = 'expected {"NAME": number, …} or {"NAME": {"column": number, …}, …}'


def _number(given: Any) -> float:
    """A number, or a text of one; NaN of everything else."""
    if isinstance(given, bool) or not isinstance(given, int | float | str):
        return math.nan
    with suppress(ValueError):
        return float(given)
    return math.nan


def _of_arrays(table: ArrayArchive, path: Path, column: str) -> Column:
    if NAMES not in table.names:
        raise DataError(
            f"{path} has no array {NAMES!r} (it has {', '.join(table.names) or 'none'}); "
            "expected the architectures' names there"
        )
    names = table.read(NAMES)
    if names.ndim != 1 or names.dtype.kind not in "SU":
        raise DataError(
            f"{NAMES!r} of {path} has shape {names.shape} and dtype {names.dtype}: expected a "
            "vector of strings, the architectures' names"
        )
    if column not in table.names or not _is_column(table, column, names):
        columns = [key for key in table.names if _is_column(table, key, names)]
        raise DataError(
            f"{path} has no column {column!r}; expected one of {', '.join(columns) or 'none'}"
        )
    texts = [_text(name, path) for name in names.tolist()]
    return Column(texts, column, table.read(column).tolist())


def _is_column(table: ArrayArchive, key: str, names: np.ndarray | Sequence[str]) -> bool:
    """Whether an array has one number for each name."""
    try:
        header = table.header(key)
    except DataError:  # another array of Python objects, or a damaged one, is no column
        return False
    return header.shape == (len(names),) and header.dtype.kind in "fiu"


def _text(name: str | bytes, path: Path) -> str:
    if isinstance(name, str):
        return name
    try:
        return name.decode()
    except UnicodeDecodeError:
        raise DataError(
            f"{NAMES!r} of {path} has the name {name!r}: expected strings, or bytes in UTF-8"
        ) from None
