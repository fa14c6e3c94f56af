"""Weights of training images: repeated images, plain solutions, and what is refused."""

import numpy as np
import pytest
from scipy.integrate import solve_ivp
from scipy.linalg import expm

from kernas.errors import DataError
from kernas.kernels.regression import (
    JitterWarning,
    NotPositiveDefiniteError,
    Weights,
    WholeGram,
    choose_ridge,
    conjugate_gradients,
    converged_posterior,
    decompose,
    ensemble_posterior,
    factorise,
    gp_posterior,
    log_evidence,
    loo_residuals,
    solve,
)

RIDGE = 1e-2
REPEATS = np.array([1, 3, 2, 1, 4, 1, 2, 1])
X = np.random.default_rng(0).standard_normal((8, 3))
Y = np.stack([np.sin(X[:, 0]), X[:, 1] ** 2], axis=1)
OTHERS = np.random.default_rng(1).standard_normal((5, 3))


def kernel(a, b):
    return 2 * np.exp(-((a[:, None] - b) ** 2).sum(-1) / 2) + 0.1


def tangent(a, b):
    return kernel(a, b) * (1 + a @ b.T / 5)


def repeated(rows):
    return np.repeat(rows, REPEATS, axis=0)


K, CROSS = kernel(X, X), kernel(OTHERS, X)
K_REPEATED = kernel(repeated(X), repeated(X))
COUNTED = Weights(REPEATS, np.ones(8))
COSTED = Weights(np.array([0.3, 1.0, 2.5, 1.0, 1.0, 3.0, 1.0, 0.7]), np.linspace(0.2, 3, 8))


def least_squares(K, Y, weights, rho):
    """α of ``Σ w |Kα − Y|² + ρ αᵀKα``, from the zero of its gradient over K."""
    return np.linalg.solve(np.diag(weights) @ K + rho * np.eye(len(K)), weights[:, None] * Y)


def rho_of(weights):
    return RIDGE * np.sum(weights * np.diag(K)) / np.sum(weights)


@pytest.mark.parametrize("weights", [COUNTED, COSTED])
def test_every_solver_has_the_least_weighted_error(weights):
    expected = least_squares(K, Y, weights.values, rho_of(weights.values))
    for found in (
        factorise(K, RIDGE, weights).solve(Y),
        solve(decompose(K, weights), Y, RIDGE),
        conjugate_gradients(K, Y, RIDGE, weights=weights, tolerance=1e-12).value,
        conjugate_gradients(WholeGram(K), Y, RIDGE, weights=weights, tolerance=1e-12).value,
    ):
        np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-10)


def test_a_weight_is_a_number_of_repeats():
    apart = factorise(K_REPEATED, RIDGE)
    factor, spectrum = factorise(K, RIDGE, COUNTED), decompose(K, COUNTED)
    assert factor.rho == pytest.approx(apart.rho, rel=1e-12)
    np.testing.assert_allclose(
        CROSS @ factor.solve(Y),
        kernel(OTHERS, repeated(X)) @ apart.solve(repeated(Y)),
        rtol=1e-9,
    )
    expected = apart.loo_residuals(repeated(Y))
    for found in (factor.loo_residuals(Y), loo_residuals(spectrum, Y, RIDGE)):
        np.testing.assert_allclose(repeated(found), expected, rtol=1e-8, atol=1e-12)
    all_of_them = decompose(K_REPEATED)
    assert log_evidence(spectrum, Y, RIDGE) == pytest.approx(
        log_evidence(all_of_them, repeated(Y), RIDGE), rel=1e-10
    )
    for criterion in ("loo", "evidence"):
        one = choose_ridge(spectrum, Y, [1e-3, 1e-1, 1], criterion)
        other = choose_ridge(all_of_them, repeated(Y), [1e-3, 1e-1, 1], criterion)
        assert one[0] == other[0]
        assert one[1] == pytest.approx(other[1], rel=1e-8)


