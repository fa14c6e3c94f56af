"""Scores of exact kernels: their values, their sharing, their names."""

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest

import kernas.kernels as kk
import kernas.search as ks
import kernas.search.scores.kernel_source as module
from kernas.errors import ConfigurationError, DataError
from kernas.kernels.data import load
from kernas.kernels.engine import compilations
from kernas.kernels.gram.request import GramRequest
from kernas.kernels.regression import METRICS, score_gram
from kernas.search.cli.options import RankOptions
from kernas.search.defaults import N_VALIDATION, PRESETS, RANKING_SCORE
from kernas.search.scores.base import as_candidate
from kernas.search.scores.proxies import PROXIES
from kernas.search.scores.registry import NAMED, check_score_names

NETWORK = kk.serial(kk.Flatten(), kk.Dense(), kk.Relu(), kk.Dense())
NORMALIZED = kk.serial(kk.Conv(3), kk.Normalize(), kk.Relu(), kk.GlobalAvgPool(), kk.Dense())


@pytest.fixture(scope="module")
def parts():
    train, _ = load("digits", n_train=40, n_test=10, image_size=4, seed=0)
    return train.split(0.5, seed=0)


@pytest.mark.parametrize("get", ["nngp", "ntk"])
def test_values_are_those_of_the_kernel_and_the_regression(parts, get):
    fit, validation = parts
    scores = [ks.KernelScore(fit, validation, get=get, metric=m, ridge=0.1) for m in METRICS]
    evaluation = ks.evaluate_scores(NETWORK, scores)
    kernel = kk.NeuralKernel(NETWORK, get=get)
    expected = score_gram(
        kernel(fit.x),
        fit.y,
        ridge=0.1,
        metrics=list(METRICS),
        K_validation=kernel(validation.x, fit.x),
        y_validation=validation.y,
        n_classes=10,
    )
    assert {name.split(":")[1]: value for name, value in evaluation.values.items()} == expected
    assert all(name.startswith(f"{get}:") for name in evaluation.values)
    assert evaluation.settings["dtype"] == "float32"


def test_normalisation_is_bound_to_the_fit_images(parts):
    fit, validation = parts
    score = ks.KernelScore(fit, validation, metric="evidence", n_reference=8, reference_seed=3)
    kernel = kk.NeuralKernel(NORMALIZED, get="nngp").bind(fit.x, n_reference=8, seed=3)
    expected = score_gram(kernel(fit.x), fit.y, ridge=1e-2, metrics=["evidence"], n_classes=10)
    value = ks.evaluate_scores(NORMALIZED, [score]).values["nngp:evidence"]
    assert value.value == pytest.approx(expected["evidence"].value, rel=1e-6)


def test_scores_that_agree_share_one_evaluation(parts, monkeypatch):
    calls = []
    original = kk.NeuralKernel._matrices

    def counted(self, requests, get):
        calls.append((get, len(requests)))
        return original(self, requests, get)

    monkeypatch.setattr(module.NeuralKernel, "_matrices", counted)
    loo = ks.parse_scores("nngp:loo_error,nngp:evidence", *parts)
    ks.evaluate_scores(NETWORK, loo)
    assert calls == [(("nngp",), 1)]
    calls.clear()
    both = ks.parse_scores("ntk:loo_error,nngp:validation_error,nngp:loo_error", *parts)
    assert set(ks.evaluate_scores(NETWORK, both).values) == {score.name for score in both}
    assert calls == [(("nngp", "ntk"), 2)]
    calls.clear()
    other_ridge = ks.KernelScore(*parts, metric="loo_accuracy", ridge=1.0)
    ks.evaluate_scores(NETWORK, [loo[0], other_ridge])
    assert len(calls) == 2


@pytest.mark.parametrize("normalization", ["cosine", "centred"])
def test_values_of_normalised_kernels_are_those_of_the_regression(parts, normalization):
    fit, validation = parts
    names = [name for name, metric in METRICS.items() if normalization in metric.normalizations]
    scores = [
        ks.KernelScore(fit, validation, "ntk", name, 0.1, normalization=normalization)
        for name in names
    ]
    evaluation = ks.evaluate_scores(NETWORK, scores)
    kernel = kk.NeuralKernel(NETWORK)
    expected = score_gram(
        kernel(fit.x),
        fit.y,
        ridge=0.1,
        metrics=names,
        K_validation=kernel(validation.x, fit.x),
        y_validation=validation.y,
        n_classes=10,
        normalization=normalization,
    )
    assert evaluation.values == {
        f"ntk:{name}@{normalization}": value for name, value in expected.items()
    }


