"""Dual activations against integrals over the plane, their accuracy, and their layers."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache, partial
from itertools import pairwise

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from oracles.gaussian_moments import (
    NAMED,
    dual_moments,
    exponential_linear_moments,
    mean_slopes,
    pointwise,
)
from scipy.integrate import quad

import kernas.kernels as kk
from kernas.errors import ArchitectureError
from kernas.kernels import NeuralKernel
from kernas.kernels.architecture.activations import ACTIVATIONS, Activation
from kernas.kernels.architecture.elementwise import FUNCTIONS
from kernas.kernels.covariance.activations import (
    Dual,
    has_closed_form,
    quadrature_error,
    stein_slopes,
)
from kernas.kernels.covariance.activations.functions import derivative_of, function_of

SAMPLES: tuple[Activation, ...] = (
    kk.Relu(),
    kk.LeakyRelu(0.3),
    kk.Elu(0.6),
    kk.Selu(),
    kk.Abs(),
    kk.Sign(),
    kk.Erf(),
    kk.Gelu(),
    kk.Sin(),
    kk.Cos(),
    kk.Sinusoid(1.5, 0.4),
    kk.Exp(0.7),
    kk.Gaussian(0.8),
    kk.Monomial(3),
    kk.Hermite(3),
    kk.Hermite(4),
    kk.Elementwise("tanh"),
    kk.Elementwise("sigmoid"),
)
"""Every kind of nonlinearity."""

CLOSED_PAIRS = (
    (kk.Relu(), kk.LeakyRelu(0.3)),
    (kk.LeakyRelu(-0.5), kk.Abs()),
    (kk.Sign(), kk.Relu()),
    (kk.Elu(0.6), kk.Selu()),
    (kk.LeakyRelu(-0.3), kk.Elu()),
    (kk.Abs(), kk.Sign()),
    (kk.Sin(), kk.Cos()),
    (kk.Cos(), kk.Sinusoid(-1.5, 0.4)),
    (kk.Exp(0.7), kk.Exp(-0.4)),
    (kk.Gaussian(0.8), kk.Gaussian(2.0)),
    (kk.Monomial(2), kk.Hermite(4)),
)
SERIES_PAIRS = (
    (kk.Relu(), kk.Erf()),
    (kk.Abs(), kk.Cos()),
    (kk.Elementwise("softplus"), kk.LeakyRelu(0.2)),
    (kk.Sign(), kk.Elementwise("tanh")),
    (kk.Exp(0.7), kk.Gelu()),
    (kk.Monomial(3), kk.Sin()),
    (kk.Elu(), kk.Erf()),
)
SELF_PAIRS = tuple((layer, layer) for layer in SAMPLES)

CORRELATIONS = np.array([-1, -0.99, -0.4, 0, 0.3, 0.999, 1])
VARIANCES = ((0.0, 0.0), (0.0, 1.3), (1e-9, 2.0), (0.5, 0.5), (2.0, 0.3))


@pytest.fixture(autouse=True)
def functions_as_before() -> Iterator[None]:
    """What a test registers is not there for those that follow it in this process."""
    before = dict(FUNCTIONS)
    yield
    FUNCTIONS.clear()
    FUNCTIONS.update(before)


def name(pair: tuple[Activation, Activation]) -> str:
    return " ".join(map(repr, dict.fromkeys(pair)))


@cache
def cases() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Covariances and variances: all correlations at all variances."""
    a, b = (np.repeat([v[i] for v in VARIANCES], len(CORRELATIONS)) for i in (0, 1))
    return np.tile(CORRELATIONS, len(VARIANCES)) * np.sqrt(a * b), a, b


@partial(jax.jit, static_argnums=0)
def evaluate(pair, k, a, b):
    return Dual(*pair)(k, a, b)


def errors(pair: tuple[Activation, Activation], dtype: type) -> tuple[float, float]:
    """Errors of both duals, relative to the sizes of the nonlinearities (derivatives)."""
    k, a, b = (x.astype(dtype) for x in cases())
    ours = evaluate(pair, jnp.asarray(k), jnp.asarray(a), jnp.asarray(b))
    result = []
    alive = (a > 0) & (b > 0)  # the tangent kernel is 0 where a variance is
    for part, keep in ((0, a >= 0), (1, alive)):
        k, a, b = (np.asarray(x, float) for x in (k, a, b))
        exact = dual_moments(*pair, k, a, b)[part]
        sizes = (
            dual_moments(pair[0], pair[0], a, a, a)[part]
            * dual_moments(pair[1], pair[1], b, b, b)[part]
        )
        sizes = np.where(sizes > 0, np.sqrt(np.abs(sizes)), 1)
        error = np.abs(np.asarray(ours[part], float) - exact) / sizes
        assert np.isfinite(error).all()
        result.append(float(error[keep].max()))
    return result[0], result[1]


