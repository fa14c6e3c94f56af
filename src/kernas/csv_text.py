"""Tables as CSV that a spreadsheet shows as they are and does not run.

A spreadsheet takes a cell that begins with ``= + - @``, a tab or a carriage return for a formula
(OWASP, CSV injection), quoted or not; an apostrophe before it makes it a text. Numbers are left.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Sequence
from typing import Any

_FORMULA = re.compile(r"'*[=+\-@\t\r]")


def csv_table(rows: Iterable[Sequence[Any]]) -> str:
    """Rows as lines of comma-separated cells.

    Args:
        rows: numbers, and texts: those that could be run begin with an apostrophe then, which
            :func:`as_it_was` takes off again.
    """
    return "".join(map(_line, rows))


def csv_rows(lines: Iterable[str]) -> tuple[list[str], list[list[str]]]:
    """The head of a table that :func:`csv_table` wrote, and its rows, as texts.

    Args:
        lines: of the file, opened with ``newline=""``.

    Raises:
        ValueError: there is no head.
    """
    head, *rows = [[as_it_was(cell) for cell in row] for row in csv.reader(lines)] or [[]]
    if not head:
        raise ValueError("it has no head")
    return head, rows


def as_it_was(cell: str) -> str:
    """A cell of a table that was read back, without the apostrophe that keeps it from being run."""
    return cell[1:] if cell.startswith("'") and _FORMULA.match(cell) else cell


def _line(row: Sequence[Any]) -> str:
    text = io.StringIO(newline="")
    # The characters of the line's end are those that are quoted within a cell.
    csv.writer(text, lineterminator="\r\n").writerow([_shown(cell) for cell in row])
    return text.getvalue().removesuffix("\r\n") + "\n"


def _shown(cell: Any) -> Any:
    if not isinstance(cell, str) or not _FORMULA.match(cell):
        return cell
    try:
        float(cell)
    except ValueError:
        return f"'{cell}"
    return cell
