"""Estimators: scikit-learn's own checks, images, folds, ridges, and what they are made of."""

import pickle
import warnings
from typing import Any, cast

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import log_softmax
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.model_selection import GridSearchCV, KFold, cross_val_score, cross_validate
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC
from sklearn.utils.estimator_checks import parametrize_with_checks

import kernas.kernels as kk
from kernas.errors import ConfigurationError, DataError
from kernas.kernels import (
    KernelClassifier,
    KernelRegressor,
    KernelTable,
    NeuralKernel,
    SklearnKernel,
)
from kernas.kernels.regression import (
    DegenerateKernelError,
    centred_one_hot,
    log_evidence,
    score_gram,
    solve,
)
from kernas.kernels.regression.ridge import decompose

NORMALIZED = kk.serial(
    kk.Conv(3, W_std=2**0.5), kk.Normalize(), kk.Relu(), kk.GlobalAvgPool(), kk.Dense()
)
DENSE = kk.serial(kk.Dense(W_std=1.5, b_std=0.1), kk.Relu(), kk.Dense())


@pytest.fixture(scope="module")
def digits():
    train, test = kk.load("digits", n_train=60, n_test=40, image_size=4, seed=0)
    return train, test


@pytest.fixture(scope="module")
def curve():
    rng = np.random.default_rng(0)
    x = rng.standard_normal((20, 3))
    return x[:12], np.sin(x[:12, 0]), x[12:]


@parametrize_with_checks([KernelClassifier(), KernelRegressor(get="ntk")])
def test_scikit_learns_checks(estimator, check):
    with warnings.catch_warnings():
        # Of checks that are skipped, and of those that warn that they do.
        warnings.simplefilter("ignore")
        check(estimator)


def test_images_pass_cross_validation(digits):
    train, _ = digits
    estimator = KernelClassifier(NeuralKernel(NORMALIZED), n_reference=8)
    scores = cross_val_score(estimator, train.x, train.y, cv=3)
    assert scores.shape == (3,)
    assert scores.mean() > 0.3
    flat = cross_val_score(KernelClassifier(), train.x[..., 0], train.y, cv=3)
    assert flat.mean() > 0.3


def test_what_a_fold_learns_does_not_depend_on_the_fold_held_out(digits):
    train, _ = digits
    folds = list(KFold(3).split(train.x))
    learned = []
    for held_out in (0.0, 5.0):
        fits = []
        for fold, (chosen, other) in enumerate(folds):
            x = train.x.copy()
            x[other] = held_out
            found = cross_validate(
                KernelClassifier(NeuralKernel(NORMALIZED), n_reference=8, ridge="loo"),
                x,
                train.y,
                cv=[(chosen, other)],
                return_estimator=True,
            )
            (estimator,) = found["estimator"]
            scales = estimator.kernel_.normalization_scales()
            fits.append((fold, scales, estimator.ridge_, estimator.dual_coef_))
        learned.append(fits)
    for one, two in zip(*learned, strict=True):
        assert one[:3] == two[:3]
        np.testing.assert_array_equal(one[3], two[3])


def test_it_is_the_regression_of_its_kernel(digits):
    train, test = digits
    kernel = NeuralKernel(NORMALIZED, get="nngp").bind(train.x, n_reference=8, seed=3)
    estimator = KernelClassifier(
        NeuralKernel(NORMALIZED, get="nngp"), ridge=1e-3, n_reference=8, reference_seed=3
    ).fit(train.x, train.y)
    gram, cross = kernel.gram_and_cross(train.x, test.x)
    Y = centred_one_hot(train.y, 10)
    expected = cross @ solve(decompose(gram), Y, 1e-3)
    np.testing.assert_allclose(estimator.decision_function(test.x), expected, rtol=1e-3, atol=1e-4)
    scores = score_gram(
        gram, train.y, ridge=1e-3, metrics=["loo_accuracy", "loo_error"], n_classes=10
    )
    assert np.mean(estimator.loo_labels_ == train.y) == scores["loo_accuracy"].value
    error = np.mean(np.sum((estimator.loo_ - Y) ** 2, axis=1))
    assert error == pytest.approx(scores["loo_error"].value, rel=1e-3)
    assert estimator.diagnostics_["jitter"] == 0
    assert estimator.diagnostics_["condition"] > 1