@pytest.mark.oracle("NumPy loops", networks=lambda pair: kk.serial(kk.Dense(), *pair))
@pytest.mark.parametrize("pair", SELF_PAIRS + CLOSED_PAIRS + SERIES_PAIRS, ids=name)
def test_duals_are_the_integrals(pair: tuple[Activation, Activation]) -> None:
    assert has_closed_form(*pair) == (
        pair not in SERIES_PAIRS and not isinstance(pair[0], kk.Elementwise)
    )
    with jax.enable_x64(True):
        nngp, tangent = errors(pair, np.float64)
    assert nngp < 1e-10
    assert tangent < 1e-9


@pytest.mark.parametrize("pair", SELF_PAIRS + SERIES_PAIRS[:2], ids=name)
def test_duals_keep_the_digits_of_float32(pair: tuple[Activation, Activation]) -> None:
    nngp, tangent = errors(pair, np.float32)
    assert nngp < 1e-5
    assert tangent < 1e-4


@pytest.mark.parametrize(
    ("dtype", "bound"),
    [pytest.param(np.float64, 1e-11, marks=pytest.mark.slow), (np.float32, 5e-5)],
)
def test_exponential_linear_units_neither_overflow_nor_cancel(dtype: type, bound: float) -> None:
    variances = [(1e-12, 1e-4), (1e-4, 1e-4), (1e-4, 1e4), (2.0, 1e4), (1e3, 30.0), (1e4, 1e4)]
    cases = [(rho, a, b) for a, b in variances for rho in (-1.0, -0.5, 0.0, 0.99, 0.999999, 1.0)]
    rho, a, b = np.array(cases).T
    pair = (kk.Selu(), kk.Elu(0.6))
    with jax.enable_x64(dtype is np.float64):
        moments = (x.astype(dtype) for x in (rho * np.sqrt(a * b), a, b))
        ours = evaluate(pair, *map(jnp.asarray, moments))
    for part in (0, 1):
        exact, first, second = (
            np.array([exponential_linear_moments(*both, *case)[part] for case in which])
            for both, which in (
                (pair, cases),
                ((pair[0], pair[0]), [(1.0, v, v) for v in a]),
                ((pair[1], pair[1]), [(1.0, v, v) for v in b]),
            )
        )
        assert np.abs((np.asarray(ours[part]) - exact) / np.sqrt(first * second)).max() < bound


def test_the_integrals_of_exponential_linear_units_are_those_over_the_plane() -> None:
    for rho, a, b in ((-0.6, 1.3, 0.7), (0.9, 0.2, 2.0), (1.0, 1.3, 1.3)):
        ours = exponential_linear_moments(kk.Elu(0.6), kk.Selu(), rho, a, b)
        k = np.array(rho * np.sqrt(a * b))
        theirs = dual_moments(kk.Elu(0.6), kk.Selu(), k, np.array(a), np.array(b))
        np.testing.assert_allclose(ours, theirs, rtol=1e-10)


@pytest.mark.parametrize("layer", SAMPLES, ids=repr)
def test_mean_slopes_are_the_integrals(layer: Activation) -> None:
    b = np.array([0.0, 1e-9, 0.5, 2.0])
    with jax.enable_x64(True):
        ours = stein_slopes(layer, jnp.asarray(b))
    for part, exact in zip(ours, mean_slopes(layer, b), strict=True):
        np.testing.assert_allclose(part[1:], exact[1:], rtol=1e-7, atol=1e-10)
        assert np.isfinite(np.asarray(part)).all()
    assert np.array_equal(ours[0], ours[1]) != isinstance(layer, kk.Sign)


def test_the_integrals_are_those_of_scipy() -> None:
    """The oracle's own check: the inner integral in closed form, the outer one adaptive."""
    a, b, rho = 1.3, 0.7, 0.6
    tanh = np.tanh
    nodes, weights = np.polynomial.hermite_e.hermegauss(80)
    weights = weights / weights.sum()

    def inner(z: float) -> float:
        v = np.sqrt(b) * (rho * z + np.sqrt(1 - rho**2) * nodes)
        return max(np.sqrt(a) * z, 0) * (weights @ tanh(v)) * np.exp(-(z**2) / 2)

    expected = quad(inner, 0, 12, epsabs=1e-13)[0] / np.sqrt(2 * np.pi)
    k = np.array(rho * np.sqrt(a * b))
    moment, _ = dual_moments(kk.Relu(), kk.Elementwise("tanh"), k, np.array(a), np.array(b))
    assert moment == pytest.approx(expected, rel=1e-8)


