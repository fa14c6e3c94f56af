"""Eigenlearning: spectra against full matrices, predictions against loops and against regressions.

Tolerances of measured means come from their own standard errors over draws.
"""

import jax
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from oracles import eigenlearning as oracle

import kernas.kernels as kk
from kernas.errors import ConfigurationError, DataError, DegenerateKernelError
from kernas.kernels.data.synthetic import n_harmonics
from kernas.kernels.regression import (
    NotPositiveDefiniteError,
    centred_one_hot,
    decompose,
    score_gram,
)
from kernas.kernels.theory import (
    KernelSpectrum,
    circle_power,
    circle_spectrum,
    eigenlearning,
    extrapolate,
    gram_spectrum,
    hypercube_power,
    hypercube_spectrum,
    hypersphere_power,
    hypersphere_spectrum,
    largest_size,
    predicted_curve,
)


def fully_connected(depth=2, b_std=0.2):
    hidden = [kk.Dense(W_std=2**0.5, b_std=b_std), kk.Relu()]
    return kk.NeuralKernel(kk.serial(*hidden * depth, kk.Dense(b_std=b_std)), "ntk")


def KERNEL(x, y):  # noqa: N802
    """The NTK of two hidden layers of ReLU and a bias that is read, in closed form."""
    lengths = np.linalg.norm(x, axis=1)[:, None] * np.linalg.norm(y, axis=1)
    nngp = ntk = (np.clip(x @ y.T / lengths, -1, 1) + 0.2) / 1.2
    for _ in range(2):
        angle = np.arccos(np.clip(nngp, -1, 1))
        back = (np.pi - angle) / np.pi
        nngp = nngp * back + np.sin(angle) / np.pi
        ntk = ntk * back + nngp
    return ntk


def matrix(kernel, x):
    with jax.enable_x64(True):
        return np.asarray(kernel(x, x))


def polynomial(x, y):
    """``(1 + x·y)³``: of the degrees 0 to 3 on a sphere."""
    return (1 + x @ y.T) ** 3


def spectrum_of(levels, values, multiplicities):
    return KernelSpectrum(np.array(levels), np.array(values), np.array(multiplicities))


def repeated(spectrum):
    return np.sort(np.repeat(spectrum.values, spectrum.multiplicities.astype(int)))


# Spectra.


@pytest.mark.parametrize(
    ("kernel", "n_points"), [(KERNEL, 2), (KERNEL, 9), (fully_connected(), 32)]
)
def test_the_circle_against_the_circulant_matrix(kernel, n_points):
    spectrum = circle_spectrum(kernel, n_points)
    K = matrix(kernel, kk.circle(n_points).x)
    np.testing.assert_allclose(repeated(spectrum), np.linalg.eigvalsh(K / n_points), atol=1e-13)
    basis, frequencies = oracle.waves(n_points)
    np.testing.assert_allclose(
        K @ basis / n_points, basis * spectrum.values[frequencies], atol=1e-7
    )
    assert spectrum.points == n_points == spectrum.multiplicities.sum()
    assert spectrum.trace == pytest.approx(K[0, 0])


@pytest.mark.parametrize(("kernel", "d"), [(KERNEL, 1), (KERNEL, 4), (fully_connected(), 7)])
def test_the_cube_against_the_matrix_of_all_corners(kernel, d):
    spectrum = hypercube_spectrum(kernel, d)
    cube = kk.hypercube(d)
    K = matrix(kernel, cube.x)
    np.testing.assert_allclose(repeated(spectrum), np.linalg.eigvalsh(K / 2**d), atol=1e-13)
    basis, degrees = oracle.parities(cube.x)
    np.testing.assert_allclose(K @ basis / 2**d, basis * spectrum.values[degrees], atol=1e-7)
    assert spectrum.trace == pytest.approx(K[0, 0])


