"""Ridge regression from one eigendecomposition against explicit solves, refits and integrals."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import integrate, stats

from kernas.errors import ConfigurationError, DataError
from kernas.kernels.regression import (
    DegenerateKernelError,
    NotPositiveDefiniteError,
    centred_alignment,
    centred_one_hot,
    condition_number,
    decompose,
    log_evidence,
    loo_predictions,
    loo_residuals,
    predict,
    solve,
)

RIDGES = [1e-4, 1e-2, 1.0]


def problem(n: int = 30, m: int = 7, n_classes: int = 4, seed: int = 0):
    """A positive definite Gram matrix, a cross block and centred targets."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n + m, 3))
    squared = ((x[:, None] - x[None, :]) ** 2).sum(axis=-1)
    kernel = 2.5 * np.exp(-squared / 2) + 0.3
    labels = rng.permutation(np.arange(n) % n_classes)
    return kernel[:n, :n], kernel[n:, :n], centred_one_hot(labels, n_classes)


def system(K: np.ndarray, ridge: float) -> np.ndarray:
    return K + ridge * np.diag(K).mean() * np.eye(len(K))


@pytest.mark.parametrize("ridge", RIDGES)
def test_solve_and_predict_against_an_explicit_solve(ridge):
    K, K_cross, Y = problem()
    spectrum = decompose(K)
    expected = np.linalg.solve(system(K, ridge), Y)
    np.testing.assert_allclose(solve(spectrum, Y, ridge), expected, rtol=0, atol=1e-9)
    np.testing.assert_allclose(
        predict(spectrum, K_cross, Y, ridge), K_cross @ expected, rtol=0, atol=1e-10
    )


@pytest.mark.parametrize("ridge", RIDGES)
def test_leave_one_out_against_refits_at_the_same_absolute_ridge(ridge):
    K, _, Y = problem()
    rho = ridge * np.diag(K).mean()
    refits = np.empty_like(Y)
    for i in range(len(K)):
        rest = np.delete(np.arange(len(K)), i)
        A = K[np.ix_(rest, rest)] + rho * np.eye(len(rest))
        refits[i] = K[i, rest] @ np.linalg.solve(A, Y[rest])
    spectrum = decompose(K)
    np.testing.assert_allclose(loo_predictions(spectrum, Y, ridge), refits, rtol=0, atol=1e-10)
    np.testing.assert_allclose(loo_residuals(spectrum, Y, ridge), Y - refits, rtol=0, atol=1e-10)


def test_leave_one_out_of_a_float32_gram_is_that_of_its_values():
    K, _, Y = problem()
    K32 = K.astype(np.float32)
    spectrum = decompose(K32)
    A = np.linalg.inv(system(K32.astype(np.float64), 1e-2))
    expected = (A @ Y) / np.diag(A)[:, None]
    np.testing.assert_allclose(loo_residuals(spectrum, Y, 1e-2), expected, rtol=0, atol=1e-10)


@pytest.mark.parametrize(("n", "n_classes"), [(4, 2), (5, 3), (4, 5)])
def test_evidence_against_integration_over_the_scale(n, n_classes):
    K, _, Y = problem(n=n, n_classes=n_classes, seed=3)
    ridge = 0.1
    A = system(K, ridge)
    # Y = Z Qᵀ with Q orthonormal: the columns of Z are draws of N(0, sA).
    U, singular, Qt = np.linalg.svd(Y, full_matrices=False)
    rank = int((singular > 1e-10).sum())
    assert rank == min(n, n_classes - 1)
    Z = (U * singular)[:, :rank]
    np.testing.assert_allclose(Z @ Qt[:rank], Y, atol=1e-12)

    def log_density(log_scale: float) -> float:
        normal = stats.multivariate_normal(cov=np.exp(log_scale) * A)
        return float(np.sum(normal.logpdf(Z.T)))

    value = log_evidence(decompose(K), Y, ridge)
    integral, _ = integrate.quad(
        lambda log_scale: np.exp(log_density(log_scale) - value), -25, 25, limit=400, points=[0]
    )
    assert integral == pytest.approx(1.0, abs=1e-7)


