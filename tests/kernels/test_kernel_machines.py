"""Kernel machines: the conditions of their optimum in NumPy, scikit-learn's checks, folders."""

import json
import warnings
from typing import Any

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV
from sklearn.svm import SVC
from sklearn.utils.estimator_checks import parametrize_with_checks

import kernas.kernels as kk
from kernas.documents import sealed
from kernas.errors import ConfigurationError, DataError, ModelFolderError
from kernas.kernels import KernelMachine, NeuralKernel, SklearnKernel
from kernas.kernels.estimators.base import diagonal
from kernas.kernels.estimators.machine import HINGE_TOLERANCE, NEWTON_TOLERANCE
from kernas.kernels.regression import NotConvergedError

NETWORK = kk.serial(kk.Dense(W_std=1.5, b_std=0.2), kk.Relu(), kk.Dense())
NORMALIZED = kk.serial(
    kk.Conv(3, W_std=2**0.5), kk.Normalize(), kk.Relu(), kk.GlobalAvgPool(), kk.Dense()
)
LOSSES = ("hinge", "logistic")


@pytest.fixture(scope="module")
def digits():
    return kk.load("digits", n_train=60, n_test=40, image_size=4)


@pytest.fixture(scope="module")
def pair(digits):
    """Vectors of 60 images that overlap, and labels −1 and 1."""
    train, test = digits
    x, other = (part.x.reshape(len(part.x), -1) for part in (train, test))
    return x, np.where(train.y < 5, -1, 1), other


def expected_to_fail(estimator):
    """What libsvm's precision, a kernel in float32, leaves out."""
    if estimator.loss == "logistic":
        return {}
    return {"check_sample_weight_equivalence_on_dense_data": "it asks for a precision of 1e-7"}


@parametrize_with_checks(
    [KernelMachine(), KernelMachine(loss="logistic")], expected_failed_checks=expected_to_fail
)
def test_scikit_learns_checks(estimator, check):
    with warnings.catch_warnings():
        # Of checks that are skipped, and of those that warn that they do.
        warnings.simplefilter("ignore")
        check(estimator)


def allowed(loss, costs, variances):
    """How far outputs of two trained machines may be apart.

    Margins violated by v leave a duality gap of at most v Σ costs, and so a distance of f − b of at
    most sqrt(2 gap K(x, x)), for each of the two; b follows margins, and moves as much.

    Args:
        loss: its name; Newton's method leaves nothing but what it says of its gradient.
        costs: ``C w_i``.
        variances: ``K(x, x)``.
    """
    gap = (HINGE_TOLERANCE if loss == "hinge" else NEWTON_TOLERANCE) * np.sum(costs)
    return 4 * np.sqrt(2 * gap * np.max(variances))


def optimum(machine, K, y, costs):
    """Violations of the conditions of the optimum, and its coefficients, from the loops' formulas.

    Args:
        machine: fitted, of two classes.
        K: the kernel of the training images.
        y: labels −1 and 1.
        costs: ``C w_i``.
    """
    a = machine.coefficients_[:, 0]
    f = np.array([sum(a[i] * y[i] * K[i, j] for i in range(len(y))) for j in range(len(y))])
    f += machine.intercept_[0]
    violations = [abs(np.sum(a * y)) / costs.sum()]
    for a_i, cost, margin in zip(a, costs, y * f, strict=True):
        if machine.loss == "logistic":
            violations.append(abs(a_i / cost - 1 / (1 + np.exp(margin))))
            continue
        violations.append(max(-a_i, a_i - cost) / cost)
        if a_i < cost:  # it may have a larger a_i, so its margin is not below 1
            violations.append(1 - margin)
        if a_i > 0:
            violations.append(margin - 1)
    return max(violations), a


@pytest.mark.parametrize("C", [0.01, 1.0, 100.0])
@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("weighted", [False, True])
def test_the_optimum_has_its_conditions(pair, loss, C, weighted):
    x, y, _ = pair
    weights = np.random.default_rng(0).integers(1, 4, len(y)) if weighted else np.ones(len(y))
    kernel = NeuralKernel(NETWORK, "ntk")
    machine = KernelMachine(kernel, loss=loss, C=C, dtype="float64").fit(x, y, weights)
    with machine.precision():
        K = np.asarray(kernel(x))
    worst, a = optimum(machine, K, y, C * weights)
    if loss == "hinge":  # libsvm ends there, with a kernel that it rounds to float32
        allowed = HINGE_TOLERANCE + np.finfo(np.float32).eps / 2 * np.max(np.abs(K) @ a)
    else:  # from the gradient by a feature to a margin, and by a slope of at most 1/4 to a share
        roots = np.sqrt(len(y) * K.diagonal().max())
        allowed = NEWTON_TOLERANCE * C * weights.sum() * roots / 4
    assert worst < allowed + 1e-14
    assert (a >= 0).all()
    assert machine.diagnostics_["violation"] == pytest.approx(worst, rel=1e-3, abs=1e-9)
    if loss == "logistic":
        assert (a > 0).all()