@pytest.mark.parametrize("time", [None, 0.0, 3.0, 200.0])
def test_posteriors_of_weights_are_those_of_repeats(time):
    T, T_apart = tangent(X, X), tangent(repeated(X), repeated(X))
    diagonal = np.diag(kernel(OTHERS, OTHERS))
    parts = {"T_cross": tangent(OTHERS, X), "K": K, "K_cross": CROSS, "K_diagonal": diagonal}
    apart = {
        "T_cross": tangent(OTHERS, repeated(X)),
        "K": K_REPEATED,
        "K_cross": kernel(OTHERS, repeated(X)),
        "K_diagonal": diagonal,
    }
    pairs = [
        (
            ensemble_posterior(decompose(T, COUNTED), Y, RIDGE, time=time, **parts),
            ensemble_posterior(decompose(T_apart), repeated(Y), RIDGE, time=time, **apart),
        )
    ]
    if time is None:
        pairs += [
            (converged_posterior(factorise(T, RIDGE, COUNTED), Y, **parts), pairs[0][1]),
            (
                gp_posterior(factorise(K, RIDGE, COUNTED), Y, CROSS, diagonal),
                gp_posterior(factorise(K_REPEATED, RIDGE), repeated(Y), apart["K_cross"], diagonal),
            ),
        ]
    for one, other in pairs:
        np.testing.assert_allclose(one.mean, other.mean, rtol=1e-8, atol=1e-9)
        np.testing.assert_allclose(one.variance, other.variance, rtol=1e-8, atol=1e-9)


def test_leaving_out_takes_one_repeat_and_all_that_it_costs():
    """Refits with the weight that is left, at the same ρ."""
    weights, rho = COSTED.values, rho_of(COSTED.values)
    found = factorise(K, RIDGE, COSTED).loo_residuals(Y)
    for i in range(8):
        left = weights.copy()
        left[i] -= min(COSTED.repeats[i], 1) * COSTED.costs[i]
        kept = left > 0
        alpha = least_squares(K[kept][:, kept], Y[kept], left[kept], rho)
        np.testing.assert_allclose(found[i], Y[i] - K[i, kept] @ alpha, rtol=1e-8)
    np.testing.assert_allclose(found, loo_residuals(decompose(K, COSTED), Y, RIDGE), rtol=1e-8)


def test_without_a_ridge_repeats_predict_each_other():
    found = factorise(K, 0.0, COUNTED).loo_residuals(Y)
    np.testing.assert_array_equal(found[REPEATS > 1], 0)
    alone = factorise(K, 0.0).loo_residuals(Y)
    np.testing.assert_allclose(found[REPEATS == 1], alone[REPEATS == 1], rtol=1e-6)
    with pytest.raises(NotPositiveDefiniteError, match="use a ridge > 0"):
        log_evidence(decompose(K, COUNTED), Y, 0.0)


@pytest.mark.parametrize(
    ("repeats", "costs", "message"),
    [
        ([1.0, 0.0], [1.0, 1.0], "repeats of shape"),
        ([1.0, 1.0], [1.0, np.nan], "costs of shape"),
        ([[1.0]], [1.0], "repeats of shape"),
        ([1.0, 1.0], [1.0], "2 repeats and 1 costs"),
    ],
)
def test_weights_out_of_range_are_refused(repeats, costs, message):
    with pytest.raises(DataError, match=message):
        Weights(np.array(repeats), np.array(costs))


def test_weights_of_other_images_are_refused():
    few = Weights(np.ones(3), np.ones(3))
    for call in (
        lambda: factorise(K, RIDGE, few),
        lambda: decompose(K, few),
        lambda: conjugate_gradients(K, Y, RIDGE, weights=few),
    ):
        with pytest.raises(DataError, match="3 weights for a Gram matrix of 8"):
            call()


# --- training for a finite time ------------------------------------------------------------------


def trained(T, cross, Y, time, weights, rho):
    """The mean of gradient flow, integrated: ``u' = (W(Y − Tu) − ρu) / NC``, ``f = T_x u``."""

    def slope(_, u):
        u = u.reshape(Y.shape)
        step = weights[:, None] * (Y - T @ u) - rho * u
        return (step / (weights.sum() * Y.shape[1])).ravel()

    found = solve_ivp(slope, (0, time), np.zeros(Y.size), rtol=1e-10, atol=1e-12, method="DOP853")
    return cross @ found.y[:, -1].reshape(Y.shape)


def filter_of(T, time, n):
    """``∫_0^t exp(−s T / n) ds / n``, from the exponential of one larger matrix."""
    size = len(T)
    both = np.block([[-T / n, np.eye(size) / n], [np.zeros((size, 2 * size))]])
    return expm(both * time)[:size, size:]


