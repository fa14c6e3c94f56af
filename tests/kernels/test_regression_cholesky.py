"""Cholesky factors: what they solve, the jitter that rounding asks for, and what is refused."""

import numpy as np
import pytest

from kernas.kernels.regression import (
    JitterWarning,
    NotPositiveDefiniteError,
    condition_number,
    decompose,
    factorise,
    loo_residuals,
    solve,
)


def gram(n=40, seed=0):
    x = np.random.default_rng(seed).standard_normal((n, 3))
    return 2 * np.exp(-((x[:, None] - x) ** 2).sum(-1) / 2) + 0.1


def nearly_singular():
    """A matrix of rank 5 whose rounding to float32 has negative eigenvalues."""
    x = np.random.default_rng(1).standard_normal((60, 5))
    return (x @ x.T).astype(np.float32)


def test_it_solves_what_the_eigendecomposition_solves():
    K = gram()
    Y = np.random.default_rng(2).standard_normal((40, 3))
    factor, spectrum = factorise(K, 1e-3), decompose(K)
    np.testing.assert_allclose(factor.solve(Y), solve(spectrum, Y, 1e-3), rtol=1e-8)
    np.testing.assert_allclose(factor.loo_residuals(Y), loo_residuals(spectrum, Y, 1e-3), rtol=1e-8)
    expected = np.sum(np.log(spectrum.shifted(1e-3)))
    assert factor.log_determinant() == pytest.approx(expected, rel=1e-10)
    assert factor.jitter == 0


def test_the_condition_is_within_the_factor_that_norms_differ_by():
    K = gram()
    exact = condition_number(decompose(K), 1e-3)
    assert exact / 3 <= factorise(K, 1e-3).condition <= 40 * exact


def test_rounding_is_mended_by_a_jitter_that_is_said():
    K = nearly_singular()
    assert np.linalg.eigvalsh(K.astype(float))[0] < 0
    with pytest.warns(JitterWarning, match="rounding in float32"):
        factor = factorise(K, 0.0)
    assert 0 < factor.jitter < 1e-4 * np.diag(K).mean()
    A = K.astype(float) + factor.jitter * np.eye(60)
    np.testing.assert_allclose(factor.lower @ factor.lower.T, A, atol=1e-10)


def test_a_ridge_above_rounding_needs_no_jitter():
    assert factorise(nearly_singular(), 1e-4).jitter == 0


def test_what_rounding_does_not_explain_is_refused_with_its_eigenvalue():
    K = gram()
    values, vectors = np.linalg.eigh(K)
    values[0] = -0.25
    wrong = (vectors * values) @ vectors.T
    with pytest.raises(NotPositiveDefiniteError, match=r"eigenvalue is -0.25, .* ridge of"):
        factorise(wrong, 1e-3)
    need = 2 * 0.25 / np.diag(wrong).mean()
    assert factorise(wrong, need).jitter == 0


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_advice_is_of_what_is_not_done_already(dtype):
    """float64 to those who are not in it, and a ridge above the one in use."""
    x = np.random.default_rng(0).standard_normal((30, 3))
    x = np.concatenate([x, x, x])
    K = 2 * np.exp(-((x[:, None] - x) ** 2).sum(-1) / 2).astype(dtype)
    with pytest.warns(JitterWarning) as said:
        factor = factorise(K, 0.0)
    (advice,) = [str(warning.message) for warning in said]
    assert ("compute the kernel in float64" in advice) == (dtype == np.float32)
    need = float(advice.split("a ridge of ")[1].split()[0])
    assert need * np.diag(K).mean() > factor.jitter
    assert factorise(K, need).jitter == 0
    values, vectors = np.linalg.eigh(K.astype(float))
    values[0] = -0.5
    with pytest.raises(NotPositiveDefiniteError) as refused:
        factorise(((vectors * values) @ vectors.T).astype(dtype), 1e-3)
    assert ("ompute the kernel in float64" in str(refused.value)) == (dtype == np.float32)
    assert "for wrong entries" in str(refused.value)
