"""The engine against the NumPy oracle, and the invariants of its tiles."""

import re
from typing import Any, cast

import jax
import numpy as np
import pytest
from oracles.agreement import BOTH, check_engine
from oracles.limit_networks import CASES, CHOSEN
from oracles.random_networks import random_architecture
from selection import ordinary

import kernas.kernels as kk
from kernas.errors import ArchitectureError, ConfigurationError, DataError, UnboundKernelError
from kernas.kernels import NeuralKernel
from kernas.kernels.engine import Blocking, Execution, tile_shape
from kernas.kernels.engine.records import record_bytes
from kernas.kernels.engine.workers import local_workers
from kernas.kernels.program import lower
from kernas.search import NasBench201

FORMS = (None, "center", "rms", "any")
AT_ONCE = Blocking("whole")
BLOCKINGS = pytest.mark.parametrize(
    "blocking", [AT_ONCE, Blocking("planes", lanes=4)], ids=["at once", "by plane"]
)


def images(rng, n, shape):
    return rng.standard_normal((n, *shape))


def check_against_oracle(architecture, rng, shape, **options):
    x1, x2, reference = (images(rng, 3, shape) for _ in range(3))
    check_engine(architecture, x1, x2, reference, **options)


def random_case(seed, sides):
    rng = np.random.default_rng(seed)
    flat = seed % 7 == 6
    image = (int(rng.choice(sides)), int(rng.choice(sides)), 2)
    architecture = random_architecture(
        rng,
        image=image,
        normalize=FORMS[seed % 4],
        flat=flat,
        remeet=seed % 5 == 0,
        layers="all" if seed % 2 else "basic",
    )
    return architecture, rng, (5,) if flat else image


@pytest.mark.oracle("NumPy loops", networks=lambda seed: random_case(seed, sides=[4])[0])
@pytest.mark.parametrize("seed", ordinary(range(10), of=range(30)))
def test_random_networks_agree_with_numpy(seed):
    """In float32 for every fifth: compiling is what takes long."""
    precisions = (np.float64, np.float32) if seed % 5 == 0 else (np.float64,)
    check_against_oracle(*random_case(seed, sides=[4]), precisions=precisions)


@pytest.mark.slow
@pytest.mark.oracle("NumPy loops", networks=lambda seed: random_case(seed, sides=[3, 4, 5])[0])
@pytest.mark.parametrize("seed", range(1000, 1200))
def test_many_random_networks_agree_with_numpy(seed):
    check_against_oracle(*random_case(seed, sides=[3, 4, 5]))


@pytest.mark.oracle("NumPy loops", networks=lambda case: CASES[case]())
@pytest.mark.parametrize("case", ordinary(CHOSEN, of=CASES))
def test_networks_that_finite_ones_are_compared_with_agree_with_numpy(case):
    architecture = CASES[case]()
    shape = (5,) if isinstance(architecture.nodes[1].layer, kk.Dense) else (4, 4, 3)
    rng = np.random.default_rng(0)
    x, reference = images(rng, 3, shape), images(rng, 3, shape)
    check_engine(architecture, x, None, reference, precisions=(np.float64,))


def random_cell(seed, center):
    (candidate,) = NasBench201(cells_per_stage=1, center=center).sample(1, seed=seed)
    return candidate.architecture


def check_cell(seed, center, **options):
    rng = np.random.default_rng(seed)
    check_against_oracle(random_cell(seed, center), rng, (4, 4, 3), **options)


@pytest.mark.oracle("NumPy loops", networks=lambda center: random_cell(7, center))
@pytest.mark.parametrize("center", [True, False])
def test_a_random_cell_agrees_with_numpy(center):
    check_cell(7, center, precisions=(np.float64,))


@pytest.mark.slow
@pytest.mark.oracle("NumPy loops", networks=random_cell)
@pytest.mark.parametrize("center", [True, False])
@pytest.mark.parametrize("seed", range(20))
def test_many_random_cells_agree_with_numpy(seed, center):
    check_cell(seed, center)


