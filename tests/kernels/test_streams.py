"""Networks as data: against the NumPy oracle, and what they share."""

import pickle
from dataclasses import replace
from functools import cache
from typing import Any, cast

import jax
import numpy as np
import pytest
from oracles.agreement import BOTH, FLOAT64, check_engine, check_kernels, expected_kernels
from oracles.random_networks import random_architecture
from selection import ordinary
from sklearn.base import clone

import kernas.kernels as kk
from kernas.errors import ConfigurationError
from kernas.kernels import NeuralKernel
from kernas.kernels.engine import Blocking, streams
from kernas.kernels.engine.calibration import way_of
from kernas.kernels.kernel import SharedPrograms
from kernas.kernels.program import lower
from kernas.kernels.program.streams import stream_of
from kernas.search import NasBench201

STREAM = Blocking("stream", lanes=4)
CELLS = 25
SHAPE = (4, 4, 3)

POOL = kk.AvgPool(3, stride=1, padding="SAME")

LAYERS = {
    "strides and explicit padding": kk.serial(
        kk.Conv(3, stride=2, padding=((1, 1), (1, 1)), b_std=0.2), kk.Relu(), kk.AvgPool(2)
    ),
    "circular windows": kk.serial(
        kk.Conv(3, padding="CIRCULAR"),
        kk.Relu(),
        kk.AvgPool(3, stride=1, padding="CIRCULAR"),
        kk.LocalAvgPool(1),
    ),
    "dilation and cropped edges": kk.serial(
        kk.Conv(2, dilation=2, padding=((0, 0), (-1, 1))),
        kk.Erf(),
        kk.AvgPool((1, 2)),
        kk.Flatten(),
    ),
    "depthwise, large windows": kk.serial(
        kk.Conv(1), kk.DepthwiseConv(5), kk.Conv(1), kk.Relu(), POOL
    ),
    "layer normalisation": kk.serial(
        kk.Conv(3), kk.LayerNorm(), kk.Relu(), kk.AvgPool(2), kk.Conv(1), kk.LayerNorm()
    ),
    "a skip around a nonlinearity": kk.serial(
        kk.Conv(3), kk.residual(kk.Relu()), kk.AvgPool(2, stride=2), kk.Conv(1), kk.Sin()
    ),
    "a linear skip of the image": kk.parallel(
        kk.serial(
            kk.Conv(3), kk.Relu(), POOL, kk.Conv(1), kk.Relu(), kk.GlobalAvgPool(), kk.Dense()
        ),
        kk.serial(kk.Flatten(), kk.Dense()),
    ),
    "means before pools of two kinds": kk.serial(
        kk.Conv(3),
        kk.Normalize(),
        kk.Relu(),
        kk.parallel(kk.AvgPool(2, stride=2), kk.AvgPool(3, stride=2, padding="SAME")),
        kk.Conv(3),
        kk.Relu(),
    ),
    "concatenation": kk.serial(
        kk.Conv(3),
        kk.parallel(POOL, kk.serial(kk.Relu(), kk.Conv(3)), kk.Cos(), join=kk.Concat()),
        kk.Conv(3),
        kk.Sin(),
    ),
    "the same term twice, a constant": kk.serial(
        kk.Conv(3, b_std=0.3), kk.parallel(kk.Cos(), kk.Cos(), POOL), kk.Conv(3), kk.Cos()
    ),
}
"""Networks by what they are here for; those that end in an image get a global pool."""


def cells(center, n=CELLS):
    return NasBench201(cells_per_stage=1, center=center).sample(n, seed=11)


@cache
def cover(center):
    """Programs that serve all cells."""
    return SharedPrograms.of(NasBench201(1, center).cover(SHAPE), SHAPE)


def small(center):
    """A network with all that a cell has, which is compiled sooner."""
    normalized = [kk.Conv(3), kk.Normalize(center=center), kk.Relu()]
    return kk.serial(*normalized, kk.parallel(kk.Identity(), POOL), *normalized, kk.GlobalAvgPool())


def images(seed, n, shape=SHAPE):
    return np.random.default_rng(seed).standard_normal((n, *shape))


def is_stream(architecture, shape=SHAPE):
    return streams.is_stream(lower(architecture, shape))


def check_stream(architecture, seed=0, **options):
    assert is_stream(architecture)
    x1, x2, reference = (images(seed + i, n) for i, n in enumerate((2, 2, 3)))
    check_engine(architecture, x1, x2, reference, blocking=STREAM, **options)


@pytest.mark.parametrize("case", LAYERS)
def test_layers_agree_with_numpy(case):
    network = LAYERS[case]
    end = () if network.shapes(SHAPE)[network.output] == () else (kk.GlobalAvgPool(),)
    check_stream(kk.serial(network, *end, kk.Dense(b_std=0.1)), precisions=(np.float64,))


