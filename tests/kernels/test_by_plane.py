"""Execution plane by plane: against the NumPy oracle, and for any number of lanes."""

from __future__ import annotations

from dataclasses import replace

import jax
import numpy as np
import pytest
from oracles.agreement import BOTH, check_engine
from oracles.networks import CASES, shape_of
from oracles.random_networks import Form, random_architecture
from selection import ordinary

import kernas.kernels as kk
from kernas.kernels import NeuralKernel
from kernas.kernels.architecture import Architecture
from kernas.kernels.architecture.activations import Activation
from kernas.kernels.architecture.layers import Layer
from kernas.kernels.engine import Blocking
from kernas.kernels.program import lower
from kernas.kernels.program.planning import LocalStep, plan_pairs

BY_PLANE = Blocking("planes", lanes=2)


def averaged(architecture: Architecture) -> Architecture:
    """The network with the mean over pixels for ``Flatten``, which would need one plane only."""
    nodes = (
        replace(node, layer=kk.GlobalAvgPool()) if isinstance(node.layer, kk.Flatten) else node
        for node in architecture.nodes
    )
    return Architecture(tuple(nodes))


def most_planes(architecture: Architecture, shape: tuple[int, ...]) -> int:
    steps = plan_pairs(lower(architecture, shape), fused=True).steps
    return max((step.body.planes for step in steps if isinstance(step, LocalStep)), default=0)


AVERAGED = {
    case: network
    for case, network in ((case, averaged(CASES[case])) for case in CASES)
    if most_planes(network, shape_of(case)) > 1
}
"""The conformance list's networks on images, with the mean over pixels at their end."""

CHOSEN = (
    "Sum: weights beside a nonlinearity of their pool",
    "Sum: two nonlinearities",
    "Zero: then bias",
    "Conv: SAME, stride",
    "Conv: VALID",
    "Conv: CIRCULAR, stride",
    "Conv: padded",
    "Conv: cropped",
    "Conv: dilation, stride",
    "Conv: large",
    "Conv: large, CIRCULAR",
    "Conv: untrained",
    "DepthwiseConv: dilation, CIRCULAR",
    "DepthwiseConv: beside a skip",
    "AvgPool: padded",
    "AvgPool: CIRCULAR, stride",
    "AvgPool: beside a skip",
    "Normalize: centred",
    "Normalize: root mean square",
    "LayerNorm: channels, eps",
    "LayerNorm: channels and pixels, of a sum",
    "Concat: meets again, nonlinearity beside weights",
)
"""Those that the ordinary run takes: every kind of instruction and edge."""


def check(
    architecture: Architecture, shape: tuple[int, ...], *, seed: int = 0, single: bool = False
) -> None:
    rng = np.random.default_rng(seed)
    x1, x2, reference = (rng.standard_normal((3, *shape)) for _ in range(3))
    precisions = (np.float64, np.float32) if single else (np.float64,)
    check_engine(architecture, x1, x2, reference, blocking=BY_PLANE, precisions=precisions)


@pytest.mark.oracle("NumPy loops", networks=lambda case: AVERAGED[case])
@pytest.mark.parametrize("case", CHOSEN)
def test_layers_agree_with_numpy(case: str) -> None:
    check(AVERAGED[case], shape_of(case))


@pytest.mark.slow
@pytest.mark.oracle("NumPy loops", networks=lambda case: CASES[case])
@pytest.mark.parametrize("case", CASES)
def test_every_layer_agrees_with_numpy(case: str) -> None:
    check(CASES[case], shape_of(case), single=True)


@pytest.mark.slow
@pytest.mark.oracle("NumPy loops", networks=lambda case: AVERAGED[case])
@pytest.mark.parametrize("case", AVERAGED)
def test_every_layer_before_a_mean_agrees_with_numpy(case: str) -> None:
    check(AVERAGED[case], shape_of(case), single=True)


@pytest.mark.parametrize("shape", [(6, 4, 2), (7, 5, 2)])
@pytest.mark.parametrize("last", [kk.Relu(), kk.Cos()])
def test_a_pool_meets_a_stride(last: Layer, shape: tuple[int, ...]) -> None:
    """There the right image of a moment has twice the left one's pixels."""
    pooled = kk.serial(kk.Conv(3), last, kk.AvgPool(2, stride=2, padding="SAME"))
    network = kk.serial(
        kk.parallel(pooled, kk.serial(kk.Conv(3, stride=2), last)), kk.Conv(3), kk.GlobalAvgPool()
    )
    check(network, shape)


GROWING = kk.Conv(2, padding=((1, 1), (1, 1)))


