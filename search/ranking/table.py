"""The result of a ranking: its rows in order, and what can be asked of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from html import escape
from typing import Any, overload

from kernas.csv_text import csv_table
from kernas.errors import ConfigurationError, DataError, MissingDependencyError
from kernas.kernels.regression import ScoreValue

from ..runs.outcome import ERROR
from ..truth import Truth
from .comparison import Comparison, compared
from .layout import aligned, fitted
from .statistics import N_RESAMPLES, Agreements, agreements


@dataclass(frozen=True)
class Row:
    """One candidate.

    Attributes:
        rank: 1 for the best by the first score, ties share the smallest; ``None`` if that failed.
        name: the candidate's name.
        hash: content hash of its architecture.
        status: ``"ok"``, or the worst that became of one of its scores: ``"degenerate"`` (a kernel
            that is zero, constant or not finite), ``"diverged"`` (a training that left the finite
            numbers) or ``"error"``.
        values: score name → value; missing where degenerate, diverged or failed.
        message: why it is not ``"ok"``.
        truth: the measured value, if a truth was given.
        seconds: time that its scores took, not a part of equality.
        tied: whether others share the rank.
    """

    rank: int | None
    name: str
    hash: str
    status: str
    values: Mapping[str, ScoreValue]
    message: str = ""
    truth: float | None = None
    seconds: float = field(default=0.0, compare=False)
    tied: bool = False

    def to_dict(self) -> dict[str, Any]:
        """As JSON values."""
        return {
            "rank": self.rank,
            "name": self.name,
            "hash": self.hash,
            "status": self.status,
            "scores": {
                name: {"value": value.value, "standard_error": value.standard_error}
                for name, value in self.values.items()
            },
            "message": self.message,
            "truth": self.truth,
            "seconds": self.seconds,
        }


@dataclass(frozen=True)
class Ranking:
    """Candidates from the best to the worst by the first score.

    Attributes:
        rows: the best first, then the degenerate, then the failed.
        directions: score name → whether higher is better, the ranking score first.
        statistics: score name → agreement with the truth, empty without one.
        seconds: score name → what its source takes for a candidate, all its scores together; the
            median over the candidates.
        summary: configuration, seconds, compilations, device and versions of the run.
    """

    rows: tuple[Row, ...]
    directions: Mapping[str, bool]
    statistics: Agreements = field(default_factory=Agreements)
    seconds: Mapping[str, float] = field(default_factory=dict, compare=False, repr=False)
    summary: Mapping[str, Any] = field(default_factory=dict, compare=False, repr=False)

    def __len__(self) -> int:
        return len(self.rows)

    def __iter__(self) -> Iterator[Row]:
        return iter(self.rows)

    @overload
    def __getitem__(self, position: int) -> Row: ...
    @overload
    def __getitem__(self, position: slice) -> Ranking: ...
    def __getitem__(self, position: int | slice) -> Row | Ranking:
        """The row at a position, or some rows as a ranking of their own."""
        if isinstance(position, slice):
            return replace(self, rows=self.rows[position])
        return self.rows[position]

    def by(self, score: str) -> Ranking:
        """The same candidates ordered by another of their scores.

        Raises:
            ConfigurationError: there is no such score.
        """
        if score not in self.directions:
            raise ConfigurationError(
                f"score {score!r}: expected one of {', '.join(self.directions)}"
            )
        directions = {score: self.directions[score], **self.directions}
        return replace(self, rows=rank_rows(self.rows, directions), directions=directions)

    def near_best(self) -> int | None:
        """How many candidates lie within one standard error of the best by the first score, itself
        included; ``None`` where the score has no standard error."""
        first = next(iter(self.directions))
        values = [row.values[first] for row in self.rows if first in row.values]
        if not values or values[0].standard_error is None:
            return None
        best, error = values[0].value, values[0].standard_error
        return sum(abs(value.value - best) <= error for value in values)

    def to_frame(self) -> Any:
        """The rows as a ``pandas.DataFrame``, one column a score and its standard error.

        Raises:
            MissingDependencyError: pandas is not installed.
        """
        try:
            import pandas
        except ImportError:
            raise MissingDependencyError(
                "a data frame needs pandas: run pip install pandas, or use to_csv()"
            ) from None
        from io import StringIO

        return pandas.read_csv(StringIO(self.to_csv()))

    def _repr_html_(self) -> str:
        """The table in a notebook."""
        lines = self._cells()
        head = "".join(f"<th>{escape(cell)}</th>" for cell in lines[0])
        body = "".join(
            "<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in line) + "</tr>"
            for line in lines[1:]
        )
        return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"

    def columns(self) -> dict[str, list[float | None]]:
        """Score name → its values in the order of the rows, ``None`` where it is degenerate; rows
        that failed are left out."""
        rows = [row for row in self.rows if row.status != ERROR]
        return {
            name: [row.values[name].value if name in row.values else None for row in rows]
            for name in self.directions
        }

    def top(self, n: int = 5) -> Ranking:
        """The first n rows as a ranking of their own; prints as a table."""
        return self[: max(n, 0)]

    def correlation(
        self, truth: Mapping[str, float], *, seed: int = 0, n_resamples: int = N_RESAMPLES
    ) -> Agreements:
        """Agreement of every score with measured values.

        Args:
            truth: candidate's name → measured value, larger is better.
            seed: of the bootstrap.
            n_resamples: of the bootstrap.

        Returns:
            Score name → its agreement, of which differences can be asked too.

        Raises:
            DataError: a candidate has no measured value.
        """
        rows = [row for row in self.rows if row.status != ERROR]
        truth = truth if isinstance(truth, Truth) else Truth(truth)
        for row in rows:
            if row.name not in truth:
                raise DataError(
                    f"{row.name} has no measured value in the truth; rank candidates of the table"
                )
        return agreements(
            [truth[row.name] for row in rows],
            self.columns(),
            higher_is_better=self.directions,
            failed=len(self.rows) - len(rows),
            seed=seed,
            n_resamples=n_resamples,
        )

    def comparison(self) -> Comparison:
        """All scores beside each other, by how well they order candidates like the truth.

        Raises:
            ConfigurationError: there is no truth.
        """
        if not self.statistics:
            raise ConfigurationError(
                "the ranking has no truth to compare its scores with: give rank(…, truth=…)"
            )
        return compared(self.statistics, self.seconds)

    def to_csv(self) -> str:
        """The table as CSV: the same text for the same results, whatever time they took."""
        has_truth = any(row.truth is not None for row in self.rows)
        columns = [
            column for name in self.directions for column in (name, f"{name}:standard_error")
        ]
        header = ["rank", "name", "hash", "status", *columns, *(["truth"] if has_truth else [])]
        lines: list[list[Any]] = [[*header, "message"]]
        for row in self.rows:
            cells: list[Any] = [row.rank, row.name, row.hash, row.status]
            for name in self.directions:
                value = row.values.get(name)
                cells += [None, None] if value is None else [value.value, value.standard_error]
            lines.append([*cells, *([row.truth] if has_truth else []), row.message])
        return csv_table(lines)

    def __str__(self) -> str:
        """A table for people: rank, ``=3`` where it is shared, scores with standard errors, truth,
        name."""
        return aligned(self._cells())

    def table(self, width: int | None = None) -> str:
        """The same in so many columns of a terminal; ``None`` for as many as it takes.

        Where there are fewer, names lose their middle, then the columns of all scores but the first
        are left out from the last one on; a line below says so.
        """
        return fitted(self._cells(), width, spare=range(2, 1 + len(self.directions)))

    def _cells(self) -> list[list[str]]:
        """The head of the table and its rows, as texts."""
        has_truth = any(row.truth is not None for row in self.rows)
        lines = [["rank", *self.directions, *(["truth"] if has_truth else []), "name"]]
        for row in self.rows:
            scores = [show_value(row.values.get(name), row.status) for name in self.directions]
            truth = [f"{row.truth:.2f}" if row.truth is not None else ""] if has_truth else []
            lines.append([show_rank(row), *scores, *truth, row.name])
        return lines


def show_rank(row: Row) -> str:
    """The rank for people: ``=3`` where it is shared, a dash where there is none."""
    return "–" if row.rank is None else f"{'=' if row.tied else ''}{row.rank}"


def show_value(value: ScoreValue | None, status: str) -> str:
    """A score for people with its standard error, or the status where there is none."""
    if value is None:
        return status
    error = "" if value.standard_error is None else f" ± {value.standard_error:.2g}"
    return f"{value.value:.4g}{error}"


def rank_rows(rows: Sequence[Row], directions: Mapping[str, bool]) -> tuple[Row, ...]:
    """Order rows by the first score and give them their ranks.

    Candidates without a value share the rank below all that have one, those whose first score
    failed come last without a rank. Rows that tie are ordered by name.
    """
    first = next(iter(directions))
    sign = -1.0 if directions[first] else 1.0

    def key(row: Row) -> tuple[int, float]:
        if first in row.values:
            return 0, sign * row.values[first].value
        return (2 if row.status == ERROR else 1), 0.0

    ordered = sorted(rows, key=lambda row: (key(row), row.name))
    ranked: list[Row] = []
    for position, row in enumerate(ordered, start=1):
        if key(row)[0] == 2:
            ranked.append(replace(row, rank=None))
        elif ranked and key(ordered[position - 2]) == key(row):
            ranked.append(replace(row, rank=ranked[-1].rank))
        else:
            ranked.append(replace(row, rank=position))
    shared = Counter(row.rank for row in ranked)
    return tuple(replace(row, tied=row.rank is not None and shared[row.rank] > 1) for row in ranked)
