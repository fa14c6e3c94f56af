"""Weights of images and classes in the estimators, and what predictions make of a jitter."""

import warnings

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, r2_score

import kernas.kernels as kk
from kernas.errors import ConfigurationError, DataError
from kernas.kernels import KernelClassifier, KernelRegressor, Kernels
from kernas.kernels.regression import JitterWarning

rng = np.random.default_rng(0)
X = rng.standard_normal((14, 3))
LABELS = np.array(["b", "a"])[(X[:, 0] + 0.5 * rng.standard_normal(14) > 0).astype(int)]
VALUES = np.sin(X[:, 0]) + 0.2 * X[:, 1]
REPEATS = np.array([1, 0, 3, 1, 2, 1, 1, 0, 4, 1, 2, 1, 1, 3])
OTHERS = rng.standard_normal((6, 3))


class Smooth:
    """A kernel in NumPy: nothing is compiled for it."""

    needs_bind = False

    def __call__(self, x1, x2=None, get=None):
        a = np.asarray(x1, float)
        b = a if x2 is None else np.asarray(x2, float)
        nngp = np.exp(-((a[:, None] - b) ** 2).sum(-1) / 2) + 0.1
        both = {"nngp": nngp, "ntk": nngp * (2 + a @ b.T / 5)}
        return Kernels(both["nngp"], both["ntk"]) if isinstance(get, tuple) else both[get or "ntk"]


def repeated(rows):
    return np.repeat(rows, REPEATS, axis=0)


@pytest.mark.parametrize("class_weight", [None, "balanced", {"a": 3.0, "b": 0.5}])
@pytest.mark.parametrize("ridge", [1e-2, "loo", "evidence"])
def test_a_classifier_takes_a_weight_for_as_many_images(ridge, class_weight):
    options = {"ridge": ridge, "class_weight": class_weight}
    one = KernelClassifier(Smooth(), **options).fit(X, LABELS, sample_weight=REPEATS)
    other = KernelClassifier(Smooth(), **options).fit(repeated(X), repeated(LABELS))
    assert one.ridge_ == other.ridge_
    assert one.diagnostics_["rho"] == pytest.approx(other.diagnostics_["rho"], rel=1e-12)
    np.testing.assert_allclose(
        one.predict_proba(OTHERS), other.predict_proba(OTHERS), rtol=1e-6, atol=1e-9
    )
    assert one.loo_ is not None
    assert other.loo_ is not None
    kept = REPEATS > 0
    loo = np.repeat(one.loo_, REPEATS[kept], axis=0)
    np.testing.assert_allclose(loo, other.loo_, rtol=1e-7, atol=1e-9)
    assert one.dual_coef_.shape == (kept.sum(), 2)


@pytest.mark.parametrize(("get", "time"), [("nngp", None), ("ntk", None), ("ntk", 5.0)])
@pytest.mark.parametrize("solver", ["cholesky", "cg"])
def test_a_regressor_takes_a_weight_for_as_many_images(get, time, solver):
    if solver == "cg" and time is not None:
        time = None
    options = {"get": get, "time": time, "ridge": 1e-2, "solver": solver}
    one = KernelRegressor(Smooth(), **options).fit(X, VALUES, REPEATS)
    other = KernelRegressor(Smooth(), **options).fit(repeated(X), repeated(VALUES))
    np.testing.assert_allclose(one.offset_, other.offset_, rtol=1e-12)
    tolerance = 1e-9 if solver == "cholesky" else 1e-4
    np.testing.assert_allclose(one.predict(OTHERS), other.predict(OTHERS), rtol=tolerance)
    if solver == "cholesky":
        for a, b in zip(one.predict(OTHERS, True), other.predict(OTHERS, True), strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-7)


def test_weights_of_one_change_no_digit():
    for made in (
        lambda: KernelClassifier(Smooth(), ridge="loo"),
        lambda: KernelRegressor(Smooth(), get="ntk"),
    ):
        y = LABELS if isinstance(made(), KernelClassifier) else VALUES
        plain = made().fit(X, y)
        for weights in (np.ones(14), 1, [True] * 14):
            weighted = made().fit(X, y, sample_weight=weights)
            np.testing.assert_array_equal(weighted.dual_coef_, plain.dual_coef_)
            np.testing.assert_array_equal(weighted.loo_, plain.loo_)


def test_classes_are_weighed_by_their_labels():
    costs = {"a": 3.0, "b": 0.5}
    by_class = KernelClassifier(Smooth(), class_weight=costs).fit(X, LABELS)
    each = np.array([costs[label] for label in LABELS])
    by_image = KernelClassifier(Smooth()).fit(X, LABELS, sample_weight=each)
    np.testing.assert_allclose(by_class.dual_coef_, by_image.dual_coef_, rtol=1e-12)
    counts = {label: np.sum(label == LABELS) for label in "ab"}
    balanced = KernelClassifier(Smooth(), class_weight="balanced").fit(X, LABELS)
    shares = {label: 14 / (2 * counts[label]) for label in "ab"}
    given = KernelClassifier(Smooth(), class_weight=shares).fit(X, LABELS)
    np.testing.assert_allclose(balanced.dual_coef_, given.dual_coef_, rtol=1e-12)
    # A dear class is left out whole: its images do not predict themselves.
    assert by_class.loo_ is not None
    left = KernelClassifier(Smooth(), ridge=1e-4, class_weight=costs)
    refit = left.fit(X[1:], LABELS[1:])
    scale = by_class.diagnostics_["rho"] / refit.diagnostics_["rho"]
    again = left.set_params(ridge=1e-4 * scale).fit(X[1:], LABELS[1:])
    np.testing.assert_allclose(again.values(X[:1])[0], by_class.loo_[0], rtol=1e-6)


