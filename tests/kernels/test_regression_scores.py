"""Scores of a Gram matrix by name."""

import numpy as np
import pytest

from kernas.errors import ConfigurationError, DataError
from kernas.kernels.regression import (
    METRICS,
    DegenerateKernelError,
    NotPositiveDefiniteError,
    ScoreValue,
    centred_alignment,
    centred_one_hot,
    condition_number,
    decompose,
    log_evidence,
    resolve_metrics,
    score_gram,
)
from kernas.kernels.regression.scores import mean_accuracy, mean_squared_error

ALL = tuple(METRICS)
TRAINING = tuple(name for name, metric in METRICS.items() if not metric.needs_validation)
RIDGE = 1e-2


def problem(n: int = 40, m: int = 25, seed: int = 0):
    """Gram matrix and cross block of noisy clusters, with the labels of both parts."""
    rng = np.random.default_rng(seed)
    labels = rng.permutation(np.arange(n + m) % 3)
    x = np.eye(3)[labels] + rng.normal(size=(n + m, 3)) * 0.6
    kernel = np.exp(-((x[:, None] - x[None]) ** 2).sum(-1))
    return kernel[:n, :n], labels[:n], kernel[n:, :n], labels[n:]


def score_all(K, y, K_validation, y_validation, metrics=ALL) -> dict[str, ScoreValue]:
    return score_gram(
        K,
        y,
        ridge=RIDGE,
        metrics=metrics,
        n_classes=3,
        K_validation=K_validation,
        y_validation=y_validation,
    )


def test_names_and_directions():
    assert set(ALL) == {
        "validation_accuracy",
        "validation_error",
        "loo_accuracy",
        "loo_error",
        "gcv",
        "descent",
        "evidence",
        "alignment",
        "condition",
        "trace",
        "logdet",
        "effective_rank",
    }
    lower = {name for name, metric in METRICS.items() if not metric.higher_is_better}
    assert lower == {"validation_error", "loo_error", "gcv", "condition", "trace", "descent"}
    assert set(ALL) - set(TRAINING) == {"validation_accuracy", "validation_error"}
    assert all(name == metric.name for name, metric in METRICS.items())


def test_every_score_against_its_definition():
    K, y, K_validation, y_validation = problem()
    scores = score_all(K, y, K_validation, y_validation)
    assert tuple(scores) == ALL

    Y = centred_one_hot(y, 3)
    rho = RIDGE * np.diag(K).mean()
    prediction = K_validation @ np.linalg.solve(K + rho * np.eye(40), Y)
    loo = np.empty_like(Y)
    for i in range(40):
        rest = np.delete(np.arange(40), i)
        A = K[np.ix_(rest, rest)] + rho * np.eye(39)
        loo[i] = K[i, rest] @ np.linalg.solve(A, Y[rest])

    for part, f, labels in (("validation", prediction, y_validation), ("loo", loo, y)):
        hits = f.argmax(axis=1) == labels
        squares = ((f - centred_one_hot(labels, 3)) ** 2).sum(axis=1)
        for name, values in ((f"{part}_accuracy", hits), (f"{part}_error", squares)):
            assert scores[name].value == pytest.approx(values.mean(), abs=1e-10)
            error = values.std(ddof=1) / np.sqrt(len(values))
            assert scores[name].standard_error == pytest.approx(error, abs=1e-10)
    spectrum = decompose(K)
    assert scores["evidence"] == ScoreValue(log_evidence(spectrum, Y, RIDGE))
    assert scores["alignment"] == ScoreValue(centred_alignment(K, Y))
    assert scores["condition"] == ScoreValue(condition_number(spectrum, RIDGE))


def test_a_kernel_that_knows_the_classes_scores_better_in_every_direction():
    K, y, K_validation, y_validation = problem()
    good = score_all(K, y, K_validation, y_validation)
    rng = np.random.default_rng(1)
    blind = score_all(K, rng.permutation(y), K_validation, rng.permutation(y_validation))
    unlabelled = {"condition", "trace", "logdet", "effective_rank"}
    for name in set(ALL) - unlabelled:
        difference = good[name].value - blind[name].value
        assert difference > 0 if METRICS[name].higher_is_better else difference < 0, name
    assert {name: good[name] for name in unlabelled} == {name: blind[name] for name in unlabelled}


def test_training_scores_read_no_validation_image():
    K, y, K_validation, y_validation = problem()
    alone = score_gram(K, y, ridge=RIDGE, metrics=TRAINING, n_classes=3)
    beside = score_all(K, y, -K_validation, y_validation[::-1], metrics=TRAINING)
    assert alone == beside


def test_one_eigendecomposition_serves_all_scores(monkeypatch):
    from kernas.kernels.regression import ridge

    calls = []
    eigh = ridge.eigh
    monkeypatch.setattr(ridge, "eigh", lambda K: calls.append(len(K)) or eigh(K))
    score_all(*problem())
    assert calls == [40]


def test_scores_do_not_depend_on_the_order_of_images():
    K, y, K_validation, y_validation = problem()
    order, order_validation = np.random.default_rng(0).permutation(40), np.arange(25)[::-1]
    expected = score_all(K, y, K_validation, y_validation)
    moved = score_all(
        K[np.ix_(order, order)],
        y[order],
        K_validation[np.ix_(order_validation, order)],
        y_validation[order_validation],
    )
    for name in ALL:
        assert moved[name].value == pytest.approx(expected[name].value, rel=1e-9)