@pytest.mark.parametrize("loss", LOSSES)
def test_no_other_coefficients_have_a_lower_objective(pair, loss):
    """The primal objective, of which the conditions above are the derivative."""
    x, y, _ = pair
    kernel, C = NeuralKernel(NETWORK, "nngp"), 1.0
    machine = KernelMachine(kernel, loss=loss, C=C).fit(x, y)
    K = np.asarray(kernel(x), np.float64)

    def objective(beta, b):
        margins = y * (K @ beta + b)
        of_each = np.maximum(1 - margins, 0) if loss == "hinge" else np.logaddexp(0, -margins)
        return beta @ K @ beta / 2 + C * of_each.sum()

    beta, b = machine.dual_coef_[:, 0], machine.intercept_[0]
    least, rng = objective(beta, b), np.random.default_rng(0)
    for size in (1e-3, 1e-2, 0.1):
        for _ in range(50):
            moved = beta + size * rng.standard_normal(len(y)), b + size * rng.standard_normal()
            assert objective(*moved) > least - HINGE_TOLERANCE * C * len(y)


def test_it_is_scikit_learns_machine_of_the_kernel(pair):
    x, y, other = pair
    kernel = NeuralKernel(NETWORK, "ntk")
    machine = KernelMachine(kernel, C=0.3).fit(x, y)
    kernel_of_rows: Any = SklearnKernel(kernel)
    theirs = SVC(kernel=kernel_of_rows, C=0.3, tol=HINGE_TOLERANCE).fit(x, y)
    found = machine.decision_function(other)
    # The same program on the same matrix; that of other images has other tiles, in float32.
    np.testing.assert_allclose(found, theirs.decision_function(other), rtol=0, atol=1e-5)
    np.testing.assert_array_equal(machine.predict(other), theirs.predict(other))
    support = np.flatnonzero(machine.coefficients_[:, 0])
    np.testing.assert_array_equal(support, np.sort(theirs.support_))


def test_of_more_classes_each_is_against_the_rest(digits):
    train, test = digits
    kernel = NeuralKernel(kk.serial(kk.Flatten(), *[NETWORK]), "ntk")
    names = np.array(train.classes)[train.y]
    for loss in LOSSES:
        machine = KernelMachine(kernel, loss=loss).fit(train.x, names)
        values = machine.decision_function(test.x)
        assert values.shape == (len(test), 10)
        for k, name in enumerate(machine.classes_):
            one = KernelMachine(kernel, loss=loss).fit(train.x, names == name)
            np.testing.assert_array_equal(machine.coefficients_[:, [k]], one.coefficients_)
            np.testing.assert_allclose(values[:, k], one.decision_function(test.x), atol=1e-10)
        best = machine.classes_[np.argmax(values, axis=1)]
        np.testing.assert_array_equal(machine.predict(test.x), best)


def test_chances_of_the_logistic_machine(pair, digits):
    x, y, other = pair
    machine = KernelMachine(loss="logistic").fit(x, y)
    f, chances = machine.decision_function(other), machine.predict_proba(other)
    np.testing.assert_allclose(chances[:, 1], 1 / (1 + np.exp(-f)))
    np.testing.assert_allclose(chances.sum(axis=1), 1)
    # The mean chance of the training images is the share of the class: b is free.
    assert machine.predict_proba(x)[:, 1].mean() == pytest.approx(np.mean(y == 1), abs=1e-6)
    train, test = digits
    several = KernelMachine(loss="logistic").fit(train.x, train.y)
    chances = several.predict_proba(test.x)
    np.testing.assert_allclose(chances.sum(axis=1), 1)
    np.testing.assert_array_equal(chances.argmax(axis=1), several.predict(test.x))
    assert not hasattr(KernelMachine(), "predict_proba")


@pytest.mark.parametrize("loss", LOSSES)
def test_a_kernel_times_a_number_is_a_cost_by_it(pair, loss):
    x, y, other = pair

    # W_std of the last layer, which has no bias, multiplies the kernel by its square.
    larger = kk.serial(kk.Dense(W_std=1.5, b_std=0.2), kk.Relu(), kk.Dense(W_std=2.0))
    plain = KernelMachine(NeuralKernel(NETWORK, "ntk"), loss=loss, C=2.0).fit(x, y)
    other_units = KernelMachine(NeuralKernel(larger, "ntk"), loss=loss, C=0.5).fit(x, y)
    found = other_units.decision_function(other)
    # Beside that, both kernels are rounded to float32, which moves f by about as much of itself.
    apart = allowed(loss, [2.0] * len(y), diagonal(plain.kernel_, other, None)) + 1e-5
    np.testing.assert_allclose(found, plain.decision_function(other), rtol=0, atol=apart)


