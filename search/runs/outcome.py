"""What a run keeps of a candidate and a source, a line of ``results.jsonl``."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from kernas.documents import (
    COUNT,
    NOT_NEGATIVE,
    NUMBER,
    OBJECT,
    SIZE,
    TEXT,
    Kind,
    expect,
    list_of,
    one_of,
    optional,
)
from kernas.documents import field as field_of
from kernas.errors import DocumentError
from kernas.kernels.engine import recorded_blocking
from kernas.kernels.regression import ScoreValue

Status = Literal["ok", "degenerate", "diverged", "error"]

OK: Status = "ok"
DEGENERATE: Status = "degenerate"
DIVERGED: Status = "diverged"
ERROR: Status = "error"

STATUSES: tuple[Status, ...] = (OK, DEGENERATE, DIVERGED, ERROR)
"""From the best to the worst: a row of several outcomes has the worst of them."""

VERSION = 1
"""Of a line."""

_BOTH = list_of(optional(NUMBER), 2)

VALUE: Kind[list[float | None]] = Kind(
    "a finite number and its standard error, or null",
    lambda both: _BOTH.holds(both) and both[0] is not None,
)


@dataclass(frozen=True)
class Outcome:
    """What became of a candidate in a source.

    Attributes:
        candidate: the name of the candidate that was evaluated, the first of those that share it.
        work: equal for candidates that share it, see :meth:`Source.work_key`.
        source: the key of the source.
        status: ``"ok"``; ``"degenerate"``, a score has no value; ``"diverged"``, none has, and none
            would have another time; ``"error"``, tried again by a later run.
        values: score name → value; all that came out, asked for or not.
        degenerate: score name → why it has no value.
        message: what was raised, of a status ``"diverged"`` or ``"error"``.
        seconds: of its computation.
        compilations: programs that were compiled for it.
        settings: what the computation chose by itself.
    """

    candidate: str
    work: str
    source: str
    status: Status
    values: Mapping[str, ScoreValue] = field(default_factory=dict)
    degenerate: Mapping[str, str] = field(default_factory=dict)
    message: str = ""
    seconds: float = 0.0
    compilations: int = 0
    settings: Mapping[str, Any] = field(default_factory=dict)

    @property
    def place(self) -> tuple[str, str]:
        """The source and the work that it is the outcome of."""
        return self.source, self.work

    def answers(self, names: Iterable[str]) -> bool:
        """Whether some scores need no evaluation any more; what failed is tried again."""
        if self.status == ERROR:
            return False
        return self.status == DIVERGED or all(
            name in self.values or name in self.degenerate for name in names
        )

    def to_document(self) -> dict[str, Any]:
        """As JSON values."""
        return {
            "version": VERSION,
            "candidate": self.candidate,
            "work": self.work,
            "source": self.source,
            "status": self.status,
            "values": {
                name: [
                    float(value.value),
                    None if value.standard_error is None else float(value.standard_error),
                ]
                for name, value in self.values.items()
            },
            "degenerate": dict(self.degenerate),
            "message": self.message,
            "seconds": self.seconds,
            "compilations": self.compilations,
            "settings": dict(self.settings),
        }

    @classmethod
    def from_document(cls, document: Any) -> Outcome:
        """What :meth:`to_document` made.

        Raises:
            DocumentError: a field is missing or holds something else, or another version wrote it.
        """
        version = field_of(document, "version", SIZE)
        if version != VERSION:
            raise DocumentError(f"version {version}: expected {VERSION}; update kernas to read it")
        values = field_of(document, "values", OBJECT)
        for name, value in values.items():
            expect(value, VALUE, f"the value of {name}")
        degenerate = field_of(document, "degenerate", OBJECT)
        for name, reason in degenerate.items():
            expect(reason, TEXT, f"the reason of {name}")
        settings = field_of(document, "settings", OBJECT)
        if "blocking" in settings:
            recorded_blocking(settings["blocking"])
        return cls(
            field_of(document, "candidate", TEXT),
            field_of(document, "work", TEXT),
            field_of(document, "source", TEXT),
            field_of(document, "status", one_of(*STATUSES)),
            {name: ScoreValue(*value) for name, value in values.items()},
            degenerate,
            field_of(document, "message", TEXT),
            field_of(document, "seconds", NOT_NEGATIVE),
            field_of(document, "compilations", COUNT),
            settings,
        )


Place = tuple[str, str]
"""The key of a source, and that of the work in it."""


def enter(outcome: Outcome, found: dict[Place, Outcome]) -> None:
    """Make an outcome the one of its work, unless it is a failure of what succeeded before."""
    before = found.get(outcome.place)
    if before is None or before.status == ERROR or outcome.status != ERROR:
        found[outcome.place] = outcome
