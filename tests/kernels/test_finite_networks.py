"""Finite networks against the oracle's forward pass, and each new layer against plain loops."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from oracles.finite_width import FiniteNetwork, Parameters
from oracles.limit_networks import CASES
from oracles.numpy_kernel import normalize_scales
from oracles.random_networks import Form, random_architecture
from selection import ordinary

import kernas.kernels as kk
from kernas.errors import (
    ArchitectureError,
    ConfigurationError,
    DataError,
    UnboundKernelError,
)

HE = 2**0.5


def finite_network(architecture: Any, width: int, **options: Any) -> Any:
    """``apply`` of flax returns one array, or two things if a collection is mutable: ``Any``."""
    return kk.finite_network(architecture, width, **options)


def normal(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def split(variables: Any) -> tuple[Any, Any]:
    """The parameters, and the other collections."""
    rest = dict(variables)
    return rest.pop("params"), rest


def function(network: Any, rest: Any, **options: Any) -> Callable[[Any, Any], Any]:
    return lambda params, x: network.apply({"params": params, **rest}, x, **options)


def with_weights(architecture: kk.Architecture, drawn: Parameters) -> dict[str, Any]:
    """The module's variables, from weights ``(taps, channels in, channels out)`` and biases."""
    variables: dict[str, Any] = {"params": {}, "fixed": {}}
    for index, weights in drawn.items():
        layer = architecture.nodes[index].layer
        assert isinstance(layer, kk.Dense | kk.Conv | kk.DepthwiseConv)
        shape = weights["W"].shape[1:]
        if not isinstance(layer, kk.Dense):
            shape = (*np.broadcast_to(layer.window, 2), *shape)
        values = {"kernel": weights["W"].reshape(shape)}
        if layer.b_std > 0:
            values["bias"] = weights["b"]
        collection = variables["params" if layer.trainable else "fixed"]
        collection[f"{type(layer).__name__}_{index}"] = values
    return variables


# --- the forward pass ----------------------------------------------------------------------------


