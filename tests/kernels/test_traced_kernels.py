"""Kernels as functions of JAX: equal to `NeuralKernel`, and their derivatives."""

from typing import Any, cast

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree
from oracles.random_networks import random_architecture
from selection import ordinary

import kernas.kernels as kk
from kernas.errors import ArchitectureError, ConfigurationError, DataError, UnboundKernelError
from kernas.kernels._compat import import_neural_tangents
from kernas.kernels.architecture.layers import LAYERS
from kernas.kernels.covariance.activations import accuracy

BOTH = ("nngp", "ntk")
ACTIVATIONS = (
    kk.Relu(), kk.LeakyRelu(0.2), kk.Abs(), kk.Erf(), kk.Gelu(), kk.Sin(), kk.Cos(),
    kk.Sinusoid(1.3, 0.4), kk.Exp(0.5), kk.Gaussian(1.5), kk.Monomial(2), kk.Hermite(3),
    kk.Elu(), kk.Selu(), kk.Elementwise("tanh"), kk.Sign(),
)  # fmt: skip
SEEDS = range(20)


@pytest.fixture(autouse=True)
def in_float64():
    with jax.enable_x64(True):
        yield


def random_case(seed):
    """A network, its reference images if it normalises over a batch, and two sets of images."""
    rng = np.random.default_rng(seed)
    form = [None, None, "center", None, "rms"][seed % 5]
    few = [ACTIVATIONS[(2 * seed + i) % len(ACTIVATIONS)] for i in (0, 1)]
    network = random_architecture(
        rng, image=(3, 3, 2), normalize=form, layers="all", blocks=1, activations=few
    )
    x1, x2 = rng.standard_normal((2, 3, 3, 2)), rng.standard_normal((2, 3, 3, 2))
    reference = None if form is None else rng.standard_normal((4, 3, 3, 2))
    return network, reference, x1, x2, rng


def slope(function, h=1e-4):
    """The derivative at 0 by central differences: errors of h⁴ = 1e-16 and of ε / h = 2e-12."""
    return (8 * (function(h) - function(-h)) - (function(2 * h) - function(-2 * h))) / (12 * h)


@pytest.mark.parametrize("seed", ordinary([0], of=SEEDS))
def test_gradients_of_random_networks_are_finite_differences(seed):
    """In images, in reference images' statistics by way of them, and in all scales at once."""
    network, reference, x1, x2, rng = random_case(seed)
    k = kk.kernel_function(network, BOTH, reference=reference)
    weights = rng.standard_normal((2, 2, 2))

    def value(x1, x2, scales):
        both = k(x1, x2, scales)
        return jnp.sum(weights[0] * both.nngp) + jnp.sum(weights[1] * both.ntk)

    point, back = ravel_pytree((x1, x2, kk.scales_of(network)))
    flat = jax.jit(lambda vector: value(*back(vector)))
    gradient = jax.jit(jax.grad(flat))(point)
    assert np.isfinite(gradient).all()
    for _ in range(3):
        direction = rng.standard_normal(point.shape)
        expected = float(slope(lambda t, d=direction: flat(point + t * d)))
        found = float(gradient @ direction)
        assert abs(found - expected) < 1e-6 * max(1.0, abs(expected)), (found, expected)
    kernel = kk.NeuralKernel(network, BOTH)
    if reference is not None:
        kernel = kernel.bind(reference, len(reference))
    try:
        exact = kernel(x1, x2)
    except ArchitectureError:  # a series at variances where it is not exact enough
        return
    for ours, theirs in zip(k(x1, x2), exact, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-11, atol=1e-11 * np.abs(theirs).max())


def test_the_random_networks_hold_every_kind_of_layer():
    held = {type(node.layer) for seed in SEEDS for node in random_case(seed)[0].nodes}
    # Flatten stands in one of three readouts; Zero and Slot are no layers of a kernel's own.
    missing = {layer.__name__ for layer in LAYERS.values()} - {layer.__name__ for layer in held}
    assert missing <= {"Zero"}, missing


