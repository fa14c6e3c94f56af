"""All scores of a ranking beside each other: how well each orders, how surely worse than the best,
and what it costs."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from kernas.csv_text import csv_table

from .layout import aligned, fitted
from .statistics import STATISTICS, Agreement, Agreements, Interval

HEAD: tuple[str, ...] = (
    "Spearman",
    "",
    "behind",
    "",
    "Kendall",
    "nDCG",
    "best tenth",
    "regret",
    "s",
    "score",
)
SPARE = (7, 6, 5, 4, 3, 2)
"""Columns that a narrow terminal may do without, the last of them first."""


@dataclass(frozen=True)
class ComparedScore:
    """One score.

    Attributes:
        name: of the score.
        agreement: with the truth.
        behind: Spearman's ρ of the best score less its own, from the same resamples; ``None`` of
            the best.
        seconds: that its source took for a candidate, all its scores together; median. ``None``
            where it is not known.
    """

    name: str
    agreement: Agreement
    behind: Interval | None
    seconds: float | None


@dataclass(frozen=True)
class Comparison:
    """Scores from the best to the worst by Spearman's ρ; prints as a table.

    Attributes:
        rows: the scores.
    """

    rows: tuple[ComparedScore, ...]

    def __str__(self) -> str:
        return aligned(self._cells())

    def table(self, width: int | None = None) -> str:
        """The table in so many columns of a terminal, without what has no room there."""
        return fitted(self._cells(), width, spare=SPARE)

    def to_csv(self) -> str:
        """All statistics with their limits, one line a score."""
        limits = [f"{name}{part}" for name in STATISTICS for part in ("", ":low", ":high")]
        head = ["score", *limits, "behind", "behind:low", "behind:high", "n", "degenerate"]
        lines: list[list[object]] = [[*head, "failed", "seconds"]]
        for row in self.rows:
            found = [getattr(row.agreement, name) for name in STATISTICS]
            behind = row.behind or Interval(0.0, math.nan, math.nan)
            numbers = [n for i in (*found, behind) for n in (i.value, i.low, i.high)]
            agreed = row.agreement
            counts = [agreed.n, agreed.degenerate, agreed.failed]
            known = [None if math.isnan(number) else number for number in numbers]
            lines.append([row.name, *known, *counts, row.seconds])
        return csv_table(lines)

    def _cells(self) -> list[list[str]]:
        lines = [list(HEAD)]
        for row in self.rows:
            agreed = row.agreement
            lines.append(
                [
                    f"{agreed.spearman.value:.3f}",
                    limits(agreed.spearman),
                    "" if row.behind is None else f"{row.behind.value:.3f}",
                    "" if row.behind is None else limits(row.behind),
                    f"{agreed.kendall.value:.3f}",
                    f"{agreed.ndcg.value:.3f}",
                    f"{agreed.precision.value:.2f}",
                    f"{agreed.regret.value:.3g}",
                    "" if row.seconds is None else f"{row.seconds:.2g}",
                    row.name,
                ]
            )
        return lines


def compared(agreed: Agreements, seconds: Mapping[str, float]) -> Comparison:
    """The scores beside each other.

    Args:
        agreed: score name → agreement with the truth.
        seconds: score name → what its source takes for a candidate.
    """
    names = agreed.best_first()
    return Comparison(
        tuple(
            ComparedScore(
                name,
                agreed[name],
                None if name == names[0] else agreed.difference(names[0], name),
                seconds.get(name),
            )
            for name in names
        )
    )


def limits(interval: Interval) -> str:
    """The limits of an interval, for people; nothing where there are none."""
    return f"[{interval.low:.2f}, {interval.high:.2f}]" if interval.is_known else ""