def test_two_means_of_one_moment_are_no_stream():
    """Of one pixel the mean over pixels is the pixel, and a row keeps one mean."""
    both = kk.Normalize(), kk.GlobalAvgPool()
    network = kk.serial(
        *(kk.Conv(3), kk.Relu(), kk.AvgPool(2, stride=2), kk.Conv(2, padding="VALID")),
        kk.parallel(kk.serial(*both), kk.serial(*reversed(both))),
        *(kk.Dense(), kk.Relu(), kk.Dense()),
    )
    x = images(0, 3)
    assert network.shapes(SHAPE)[4] == (1, 1)
    assert not is_stream(network)
    check_engine(network, x, images(1, 2), images(2, 4), precisions=(np.float64,))


@pytest.mark.parametrize("center", ordinary([False], of=[True, False]))
def test_a_random_cell_agrees_with_numpy(center):
    check_stream(cells(center, 1)[0].architecture, precisions=(np.float64,))


@pytest.mark.slow
@pytest.mark.parametrize("center", [True, False])
@pytest.mark.parametrize("number", range(CELLS))
def test_many_random_cells_agree_with_numpy(number, center):
    network = cells(center)[number].architecture
    x1, x2, reference = (images(number + i, n) for i, n in enumerate((2, 2, 3)))
    with jax.enable_x64(True):
        kernel = NeuralKernel(network, get=BOTH, blocking=STREAM, programs=cover(center))
        assert kernel.shares(SHAPE)
        found = kernel.bind(reference)(x1, x2)
    check_kernels(found, expected_kernels(network, x1, x2, reference), FLOAT64)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3000, 3060))
def test_many_random_networks_agree_with_numpy(seed):
    rng = np.random.default_rng(seed)
    normalize = (None, "center", "rms", "any")[seed % 4]
    drawn = (
        random_architecture(
            rng, image=SHAPE, normalize=normalize, remeet=seed % 5 == 0, layers="all"
        )
        for _ in range(50)
    )
    check_stream(next(filter(is_stream, drawn)), seed)


@pytest.mark.parametrize("center", ordinary([True], of=[True, False]))
def test_pairs_with_reference_images_are_the_same_computed_once(center):
    x, others = images(0, 7), images(1, 5)
    with jax.enable_x64(True):
        whole, stream = (
            NeuralKernel(small(center), get=BOTH, blocking=blocking).bind(x, 4)
            for blocking in (Blocking("whole"), STREAM)
        )
        expected, found = (kernel.gram_and_cross(x, others) for kernel in (whole, stream))
    for theirs, ours in zip(expected, found, strict=True):
        np.testing.assert_allclose(ours.nngp, theirs.nngp, rtol=0, atol=1e-12)
        np.testing.assert_allclose(ours.ntk, theirs.ntk, rtol=0, atol=1e-11)
    np.testing.assert_array_equal(found[0].ntk, found[0].ntk.T)


@pytest.fixture
def network():
    return small(True)


def test_programs_are_values_that_no_order_changes():
    networks = [cell.architecture for cell in cells(True, 6)]
    programs = SharedPrograms.of(networks, SHAPE)
    assert SharedPrograms.of(reversed(networks), list(SHAPE)) == programs
    assert SharedPrograms.of(networks[3:], SHAPE).extended(networks[:3]) == programs
    assert hash(SharedPrograms.of(networks[::-1], SHAPE)) == hash(programs)
    loaded = pickle.loads(pickle.dumps(programs))
    assert loaded == programs
    assert "_hash" not in vars(loaded.pairs)  # that of texts is another one in each process
    assert all(NeuralKernel(one, programs=loaded).shares(SHAPE) for one in networks)


def test_networks_that_share_nothing_are_passed_over():
    too_large = kk.serial(kk.Conv(9, padding="VALID"), kk.Flatten())
    vectors = kk.serial(kk.Dense(), kk.Relu(), kk.Dense())
    assert SharedPrograms.of([too_large], SHAPE) == SharedPrograms(SHAPE)
    assert SharedPrograms.of([vectors], (5,)) == SharedPrograms((5,))
    assert not NeuralKernel(vectors, programs=SharedPrograms((5,))).shares((5,))


def test_a_network_outside_of_the_programs_has_its_own(network):
    x = images(0, 5)
    programs = SharedPrograms.of([small(False)], SHAPE)
    alone = NeuralKernel(network, blocking=STREAM)
    outside = replace(alone, programs=programs)
    inside = replace(alone, programs=programs.extended([network]))
    assert not alone.shares(SHAPE)
    assert not outside.shares(SHAPE)
    assert inside.shares(SHAPE)
    assert not inside.shares((8, 8, 3))
    assert not replace(inside, blocking=Blocking("whole")).shares(SHAPE)
    with jax.enable_x64(True):
        expected, one, other = (kernel.bind(x, 3)(x) for kernel in (alone, outside, inside))
    np.testing.assert_array_equal(one, expected)
    np.testing.assert_allclose(other, expected, rtol=1e-12)


