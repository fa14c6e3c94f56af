"""Every layer and every variation of its parameters: what holds for all of them."""

from __future__ import annotations

import jax
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from oracles.agreement import BOTH, check_engine
from oracles.networks import CASES, shape_of
from selection import ordinary

import kernas.kernels as kk
from kernas.errors import ArchitectureError
from kernas.kernels import NeuralKernel
from kernas.kernels.architecture import Architecture, Node
from kernas.kernels.architecture.layers import (
    LAYERS,
    AvgPool,
    Concat,
    LocalAvgPool,
    Sum,
    WindowLayer,
)
from kernas.kernels.architecture.windows import axis_padding, extent, stride_of
from kernas.kernels.backends.stax_network import check_expressible
from kernas.kernels.engine import DEFAULT_TILE_BYTES, Blocking, Execution, tile_shape
from kernas.kernels.engine.records import record_bytes
from kernas.kernels.engine.workers import local_workers
from kernas.kernels.program import lower


def expressible(case: str) -> bool:
    """Whether neural-tangents has all layers of a case."""
    try:
        check_expressible(CASES[case], shape_of(case))
    except ArchitectureError:
        return False
    return True


EXPRESSIBLE = [case for case in CASES if expressible(case) and "zero weights" not in case]
"""Without weights all images are equal, which it knows to the root of rounding only."""

CHOSEN = (
    "Input: image",
    "Input: itself the output, vector",
    "Identity: image",
    "Zero: beside weights",
    "Zero: then bias",
    "Sum: one",
    "Sum: two weight layers",
    "Conv: rectangular",
    "Conv: SAME, stride",
    "Conv: VALID",
    "Conv: CIRCULAR, stride",
    "Conv: padded",
    "Conv: cropped",
    "Conv: deviations",
    "Conv: untrained",
    "Conv: width",
    "DepthwiseConv: SAME, stride",
    "DepthwiseConv: cropped",
    "DepthwiseConv: beside a skip",
    "Dense: vector, deviations",
    "Dense: vector, untrained",
    "Dense: image",
    "AvgPool: SAME, stride",
    "AvgPool: CIRCULAR, stride",
    "AvgPool: padded",
    "AvgPool: cropped",
    "AvgPool: SAME, divided by the window",
    "AvgPool: CIRCULAR, larger than the image",
    "AvgPool: of a nonlinearity",
    "AvgPool: of the input",
    "MaxPool: SAME, stride",
    "MaxPool: cropped",
    "LocalAvgPool: zero, 1",
    "LocalAvgPool: circular, 1",
    "LocalAvgPool: of weights",
    "LocalAvgPool: vector",
    "GlobalAvgPool: image",
    "GlobalAvgPool: of weights",
    "GlobalAvgPool: vector",
    "Flatten: image",
    "Flatten: of weights",
    "Flatten: vector",
    "Relu: default",
    "LayerNorm: channels, eps",
    "LayerNorm: channels, flattened",
    "LayerNorm: channels, vector",
    "LayerNorm: channels and pixels, eps",
    "LayerNorm: channels and pixels, of a sum",
    "LayerNorm: channels and pixels, depthwise",
    "Concat: widths",
    "Concat: of one node twice",
    "Concat: pooled",
    "Concat: local average",
    "Concat: flattened beside pooled",
    "Concat: vector",
    "Concat: meets again, sum",
    "Concat: meets again, nonlinearity beside weights",
)
"""What the ordinary run asks neural-tangents for: it has every layer and every edge of a window.

Of windows only the harder variations, and few of ``DepthwiseConv`` and ``MaxPool``, for which it
runs its ``Conv`` and ``AvgPool``; ``test_neural_tangents.py`` takes every nonlinearity.
"""


def images(case: str, n: int, seed: int = 0) -> np.ndarray:
    """Random inputs of a case, of float32 values."""
    x = np.random.default_rng(seed).standard_normal((n, *shape_of(case)))
    return x.astype(np.float32).astype(float)


def bound(
    case: str, *, tile_bytes: int = DEFAULT_TILE_BYTES, blocking: Blocking | None = None
) -> NeuralKernel:
    """The kernel of a case; its reference images are always the same."""
    kernel = NeuralKernel(CASES[case], get=BOTH, tile_bytes=tile_bytes, blocking=blocking)
    return kernel.bind(images(case, 3, seed=9)) if kernel.needs_bind else kernel


def test_every_layer_has_a_case() -> None:
    names = {type(node.layer).__name__ for network in CASES.values() for node in network.nodes}
    assert names == set(LAYERS)