def test_all_normalisations_that_are_asked_for_come_from_one_matrix(parts, monkeypatch):
    matrices, scored = [], []
    original, score_each = kk.NeuralKernel._matrices, module.score_each

    def counted(self, requests, get):
        matrices.append((get, len(requests)))
        return original(self, requests, get)

    def seen(*arguments, **options):
        scored.append(options["normalization"])
        return score_each(*arguments, **options)

    monkeypatch.setattr(module.NeuralKernel, "_matrices", counted)
    monkeypatch.setattr(module, "score_each", seen)
    names = "nngp:gcv@cosine,nngp:trace,nngp:validation_accuracy@cosine,nngp:logdet@centred"
    asked = ks.parse_scores(names, *parts)
    assert [score.name for score in asked] == names.split(",")
    assert set(ks.evaluate_scores(NETWORK, asked).values) == set(names.split(","))
    assert matrices == [(("nngp",), 2)]
    assert scored == ["cosine", "raw", "centred"]
    scored.clear()
    first = cast(ks.KernelScore, asked[0])
    found = first.source.begin(as_candidate(NETWORK), [first])()
    assert scored == ["cosine"]
    assert set(found.values) == {
        f"nngp:{name}@cosine" for name, metric in METRICS.items() if not metric.needs_validation
    }


def test_cosines_are_meaningless_where_an_image_has_no_kernel(parts):
    fit, _ = parts
    dark = replace(fit, x=np.where(np.arange(len(fit))[:, None, None, None] == 3, 0, fit.x))
    evaluation = ks.evaluate_scores(NETWORK, ks.parse_scores("ntk:gcv,ntk:gcv@cosine", dark))
    assert set(evaluation.values) == {"ntk:gcv"}
    assert "training image 3 with itself is 0" in evaluation.degenerate["ntk:gcv@cosine"]


def test_equal_data_make_equal_sources(parts):
    train, _ = load("digits", n_train=40, n_test=10, image_size=4, seed=0)
    fit, validation = train.split(0.5, seed=0)
    source = ks.KernelScore(*parts).source
    assert source == ks.KernelScore(fit, validation, get="ntk", metric="loo_error").source
    assert source == ks.KernelScore(fit, validation, normalization="centred").source
    assert source != ks.KernelScore(validation, fit).source
    assert source != ks.KernelScore(fit, validation, n_reference=31).source


@pytest.mark.parametrize(
    "cell",
    [
        "|none~0|+|none~0|none~1|+|none~0|none~1|none~2|",
        "|nor_conv_1x1~0|+|none~0|none~1|+|none~0|none~1|nor_conv_1x1~2|",
    ],
)
def test_a_cell_without_output_is_degenerate(parts, cell):
    scores = ks.parse_scores("nngp:validation_accuracy,ntk:loo_error", *parts)
    ks.evaluate_scores(NETWORK, scores)  # what JAX compiles for itself in a new process
    before = compilations().count
    evaluation = ks.evaluate_scores(ks.NasBench201(1).architecture(cell), scores)
    assert compilations().count == before
    assert not evaluation.values
    assert set(evaluation.degenerate) == {"nngp:validation_accuracy", "ntk:loo_error"}


def test_scores_of_the_fit_images_need_no_validation(parts):
    fit, _ = parts
    score = ks.KernelScore(fit, metric="loo_accuracy")
    assert 0 <= ks.evaluate_scores(NETWORK, [score]).values[score.name].value <= 1
    with pytest.raises(ConfigurationError, match="needs validation images"):
        ks.KernelScore(fit)


def test_the_standard_parameterisation_is_that_of_the_width(parts):
    fit, validation = parts
    unknown: Any = "mup"
    found = ks.parse_scores("ntk_standard:loo_error,ntk:loo_error", fit, validation, width=5)
    assert len({score.source for score in found if isinstance(score, ks.Score)}) == 2
    network = kk.standard_parameterization(NETWORK, fit.input_shape, width=5)
    score = ks.KernelScore(fit, get="ntk", metric="loo_error")
    wanted = ks.evaluate_scores(network, [score]).values["ntk:loo_error"]
    values = ks.evaluate_scores(NETWORK, found).values
    assert values["ntk_standard:loo_error"] == wanted
    assert values["ntk:loo_error"] != wanted
    with pytest.raises(ConfigurationError, match="expected 'ntk' or 'standard'"):
        ks.KernelScore(fit, metric="loo_error", parameterization=unknown)