@pytest.mark.parametrize("blocking", [BY_PLANE, Blocking("whole")], ids=["planes", "whole"])
@pytest.mark.parametrize(
    ("before", "shape"),
    [
        ((), (1, 1, 3)),
        ((kk.Conv(2, padding="VALID"), kk.Relu()), (2, 2, 2)),
        ((kk.Conv(2, padding="VALID"), kk.Normalize(), kk.Relu()), (2, 2, 2)),
    ],
    ids=["image", "map", "normalised"],
)
def test_one_pixel_grows(
    before: tuple[Layer, ...], shape: tuple[int, ...], blocking: Blocking
) -> None:
    """There pairs with pixels outside stand beside the only one inside."""
    end = (kk.Normalize(), kk.Relu()) if len(before) == 3 else (kk.Relu(),)
    network = kk.serial(*before, GROWING, *end, kk.GlobalAvgPool(), kk.Dense())
    x1, x2, reference = (np.random.default_rng(n).standard_normal((n, *shape)) for n in (2, 3, 4))
    check_engine(network, x1, x2, reference, blocking=blocking, precisions=(np.float64,))


CONV = kk.Conv(3, W_std=1.3, b_std=0.2)
MEANS = (kk.Cos(), kk.Gaussian(0.8), kk.Elementwise("softplus"))


@pytest.mark.oracle("NumPy loops", networks=lambda layer: kk.serial(CONV, layer, CONV))
@pytest.mark.parametrize(
    "layer", [kk.Cos(), kk.Gaussian(0.8), kk.Elementwise("softplus")], ids=repr
)
def test_what_is_outside_stays_zero(layer: Activation) -> None:
    """Of nonlinearities that are not zero at zero, before a window that reads beyond the edge."""
    check(kk.serial(CONV, layer, CONV, kk.GlobalAvgPool()), (3, 4, 2))


def random_case(seed: int, sides: tuple[int, ...]) -> tuple[Architecture, tuple[int, int, int]]:
    rng = np.random.default_rng(seed)
    image = (int(rng.choice(sides)), int(rng.choice(sides)), 2)
    forms: tuple[Form | None, ...] = (None, "center", "rms", "any")
    architecture = random_architecture(
        rng, image=image, normalize=forms[seed % 4], remeet=seed % 5 == 0, layers="all"
    )
    return averaged(architecture), image


@pytest.mark.oracle("NumPy loops", networks=lambda seed: random_case(seed, (3, 4))[0])
@pytest.mark.parametrize("seed", ordinary([2001, 2003], of=range(2000, 2004)))
def test_random_networks_agree_with_numpy(seed: int) -> None:
    check(*random_case(seed, (3, 4)), seed=seed)


@pytest.mark.slow
@pytest.mark.oracle("NumPy loops", networks=lambda seed: random_case(seed, (3, 4, 5))[0])
@pytest.mark.parametrize("seed", range(3000, 3100))
def test_many_random_networks_agree_with_numpy(seed: int) -> None:
    check(*random_case(seed, (3, 4, 5)), seed=seed, single=True)


POOL = kk.AvgPool(3, padding="SAME")
NETWORK = kk.serial(
    CONV,
    kk.residual(kk.serial(kk.Relu(), POOL)),
    kk.Normalize(),
    CONV,
    kk.Relu(),
    kk.GlobalAvgPool(),
    kk.Dense(),
)
IMAGES = np.random.default_rng(0).standard_normal((7, 4, 3, 2))


def bound(blocking: Blocking) -> NeuralKernel:
    return NeuralKernel(NETWORK, get=BOTH, blocking=blocking).bind(IMAGES, 4)


@pytest.mark.parametrize("lanes", ordinary([3, 100], of=[1, 3, 100]))
def test_result_does_not_depend_on_lanes(lanes: int) -> None:
    """Of seven images: lanes that do not divide them, and more than there are."""
    x = IMAGES
    with jax.enable_x64(True):
        whole = bound(Blocking("whole"))(x)
        kernel = bound(Blocking("planes", lanes=lanes))
        for left, right in ((7, None), (7, 7), (1, None), (1, 7), (7, 2)):
            found = kernel(x[:left], None if right is None else x[:right])
            for ours, theirs in zip(found, whole, strict=True):
                assert ours.shape == (left, right or left)
                expected = theirs[:left, : right or left]
                np.testing.assert_allclose(ours, expected, rtol=1e-11, atol=1e-13)
                if right is None:
                    np.testing.assert_array_equal(ours, ours.T)


def test_prepared_images_and_single_kernels_give_the_same_numbers() -> None:
    left, right = IMAGES[:3], IMAGES[3:]
    kernel = bound(BY_PLANE)
    both = kernel(left, right)
    for ours, direct in zip(kernel(kernel.prepare(left), kernel.prepare(right)), both, strict=True):
        np.testing.assert_array_equal(ours, direct)
    np.testing.assert_allclose(kernel(left, right, get="nngp"), both.nngp, rtol=1e-5)
    np.testing.assert_array_equal(kernel(left, right, get="ntk"), both.ntk)