@pytest.mark.parametrize("layer", SAMPLES, ids=repr)
def test_functions_are_those_of_numpy(layer: Activation) -> None:
    x = np.linspace(-3, 3, 40)
    with jax.enable_x64(True):
        value, slope = function_of(layer)(jnp.asarray(x)), derivative_of(layer)(jnp.asarray(x))
        at_zero = float(function_of(layer)(jnp.zeros(())))
    function, derivative = pointwise(layer)
    np.testing.assert_allclose(value, function(x), rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(slope, derivative(x), rtol=1e-10, atol=1e-12)
    assert layer.keeps_zero == (at_zero == 0)


def test_every_activation_is_sampled_and_round_trips() -> None:
    assert {type(layer) for layer in SAMPLES} | {kk.Monomial} == set(ACTIVATIONS)
    assert set(NAMED) <= set(FUNCTIONS)
    hashes = set()
    for layer in SAMPLES:
        network = kk.serial(kk.Dense(), layer, kk.Dense())
        assert kk.Architecture.from_json(network.to_json()) == network
        hashes.add(network.hash)
    assert len(hashes) == len(SAMPLES)


def test_zeros_stay_zeros_only_where_the_function_keeps_them() -> None:
    def through(layer: Activation) -> kk.Architecture:
        return kk.serial(kk.Dense(), kk.Zero(), layer, kk.Dense(W_std=2.0))

    nothing = kk.serial(kk.Dense(), kk.Zero(), kk.Dense(W_std=2.0))
    x = np.eye(3)
    for layer in SAMPLES:
        nngp = NeuralKernel(through(layer), get="nngp")(x)
        at_zero = float(pointwise(layer)[0](np.zeros(1))[0])
        np.testing.assert_allclose(nngp, 4 * at_zero**2, rtol=1e-5, atol=1e-7)
        assert (through(layer).hash == nothing.hash) == layer.keeps_zero


# --- accuracy of the series ----------------------------------------------------------------------


def test_errors_are_estimated() -> None:
    assert quadrature_error(kk.Relu(), kk.Abs()) == 0
    tanh = kk.Elementwise("tanh")
    by_variance = [quadrature_error(tanh, None, (v, v)) for v in (1.0, 8.0, 16.0, 64.0)]
    assert by_variance[0] < 1e-12
    assert all(first < second for first, second in pairwise(by_variance))
    # The estimate at variance 16 is the true error there.
    with jax.enable_x64(True):
        ours = np.asarray(evaluate((tanh, tanh), *[jnp.full(1, 16.0)] * 3))[:, 0]
    slope = quad(lambda z: np.cosh(4 * z) ** -4.0 * np.exp(-(z**2) / 2), -8, 8, epsabs=1e-14)[0]
    size = slope / np.sqrt(2 * np.pi)
    assert by_variance[2] == pytest.approx(abs(ours[1] - size) / size, rel=1e-2)
    with pytest.raises(ArchitectureError, match=r"variances=\(2, 1\): expected"):
        quadrature_error(tanh, None, (2, 1))


def test_kinks_are_refused_before_anything_is_computed() -> None:
    kk.register_elementwise("test_kink", lambda x: jnp.maximum(x, 0))
    kk.register_elementwise("test_late_kink", lambda x: jnp.clip(x, -1, 1))
    kk.register_elementwise("test_soft_kink", jax.nn.elu)
    kk.register_elementwise("test_double_zero_with_kink", lambda x: x * jnp.abs(x))
    for kink in ("test_kink", "test_late_kink", "test_soft_kink", "test_double_zero_with_kink"):
        network = kk.serial(kk.Dense(), kk.Elementwise(kink), kk.Dense())
        with pytest.raises(ArchitectureError, match=r"node 2 .*has a kink.*LeakyRelu, Abs or Sign"):
            NeuralKernel(network)(np.eye(2))


def test_variances_for_which_the_series_fails_are_refused() -> None:
    network = kk.serial(kk.Dense(W_std=8.0), kk.Elementwise("tanh"), kk.Dense())
    with pytest.raises(ArchitectureError, match=r"tanh.* at variances up to 64.* lower W_std"):
        NeuralKernel(network)(np.ones((2, 3)))
    branches = kk.parallel(kk.Relu(), kk.Elementwise("arctan"))
    network = kk.serial(kk.Dense(W_std=8.0), branches, kk.Dense())
    with pytest.raises(ArchitectureError, match="arctan"):
        NeuralKernel(network)(np.ones((2, 3)))


def _log_cosh(x: jax.Array) -> jax.Array:
    return jnp.logaddexp(x, -x) - jnp.log(2.0)


def _log_cosh_moments(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """``E[φ(u) φ(v)]`` and ``E[φ'(u) φ'(v)]`` of log cosh, by the trapezoidal rule in the plane.

    ``x`` holds the images, whose products over their number of features are the covariances.
    """
    z = np.arange(-10, 10.05, 0.1)
    density = 0.1 * np.exp(-(z**2) / 2) / np.sqrt(2 * np.pi)
    weights = np.outer(density, density)
    K, T = np.zeros((2, len(x), len(x)))
    for i, j in np.ndindex(K.shape):
        a, b, k = (x[p] @ x[q] / x.shape[1] for p, q in ((i, i), (j, j), (i, j)))
        u = np.sqrt(a) * z[:, None]
        v = k / np.sqrt(a) * z[:, None] + np.sqrt(max(b - k**2 / a, 0)) * z[None, :]
        K[i, j] = np.sum(weights * np.log(np.cosh(u)) * np.log(np.cosh(v)))
        T[i, j] = np.sum(weights * np.tanh(u) * np.tanh(v))
    return K, T


@pytest.mark.parametrize("scale", [1.0, [1e-2], [[1.0], [1e-2], [1e-3]]], ids=str)
def test_double_zeros_are_judged_by_their_size_at_the_variances_in_use(scale) -> None:
    kk.register_elementwise("ln_cosh", _log_cosh)
    network = kk.serial(kk.Dense(), kk.Elementwise("ln_cosh"), kk.Dense())
    x = np.random.default_rng(3).standard_normal((3, 4)) * np.asarray(scale)
    with jax.enable_x64(True):
        ours = NeuralKernel(network, get=("nngp", "ntk"))(x)
    K, T = _log_cosh_moments(x)
    sizes = np.sqrt(np.outer(np.diag(K), np.diag(K)))
    np.testing.assert_array_less(np.abs(ours.nngp - K), 1e-9 * sizes)
    np.testing.assert_allclose(ours.ntk - ours.nngp, T * (x @ x.T / 4), rtol=1e-7, atol=1e-30)


def test_digits_that_a_function_loses_at_the_variances_in_use_are_refused() -> None:
    kk.register_elementwise("ln_cosh", _log_cosh)
    network = kk.serial(kk.Dense(), kk.Elementwise("ln_cosh"), kk.Dense())
    x = np.eye(3, 4)
    with pytest.raises(ArchitectureError, match=r"ln_cosh.* variances from .*; raise W_std"):
        NeuralKernel(network)(1e-6 * x)
    NeuralKernel(network)(np.concatenate([x, 0 * x]))  # of a black image nothing is lost


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: kk.LeakyRelu(float("nan")), "slope=nan: expected a finite number"),
        (lambda: kk.Elu(float("inf")), "alpha=inf: expected a finite number"),
        (lambda: kk.Sinusoid(frequency=0), "frequency=0: expected a finite number other than 0"),
        (lambda: kk.Exp(0), "rate=0"),
        (lambda: kk.Gaussian(-1.0), "scale=-1.0: expected a finite number > 0"),
        (lambda: kk.Monomial(0), "degree=0: expected an integer from 1 to 30"),
        (lambda: kk.Hermite(True), "degree=True"),
        (lambda: kk.Elementwise("tahn"), "expected one of .*tanh.*register_elementwise"),
        (lambda: kk.register_elementwise("tanh", jnp.sin), "stands for another function"),
        (lambda: kk.register_elementwise("", jnp.sin), "expected a word"),
        (lambda: kk.register_elementwise("test_sum", jnp.sum), r"expected finite numbers of shape"),
        (lambda: kk.register_elementwise("test_log", jnp.log), r"expected finite numbers of shape"),
    ],
)
def test_bad_parameters_are_refused(make, message: str) -> None:
    with pytest.raises(ArchitectureError, match=message):
        make()
