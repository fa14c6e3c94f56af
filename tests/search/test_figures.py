"""Figures: what stands in them, and that they leave matplotlib's global state alone."""

import math
import sys

import numpy as np
import pytest
from matplotlib.container import BarContainer, ErrorbarContainer
from matplotlib.text import Annotation

import kernas.search as ks
from kernas.errors import ConfigurationError
from kernas.kernels.regression import ScoreValue
from kernas.search.ranking.table import rank_rows
from kernas.search.report.panels import to_png
from kernas.search.report.scales import crowds

CELL = "|nor_conv_3x3~0|+|nor_conv_3x3~0|nor_conv_3x3~1|+" + "|".join(
    ["", "nor_conv_3x3~0", "nor_conv_3x3~1", "nor_conv_3x3~2", ""]
)
"""The longest cell string of NAS-Bench-201."""


def ranking_of(values, directions, truth=None, statuses=None, names=None):
    rows = [
        ks.Row(
            None,
            f"cell {i}" if names is None else names[i],
            str(i),
            "ok" if statuses is None else statuses[i],
            {name: ScoreValue(*pair) for name, pair in row.items()},
            truth=None if truth is None else truth[i],
        )
        for i, row in enumerate(values)
    ]
    return ks.Ranking(rank_rows(rows, directions), directions)


def of_one(values, higher_is_better=True, error=None, **more):
    return ranking_of([{"a": (v, error)} for v in values], {"a": higher_is_better}, **more)


def texts(figure):
    return "\n".join(axes.get_title(loc="left") for axes in figure.axes)


def points(axes):
    """The points of a panel of scores, in the order of drawing."""
    return np.asarray(axes.collections[-1].get_offsets())


def bars(axes):
    containers = [found for found in axes.containers if isinstance(found, BarContainer)]
    return [bar for container in containers for bar in container.patches]


def marked(axes, marker):
    """Places ``(n, 2)`` of what has this marker, in the order of drawing."""
    (line,) = (line for line in axes.lines if line.get_marker() == marker)
    return np.asarray(line.get_xydata())


def dots(axes):
    """Where the dots of a leaderboard stand, the best first."""
    return marked(axes, "o")[:, 0].tolist()


def legend_of(axes):
    legend = axes.get_legend()
    return [] if legend is None else [text.get_text() for text in legend.get_texts()]


def beside(axes):
    """Names, ranks and values beside the lines of a leaderboard, the best first."""
    notes = [text for text in axes.texts if isinstance(text, Annotation)]
    names = [text.get_text() for text in notes if text.get_horizontalalignment() == "right"]
    values = [text.get_text() for text in notes if text.get_horizontalalignment() == "left"]
    ranks = [label.get_text() for label in axes.get_yticklabels()]
    return names, [rank.strip() for rank in ranks], [value.strip() for value in values]


def assert_nothing_is_cut_or_overlaps(figure):
    """Texts beside the lines of a leaderboard lie on the paper, and none upon another."""
    figure.draw_without_rendering()
    axes = figure.axes[0]
    shown = [*axes.texts, *axes.get_yticklabels()]
    boxes = [text.get_window_extent() for text in shown]
    paper = figure.bbox
    for box in boxes:
        assert paper.x0 <= box.x0
        assert box.x1 <= paper.x1
        assert paper.y0 <= box.y0
        assert box.y1 <= paper.y1
    for i, box in enumerate(boxes):
        assert box.count_overlaps([*boxes[:i], *boxes[i + 1 :]]) == 0
        assert not box.overlaps(axes.bbox)