@pytest.mark.parametrize("d", [1, 2, 5])
def test_the_sphere_against_the_matrix_of_many_points(d):
    """A polynomial of degree 3 has harmonics up to degree 3, and its matrix that rank."""
    spectrum = hypersphere_spectrum(polynomial, d, n_degrees=6)
    rank = sum(n_harmonics(d, k) for k in range(4))
    assert spectrum.rank == rank == spectrum.multiplicities[:4].sum()
    np.testing.assert_array_equal(spectrum.values[4:], 0)
    assert spectrum.tail == 0
    n = 500
    x = kk.hypersphere(n, d, seed=1).x
    found = np.linalg.eigvalsh(polynomial(x, x) / n)
    assert found[-rank - 1] < 1e-12 < found[-rank]
    expected = np.sort(np.repeat(spectrum.values[:4], spectrum.multiplicities[:4].astype(int)))
    # By Weyl, each moves by at most the largest entry of the matrix of λ^½ φφᵀ λ^½ / n − λ: the
    # norm of a mean of n matrices of norm k(x, x), whose deviation is at most that over √n.
    bound = 4 * spectrum.trace / np.sqrt(n)
    assert np.abs(found[-rank:] - expected).max() < bound
    assert found[-rank:].sum() == pytest.approx(spectrum.trace)


def test_harmonics_are_eigenfunctions_of_the_sphere():
    d, n = 3, 100_000
    spectrum = hypersphere_spectrum(fully_connected(), d, n_degrees=8)
    points = kk.hypersphere(n, d, seed=3)
    of_pole = np.asarray(fully_connected()(np.eye(1, d + 1), points.x))[0]
    for k in range(4):
        product = of_pole * points.target(k)
        at_pole = np.sqrt(n_harmonics(d, k))
        error = 4 * product.std() / np.sqrt(n)
        assert product.mean() == pytest.approx(spectrum.values[k] * at_pole, abs=error)


def test_degrees_beyond_those_listed_act_as_ridge():
    few, many = (hypersphere_spectrum(KERNEL, 3, n_degrees=K) for K in (20, 150))
    assert few.tail > many.tail > 0
    assert few.trace == pytest.approx(many.trace)
    found = [eigenlearning(spectrum, {2: 1.0}, [20, 80]).test_error for spectrum in (few, many)]
    # A tail mode has λ/κ in place of λ/(λ+κ): relative to κ it is off by λ_20/κ.
    kappa = eigenlearning(few, {2: 1.0}, [80]).effective_ridge[0]
    np.testing.assert_allclose(*found, rtol=2 * few.values[-1] / kappa)


@pytest.mark.parametrize(
    "spectrum",
    [lambda k: circle_spectrum(k, 12), lambda k: hypercube_spectrum(k, 4),
     lambda k: hypersphere_spectrum(k, 2)],
)  # fmt: skip
def test_a_kernel_without_the_symmetry_is_refused(spectrum):
    def uneven(x, y):
        weights = 1 + np.arange(x.shape[1])
        return np.exp((x * weights) @ y.T)

    with pytest.raises(ConfigurationError, match="expected one that depends on the angle"):
        spectrum(uneven)
    with pytest.raises(ConfigurationError, match="an array of shape"):
        spectrum(lambda x, y: x @ x.T @ x)
    with pytest.raises(NotPositiveDefiniteError, match="the eigenvalue of level"):
        spectrum(lambda x, y: 0.5 - x @ y.T)


def test_bad_numbers_of_points_and_degrees_are_refused():
    for call, message in [
        (lambda: circle_spectrum(KERNEL, 1), "n_points=1: expected an integer >= 2"),
        (lambda: hypercube_spectrum(KERNEL, 0), "d=0"),
        (lambda: hypercube_spectrum(KERNEL, 61), "expected at most 60"),
        (lambda: hypersphere_spectrum(KERNEL, 2, 0), "n_degrees=0"),
    ]:
        with pytest.raises(ConfigurationError, match=message):
            call()


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (([0, 1], [0.5, -0.1], [1, 1]), NotPositiveDefiniteError, "level 1 is -0.1: expected"),
        (([0, 1], [0.5], [1, 1]), DataError, "expected three vectors of one length"),
        (([0], [np.nan], [1]), DataError, "not finite"),
        (([0], [1.0], [0]), DataError, "expected at least one mode"),
        (([0, 1], [0.0, 0.0], [1, 1]), DegenerateKernelError, "learns nothing"),
        (([0, 1], [0.5, 0.1], [1, 8], 8), DataError, "9 modes of 8 points"),
        (([0], [1.0], [1], None, -1.0), ConfigurationError, "tail=-1.0"),
    ],
)
def test_a_spectrum_that_is_none(arguments, error, message):
    with pytest.raises(error, match=message):
        KernelSpectrum(*arguments)


