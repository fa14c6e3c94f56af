"""The content hash: one network, one hash, however its graph is written."""

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from oracles.random_networks import random_architecture

from kernas.kernels import (
    Architecture,
    AvgPool,
    Concat,
    Conv,
    Dense,
    DepthwiseConv,
    Flatten,
    GlobalAvgPool,
    GraphBuilder,
    Identity,
    LayerNorm,
    LocalAvgPool,
    Relu,
    Sum,
    Zero,
    parallel,
    residual,
    serial,
)
from kernas.kernels.architecture import Node

POOL = AvgPool(3, padding=((1, 1), (1, 1)))


def renumbered(architecture: Architecture, rng: np.random.Generator) -> Architecture:
    """The same graph in another topological order, with the inputs of sums shuffled."""
    nodes = architecture.nodes
    new: dict[int, int] = {}
    order: list[int] = []
    while len(order) < len(nodes):
        ready = [
            i for i in range(len(nodes)) if i not in new and all(j in new for j in nodes[i].inputs)
        ]
        if len(order) < len(nodes) - 1:
            ready = [i for i in ready if i != architecture.output]
        chosen = int(rng.choice(ready))
        new[chosen] = len(order)
        order.append(chosen)
    return Architecture(
        tuple(
            Node(nodes[i].layer, tuple(new[j] for j in rng.permutation(nodes[i].inputs)))
            for i in order
        )
    )


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 2**32 - 1), st.sampled_from([None, "any"]))
def test_hash_does_not_depend_on_the_order_of_nodes(seed, normalize):
    rng = np.random.default_rng(seed)
    architecture = random_architecture(rng, normalize=normalize)
    assert renumbered(architecture, rng).hash == architecture.hash


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 2**32 - 1))
def test_hash_changes_with_any_parameter(seed):
    rng = np.random.default_rng(seed)
    architecture = random_architecture(rng)
    read = {architecture.output}  # what only a Zero reads is no part of the network
    for i in range(architecture.output, 0, -1):
        if i in read and not isinstance(architecture.nodes[i].layer, Zero):
            read.update(architecture.nodes[i].inputs)
    changed = list(architecture.nodes)
    index = int(rng.choice([i for i in sorted(read) if isinstance(changed[i].layer, Conv | Dense)]))
    layer = changed[index].layer
    assert isinstance(layer, Conv | Dense)
    parameters = {**layer.parameters(), "W_std": layer.W_std + 0.25}
    changed[index] = Node(type(layer)(**parameters), changed[index].inputs)
    assert Architecture(tuple(changed)).hash != architecture.hash


def test_one_convolution_read_twice_is_not_two_equal_convolutions():
    builder = GraphBuilder()
    conv = builder.add(Conv(3), builder.input)
    twice = builder.build(builder.add(Flatten(), builder.add(Sum(), conv, conv)))
    two = serial(parallel(Conv(3), Conv(3)), Flatten())
    assert twice.hash != two.hash
    assert serial(Conv(3), Flatten()).hash not in (twice.hash, two.hash)


def test_sharing_deep_below_is_seen():
    """Two heads that share their convolution or not: equal from above, different networks."""

    def heads(shared: bool) -> Architecture:
        builder = GraphBuilder()
        first = builder.add(Conv(3), builder.input)
        second = first if shared else builder.add(Conv(3), builder.input)
        ends = [builder.add(Conv(1), builder.add(Relu(), stem)) for stem in (first, second)]
        return builder.build(builder.add(Flatten(), builder.add(Sum(), *ends)))

    assert heads(shared=True).hash != heads(shared=False).hash


@pytest.mark.parametrize(
    ("left", "right"),
    [
        (serial(Conv(3), Identity(), Flatten()), serial(Conv(3), Flatten())),
        (serial(Conv(3), parallel(POOL, Zero()), Flatten()), serial(Conv(3), POOL, Flatten())),
        (
            serial(Conv(3), parallel(Identity(), POOL), POOL, Flatten()),
            serial(Conv(3), parallel(POOL, serial(POOL, POOL)), Flatten()),
        ),
        (
            serial(Conv(3), residual(residual(Conv(1))), Flatten()),
            serial(Conv(3), parallel(Conv(1), Identity(), Identity()), Flatten()),
        ),
        (
            serial(Conv(3), parallel(serial(Relu(), Conv(1)), serial(Relu(), Conv(3))), Flatten()),
            serial(Conv(3), Relu(), parallel(Conv(3), Conv(1)), Flatten()),
        ),
        (
            serial(Conv(3), residual(serial(Zero(), Conv(3))), Flatten()),
            serial(Conv(3), Flatten()),
        ),
    ],
)
def test_equal_networks_have_equal_hashes(left, right):
    assert left.hash == right.hash