def test_the_leaderboard_shows_the_best_twenty_on_top_and_the_others_below():
    ranking = of_one([0.01 * i for i in range(100)], error=0.025)
    axes, strip = ks.leaderboard_figure(ranking).axes
    drawn = bars(axes)
    assert [bar.get_width() for bar in drawn] == pytest.approx(
        [0.01 * i for i in range(99, 79, -1)]
    )
    assert {bar.get_x() for bar in drawn} == {0.0}
    assert axes.get_xlim()[0] == 0
    heights = [axes.transData.transform((0, bar.get_y()))[1] for bar in drawn]
    assert heights == sorted(heights, reverse=True)
    names, ranks, values = beside(axes)
    assert names == [f"cell {i}" for i in range(99, 79, -1)]
    assert ranks == [str(i) for i in range(1, 21)]
    assert values[0] == "0.99 ± 0.025"
    (container,) = (found for found in axes.containers if isinstance(found, ErrorbarContainer))
    first, *_ = container.lines[2][0].get_segments()
    assert first[:, 0] == pytest.approx([0.965, 1.015])
    assert sorted(points(strip)[:, 0]) == pytest.approx([0.01 * i for i in range(80)])
    assert [label.get_text() for label in strip.get_yticklabels()] == ["the other 80"]
    assert strip.get_xlim() == axes.get_xlim()
    assert "the best 20 of 100 candidates, by a" in axes.get_title(loc="left")
    assert "one standard error; 3 lie within that of the best" in axes.get_title(loc="left")


def test_a_score_of_which_lower_is_better_has_its_axis_reversed_and_no_bars():
    figure = ks.leaderboard_figure(of_one([0.1, 0.5, 0.9], higher_is_better=False))
    (axes,) = figure.axes
    assert axes.xaxis.get_inverted()
    assert axes.get_xlabel() == "a\n(lower is better, axis reversed)"
    assert not bars(axes)
    assert dots(axes) == [0.1, 0.5, 0.9]
    places = [axes.transData.transform((x, 0))[0] for x in dots(axes)]
    assert places == sorted(places, reverse=True)


def test_bars_of_values_below_zero_are_drawn_where_lower_is_better():
    (axes,) = ks.leaderboard_figure(of_one([-0.1, -0.5, -0.9], higher_is_better=False)).axes
    assert [bar.get_width() for bar in bars(axes)] == [-0.9, -0.5, -0.1]
    assert axes.get_xlim()[0] == 0
    assert axes.get_xlim()[1] < -0.9


@pytest.mark.parametrize(
    "values",
    [
        pytest.param([0.90, 0.91, 0.95], id="close-together-far-from-zero"),
        pytest.param([-900.0, -500.0, -3.0], id="below-zero"),
        pytest.param([-0.1, 0.2, 0.5], id="on-both-sides-of-zero"),
        pytest.param([0.91, 0.92, 0.93, 0.94, 0.95, 0.96, 0.1], id="crowded"),
        pytest.param([1e-3, 1.0, 10.0], id="logarithmic"),
        pytest.param([0.5] * 3, id="equal"),
        pytest.param([0.0] * 3, id="zero"),
    ],
)
def test_values_that_bars_would_not_show_honestly_are_dots(values):
    (axes,) = ks.leaderboard_figure(of_one(values)).axes
    assert not bars(axes)
    assert dots(axes) == sorted(values, reverse=True)
    assert (axes.get_xscale() == "log") == (max(values) == 10.0)


@pytest.mark.parametrize("n", [1, 5, 20, 21, 1000])
def test_a_leaderboard_of_any_number_of_candidates(n):
    figure = ks.leaderboard_figure(of_one([-900.0 - i for i in range(n)]))
    axes, *strip = figure.axes
    assert dots(axes) == [-900.0 - i for i in range(min(n, 20))]
    assert [len(points(panel)) for panel in strip] == ([n - 20] if n > 20 else [])
    labels = [panel.get_yticklabels()[0].get_text() for panel in strip]
    assert labels == {21: ["the other one"], 1000: ["the other 980"]}.get(n, [])
    words = "1 candidate, by a" if n == 1 else f"{n:,} candidates, by a"
    assert words in texts(figure)
    assert_nothing_is_cut_or_overlaps(figure)


@pytest.mark.parametrize("values", [[0.5] * 30, [1e-30] * 2, [0.0, 0.0], [1.0, 1.0 + 1e-15], [3.0]])
def test_equal_values_share_a_rank_and_can_be_drawn(values):
    figure = ks.leaderboard_figure(of_one(values))
    _, ranks, _ = beside(figure.axes[0])
    tied = len(set(values)) == 1 and len(values) > 1
    assert ranks == ["=1"] * min(20, len(values)) if tied else ranks[0] == "1"
    assert to_png(figure).startswith(b"\x89PNG")