@pytest.mark.oracle("NumPy loops", networks=lambda case: CASES[case])
@pytest.mark.parametrize("case", CASES)
def test_agrees_with_numpy(case: str) -> None:
    check_engine(CASES[case], images(case, 3), None, images(case, 3, 9), precisions=(np.float64,))


@pytest.mark.slow
@pytest.mark.oracle("NumPy loops", networks=lambda case: CASES[case])
@pytest.mark.parametrize("case", CASES)
def test_agrees_with_numpy_in_float32(case: str) -> None:
    check_engine(CASES[case], images(case, 2), None, images(case, 3, 9), precisions=(np.float32,))


@pytest.mark.oracle("neural-tangents", networks=lambda case: CASES[case])
@pytest.mark.parametrize("case", ordinary(CHOSEN, of=EXPRESSIBLE))
def test_neural_tangents_agrees_with_numpy(case: str) -> None:
    """The engine agrees with the same reference."""
    check_engine(
        CASES[case],
        images(case, 2),
        images(case, 2, seed=1),
        backend="neural-tangents",
        precisions=(np.float64,),
    )


@pytest.mark.parametrize("case", CASES)
def test_json_and_hash_survive_a_round_trip(case: str) -> None:
    again = Architecture.from_json(CASES[case].to_json())
    assert again == CASES[case]
    assert again.hash == CASES[case].hash


def test_different_cases_have_different_hashes() -> None:
    """But for those that are one network by the definition of their layers."""
    hashes: dict[str, list[str]] = {}
    for case, network in CASES.items():
        hashes.setdefault(network.hash, []).append(case)
    layers = [
        {name.split(": ")[0] for name in equal} for equal in hashes.values() if len(equal) > 1
    ]
    assert len(hashes) > 0.8 * len(CASES), layers


@settings(deadline=None, max_examples=6)
@given(st.sampled_from(sorted(CASES)), st.integers(0, 2**16))
def test_symmetric_and_positive_semidefinite(case: str, seed: int) -> None:
    with jax.enable_x64(True):
        x = images(case, 5, seed)
        kernel = bound(case)
        for triangle, whole in zip(kernel(x), kernel(x, x), strict=True):
            np.testing.assert_array_equal(triangle, triangle.T)
            np.testing.assert_allclose(whole, triangle, rtol=1e-10, atol=1e-12)
            values = np.linalg.eigvalsh(triangle)
            assert values[0] > -1e-12 * values[-1]


@settings(deadline=None, max_examples=4)
@given(st.sampled_from(sorted(CASES)), st.integers(1, 3))
def test_independent_of_the_size_of_tiles(case: str, side: int) -> None:
    """Seven images never divide evenly into tiles of two or three."""
    with jax.enable_x64(True):
        x = images(case, 7)
        program, at_once = lower(CASES[case], shape_of(case)), Blocking("whole")
        whole = tile_shape(Execution(program, at_once, with_tangent=True), 10**9, 3)
        least = record_bytes(program, 3, with_tangent=True)
        budget = max(whole.pair_bytes * len(local_workers()) * side**2, least)
        small = bound(case, tile_bytes=budget, blocking=at_once)
        for ours, theirs in zip(small(x), bound(case)(x), strict=True):
            np.testing.assert_allclose(ours, theirs, rtol=1e-9, atol=1e-12)


def permuted(network: Architecture, rng: np.random.Generator) -> Architecture:
    """The same network with the terms of its sums in another order."""
    nodes = [
        Node(node.layer, tuple(int(i) for i in rng.permutation(node.inputs)))
        if isinstance(node.layer, Sum)
        else node
        for node in network.nodes
    ]
    return Architecture(tuple(nodes))


SUMS = sorted(
    case
    for case, network in CASES.items()
    if any(isinstance(node.layer, Sum) and len(set(node.inputs)) > 1 for node in network.nodes)
)


@settings(deadline=None, max_examples=4)
@given(st.sampled_from(SUMS), st.integers(0, 2**16))
def test_branches_may_be_permuted(case: str, seed: int) -> None:
    other = permuted(CASES[case], np.random.default_rng(seed))
    assert other.hash == CASES[case].hash
    with jax.enable_x64(True):
        x, reference = images(case, 3), images(case, 3, 9)
        both = [NeuralKernel(network, get=BOTH) for network in (CASES[case], other)]
        kernels = [k.bind(reference)(x) if k.needs_bind else k(x) for k in both]
        for ours, theirs in zip(*kernels, strict=True):
            np.testing.assert_allclose(ours, theirs, rtol=1e-9, atol=1e-12)


# --- transformations of images -------------------------------------------------------------------


