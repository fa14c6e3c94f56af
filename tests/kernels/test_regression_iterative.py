"""Conjugate gradients and landmarks against the exact solution."""

import numpy as np
import pytest

from kernas.errors import ConfigurationError
from kernas.kernels.regression import (
    DegenerateKernelError,
    NotConvergedError,
    NotPositiveDefiniteError,
    Weights,
    WholeGram,
    conjugate_gradients,
    decompose,
    factorise,
    gp_posterior,
    iterative_loo,
    iterative_posterior,
    nystrom,
    solve,
)

N = 90
SIDE = 40


class Tiles(WholeGram):
    """Block rows that do not divide the matrix evenly; counts its readings."""

    readings = 0

    def times(self, V):
        Tiles.readings += 1
        starts = range(0, len(self.K), SIDE)
        return np.concatenate([self.K[i : i + SIDE] @ V for i in starts])

    def column(self, index):
        return self.K[:, index].astype(np.float32)


@pytest.fixture
def problem():
    rng = np.random.default_rng(0)
    x = rng.standard_normal((N + 10, 4))
    K = 3 * np.exp(-((x[:, None] - x) ** 2).sum(-1) / 4)
    return K[:N, :N], K[N:, :N], rng.standard_normal((N, 3))


@pytest.mark.parametrize("rank", [0, 20, 500])
@pytest.mark.parametrize("kind", [Tiles, WholeGram, np.asarray])
def test_it_finds_the_exact_solution(problem, kind, rank):
    K, _, Y = problem
    found = conjugate_gradients(kind(K), Y, 1e-2, tolerance=1e-10, rank=rank)
    np.testing.assert_allclose(found.value, solve(decompose(K), Y, 1e-2), atol=1e-7)
    A = K + found.rho * np.eye(N)
    residual = np.linalg.norm(A @ found.value - Y) / np.linalg.norm(Y)
    assert found.residual == pytest.approx(residual, rel=0.1, abs=1e-15)
    assert found.residual <= 1e-10
    assert found.rank == min(rank, N)


def test_more_columns_in_the_preconditioner_take_fewer_steps(problem):
    K, _, Y = problem
    steps = [conjugate_gradients(K, Y, 1e-3, rank=rank).steps for rank in (0, 30, 80)]
    assert steps[0] > steps[1] > steps[2]


def test_all_targets_share_each_reading_of_the_matrix(problem):
    K, _, Y = problem
    Tiles.readings = 0
    found = conjugate_gradients(Tiles(K), Y, 1e-2, rank=20)
    # One to look at it, one a step and every ten steps, the first residual and the last one.
    assert Tiles.readings <= found.steps + 4 + found.steps // 10


def test_a_matrix_of_low_rank_has_a_preconditioner_of_that_rank():
    rng = np.random.default_rng(1)
    x = rng.standard_normal((50, 4))
    Y = rng.standard_normal((50, 2))
    found = conjugate_gradients(x @ x.T, Y, 1e-3, rank=30)
    np.testing.assert_allclose(found.value, solve(decompose(x @ x.T), Y, 1e-3), rtol=1e-5)
    assert found.steps <= 5
    assert found.rank == 4


def test_a_tolerance_that_is_not_reached_is_said(problem):
    K, _, Y = problem
    with pytest.raises(NotConvergedError, match=r"residual of .* in 3 steps, not 1.0e-06"):
        conjugate_gradients(K, Y, 1e-4, rank=0, max_steps=3)


def test_targets_of_zero_need_no_step(problem):
    K, _, Y = problem
    found = conjugate_gradients(K, np.zeros_like(Y), 1e-2)
    assert found.steps == 0
    assert not found.value.any()


@pytest.mark.parametrize(
    "options", [{"ridge": 0.0}, {"ridge": -1.0}, {"tolerance": 0.0}, {"rank": -1}, {"max_steps": 0}]
)
def test_options_out_of_range_are_refused(problem, options):
    K, _, Y = problem
    with pytest.raises(ConfigurationError):
        conjugate_gradients(K, Y, **{"ridge": 1e-2, **options})


def test_a_row_that_is_not_finite_is_named(problem):
    K, _, Y = problem
    K = K.copy()
    K[50, 3] = np.nan
    with pytest.raises(DegenerateKernelError, match="not finite in row 50"):
        conjugate_gradients(Tiles(K), Y, 1e-2, rank=0)


def test_all_images_as_landmarks_are_the_exact_regression(problem):
    K, cross, Y = problem
    found = nystrom(K, K, Y, 1e-2)
    expected = cross @ solve(decompose(K), Y, 1e-2)
    np.testing.assert_allclose(found.predict(cross), expected, atol=1e-6)


def test_more_landmarks_are_nearer_to_the_exact_regression(problem):
    K, cross, _ = problem
    Y = K[:, :3] - K[:, :3].mean(axis=0)  # smooth, unlike noise
    exact = cross @ solve(decompose(K), Y, 1e-2)
    errors = []
    for m in (10, 40, 80):
        found = nystrom(K[:m, :m], K[:, :m], Y, 1e-2)
        assert found.rank <= m
        errors.append(np.linalg.norm(found.predict(cross[:, :m]) - exact) / np.linalg.norm(exact))
    assert errors[0] > errors[1] > errors[2]
    assert errors[2] < 0.2