@pytest.mark.parametrize("time", [0.0, 0.5, 40.0])
@pytest.mark.parametrize("ridge", [0.0, 1e-2])
def test_a_singular_kernel_is_trained_for_a_finite_time(time, ridge):
    """Equal images, without a jitter."""
    x, targets = X[[0, 1, 2, 3, 0, 1]], Y[[0, 1, 2, 3, 4, 1]]
    T, cross, K = tangent(x, x), tangent(OTHERS, x), kernel(x, x)
    rho = ridge * np.trace(T) / 6
    posterior = ensemble_posterior(
        decompose(T),
        targets,
        ridge,
        T_cross=cross,
        K=K,
        K_cross=kernel(OTHERS, x),
        K_diagonal=np.diag(kernel(OTHERS, OTHERS)),
        time=time,
    )
    B = cross @ filter_of(T + rho * np.eye(6), time, targets.size)
    np.testing.assert_allclose(posterior.mean, B @ targets, rtol=1e-9, atol=1e-12)
    difference = kernel(OTHERS, OTHERS) + B @ K @ B.T - 2 * B @ kernel(x, OTHERS)
    np.testing.assert_allclose(posterior.variance, np.diag(difference), rtol=1e-9)
    integrated = trained(T, cross, targets, time, np.ones(6), rho) if time else 0 * B @ targets
    np.testing.assert_allclose(posterior.mean, integrated, rtol=1e-7, atol=1e-9)


def test_training_with_weights_is_the_flow_of_the_weighted_loss():
    T, weights = tangent(X, X), COSTED
    posterior = ensemble_posterior(
        decompose(T, weights),
        Y,
        RIDGE,
        T_cross=tangent(OTHERS, X),
        K=K,
        K_cross=CROSS,
        K_diagonal=np.diag(kernel(OTHERS, OTHERS)),
        time=7.0,
    )
    rho = RIDGE * np.sum(weights.values * np.diag(T)) / weights.total
    expected = trained(T, tangent(OTHERS, X), Y, 7.0, weights.values, rho)
    np.testing.assert_allclose(posterior.mean, expected, rtol=1e-7)


def test_the_filter_tends_to_the_time():
    """For eigenvalues from zero to where the product with the time overflows."""
    values = np.array([-1e-17, 0.0, 5e-324, 1e-300, 1e-20, 1e-8, 1.0, 1e300])
    spectrum = decompose(np.diag(np.arange(1.0, 9)))
    spectrum = type(spectrum)(values, spectrum.vectors, 1.0, None, 1e-15)
    for time in (0.0, 1e-30, 1.0, 1e10):
        found = spectrum.trained(0.0, time)
        assert np.all(np.diff(found) <= 0)
        np.testing.assert_array_equal(found[:4], time)
        np.testing.assert_allclose(found[5], -np.expm1(-1e-8 * time) / 1e-8, rtol=1e-12)
    assert spectrum.trained(0.0, 1e10)[-1] == 1e-300
    wrong = type(spectrum)(values - 1e-3, spectrum.vectors, 1.0, None, 1e-15)
    with pytest.raises(NotPositiveDefiniteError, match="explains -1e-15"):
        wrong.trained(0.0, 1.0)


def test_the_converged_posterior_has_the_jitter_of_its_factor():
    """The limit of ridges above rounding; the decomposition alone has no inverse."""
    x, targets = X[[0, 1, 2, 3, 0]], Y[[0, 1, 2, 3, 0]]
    T = tangent(x, x)
    parts = {
        "T_cross": tangent(OTHERS, x),
        "K": kernel(x, x),
        "K_cross": kernel(OTHERS, x),
        "K_diagonal": np.diag(kernel(OTHERS, OTHERS)),
    }
    with pytest.warns(JitterWarning):
        factor = factorise(T.astype(np.float32), 0.0)
    assert factor.jitter > 0
    again = factorise(T.astype(np.float32), 0.0, jitter=factor.jitter)
    np.testing.assert_array_equal(again.lower, factor.lower)
    posterior = converged_posterior(factor, targets, **parts)
    expected = parts["T_cross"] @ factor.solve(targets)
    np.testing.assert_allclose(posterior.mean, expected, rtol=1e-12)
    limit = ensemble_posterior(decompose(T[:4, :4]), targets[:4], 0.0, **{
        name: part[:, :4] if name != "K_diagonal" else part for name, part in parts.items()
    } | {"K": kernel(x[:4], x[:4])})  # fmt: skip
    np.testing.assert_allclose(posterior.mean, limit.mean, rtol=1e-3)
    np.testing.assert_allclose(posterior.variance, limit.variance, rtol=1e-2)
    with pytest.raises(NotPositiveDefiniteError):
        ensemble_posterior(decompose(T), targets, 0.0, **parts)