SMALL = kk.serial(kk.Conv(3, W_std=1.3, b_std=0.1), kk.Relu(), kk.GlobalAvgPool(), kk.Dense())


def test_jit_of_vmap_of_grad_runs_and_is_the_gradient():
    x1, x2 = np.random.default_rng(0).standard_normal((2, 4, 3, 3, 1))
    k = kk.kernel_function(SMALL, "ntk")
    one = lambda a, b: k(a[None], b[None])[0, 0]  # noqa: E731
    found = jax.jit(jax.vmap(jax.grad(one)))(x1, x2)
    expected = jax.grad(lambda x: jnp.trace(k(x, x2)))(jnp.asarray(x1))
    np.testing.assert_allclose(found, expected, rtol=1e-10, atol=1e-14)
    scales = kk.scales_of(SMALL)
    jacobian = jax.jacrev(lambda s: k(x1[:1], x2[:2], s))(scales)
    assert jacobian["node1"]["W_std"].shape == (1, 2)


def test_a_network_may_be_lowered_within_a_trace():
    """Whose series is judged there too, if nobody has asked before."""
    accuracy._error.cache_clear()
    k = kk.kernel_function(kk.serial(kk.Dense(), kk.Elementwise("softplus"), kk.Dense()), "ntk")
    x = jnp.asarray(np.random.default_rng(0).standard_normal((2, 3)))
    found = jax.jit(jax.grad(lambda x: k(x)[0, 1]))(x)
    expected = jax.grad(lambda x: k(x)[0, 1])(x)
    np.testing.assert_allclose(found, expected, rtol=1e-10)


@pytest.mark.parametrize("activation", [kk.Relu(), kk.Erf()], ids=str)
def test_at_equal_images_the_symmetric_derivative_is_returned(activation):
    """Of ``k(x + t d, x)`` at ``t = 0``. The NTK of a kink has a cusp of slope ±c there, whose
    second difference grows like ``2c / h``; its symmetric difference errs by O(h)."""
    rng = np.random.default_rng(3)
    network = kk.serial(kk.Dense(W_std=1.2, b_std=0.1), activation, kk.Dense(W_std=1.1))
    x, d = rng.standard_normal((2, 1, 4))
    k = kk.kernel_function(network, BOTH)
    kinked = isinstance(activation, kk.Relu)
    for name in BOTH:
        line = jax.jit(lambda t, name=name: getattr(k(x + t * d, x), name)[0, 0])
        h = 1e-5
        symmetric = float((line(h) - line(-h)) / (2 * h))
        np.testing.assert_allclose(float(jax.grad(line)(0.0)), symmetric, atol=3e-5)
        bend = [float(line(h) + line(-h) - 2 * line(0.0)) / h**2 for h in (1e-3, 1e-4)]
        if kinked and name == "ntk":
            assert abs(bend[1]) > 5 * abs(bend[0])  # a cusp
        second = float(jax.grad(jax.grad(line))(0.0))
        assert np.isfinite(second)
        if not (kinked and name == "ntk"):
            np.testing.assert_allclose(second, bend[1], atol=1e-3 * max(1, abs(second)))
    # Both images move together: no cusp, and the derivative of the diagonal.
    diagonal = jax.jit(lambda t: k(x + t * d)[1][0, 0])
    np.testing.assert_allclose(jax.grad(diagonal)(0.0), slope(diagonal, 1e-3), rtol=1e-7)