def test_of_two_classes_the_decision_has_one_number(digits):
    train, test = digits
    labels = np.where(train.y < 5, "low", "high")
    estimator = KernelClassifier().fit(train.x, labels)
    values = estimator.decision_function(test.x)
    assert values.shape == (len(test),)
    assert list(estimator.classes_) == ["high", "low"]
    np.testing.assert_array_equal(estimator.predict(test.x) == "low", values > 0)


def test_probabilities_have_the_temperature_that_suits_the_images_left_out(digits):
    train, test = digits
    estimator = KernelClassifier(ridge=1e-3).fit(train.x, train.y)
    proba = estimator.predict_proba(test.x)
    np.testing.assert_allclose(proba.sum(axis=1), 1)
    np.testing.assert_array_equal(estimator.classes_[proba.argmax(1)], estimator.predict(test.x))

    def loss(temperature):
        return -log_softmax(estimator.loo_ / temperature, axis=1)[range(60), train.y].mean()

    assert estimator.temperature_ is not None
    best = loss(estimator.temperature_)
    assert all(best < loss(estimator.temperature_ * factor) for factor in (0.9, 1.1))
    assert best < np.log(10)


@pytest.mark.parametrize("criterion", ["loo", "evidence"])
def test_a_ridge_is_chosen_by_its_criterion_on_training_images(digits, criterion):
    train, _ = digits
    estimator = KernelClassifier(ridge=criterion).fit(train.x, train.y)
    with jax.enable_x64(True):
        spectrum = decompose(estimator.kernel_(train.x))
    Y = centred_one_hot(train.y, 10)
    values = {}
    for ridge in estimator.ridge_path_:
        if criterion == "evidence":
            values[ridge] = log_evidence(spectrum, Y, ridge)
            continue
        alone = KernelClassifier(ridge=ridge).fit(train.x, train.y)
        values[ridge] = -np.mean(np.sum((alone.loo_ - Y) ** 2, axis=1))
    assert max(values, key=lambda ridge: values[ridge]) == estimator.ridge_
    assert len(values) == 19


def test_a_path_of_ridges_is_searched_by_leaving_one_out(digits):
    train, _ = digits
    estimator = KernelClassifier(ridge=[1e-6, 1e-2, 1e3]).fit(train.x, train.y)
    path = estimator.ridge_path_
    assert set(path) == {1e-6, 1e-2, 1e3}
    assert estimator.ridge_ == min(path, key=lambda ridge: path[ridge])


def test_pipelines_searches_and_clones(digits):
    train, _ = digits
    flat = train.x.reshape(len(train), -1)
    search = GridSearchCV(
        make_pipeline(StandardScaler(), KernelClassifier(NeuralKernel(DENSE))),
        {"kernelclassifier__ridge": [1e-3, 1e6]},
        cv=3,
    ).fit(flat, train.y)
    assert search.best_params_ == {"kernelclassifier__ridge": 1e-3}
    best: Any = search.best_estimator_
    copy: Any = clone(best[-1])
    copy.set_params(ridge="loo")
    assert copy.get_params()["ridge"] == "loo"
    assert copy.kernel.architecture == DENSE


def test_a_kernel_bound_in_float64_comes_back_from_pickle_in_it(digits):
    train, test = digits
    kernel = NeuralKernel(NORMALIZED)
    estimator = KernelClassifier(kernel, dtype="float64", n_reference=8).fit(train.x, train.y)
    assert estimator.diagnostics_["dtype"] == "float64"
    again = pickle.loads(pickle.dumps(estimator))
    expected = estimator.decision_function(test.x)
    np.testing.assert_array_equal(again.decision_function(test.x), expected)


@pytest.mark.parametrize("get", ["nngp", "ntk"])
def test_a_regressors_deviation_shrinks_at_training_points(curve, get):
    x, y, others = curve
    estimator = KernelRegressor(get=get, ridge=1e-9).fit(x, y)
    mean, deviation = estimator.predict(x, return_std=True)
    np.testing.assert_allclose(mean, y, atol=1e-5)
    assert deviation.max() < 1e-3
    assert estimator.predict(others, return_std=True)[1].min() > 1e-2