def test_scores_take_weights():
    classifier = KernelClassifier(Smooth(), ridge=1.0).fit(X, LABELS)
    regressor = KernelRegressor(Smooth(), ridge=1.0).fit(X, VALUES)
    expected = accuracy_score(LABELS, classifier.predict(X), sample_weight=REPEATS)
    assert classifier.score(X, LABELS, sample_weight=REPEATS) == expected
    expected = r2_score(VALUES, regressor.predict(X), sample_weight=REPEATS)
    assert regressor.score(X, VALUES, sample_weight=REPEATS) == expected


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ([1.0] * 13, r"shape \(13,\): expected \(14,\)"),
        (np.ones((14, 1)), r"shape \(14, 1\)"),
        ([-1.0] + [1.0] * 13, "holds -1.0"),
        ([np.nan] + [1.0] * 13, "holds nan"),
        ([np.inf] + [1.0] * 13, "holds inf"),
        ([0.0] * 14, "zero for all samples"),
        ([1.0] + [0.0] * 13, "of one image"),
        (["heavy"] * 14, "expected numbers >= 0"),
    ],
)
def test_weights_that_are_none_are_refused_in_one_line(weights, message):
    for estimator, y in ((KernelClassifier(Smooth()), LABELS), (KernelRegressor(Smooth()), VALUES)):
        with pytest.raises(DataError, match=message) as refused:
            estimator.fit(X, y, sample_weight=weights)
        assert "\n" not in str(refused.value)


@pytest.mark.parametrize("given", ["even", {"a": 0.0}, {"a": -1.0}, {"a": "much"}, [1.0, 2.0], 3])
def test_class_weights_that_are_none_are_refused(given):
    with pytest.raises(ConfigurationError, match="class_weight="):
        KernelClassifier(Smooth(), class_weight=given).fit(X, LABELS)


def test_a_label_that_no_image_has_is_refused():
    with pytest.raises(DataError, match="label 'c', which no image has"):
        KernelClassifier(Smooth(), class_weight={"c": 2.0}).fit(X, LABELS)
    # A fold may lack a class whose weight is given with those of all others.
    costs = {"a": 1.0, "b": 2.0, "c": 3.0}
    assert len(KernelClassifier(Smooth(), class_weight=costs).fit(X, LABELS).classes_) == 2


# --- jitter --------------------------------------------------------------------------------------


@pytest.mark.parametrize("time", [None, 10.0])
@pytest.mark.parametrize("get", ["nngp", "ntk"])
def test_what_a_fit_added_is_there_in_every_prediction(get, time):
    """Equal images without a ridge: all outputs are those of one of each."""
    if get == "nngp" and time is not None:
        return
    x, y = np.concatenate([X, X[:2]]), np.concatenate([VALUES, VALUES[:2]])
    model = KernelRegressor(Smooth(), get=get, ridge=0, time=time)
    with pytest.warns(JitterWarning):
        model.fit(x, y)
    mean, deviation = model.predict(OTHERS, return_std=True)
    np.testing.assert_allclose(model.predict(OTHERS), mean, rtol=1e-12)
    weights = np.ones(14)
    weights[:2] = 2
    one_each = KernelRegressor(Smooth(), get=get, ridge=0, time=time).fit(X, VALUES, weights)
    expected, spread = one_each.predict(OTHERS, return_std=True)
    np.testing.assert_allclose(mean, expected, atol=1e-3)
    np.testing.assert_allclose(deviation, spread, atol=1e-3)


# --- models and stores ---------------------------------------------------------------------------


def test_weighted_models_come_back_and_their_matrix_may_be_stored(tmp_path):
    kernel = kk.NeuralKernel(kk.serial(kk.Dense(W_std=1.5), kk.Relu(), kk.Dense()))
    x, y, weights = np.tile(X, (3, 1)), np.tile(VALUES, 3), np.tile(REPEATS, 3)
    store = tmp_path / "gram"
    options = {"get": "ntk", "ridge": 0, "dtype": "float64", "store": store}
    with pytest.warns(JitterWarning):
        regressor = KernelRegressor(kernel, **options).fit(x, y, weights)
    kk.save_model(regressor, tmp_path / "regressor")
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # the jitter that fit found is taken as it is
        loaded = kk.load_model(tmp_path / "regressor")
    for ours, theirs in zip(
        regressor.predict(OTHERS, return_std=True),
        loaded.predict(OTHERS, return_std=True),  # pyright: ignore[reportCallIssue]
        strict=True,
    ):
        np.testing.assert_array_equal(ours, theirs)
    labels = (VALUES > 0).astype(int)
    costs = {0: 1.0, 1: 2.0}
    classifier = KernelClassifier(kernel, class_weight=costs, dtype="float64")
    classifier.fit(X, labels, sample_weight=REPEATS)
    kk.save_model(classifier, tmp_path / "classifier")
    again = kk.load_model(tmp_path / "classifier")
    assert again.get_params()["class_weight"] == costs
    assert isinstance(again, KernelClassifier)
    np.testing.assert_array_equal(again.predict_proba(OTHERS), classifier.predict_proba(OTHERS))
