"""How a search went: its trials and the best so far, against trials and against seconds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from .panels import ACCENT, DEGENERATE_POINT, POINT, note, panels_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure

BY_TRIALS, BY_SECONDS = "trial", "seconds that evaluations took"
FRONT = "front"


def search_figure(
    title: str,
    score: str,
    values: Sequence[float | None],
    best: Sequence[float | None],
    seconds: Sequence[float],
    truth: Sequence[float | None] | None = None,
) -> Figure:
    """Two panels of the values and the best so far, and a third with the measured accuracy of
    whoever was the best, where it is known.

    Args:
        title: of the figure.
        score: that guided.
        values: of each trial.
        best: after each.
        seconds: of each.
        truth: of the best after each trial.
    """
    measured = truth is not None and any(value is not None for value in truth)
    names = [BY_TRIALS, BY_SECONDS, *(["truth of the best"] if measured else [])]
    figure, panels = panels_of(names)
    spent = np.cumsum(seconds)
    steps = np.arange(1, len(values) + 1)
    for name, places in ((BY_TRIALS, steps), (BY_SECONDS, spent)):
        axes = panels[name]
        axes.plot(places, _numbers(values), "o", color=POINT, alpha=0.4, markersize=3)
        axes.step(places, _numbers(best), where="post", color=DEGENERATE_POINT)
        axes.set(xlabel=name, ylabel=score)
    if measured and truth is not None:
        axes = panels[names[2]]
        axes.step(steps, _numbers(truth), where="post", color=ACCENT)
        axes.set(xlabel=BY_TRIALS, ylabel="measured accuracy of the best by the score")
    failed = sum(value is None for value in values)
    note(panels[BY_TRIALS], [f"{len(values)} trials, {failed} failed", "best so far in red"])
    figure.suptitle(title, x=0.01, ha="left", fontsize=9, color=ACCENT, parse_math=False)
    return figure


def front_figure(
    title: str, scores: Sequence[str], values: Sequence[Sequence[float]], front: Sequence[int]
) -> Figure:
    """The first two scores of every trial against each other, with the front that nothing
    dominates.

    Args:
        title: of the figure.
        scores: two or more.
        values: of each trial that has them.
        front: places of those in the front.
    """
    figure, panels = panels_of([FRONT])
    axes, points = panels[FRONT], np.array(values, np.float64).reshape(len(values), len(scores))
    axes.plot(points[:, 0], points[:, 1], "o", color=POINT, alpha=0.4, markersize=3)
    best = points[sorted(front, key=lambda place: points[place, 0])]
    axes.plot(best[:, 0], best[:, 1], "o-", color=DEGENERATE_POINT, markersize=4)
    axes.set(xlabel=scores[0], ylabel=scores[1])
    note(axes, [f"{len(values)} trials, {len(front)} in the front (red)"])
    figure.suptitle(title, x=0.01, ha="left", fontsize=9, color=ACCENT, parse_math=False)
    return figure


def _numbers(values: Sequence[float | None]) -> np.ndarray:
    return np.array([np.nan if value is None else value for value in values])