def test_scikit_learns_gaussian_process_agrees(curve):
    x, y, others = curve
    with jax.enable_x64(True):
        ours = KernelRegressor(NeuralKernel(DENSE), get="nngp", ridge=1e-2).fit(x, y - y.mean())
        rho = ours.diagnostics_["rho"]
        kernel = SklearnKernel(NeuralKernel(DENSE, get="nngp"))
        theirs = GaussianProcessRegressor(kernel, alpha=rho).fit(x, y - y.mean())
        for one, two in zip(
            ours.predict(others, return_std=True),
            theirs.predict(others, return_std=True),
            strict=True,
        ):
            np.testing.assert_allclose(one, two, rtol=1e-8)


@pytest.mark.parametrize(
    ("get", "time"), [("nngp", None), ("ntk", None), ("ntk", 0.0), ("ntk", 3.0), ("ntk", 1e4)]
)
def test_posteriors_are_those_of_neural_tangents(curve, get, time):
    from kernas.kernels._compat import import_neural_tangents

    x, y, others = curve
    Y = np.stack([y, y**2], axis=1)
    Y -= Y.mean(axis=0)
    ridge = 1e-3
    nt = import_neural_tangents()
    stax = nt.stax
    layers = stax.Dense(64, 1.5, 0.1), stax.Relu(), stax.Dense(1, 1.0, 0.0)
    _, _, kernel_fn = stax.serial(*layers)
    with jax.enable_x64(True):
        predict = nt.predict.gradient_descent_mse_ensemble(kernel_fn, x, Y, diag_reg=ridge)
        theirs = predict(x_test=others, get=get, compute_cov=True, t=time)
        ours = KernelRegressor(NeuralKernel(DENSE), get=get, ridge=ridge, time=time).fit(x, Y)
        mean, deviation = ours.predict(others, return_std=True)
    np.testing.assert_allclose(mean, theirs.mean, rtol=0, atol=1e-8)
    np.testing.assert_allclose(
        deviation**2, np.diag(theirs.covariance.squeeze()), rtol=0, atol=1e-8
    )


def test_support_vectors_take_the_kernel(digits):
    train, test = digits
    kernel = NeuralKernel(NORMALIZED, get="ntk").bind(train.x, 8)
    flat, other = (part.x.reshape(len(part), -1) for part in (train, test))
    adapted = SVC(kernel=cast(Any, SklearnKernel(kernel, train.input_shape))).fit(flat, train.y)
    given = SVC(kernel="precomputed").fit(kernel(train.x).astype(float), train.y)
    values = given.decision_function(kernel(test.x, train.x).astype(float))
    np.testing.assert_allclose(adapted.decision_function(other), values, rtol=1e-4, atol=1e-4)
    clone(adapted)


# --- bad input -----------------------------------------------------------------------------------


def test_images_of_another_shape_are_refused(digits):
    train, _ = digits
    estimator = KernelClassifier().fit(train.x, train.y)
    with pytest.raises(DataError, match=r"\(4, 3, 1\), but KernelClassifier was fitted to"):
        estimator.predict(train.x[:, :, :3])
    with pytest.raises(DataError, match="expected"):
        KernelClassifier().fit(train.x[..., None], train.y)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"ridge": -1.0}, "ridge=-1.0"),
        ({"ridge": "best"}, "ridge='best'"),
        ({"ridge": []}, "expected at least one number"),
        ({"dtype": "float16"}, "dtype='float16'"),
        ({"kernel": 3}, "kernel=3"),
        ({"kernel": NeuralKernel(DENSE, get=("nngp", "ntk"))}, "say which of them"),
    ],
)
def test_options_out_of_range_are_refused(digits, options, message):
    train, _ = digits
    with pytest.raises(ConfigurationError, match=message):
        KernelClassifier(**options).fit(train.x, train.y)


def test_nan_and_one_class_are_refused(digits):
    train, _ = digits
    x = train.x.copy()
    x[3, 0, 0, 0] = np.nan
    with pytest.raises(ValueError, match="NaN"):
        KernelClassifier().fit(x, train.y)
    with pytest.raises(DataError, match="one class"):
        KernelClassifier().fit(train.x, np.zeros(len(train), int))


@pytest.mark.parametrize("estimator", [KernelClassifier, KernelRegressor])
def test_a_fit_that_fails_leaves_nothing_fitted(digits, estimator):
    train, test = digits
    made = estimator().fit(train.x, train.y)
    with pytest.raises(DegenerateKernelError):
        made.fit(np.zeros_like(train.x), train.y)
    with pytest.raises(NotFittedError):
        made.predict(test.x)