@pytest.mark.parametrize("n", [2, 20])
def test_landmarks_without_a_ridge_need_as_many_images(problem, n):
    K, _, Y = problem
    with pytest.raises(NotPositiveDefiniteError, match="use a larger ridge"):
        nystrom(K[:40, :40], K[40 : 40 + n, :40], Y[:n], 0.0)
    assert nystrom(K[:4, :4], K[:, :4], Y, 0.0).rank == 4


def test_equal_landmarks_count_once(problem):
    K, cross, Y = problem
    twice = np.r_[0:20, 0:20]
    once = nystrom(K[:20, :20], K[:, :20], Y, 1e-2)
    found = nystrom(K[np.ix_(twice, twice)], K[:, twice], Y, 1e-2)
    assert found.rank == once.rank == 20
    np.testing.assert_allclose(
        found.predict(cross[:, twice]), once.predict(cross[:, :20]), atol=1e-8
    )


@pytest.mark.parametrize(
    ("rank", "max_steps", "rank_advised", "steps_advised"),
    [(2, 1, True, True), (N, 1, False, True)],
)
def test_advice_is_of_what_can_be_had(problem, rank, max_steps, rank_advised, steps_advised):
    K, _, Y = problem
    with pytest.raises(NotConvergedError, match="a larger ridge than 1e-09") as refused:
        conjugate_gradients(K, Y, 1e-9, rank=rank, max_steps=max_steps, tolerance=1e-15)
    assert ("a larger rank than" in str(refused.value)) == rank_advised
    assert (f"more steps than {max_steps}" in str(refused.value)) == steps_advised


def test_fewer_landmarks_are_not_advised_where_there_are_fewer_than_images():
    x = np.random.default_rng(0).standard_normal((12, 3))
    K = np.exp(-((x[:, None] - x) ** 2).sum(-1) / 2)
    flat = np.repeat(K[:1], 10, axis=0)
    for landmarks, advised in ((5, False), (12, True)):
        with pytest.raises(NotPositiveDefiniteError) as refused:
            nystrom(K[:landmarks, :landmarks], flat[:, :landmarks], np.eye(10)[:, :2], 0.0)
        assert ("fewer landmarks" in str(refused.value)) == advised


def weights_of(n):
    rng = np.random.default_rng(3)
    return Weights(rng.uniform(0.5, 3, n), rng.uniform(0.5, 2, n))


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("rank", [0, 20])
def test_the_posterior_is_that_of_the_factor(problem, rank, weighted):
    K, cross, Y = problem
    weights = weights_of(N) if weighted else None
    diagonal = np.full(len(cross), 3.0)
    expected = gp_posterior(factorise(K, 1e-2, weights), Y, cross, diagonal)
    found = iterative_posterior(
        K, Y, cross, diagonal, 1e-2, weights=weights, rank=rank, tolerance=1e-7
    )
    np.testing.assert_allclose(found.mean, expected.mean, atol=1e-5)
    np.testing.assert_allclose(found.variance, expected.variance, atol=1e-9)


def test_a_rough_posterior_is_never_too_sure(problem):
    K, cross, Y = problem
    diagonal = np.full(len(cross), 3.0)
    exact = gp_posterior(factorise(K, 1e-2), Y, cross, diagonal).variance
    rough = iterative_posterior(K, Y, cross, diagonal, 1e-2, rank=0, tolerance=0.05).variance
    assert (rough >= exact - 1e-12).all()
    assert (rough > exact + 1e-5).any()


@pytest.mark.parametrize("weighted", [False, True])
def test_leave_one_out_residuals_are_those_of_the_factor_up_to_chance(problem, weighted):
    K, _, Y = problem
    weights = weights_of(N) if weighted else None
    expected = factorise(K, 1e-2, weights).loo_residuals(Y)
    found = iterative_loo(K, Y, 1e-2, weights=weights, probes=200, rank=20)
    # Each within its own error; the largest of 90 independent normal ones is below 5.
    allowed = 5 * found.deviation[:, None] * np.abs(expected) + 1e-6
    assert (np.abs(found.residuals - expected) <= allowed).all()
    assert 0 < np.median(found.deviation) < 0.2


def test_more_probes_and_a_better_preconditioner_leave_less_to_chance(problem):
    K, _, Y = problem
    few = iterative_loo(K, Y, 1e-2, probes=50, rank=20).deviation
    many = iterative_loo(K, Y, 1e-2, probes=800, rank=20).deviation
    assert np.median(few) / np.median(many) == pytest.approx(4, rel=0.3)
    exact = iterative_loo(K, Y, 1e-2, probes=2, rank=N, tolerance=1e-12)
    np.testing.assert_allclose(exact.residuals, factorise(K, 1e-2).loo_residuals(Y), rtol=1e-6)


@pytest.mark.parametrize("probes", [0, 1, 2.5, True])
def test_fewer_than_two_probes_are_refused(problem, probes):
    K, _, Y = problem
    with pytest.raises(ConfigurationError, match="expected an integer >= 2"):
        iterative_loo(K, Y, 1e-2, probes=probes)
