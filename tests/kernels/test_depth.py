"""Deep networks: everything but the computation itself, without recursion.

Two hundred layers in the ordinary run, a thousand in the slow one: with two frames or more for a
layer and three to five nodes a layer, what is recursive passes Python's limit in both.
"""

from __future__ import annotations

import copy
import cProfile
import pickle
from collections.abc import Callable

import jax
import numpy as np
import pytest

import kernas.kernels as kk
from kernas.kernels.augmentation import Flip, augmented
from kernas.kernels.backends.stax_network import check_expressible, pair_bytes
from kernas.kernels.engine import Blocking
from kernas.kernels.program import lower
from kernas.kernels.program.streams import stream_of
from kernas.search.spaces import NasBench201

HE = 2**0.5
IMAGE = (4, 4, 2)
HEAD = (kk.Relu(), kk.GlobalAvgPool(), kk.Dense())
SYMMETRIC = (
    "|nor_conv_3x3~0|+|nor_conv_3x3~0|none~1|+|skip_connect~0|nor_conv_1x1~1|nor_conv_1x1~2|"
)


def residual_network(blocks: int, *norm: kk.Normalize) -> kk.Architecture:
    """Two convolutions a block, the last one before the readout and the first before them all."""
    layers = (*norm, kk.Relu(), kk.Conv(3, W_std=HE))
    block = kk.residual(kk.serial(*layers, *layers))
    return kk.serial(kk.Conv(3), *[block] * blocks, *norm, *HEAD)


def nested(depth: int) -> kk.Architecture:
    """Residuals within residuals."""
    network: kk.Architecture = kk.serial(kk.Conv(3))
    for _ in range(depth):
        network = kk.residual(kk.serial(network, kk.Relu(), kk.Conv(3)), kk.Conv(1))
    return kk.serial(network, *HEAD)


def of_twins(blocks: int) -> kk.Architecture:
    """Two convolutions that nothing tells apart in every block."""
    twins = kk.serial(kk.Relu(), kk.parallel(kk.Conv(3), kk.Conv(3)))
    return kk.serial(kk.Conv(3), *[twins] * blocks, *HEAD)


NETWORKS: dict[str, Callable[[int], kk.Architecture]] = {
    "chain": lambda layers: kk.serial(*[kk.Conv(3, W_std=HE), kk.Relu()] * layers, *HEAD[1:]),
    "residual": lambda layers: residual_network(layers // 2),
    "residual, centred": lambda layers: residual_network(layers // 2, kk.Normalize()),
    "nested": lambda layers: nested(layers // 5),
    "twins": lambda layers: of_twins(layers // 5),
    "cells": lambda layers: NasBench201(cells_per_stage=3 * layers // 50).architecture(SYMMETRIC),
}


@pytest.mark.parametrize("layers", [200, pytest.param(1000, marks=pytest.mark.slow)])
@pytest.mark.parametrize("name", NETWORKS)
def test_deep_networks_are_kept_explained_and_planned(name: str, layers: int) -> None:
    network = NETWORKS[name](layers)
    shape = (8, 8, 2) if name == "cells" else IMAGE
    again = kk.Architecture.from_json(network.to_json())
    for copied in (again, pickle.loads(pickle.dumps(network)), copy.deepcopy(network)):
        assert copied == network
        assert hash(copied) == hash(network)
    assert len(repr(network)) < 100
    assert len(repr(network.nodes)) > len(network)
    assert again.hash == network.hash
    kernel = kk.NeuralKernel(network, get=("nngp", "ntk"), blocking=Blocking("planes"))
    plan = kernel.plan(shape)
    assert len(plan.instructions) >= sum("W_std" in n.layer.parameters() for n in network.nodes)
    explanation = kk.explain(network, shape)
    assert explanation.refusal is None
    assert len(str(explanation).splitlines()) == len(network) + 2
    assert augmented(network, (Flip(),), shape).views == 2
    assert pair_bytes(network, shape, tangent=True) > 0
    stream_of(lower(network, shape), recording=True)
    if name in ("chain", "residual"):
        check_expressible(network, shape)


def test_a_program_grows_with_the_depth() -> None:
    """Of blocks that are equal: what one adds is added by each."""
    sizes = [len(lower(residual_network(n), IMAGE).ops) for n in (10, 20, 200)]
    assert (sizes[1] - sizes[0]) * 18 == sizes[2] - sizes[1]


@pytest.mark.parametrize(
    ("make", "most"), [(residual_network, 4.0), (of_twins, 8.0)], ids=["residual", "twins"]
)
def test_what_the_hash_takes_does_not_explode(
    make: Callable[[int], kk.Architecture], most: float
) -> None:
    """Twice the blocks take at most four times as many calls; with twins each refinement, too."""

    def calls(blocks: int) -> int:
        network = make(blocks)
        with cProfile.Profile() as profile:
            assert len(network.hash) == 64
        return sum(entry.callcount for entry in profile.getstats())

    calls(1)
    fewer, more = calls(40), calls(80)
    assert more <= most * fewer


def test_a_deep_kernel_is_the_recursion_of_its_layers() -> None:
    """Dense layers and ReLU at He's gain, the arc-cosine kernel of every layer in NumPy."""
    depth = 200
    network = kk.serial(*[kk.Dense(W_std=HE), kk.Relu()] * depth, kk.Dense())
    x = np.random.default_rng(0).normal(size=(3, 5))
    with jax.enable_x64(True):
        kernel = kk.NeuralKernel(network, get="nngp", blocking=Blocking("whole"))
        found = kernel(x)
    K = 2 * x @ x.T / x.shape[1]
    for layer in range(depth):
        sizes = np.sqrt(np.outer(np.diag(K), np.diag(K)))
        angle = np.arccos(np.clip(K / sizes, -1, 1))
        np.fill_diagonal(angle, 0)
        K = sizes * (np.sin(angle) + (np.pi - angle) * np.cos(angle)) / (2 * np.pi)
        K *= 2 if layer < depth - 1 else 1
    np.testing.assert_allclose(found, K, rtol=1e-9)


def test_a_deep_finite_network_is_made() -> None:
    network = residual_network(20)
    finite = kk.finite_network(network, width=2)
    shapes = jax.eval_shape(finite.init, jax.random.key(0), np.zeros((1, *IMAGE)))
    assert len(shapes["params"]) == 42