def test_names_and_directions():
    train, _ = load("digits", n_train=120, n_test=1, image_size=4, seed=0)
    parts = train.split(0.5, seed=0)
    names = ks.score_names()
    assert len(names) == 73
    scores = ks.parse_scores(" , ".join(names), *parts)
    assert [score.name for score in scores] == names
    better = {score.name for score in scores if score.higher_is_better}
    assert {name.split(":")[-1] for name in better} == {
        *("validation_accuracy", "loo_accuracy", "evidence", "alignment"),
        *("logdet", "effective_rank"),
        *("params", "flops", "depth", "n_conv", "trained_accuracy"),
        *(name for name, proxy in PROXIES.items() if proxy.higher_is_better),
    }
    assert ks.KernelScore(*parts).name == "nngp:validation_accuracy"


def test_combinations_have_names(parts):
    combinations = dict(NAMED)
    assert check_score_names("validation") == [combinations.pop("validation")]
    for name, text in combinations.items():
        named, *needed = check_score_names(name)
        assert isinstance(named, ks.Combined)
        assert named.name == text
        assert needed == list(named.weights)
    with pytest.raises(ConfigurationError, match="given twice"):
        check_score_names("az_nas,az_nas")


def test_presets_are_what_the_study_chose_and_confirmed():
    experiments = Path(__file__).parents[2] / "experiments"
    chosen = json.loads((experiments / "ranking_study" / "choice.json").read_text())
    confirmed = json.loads((experiments / "ranking_confirmation.json").read_text())["all"]["scores"]
    for name in ("shipped", "validation"):
        assert chosen[name]["setting"]["n_validation"] == N_VALIDATION
        assert chosen[name]["setting"]["n"] == RankOptions.n_train
    assert chosen["shipped"]["score"].split()[0] == RANKING_SCORE
    for name, preset in PRESETS.items():
        parts = chosen[name].get("scores", [chosen[name]])
        names = [part["score"].split()[0] for part in parts]
        assert check_score_names(name)[-len(names) :] == names
        assert preset.spearman == round(confirmed[name]["spearman"]["value"], 2)
        assert preset.seconds == round(chosen[name]["seconds_a_cell"], 2)


@pytest.mark.parametrize(
    "text", ["nngp:accuracy", "evidence", "", "nngp:evidence,", "cntk:evidence"]
)
def test_an_unknown_score_is_refused_with_all_names(parts, text):
    with pytest.raises(ConfigurationError, match="unknown score") as caught:
        ks.parse_scores(text, *parts)
    assert all(name in str(caught.value) for name in ks.score_names())


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("ntk:gcv@cosin", "score 'ntk:gcv@cosin', did you mean 'ntk:gcv@cosine'?, expected ntk"),
        ("ntk:gcv@raw", "expected ntk:gcv, ntk:gcv@cosine, ntk:gcv@centred"),
        ("ntk:gcv@", "unknown normalisation in score 'ntk:gcv@'"),
        ("params@cosine", "unknown normalisation in score 'params@cosine', did you mean 'params'"),
        ("ntk:gvc@cosine", "unknown score 'ntk:gvc@cosine', did you mean 'ntk:gcv@cosine'?"),
        ("log_rank(ntk:gcv@cos, params)", "unknown normalisation in score 'ntk:gcv@cos'"),
        ("ntk:validation_error@cosine", "needs the kernel of each validation image with itself"),
    ],
)
def test_an_unknown_normalisation_is_refused_with_those_there_are(parts, text, words):
    with pytest.raises(ConfigurationError, match=re.escape(words)) as caught:
        ks.parse_scores(text, *parts)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"get": "cntk"}, "get='cntk': expected one of nngp, ntk"),
        ({"metric": "accuracy"}, "metric='accuracy'"),
        ({"normalization": "centered"}, "normalization='centered': expected one of raw, cosine,"),
        (
            {"normalization": "cosine", "metric": "validation_error"},
            "'validation_error' of the cosine kernel needs the kernel of each validation image",
        ),
        ({"ridge": 0.0}, "ridge=0.0"),
        ({"ridge": float("nan")}, "ridge=nan"),
        ({"n_reference": 0}, "n_reference=0"),
    ],
)
def test_bad_options_are_refused(parts, options, words):
    with pytest.raises(ConfigurationError, match=words):
        ks.KernelScore(*parts, **options)