@pytest.mark.oracle("NumPy loops", networks=lambda architecture: architecture)
@pytest.mark.parametrize(
    "architecture",
    [
        kk.serial(kk.Conv(3), kk.Flatten(), kk.Relu(), kk.Dense()),
        kk.serial(kk.Conv(3), kk.Normalize(), kk.Flatten(), kk.Relu(), kk.Dense(b_std=0.1)),
        kk.serial(kk.Flatten(), kk.Dense(), kk.Relu(), kk.Dense(b_std=0.3)),
        kk.serial(kk.Conv(3), kk.Relu(), kk.Flatten(), kk.GlobalAvgPool(), kk.Dense()),
        kk.serial(kk.Conv(3), kk.Zero(), kk.Flatten(), kk.Dense(b_std=0.5)),
        kk.serial(kk.Conv(3), kk.residual(kk.Relu()), kk.Conv(3), kk.Flatten()),
        kk.serial(kk.Conv(3, W_std=0.0), kk.Normalize(), kk.Relu(), kk.Flatten(), kk.Dense()),
        kk.serial(kk.Conv(3, trainable=False), kk.Relu(), kk.Flatten()),
    ],
)
def test_flattened_pixels_and_stein_agree_with_numpy(architecture):
    check_against_oracle(architecture, np.random.default_rng(0), (4, 4, 2))


@pytest.fixture
def network():
    return kk.serial(
        kk.Conv(3, W_std=2**0.5, b_std=0.1),
        kk.Normalize(),
        kk.residual(
            kk.serial(kk.Relu(), kk.Conv(3, W_std=2**0.5)), kk.AvgPool(3, padding=((1, 1), (1, 1)))
        ),
        kk.Normalize(center=False),
        kk.Relu(),
        kk.GlobalAvgPool(),
        kk.Dense(),
    )


@pytest.fixture
def x():
    return images(np.random.default_rng(1), 11, (4, 4, 2))


@BLOCKINGS
@pytest.mark.parametrize("side", [1, 2, 5])
def test_result_does_not_depend_on_tiles(network, x, side, blocking):
    """Eleven images never divide evenly into tiles of two or five."""
    whole = NeuralKernel(network, get=BOTH, blocking=AT_ONCE).bind(x, 6)
    program = lower(network, x.shape[1:])
    shape = tile_shape(Execution(program, blocking, with_tangent=True), 10**9, 6)
    least = record_bytes(program, 6, with_tangent=True)
    budget = max(shape.pair_bytes * len(local_workers()) * side**2, least)
    small = NeuralKernel(network, get=BOTH, tile_bytes=budget, blocking=blocking).bind(x, 6)
    for a, b in [(x, None), (x[:3], x), (x, x[:1])]:
        for ours, theirs in zip(small(a, b), whole(a, b), strict=True):
            np.testing.assert_allclose(ours, theirs, rtol=2e-5, atol=1e-6)


@BLOCKINGS
def test_tiles_fit_their_budget(network, x, blocking):
    program = lower(network, x.shape[1:])
    shape = tile_shape(Execution(program, blocking, with_tangent=True), 10**6, 6)
    tiles = len(local_workers())
    assert 0 < tiles * shape.rows * shape.columns * shape.pair_bytes <= 10**6
    with pytest.raises(ConfigurationError, match=r"needs \d+ bytes; give at least that"):
        NeuralKernel(network, tile_bytes=100, blocking=blocking).bind(x)(x)


@BLOCKINGS
def test_one_triangle_gives_the_whole_matrix(network, x, blocking):
    kernel = NeuralKernel(network, get=BOTH, blocking=blocking).bind(x, 6)
    for whole, triangle in zip(kernel(x, x), kernel(x), strict=True):
        np.testing.assert_array_equal(triangle, triangle.T)
        np.testing.assert_allclose(triangle, whole, rtol=2e-5)


def test_kernels_are_positive_semidefinite(network, x):
    with jax.enable_x64(True):
        for matrix in NeuralKernel(network, get=BOTH).bind(x, 6)(x):
            values = np.linalg.eigvalsh(matrix)
            assert values[0] > -1e-12 * values[-1]


def test_prepared_images_give_the_same_numbers(network, x):
    kernel = NeuralKernel(network, get=BOTH).bind(x, 6)
    train, rest = kernel.prepare(x[:7]), kernel.prepare(x[7:])
    for direct, prepared in zip(kernel(x[7:], x[:7]), kernel(rest, train), strict=True):
        np.testing.assert_array_equal(direct, prepared)
    np.testing.assert_array_equal(kernel(x[:7]).ntk, kernel(train).ntk)
    assert len(train) == 7


@BLOCKINGS
@pytest.mark.parametrize("precision", [np.float32, np.float64])
def test_equal_images_give_the_kernel_of_the_image_with_itself(network, x, blocking, precision):
    """Up to a few roundings: tiles of other sizes add in another order."""
    with jax.enable_x64(precision is np.float64):
        kernel = NeuralKernel(network, get=BOTH, blocking=blocking).bind(x, 6)
        own, cross = kernel(x), kernel(x[[4, 2, 4]], x)
    few = 8 * float(np.finfo(precision).eps)
    for a, b in zip(own, cross, strict=True):
        np.testing.assert_allclose(b[[0, 1, 2], [4, 2, 4]], np.diag(a)[[4, 2, 4]], rtol=few)