# Powers of targets.


def test_powers_of_targets_add_up_their_coefficients():
    rng = np.random.default_rng(0)
    for points, basis_of, power_of in [
        (kk.circle(11), lambda x: oracle.waves(len(x)), circle_power),
        (kk.circle(12), lambda x: oracle.waves(len(x)), circle_power),
        (kk.hypercube(5), oracle.parities, hypercube_power),
    ]:
        basis, levels = basis_of(points.x)
        f = rng.normal(size=len(points))
        expected = np.bincount(levels, weights=(basis.T @ f / len(f)) ** 2)
        np.testing.assert_allclose(power_of(f), expected, atol=1e-14)
        assert power_of(f).sum() == pytest.approx(np.mean(f**2))


def test_a_target_of_a_set_is_one_mode():
    for k in (0, 2, 3):
        unit = np.eye(4)[k]
        np.testing.assert_allclose(circle_power(kk.circle(7).target(k)), unit, atol=1e-14)
        np.testing.assert_allclose(hypercube_power(kk.hypercube(3).target(k)), unit, atol=1e-14)

    def cubic(t):
        return 1 + 2 * t**3

    power = hypersphere_power(cubic, d=4, n_degrees=5)
    x = kk.hypersphere(400_000, 4).x[:, 0]
    squares = cubic(x) ** 2
    error = 4 * squares.std() / np.sqrt(len(x))
    assert power.sum() == pytest.approx(squares.mean(), abs=error)
    np.testing.assert_allclose(power[[2, 4]], 0, atol=1e-14)


def test_targets_that_are_none_are_refused():
    with pytest.raises(DataError, match="6 values: expected one for each corner"):
        hypercube_power(np.ones(6))
    with pytest.raises(DataError, match="expected a vector of two or more"):
        circle_power([[1.0, 2.0]])
    with pytest.raises(DataError, match="expected a target in their span"):
        hypersphere_power(np.sign, 2, n_degrees=20)


# Predictions.


@settings(max_examples=80, deadline=None)
@given(
    values=st.lists(st.floats(1e-4, 10.0), min_size=3, max_size=12),
    n=st.integers(1, 30),
    ridge=st.sampled_from([0.0, 1e-6, 1e-2, 3.0]),
    noise=st.sampled_from([0.0, 0.3]),
)
def test_predictions_against_loops(values, n, ridge, noise):
    if ridge == 0:
        n = min(n, len(values) - 1)
    coefficients = np.linspace(-1, 2, len(values))
    spectrum = spectrum_of(range(len(values)), values, np.ones(len(values)))
    found = eigenlearning(spectrum, coefficients**2, n, ridge=ridge, noise=noise)
    delta = ridge * sum(values)
    kappa = oracle.effective_ridge(values, n, delta)
    assert found.effective_ridge[0] == pytest.approx(kappa, rel=1e-9)
    expected = oracle.test_error(values, list(coefficients), n, delta, noise)
    assert found.test_error[0] == pytest.approx(expected, rel=1e-7)
    assert found.train_error[0] == pytest.approx((delta / n / kappa) ** 2 * expected, rel=1e-7)
    assert found.learned[0] == pytest.approx(n - delta / kappa, rel=1e-9)
    parts = found.bias + found.variance + noise
    np.testing.assert_allclose(parts, found.test_error)
    np.testing.assert_allclose(
        found.coefficient_variance.sum(axis=1), found.variance, rtol=1e-6, atol=1e-12
    )


def test_a_level_is_its_modes_together_and_several_n_are_each_alone():
    levels = spectrum_of([0, 1, 2], [0.9, 0.3, 0.01], [1, 2, 4])
    modes = spectrum_of(range(7), [0.9, 0.3, 0.3, *[0.01] * 4], np.ones(7))
    power = np.array([0.5, 1.0, 0.0])
    together = eigenlearning(levels, power, [2, 5], ridge=0.1, noise=0.2)
    apart = eigenlearning(modes, [0.5, 0.7, 0.3, 0, 0, 0, 0], [2, 5], ridge=0.1, noise=0.2)
    np.testing.assert_allclose(together.test_error, apart.test_error)
    np.testing.assert_allclose(together.learned, apart.learned)
    for i, n in enumerate((2, 5)):
        alone = eigenlearning(levels, {0: 0.5, 1: 1.0}, n, ridge=0.1, noise=0.2)
        assert alone.test_error[0] == together.test_error[i]


