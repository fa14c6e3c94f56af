"""Recurrent networks: the kernel against loops, against a graph of one step, and finite ones."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from oracles.recurrent import recurrent
from scipy.stats import norm

import kernas.kernels as kk
from kernas.errors import ArchitectureError, ConfigurationError, DataError, KernelRangeError

BOTH = ("nngp", "ntk")
X = np.random.default_rng(0).standard_normal((4, 5, 3))
SETTINGS: dict[str, Any] = {"W_std": 1.3, "input_std": 0.8, "b_std": 0.4, "output_std": 1.1}


@pytest.mark.parametrize("readout", ["last", "mean"])
@pytest.mark.parametrize("activation", [kk.Erf(), kk.Relu(), kk.Cos()])
def test_kernels_are_those_of_the_loops(activation, readout):
    kernel = kk.RecurrentKernel(activation, readout=readout, get=BOTH, **SETTINGS)
    with jax.enable_x64(True):
        ours = kernel(X[:2], X)
        alone = kernel(X)
    slow = [[recurrent(kernel, a, b) for b in X] for a in X[:2]]
    for name, value in enumerate(ours):
        np.testing.assert_allclose(value, np.array(slow)[..., name], rtol=1e-9)
        np.testing.assert_array_equal(alone[name][:2], value)
        np.testing.assert_allclose(alone[name], alone[name].T, rtol=1e-12)
        assert np.linalg.eigvalsh(alone[name]).min() > 0


@pytest.mark.parametrize("readout", ["last", "mean"])
def test_one_step_is_a_network_of_one_hidden_layer(readout):
    kernel = kk.RecurrentKernel(kk.Relu(), readout=readout, get=BOTH, **SETTINGS)
    network = kk.serial(kk.Dense(W_std=0.8, b_std=0.4), kk.Relu(), kk.Dense(W_std=1.1))
    with jax.enable_x64(True):
        plain = kk.NeuralKernel(network, get=BOTH)(X[:, 0])
        for ours, theirs in zip(kernel(X[:, :1]), plain, strict=True):
            np.testing.assert_allclose(ours, theirs, rtol=1e-12)


def test_without_memory_the_last_step_is_all_that_counts():
    kernel = kk.RecurrentKernel(kk.Relu(), W_std=0, get="nngp")
    with jax.enable_x64(True):
        np.testing.assert_allclose(kernel(X), kernel(X[:, -1:]), rtol=1e-12)


def test_rows_in_tiles_give_the_same():
    kernel = kk.RecurrentKernel(readout="mean", get=BOTH)
    small = kk.RecurrentKernel(readout="mean", get=BOTH, tile_bytes=12 * 4 * 5 * 4 * 3)
    for value, same in zip(kernel(X), small(X), strict=True):
        np.testing.assert_allclose(value, same, rtol=1e-6)


@pytest.mark.parametrize("readout", ["last", "mean"])
def test_kernels_are_the_limit_of_finite_networks(readout):
    """As in ``test_finite_width.py``: extrapolated from two widths, in standard errors."""
    kernel = kk.RecurrentKernel(kk.Erf(), readout=readout, get=BOTH, **SETTINGS)
    x = jnp.asarray(X[:2])

    def drawn(width, draws, seed):
        network = kernel.finite_network(width)

        def of(variables):
            return jnp.asarray(network.apply(variables, x))

        def both(key):
            variables = network.init(key, x)
            output = of(variables)
            jacobian = jax.jacobian(lambda v: of(v)[:, 0])(variables)
            flat = jnp.concatenate(
                [leaf.reshape(len(x), -1) for leaf in jax.tree.leaves(jacobian)], axis=1
            )
            return jnp.stack([output @ output.T, flat @ flat.T])

        found = jax.lax.map(both, jax.random.split(jax.random.key(seed), draws), batch_size=100)
        sums = np.asarray(found, np.float64).sum((2, 3))
        return sums.mean(0), sums.std(0, ddof=1) / draws**0.5

    low, of_low = drawn(16, 3000, 1)
    high, of_high = drawn(32, 6000, 2)
    exact = np.array([matrix.sum() for matrix in kernel(x)])
    errors = np.hypot(2 * of_high, of_low)
    assert (np.abs(2 * high - low - exact) < norm.isf(1e-3 / 8) * errors).all()
    assert (errors < 0.1 * exact).all()


def test_it_classifies_signals_and_is_what_its_settings_say():
    """The class is whether a pulse came before another: the order of steps, which a mean over
    pixels does not see."""
    rng = np.random.default_rng(1)
    places = np.array([sorted(rng.choice(8, 2, replace=False)) for _ in range(120)])
    y = rng.integers(0, 2, 120)
    x = np.zeros((120, 8, 2))
    for row, (first, second), label in zip(x, places, y, strict=True):
        row[first, label], row[second, 1 - label] = 1, 1
    x += 0.1 * rng.standard_normal(x.shape)
    model = kk.KernelClassifier(kk.RecurrentKernel(W_std=1.5, b_std=0.1), ridge=1e-2)
    assert model.fit(x[:80], y[:80]).score(x[80:], y[80:]) > 0.8


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"activation": kk.Elementwise("tanh")}, ConfigurationError, r"such as Erf\(\)"),
        ({"activation": "relu"}, ConfigurationError, "expected a nonlinearity"),
        ({"W_std": -1}, ArchitectureError, "W_std=-1: expected a finite number >= 0"),
        ({"readout": "first"}, ConfigurationError, "expected 'last' or 'mean'"),
        ({"get": "nn"}, ConfigurationError, "expected 'nngp', 'ntk'"),
        ({"tile_bytes": 0}, ConfigurationError, "a positive number of bytes"),
    ],
)
def test_what_is_no_such_network_is_refused(settings, error, message):
    with pytest.raises(error, match=message):
        kk.RecurrentKernel(**settings)


@pytest.mark.parametrize(
    ("x", "error", "message"),
    [
        (np.ones((2, 8, 8, 1)), DataError, "x.reshape"),
        (np.ones((2, 8)), DataError, "reads signals"),
        (np.full((2, 8, 1), np.nan), DataError, "NaN"),
    ],
)
def test_what_is_no_signal_is_refused(x, error, message):
    with pytest.raises(error, match=message):
        kk.RecurrentKernel()(x)


def test_memory_width_and_range_are_refused():
    with pytest.raises(ConfigurationError, match="needs 960 bytes"):
        kk.RecurrentKernel(readout="mean", tile_bytes=959)(X)
    with pytest.raises(ConfigurationError, match="width=0"):
        kk.RecurrentKernel().finite_network(0)
    with pytest.raises(KernelRangeError, match="expected finite numbers"):
        kk.RecurrentKernel(kk.Relu(), W_std=1e9)(np.ones((2, 9, 1)))
    network = kk.RecurrentKernel().finite_network(4)
    with pytest.raises(DataError, match="expected signals"):
        network.init(jax.random.key(0), np.ones((2, 3)))
