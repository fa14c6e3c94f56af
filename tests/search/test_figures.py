"""Figures: what stands in them, and that they leave matplotlib's global state alone."""

import math
import sys

import numpy as np
import pytest

import kernas.search as ks
from kernas.kernels.regression import ScoreValue
from kernas.search.ranking.table import rank_rows
from kernas.search.report.figures import to_png


def ranking_of(values, directions, truth=None, statuses=None):
    rows = [
        ks.Row(
            None,
            f"cell {i}",
            str(i),
            "ok" if statuses is None else statuses[i],
            {name: ScoreValue(*pair) for name, pair in row.items()},
            truth=None if truth is None else truth[i],
        )
        for i, row in enumerate(values)
    ]
    return ks.Ranking(rank_rows(rows, directions), directions)


def texts(figure):
    return "\n".join(axes.get_title(loc="left") for axes in figure.axes)


def test_scores_against_truth_show_points_statistics_and_degenerate_candidates():
    truth = [10.0, 50.0, 70.0, 90.0, 91.0]
    values = [{}, {"a": (0.1, 0.01)}, {"a": (0.3, 0.02)}, {"a": (0.6, 0.02)}, {"a": (0.5, 0.02)}]
    statuses = ["degenerate", *["ok"] * 4]
    ranking = ranking_of(values, {"a": True}, truth, statuses)
    statistics = ranking.correlation({f"cell {i}": t for i, t in enumerate(truth)})
    figure = ks.score_truth_figure(ranking, statistics)
    (axes,) = figure.axes
    points = axes.collections[-1].get_offsets()
    assert sorted(map(tuple, np.asarray(points))) == [(0.1, 50), (0.3, 70), (0.5, 91), (0.6, 90)]
    for word in ("Spearman", "Kendall", "nDCG", f"{statistics['a'].spearman.value:.3f}", "n = 5"):
        assert word in texts(figure)
    legend = axes.get_legend()
    assert legend is not None
    assert legend.get_texts()[0].get_text() == "degenerate (1)"
    assert to_png(figure).startswith(b"\x89PNG")


def test_lower_is_better_reverses_the_axis_and_wide_ranges_are_logarithmic():
    values = [{"a": (10.0**i, None), "b": (float(i), None)} for i in range(6)]
    figure = ks.score_distribution_figure(ranking_of(values, {"a": False, "b": True}))
    first, second = figure.axes
    assert first.xaxis.get_inverted()
    assert first.get_xscale() == "log"
    assert not second.xaxis.get_inverted()
    assert second.get_xscale() == "linear"
    assert "best 1" in first.get_title(loc="left")
    assert "best 5" in second.get_title(loc="left")
    assert to_png(figure).startswith(b"\x89PNG")


@pytest.mark.parametrize(
    "values", [[0.5] * 3, [1e-30] * 2, [0.0, 0.0], [1.0, 1.0 + 1e-15], [], [3.0]]
)
def test_equal_few_or_no_values_can_be_drawn(values):
    rows = [{"a": (value, None)} for value in values] or [{}]
    statuses = ["ok"] * len(values) or ["degenerate"]
    figure = ks.score_distribution_figure(ranking_of(rows, {"a": True}, statuses=statuses))
    assert f"n = {len(rows)}" in texts(figure)
    assert to_png(figure).startswith(b"\x89PNG")


def test_undefined_statistics_can_be_drawn():
    ranking = ranking_of([{"a": (0.5, None)}] * 2, {"a": True}, truth=[1.0, 2.0])
    statistics = ranking.correlation({"cell 0": 1.0, "cell 1": 2.0})
    assert math.isnan(statistics["a"].spearman.value)
    assert to_png(ks.score_truth_figure(ranking, statistics)).startswith(b"\x89PNG")


def test_one_panel_a_score_and_no_pyplot():
    names = {f"s{i}": True for i in range(5)}
    figure = ks.score_distribution_figure(
        ranking_of([dict.fromkeys(names, (0.1 * i, None)) for i in range(4)], names)
    )
    assert [axes.get_xlabel() for axes in figure.axes] == list(names)
    pyplot = sys.modules.get("matplotlib.pyplot")
    assert pyplot is None or not pyplot.get_fignums()