def test_a_score_given_twice_is_refused(parts):
    with pytest.raises(ConfigurationError, match="twice"):
        ks.parse_scores("nngp:evidence,nngp:evidence", *parts)


def test_data_that_do_not_belong_together_are_refused(parts):
    fit, _ = parts
    larger, _ = load("digits", n_train=20, n_test=10)
    with pytest.raises(DataError, match=r"\(8, 8, 1\) and fit images of shape \(4, 4, 1\)"):
        ks.KernelScore(fit, larger)
    other = kk_dataset(fit, tuple("abcdefghij"))
    with pytest.raises(DataError, match="classes"):
        ks.KernelScore(fit, other)


def kk_dataset(like, classes):
    from kernas.kernels.data import Dataset

    return Dataset(np.array(like.x), np.array(like.y), classes, "other")


@pytest.mark.parametrize("network", [NETWORK, NORMALIZED], ids=["dense", "bound"])
def test_matrices_that_are_kept_serve_other_ridges(parts, network, tmp_path, monkeypatch):
    fit, validation = parts
    names = ("validation_accuracy", "loo_error")

    def evaluated(ridge, grams):
        scores = [
            ks.KernelScore(fit, validation, get, metric, ridge, n_reference=8, grams=grams)
            for get in ("nngp", "ntk")
            for metric in names
        ]
        found = ks.evaluate_scores(network, scores).values
        return {name: score.value for name, score in found.items()}

    alone = evaluated(0.1, None)
    kept = evaluated(0.1, tmp_path)
    assert kept == pytest.approx(alone, rel=1e-4)
    folder = tmp_path / network.hash / "nngp-ntk"
    assert kk.GramStore(folder / "train").shape == (20, 20)
    assert kk.GramStore(folder / "validation").shape == (20, 20)
    expected = evaluated(0.5, None)

    def computed(*_):
        raise AssertionError("computed again")

    monkeypatch.setattr(GramRequest, "computed", computed)
    assert evaluated(0.5, tmp_path) == pytest.approx(expected, rel=1e-4)


def test_a_kernel_without_a_number_is_degenerate_and_not_kept(parts, tmp_path):
    fit, _ = parts
    huge = replace(fit, x=fit.x * 1e30)  # whose squares are no numbers of float32
    (score,) = ks.parse_scores("ntk:loo_error", huge, grams=tmp_path)
    evaluation = ks.evaluate_scores(NETWORK, [score])
    (reason,) = evaluation.degenerate.values()
    assert evaluation.values == {}
    (again,) = ks.parse_scores("ntk:gcv@centred", huge)
    assert list(ks.evaluate_scores(NETWORK, [again]).degenerate) == ["ntk:gcv@centred"]
    assert "x1[0:20]: image 0: the nngp overflows float32 at node 0 (Input); standard" in reason


def test_kernels_out_of_range_are_judged_apart_and_their_rows_say_why(parts):
    fit, validation = parts
    grows = [kk.Dense(W_std=1e8), kk.Erf()] * 5
    network = kk.serial(kk.Flatten(), *grows, kk.Dense())
    scores = [ks.KernelScore(fit, validation, get=get) for get in ("nngp", "ntk")]
    evaluation = ks.evaluate_scores(network, scores)
    assert set(evaluation.values) == {"nngp:validation_accuracy"}
    assert evaluation.settings["dtype"] == "float32"
    alone = ks.evaluate_scores(network, scores[:1])
    assert evaluation.values == alone.values
    assert "the ntk overflows float32 at node" in evaluation.degenerate["ntk:validation_accuracy"]

    unbound = kk.serial(kk.Flatten(), kk.Dense(W_std=1e20), kk.Normalize(), kk.Relu(), kk.Dense())
    evaluation = ks.evaluate_scores(unbound, scores)
    assert not evaluation.values
    for reason in evaluation.degenerate.values():
        assert "the reference images: the nngp overflows float32 at node 2 (Dense" in reason