def check_forward(
    architecture: kk.Architecture, x: np.ndarray, reference: np.ndarray | None, seed: int = 0
) -> None:
    """The module and the oracle, which builds each layer from matrices, with the same weights."""
    scales: dict[int, Any] = {}
    if reference is not None:
        scales = normalize_scales(architecture, reference)
    oracle = FiniteNetwork(architecture, x, 6, reference)
    shapes = jax.eval_shape(oracle.draw, jax.random.key(0))
    rng = np.random.default_rng(seed)
    drawn = jax.tree.map(lambda W: rng.normal(size=W.shape).astype(np.float32), shapes)
    network = finite_network(architecture, 6, normalization="limit", scales=scales)
    # Compiled as a whole: one operation after the other would be compiled each by itself.
    values = jax.jit(network.apply)(with_weights(architecture, drawn), x, reference=reference)
    expected = jax.jit(lambda weights: oracle.forward(weights, scales)[-1])(drawn)
    np.testing.assert_allclose(values, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("layers", ["basic", "all"])
@pytest.mark.parametrize("form", [None, "any"])
@pytest.mark.parametrize("seed", ordinary(range(3), of=range(6)))
def test_random_networks_compute_what_the_oracle_does(
    seed: int, form: Form | None, layers: Literal["basic", "all"]
) -> None:
    activations = (kk.Relu(), kk.Erf(), kk.Cos(), kk.LeakyRelu(0.3), kk.Gaussian(0.8), kk.Abs())
    flat = seed % 3 == 2
    architecture = random_architecture(
        np.random.default_rng(seed),
        normalize=form,
        flat=flat,
        activations=activations,
        layers=layers,
    )
    shape = (5,) if flat else (4, 4, 3)
    reference = None if form is None else normal(4, *shape, seed=1)
    check_forward(architecture, normal(3, *shape), reference, seed)


@pytest.mark.parametrize("case", CASES)
def test_every_layer_computes_what_the_oracle_does(case: str) -> None:
    architecture = CASES[case]()
    shape = (5,) if isinstance(architecture.nodes[1].layer, kk.Dense) else (4, 4, 3)
    normalizes = any(isinstance(node.layer, kk.Normalize) for node in architecture.nodes)
    check_forward(
        architecture, normal(3, *shape), normal(4, *shape, seed=1) if normalizes else None
    )


def windows(layer: Any, x: np.ndarray) -> list[list[list[np.ndarray]]]:
    """The pixels under each window of one image, in a loop; ``None`` outside the image."""
    window, stride = np.broadcast_to(layer.window, 2), np.broadcast_to(layer.stride, 2)
    dilation = np.broadcast_to(getattr(layer, "dilation", 1), 2)
    extent, size = (window - 1) * dilation + 1, np.array(x.shape[:2])
    circular = layer.padding == "CIRCULAR"
    if layer.padding == "VALID":
        pads = [(0, 0), (0, 0)]
    elif isinstance(layer.padding, tuple):
        pads = layer.padding
    else:
        totals = np.maximum((-(-size // stride) - 1) * stride + extent - size, 0)
        pads = [(t // 2, t - t // 2) for t in totals]
    starts = [
        range(-low, n + high - e + 1, s)
        for (low, high), n, e, s in zip(pads, size, extent, stride, strict=True)
    ]

    def pixel(i: int, j: int) -> Any:
        if circular:
            i, j = i % size[0], j % size[1]
        return x[i, j] if 0 <= i < size[0] and 0 <= j < size[1] else None

    def taps(i: int, j: int) -> list[Any]:
        rows = range(i, i + extent[0], dilation[0])
        return [pixel(a, b) for a in rows for b in range(j, j + extent[1], dilation[1])]

    return [[taps(i, j) for j in starts[1]] for i in starts[0]]


def over_windows(layer: Any, x: np.ndarray, value: Callable[[list[Any]], Any]) -> np.ndarray:
    images = [[[value(taps) for taps in row] for row in windows(layer, image)] for image in x]
    return np.array(images)


def apply_layer(layer: Any, x: np.ndarray) -> tuple[np.ndarray, Any]:
    """One layer's output, and its parameters."""
    network = finite_network(kk.serial(layer), 4, outputs=None)
    variables = network.init(jax.random.key(3), x)
    drawn = {**variables.get("params", {}), **variables.get("fixed", {})}
    return np.asarray(network.apply(variables, x)), drawn


PADDINGS = ["SAME", "VALID", "CIRCULAR", ((1, 0), (-1, 2)), ((-1, -1), (1, -2))]
GEOMETRIES = [{"window": 3}, {"window": (2, 3), "stride": (1, 2)}, {"window": 2, "stride": 2}]


@pytest.mark.parametrize("padding", PADDINGS)
@pytest.mark.parametrize("geometry", [*GEOMETRIES, {"window": 2, "dilation": (2, 1)}])
def test_convolutions_are_sums_over_taps(geometry: dict[str, Any], padding: Any) -> None:
    if padding == ((1, 0), (-1, 2)) and geometry["window"] == 2:
        padding = ((1, 0), (-1, 1))
    x = normal(2, 5, 6, 3)
    full = kk.Conv(**geometry, padding=padding, W_std=1.3, b_std=0.4)
    values, drawn = apply_layer(full, x)
    kernel, bias = (np.asarray(drawn["Conv_1"][part]) for part in ("kernel", "bias"))
    taps = kernel.reshape(-1, 3, 4)

    def convolved(pixels: list[Any]) -> np.ndarray:
        total = sum(p @ W for p, W in zip(pixels, taps, strict=True) if p is not None)
        return 1.3 / np.sqrt(len(taps) * 3) * total + 0.4 * bias

    np.testing.assert_allclose(values, over_windows(full, x, convolved), rtol=1e-5, atol=1e-5)

    depthwise = kk.DepthwiseConv(**geometry, padding=padding, W_std=1.3)
    values, drawn = apply_layer(depthwise, x)
    filters = np.asarray(drawn["DepthwiseConv_1"]["kernel"]).reshape(-1, 3)
    assert set(drawn["DepthwiseConv_1"]) == {"kernel"}

    def filtered(pixels: list[Any]) -> np.ndarray:
        total = sum(p * w for p, w in zip(pixels, filters, strict=True) if p is not None)
        return 1.3 / np.sqrt(len(filters)) * np.asarray(total)

    np.testing.assert_allclose(values, over_windows(depthwise, x, filtered), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("padding", PADDINGS)
@pytest.mark.parametrize("geometry", GEOMETRIES)
def test_pools_are_means_and_maxima_over_windows(geometry: dict[str, Any], padding: Any) -> None:
    if padding == ((1, 0), (-1, 2)) and geometry["window"] == 2:
        padding = ((1, 0), (-1, 1))
    x = normal(2, 5, 6, 3)

    def inside(pixels: list[Any]) -> np.ndarray:
        return np.array([p for p in pixels if p is not None])

    cases: list[tuple[Any, Callable[[list[Any]], Any]]] = [
        (kk.AvgPool(**geometry, padding=padding), lambda p: inside(p).mean(0)),
        (
            kk.AvgPool(**geometry, padding=padding, divisor="window"),
            lambda p: inside(p).sum(0) / len(p),
        ),
        (kk.MaxPool(**geometry, padding=padding), lambda p: inside(p).max(0)),
    ]
    for layer, value in cases:
        expected = over_windows(layer, x, value)
        np.testing.assert_allclose(apply_layer(layer, x)[0], expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("c", "edges"), [(c, "zero") for c in (0, 1, 2, 9)] + [(c, "circular") for c in (0, 1, 2)]
)
def test_local_average_pools_average_around_each_pixel(c: int, edges: Any) -> None:
    layer, x = kk.LocalAvgPool(c, edges), normal(2, 5, 6, 3)

    def around(image: np.ndarray, i: int, j: int) -> np.ndarray:
        total = np.zeros(3)
        for a in range(i - c, i + c + 1):
            for b in range(j - c, j + c + 1):
                if edges == "circular" or (0 <= a < 5 and 0 <= b < 6):
                    total += image[a % 5, b % 6]
        return total / (2 * c + 1) ** 2

    expected = [[around(image, i, j) for i in range(5) for j in range(6)] for image in x]
    values = apply_layer(layer, x)[0]
    np.testing.assert_allclose(values, np.reshape(expected, (2, -1)), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("over", ["channels", "channels and pixels"])
def test_layer_norm_is_over_the_channels_of_each_image(over: Any) -> None:
    x = normal(3, 4, 5, 6) + 1
    axes = (3,) if over == "channels" else (1, 2, 3)
    mean, variance = x.mean(axes, keepdims=True), x.var(axes, keepdims=True)
    expected = (x - mean) / np.sqrt(variance + 0.1)
    values = apply_layer(kk.LayerNorm(over, eps=0.1), x)[0]
    np.testing.assert_allclose(values, expected, rtol=1e-4, atol=1e-5)
    flat = apply_layer(kk.serial(kk.Flatten(), kk.LayerNorm(over)), x)[0]
    np.testing.assert_allclose(flat.mean(1), 0, atol=1e-5)
    np.testing.assert_allclose(flat.var(1), 1, rtol=1e-4)


def test_a_flattened_concatenation_alternates_between_its_parts() -> None:
    both = kk.parallel(kk.Conv(1), kk.Conv(1, width=0.5), join=kk.Concat())
    x = normal(2, 3, 3, 2)
    key = jax.random.key(0)
    image, flat = (
        network.apply(network.init(key, x), x)
        for network in (
            finite_network(kk.serial(both, last), 4, outputs=None)
            for last in (kk.Identity(), kk.Flatten())
        )
    )
    assert image.shape == (2, 3, 3, 6)
    np.testing.assert_array_equal(flat, image.reshape(2, -1))


def test_channels_follow_the_relative_widths() -> None:
    architecture = kk.serial(
        kk.Dense(width=0.5), kk.Relu(), kk.Dense(width=2), kk.Dense(width=1e-3), kk.Dense(width=3)
    )
    x = normal(2, 7)
    for outputs, last in ((1, 1), (10, 10), (None, 24)):
        network = finite_network(architecture, 8, outputs=outputs)
        params = network.init(jax.random.key(0), x)["params"]
        kernels = [params[f"Dense_{i}"]["kernel"].shape for i in (1, 3, 4, 5)]
        assert kernels == [(7, 4), (4, 16), (16, 1), (1, last)]


# --- parameters ----------------------------------------------------------------------------------


def test_parameterisations_agree_in_function_and_differ_in_their_tangent_kernels() -> None:
    """``∂f/∂W`` in one is ``W_std / √fan_in`` times that in the other; of the bias ``b_std``."""
    architecture = kk.serial(
        kk.Conv(3, W_std=1.4, b_std=0.3), kk.Relu(), kk.Flatten(), kk.Dense(W_std=0.7, b_std=0.1)
    )
    x = normal(3, 4, 4, 2)
    key = jax.random.key(0)
    ntk, standard = (
        finite_network(architecture, 16, parameterization=name) for name in ("ntk", "standard")
    )
    drawn = {name: net.init(key, x) for name, net in (("ntk", ntk), ("standard", standard))}
    np.testing.assert_allclose(
        ntk.apply(drawn["ntk"], x), standard.apply(drawn["standard"], x), rtol=1e-5, atol=1e-6
    )
    for name, deviation in (("ntk", 1.0), ("standard", 1.4 / np.sqrt(18))):
        kernel = drawn[name]["params"]["Conv_1"]["kernel"]
        error = deviation / np.sqrt(2 * kernel.size)
        assert abs(float(jnp.std(kernel)) - deviation) < 4 * error
    jacobian = jax.jacrev(lambda v: ntk.apply(v, x)[:, 0])(drawn["ntk"])["params"]
    factors = {
        ("Conv_1", "kernel"): 18 / 1.4**2,
        ("Conv_1", "bias"): 1 / 0.3**2,
        ("Dense_4", "kernel"): 256 / 0.7**2,
        ("Dense_4", "bias"): 1 / 0.1**2,
    }
    expected = np.zeros((3, 3))
    for (layer, part), factor in factors.items():
        rows = np.asarray(jacobian[layer][part]).reshape(3, -1)
        expected += factor * rows @ rows.T
    params, rest = split(drawn["standard"])
    found = kk.EmpiricalKernel(function(standard, rest), params)(x)
    np.testing.assert_allclose(found, expected, rtol=1e-4)


def test_untrained_layers_are_no_parameters() -> None:
    frozen = kk.Conv(3, W_std=HE, b_std=0.2, trainable=False)
    architecture = kk.serial(frozen, kk.Relu(), kk.Conv(3), kk.GlobalAvgPool(), kk.Dense())
    network = finite_network(architecture, 8)
    x = normal(2, 4, 4, 3)
    variables = network.init(jax.random.key(0), x)
    assert set(variables) == {"params", "fixed"}
    assert set(variables["fixed"]) == {"Conv_1"}
    assert set(variables["params"]) == {"Conv_3", "Dense_5"}
    params, rest = split(variables)
    gradient = jax.grad(lambda p: function(network, rest)(p, x).sum())(params)
    assert set(gradient) == {"Conv_3", "Dense_5"}
    everything = kk.EmpiricalKernel(network.apply, variables)(x)
    trained = kk.EmpiricalKernel(function(network, rest), params)(x)
    assert np.all(np.diag(trained) < np.diag(everything))


def test_a_network_in_double_precision_is_double() -> None:
    architecture = kk.serial(kk.Conv(3), kk.Normalize(), kk.Relu(), kk.Flatten(), kk.Dense())
    network = finite_network(architecture, 4)
    with jax.enable_x64(True):
        x = np.random.default_rng(0).normal(size=(2, 4, 4, 1))
        variables = network.init(jax.random.key(0), x)
        assert {leaf.dtype for leaf in jax.tree.leaves(variables)} == {np.dtype("float64")}
        assert network.apply(variables, x).dtype == np.float64


# --- normalisation over a batch ------------------------------------------------------------------


def normalized(center: bool) -> kk.Architecture:
    norm = kk.Normalize(center=center)
    layers = (kk.Conv(3, W_std=HE), norm, kk.Relu(), kk.Conv(3, b_std=0.2), norm, kk.Relu())
    return kk.serial(*layers, kk.GlobalAvgPool(), kk.Dense())


@pytest.mark.parametrize("center", [True, False])
@pytest.mark.parametrize("beside", [True, False])
def test_batchnorm_uses_the_statistics_of_its_batch(center: bool, beside: bool) -> None:
    architecture = normalized(center)
    batch, others = normal(5, 4, 4, 3), normal(3, 4, 4, 3, seed=1)
    x = others if beside else batch
    oracle = FiniteNetwork(architecture, x, 6, batch, "batchnorm")
    drawn = oracle.draw(jax.random.key(0))
    expected = oracle.forward(drawn, {})[-1]
    network = finite_network(architecture, 6)
    statistics = network.init(jax.random.key(0), x)["batch_stats"]
    variables = with_weights(architecture, drawn) | {"batch_stats": statistics}
    options = {"reference": batch} if beside else {}

    @jax.jit
    def step(variables: Any, images: Any, **options: Any) -> Any:
        return network.apply(variables, images, train=True, mutable=["batch_stats"], **options)

    values, updated = step(variables, x, **options)
    np.testing.assert_allclose(values, expected, rtol=1e-4, atol=1e-5)

    still = network.apply(variables, x)
    assert not np.allclose(still, values, rtol=0.05)
    for _ in range(150):
        _, updated = step(variables | updated, batch)
    settled = network.apply(variables | updated, x)
    np.testing.assert_allclose(settled, values, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("center", [True, False])
def test_the_limit_has_derivatives_through_the_means(center: bool) -> None:
    """The empirical tangent kernel is the oracle's, whose derivative goes through the means."""
    architecture = normalized(center)
    x, reference = normal(3, 4, 4, 3), normal(4, 4, 4, 3, seed=1)
    scales = normalize_scales(architecture, reference)
    oracle = FiniteNetwork(architecture, x, 5, reference)
    drawn = oracle.draw(jax.random.key(0))
    jacobian = jax.jacrev(lambda p: oracle.forward(p, scales)[-1][:, 0])(drawn)
    rows = [np.asarray(leaf).reshape(3, -1) for leaf in jax.tree.leaves(jacobian)]
    expected = sum(row @ row.T for row in rows)
    network = finite_network(architecture, 5, normalization="limit", scales=scales)
    params, rest = split(with_weights(architecture, drawn))
    found = kk.EmpiricalKernel(function(network, rest, reference=reference), params)(x)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("scales", [{2: (np.inf,)}, {}])
def test_nothing_to_divide_is_zero(scales: dict[int, tuple[float, ...]]) -> None:
    architecture = kk.serial(kk.Conv(3), kk.Normalize(center=False), kk.Flatten(), kk.Dense())
    network = finite_network(architecture, 4, normalization="limit", scales=scales)
    x = normal(2, 3, 3, 1)
    variables = network.init(jax.random.key(0), x)
    assert not np.any(network.apply(variables, x))


def test_the_limits_scales_are_those_of_the_bound_kernel() -> None:
    """``NeuralKernel.normalization_scales`` is what the oracle divides by."""
    both = kk.parallel(kk.Conv(1), kk.Conv(1, W_std=2.0, width=0.5), join=kk.Concat())
    norms = (both, kk.Normalize(), kk.Relu(), kk.Conv(3), kk.Normalize(center=False))
    architecture = kk.serial(*norms, kk.Flatten(), kk.Dense())
    reference = normal(4, 4, 4, 3, seed=1)
    found = kk.NeuralKernel(architecture).bind(reference).normalization_scales()
    expected = normalize_scales(architecture, reference)
    assert set(found) == set(expected)
    for node, scales in found.items():
        np.testing.assert_allclose(scales, expected[node], rtol=1e-5)
    with pytest.raises(UnboundKernelError, match=r"kernel\.bind"):
        kk.NeuralKernel(architecture).normalization_scales()
    finite_network(architecture, 4, normalization="limit", scales=found)


def test_each_block_of_a_concatenation_has_its_scale() -> None:
    both = kk.parallel(kk.Conv(1), kk.Conv(1, width=0.5), join=kk.Concat())
    architecture = kk.serial(both, kk.Normalize(center=False))
    node = architecture.output
    x = normal(2, 3, 3, 2)

    def apply(scales: tuple[float, ...]) -> np.ndarray:
        network = finite_network(
            architecture, 4, outputs=None, normalization="limit", scales={node: scales}
        )
        return np.asarray(network.apply(network.init(jax.random.key(0), x), x))

    np.testing.assert_allclose(
        apply((2.0, 0.5)), apply((1.0, 1.0)) / np.repeat([2, 0.5], [4, 2]), rtol=1e-6
    )
    with pytest.raises(ConfigurationError, match="1 scales: expected 2"):
        apply((1.0,))


# --- refusals ------------------------------------------------------------------------------------

CHAIN = kk.serial(kk.Conv(3), kk.Relu(), kk.Flatten(), kk.Dense())
NORMALIZED = kk.serial(kk.Conv(3), kk.Normalize(), kk.Flatten(), kk.Dense())


@pytest.mark.parametrize(
    ("architecture", "options", "error", "message"),
    [
        (CHAIN, {"width": 0}, ConfigurationError, "width=0: expected an integer >= 1"),
        (CHAIN, {"outputs": 0}, ConfigurationError, "outputs=0"),
        (CHAIN, {"parameterization": "mup"}, ConfigurationError, "'ntk' or 'standard'"),
        (CHAIN, {"normalization": "layer"}, ConfigurationError, "'batchnorm' or 'limit' or 'none'"),
        ("CHAIN", {}, ConfigurationError, "expected an Architecture"),
        (kk.serial(kk.Conv(3), kk.Flatten()), {}, ArchitectureError, "outputs=None"),
        (NORMALIZED, {"scales": {2: (1.0,)}}, ConfigurationError, "use normalization='limit'"),
        (NORMALIZED, {"normalization": "limit"}, ConfigurationError, r"scales of nodes \[2\]"),
        (
            NORMALIZED,
            {"normalization": "limit", "scales": {1: (1.0,)}},
            ConfigurationError,
            "node 1, which is no Normalize",
        ),
        (
            NORMALIZED,
            {"normalization": "limit", "scales": {2: (-1.0,)}},
            ConfigurationError,
            "expected numbers > 0",
        ),
    ],
)
def test_networks_that_cannot_be_made_are_refused(
    architecture: Any, options: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        finite_network(architecture, **{"width": 4, **options})


def test_images_that_do_not_fit_are_refused() -> None:
    key, x = jax.random.key(0), normal(2, 4, 4, 1)
    network = finite_network(CHAIN, 4)
    with pytest.raises(DataError, match="expected \\(n, height, width, channels\\)"):
        network.init(key, x[..., None])
    with pytest.raises(ArchitectureError, match="needs an image but gets a vector"):
        network.init(key, normal(2, 5))
    limit = finite_network(NORMALIZED, 4, normalization="limit", scales={2: (1.0,)})
    with pytest.raises(ConfigurationError, match="pass reference=images"):
        limit.init(key, x)
    with pytest.raises(DataError, match="expected images of equal shapes"):
        limit.init(key, x, reference=x[:, :3])
    with pytest.raises(ConfigurationError, match="pass train=True"):
        finite_network(NORMALIZED, 4).init(key, x, reference=x)


def test_flax_is_imported_where_a_network_is_made() -> None:
    imported = "import sys, kernas.kernels; sys.exit('flax' in sys.modules)"
    subprocess.run([sys.executable, "-c", imported], check=True)
