"""Scores against the truth, and scores against one another."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Literal

import numpy as np

from kernas.errors import ConfigurationError

from ..ranking.statistics import Agreement, Agreements, spearman
from ..ranking.table import ERROR, Ranking, Row
from .panels import (
    DEGENERATE_POINT,
    POINT,
    note,
    panels_of,
    standard_errors,
)
from .scales import by_value_or_rank

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MOST_PANELS = 12

EDGE = 0.015
"""Where, as a share of a panel, candidates stand that have no value along its other axis."""


def score_truth_figure(ranking: Ranking, statistics: Mapping[str, Agreement]) -> Figure:
    """One panel a score: its values against the measured ones, with the agreement in it.

    Better is to the right and to the top: a score for which lower is better has its axis reversed.
    Degenerate candidates stand at the side of the worse scores. Bars are one standard error.

    Where values crowd, their axis shows ranks, 1 for the best and the mean for ties, and no errors.
    They crowd where the middle half of them, from the first to the third quartile, fills less than
    a tenth of their range (of their logarithms, where they are positive and span more than 1e3).
    This is decided for every axis by itself. Of more than twelve scores those are drawn that agree
    best.

    Args:
        ranking: rows with ``truth``.
        statistics: score name → agreement, as of ``ranking.correlation``.
    """
    figure, panels = panels_of(_best(ranking, statistics))
    rows = [row for row in ranking.rows if row.status != ERROR and row.truth is not None]
    truth = np.array([row.truth for row in rows], dtype=np.float64)
    y = by_value_or_rank(truth, _truth_name(ranking), True)
    for name, axes in panels.items():
        has = np.array([name in row.values for row in rows], dtype=bool)
        scored = _having(rows, name)
        x = by_value_or_rank(_values(scored, name), name, ranking.directions[name])
        x.apply(axes, "x")
        y.apply(axes, "y")
        errors = None if x.is_rank else standard_errors(scored, name)
        _draw_points(axes, x.at, y.at[has], errors, None)
        _draw_at_edge(axes, y.at[~has], "y", "degenerate")
        note(axes, _agreement_lines(statistics[name]))
    return figure


def score_score_figure(ranking: Ranking) -> Figure:
    """The first score against each of the others, one panel each, with Spearman's ρ in its note.

    Better is to the right and to the top. Candidates that are degenerate for one of the two scores
    stand at the worse side of that one; those that are so for both have no place, and are counted
    in the note. Spearman's ρ takes all of them, a score that is missing as a tie below all others.
    Bars are one standard error. Where values crowd, their axis shows ranks, by the rule of
    :func:`score_truth_figure`. Of more than twelve others the first are drawn.

    Args:
        ranking: of two scores or more.

    Raises:
        ConfigurationError: the ranking has one score.
    """
    first, *others = ranking.directions
    if not others:
        raise ConfigurationError(
            f"the ranking has one score, {first}: give two or more to set one against the other"
        )
    figure, panels = panels_of(others[:MOST_PANELS])
    rows = [row for row in ranking.rows if row.status != ERROR]
    across = _having(rows, first)
    x = by_value_or_rank(_values(across, first), first, ranking.directions[first])
    for name, axes in panels.items():
        upward = _having(rows, name)
        y = by_value_or_rank(_values(upward, name), name, ranking.directions[name])
        x.apply(axes, "x")
        y.apply(axes, "y")
        both_x = np.array([name in row.values for row in across], dtype=bool)
        both_y = np.array([first in row.values for row in upward], dtype=bool)
        both = _having(across, name)
        _draw_points(
            axes,
            x.at[both_x],
            y.at[both_y],
            None if x.is_rank else standard_errors(both, first),
            None if y.is_rank else standard_errors(both, name),
        )
        _draw_at_edge(axes, x.at[~both_x], "x", f"degenerate for {name}")
        _draw_at_edge(axes, y.at[~both_y], "y", f"degenerate for {first}")
        note(axes, _comparison_lines(ranking, rows, first, name))
    return figure


def _best(ranking: Ranking, statistics: Mapping[str, Agreement]) -> list[str]:
    """The scores that are drawn, in the order of the ranking."""
    chosen = Agreements(statistics).best_first()[:MOST_PANELS]
    return [name for name in ranking.directions if name in chosen]


def _having(rows: Sequence[Row], name: str) -> list[Row]:
    return [row for row in rows if name in row.values]


def _values(rows: Sequence[Row], name: str) -> np.ndarray:
    return np.array([row.values[name].value for row in rows], dtype=np.float64)


def _draw_points(
    axes: Axes,
    x: np.ndarray,
    y: np.ndarray,
    x_errors: np.ndarray | None,
    y_errors: np.ndarray | None,
) -> None:
    if x_errors is not None or y_errors is not None:
        bars = {"fmt": "none", "ecolor": POINT, "elinewidth": 0.7, "alpha": 0.25}
        axes.errorbar(x, y, xerr=x_errors, yerr=y_errors, **bars)
    axes.scatter(x, y, s=18, color=POINT, alpha=0.75, linewidths=0, zorder=3)


def _draw_at_edge(axes: Axes, at: np.ndarray, way: Literal["x", "y"], what: str) -> None:
    """Candidates with a place along one axis alone, on the other one's edge of the worse scores."""
    if not at.size:
        return
    edge = np.full(at.size, EDGE)
    style = {"color": DEGENERATE_POINT, "markersize": 5, "clip_on": False, "linestyle": "none"}
    label = f"{what} ({at.size})"
    if way == "x":
        axes.plot(at, edge, marker="^", transform=axes.get_xaxis_transform(), label=label, **style)
    else:
        axes.plot(edge, at, marker=">", transform=axes.get_yaxis_transform(), label=label, **style)


def _agreement_lines(value: Agreement) -> list[str]:
    statistics = (("Spearman", value.spearman), ("Kendall", value.kendall), ("nDCG", value.ndcg))
    lines = [
        f"{name:<8}{i.value:7.3f}" + (f" [{i.low:.3f}, {i.high:.3f}]" if i.is_known else "")
        for name, i in statistics
    ]
    failed = f", {value.failed} failed" if value.failed else ""
    known = any(i.is_known for _, i in statistics)
    return [*lines, f"n = {value.n}{failed}, {'95%' if known else 'no'} intervals"]


def _comparison_lines(ranking: Ranking, rows: Sequence[Row], first: str, second: str) -> list[str]:
    one, other = (
        [row.values[name].value if name in row.values else None for row in rows]
        for name in (first, second)
    )
    found = spearman(
        one, other, higher_is_better=(ranking.directions[first], ranking.directions[second])
    )
    counts = [f"n = {len(rows)}"]
    neither = sum(first not in row.values and second not in row.values for row in rows)
    if neither:
        counts.append(f"{neither} degenerate for both")
    if len(rows) < len(ranking.rows):
        counts.append(f"{len(ranking.rows) - len(rows)} failed")
    return [f"Spearman {found:.3f}", ", ".join(counts)]


def _truth_name(ranking: Ranking) -> str:
    """The truth by its column, where the ranking knows it."""
    truth = ranking.summary.get("config", {}).get("truth")
    return "measured value" if truth is None else f"measured {truth['column']}"
