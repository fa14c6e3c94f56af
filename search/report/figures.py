"""Figures of a ranking, drawn without a window and without matplotlib's global state."""

from __future__ import annotations

import io
import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from ..ranking.statistics import Agreement
from ..ranking.table import ERROR, Ranking, Row

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

POINT, DEGENERATE_POINT, ACCENT, GRID = "#2a6f97", "#c8553d", "#14213d", "#d9dee3"
MAX_COLUMNS = 3


def ranking_figure(ranking: Ranking) -> Figure:
    """Scores against the truth where a truth was given, the scores' distributions where not."""
    if ranking.statistics:
        return score_truth_figure(ranking, ranking.statistics)
    return score_distribution_figure(ranking)


def score_truth_figure(ranking: Ranking, statistics: Mapping[str, Agreement]) -> Figure:
    """One panel a score: its values against the measured ones, with the agreement in it.

    Degenerate candidates stand at the side of the worse scores. A score for which lower is better
    has its axis reversed, so that better is to the right everywhere.

    Args:
        ranking: rows with ``truth``.
        statistics: score name → agreement, as of ``ranking.correlation``.
    """
    figure, panels = _panels(list(ranking.directions))
    for name, axes in panels.items():
        rows = [row for row in ranking.rows if row.status != ERROR and row.truth is not None]
        scored = [row for row in rows if name in row.values]
        x = np.array([row.values[name].value for row in scored])
        y = np.array([row.truth for row in scored])
        _set_direction(axes, name, ranking.directions[name], x)
        bars = _horizontal_errors(scored, name)
        if bars is not None:
            axes.errorbar(x, y, xerr=bars, fmt="none", ecolor=POINT, elinewidth=0.7, alpha=0.25)
        axes.scatter(x, y, s=18, color=POINT, alpha=0.75, linewidths=0, zorder=3)
        _draw_degenerate(axes, [row for row in rows if name not in row.values])
        axes.set_ylabel(_truth_label(ranking))
        _note(axes, _agreement_lines(statistics[name]))
    return figure


def score_distribution_figure(ranking: Ranking) -> Figure:
    """One panel a score: a histogram of its values, each candidate as a tick below."""
    figure, panels = _panels(list(ranking.directions))
    for name, axes in panels.items():
        rows = [row for row in ranking.rows if row.status != ERROR]
        x = np.array([row.values[name].value for row in rows if name in row.values])
        _set_direction(axes, name, ranking.directions[name], x)
        if x.size:
            axes.hist(x, bins=_bins(x), color=POINT, alpha=0.75, edgecolor="white", linewidth=0.8)
            rug = axes.get_xaxis_transform()
            axes.plot(x, np.full(x.size, 0.015), "|", color=ACCENT, transform=rug, markersize=9)
        axes.set_ylabel("candidates")
        if axes.get_xscale() == "linear":
            axes.locator_params(axis="x", nbins=6)
        axes.locator_params(axis="y", integer=True)
        _note(axes, _distribution_lines(ranking, name, x, len(rows)))
    return figure


def to_png(figure: Figure, dpi: int = 150) -> bytes:
    """The figure as the bytes of a PNG file."""
    data = io.BytesIO()
    figure.savefig(data, format="png", dpi=dpi, metadata={"Software": "kernas"})
    return data.getvalue()


def _panels(names: list[str]) -> tuple[Figure, dict[str, Axes]]:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    columns = min(len(names), MAX_COLUMNS)
    lines = math.ceil(len(names) / columns)
    figure = Figure(figsize=(4.4 * columns + 0.4, 4.0 * lines + 0.2), layout="constrained")
    FigureCanvasAgg(figure)
    grid = figure.subplots(lines, columns, squeeze=False).ravel()
    for axes in grid[len(names) :]:
        axes.remove()
    panels = dict(zip(names, grid, strict=False))
    for axes in panels.values():
        axes.grid(color=GRID, linewidth=0.8)
        axes.set_axisbelow(True)
        axes.spines[["top", "right"]].set_visible(False)
        axes.tick_params(color=GRID)
    return figure, panels


def _set_direction(axes: Axes, name: str, higher_is_better: bool, x: np.ndarray) -> None:
    note = "" if higher_is_better else " (lower is better, axis reversed)"
    axes.set_xlabel(name + note)
    if x.size and x.min() > 0 and x.max() / x.min() > 1e3:
        axes.set_xscale("log")
    if not higher_is_better:
        axes.xaxis.set_inverted(True)


def _horizontal_errors(rows: list[Row], name: str) -> np.ndarray | None:
    errors = [row.values[name].standard_error for row in rows]
    if not errors or any(error is None for error in errors):
        return None
    return np.array(errors, dtype=np.float64)


def _draw_degenerate(axes: Axes, rows: list[Row]) -> None:
    """Candidates without a value, on the edge of the worse scores."""
    if not rows:
        return
    y = [row.truth for row in rows]
    axes.plot(
        np.full(len(y), 0.015),
        np.array(y, dtype=np.float64),
        ">",
        color=DEGENERATE_POINT,
        markersize=5,
        transform=axes.get_yaxis_transform(),
        clip_on=False,
        label=f"degenerate ({len(y)})",
    )
    axes.legend(loc="lower right", frameon=False, fontsize=8)


def _agreement_lines(value: Agreement) -> list[str]:
    statistics = (("Spearman", value.spearman), ("Kendall", value.kendall), ("nDCG", value.ndcg))
    lines = [
        f"{name:<8}{i.value:7.3f}" + (f" [{i.low:.3f}, {i.high:.3f}]" if i.is_known else "")
        for name, i in statistics
    ]
    failed = f", {value.failed} failed" if value.failed else ""
    known = any(i.is_known for _, i in statistics)
    return [*lines, f"n = {value.n}{failed}, {'95%' if known else 'no'} intervals"]


def _distribution_lines(ranking: Ranking, name: str, x: np.ndarray, n: int) -> list[str]:
    lines = [f"n = {n}"]
    if x.size:
        best = x.max() if ranking.directions[name] else x.min()
        lines.append(f"median {np.median(x):.4g}, best {best:.4g}")
    if x.size < n:
        lines.append(f"{n - x.size} degenerate, not drawn")
    if n < len(ranking.rows):
        lines.append(f"{len(ranking.rows) - n} failed")
    return lines


def _truth_label(ranking: Ranking) -> str:
    """The truth's column, or ``measured`` where the ranking does not know it."""
    truth = ranking.summary.get("config", {}).get("truth")
    return "measured" if truth is None else f"measured: {truth['column']}"


def _note(axes: Axes, lines: list[str]) -> None:
    """Text above the panel, out of the way of its points."""
    style: dict[str, Any] = {"family": "monospace", "fontsize": 8, "color": ACCENT}
    axes.set_title("\n".join(lines), loc="left", **style)


def _bins(x: np.ndarray) -> list[float]:
    count = max(5, min(30, round(math.sqrt(x.size) * 1.5)))
    if x.min() > 0 and x.max() / x.min() > 1e3:
        return np.geomspace(x.min(), x.max(), count + 1).tolist()
    if np.ptp(x) <= 1e-9 * np.abs(x).max():
        count = 1  # equal values, up to rounding: bins between them would be empty
    return np.histogram_bin_edges(x, count).tolist()
