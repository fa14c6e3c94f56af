"""Scores beside each other: their order, what is behind the best, seconds, and the pictures."""

from __future__ import annotations

import csv
import io

import numpy as np
import pytest

import kernas.search as ks
from kernas.errors import ConfigurationError
from kernas.kernels.regression import ScoreValue
from kernas.search.ranking.table import rank_rows
from kernas.search.report.against import MOST_PANELS
from kernas.search.report.compared import fidelity_figure, score_matrix_figure

N = 40
rng = np.random.default_rng(0)
TRUTH = rng.standard_normal(N)
SCORES = {
    "none": rng.standard_normal(N),
    "good": TRUTH + 0.3 * rng.standard_normal(N),
    "reversed": -TRUTH - 0.6 * rng.standard_normal(N),
    "constant": np.zeros(N),
}
DIRECTIONS = {name: name != "reversed" for name in SCORES}
SECONDS = {"none": 0.2, "good": 3.0, "reversed": 3.0}


def ranking(scores: dict[str, np.ndarray] = SCORES, *, truth: bool = True) -> ks.Ranking:
    directions = {name: DIRECTIONS.get(name, True) for name in scores}
    rows = [
        ks.Row(
            rank=None,
            name=f"c{i}",
            hash=f"{i}",
            status="ok",
            values={name: ScoreValue(float(values[i])) for name, values in scores.items()},
            truth=float(TRUTH[i]) if truth else None,
        )
        for i in range(N)
    ]
    plain = ks.Ranking(rank_rows(rows, directions), directions, seconds=SECONDS)
    if not truth:
        return plain
    agreed = plain.correlation({f"c{i}": float(TRUTH[i]) for i in range(N)})
    return ks.Ranking(plain.rows, directions, agreed, SECONDS)


def test_the_best_score_comes_first_and_the_others_say_how_far_behind_they_are() -> None:
    found = ranking()
    rows = found.comparison().rows
    assert [row.name for row in rows] == ["good", "reversed", "none", "constant"]
    assert rows[0].behind is None
    for row in rows[1:3]:
        assert row.behind is not None
        assert row.behind == found.statistics.difference("good", row.name)
        assert row.behind.low <= row.behind.value <= row.behind.high
    assert rows[2].behind is not None
    assert rows[2].behind.low > 0
    assert [row.seconds for row in rows] == [3.0, 3.0, 0.2, None]


def test_it_prints_as_a_table_and_is_written_whole() -> None:
    compared = ranking().comparison()
    head, *lines = str(compared).splitlines()
    assert " ".join(head.split()) == "Spearman behind Kendall nDCG best tenth regret s score"
    assert [line.split()[-1] for line in lines] == [row.name for row in compared.rows]
    narrow = compared.table(50)
    assert max(map(len, narrow.splitlines()[:-1])) <= 50
    assert "Left out in 50 columns" in narrow
    rows = list(csv.DictReader(io.StringIO(compared.to_csv())))
    assert [row["score"] for row in rows] == [row.name for row in compared.rows]
    assert float(rows[1]["spearman"]) == compared.rows[1].agreement.spearman.value
    assert float(rows[1]["behind:low"]) > 0
    assert rows[0]["behind"] == "0.0"
    assert rows[3]["spearman"] == rows[3]["seconds"] == ""


def test_without_a_truth_there_is_nothing_to_compare_with() -> None:
    with pytest.raises(ConfigurationError, match="has no truth"):
        ranking(truth=False).comparison()


def test_fidelity_has_a_line_a_score() -> None:
    left, right = fidelity_figure(ranking()).axes
    assert [label.get_text() for label in left.get_yticklabels()] == [
        *("good", "reversed", "none", "constant")
    ]
    assert list(np.asarray(right.lines[0].get_xdata())) == [3.0, 3.0, 0.2, 1e-4]


def test_scores_that_agree_stand_beside_each_other() -> None:
    scores = {
        "good": SCORES["good"],
        "none": SCORES["none"],
        "truth": TRUTH,
        "also": -SCORES["none"],
    }
    axes, _ = score_matrix_figure(ranking(scores)).axes
    shown = [label.get_text() for label in axes.get_yticklabels()]
    assert abs(shown.index("good") - shown.index("truth")) == 1
    values = np.asarray(axes.images[0].get_array())
    place = [shown.index(name) for name in ("none", "also")]
    assert values[place[0], place[1]] == pytest.approx(-1)
    assert np.allclose(np.diag(values), 1)


def test_of_many_scores_those_are_drawn_that_agree_best() -> None:
    many = {f"s{i}": TRUTH + i * rng.standard_normal(N) for i in range(MOST_PANELS + 3)}
    found = ranking(many)
    figure = ks.score_truth_figure(found, found.statistics)
    assert len(figure.axes) == MOST_PANELS
    assert len(ks.score_score_figure(found).axes) == MOST_PANELS


def test_seconds_are_the_median_of_the_source(fake_score, tmp_path) -> None:
    one, two = fake_score(), fake_score(name="other")
    cells = ks.NasBench201(1).sample(3)
    combined = ks.Combined({"fake": 1, "other": 1})
    found = ks.rank(cells, [one, two, combined], output=tmp_path / "run", progress=False)
    assert found.seconds.keys() == {"fake", "other", combined.name}
    assert found.summary["seconds_a_candidate"] == found.seconds
    assert found.seconds["fake"] <= found.seconds[combined.name]
    assert ks.read_run(tmp_path / "run").seconds == found.seconds