def test_candidates_without_a_value_are_counted():
    statuses = ["ok", "ok", *["degenerate"] * 3, *["error"] * 2]
    values = [{"a": (0.5, None)}, {"a": (0.7, None)}, *[{}] * 5]
    figure = ks.leaderboard_figure(ranking_of(values, {"a": True}, statuses=statuses))
    assert "7 candidates, by a\nnot drawn: 3 degenerate, 2 failed" in texts(figure)
    assert len(dots(figure.axes[0])) == 2
    none = ks.leaderboard_figure(ranking_of([{}] * 4, {"a": True}, statuses=["degenerate"] * 4))
    assert "not drawn: 4 degenerate" in texts(none)
    assert [text.get_text() for text in none.axes[0].texts] == ["no candidate has a value"]
    assert to_png(none).startswith(b"\x89PNG")


def test_names_are_written_as_they_are_as_far_as_they_can_be():
    path = "/".join(["folder"] * 20) + "/network.json"
    given = [CELL, path, "$x_1$ and $y", "日\n2", "résumé"]
    figure = ks.leaderboard_figure(of_one([5.0, 4.0, 3.0, 2.0, 1.0], names=given))
    names, _, _ = beside(figure.axes[0])
    assert len(CELL) == 95
    assert [names[0], *names[2:]] == [CELL, "$x_1$ and $y", r"\u65e5\n2", "résumé"]
    head, tail = names[1].split("…")
    assert path.startswith(head)
    assert path.endswith(tail)
    assert len(names[1]) == 96
    assert "names cut at …" in texts(figure)
    assert_nothing_is_cut_or_overlaps(figure)


def test_few_far_behind_do_not_press_all_others_together():
    near = [-900.0 - i for i in range(100)]
    axes, strip = ks.leaderboard_figure(of_one([*near, -1e5, -1e6])).axes
    assert strip.get_yticklabels()[0].get_text() == "the other 82\n2 beyond the axis"
    assert sorted(points(strip)[:, 0], reverse=True) == near[20:]
    assert -1100 < axes.get_xlim()[0] < -999


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([0.0, 1.0, 2.0, 3.0, 4.0], False),
        ([*np.linspace(0, 1, 50), 100.0], True),
        ([0.0] * 9 + [1.0], True),
        ([1e3, 1e4, 1e5, 1e6, 1e7], False),  # not where their axis is logarithmic
        ([1.0] * 9 + [1.0 + 1e-12], False),  # ranks would show rounding alone
        ([2.0, 2.0], False),
        ([], False),
    ],
)
def test_values_crowd_where_their_middle_half_fills_less_than_a_tenth(values, expected):
    assert crowds(np.array(values)) == expected


def test_scores_against_truth_show_points_statistics_and_degenerate_candidates():
    truth = [10.0, 50.0, 70.0, 90.0, 91.0]
    values = [{}, {"a": (0.1, 0.01)}, {"a": (0.3, 0.02)}, {"a": (0.6, 0.02)}, {"a": (0.5, 0.02)}]
    statuses = ["degenerate", *["ok"] * 4]
    ranking = ranking_of(values, {"a": True}, truth, statuses)
    statistics = ranking.correlation({f"cell {i}": t for i, t in enumerate(truth)})
    figure = ks.score_truth_figure(ranking, statistics)
    (axes,) = figure.axes
    assert sorted(map(tuple, points(axes))) == [(0.1, 50), (0.3, 70), (0.5, 91), (0.6, 90)]
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("a", "measured value")
    for word in ("Spearman", "Kendall", "nDCG", f"{statistics['a'].spearman.value:.3f}", "n = 5"):
        assert word in texts(figure)
    assert legend_of(axes) == ["degenerate (1)"]
    assert marked(axes, ">")[:, 1].tolist() == [10.0]
    assert to_png(figure).startswith(b"\x89PNG")


