"""What a page is made of: parts, one a run, of facts, pictures, tables and drawings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ...ranking.comparison import limits
from ...ranking.statistics import Interval

Values = Sequence[float | int | str | None]

Cell = tuple[str, float | None]
"""What a cell of a table shows, and the number that it is sorted by; ``None`` to sort by the
text."""


@dataclass(frozen=True)
class Choice:
    """One way to look at a picture.

    Attributes:
        label: what a reader chooses.
        changes: path in the chart, its parts between slashes → what stands there then.
    """

    label: str
    changes: Mapping[str, Any]


@dataclass(frozen=True)
class Selection:
    """What a reader may choose of a picture; the first choice is how it is drawn at first."""

    label: str
    choices: tuple[Choice, ...]


@dataclass(frozen=True)
class Picture:
    """A chart of columns.

    Attributes:
        name: of its file, where it becomes one; letters, digits and hyphens.
        title: above it.
        says: what it shows, in words, for those who do not see it.
        chart: a specification of Vega-Lite, without data.
        columns: field → its values, all equally many; fields are ours, never a user's texts.
        selections: what a reader may choose.
    """

    name: str
    title: str
    says: str
    chart: Mapping[str, Any]
    columns: Mapping[str, Values]
    selections: tuple[Selection, ...] = ()


@dataclass(frozen=True)
class Column:
    """A column of a table.

    Attributes:
        label: its head.
        is_number: aligned to the right, and sorted by number.
        title: what the pointer shows.
    """

    label: str
    is_number: bool = False
    title: str = ""


@dataclass(frozen=True)
class Table:
    """A table that readers sort and filter.

    Attributes:
        title: above it.
        columns: its heads.
        rows: of as many cells.
        note: below the title.
    """

    title: str
    columns: tuple[Column, ...]
    rows: Sequence[Sequence[Cell]]
    note: str = ""


@dataclass(frozen=True)
class Drawing:
    """A candidate's network.

    Attributes:
        title: the candidate.
        note: its rank and value.
        svg: a document, whose texts are escaped.
    """

    title: str
    note: str
    svg: str


@dataclass(frozen=True)
class Part:
    """A run.

    Attributes:
        kind: what it is: a ranking, a search, a training, a model.
        title: its folder.
        facts: in a line each, label and text.
        pictures, tables, drawings: of it.
        notes: what is missing, and why.
        command: that made it, as words; empty where a script did.
        settings: label → text.
    """

    kind: str
    title: str
    facts: Sequence[tuple[str, str]] = ()
    pictures: Sequence[Picture] = ()
    tables: Sequence[Table] = ()
    drawings: Sequence[Drawing] = ()
    notes: Sequence[str] = ()
    command: Sequence[str] = ()
    settings: Mapping[str, str] = field(default_factory=dict)


def text(value: str | None) -> Cell:
    """A cell that is sorted by its text."""
    return "" if value is None else value, None


def number(value: float | None, shown: str | None = None) -> Cell:
    """A cell that is sorted by its number; empty for none."""
    if value is None or value != value:
        return "", None
    return f"{value:.4g}" if shown is None else shown, value


def with_limits(interval: Interval) -> str:
    """A statistic with the limits of its interval."""
    return f"{interval.value:.3f} {limits(interval)}".rstrip()


def flat(document: Mapping[str, Any], before: str = "") -> dict[str, str]:
    """The leaves of a JSON object, by the keys that lead to them."""
    found: dict[str, str] = {}
    for key, value in document.items():
        if isinstance(value, Mapping):
            found |= flat(value, f"{before}{key} · ")
        elif value is not None:
            listed = ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
            found[f"{before}{key}"] = listed
    return found


def made_with(document: Mapping[str, Any]) -> dict[str, str]:
    """Device, type and versions, as a run records them, for people."""
    found: dict[str, str] = {}
    device = document.get("device")
    if isinstance(device, Mapping):
        found["device"] = f"{device.get('count')} × {device.get('kind')} ({device.get('platform')})"
    if "dtype" in document:
        found["dtype"] = str(document["dtype"])
    versions = document.get("versions")
    if isinstance(versions, Mapping):
        found["versions"] = ", ".join(f"{name} {version}" for name, version in versions.items())
    return found
