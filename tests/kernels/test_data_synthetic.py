"""Circle, hypercube and hypersphere: points, orthonormal targets, closed forms."""

from itertools import combinations
from math import comb

import numpy as np
import pytest
from scipy.special import eval_chebyt, eval_legendre

import kernas.kernels as kk
from kernas.errors import ConfigurationError


def moments(columns):
    values = np.stack(columns, axis=1)
    return values.T @ values / len(values)


@pytest.mark.parametrize("n", [1, 2, 3, 8, 9])
def test_targets_of_the_circle_are_orthonormal_and_complete(n):
    points = kk.circle(n)
    assert points.x.shape == (n, 2)
    assert len(points) == n
    np.testing.assert_allclose(np.linalg.norm(points.x, axis=1), 1)
    targets = [points.target(k) for k in range(-((n - 1) // 2), n // 2 + 1)]
    np.testing.assert_allclose(moments(targets), np.eye(n), atol=1e-12)


def test_targets_of_the_circle_are_waves_of_the_angle():
    points = kk.circle(100)
    angle = np.arctan2(points.x[:, 1], points.x[:, 0])
    np.testing.assert_allclose(points.target(3), np.sqrt(2) * np.cos(3 * angle), atol=1e-12)
    np.testing.assert_allclose(points.target(-3), np.sqrt(2) * np.sin(3 * angle), atol=1e-12)
    np.testing.assert_array_equal(points.target(0), np.ones(100))
    np.testing.assert_allclose(points.x[-1], [1, 0], atol=1e-12)


def test_parities_are_orthonormal_and_complete():
    corners = kk.hypercube(4)
    assert corners.x.shape == (16, 4)
    assert len(np.unique(corners.x, axis=0)) == 16
    assert set(np.unique(corners.x)) == {-1, 1}
    subsets = [subset for size in range(5) for subset in combinations(range(4), size)]
    targets = [corners.target(subset) for subset in subsets]
    np.testing.assert_array_equal(moments(targets), np.eye(16))


def test_parity_of_the_first_coordinates():
    corners = kk.hypercube(5)
    for k in range(6):
        np.testing.assert_array_equal(corners.target(k), np.prod(corners.x[:, :k], axis=1))
        np.testing.assert_array_equal(corners.target(k), corners.target(range(k)))


@pytest.mark.parametrize(
    ("d", "polynomial", "number"),
    [(1, eval_chebyt, [1, 2, 2, 2]), (2, eval_legendre, [1, 3, 5, 7])],
)
def test_harmonics_are_chebyshevs_and_legendres_polynomials(d, polynomial, number):
    points = kk.hypersphere(50, d)
    for k, count in enumerate(number):
        expected = np.sqrt(count) * polynomial(k, points.x[:, 0])
        np.testing.assert_allclose(points.target(k), expected, atol=1e-12)


@pytest.mark.parametrize("d", [1, 2, 3, 7])
def test_harmonics_are_orthonormal_over_the_sphere(d):
    # Integrated exactly: t = x_1 has density (1 − t²)^((d−2)/2), Gauss-Jacobi's weight.
    from scipy.special import roots_jacobi

    nodes, weights = roots_jacobi(12, (d - 2) / 2, (d - 2) / 2)
    sphere = kk.hypersphere(1, d)
    values = [sphere.function(nodes[:, None], k) for k in range(6)]
    gram = np.array([[np.sum(weights * a * b) for b in values] for a in values]) / weights.sum()
    np.testing.assert_allclose(gram, np.eye(6), atol=1e-10)


def test_points_of_the_sphere_are_uniform_nested_and_seeded():
    points = kk.hypersphere(20_000, 3, seed=1)
    np.testing.assert_allclose(np.linalg.norm(points.x, axis=1), 1)
    # The coordinates have covariance 1/(d+1); five deviations of the sample.
    np.testing.assert_allclose(np.cov(points.x.T), np.eye(4) / 4, atol=5 * 0.25 / 20_000**0.5)
    np.testing.assert_array_equal(kk.hypersphere(10, 3, seed=1).x, points.x[:10])
    assert not np.array_equal(kk.hypersphere(10, 3, seed=2).x, points.x[:10])


def test_the_kernel_of_a_dense_network_has_these_eigenfunctions():
    """On the circle and the cube K f = λ f, the reason for these targets."""
    network = kk.serial(kk.Dense(b_std=0.3), kk.Relu(), kk.Dense(b_std=0.3))
    for points, functions in ((kk.circle(16), (0, 1, -2, 5)), (kk.hypercube(4), (0, 1, (1, 3)))):
        gram = np.asarray(kk.NeuralKernel(network, get="ntk")(points.x), np.float64)
        for k in functions:
            target = points.target(k)
            image = gram @ target
            value = image @ target / len(points)
            np.testing.assert_allclose(image, value * target, atol=1e-4 * np.abs(gram).max())


def test_points_are_read_only():
    with pytest.raises(ValueError, match="read-only"):
        kk.circle(3).x[0] = 0


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: kk.circle(0), "n_points=0: expected an integer >= 1"),
        (lambda: kk.circle(8).target(5), "k=5 on a circle of 8 points.* use -3 … 4"),
        (lambda: kk.circle(8).target(-4), "k=-4: expected an integer >= -3"),
        (lambda: kk.circle(8).target([1]), r"k=\[1\]: expected an integer"),
        (lambda: kk.hypercube(21), r"d=21: the cube has 2\^21 corners; expected at most 20"),
        (lambda: kk.hypercube(0), "d=0: expected an integer >= 1"),
        (lambda: kk.hypercube(3).target(4), "k=4 on a hypercube of 3 dimensions"),
        (lambda: kk.hypercube(3).target(-1), "k=-1: expected an integer >= 0"),
        (lambda: kk.hypercube(3).target([0, 0]), r"k=\[0, 0\] on a hypercube of 3 dimensions"),
        (lambda: kk.hypercube(3).target([3]), r"k=\[3\] on a hypercube of 3 dimensions"),
        (lambda: kk.hypercube(3).target([0.5]), "of the parity=0.5"),  # type: ignore[arg-type]
        (lambda: kk.hypersphere(0, 2), "n_points=0"),
        (lambda: kk.hypersphere(5, 0), "d=0"),
        (lambda: kk.hypersphere(5, 2, seed=-1), "seed=-1"),
        (lambda: kk.hypersphere(5, 2).target(-1), "k=-1"),
        (lambda: kk.hypersphere(5, 2).target(1.5), "k=1.5"),  # type: ignore[arg-type]
    ],
)
def test_what_is_out_of_range(call, message):
    with pytest.raises(ConfigurationError, match=message):
        call()


def test_number_of_harmonics_adds_up_to_that_of_polynomials():
    """Σ_{j ≤ k} N(d, j) is the dimension of polynomials of degree ≤ k on the sphere."""
    for d in (1, 2, 5):
        largest = [kk.hypersphere(1, d).function(np.ones((1, 1)), k)[0] ** 2 for k in range(5)]
        for k in range(5):
            expected = comb(k + d + 1, d + 1) - (comb(k + d - 1, d + 1) if k > 1 else 0)
            assert sum(largest[: k + 1]) == pytest.approx(expected)