@pytest.mark.parametrize("loss", LOSSES)
def test_an_image_of_weight_k_is_k_images(pair, loss):
    x, y, other = pair
    weights = np.random.default_rng(1).integers(0, 3, len(y))
    one = KernelMachine(loss=loss).fit(x, y, weights)
    many = KernelMachine(loss=loss).fit(np.repeat(x, weights, axis=0), np.repeat(y, weights))
    found, expected = one.decision_function(other), many.decision_function(other)
    apart = allowed(loss, weights, diagonal(one.kernel_, other, None))
    np.testing.assert_allclose(found, expected, rtol=0, atol=apart)
    assert one.coefficients_.shape == (np.sum(weights > 0), 1)


def test_searches_set_costs_and_parameters_of_the_kernel(pair):
    x, y, _ = pair
    machine = KernelMachine(NeuralKernel(NETWORK, "nngp"))
    grid: Any = {"C": [0.1, 10.0], "kernel__W_std": [1.0, 2.0], "loss": LOSSES}
    found = GridSearchCV(machine, grid, cv=2).fit(x, y)
    assert set(found.best_params_) == set(grid)
    copied: Any = clone(machine)
    assert copied.set_params(kernel__W_std=3.0).kernel != machine.kernel


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("classes", [2, 10])
def test_a_machine_comes_back(digits, tmp_path, loss, classes):
    train, test = digits
    y = train.y if classes == 10 else np.where(train.y < 5, "low", "high")
    machine = KernelMachine(NeuralKernel(NORMALIZED, "ntk"), loss=loss, C=3.0, n_reference=6)
    machine.fit(train.x, y)
    kk.save_model(machine, tmp_path / "model", {"what": "digits"})
    loaded = kk.load_model(tmp_path / "model")
    assert isinstance(loaded, KernelMachine)
    assert loaded.notes_ == {"what": "digits"}
    assert (loaded.loss, loaded.C) == (loss, 3.0)
    assert loaded.diagnostics_ == machine.diagnostics_
    values = loaded.decision_function(test.x)
    np.testing.assert_array_equal(values, machine.decision_function(test.x))
    np.testing.assert_array_equal(loaded.predict(test.x), machine.predict(test.x))
    np.testing.assert_array_equal(loaded.coefficients_, machine.coefficients_)


def test_a_damaged_machine_is_refused(pair, tmp_path):
    x, y, _ = pair
    folder = kk.save_model(KernelMachine().fit(x, y), tmp_path / "model")
    record = json.loads((folder / "model.json").read_text())
    record["parameters"]["loss"] = "squared"
    (folder / "model.json").write_text(json.dumps(sealed(record)))
    with pytest.raises(ModelFolderError, match='loss is "squared": expected one of'):
        kk.load_model(folder)
    machine = KernelMachine().fit(x, y)
    machine.classes_ = np.array([1, 2, 3])
    kk.save_model(machine, tmp_path / "other")
    with pytest.raises(ModelFolderError, match="has 1 machines for 3 classes"):
        kk.load_model(tmp_path / "other")


def test_options_out_of_range_are_refused(pair):
    x, y, _ = pair
    for C in (0, -1.0, float("inf"), float("nan"), True, "1"):
        with pytest.raises(ConfigurationError, match=r"C=.*: expected a finite number > 0"):
            KernelMachine(C=C).fit(x, y)  # pyright: ignore[reportArgumentType]
    wrong: Any = "squared"
    with pytest.raises(ConfigurationError, match="loss='squared': expected 'hinge' or 'logistic'"):
        KernelMachine(loss=wrong).fit(x, y)
    with pytest.raises(DataError, match="one class: expected at least two"):
        KernelMachine().fit(x, np.ones(len(x)))
    with pytest.raises(ConfigurationError, match="say which of them"):
        KernelMachine(NeuralKernel(NETWORK, ("nngp", "ntk"))).fit(x, y)


def test_a_machine_that_was_not_trained_to_its_optimum_says_so(pair, monkeypatch):
    from kernas.kernels.estimators import machine

    x, y, _ = pair
    monkeypatch.setattr(machine, "STEPS", 1)
    with pytest.raises(NotConvergedError, match=r"the logistic machine is not trained.*smaller C"):
        KernelMachine(loss="logistic").fit(x, y)
