"""Open slots: what fills them, what is refused, and the finite network that they are chosen in."""

from __future__ import annotations

import math
from typing import Any

import jax
import numpy as np
import pytest
from oracles.random_networks import random_architecture

import kernas.kernels as kk
from kernas.errors import ArchitectureError, ConfigurationError
from kernas.kernels.architecture import Slot, filled
from kernas.kernels.engine import compilations
from kernas.kernels.finite.convolution import CONVOLUTIONS, convolution_for

HE = 2**0.5
CONV = kk.serial(kk.Relu(), kk.Conv(3, W_std=HE), kk.Normalize())
NARROW = kk.serial(kk.Relu(), kk.Conv(1, W_std=HE, b_std=0.3))
BRANCHES = (kk.serial(kk.Zero()), kk.serial(kk.Identity()), CONV, NARROW)


def template(*choices: int) -> kk.Architecture:
    """A stem, slots beside each other, and a head."""
    edges = [kk.serial(Slot(BRANCHES, choice)) for choice in choices]
    head = (kk.Relu(), kk.GlobalAvgPool(), kk.Dense(b_std=0.2))
    return kk.serial(kk.Conv(3), kk.parallel(*edges), *head)


def images(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).normal(size=shape).astype(np.float32)


def test_a_filled_template_is_the_network_that_is_built_without_slots() -> None:
    def built(*branches: Any) -> kk.Architecture:
        head = (kk.Relu(), kk.GlobalAvgPool(), kk.Dense(b_std=0.2))
        return kk.serial(kk.Conv(3), kk.parallel(*branches), *head)

    assert filled(template(0, 1), (2, 1)).hash == built(CONV, kk.Identity()).hash
    assert filled(template(0, 0), (3,)) == built(NARROW, NARROW)
    assert filled(template(1, 0), (0, 2)).hash == built(CONV).hash
    plain = built(CONV)
    assert filled(plain, ()) == plain


def test_what_is_no_slot_or_does_not_fill_one_is_refused() -> None:
    with pytest.raises(ArchitectureError, match="expected two or more architectures"):
        Slot((CONV,), 0)
    with pytest.raises(ArchitectureError, match="has a slot itself"):
        Slot((CONV, kk.serial(Slot(BRANCHES, 0))), 0)
    with pytest.raises(ArchitectureError, match="choice=-1: expected an integer"):
        Slot(BRANCHES, -1)
    for choices, message in (((1,), "slots read 2"), ((1, 4), r"choices\[1\]=4.* from 0 to 3")):
        with pytest.raises(ArchitectureError, match=message):
            filled(template(0, 1), choices)
    with pytest.raises(ArchitectureError, match="no hash and no JSON form"):
        _ = template(0).hash
    with pytest.raises(ArchitectureError, match="no hash and no JSON form"):
        template(0).to_json()
    with pytest.raises(ArchitectureError, match=r"node 2 \(Slot reading 1\) is open"):
        kk.NeuralKernel(template(0))(images(2, 4, 4, 3))
    with pytest.raises(ConfigurationError, match="branches of slots normalise"):
        kk.finite_network(template(0), 4, normalization="limit", scales={})
    network = kk.finite_network(template(0), 4)
    variables = network.init(jax.random.key(0), images(2, 4, 4, 3))
    for wrong in ((), (1, 1), np.array([1, 1])):
        with pytest.raises(ArchitectureError, match="slots read 1: expected one number for each"):
            network.apply(variables, images(2, 4, 4, 3), choices=wrong)
    wide = Slot((kk.serial(kk.Identity()), kk.serial(kk.Conv(3, width=2.0))), 0)
    resized = Slot((kk.serial(kk.Identity()), kk.serial(kk.AvgPool(2, stride=2))), 0)
    for slot in (wide, resized):
        network = kk.finite_network(kk.serial(kk.Conv(3), slot), 4, outputs=None)
        with pytest.raises(ArchitectureError, match=r"branch 1 of a slot makes .* keeps pixels"):
            network.init(jax.random.key(0), images(2, 4, 4, 3))


def test_the_text_of_a_template_names_its_slots() -> None:
    assert "Slot((<Architecture 2 nodes, 0 weight layers>," in str(template(0))
    assert template(0).summary((4, 4, 3)).layers[2].shape == (4, 4, math.inf)


def test_one_program_serves_all_choices() -> None:
    network: Any = kk.finite_network(template(0, 1), 4, outputs=3)
    x = images(5, 4, 4, 3)
    variables = jax.jit(network.init)(jax.random.key(0), x)

    @jax.jit
    def apply(variables: Any, choices: Any) -> Any:
        return network.apply(variables, x, choices=choices)

    outputs = {(0, 0): apply(variables, np.array([0, 0]))}
    before = compilations().count
    for choices in ((1, 0), (2, 0), (0, 2), (2, 2), (3, 1)):
        outputs[choices] = apply(variables, np.array(choices))
    assert compilations().count == before
    values = {np.asarray(value).tobytes() for value in outputs.values()}
    assert len(values) == len(outputs)


