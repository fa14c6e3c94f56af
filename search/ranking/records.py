"""What a run keeps of an architecture, a line of ``results.jsonl``, and what it has to hold."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from kernas.documents import (
    COUNT,
    NOT_NEGATIVE,
    NUMBER,
    OBJECT,
    TEXT,
    Kind,
    expect,
    field,
    list_of,
    one_of,
    optional,
)
from kernas.errors import DocumentError
from kernas.kernels.engine import recorded_blocking

from .table import DEGENERATE, ERROR, OK

Record = dict[str, Any]
"""``hash`` and ``name`` of an architecture; ``status``; ``values``, score name → ``[value, standard
error]``; ``message``; ``seconds``; ``compilations``; ``settings`` of its kernel."""

_BOTH = list_of(optional(NUMBER), 2)

VALUE: Kind[list[float | None]] = Kind(
    "a finite number and its standard error, or null",
    lambda both: _BOTH.holds(both) and both[0] is not None,
)


def check_record(record: Record, scores: Collection[str]) -> None:
    """Refuse what is no record of a run with these scores.

    Raises:
        DocumentError: a field is missing or holds something else.
    """
    for name, kind in {
        "hash": TEXT,
        "name": TEXT,
        "status": one_of(OK, DEGENERATE, ERROR),
        "values": OBJECT,
        "message": TEXT,
        "seconds": NOT_NEGATIVE,
        "compilations": COUNT,
        "settings": OBJECT,
    }.items():
        field(record, name, kind)
    for name, value in record["values"].items():
        if name not in scores:
            raise DocumentError(f"it has a value of {name!r}: expected {', '.join(scores)}")
        expect(value, VALUE, f"the value of {name}")
    if "blocking" in record["settings"]:
        recorded_blocking(record["settings"]["blocking"])