def test_ranks_take_the_place_of_values_that_crowd():
    scores = [*np.linspace(0.8, 0.9, 11), 50.0]  # lower is better: the last is far behind
    truth = [*np.linspace(93, 94, 11)[::-1], 10.0]
    ranking = of_one(scores, higher_is_better=False, error=0.1, truth=truth)
    measured = {f"cell {i}": t for i, t in enumerate(truth)}
    (axes,) = ks.score_truth_figure(ranking, ranking.correlation(measured)).axes
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("rank by a", "rank by measured value")
    assert sorted(map(tuple, points(axes))) == [(i, i) for i in range(1, 13)]
    assert axes.xaxis.get_inverted()
    assert axes.yaxis.get_inverted()
    assert not axes.containers  # a rank has no standard error
    assert 1 in axes.get_xticks()


def test_undefined_statistics_can_be_drawn():
    ranking = ranking_of([{"a": (0.5, None)}] * 2, {"a": True}, truth=[1.0, 2.0])
    statistics = ranking.correlation({"cell 0": 1.0, "cell 1": 2.0})
    assert math.isnan(statistics["a"].spearman.value)
    assert to_png(ks.score_truth_figure(ranking, statistics)).startswith(b"\x89PNG")


def test_the_first_score_stands_against_each_of_the_others():
    values = [
        {"a": (0.1, None), "b": (3.0, 0.5), "c": (1e1, None)},
        {"a": (0.2, None), "b": (2.0, 0.5), "c": (1e6, None)},
        {"a": (0.3, None), "b": (1.0, 0.5), "c": (1e5, None)},
        {"b": (2.5, 0.5), "c": (1e2, None)},
        {"a": (0.4, None)},
        {},
        {},
    ]
    statuses = ["ok"] * 3 + ["degenerate"] * 3 + ["error"]
    ranking = ranking_of(values, {"a": True, "b": False, "c": True}, statuses=statuses)
    figure = ks.score_score_figure(ranking)
    first, second = figure.axes
    assert [axes.get_xlabel() for axes in figure.axes] == ["a", "a"]
    assert first.get_ylabel() == "b\n(lower is better, axis reversed)"
    assert first.yaxis.get_inverted()
    assert not first.xaxis.get_inverted()
    assert second.get_yscale() == "log"
    assert not second.yaxis.get_inverted()
    assert sorted(map(tuple, points(first))) == [(0.1, 3), (0.2, 2), (0.3, 1)]
    assert legend_of(first) == ["degenerate for b (1)", "degenerate for a (1)"]
    assert marked(first, "^")[:, 0].tolist() == [0.4]
    assert marked(first, ">")[:, 1].tolist() == [2.5]
    # Ranks of a: 3, 4, 5, 1.5, 6, 1.5; of b, where missing is worst: 3, 5, 6, 4, 1.5, 1.5.
    assert first.get_title(loc="left").startswith(
        f"Spearman {np.corrcoef([3, 4, 5, 1.5, 6, 1.5], [3, 5, 6, 4, 1.5, 1.5])[0, 1]:.3f}\n"
        "n = 6, 1 degenerate for both, 1 failed"
    )
    assert to_png(figure).startswith(b"\x89PNG")


def test_one_score_has_no_other_to_stand_against():
    with pytest.raises(ConfigurationError, match="one score, a: give two or more"):
        ks.score_score_figure(of_one([0.5, 0.6]))


def test_one_panel_a_score_and_no_pyplot():
    names = {f"s{i}": True for i in range(5)}
    values = [dict.fromkeys(names, (0.1 * i, None)) for i in range(4)]
    ranking = ranking_of(values, names, truth=[1.0, 2.0, 3.0, 4.0])
    statistics = ranking.correlation({f"cell {i}": i + 1.0 for i in range(4)})
    against_truth = ks.score_truth_figure(ranking, statistics)
    assert [axes.get_xlabel() for axes in against_truth.axes] == list(names)
    assert [axes.get_ylabel() for axes in ks.score_score_figure(ranking).axes] == list(names)[1:]
    ks.leaderboard_figure(ranking)
    pyplot = sys.modules.get("matplotlib.pyplot")
    assert pyplot is None or not pyplot.get_fignums()