@pytest.mark.parametrize("ridge", [0.0, 0.05])
def test_what_is_learned_is_conserved_in_every_draw(ridge):
    """Without ridge the learnabilities of a complete basis add up to n, whatever the draw."""
    cube = kk.hypercube(6)
    K = matrix(KERNEL, cube.x)
    basis, _ = oracle.parities(cube.x)
    for seed, n in enumerate((1, 7, 20, 50)):
        train = np.random.default_rng(seed).choice(len(cube), n, replace=False)
        regularised = K + ridge * np.eye(len(K))
        found = oracle.learned(regularised if ridge else K, train, basis)
        if ridge == 0:
            assert found.sum() == pytest.approx(n, abs=1e-8)
            assert found.min() > -1e-8
            assert found.max() < 1 + 1e-8
        else:
            inside = K[np.ix_(train, train)]
            smoother = inside @ np.linalg.inv(inside + ridge * np.eye(n))
            alone = (K[:, train] @ np.linalg.solve(inside + ridge * np.eye(n), basis[train])).T
            learned = np.mean(alone * basis.T, axis=1).sum()
            assert learned == pytest.approx(np.trace(smoother), abs=1e-8)
            assert learned < n


@pytest.mark.parametrize(("ridge", "noise"), [(0.0, 0.0), (0.0, 0.2), (0.05, 0.2)])
def test_predicted_and_measured_on_the_cube(ridge, noise):
    d, n, draws = 11, 48, 120
    cube, spectrum = kk.hypercube(d), hypercube_spectrum(KERNEL, d)
    K = matrix(KERNEL, cube.x)
    f = cube.target(2)
    predicted = eigenlearning(spectrum, {2: 1.0}, n, ridge=ridge, noise=noise)
    delta = ridge * K[0, 0]
    rng = np.random.default_rng(5)
    test, train_error, gain, moved = [], [], [], []
    flipped = 0.1
    for _ in range(draws):
        train = rng.choice(len(cube), n, replace=False)
        y = f[train] + noise**0.5 * rng.normal(size=n)
        inside = K[np.ix_(train, train)]
        dual = np.linalg.solve(inside + delta * np.eye(n), y)
        predictions = K[:, train] @ dual
        test.append(np.mean((predictions - f) ** 2) + noise)
        train_error.append(np.mean((inside @ dual - y) ** 2))
        gain.append(np.mean(predictions * f))
        flips = rng.random(cube.x.shape) < flipped
        other = np.where(flips, -cube.x, cube.x) @ (2 ** np.arange(d)[::-1]) + 2**d - 1
        moved.append(np.mean((predictions[(other / 2).astype(int)] - f) ** 2) + noise)
    if ridge == 0:
        assert predicted.train_error[0] == 0
        assert np.max(train_error) < 1e-20
        train_error = [0.0]
    for measured, expected in [
        (test, predicted.test_error[0]),
        (train_error, predicted.train_error[0]),
        (gain, predicted.mean_gain[0, 2]),
        (moved, predicted.perturbed_error(flipped)[0]),
    ]:
        # The theory is that of large n; what it leaves out is of relative order 1/n,
        # and n/2^d of drawing without repetition.
        error = 4 * np.std(measured) / np.sqrt(draws) + expected * (3 / n + n / 2**d)
        assert np.mean(measured) == pytest.approx(expected, abs=error)