def test_evidence_ranks_as_the_design_formula_does():
    _, _, Y = problem()
    differences = []
    for seed in (1, 2):
        K, _, _ = problem(seed=seed)
        A = system(K, 1e-2)
        n, rank = len(K), 3
        quadratic = np.trace(Y.T @ np.linalg.solve(A, Y))
        direct = -0.5 * rank * (n * np.log(quadratic) + np.linalg.slogdet(A)[1])
        differences.append(log_evidence(decompose(K), Y, 1e-2) - direct)
    assert differences[0] == pytest.approx(differences[1], abs=1e-9)


@settings(max_examples=25, deadline=None)
@given(st.floats(1e-6, 1e6), st.sampled_from(RIDGES), st.integers(0, 100))
def test_everything_is_invariant_to_the_scale_of_the_kernel_and_the_order_of_images(
    factor, ridge, seed
):
    K, K_cross, Y = problem(n=12, m=3, seed=seed)
    order = np.random.default_rng(seed).permutation(12)
    moved = factor * K[np.ix_(order, order)]
    before, after = decompose(K), decompose(moved)
    np.testing.assert_allclose(
        predict(after, factor * K_cross[:, order], Y[order], ridge),
        predict(before, K_cross, Y, ridge),
        atol=1e-8,
    )
    np.testing.assert_allclose(
        loo_residuals(after, Y[order], ridge), loo_residuals(before, Y, ridge)[order], atol=1e-8
    )
    for statistic in (log_evidence, lambda s, _, r: condition_number(s, r)):
        assert statistic(after, Y[order], ridge) == pytest.approx(
            statistic(before, Y, ridge), rel=1e-8
        )
    assert centred_alignment(moved, Y[order]) == pytest.approx(centred_alignment(K, Y), abs=1e-12)


def test_one_spectrum_serves_the_whole_ridge_path():
    K, K_cross, Y = problem()
    spectrum = decompose(K)
    for ridge in np.logspace(-5, 2, 8):
        expected = K_cross @ np.linalg.solve(system(K, ridge), Y)
        np.testing.assert_allclose(predict(spectrum, K_cross, Y, ridge), expected, atol=1e-9)
    assert spectrum.rho(0.5) == pytest.approx(0.5 * np.diag(K).mean())


@pytest.mark.parametrize("ridge", [0.0, *RIDGES])
def test_condition_number(ridge):
    K, _, _ = problem(n=8)
    expected = np.linalg.cond(system(K, ridge))
    assert condition_number(decompose(K), ridge) == pytest.approx(expected, rel=1e-9)


def test_alignment_against_its_definition():
    K, _, Y = problem()
    H = np.eye(len(K)) - 1 / len(K)
    centred, target = H @ K @ H, H @ Y @ Y.T @ H
    expected = np.sum(centred * target) / np.linalg.norm(centred) / np.linalg.norm(target)
    assert centred_alignment(K, Y) == pytest.approx(expected, abs=1e-13)
    assert 0 < expected < 1
    assert centred_alignment(Y @ Y.T + 3.0, Y) == pytest.approx(1.0, abs=1e-12)


def test_negative_eigenvalues_of_rounding_are_kept_and_refused_only_without_ridge():
    rng = np.random.default_rng(0)
    features = rng.normal(size=(20, 3))
    K = (features @ features.T).astype(np.float32)
    spectrum = decompose(K)
    assert spectrum.values[0] < 0
    Y = centred_one_hot(np.arange(20) % 2, 2)
    expected = np.linalg.solve(system(K.astype(np.float64), 1e-3), Y)
    np.testing.assert_allclose(solve(spectrum, Y, 1e-3), expected, rtol=0, atol=1e-8)
    with pytest.raises(NotPositiveDefiniteError) as caught:
        solve(spectrum, Y, 0.0)
    message = str(caught.value)
    assert f"{spectrum.values[0]:.3g}" in message
    # The ridge that the message proposes does.
    proposed = float(message.split("use a ridge of ")[1].split(" ")[0])
    assert np.isfinite(solve(spectrum, Y, proposed)).all()


def test_singular_systems_are_refused_even_if_rounding_leaves_them_positive():
    spectrum = decompose(np.diag([1.0, 1.0, 1e-17]))
    assert spectrum.values[0] > 0
    with pytest.raises(NotPositiveDefiniteError):
        condition_number(spectrum, 0.0)