@pytest.mark.parametrize(
    "activation",
    [kk.Relu(), kk.Erf(), kk.Sin(), pytest.param(kk.Elu(), marks=pytest.mark.slow)],
    ids=str,
)
def test_where_pixels_vanish_or_are_orthogonal_derivatives_are_right(activation):
    """Points where a chain rule through roots and sizes is 0 · ∞, or loses a sign."""
    network = kk.serial(kk.Dense(W_std=1.2), activation, kk.Dense())
    k = kk.kernel_function(network, BOTH)
    rng = np.random.default_rng(4)
    d, y, zero = rng.standard_normal((1, 3)), rng.standard_normal((1, 3)), np.zeros((1, 3))
    cases = [(zero, y), (np.eye(3)[:1], np.eye(3)[1:2]), (-y, y)]

    @jax.jit
    def line(t, x, other):
        both = k(x + t * d, other)
        return both.nngp[0, 0], both.ntk[0, 0]

    derivative = jax.jit(jax.jacrev(line))
    for x, other in cases:
        h = 1e-5
        found = derivative(0.0, x, other)
        above, below = line(h, x, other), line(-h, x, other)
        for ours, up, down in zip(found, above, below, strict=True):
            # Of a cusp the symmetric difference errs by O(h), and by the rounding of an angle of
            # size h, ε / h, over h.
            np.testing.assert_allclose(float(ours), float(up - down) / (2 * h), atol=1e-4)


def test_black_images_and_many_channels_have_finite_gradients():
    rng = np.random.default_rng(5)
    network = kk.serial(kk.Conv(2), kk.Relu(), kk.Conv(2), kk.Relu(), kk.Flatten(), kk.Dense())
    x = rng.standard_normal((2, 3, 3, 18))
    x[0] = 0
    k = kk.kernel_function(network, "ntk")
    value = lambda x, s: jnp.sum(k(x, None, s))  # noqa: E731
    of_x, of_scales = jax.jit(jax.grad(value, (0, 1)))(x, kk.scales_of(network))
    assert np.isfinite(of_x).all()
    assert all(np.isfinite(leaf) for leaf in jax.tree.leaves(of_scales))
    assert np.any(of_x[1] != 0)


def test_first_gradients_are_those_of_neural_tangents():
    """Away from equal images, of a network that both have; scales by building stax anew."""
    stax = import_neural_tangents().stax
    rng = np.random.default_rng(6)
    x1, x2 = rng.standard_normal((2, 2, 5))
    network = kk.serial(kk.Dense(W_std=1.3, b_std=0.2), kk.Erf(), kk.Dense(W_std=0.9, b_std=0.1))
    k = kk.kernel_function(network, BOTH)

    def theirs(x, s):
        layers = [s["node1"], s["node3"]]
        dense = [stax.Dense(1, W_std=of["W_std"], b_std=of["b_std"]) for of in layers]
        _, _, kernel_fn = stax.serial(dense[0], stax.Erf(), dense[1])
        return kernel_fn(x, x2, BOTH)

    def summed(function):
        def value(x, scales):
            both = function(x, scales)
            return jnp.sum(jnp.sin(both.nngp)) + jnp.sum(jnp.cos(both.ntk))

        return jax.grad(value, (0, 1))

    at = jnp.asarray(x1), jax.tree.map(jnp.asarray, kk.scales_of(network))
    ours, expected = summed(lambda x, s: k(x, x2, s))(*at), summed(theirs)(*at)
    for a, b in zip(jax.tree.leaves(ours), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-8, atol=1e-10)


def test_scales_replace_those_of_the_network():
    """Equal layers are told apart, biases come and go, learning rates are kept."""
    rng = np.random.default_rng(7)
    x = rng.standard_normal((3, 4))
    rated = kk.serial(
        kk.Dense(rates=(0.5, 2.0)),
        kk.Relu(),
        kk.Dense(b_std=0.3, trainable=False),
        kk.Relu(),
        kk.Dense(),
    )
    k = kk.kernel_function(rated, BOTH)
    new = {"node1__b_std": 0.4, "node3__b_std": 0.0, "node5__W_std": 2.0}
    changed = kk.NeuralKernel(rated).set_params(**new)
    given = {"node1": {"b_std": 0.4}, "node3": {"b_std": 0}, "node5": {"W_std": 2}}
    for ours, expected in zip(k(x, None, given), changed(x, get=BOTH), strict=True):
        np.testing.assert_allclose(ours, expected, rtol=1e-12)
    for ours, expected in zip(k(x), kk.NeuralKernel(rated, BOTH)(x), strict=True):
        np.testing.assert_allclose(ours, expected, rtol=1e-12)