def test_interpolation_on_a_circle_is_worse_than_predicted_by_a_known_factor():
    """Of eigenvalues k⁻² it is linear, and its error 8 times the predicted one as n grows."""
    mean = 1e6  # the eigenvalue of the constant

    def kernel(turn):  # mean + 2 Σ cos(kθ) / k²
        angle = np.abs(turn) % (2 * np.pi)
        return mean + np.pi**2 / 3 - np.pi * angle + angle**2 / 2

    angles = 2 * np.pi * np.arange(4000) / 4000
    n, draws, frequencies = 24, 200, (1, 3)
    errors = np.empty((draws, len(frequencies)))
    rng = np.random.default_rng(0)
    for draw in range(draws):
        points = rng.uniform(0, 2 * np.pi, n)
        for j, k in enumerate(frequencies):
            y = 2**0.5 * np.cos(k * points)
            linear = np.interp(angles, points, y, period=2 * np.pi)
            if draw < 5:
                dual = np.linalg.solve(kernel(points[:, None] - points), y)
                found = kernel(angles[:, None] - points) @ dual
                # Between points f'' = (mean of f) / (eigenvalue of the constant), over h <= 2π.
                np.testing.assert_allclose(found, linear, atol=2**0.5 * np.pi**2 / 2 / mean)
            errors[draw, j] = np.mean((linear - 2**0.5 * np.cos(k * angles)) ** 2)
    exact = [oracle.linear_interpolation_error(k, n) for k in frequencies]
    standard_errors = errors.std(axis=0, ddof=1) / draws**0.5
    assert (np.abs(errors.mean(axis=0) - exact) < 4 * standard_errors).all()

    k = np.arange(1, 100_001)
    spectrum = KernelSpectrum(
        np.arange(len(k) + 1),
        np.array([mean, *1.0 / k**2]),
        np.array([1, *np.full(len(k), 2)]),
        tail=2 / (len(k) + 0.5),  # 2 Σ k⁻² beyond
    )
    n = 256
    predicted = eigenlearning(spectrum, {1: 1.0}, n).test_error[0]
    # κ = π²/n² and E_0 = 2, so the predicted error is 2 (1 − L)² = 2 (π/n)⁴, but for parts of order
    # (2π/n)²: of the prediction −1/2 of it, of the exact error −11/6.
    small = (2 * np.pi / n) ** 2
    assert predicted == pytest.approx(2 * (np.pi / n) ** 4, rel=small)
    falling = n**4 / ((n + 1) * (n + 2) * (n + 3) * (n + 4))
    ratio = oracle.linear_interpolation_error(1, n) / predicted
    assert ratio == pytest.approx(8 * falling, rel=2 * small)


def test_the_variance_of_a_coefficient():
    d, n, draws = 7, 32, 400
    cube, spectrum = kk.hypercube(d), hypercube_spectrum(KERNEL, d)
    K, f, other = matrix(KERNEL, cube.x), cube.target(2), cube.target([0, 3])
    expected = eigenlearning(spectrum, {2: 1.0}, n).coefficient_variance[0, 2]
    rng = np.random.default_rng(0)
    found = []
    for _ in range(draws):
        train = rng.choice(len(cube), n, replace=False)
        dual = np.linalg.solve(K[np.ix_(train, train)], f[train])
        found.append(np.mean(other * (K[:, train] @ dual)))
    squares = np.square(found)
    error = 4 * squares.std() / np.sqrt(draws) + 3 * expected / n
    assert squares.mean() == pytest.approx(expected, abs=error)


def test_high_parities_are_learned_by_no_fully_connected_kernel():
    """A degree has ``C(d, k)`` modes of equal learnability, which share n at most."""
    d, n = 12, 200
    for depth in (1, 2, 4):
        predicted = eigenlearning(hypercube_spectrum(fully_connected(depth), d), {1: 1.0}, n)
        learned = predicted.learnabilities[0]
        assert (learned * predicted.spectrum.multiplicities <= n * (1 + 1e-9)).all()
        # Yang and Salman 2019, theorem 3.2: eigenvalues fall from a degree to the next but one.
        assert (learned[2:] <= learned[:-2]).all()
        assert learned[6:].max() <= n / 792  # C(12, 5) = 792, C(12, 6) = 924