def test_gradients_are_those_of_the_branch_that_is_chosen() -> None:
    """Of several networks mapped over, as they are trained; none reach what is not chosen."""
    x = images(5, 4, 4, 3)
    shared: Any = kk.finite_network(template(0), 4)
    own: Any = kk.finite_network(filled(template(0), (2,)), 4)

    def loss(network: Any, variables: Any, **options: Any) -> Any:
        return (network.apply(variables, x, train=True, mutable=True, **options)[0] ** 2).sum()

    keys = jax.random.split(jax.random.key(0), 3)
    variables = jax.jit(jax.vmap(shared.init, in_axes=(0, None)))(keys, x)
    gradient = jax.grad(lambda variables, choices: loss(shared, variables, choices=choices))
    found = jax.jit(jax.vmap(gradient, in_axes=(0, None)))(variables, np.array([2]))["params"]
    inside = found["Slot_2"]
    expected = jax.jit(jax.vmap(jax.grad(lambda variables: loss(own, variables))))(
        {
            "params": {
                "Conv_1": variables["params"]["Conv_1"],
                "Conv_3": variables["params"]["Slot_2"]["branches_2"]["Conv_2"],
                "Dense_8": variables["params"]["Dense_6"],
            },
            "batch_stats": {
                "Normalize_4": variables["batch_stats"]["Slot_2"]["branches_2"]["Normalize_3"]
            },
        }
    )["params"]
    for one, other in (
        (found["Conv_1"], expected["Conv_1"]),
        (inside["branches_2"]["Conv_2"], expected["Conv_3"]),
        (found["Dense_6"], expected["Dense_8"]),
    ):
        for part in other:
            np.testing.assert_allclose(one[part], other[part], rtol=1e-4, atol=1e-5)
    assert not any(np.any(values) for values in jax.tree.leaves(inside["branches_3"]))


# --- convolutions --------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", [0, 2])
def test_both_convolutions_give_the_same_networks_and_gradients(seed: int) -> None:
    architecture = random_architecture(
        np.random.default_rng(seed), normalize="any", flat=False, layers="all"
    )
    x = images(3, 4, 4, 3)
    found: dict[str, Any] = {}
    for convolution in CONVOLUTIONS:
        network: Any = kk.finite_network(architecture, 6, convolution=convolution)

        def loss(params: Any, rest: Any, network: Any = network) -> Any:
            value, _ = network.apply({**rest, "params": params}, x, train=True, mutable=True)
            return (value**2).sum(), value

        variables = dict(jax.jit(network.init)(jax.random.key(1), x))
        params = variables.pop("params")
        found[convolution] = jax.jit(jax.grad(loss, has_aux=True))(params, variables)
    same = jax.tree.leaves(found["lax"])
    for one, other in zip(same, jax.tree.leaves(found["patches"]), strict=True):
        scale = float(np.abs(one).max())
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5 * max(scale, 1.0))


@pytest.mark.parametrize("padding", ["SAME", "VALID", "CIRCULAR", ((1, 0), (-1, 1))])
@pytest.mark.parametrize(
    "geometry",
    [{"window": 3}, {"window": (2, 3), "stride": (1, 2)}, {"window": 2, "dilation": (2, 1)}],
)
@pytest.mark.parametrize("layer", [kk.Conv, kk.DepthwiseConv])
def test_gathered_windows_are_those_of_the_layer(
    layer: Any, geometry: dict[str, Any], padding: Any
) -> None:
    architecture = kk.serial(layer(**geometry, padding=padding))
    x, found = images(2, 5, 6, 3), []
    for convolution in CONVOLUTIONS:
        network: Any = kk.finite_network(architecture, 4, outputs=None, convolution=convolution)
        variables = network.init(jax.random.key(0), x)
        found.append(network.apply(variables, x))
    np.testing.assert_allclose(*found, rtol=1e-5, atol=1e-5)


def test_windows_are_gathered_for_small_images_on_a_cpu() -> None:
    assert convolution_for("cpu", (32, 32)) == "patches"
    assert convolution_for("cpu", (64, 64)) == convolution_for("gpu", (8, 8)) == "lax"
    with pytest.raises(ConfigurationError, match="convolution='fft': expected 'lax' or 'patches'"):
        kk.finite_network(template(0), 4, convolution="fft")  # pyright: ignore[reportArgumentType]