X = np.random.default_rng(8).standard_normal((3, 4, 4, 1))


@pytest.mark.parametrize(
    ("scales", "message"),
    [
        ({"node2": {"W_std": 1.0}}, r"scales\['node2'\]: the network has no such weight layer"),
        ({"node1": {"std": 1.0}}, r"scales\['node1'\]\['std'\]: expected W_std or b_std"),
        ({"node1": {"W_std": -1.0}}, r"W_std'\]=-1.0: expected a finite number >= 0"),
        ({"node1": {"b_std": np.inf}}, "expected a finite number >= 0"),
        ({"node1": {"W_std": np.ones(2)}}, r"has shape \(2,\): expected one number"),
        ({"node1": 2.0}, r"scales\['node1'\]=2.0: expected a mapping"),
        ([1.0], "expected a mapping, such as scales_of"),
    ],
)
def test_wrong_scales_are_refused_in_a_line(scales, message):
    k = kk.kernel_function(SMALL)
    with pytest.raises(ConfigurationError, match=message) as caught:
        k(X, None, scales)
    assert "\n" not in str(caught.value)


def test_what_does_not_fit_says_the_batch_that_does():
    k = kk.kernel_function(SMALL, memory_bytes=10_000_000)
    with pytest.raises(ConfigurationError, match="batches of ") as caught:
        jax.eval_shape(k, jnp.zeros((500, 4, 4, 1)))
    fitting = int(str(caught.value).split("batches of ")[1].split()[0])
    jax.eval_shape(k, jnp.zeros((fitting, 4, 4, 1)))
    with pytest.raises(ConfigurationError, match="batches of "):
        jax.eval_shape(k, jnp.zeros((fitting + 1, 4, 4, 1)))
    with pytest.raises(ConfigurationError, match="give a larger memory_bytes"):
        kk.kernel_function(SMALL, memory_bytes=100)(X)


def test_other_input_is_refused_in_a_line():
    normalized = kk.serial(kk.Conv(3), kk.Normalize(), kk.Relu(), kk.Flatten(), kk.Dense())
    cases = [
        (lambda: kk.kernel_function(normalized), UnboundKernelError, "needs reference images"),
        (
            lambda: kk.kernel_function(cast(Any, "relu")),
            ConfigurationError,
            "expected an Architecture",
        ),
        (lambda: kk.kernel_function(SMALL, cast(Any, "k")), ConfigurationError, "get='k'"),
        (lambda: kk.kernel_function(SMALL)(X[0, 0, 0]), DataError, "has shape"),
        (lambda: kk.kernel_function(SMALL)(X, X[:, :3]), DataError, "expected equal shapes"),
        (lambda: kk.kernel_function(SMALL)(X * np.nan), DataError, "NaN"),
        (
            lambda: kk.kernel_function(normalized, reference=X)(X[:, :3]),
            DataError,
            "reference images of",
        ),
        (
            lambda: jax.vmap(kk.kernel_function(SMALL))(jnp.zeros((2, 3))),
            DataError,
            r"a single image is x\[None\]",
        ),
    ]
    for call, error, message in cases:
        with pytest.raises(error, match=message) as caught:
            call()
        assert "\n" not in str(caught.value)


def test_a_neural_kernel_that_is_traced_says_what_to_use():
    with pytest.raises(DataError, match=r"use kernel_function\(architecture, get\)") as caught:
        jax.jit(kk.NeuralKernel(SMALL))(X)
    assert "\n" not in str(caught.value)


def test_a_value_needs_no_more_memory_than_is_said():
    """What XLA says that the program of a gradient takes beside its arguments."""
    k = kk.kernel_function(SMALL, "ntk")
    x = jnp.asarray(np.random.default_rng(9).standard_normal((6, 6, 6, 1)))
    compiled = jax.jit(jax.grad(lambda x: jnp.sum(k(x)))).lower(x).compile()
    needed = cast(Any, compiled.memory_analysis()).temp_size_in_bytes
    said = k.bytes(k.program(x.shape[1:]), 6, 6)
    assert needed < said < 20 * needed
