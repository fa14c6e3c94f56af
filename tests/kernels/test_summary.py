"""The table of an architecture: its text, and its shapes and numbers of weights beside flax's."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from oracles.limit_networks import CASES
from oracles.random_networks import random_architecture

import kernas.kernels as kk
from kernas.errors import ArchitectureError, ConfigurationError
from kernas.kernels.architecture import LayerSummary
from kernas.kernels.architecture.table import layer_text
from kernas.search import NasBench201

HE = 2**0.5

BRANCHES = kk.serial(
    kk.Conv(3, W_std=HE, trainable=False),
    kk.parallel(
        kk.Identity(),
        kk.serial(kk.Relu(), kk.Conv((1, 3), b_std=0.1, width=0.5)),
        join=kk.Concat(),
    ),
    kk.DepthwiseConv(3, stride=2),
    kk.Flatten(),
    kk.Dense(b_std=0.2),
)


@pytest.mark.parametrize(
    ("layer", "text"),
    [
        (kk.Relu(), "Relu"),
        (kk.Dense(), "Dense"),
        (kk.Conv((3, 3), stride=(1, 1), W_std=1), "Conv(3)"),
        (kk.Conv(3, W_std=HE), "Conv(3, W_std=1.414)"),
        (
            kk.Conv((3, 2), b_std=0.1, stride=(2, 1), width=2, trainable=False, dilation=2),
            "Conv((3, 2), stride=(2, 1), dilation=2, b_std=0.1, trainable=False, width=2)",
        ),
        (
            kk.AvgPool(3, padding=((1, 1), (0, 2)), divisor="window"),
            "AvgPool(3, padding=((1, 1), (0, 2)), divisor='window')",
        ),
        (kk.MaxPool(2, padding="SAME", as_average=True), None),
        (kk.LocalAvgPool(2, "circular"), "LocalAvgPool(2, edges='circular')"),
        (kk.LeakyRelu(0.25), "LeakyRelu(slope=0.25)"),
        (kk.Monomial(3), "Monomial(3)"),
        (kk.Elementwise("tanh"), "Elementwise('tanh')"),
        (kk.Normalize(center=False), "Normalize(center=False)"),
        (kk.LayerNorm("channels and pixels", eps=1e-5), None),
    ],
)
def test_a_layer_is_written_as_it_is_made(layer: Any, text: str | None) -> None:
    shown = layer_text(layer)
    if text is not None:
        assert shown == text
    written = shown if "(" in shown else f"{shown}()"
    if "1.414" not in shown:  # four digits of a number are shown
        assert eval(written, dict(vars(kk))) == layer


def test_print_shows_layers_and_what_they_read() -> None:
    assert str(BRANCHES).splitlines() == [
        "node  layer                                  reads",
        "0     Input",
        "1     Conv(3, W_std=1.414, trainable=False)",
        "2     Identity",
        "3     Relu                                   1",
        "4     Conv((1, 3), b_std=0.1, width=0.5)",
        "5     Concat                                 2, 4",
        "6     DepthwiseConv(3, stride=2)",
        "7     Flatten",
        "8     Dense(b_std=0.2)",
        "9 nodes",
    ]
    assert repr(BRANCHES) == "<Architecture 9 nodes, 4 weight layers>"


def test_a_chain_needs_no_column_of_what_is_read() -> None:
    assert str(kk.serial(kk.Dense(), kk.Relu())) == (
        "node  layer\n0     Input\n1     Dense\n2     Relu\n3 nodes"
    )


def test_a_summary_of_a_finite_network() -> None:
    summary = BRANCHES.summary((4, 5, 2), width=6, outputs=3)
    assert repr(summary) == str(summary)
    assert str(summary).splitlines() == [
        "node  layer                                  reads     output  weights",
        "0     Input                                         (4, 5, 2)",
        "1     Conv(3, W_std=1.414, trainable=False)         (4, 5, 6)      108",
        "2     Identity                                      (4, 5, 6)",
        "3     Relu                                   1      (4, 5, 6)",
        "4     Conv((1, 3), b_std=0.1, width=0.5)            (4, 5, 3)       57",
        "5     Concat                                 2, 4   (4, 5, 9)",
        "6     DepthwiseConv(3, stride=2)                    (2, 3, 9)       81",
        "7     Flatten                                           (54,)",
        "8     Dense(b_std=0.2)                                   (3,)      165",
        "9 nodes, 411 weights at width 6, 108 of them untrained",
    ]
    assert summary.layers[4] == LayerSummary(
        4, "Conv((1, 3), b_std=0.1, width=0.5)", (3,), (4, 5, 3), 57, True
    )
    assert (summary.weights, summary.untrained) == (411, 108)


def test_a_summary_of_the_infinite_network() -> None:
    network = kk.serial(kk.Flatten(), kk.Dense(), kk.Relu(), kk.Dense())
    summary = network.summary((4, 5, 2))
    assert str(summary).splitlines() == [
        "node  layer       output",
        "0     Input    (4, 5, 2)",
        "1     Flatten      (40,)",
        "2     Dense         (∞,)",
        "3     Relu          (∞,)",
        "4     Dense         (1,)",
        "5 nodes",
    ]
    assert (summary.weights, summary.untrained, summary.layers[2].weights) == (None, None, None)
    assert network.summary((4, 5, 2), outputs=None).layers[4].shape == (math.inf,)
    flat = kk.serial(kk.Conv(3), kk.Flatten()).summary((4, 5, 2))
    assert [layer.shape for layer in flat.layers] == [(4, 5, 2), (4, 5, math.inf), (math.inf,)]


# --- beside flax ---------------------------------------------------------------------------------


def check_counts(
    architecture: kk.Architecture, shape: Sequence[int], width: int, outputs: int | None = 1
) -> None:
    """Every layer's number of weights, and the output's shape."""
    if not isinstance(architecture.nodes[-1].layer, kk.Dense):
        outputs = None
    network: Any = kk.finite_network(architecture, width, outputs=outputs)
    x = jnp.zeros((1, *shape))
    output, variables = jax.eval_shape(network.init_with_output, jax.random.key(0), x)
    summary = architecture.summary(shape, width, outputs)
    assert summary.layers[-1].shape == output.shape[1:]
    collections = {"params": True, "fixed": False}
    made = {
        int(name.rpartition("_")[2]): (sum(math.prod(leaf.shape) for leaf in leaves.values()), own)
        for collection, own in collections.items()
        for name, leaves in variables.get(collection, {}).items()
    }
    counted = {n.index: (n.weights, n.trainable) for n in summary.layers if n.weights}
    assert counted == made
    assert summary.weights == sum(count for count, _ in made.values())
    assert summary.untrained == sum(count for count, trained in made.values() if not trained)


@pytest.mark.parametrize("width", [1, 6])
@pytest.mark.parametrize("case", CASES)
def test_weights_are_counted_as_flax_makes_them(case: str, width: int) -> None:
    architecture = CASES[case]()
    flat = isinstance(architecture.nodes[1].layer, kk.Dense)
    check_counts(architecture, (7,) if flat else (4, 4, 3), width)


@pytest.mark.parametrize(
    "make",
    [
        lambda: BRANCHES,
        lambda: NasBench201(1).sample(3, seed=0)[0].architecture,
        lambda: kk.serial(
            kk.Conv(3), *[kk.residual(kk.serial(kk.Relu(), kk.Conv(3, b_std=1)))] * 3, kk.Flatten()
        ),
        lambda: kk.serial(
            kk.Conv(3), kk.parallel(kk.Conv(1), kk.Zero()), kk.LocalAvgPool(1), kk.Dense(width=3)
        ),
        lambda: kk.serial(kk.DepthwiseConv((2, 3), b_std=1), kk.Conv(1, width=0.01)),
    ],
    ids=["branches", "NAS-Bench-201", "residual", "zeros", "depthwise on the input"],
)
@pytest.mark.parametrize("outputs", [1, 10, None])
def test_weights_of_whole_networks(
    make: Callable[[], kk.Architecture], outputs: int | None
) -> None:
    check_counts(make(), (8, 8, 3), 5, outputs)


@pytest.mark.parametrize("seed", range(12))
def test_weights_of_random_networks(seed: int) -> None:
    rng = np.random.default_rng(seed)
    check_counts(random_architecture(rng, image=(5, 4, 2), layers="all"), (5, 4, 2), 3)


# --- refusals ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (((4, 4, 1), 0), ConfigurationError, "width=0: expected an integer >= 1, or None for the"),
        (((4, 4, 1), 2.0), ConfigurationError, "width=2.0: expected an integer >= 1"),
        (((4, 4, 1), True), ConfigurationError, "width=True: expected"),
        (((4, 4, 1), "64"), ConfigurationError, "width='64': expected"),
        (((4, 4, 1), 10**400), ConfigurationError, "width of more than 2,147,483,647: expected"),
        (((4, 4, 1), 4, 0), ConfigurationError, "outputs=0: expected .* or None for as many as"),
        (((4, 4, 1), 4, 10), ArchitectureError, r"outputs=10, .* ends in Flatten: expected Dense"),
        (
            ((4, 4),),
            ArchitectureError,
            r"a window of two axes, \(3, 3\), and its input is a signal",
        ),
        (((4, 4, 1, 1),), ArchitectureError, r"\(4, 4, 1, 1\): expected \(height, width, channels"),
        ((8,), ArchitectureError, "input shape 8: expected"),
        ((None,), ArchitectureError, "input shape None: expected"),
        (((5,),), ArchitectureError, "needs an image but gets a vector"),
        (((2, 2, 1),), ArchitectureError, "window of 3 pixels on an axis of 2"),
    ],
)
def test_what_cannot_be_summarised_is_refused_in_a_line(
    arguments: tuple[Any, ...], error: type[Exception], message: str
) -> None:
    network = kk.serial(kk.Conv(3, padding="VALID"), kk.Flatten())
    with pytest.raises(error, match=message) as caught:
        network.summary(*arguments)
    assert "\n" not in str(caught.value)
