"""Scores that are means over draws of the images."""

# pyright: reportIncompatibleMethodOverride=false, reportAssignmentType=false

import json
import math
import statistics

import numpy as np
import pytest

import kernas.kernels as kk
import kernas.search as ks
from kernas.errors import ConfigurationError
from kernas.kernels.engine import Blocking
from kernas.kernels.regression import ScoreValue

NETWORKS = {
    "dense": kk.serial(kk.Flatten(), kk.Dense(), kk.Relu(), kk.Dense()),
    "deep": kk.serial(kk.Flatten(), *[kk.Dense(), kk.Relu()] * 2, kk.Dense()),
}
CELLS = ks.NasBench201(1).sample(3, seed=0)
NAMES = "ntk:loo_error,nngp:validation_accuracy"


def draw(seed):
    train, _ = kk.load("digits", n_train=30, n_test=1, image_size=4, seed=seed)
    return train.split(0.5, seed=seed)


def means(seeds=(0, 1, 2), names=NAMES, **options):
    draws = [ks.parse_scores(names, *draw(seed), reference_seed=seed, **options) for seed in seeds]
    return tuple(ks.MeanScore(of_name) for of_name in zip(*draws, strict=True))


def test_a_mean_is_that_of_rankings_one_by_one_with_the_error_of_their_deviation():
    ranking = ks.rank(NETWORKS, means(), progress=False)
    alone = [
        ks.rank(NETWORKS, ks.parse_scores(NAMES, *draw(seed)), progress=False) for seed in (0, 1, 2)
    ]
    assert ranking.directions == alone[0].directions
    for row in ranking:
        for name, value in row.values.items():
            found = [
                other.values[name].value for one in alone for other in one if other.name == row.name
            ]
            assert len(set(found)) > 1
            error = statistics.stdev(found) / math.sqrt(3)
            assert value.value == pytest.approx(statistics.fmean(found), rel=1e-6)
            assert value.standard_error == pytest.approx(error, rel=1e-4)


class Given(ks.Source):
    """Numbers that are given, and how often they were asked for."""

    name = "given"

    def __init__(self, evaluation, number):
        self.evaluation, self.number, self.calls, self.prepared = evaluation, number, [], 0

    def settings(self):
        return {"number": self.number}

    def prepare(self, families, scores):
        self.prepared += 1
        return self

    def cost(self, candidate, scores):
        return ks.Cost(5, 0.5, {"shared": 2.0, self.number: 1.0})

    def begin(self, candidate, scores):
        self.calls.append([score.name for score in scores])
        return lambda: self.evaluation


class GivenScore(ks.Score):
    higher_is_better = True

    def __init__(self, source, name):
        self._source, self._name = source, name

    @property
    def name(self):
        return self._name

    @property
    def source(self):
        return self._source


def given(*evaluations, names=("a",)):
    sources = [Given(evaluation, number) for number, evaluation in enumerate(evaluations)]
    scores = tuple(
        ks.MeanScore(tuple(GivenScore(source, name) for source in sources)) for name in names
    )
    return sources, scores


def test_means_of_equal_draws_share_one_evaluation_a_draw():
    value = ks.Evaluation({"a": ScoreValue(1.0, 0.5), "b": ScoreValue(4.0)}, settings={"tile": 7})
    other = ks.Evaluation({"a": ScoreValue(2.0, 0.5), "b": ScoreValue(8.0)}, settings={"tile": 7})
    sources, scores = given(value, other, names=("a", "b"))
    assert scores[0].source == scores[1].source
    ranking = ks.rank(CELLS, scores, progress=False)
    for source in sources:
        assert source.calls == [["a", "b"]] * 3
        assert source.prepared == 1
    assert ranking[0].values == {"a": ScoreValue(1.5, 0.5), "b": ScoreValue(6.0, 2.0)}
    assert ranking.summary["kernel_settings"] == [{"tile": 7}]
    cost = scores[0].source.cost(CELLS[0], scores)
    assert cost == ks.Cost(10, 1.0, {"shared": 2.0, 0: 1.0, 1: 1.0})


def test_who_is_degenerate_in_one_draw_is_so_with_its_reason():
    good = ks.Evaluation({"a": ScoreValue(1.0)})
    _, scores = given(good, ks.Evaluation({}, {"a": "the kernel is zero"}), good)
    (row,) = ks.rank(CELLS[:1], scores, progress=False)
    assert row.status == "degenerate"
    assert row.message == "a: draw 2 of 3: the kernel is zero"
    nan = ks.Evaluation({"a": ScoreValue(math.nan)})
    (row,) = ks.rank(CELLS[:1], given(good, nan)[1], progress=False)
    assert row.message == "a: draw 2 of 2: the score is nan"


def test_settings_name_every_draw():
    (first, _) = means()
    settings = json.loads(json.dumps(first.source.settings()))
    assert first.higher_is_better is False
    assert [one["reference_seed"] for one in settings["draws"]] == [0, 1, 2]
    assert len({one["fit"] for one in settings["draws"]}) == 3


def test_what_is_no_mean_is_refused():
    fit, validation = draw(0)
    score = ks.KernelScore(fit, validation)
    with pytest.raises(ConfigurationError, match="over 1 draws: expected two or more"):
        ks.MeanScore((score,))
    with pytest.raises(ConfigurationError, match="nngp:evidence, nngp:validation_accuracy"):
        ks.MeanScore((score, ks.KernelScore(fit, metric="evidence")))


def test_a_run_of_means_that_is_resumed_ends_with_the_same_bytes(tmp_path, monkeypatch):
    whole = ks.rank(NETWORKS, means(), output=tmp_path / "whole", progress=False)
    ks.rank(NETWORKS, means(), output=tmp_path / "cut", progress=False)
    results = tmp_path / "cut" / "results.jsonl"
    results.write_bytes(results.read_bytes().splitlines(keepends=True)[0])
    again = ks.rank(NETWORKS, means(), output=tmp_path / "cut", resume=True, progress=False)
    assert again == whole
    for name in ("ranking.csv", "config.json"):
        assert (tmp_path / "cut" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


def test_the_recorded_blocking_reaches_every_draw():
    recorded = {"way": "planes", "lanes": 16, "nanoseconds": 2.5}
    (source,) = {score.source for score in means()}
    resumed = source.resumed([{"blocking": recorded}])
    blockings = {draw.blocking for draw in resumed.draws if isinstance(draw, ks.KernelSource)}
    assert blockings == {Blocking("planes", 16, 2.5)}
    assert resumed == source


def test_images_of_the_draws_differ():
    assert not np.array_equal(draw(0)[0].x, draw(1)[0].x)