@pytest.mark.parametrize(("get", "time"), [("nngp", 1.0), (None, 1.0), ("ntk", -1.0)])
def test_a_time_needs_the_tangent_kernel_and_is_not_negative(curve, get, time):
    x, y, _ = curve
    with pytest.raises(ConfigurationError, match="time="):
        KernelRegressor(get=get, time=time).fit(x, y)


def test_a_deviation_says_whose(curve):
    x, y, _ = curve
    with pytest.raises(ConfigurationError, match="say whose deviation"):
        KernelRegressor().fit(x, y).predict(x, return_std=True)


def test_an_adapted_kernel_has_to_be_bound_and_images_to_fit(digits):
    train, _ = digits
    with pytest.raises(ConfigurationError, match="bind"):
        SklearnKernel(NeuralKernel(NORMALIZED))
    with pytest.raises(ConfigurationError, match="say which of them"):
        SklearnKernel(NeuralKernel(DENSE, get=("nngp", "ntk")))
    kernel = SklearnKernel(NeuralKernel(NORMALIZED).bind(train.x, 8), (4, 4, 1))
    with pytest.raises(DataError, match=r"expected \(n, 16\)"):
        kernel(np.zeros((2, 15)))


def test_a_table_is_not_one_kernel(digits):
    train, _ = digits
    table: Any = KernelTable({"one": DENSE})
    with pytest.raises(ConfigurationError, match=r"NeuralKernel\(table.networks\[key\]\)"):
        KernelClassifier(table, get="nngp").fit(train.x, train.y)
    with pytest.raises(ConfigurationError, match=r"NeuralKernel\(table.networks\[key\]\)"):
        SklearnKernel(table)


def test_one_precision_from_the_reference_images_to_the_matrix(digits):
    """Records of float32 would pass for float64."""
    train, _ = digits
    plain = kk.serial(kk.Conv(3), kk.Relu(), kk.Flatten(), kk.Dense())
    for kernel in (NeuralKernel(plain), NeuralKernel(NORMALIZED).bind(train.x, 8)):
        prepared = kernel.prepare(train.x[:4])
        kernel(prepared)
        with jax.enable_x64(True), pytest.raises(DataError, match="in float32, and JAX computes"):
            kernel(prepared)
    with jax.enable_x64(True), pytest.raises(DataError, match="was bound in float32"):
        kernel(train.x[:4])


# --- finite networks -----------------------------------------------------------------------------


def test_trained_networks_have_this_mean_and_deviation():
    """Gradient descent in small steps from 200 draws; the bounds are five sample errors."""
    draws, width, step, time = 200, 256, 0.1, 20.0
    rng = np.random.default_rng(0)
    x, others = rng.standard_normal((6, 3)), rng.standard_normal((5, 3))
    y = np.sin(2 * x[:, 0])
    y = y - y.mean()
    network = kk.finite_network(DENSE, width=width)

    def outputs(variables, x):
        return cast(jax.Array, network.apply(variables, x))[:, 0]

    def trained(key):
        variables = network.init(key, x)

        def loss(params):
            return jnp.mean((outputs({**variables, "params": params}, x) - y) ** 2) / 2

        def descend(_, params):
            slopes = jax.grad(loss)(params)
            return jax.tree.map(lambda p, s: p - step * s, params, slopes)

        steps = round(time / step)
        params = jax.lax.fori_loop(0, steps, descend, variables["params"])
        return outputs({**variables, "params": params}, others)

    keys = jax.random.split(jax.random.key(1), draws)
    found = np.asarray(jax.jit(lambda keys: jax.lax.map(trained, keys, batch_size=50))(keys))
    estimator = KernelRegressor(
        NeuralKernel(DENSE), get="ntk", ridge=0.0, time=time, dtype="float64"
    ).fit(x, y)
    mean, deviation = estimator.predict(others, return_std=True)
    spread = found.std(axis=0, ddof=1)
    assert np.all(np.abs(found.mean(axis=0) - mean) < 5 * spread / np.sqrt(draws))
    assert np.all(np.abs(spread - deviation) < 5 * spread / np.sqrt(2 * (draws - 1)))
    # The bounds tell this time from another one.
    later = KernelRegressor(NeuralKernel(DENSE), get="ntk", ridge=0.0, dtype="float64").fit(x, y)
    assert np.any(np.abs(found.mean(axis=0) - later.predict(others)) > 5 * spread / np.sqrt(draws))