@pytest.mark.parametrize(
    ("arguments", "options", "error", "message"),
    [
        (({1: 1.0}, 0), {}, ConfigurationError, "n=0: expected the number"),
        (({1: 1.0}, 2.5), {}, ConfigurationError, "n=2.5: expected the number"),
        (({1: 1.0}, [3, 17]), {}, ConfigurationError, "n=17 of a set of 16 points"),
        (({1: 1.0}, 16), {}, ConfigurationError, "n=16 without ridge: the kernel has 16 modes"),
        (({1: 1.0}, 4), {"ridge": -1.0}, ConfigurationError, "ridge=-1.0: expected"),
        (({1: 1.0}, 4), {"noise": -1.0}, ConfigurationError, "noise=-1.0: expected"),
        (({5: 1.0}, 4), {}, DataError, "level 5, outside the span"),
        (([1.0, 0.0], 4), {}, DataError, r"a target of shape \(2,\)"),
        (([1.0, -1.0, 0, 0, 0], 4), {}, DataError, "expected finite numbers >= 0"),
    ],
)
def test_bad_input_is_refused(arguments, options, error, message):
    spectrum = hypercube_spectrum(KERNEL, 4)
    with pytest.raises(error, match=message):
        eigenlearning(spectrum, *arguments, **options)


def test_no_perturbation_of_a_plain_spectrum():
    plain = spectrum_of([0, 1], [1.0, 0.5], [1, 9])
    with pytest.raises(ConfigurationError, match="a spectrum without perturbations"):
        eigenlearning(plain, {1: 1.0}, 3).perturbed_error(0.1)


def test_correlations_are_those_of_perturbed_points():
    turn = 2 * np.pi / 12
    circle = kk.circle(12)
    for k in range(6):
        f = circle.target(k)
        found = circle_spectrum(KERNEL, 12).correlations(turn)[k]
        assert np.mean(f * np.roll(f, 1)) == pytest.approx(found)
    cube = kk.hypercube(4)
    corners = cube.x @ cube.x.T
    for k in range(5):
        f = cube.target(k)
        agree = (4 + corners) / 2  # coordinates that are equal
        chance = 0.8**agree * 0.2 ** (4 - agree)
        found = hypercube_spectrum(KERNEL, 4).correlations(0.2)[k]
        assert f @ chance @ f / len(f) == pytest.approx(found)
    sphere = kk.hypersphere(1000, 3, seed=1)
    moved = np.random.default_rng(0).normal(size=(1000, 4))
    moved -= np.sum(moved * sphere.x, axis=1, keepdims=True) * sphere.x
    moved /= np.linalg.norm(moved, axis=1, keepdims=True)
    near = np.cos(0.3) * sphere.x + np.sin(0.3) * moved
    for k in range(4):
        products = sphere.target(k) * sphere.function(near, k)
        found = hypersphere_spectrum(KERNEL, 3, 5).correlations(0.3)[k]
        assert products.mean() == pytest.approx(found, abs=4 * products.std() / 1000**0.5)


# From a matrix and targets alone.


def test_the_spectrum_of_all_points_is_exact():
    cube = kk.hypercube(5)
    K, f = matrix(KERNEL, cube.x), cube.target(2) + 0.5 * cube.target([4])
    exact = hypercube_spectrum(KERNEL, 5)
    found, power = gram_spectrum(K, f[:, None])
    np.testing.assert_allclose(found.values[::-1], repeated(exact), atol=1e-13)
    assert found.points == 32
    assert power.sum() == pytest.approx(np.mean(f**2))
    for ridge in (0.0, 0.1):
        np.testing.assert_allclose(
            eigenlearning(found, power, [5, 20], ridge=ridge).test_error,
            eigenlearning(exact, hypercube_power(f), [5, 20], ridge=ridge).test_error,
        )


def drawn(seed, n):
    """A matrix of n random corners of a large cube with noisy targets of a known law."""
    d = 14
    rng = np.random.default_rng(seed)
    x = rng.choice([-1.0, 1.0], (n, d))
    y = x[:, 0] + x[:, 1] * x[:, 2] + 0.3**0.5 * rng.normal(size=n)
    return matrix(KERNEL, x), y[:, None]


def test_the_plain_estimate_is_too_good_and_the_other_is_not():
    N, sizes, ridge, draws = 120, [30, 60, 119], 0.02, 25
    truth = eigenlearning(
        hypercube_spectrum(KERNEL, 14), {1: 1.0, 2: 1.0}, sizes, ridge=ridge, noise=0.3
    ).test_error
    plain, better = np.empty((2, draws, len(sizes)))
    for i in range(draws):
        K, Y = drawn(i, N)
        plain[i] = eigenlearning(*gram_spectrum(K, Y), sizes, ridge=ridge).test_error
        better[i] = [point.error for point in predicted_curve(K, Y, ridge, sizes)]
    error = 4 * np.std(better, axis=0) / draws**0.5
    assert (plain.mean(axis=0) < truth).all()
    assert (np.diff(plain.mean(axis=0) / truth) < 0).all()  # the nearer to N, the worse
    assert plain.mean(axis=0)[-1] < 0.2 * truth[-1]
    assert (np.abs(better.mean(axis=0) - truth) < error + 3 * truth / N).all()


