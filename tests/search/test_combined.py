"""Combined scores: their values, in rankings and one at a time; texts of scores."""

# pyright: reportIncompatibleMethodOverride=false, reportAssignmentType=false

import itertools
import math
from typing import Any, cast

import numpy as np
import pytest

import kernas.kernels as kk
import kernas.search as ks
from kernas.errors import ConfigurationError
from kernas.kernels.regression import ScoreValue
from kernas.search.scores.base import oriented
from kernas.search.scores.registry import SCORES, check_score_names, known_score

TRUTHS = {"a": [1.0, 2.0, 3.0, 3.0], "b": [0.1, 0.4, 0.2, None]}
DIRECTIONS = {"a": True, "b": False}


def test_ranks_are_added_as_the_formula_says():
    # By a the ranks are 1, 2, 3.5, 3.5 of 4, and by b, where lower is better, 4, 2, 3, 1.
    combined = ks.Combined({"a": 1, "b": 2})
    expected = [
        math.log(x / 4) + 2 * math.log(y / 4)
        for x, y in zip([1, 2, 3.5, 3.5], [4, 2, 3, 1], strict=True)
    ]
    np.testing.assert_allclose(combined.values(TRUTHS, DIRECTIONS), expected)
    plain = ks.Combined({"a": 1, "b": 2}, "rank").values(TRUTHS, DIRECTIONS)
    np.testing.assert_allclose(plain, (np.array([1, 2, 3.5, 3.5]) + 2 * np.array([4, 2, 3, 1])) / 4)


def test_a_vote_counts_who_is_beaten_by_majority():
    rng = np.random.default_rng(0)
    given = {name: rng.integers(0, 6, 12).astype(float).tolist() for name in "abc"}
    given["c"][3] = None
    directions = {"a": True, "b": False, "c": True}
    weights = {"a": 1.0, "b": 2.0, "c": 1.0}
    vote = ks.Combined(weights, "vote")

    def better(name, i, j):
        one, other = (-math.inf if given[name][k] is None else given[name][k] for k in (i, j))
        if not directions[name]:
            one, other = -one, -other
        return (one > other) - (one < other)

    def beats(i, j):
        balance = sum(weights[name] * better(name, i, j) for name in weights)
        return 0.5 + 0.5 * np.sign(balance)

    m = 12
    expected = [sum(beats(i, j) for j in range(m) if j != i) / (m - 1) for i in range(m)]
    np.testing.assert_allclose(vote.values(given, directions), expected)
    circles = sum(
        beats(i, j) == beats(j, k) == beats(k, i) == 1
        for i, j, k in itertools.permutations(range(m), 3)
    )
    assert vote.cycles(given, directions) * 3 == circles
    own = {name: given[name][0] for name in weights}
    others = {name: oriented(given[name][1:], directions[name]).tolist() for name in weights}
    assert vote.place(own, others, directions) == pytest.approx(expected[0])


def test_majorities_that_go_round_in_a_circle_are_counted():
    circle = {"a": [1.0, 2.0, 3.0], "b": [2.0, 3.0, 1.0], "c": [3.0, 1.0, 2.0]}
    directions = dict.fromkeys(circle, True)
    vote = ks.Combined(dict.fromkeys(circle, 1), "vote")
    assert vote.values(circle, directions).tolist() == [0.5, 0.5, 0.5]
    assert vote.cycles(circle, directions) == 1
    assert vote.name == "vote(a, b, c)"
    assert check_score_names("vote(synflow, jacob_cov, snip)")[1:] == [
        *("synflow", "jacob_cov", "snip")
    ]


class Of(ks.Source, ks.Score):
    """Given values by the candidates' names."""

    higher_is_better = True

    def __init__(self, name, values):
        self.own, self.given = name, values

    @property
    def name(self):
        return self.own

    @property
    def source(self):
        return self

    def settings(self):
        return {"values": self.given}

    def begin(self, candidate, scores):
        value = self.given[candidate.name]
        if value is None:
            return lambda: ks.Evaluation({}, {self.own: "it says nothing"})
        if value == "raises":
            raise ValueError("no luck")
        return lambda: ks.Evaluation({self.own: ScoreValue(value)})


def networks(n):
    return {
        f"net {i}": kk.serial(*[kk.Dense(), kk.Relu()] * i, kk.Dense()) for i in range(1, n + 1)
    }


def given(name, values):
    return Of(name, dict(zip(networks(len(values)), values, strict=True)))


def test_a_ranking_ranks_by_the_combination_of_its_columns(tmp_path):
    parts = given("a", [1.0, 2.0, 3.0, 4.0]), given("b", [2.0, 1.0, 4.0, 3.0])
    combined = ks.Combined({"a": 1, "b": 1})
    ranking = ks.rank(networks(4), [combined, *parts], output=tmp_path, progress=False)
    assert list(ranking.directions) == [combined.name, "a", "b"]
    assert [row.name for row in ranking][2:] == ["net 1", "net 2"]
    values = {row.name: row.values[combined.name].value for row in ranking}
    assert values["net 3"] == pytest.approx(math.log(3 / 4))
    assert values["net 1"] == values["net 2"] == pytest.approx(math.log(1 / 8))
    assert ks.read_run(tmp_path) == ranking