def test_ties_go_to_the_lowest_class():
    prediction = np.array([[0.2, 0.2, 0.1], [0.0, 0.5, 0.5], [0.0, 0.0, 0.0]])
    assert mean_accuracy(prediction, np.array([0, 1, 0])).value == 1.0
    assert mean_accuracy(prediction, np.array([1, 2, 2])).value == 0.0


def test_predicting_nothing_has_error_one_minus_a_class_share():
    score = mean_squared_error(np.zeros((5, 4)), np.array([0, 1, 2, 3, 3]))
    assert score.value == pytest.approx(1 - 1 / 4)
    assert score.standard_error == pytest.approx(0, abs=1e-15)


def test_a_mean_over_one_image_has_no_standard_error():
    K, y, K_validation, y_validation = problem()
    score = score_all(K, y, K_validation[:1], y_validation[:1], metrics=["validation_accuracy"])
    assert score["validation_accuracy"].standard_error is None


def test_standard_error_is_the_spread_over_draws_of_validation_images():
    K, y, K_pool, y_pool = problem(m=400, seed=2)
    rng = np.random.default_rng(3)
    means, errors = [], []
    for _ in range(300):
        chosen = rng.integers(400, size=100)
        score = score_all(K, y, K_pool[chosen], y_pool[chosen], metrics=["validation_error"])
        means.append(score["validation_error"].value)
        errors.append(score["validation_error"].standard_error)
    # 300 draws know a standard deviation to 4%; four of those are allowed.
    assert np.std(means) == pytest.approx(np.mean(errors), rel=0.17)


@pytest.mark.parametrize(
    ("K", "message"),
    [
        (np.zeros((40, 40)), "zero"),
        (np.ones((40, 40)), "constant"),
        (np.full((40, 40), np.nan), "not finite"),
    ],
)
@pytest.mark.parametrize("name", ALL)
def test_degenerate_kernels_have_no_score(K, message, name):
    _, y, K_validation, y_validation = problem()
    with pytest.raises(DegenerateKernelError, match=message):
        score_all(K, y, K_validation, y_validation, metrics=[name])


def test_a_cross_block_that_is_not_finite_is_degenerate():
    K, y, K_validation, y_validation = problem()
    K_validation[3, 5] = np.inf
    with pytest.raises(DegenerateKernelError, match=r"cross block .* inf at \(3, 5\)"):
        score_all(K, y, K_validation, y_validation)


def test_without_ridge_a_singular_kernel_has_no_regression_but_an_alignment():
    _, y, _, _ = problem()
    K = centred_one_hot(y, 3) @ centred_one_hot(y, 3).T
    with pytest.raises(NotPositiveDefiniteError, match="use a ridge of"):
        score_gram(K, y, ridge=0.0, metrics=["loo_error"], n_classes=3)
    score = score_gram(K, y, ridge=0.0, metrics=["alignment"], n_classes=3)
    assert score["alignment"].value == pytest.approx(1.0, abs=1e-12)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"metrics": ["loo"]}, ConfigurationError, "unknown metric 'loo': expected one of val"),
        ({"metrics": []}, ConfigurationError, "one or more of"),
        ({"metrics": "evidence"}, ConfigurationError, "a list of one or more"),
        (
            {"K_validation": None, "y_validation": None},
            ConfigurationError,
            "'validation_accuracy' needs validation images",
        ),
        ({"K_validation": None}, ConfigurationError, "together"),
        ({"ridge": -1.0}, ConfigurationError, "ridge=-1.0"),
        ({"y_train": np.arange(39) % 3}, DataError, "39 training labels for 40"),
        ({"y_validation": np.arange(24) % 3}, DataError, "24 validation labels for 25"),
        ({"y_validation": np.arange(25) % 4}, DataError, "validation labels hold 3"),
        ({"y_train": np.arange(40) % 4}, DataError, "training labels hold 3"),
        ({"y_train": np.ones(40, int)}, DataError, "all 40 training labels are 1"),
        ({"y_train": np.arange(40) % 3 * 1.0}, DataError, "expected integers"),
        ({"K_validation": np.ones((40, 25))}, DataError, r"expected \(m, 40\)"),
        ({"n_classes": 1}, ConfigurationError, "n_classes=1"),
    ],
)
def test_bad_arguments(options, error, message, monkeypatch):
    from kernas.kernels.regression import ridge

    monkeypatch.setattr(ridge, "eigh", lambda K: pytest.fail("refused only after long work"))
    K, y, K_validation, y_validation = problem()
    arguments = {
        "K_train": K,
        "y_train": y,
        "ridge": RIDGE,
        "metrics": ["validation_accuracy", "loo_error"],
        "n_classes": 3,
        "K_validation": K_validation,
        "y_validation": y_validation,
    }
    with pytest.raises(error, match=message) as caught:
        score_gram(**(arguments | options))
    assert "\n" not in str(caught.value)


def test_resolve_metrics_keeps_the_order():
    assert [m.name for m in resolve_metrics(["evidence", "loo_error"])] == ["evidence", "loo_error"]
    with pytest.raises(ConfigurationError, match="validation_error"):
        resolve_metrics(["evidence", "validation_error"], validation=False)