def test_equal_pixels_are_exact_in_float32():
    """A pool as large as its map makes all pixels of an image equal: ρ = 1 between them."""
    architecture = kk.serial(
        kk.Conv(3, W_std=2**0.5),
        kk.AvgPool(3, padding=((1, 1), (1, 1))),
        kk.Relu(),
        kk.Conv(3, W_std=2**0.5),
        kk.Relu(),
        kk.GlobalAvgPool(),
        kk.Dense(),
    )
    x = images(np.random.default_rng(5), 6, (2, 2, 3))
    with jax.enable_x64(True):
        exact = NeuralKernel(architecture)(x)
    assert np.max(np.abs(NeuralKernel(architecture)(x) / exact - 1)) < 1e-5


def test_float32_diagonal_is_as_good_as_the_rest():
    """Ten layers on real-sized correlations: Θ(x, x) keeps float32's digits."""
    depth = [part for _ in range(10) for part in (kk.Dense(W_std=2**0.5), kk.Relu())]
    architecture = kk.serial(*depth, kk.Dense())
    x = images(np.random.default_rng(0), 6, (40,))
    with jax.enable_x64(True):
        exact = NeuralKernel(architecture)(x)
    single = NeuralKernel(architecture)(x)
    assert np.max(np.abs(np.diag(single) / np.diag(exact) - 1)) < 1e-5


def test_small_variances_keep_the_digits_of_float32():
    """Each ReLU halves the variance: after sixty the product of two is no float32 any more."""
    depth = [part for _ in range(66) for part in (kk.Dense(), kk.Relu())]
    architecture = kk.serial(*depth, kk.Dense())
    x = images(np.random.default_rng(0), 4, (20,))
    with jax.enable_x64(True):
        exact = NeuralKernel(architecture, get=BOTH)(x)
    for ours, theirs in zip(NeuralKernel(architecture, get=BOTH)(x), exact, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-3)


@pytest.mark.parametrize("distance", [1e-3, 1e-5, 1e-7])
def test_nearly_equal_images_keep_the_stated_bound(distance):
    """Rounding of 4 ε, and 8 ε taken for equality, move the angle by sqrt(24 ε) a layer."""
    layers = 4
    depth = [part for _ in range(layers) for part in (kk.Dense(W_std=2**0.5), kk.Relu())]
    architecture = kk.serial(*depth, kk.Dense())
    rng = np.random.default_rng(2)
    x = images(rng, 5, (20,)).astype(np.float32)
    near = (x + distance * images(rng, 5, (20,))).astype(np.float32)
    with jax.enable_x64(True):
        exact = NeuralKernel(architecture)(x, near)
    error = np.abs(NeuralKernel(architecture)(x, near) / exact - 1)
    angle = np.sqrt(24 * np.finfo(np.float32).eps)
    assert np.max(np.diag(error)) <= layers * angle / np.pi


def test_get_chooses_the_kernels(network, x):
    kernel = NeuralKernel(network, get=BOTH).bind(x, 6)
    both = kernel(x)
    assert isinstance(both, kk.Kernels)
    np.testing.assert_allclose(kernel(x, get="nngp"), both.nngp, rtol=1e-6)
    np.testing.assert_array_equal(kernel(x, get="ntk"), both.ntk)
    assert kernel(x, get=("ntk",)).nngp is None
    assert both.nngp.dtype == np.float32


def test_reference_images_are_part_of_the_kernel(network, x):
    kernel = NeuralKernel(network)
    assert kernel.needs_bind
    assert not kernel.is_bound
    six = kernel.bind(x, 6)
    np.testing.assert_array_equal(six(x), kernel.bind(x, 6)(x))
    assert np.max(np.abs(six(x) - kernel.bind(x, 7)(x))) > 1e-4
    assert np.max(np.abs(six(x) - kernel.bind(x, 6, seed=1)(x))) > 1e-4
    np.testing.assert_array_equal(kernel.bind(x, 11)(x), kernel.bind(x, 99)(x))


def test_a_network_of_zeros_has_a_kernel_of_zeros(x):
    architecture = kk.serial(kk.Conv(3), kk.Zero(), kk.Normalize(), kk.Flatten(), kk.Dense())
    nngp, ntk = NeuralKernel(architecture, get=BOTH).bind(x)(x)
    assert not nngp.any()
    assert not ntk.any()


def test_a_constant_channel_normalises_to_zero(x):
    """A convolution of weight zero has only its bias: v − m is rounding, and K must be 0."""
    architecture = kk.serial(
        kk.Conv(1, W_std=0.0, b_std=0.7), kk.Normalize(), kk.Flatten(), kk.Dense()
    )
    assert not NeuralKernel(architecture, get="nngp").bind(x)(x).any()