def flips(network: Architecture, shape: tuple[int, ...]) -> bool:
    """Whether flipping all images left to right leaves the kernel as it is: no window is off
    centre."""
    sizes = network.shapes(shape)
    for node in network.nodes:
        if not isinstance(node.layer, WindowLayer):
            continue
        size = sizes[node.inputs[0]][1]
        low, high = axis_padding(node.layer, 1, size)
        left_over = (size + low + high - extent(node.layer, 1)) % stride_of(node.layer)[1]
        if low != high or left_over:
            return False
    return True


IMAGES = sorted(case for case in CASES if len(shape_of(case)) == 3)
EQUIVARIANT = [case for case in IMAGES if flips(CASES[case], shape_of(case))]


@settings(deadline=None, max_examples=6)
@given(st.sampled_from(EQUIVARIANT))
def test_flipping_both_images_changes_nothing(case: str) -> None:
    with jax.enable_x64(True):
        x, reference = images(case, 3), images(case, 3, 9)
        kernel = NeuralKernel(CASES[case], get=BOTH)
        # Flipped reference images are others, so they come in both ways.
        both = np.concatenate([reference, reference[:, :, ::-1]])
        kernel = kernel.bind(both) if kernel.needs_bind else kernel
        for ours, theirs in zip(kernel(x), kernel(x[:, :, ::-1]), strict=True):
            np.testing.assert_allclose(ours, theirs, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("padding", ["SAME", ((1, 1), (1, 1))])
def test_flipping_changes_strided_networks_on_even_sides(padding) -> None:
    """At stride 2 and window 3 both paddings of an even side are off centre."""
    stem = kk.Conv(3, stride=2, padding=padding, W_std=2**0.5)
    network = kk.serial(stem, kk.Relu(), kk.GlobalAvgPool(), kk.Dense())
    x = np.random.default_rng(0).standard_normal((2, 4, 4, 2))
    for ours, theirs in zip(
        NeuralKernel(network, get=BOTH)(x),
        NeuralKernel(network, get=BOTH)(x[:, :, ::-1]),
        strict=True,
    ):
        assert np.min(np.abs(ours / theirs - 1)) > 1e-3


@pytest.mark.parametrize("readout", [kk.GlobalAvgPool(), kk.LocalAvgPool(1, "circular")])
def test_translating_both_images_changes_nothing_with_circular_edges(readout) -> None:
    network = kk.serial(
        kk.Conv(3, padding="CIRCULAR", W_std=1.4, b_std=0.2),
        kk.residual(kk.AvgPool(3, padding="CIRCULAR")),
        kk.Relu(),
        kk.Conv((3, 2), padding="CIRCULAR", dilation=(1, 2)),
        kk.LayerNorm(),
        kk.Relu(),
        readout,
        kk.Dense(),
    )
    with jax.enable_x64(True):
        x = np.random.default_rng(0).standard_normal((3, 5, 4, 2))
        moved = np.roll(x, (2, 1), axis=(1, 2))
        kernel = NeuralKernel(network, get=BOTH)
        for ours, theirs in zip(kernel(x), kernel(moved), strict=True):
            np.testing.assert_allclose(ours, theirs, rtol=1e-9)


# --- what layers are by their definition ---------------------------------------------------------


def kernels(*layers) -> kk.Kernels:
    network = kk.serial(kk.Conv(3, W_std=1.4), kk.Relu(), *layers)
    x = np.random.default_rng(0).standard_normal((3, 5, 4, 2))
    with jax.enable_x64(True):
        return NeuralKernel(network, get=BOTH)(x)


def test_a_local_pool_goes_from_flattening_to_the_global_pool() -> None:
    """``c = 0`` is Flatten; windows of the whole image: P/(2c+1)² times its mean."""
    for ours, theirs in zip(kernels(LocalAvgPool(0)), kernels(kk.Flatten()), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-12)
    c, pixels = 4, 20
    for ours, theirs in zip(kernels(LocalAvgPool(c)), kernels(kk.GlobalAvgPool()), strict=True):
        np.testing.assert_allclose(ours, theirs * (pixels / (2 * c + 1) ** 2) ** 2, rtol=1e-12)


def test_a_concatenation_of_equals_is_one_of_them() -> None:
    twice = kk.parallel(kk.Identity(), kk.Identity(), join=Concat())
    for ours, theirs in zip(kernels(twice, kk.Flatten()), kernels(kk.Flatten()), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-12)


def test_a_pool_taken_for_a_maximum_is_the_average_of_valid_pixels() -> None:
    pools = (
        kk.MaxPool(3, stride=2, padding="SAME", as_average=True),
        AvgPool(3, stride=2, padding="SAME"),
    )
    ours, theirs = (kernels(pool, kk.Conv(1), kk.Relu(), kk.Flatten()) for pool in pools)
    for mine, other in zip(ours, theirs, strict=True):
        np.testing.assert_array_equal(mine, other)