@pytest.mark.parametrize("center", ordinary([True], of=[True, False]))
def test_what_normalises_at_its_beginning_also_serves_where_nothing_is_normalised(center):
    def layers(*between):
        rest = (kk.Relu(), kk.Conv(3), kk.AvgPool(2, stride=2), kk.GlobalAvgPool(), kk.Dense())
        return kk.serial(kk.Conv(3), *between, *rest)

    plain, normalised = layers(), layers(kk.Normalize(center=center))
    recording, both = (
        [bank.operations for bank in SharedPrograms.of(networks, SHAPE).recording.banks]
        for networks in ([normalised], [plain, normalised])
    )
    assert both == recording
    kernel = NeuralKernel(plain, get=BOTH, blocking=STREAM)
    shared = replace(kernel, programs=SharedPrograms.of([normalised, plain], SHAPE))
    assert shared.shares(SHAPE)
    with jax.enable_x64(True):
        expected, found = (kernel(images(0, 5)) for kernel in (kernel, shared))
    np.testing.assert_allclose(found.nngp, expected.nngp, rtol=1e-12)
    np.testing.assert_allclose(found.ntk, expected.ntk, rtol=1e-12)


def test_kernels_keep_their_programs(network):
    programs = SharedPrograms.of([network], SHAPE)
    kernel = NeuralKernel(network, programs=programs)
    cloned: Any = clone(kernel)
    for changed in (kernel.bind(images(0, 3)), kernel.set_params(get="nngp"), cloned):
        assert changed.programs is programs
    assert "programs" not in kernel.get_params()
    with pytest.raises(ConfigurationError, match=r"programs=\[\]: expected SharedPrograms"):
        NeuralKernel(network, programs=cast(Any, []))


def test_nngp_alone_is_that_of_both(network):
    x, others = images(0, 5), images(1, 4)
    with jax.enable_x64(True):
        alone, both = (
            NeuralKernel(network, get=get, blocking=STREAM).bind(x, 3).gram_and_cross(x, others)
            for get in ("nngp", BOTH)
        )
    for one, two in zip(alone, both, strict=True):
        np.testing.assert_allclose(one, two.nngp, rtol=1e-12)


@pytest.mark.parametrize("lanes", [5, 64])
def test_how_many_pairs_are_in_a_block_changes_rounding_only(network, lanes):
    x = images(0, 6)
    with jax.enable_x64(True):
        first, second = (
            NeuralKernel(network, blocking=Blocking("stream", lanes=n)).bind(x, 3)(x)
            for n in (4, lanes)
        )
    np.testing.assert_allclose(first, second, rtol=1e-12)


def test_few_bytes_give_smaller_blocks_and_none_an_error(network):
    x = images(0, 6).astype(np.float32)
    kernel = NeuralKernel(network, blocking=Blocking("stream", lanes=64)).bind(x, 3)
    with pytest.raises(
        ConfigurationError, match=r"tile_bytes=1000: one pair .* needs (\d+)"
    ) as hit:
        replace(kernel, tile_bytes=1000)(x)
    least = int(str(hit.value).split(" needs ")[1].split()[0])
    small = replace(kernel, tile_bytes=least)
    assert small.settings(SHAPE)["tile_columns"] < kernel.settings(SHAPE)["tile_columns"]
    np.testing.assert_allclose(small(x), kernel(x), rtol=1e-5)


def test_bind_says_how_many_reference_images_fit(network):
    x = images(0, 6).astype(np.float32)
    kernel = NeuralKernel(network, blocking=STREAM)
    with pytest.raises(ConfigurationError, match=r"bind with n_reference=(\d+) or fewer") as hit:
        kernel.bind(x, 6, bind_bytes=10**5)
    fitting = int(str(hit.value).split("bind with n_reference=")[1].split()[0])
    assert kernel.bind(x, fitting, bind_bytes=10**5).is_bound
    with pytest.raises(ConfigurationError, match="n_reference"):
        kernel.bind(x, fitting + 1, bind_bytes=10**5)


def test_what_cannot_be_a_stream_is_computed_whole():
    wider = kk.Conv(3, padding=((2, 2), (2, 2)))
    growing = kk.serial(kk.Conv(3), kk.Relu(), wider, kk.Relu(), kk.Conv(3), kk.Flatten())
    series = kk.serial(
        kk.Conv(3), kk.Elementwise("tanh"), kk.AvgPool(2), kk.Conv(3), kk.GlobalAvgPool()
    )
    assert stream_of(lower(growing, SHAPE), recording=False) is None
    pixels = kk.LayerNorm(over="channels and pixels")  # reads one pixel's record in a larger bank
    assert not is_stream(kk.serial(kk.Conv(3), pixels, kk.Relu(), kk.AvgPool(2), kk.Flatten()))
    assert not is_stream(series)
    kernel = NeuralKernel(series, blocking=STREAM)
    assert kernel.settings(SHAPE)["blocking"]["way"] == "whole"
    x = images(0, 3)
    np.testing.assert_array_equal(kernel(x), replace(kernel, blocking=Blocking("whole"))(x))


def test_small_cells_are_streams_and_large_ones_are_computed_in_planes(network):
    for side, way in ((8, "stream"), (32, "stream"), (36, "planes")):
        program = lower(network, (side, side, 1))
        assert way_of(program) == way