def test_fewer_and_more_images_are_those_of_the_law():
    """An extrapolation to twice the images, where the ridge is large enough for one."""
    N, ridge, draws = 100, 0.5, 30
    sizes = [25, 50, 100, 200]
    spectrum = hypercube_spectrum(KERNEL, 14)
    target = {1: 1.0, 2: 1.0}
    truth = eigenlearning(spectrum, target, sizes, ridge=ridge, noise=0.3).test_error
    found, inside = np.empty((draws, 4)), np.empty((draws, 4))
    for i in range(draws):
        points = predicted_curve(*drawn(i, N), ridge, reversed(sizes))
        assert [point.n for point in points] == sizes
        found[i] = [point.error for point in points]
        inside[i] = [p.low <= t <= p.high for p, t in zip(points, truth, strict=True)]
    error = 4 * found.std(axis=0) / draws**0.5
    assert (np.abs(found.mean(axis=0) - truth) < error + 3 * truth / N).all()
    # Of 30 draws each with 0.95, fewer than 22 have a chance of 1e-4; draws of one n alone.
    assert (inside.sum(axis=0) >= 22).all()


def test_more_images_at_the_least_ridge_that_tells_of_them():
    K, Y = drawn(0, 60)
    point = extrapolate(K, Y, 1e-3, 120)
    assert point.n == 120
    assert largest_size(K, point.ridge / 10**0.5) < 120 <= largest_size(K, point.ridge)
    assert [point] == predicted_curve(K, Y, point.ridge, [120])
    assert extrapolate(K, Y, 2.0, 120).ridge == 2.0
    with pytest.raises(ConfigurationError, match="tells of at most"):
        extrapolate(K, Y, 1e-3, 10**6)


def test_for_as_many_images_it_is_generalised_cross_validation():
    x = np.random.default_rng(0).normal(size=(40, 6))
    labels = np.arange(40) % 3
    K, Y = np.exp(x @ x.T / 6), centred_one_hot(labels, 3)
    (point,) = predicted_curve(K, Y, 0.1, [40])
    found = score_gram(K, labels, ridge=0.1, metrics=["gcv"], n_classes=3)["gcv"]
    assert point.error == pytest.approx(found.value, rel=1e-12)
    assert found.standard_error is not None
    assert point.high - point.error == pytest.approx(1.96 * found.standard_error, rel=1e-4)
    again = predicted_curve(decompose(K), Y, 0.1, [40, 10])
    assert again[1] == point


def test_more_than_the_matrix_tells_of_is_refused():
    K, Y = drawn(0, 40)
    most = largest_size(K, 0.05)
    assert 40 < most < 80
    assert largest_size(K, 0.0) == 40
    assert [p.n for p in predicted_curve(K, Y, 0.05, [most])] == [most]
    with pytest.raises(ConfigurationError, match=f"tells of at most {most} at ridge=0.05"):
        predicted_curve(K, Y, 0.05, [most + 1])
    with pytest.raises(ConfigurationError, match="size=0: expected an integer >= 1"):
        predicted_curve(K, Y, 0.05, [0])
    with pytest.raises(ConfigurationError, match="ridge=-1"):
        predicted_curve(K, Y, -1.0, [10])
    with pytest.raises(NotPositiveDefiniteError, match="expected a covariance"):
        gram_spectrum(K - 10 * np.eye(40) * K[0, 0] / 20, Y)
    with pytest.raises(DataError, match="expected finite numbers of shape"):
        predicted_curve(K, Y[:-1], 0.05, [10])
    low_rank = (lambda x: x @ x.T)(np.random.default_rng(0).normal(size=(40, 5)))
    with pytest.raises(NotPositiveDefiniteError, match=r"use a ridge of 1\.0e-06 or more"):
        predicted_curve(low_rank, Y, 0.0, [10])