@pytest.mark.parametrize(
    ("left", "right"),
    [
        (
            serial(Conv(3), Zero(), Conv(3, b_std=0.1), Flatten()),
            serial(Conv(3, b_std=0.1), Flatten()),
        ),
        (
            serial(Zero(), Conv(3, b_std=1.0), Conv(3), GlobalAvgPool()),
            serial(AvgPool(2, stride=2), Zero(), Conv(3, b_std=1.0), Conv(3), GlobalAvgPool()),
        ),
        (
            parallel(
                serial(Conv(3), GlobalAvgPool()),
                serial(Conv(1), Zero(), Flatten()),
                join=Concat(),
            ),
            parallel(
                serial(Conv(3), GlobalAvgPool()),
                serial(Conv(1), Zero(), GlobalAvgPool()),
                join=Concat(),
            ),
        ),
        (serial(Conv(3), Flatten()), serial(Conv(3), GlobalAvgPool())),
        (serial(Conv(3), POOL, Flatten()), serial(Conv(3), AvgPool(3, padding="SAME"), Flatten())),
        (serial(Conv(3, trainable=False), Flatten()), serial(Conv(3), Flatten())),
    ],
)
def test_different_networks_have_different_hashes(left, right):
    assert left.hash != right.hash


def test_symmetric_graphs_are_labelled_without_trying_every_order():
    """Twelve layers of four equal branches: 4!^12 orders, one certificate."""
    blocks = [parallel(*[Conv(3)] * 4) for _ in range(12)]
    assert serial(*blocks, Flatten()).hash == serial(*blocks, Flatten()).hash


def test_hash_is_the_same_in_another_process():
    architecture = serial(Conv(3), residual(Conv(3)), Relu(), GlobalAvgPool(), Dense())
    code = (
        "import sys; from kernas.kernels import Architecture; "
        "print(Architecture.from_json(sys.stdin.read()).hash)"
    )
    run = subprocess.run(
        [sys.executable, "-c", code],
        input=architecture.to_json(),
        capture_output=True,
        text=True,
        check=True,
        env={"PYTHONHASHSEED": "12345", "PYTHONPATH": ":".join(sys.path)},
    )
    assert run.stdout.strip() == architecture.hash


def test_hash_is_pinned():
    """A change of this value is a change of identity: stored results no longer match."""
    assert serial(Dense()).hash == PINNED


PINNED = "efa5ff0104176ce47a7c69a2c2176f627cb80b8c480d0dc04bc595ebb05d23e7"


def concatenated(*parts):
    return parallel(*parts, join=Concat())


def around(*parts):
    """The parts between weights and a readout."""
    return serial(Conv(3), *parts, Conv(1), Relu(), GlobalAvgPool(), Dense())


WIDE = Conv(1, width=2.0)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (concatenated(Conv(1), WIDE), concatenated(WIDE, Conv(1))),
        (
            serial(concatenated(Conv(1), WIDE), Relu()),
            concatenated(*(serial(c, Relu()) for c in (WIDE, Conv(1)))),
        ),
        (concatenated(concatenated(Relu(), POOL), Conv(1)), concatenated(Conv(1), POOL, Relu())),
        (concatenated(Relu(), Relu()), Relu()),
        (
            serial(concatenated(Relu(), Conv(1)), DepthwiseConv(3)),
            concatenated(serial(Conv(1), DepthwiseConv(3)), serial(Relu(), DepthwiseConv(3))),
        ),
        (
            serial(concatenated(Conv(1), WIDE), LayerNorm()),
            serial(concatenated(WIDE, Conv(1)), LayerNorm()),
        ),
    ],
)
def test_concatenations_are_equal_whatever_the_order_of_their_parts(one, other):
    assert around(one).hash == around(other).hash


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (concatenated(Conv(1), WIDE), concatenated(Conv(1), Conv(1))),
        (concatenated(Conv(1), POOL), concatenated(Conv(1), Relu())),
        (
            serial(concatenated(Conv(1), WIDE), LayerNorm()),
            concatenated(serial(Conv(1), LayerNorm()), serial(WIDE, LayerNorm())),
        ),
        (
            parallel(concatenated(Relu(), POOL), concatenated(POOL, Relu())),
            parallel(concatenated(Relu(), POOL), concatenated(Relu(), POOL)),
        ),
        (DepthwiseConv(3), Conv(3)),
        (serial(Conv(1), LayerNorm()), serial(Conv(1), LayerNorm("channels and pixels"))),
        (Conv(3, padding="CIRCULAR"), Conv(3)),
        (Conv(3, dilation=2), Conv(3)),
    ],
)
def test_different_networks_of_new_layers_differ(one, other):
    assert around(one).hash != around(other).hash


def test_a_local_pool_is_an_average_pool_and_a_flattening():
    local = serial(Conv(3), Relu(), LocalAvgPool(2), Dense())
    pool = AvgPool(5, padding=((2, 2), (2, 2)), divisor="window")
    assert local.hash == serial(Conv(3), Relu(), pool, Flatten(), Dense()).hash
    assert serial(Conv(3), LocalAvgPool(0)).hash == serial(Conv(3), Flatten()).hash
    assert local.hash != serial(Conv(3), Relu(), LocalAvgPool(2, "circular"), Dense()).hash
