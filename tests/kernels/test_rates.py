"""Learning rates of layers, and the standard parameterisation that they make."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import jax
import numpy as np
import pytest
from oracles.random_networks import random_architecture

import kernas.kernels as kk
from kernas.errors import ArchitectureError, ConfigurationError
from kernas.kernels._compat import import_neural_tangents
from kernas.kernels.architecture import Node, WeightLayer
from kernas.kernels.engine import Blocking

WAYS = {"planes": Blocking("planes", lanes=2), "stream": Blocking("stream", lanes=4)}
HE = 2**0.5
NETWORK = kk.serial(
    *(kk.Conv(3, W_std=HE, b_std=0.3), kk.Relu(), kk.Conv(3, W_std=1.1), kk.Relu()),
    *(kk.GlobalAvgPool(), kk.Dense(W_std=1.2, b_std=0.5)),
)


def with_layers(network: kk.Architecture, change: Any) -> kk.Architecture:
    """The network with other weight layers: ``change(number, layer)``."""
    number, nodes = 0, []
    for node in network.nodes:
        layer = node.layer
        if isinstance(layer, WeightLayer):
            layer, number = change(number, layer), number + 1
        nodes.append(Node(layer, node.inputs))
    return kk.Architecture(tuple(nodes))


@pytest.mark.parametrize("way", list(WAYS))
@pytest.mark.parametrize("seed", range(3))
def test_the_kernel_is_the_sum_of_the_layers_by_their_rates(way: str, seed: int) -> None:
    """Each layer's part is the kernel of the network in which it alone is trained."""
    rng = np.random.default_rng(seed)
    network = random_architecture(rng, normalize="center" if seed == 2 else None)
    x = rng.standard_normal((3, 4, 4, 3))
    count = sum(isinstance(node.layer, WeightLayer) for node in network.nodes)
    rates = rng.uniform(0.1, 9, count)

    def kernel(network: kk.Architecture, blocking: Blocking | None) -> np.ndarray:
        found = kk.NeuralKernel(network, get="ntk", blocking=blocking)
        return (found.bind(x) if found.needs_bind else found)(x)

    def rated(number: int, layer: Any) -> Any:
        return replace(layer, rates=(rates[number],) * 2) if layer.trainable else layer

    with jax.enable_x64(True):
        found = kernel(with_layers(network, rated), WAYS[way])
        wanted = np.zeros_like(found)
        for one, rate in enumerate(rates):

            def alone(number: int, layer: Any, one: int = one) -> Any:
                return replace(layer, trainable=layer.trainable and number == one)

            wanted += rate * kernel(with_layers(network, alone), None)
    np.testing.assert_allclose(found, wanted, rtol=1e-9)


@pytest.mark.parametrize("backend", ["kernas", "neural-tangents"])
def test_the_standard_parameterisation_is_that_of_stax(backend: Any) -> None:
    stax, width = import_neural_tangents().stax, 7
    common = {"parameterization": "standard"}
    _, _, kernel_fn = stax.serial(
        stax.Conv(width, (3, 3), padding="SAME", W_std=HE, b_std=0.3, **common),
        stax.Relu(),
        stax.Conv(width, (3, 3), padding="SAME", W_std=1.1, b_std=None, **common),
        stax.Relu(),
        stax.GlobalAvgPool(),
        stax.Dense(1, 1.2, 0.5, **common),
    )
    x = np.random.default_rng(0).standard_normal((4, 5, 5, 2)).astype(np.float32)
    network = kk.standard_parameterization(NETWORK, (5, 5, 2), width=width)
    found = kk.NeuralKernel(network, get=("nngp", "ntk"), backend=backend)(x)
    wanted = kernel_fn(x, None, ("nngp", "ntk"))
    np.testing.assert_allclose(found.nngp, wanted.nngp, rtol=1e-5)
    np.testing.assert_allclose(found.ntk, wanted.ntk, rtol=1e-3)  # the derivative's singularity
    np.testing.assert_allclose(np.triu(found.ntk, 1), np.triu(wanted.ntk, 1), rtol=1e-5)


def test_a_finite_network_has_the_gradients_of_the_standard_parameterisation() -> None:
    x = np.random.default_rng(0).standard_normal((3, 5, 5, 2))
    rated = kk.standard_parameterization(NETWORK, x.shape[1:], width=6)
    standard: Any = kk.finite_network(NETWORK, 6, parameterization="standard")
    variables = standard.init(jax.random.key(0), x)
    other: Any = kk.finite_network(rated, 6)
    one, two = (
        kk.EmpiricalKernel(lambda p, x, m=module: m.apply({"params": p}, x), variables["params"])
        for module in (standard, other)
    )
    for get in ("nngp", "ntk"):
        np.testing.assert_allclose(one(x, get=get), two(x, get=get), rtol=1e-5)
    drawn = other.init(jax.random.key(0), x)
    np.testing.assert_allclose(standard.apply(variables, x), other.apply(drawn, x), rtol=1e-4)


def test_rates_are_written_where_they_are_not_one() -> None:
    rated = kk.standard_parameterization(NETWORK, (5, 5, 2), width=6)
    assert kk.Architecture.from_json(rated.to_json()) == rated
    assert rated.hash != NETWORK.hash
    assert "rates" not in NETWORK.to_json()
    assert with_layers(rated, lambda _, layer: replace(layer, rates=(1, 1))) == NETWORK


@pytest.mark.parametrize(
    ("rates", "message"),
    [((0.0, 1.0), "rates"), ((1.0,), "two numbers"), (2.0, "two numbers"), (("a", 1), "rates")],
)
def test_what_are_no_rates_is_refused(rates: Any, message: str) -> None:
    with pytest.raises(ArchitectureError, match=message):
        kk.Dense(rates=rates)


def test_what_has_no_standard_parameterisation_is_refused() -> None:
    shape = (5, 5, 2)
    with pytest.raises(ArchitectureError, match="trainable=False"):
        kk.Dense(trainable=False, rates=(2.0, 1.0))
    rated = kk.standard_parameterization(NETWORK, shape, width=4)
    with pytest.raises(ArchitectureError, match="has rates already"):
        kk.standard_parameterization(rated, shape, width=4)
    with pytest.raises(ArchitectureError, match="W_std=0"):
        kk.standard_parameterization(kk.serial(kk.Dense(W_std=0)), (3,), width=4)
    with pytest.raises(ConfigurationError, match="width=0"):
        kk.standard_parameterization(NETWORK, shape, width=0)
    with pytest.raises(ArchitectureError, match="rates"):
        kk.finite_network(rated, 4, parameterization="standard")
    untrained = kk.serial(kk.Dense(trainable=False), kk.Relu(), kk.Dense())
    assert kk.standard_parameterization(untrained, (3,), width=4).nodes[1].layer == kk.Dense(
        trainable=False
    )