@pytest.mark.parametrize(
    ("K", "message"),
    [
        (np.zeros((5, 5)), "zero"),
        (np.full((5, 5), 0.7), "constant: all entries are 0.7"),
        (np.full((5, 5), -2.0), "constant"),
        (np.full((5, 5), 0.7, np.float32) * (1 + 3e-7 * np.eye(5, dtype=np.float32)), "constant"),
        (np.where(np.eye(5) == 1, np.nan, 1.0), r"not finite: .* 5 such entries.* nan at \(0, 0\)"),
        (np.diag([1, 1, np.inf]), "not finite"),
        (-np.eye(3), "mean diagonal is -1"),
    ],
)
def test_degenerate_kernels(K, message):
    with pytest.raises(DegenerateKernelError, match=message):
        decompose(K)


def test_a_kernel_that_varies_by_more_than_rounding_is_not_constant():
    decompose(np.ones((5, 5), np.float32) + np.eye(5, dtype=np.float32) * 1e-5)


@pytest.mark.parametrize(
    ("K", "message"),
    [
        (np.eye(3)[:2], r"shape \(2, 3\): expected \(n, n\)"),
        (np.ones((1, 1)), "n >= 2"),
        (np.ones(3), "expected a matrix"),
        (np.eye(3) * 1j, "matrix of real numbers"),
        (np.eye(3) + np.diag([0.1, 0.1], k=1), "not symmetric: entries differ by 0.1"),
    ],
)
def test_arrays_that_are_no_gram_matrix(K, message):
    with pytest.raises(DataError, match=message):
        decompose(K)


def test_rounding_asymmetry_is_averaged_away():
    K, _, Y = problem()
    noise = np.random.default_rng(0).normal(size=K.shape) * 1e-7
    expected = solve(decompose(K + (noise + noise.T) / 2), Y, 0.1)
    np.testing.assert_allclose(solve(decompose(K + noise), Y, 0.1), expected, atol=1e-12)


@pytest.mark.parametrize("ridge", [-1e-6, float("nan"), float("inf"), "small", None])
def test_ridges_out_of_range(ridge):
    K, _, Y = problem()
    with pytest.raises(ConfigurationError, match=r"ridge=.*expected a finite number >= 0"):
        solve(decompose(K), Y, ridge)


def test_shapes_that_do_not_fit():
    K, K_cross, Y = problem()
    spectrum = decompose(K)
    with pytest.raises(DataError, match=r"targets of shape \(29, 4\) .* 30 images"):
        solve(spectrum, Y[:-1], 0.1)
    with pytest.raises(DataError, match=r"cross block has shape \(30, 7\): expected \(m, 30\)"):
        predict(spectrum, K_cross.T, Y, 0.1)
    with pytest.raises(DataError, match="targets are zero"):
        log_evidence(spectrum, np.zeros_like(Y), 0.1)
    with pytest.raises(DataError, match="all targets are equal"):
        centred_alignment(K, np.ones_like(Y))


def test_centred_one_hot_and_its_rank():
    Y = centred_one_hot(np.array([0, 2, 1, 2], np.uint8), 3)
    np.testing.assert_allclose(Y[1], [-1 / 3, -1 / 3, 2 / 3])
    np.testing.assert_allclose(Y.sum(axis=1), 0, atol=1e-15)
    assert np.linalg.matrix_rank(Y) == 2
    # With a class that does not occur, the rank is the number of those that do.
    assert np.linalg.matrix_rank(centred_one_hot(np.array([0, 2, 2]), 3)) == 2


@pytest.mark.parametrize(
    ("labels", "n_classes", "error"),
    [
        ([0, 3], 3, DataError),
        ([-1, 0], 3, DataError),
        ([0.0, 1.0], 2, DataError),
        ([[0, 1]], 2, DataError),
        ([0, 0], 1, ConfigurationError),
        ([0, 1], 2.0, ConfigurationError),
    ],
)
def test_labels_that_are_no_class_indices(labels, n_classes, error):
    with pytest.raises(error, match="expected"):
        centred_one_hot(np.array(labels), n_classes)