def test_a_refused_bind_says_how_many_reference_images_fit(network, x):
    kernel = NeuralKernel(network)
    with pytest.raises(ConfigurationError, match=r"n_reference=6 images of .* need") as refused:
        kernel.bind(x, 6, bind_bytes=100_000)
    found = re.search(r"bind with n_reference=(\d+) or fewer", str(refused.value))
    assert found is not None
    fitting = int(found[1])
    assert kernel.bind(x, fitting, bind_bytes=100_000).is_bound
    with pytest.raises(ConfigurationError, match=f"n_reference={fitting} or fewer"):
        kernel.bind(x, fitting + 1, bind_bytes=100_000)


def conv_net(*layers):
    return kk.serial(*layers, kk.Flatten(), kk.Dense())


@pytest.mark.parametrize(
    ("architecture", "message"),
    [
        (conv_net(kk.Relu()), r"node 1 \(Relu reading 0\) acts on node 0, which is not Gaussian"),
        (conv_net(kk.Conv(3), kk.Relu(), kk.AvgPool(2), kk.Relu()), "insert Conv"),
        (conv_net(kk.Conv(3), kk.Relu(), kk.Normalize(), kk.Relu()), "insert Conv"),
        (conv_net(kk.residual(kk.Conv(3))), "raw input"),
        (kk.serial(kk.Conv(3), kk.Flatten(), kk.Normalize(), kk.Dense()), "before Flatten"),
        (conv_net(kk.AvgPool(2), kk.Normalize(), kk.Conv(3)), "normalises the raw input"),
        (kk.serial(kk.Conv(3), kk.Relu()), "end with GlobalAvgPool"),
        (conv_net(kk.Conv(3), kk.DepthwiseConv(3), kk.Relu()), r"node 3 .* depthwise .*Conv\(1\)"),
        (conv_net(kk.DepthwiseConv(3), kk.Conv(1)), "convolves each channel of the raw input"),
        (conv_net(kk.Conv(3), kk.MaxPool(2)), r"node 2 \(MaxPool .* as_average=True\)"),
        (conv_net(kk.Conv(3), kk.Relu(), kk.LayerNorm()), "mean over the channels of node 2"),
        (conv_net(kk.LayerNorm(), kk.Conv(1)), "normalises the raw input"),
    ],
)
def test_networks_without_an_exact_kernel_are_refused_by_name(architecture, message, x):
    with pytest.raises(ArchitectureError, match=message):
        NeuralKernel(architecture)(x)


def test_bad_arguments_are_refused_in_one_line(network, x):
    kernel = NeuralKernel(network)
    bound = kernel.bind(x)
    broken = x.copy()
    broken[3, 0, 0, 0] = np.nan
    dense = NeuralKernel(kk.serial(kk.Dense(), kk.Relu(), kk.Dense()))
    cases = [
        (lambda: kernel(x), UnboundKernelError, r"kernel\.bind\(x_train\)"),
        (lambda: kernel.bind(x, 0), ConfigurationError, "n_reference=0"),
        (lambda: bound(broken), DataError, r"x\[3\] has NaN"),
        (lambda: kernel.bind(broken), DataError, r"x_train\[3\] has NaN"),
        (lambda: bound(x[..., 0]), ArchitectureError, r"x\[\.\.\., None\]"),
        (lambda: bound(x[:0]), DataError, "has shape"),
        (lambda: bound(x, x[:, :3]), DataError, r"bound to images of \(4, 4, 2\)"),
        (lambda: dense(np.ones((2, 3)), np.ones((2, 4))), DataError, "expected equal shapes"),
        (lambda: dense(np.array([["a"]])), DataError, "expected real numbers"),
        (lambda: NeuralKernel(network, get=cast(Any, "NTK")), ConfigurationError, "get='NTK'"),
        (lambda: NeuralKernel(network, tile_bytes=0), ConfigurationError, "tile_bytes=0"),
        (lambda: NeuralKernel(cast(Any, "conv")), ConfigurationError, "expected an Architecture"),
        (lambda: bound(kernel.bind(x).prepare(x)), DataError, "prepared by another kernel"),
        (
            lambda: NeuralKernel(network, get="nngp").bind(x)(x, get="ntk"),
            UnboundKernelError,
            "bound with get='nngp'",
        ),
        (
            lambda: dense(dense.prepare(np.eye(2), get="nngp")),
            DataError,
            "without the tangent kernel",
        ),
    ]
    for call, error, message in cases:
        with pytest.raises(error, match=message):
            call()