def test_a_part_that_is_degenerate_is_at_the_bottom_and_one_that_fails_has_no_combination():
    parts = given("a", [1.0, 2.0, 3.0, 4.0]), given("b", [None, 1.0, "raises", 2.0])
    combined = ks.Combined({"a": 1, "b": 1})
    ranking = ks.rank(networks(4), [combined, *parts], progress=False)
    assert [(row.name, row.status, row.rank) for row in ranking] == [
        ("net 4", "ok", 1),
        ("net 2", "ok", 2),
        ("net 1", "degenerate", 3),
        ("net 3", "error", None),
    ]
    assert ranking[2].values[combined.name].value == pytest.approx(2 * math.log(1 / 3))
    assert set(ranking[3].values) == {"a"}


def test_one_at_a_time_ranks_are_those_within_a_sample():
    n = 20
    sample = {"a": [float(i) for i in range(n)], "b": [float(i % 2) for i in range(n)]}
    parts = given("a", [4.5, 4.0, -1.0]), given("b", [1.0, None, 2.0])
    score = ks.Combined({"a": 1, "b": 1}).within(sample, parts)
    ranking = ks.rank(networks(3), score, progress=False)
    found = {row.name: row.values[score.name].value for row in ranking}
    # 5 of a are below 4.5; of b half are 0 and half tie with 1.
    assert found["net 1"] == pytest.approx(math.log(6 / 21) + math.log((1 + 10 + 5) / 21))
    assert found["net 2"] == pytest.approx(math.log(5.5 / 21) + math.log(1 / 21))
    assert found["net 3"] == pytest.approx(math.log(1 / 21) + math.log(21 / 21))
    alone = ks.rank({"net 1": networks(1)["net 1"]}, score, progress=False)
    assert alone[0].values[score.name].value == found["net 1"]
    other = ks.Combined({"a": 1, "b": 1}).within({**sample, "a": [1.0] * n}, parts)
    assert other.source != score.source


def test_what_cannot_be_combined_is_refused():
    parts = given("a", [1.0]), given("b", [1.0])
    combined = ks.Combined({"a": 1, "c": 1})
    with pytest.raises(ConfigurationError, match="combines 'c', which is not among the scores a,"):
        ks.rank(networks(1), [combined, *parts], progress=False)
    with pytest.raises(ConfigurationError, match="combines 'c'"):
        combined.within({}, parts)
    with pytest.raises(ConfigurationError, match="sample of 19: expected at least 20"):
        ks.Combined({"a": 1, "b": 1}).within({"a": [1.0] * 19, "b": [1.0] * 19}, parts)
    for weights, words in (
        ({"a": 1}, "a combination of a: expected two scores"),
        ({"a": 1, "b": 0}, "the weight 0 of b in a combination: expected a number > 0"),
        ({"a": 1, "b": math.inf}, "the weight inf"),
    ):
        with pytest.raises(ConfigurationError, match=words):
            ks.Combined(weights)
    with pytest.raises(ConfigurationError, match="how='mean': expected one of log_rank, rank"):
        ks.Combined({"a": 1, "b": 1}, how=cast(Any, "mean"))


def test_texts_of_combinations_are_read_and_followed_by_what_they_need():
    combined = ks.Combined({"ntk:loo_error": 2, "params": 1})
    assert combined.name == "log_rank(2*ntk:loo_error, params)"
    assert check_score_names(combined.name) == [combined, "ntk:loo_error", "params"]
    assert check_score_names("params, rank( ntk:loo_error ,0.5*flops)") == [
        "params",
        ks.Combined({"ntk:loo_error": 1, "flops": 0.5}, "rank"),
        "ntk:loo_error",
        "flops",
    ]
    normalised = "log_rank(2*ntk:gcv@cosine, nngp:trace@centred)"
    assert check_score_names(normalised) == [
        ks.Combined({"ntk:gcv@cosine": 2, "nngp:trace@centred": 1}),
        "ntk:gcv@cosine",
        "nngp:trace@centred",
    ]
    train, _ = kk.load("digits", n_train=20, n_test=1, image_size=4)
    scores = ks.parse_scores("log_rank(ntk:loo_error, params)", *train.split(0.5), width=8)
    assert [score.name for score in scores] == [
        "log_rank(ntk:loo_error, params)",
        "ntk:loo_error",
        "params",
    ]
    assert isinstance(scores[2], ks.CountScore)
    assert scores[2].width == 8


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("parms", "unknown score 'parms', did you mean 'params'"),
        ("log_rank(params)", "expected two scores or more"),
        ("log_rank(params, params)", "combines a score with itself"),
        ("log_rank(params, x*flops)", r"'x\*flops' in a combination: expected WEIGHT\*NAME"),
        ("log_rank(params, -1*flops)", "the weight -1.0 of flops"),
        ("log_rank(params, flops), log_rank(params, flops)", "is given twice"),
        ("log_rank(params, log_rank(flops, depth))", "unknown score"),
        ("log_rank(params, flops", "unknown score"),
        ("mean(params, flops)", "unknown score"),
    ],
)
def test_bad_texts_are_refused(text, words):
    with pytest.raises(ConfigurationError, match=words):
        check_score_names(text)


def test_every_known_score_says_what_it_is():
    train, _ = kk.load("digits", n_train=60, n_test=1, image_size=4)
    fit, validation = train.split(0.5)
    for name in (*SCORES, "ntk:gcv@cosine", "nngp:trace@centred"):
        known = known_score(name)
        assert known.text
        assert known.reference
        score = known.make(fit, validation, {})
        assert (score.name, score.higher_is_better) == (name, known.higher_is_better)
