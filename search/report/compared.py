"""What scores are worth: how well they order against what they take, and which agree."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.cluster.hierarchy import leaves_list, linkage
from scipy.spatial.distance import squareform

from ..ranking.statistics import spearman
from ..ranking.table import Ranking
from .panels import ACCENT, POINT, empty_figure, plain

if TYPE_CHECKING:
    from matplotlib.figure import Figure

LEAST_SECONDS = 1e-4
"""Where scores stand that take less."""


def fidelity_figure(ranking: Ranking) -> Figure:
    """How well scores order against what they take: a line a score, the best first.

    On the left Spearman's ρ with the truth and its interval, on the right seconds a candidate; all
    scores from one source take them together.

    Args:
        ranking: with a truth.
    """
    rows = ranking.comparison().rows
    places = np.arange(len(rows))
    figure = empty_figure(9, 1.2 + 0.22 * len(rows))
    left, right = figure.subplots(1, 2, sharey=True, width_ratios=(3, 1))
    for axes in (left, right):
        plain(axes)
    for place, row in zip(places, rows, strict=True):
        value = row.agreement.spearman
        if value.is_known:
            left.plot((value.low, value.high), (place, place), color=POINT, linewidth=1, alpha=0.6)
        left.plot(value.value, place, "o", color=POINT, markersize=4.5)
    taken = [max(row.seconds or 0.0, LEAST_SECONDS) for row in rows]
    right.plot(taken, places, "o", color=POINT, markersize=4.5)
    left.axvline(0, color=ACCENT, linewidth=0.6)
    left.set_yticks(places, [row.name for row in rows], size=8, parse_math=False)
    left.set_ylim(len(rows) - 0.4, -0.6)
    left.set(xlabel="Spearman with the truth, 95% interval", xlim=(None, 1.0))
    right.set(xscale="log", xlabel="seconds a candidate")
    right.tick_params(axis="y", length=0)
    return figure


def score_matrix_figure(ranking: Ranking) -> Figure:
    """Spearman's ρ of every two scores, scores that agree beside each other.

    Their order is that of the leaves of average linkage by ``1 − ρ``; a score without an order is
    grey.

    Args:
        ranking: of three scores or more.
    """
    labels, matrix = score_matrix(ranking)
    n = len(labels)
    size = 2.6 + 0.24 * n
    figure = empty_figure(size + 1, size)
    axes = figure.subplots()
    image = axes.imshow(matrix, vmin=-1, vmax=1, cmap="RdBu")
    axes.set_facecolor("0.85")
    axes.set_xticks(range(n), labels, rotation=90, size=7, parse_math=False)
    axes.set_yticks(range(n), labels, size=7, parse_math=False)
    figure.colorbar(image, ax=axes, shrink=0.7, label="Spearman")
    return figure


def score_matrix(ranking: Ranking) -> tuple[list[str], np.ndarray]:
    """The scores, those that agree beside each other, and Spearman's ρ of every two,
    ``(scores, scores)``; NaN where a score has no order.

    Their order is that of the leaves of average linkage by ``1 − ρ``.
    """
    names, columns = list(ranking.directions), ranking.columns()
    n = len(names)
    matrix = np.full((n, n), np.nan)
    for i, one in enumerate(names):
        for j, other in enumerate(names[: i + 1]):
            directions = ranking.directions[one], ranking.directions[other]
            matrix[i, j] = matrix[j, i] = spearman(
                columns[one], columns[other], higher_is_better=directions
            )
    distances = np.where(np.isnan(matrix), 1.0, 1 - matrix)
    np.fill_diagonal(distances, 0.0)
    order = leaves_list(linkage(squareform(np.maximum(distances, 0), checks=False), "average"))
    return [names[place] for place in order], matrix[np.ix_(order, order)]
