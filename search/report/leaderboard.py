"""The best candidates of a ranking, one line each, and the others below them on the same axis."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ..ranking.table import ERROR, Ranking, Row, show_rank, show_value
from .panels import ACCENT, POINT, empty_figure, note, plain, standard_errors
from .scales import Scale, by_value, crowds

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

BEST = 20
"""Candidates that have a line of their own."""

LONGEST = 96
"""Characters of a name that are shown; the longest cell string of NAS-Bench-201 has 95."""

MONOSPACE = "monospace"

ADVANCE = 0.602 / 72
"""Inches that a character of the monospaced font takes at a size of one point."""


def leaderboard_figure(ranking: Ranking) -> Figure:
    """The best 20 candidates by the first score, the best on top, and all others in a strip below.

    Each line has the candidate's name, its rank (``=3`` where it is shared), its value, and one
    standard error to both sides where the score has one. Better is to the right everywhere: a score
    for which lower is better has its axis reversed.

    Values are bars from zero where a longer bar is better and lengths can be told apart: no value
    is on the worse side of zero, they differ by half of the largest or more, and they do not crowd
    (as in :func:`score_truth_figure`). Otherwise they are dots on a range of values, which is
    logarithmic for positive values that span more than 1e3.

    Where values crowd because some of the others are far behind, the axis ends behind the 20th
    candidate and three interquartile ranges behind the worse quartile, whichever is further, and
    the strip's label counts those beyond.

    Degenerate and failed candidates have no value, and are counted above the lines.

    Args:
        ranking: any; ``ranking.by(score)`` draws another of its scores.
    """
    name, higher_is_better = next(iter(ranking.directions.items()))
    rows = [row for row in ranking.rows if name in row.values]
    best, others = rows[:BEST], rows[BEST:]
    values = np.array([row.values[name].value for row in rows], dtype=np.float64)
    scale = by_value(values, name, higher_is_better)
    names = [_printable(row.name) for row in best]
    size = 8 if all(len(text) <= LONGEST // 2 for text in names) else 6
    texts = Texts(
        [_shortened(text) for text in names],
        _aligned([show_rank(row) for row in best]),
        _shown_values(best, name),
    )
    figure, axes, strip = _paper(texts, size, bool(others))
    lines = _note_lines(ranking, best, len(others))
    if any(len(text) > LONGEST for text in names):
        lines.append("names cut at … stand whole in the table")
    note(axes, lines)
    if not best:
        axes.text(0.5, 0.5, "no candidate has a value", ha="center", transform=axes.transAxes)
        axes.set_axis_off()
        return figure
    _draw_best(axes, scale, standard_errors(best, name))
    _write(axes, texts, size)
    if strip is None:
        scale.apply(axes, "x")
        return figure
    axes.tick_params(axis="x", which="both", labelbottom=False, length=0)
    _draw_others(strip, scale)
    return figure


@dataclass(frozen=True)
class Texts:
    """What stands beside the lines: to the left names and ranks, to the right values."""

    names: Sequence[str]
    ranks: Sequence[str]
    values: Sequence[str]

    @property
    def characters(self) -> int:
        """The width of all of them together."""
        columns = (self.names, self.ranks, self.values)
        return sum(max(map(len, column), default=0) for column in columns)


def _paper(texts: Texts, size: float, has_strip: bool) -> tuple[Figure, Axes, Axes | None]:
    """A figure as large as its texts need, the panel of the best, and that of the others."""
    lines = max(len(texts.names), 2) * size * 2 / 72
    strip = 0.5 if has_strip else 0.0
    figure = empty_figure(4.6 + texts.characters * size * ADVANCE, 1.3 + lines + strip)
    if not has_strip:
        axes = figure.subplots()
        plain(axes)
        return figure, axes, None
    axes, below = figure.subplots(2, 1, sharex=True, height_ratios=[lines, strip])
    for panel in (axes, below):
        plain(panel)
    return figure, axes, below


def _draw_best(axes: Axes, scale: Scale, errors: np.ndarray | None) -> None:
    count = min(BEST, scale.at.size)
    best, lines = scale.at[:count], np.arange(count)
    if _has_bars(scale):
        axes.barh(lines, best, height=0.62, color=POINT, alpha=0.75)
    else:
        axes.plot(best, lines, "o", color=POINT, markersize=5, zorder=3)
    if errors is not None:
        axes.errorbar(best, lines, xerr=errors, fmt="none", ecolor=ACCENT, elinewidth=0.9, zorder=2)
    axes.grid(not _has_bars(scale), axis="y")


def _has_bars(scale: Scale) -> bool:
    """Whether bars from zero are honest: longer is better, and lengths can be told apart."""
    if scale.kind == "log" or crowds(scale.at):
        return False
    lengths = -scale.at if scale.descends else scale.at
    return bool(lengths.min() >= 0 and np.ptp(lengths) >= 0.5 * lengths.max() > 0)


def _write(axes: Axes, texts: Texts, size: float) -> None:
    """The texts beside the lines, the best on top."""
    style: dict[str, Any] = {"family": MONOSPACE, "fontsize": size, "parse_math": False}
    lines = range(len(texts.ranks))
    axes.set_yticks(lines, texts.ranks, color=ACCENT, fontweight="bold", **style)
    axes.set_ylim(len(texts.ranks) - 0.4, -0.6)
    style |= {"xycoords": axes.get_yaxis_transform(), "textcoords": "offset points"}
    style |= {"va": "center_baseline", "annotation_clip": False}
    ranks = len(texts.ranks[0]) * size * ADVANCE * 72
    for line, name, value in zip(lines, texts.names, texts.values, strict=True):
        axes.annotate(name, (0, line), xytext=(-ranks - 14, 0), ha="right", **style)
        axes.annotate(value, (1, line), xytext=(8, 0), ha="left", color=ACCENT, **style)


def _draw_others(strip: Axes, scale: Scale) -> None:
    others, beyond = scale.at[BEST:], _far_behind(scale)
    heights = np.random.default_rng(0).uniform(-1, 1, others.size)
    style: dict[str, Any] = {"s": 10, "color": POINT, "alpha": 0.5, "linewidths": 0}
    strip.scatter(others[~beyond], heights[~beyond], **style)
    strip.grid(False, axis="y")
    strip.set_ylim(-1.4, 1.4)
    scale.apply(strip, "x")
    label = "the other one" if others.size == 1 else f"the other {others.size:,}"
    if beyond.any():
        label += f"\n{beyond.sum():,} beyond the axis"
    strip.set_yticks([0], [label], fontsize=8)


def _far_behind(scale: Scale) -> np.ndarray:
    """Which of the others would press all candidates together, were the axis to reach to them."""
    at = np.log10(scale.at) if scale.kind == "log" else scale.at
    if not crowds(scale.at):
        return np.zeros(at.size - BEST, dtype=bool)
    goodness = -at if scale.descends else at
    low, high = np.quantile(goodness, [0.25, 0.75])
    return goodness[BEST:] < min(goodness[BEST - 1], low - 3 * (high - low))


def _shortened(name: str) -> str:
    """A name that is too long, without its middle."""
    half = LONGEST // 2
    return name if len(name) <= LONGEST else f"{name[:half]}…{name[1 - half :]}"


def _shown_values(rows: Sequence[Row], name: str) -> list[str]:
    """Values with their standard errors, the ± in a column."""
    parts = [show_value(row.values[name], row.status).partition(" ± ") for row in rows]
    values = _aligned([value for value, _, _ in parts])
    ends = [f"{sign}{error}" for _, sign, error in parts]
    width = max(map(len, ends), default=0)
    return [f"{value}{end:<{width}}" for value, end in zip(values, ends, strict=True)]


def _aligned(texts: Sequence[str]) -> list[str]:
    width = max(map(len, texts), default=0)
    return [f"{text:>{width}}" for text in texts]


def _printable(name: str) -> str:
    """The name, with escapes in the place of what the font has no character for."""
    from matplotlib.font_manager import findfont, get_font

    font = get_font(findfont(MONOSPACE))
    return "".join(
        c
        if c.isprintable() and font.get_char_index(ord(c))
        else c.encode("unicode_escape").decode()
        for c in name
    )


def _note_lines(ranking: Ranking, best: Sequence[Row], n_others: int) -> list[str]:
    """What the lines are, how sure their order is, and who is missing."""
    score, count = next(iter(ranking.directions)), len(ranking.rows)
    of = f"the best {len(best)} of " if n_others else ""
    lines = [f"{of}{count:,} candidate{'' if count == 1 else 's'}, by {score}"]
    if any(row.values[score].standard_error is not None for row in best):
        lines.append("lines: one standard error")
        near = ranking.near_best()
        if near is not None and near > 1:
            lines[-1] += f"; {near:,} lie within that of the best"
    failed = sum(row.status == ERROR for row in ranking.rows)
    degenerate = count - failed - len(best) - n_others
    missing = [f"{n:,} {word}" for word, n in (("degenerate", degenerate), ("failed", failed)) if n]
    if missing:
        lines.append(f"not drawn: {', '.join(missing)}")
    return lines
