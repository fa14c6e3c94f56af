"""Random networks and the conformance list cover every layer; the oracle makes kernels of both."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import fields
from typing import Literal

import numpy as np
import pytest
from oracles.networks import CASES, shape_of
from oracles.numpy_kernel import oracle
from oracles.random_networks import Form, random_architecture

from kernas.kernels.architecture.activations import ACTIVATIONS
from kernas.kernels.architecture.graph import Architecture
from kernas.kernels.architecture.layers import (
    LAYERS,
    AvgPool,
    Normalize,
    Relu,
    WindowLayer,
)


def draw_case(
    seed: int, layers: Literal["basic", "all"] = "basic"
) -> tuple[Architecture, np.ndarray, np.ndarray, Form | None]:
    """A random network with images and reference images."""
    rng = np.random.default_rng(seed)
    image = (int(rng.integers(3, 6)), int(rng.integers(3, 6)), 2)
    forms: tuple[Form | None, ...] = (None, "center", "rms", "any")
    form, flat = forms[seed % 4], seed % 5 == 4
    network = random_architecture(
        rng, image=image, normalize=form, flat=flat, remeet=seed % 3 == 0, layers=layers
    )
    shape = (6,) if flat else image
    network.shapes(shape)
    return network, rng.normal(size=(5, *shape)), rng.normal(size=(3, *shape)), form


def check_positive(network: Architecture, nngp: np.ndarray, ntk: np.ndarray) -> None:
    """Both kernels, and what the tangent kernel has before the last layer, are kernels."""
    before = ntk - nngp if getattr(network.nodes[-1].layer, "trainable", False) else ntk
    for K in (nngp, ntk, before):
        np.testing.assert_allclose(K, K.T, rtol=1e-10, atol=1e-12 * np.abs(K).max())
        assert np.linalg.eigvalsh(K).min() >= -1e-10 * np.trace(K)
    assert np.diag(nngp).min() > 0


@pytest.mark.parametrize("layers", ["basic", "all"])
@pytest.mark.parametrize("seed", range(30))
def test_kernels_of_random_networks_are_kernels(seed: int, layers: Literal["basic", "all"]) -> None:
    network, x, reference, _ = draw_case(seed, layers)
    nngp, ntk = oracle(network, x, reference=reference)
    check_positive(network, nngp, ntk)
    assert np.diag(ntk).min() > 0
    for whole, part in zip(
        (nngp, ntk), oracle(network, x[3:], x[:3], reference=reference), strict=True
    ):
        np.testing.assert_allclose(whole[3:, :3], part, rtol=1e-9, atol=1e-9 * whole.max())


NEW = {"DepthwiseConv", "LayerNorm", "Concat", "LocalAvgPool", "MaxPool"}


@pytest.mark.parametrize(("layers", "absent"), [("basic", NEW), ("all", set())])
def test_random_networks_cover_every_layer_and_are_reproducible(
    layers: Literal["basic", "all"], absent: set[str]
) -> None:
    seen: Counter[str] = Counter()
    windows: list[WindowLayer] = []
    for seed in range(60):
        network, _, _, form = draw_case(seed, layers)
        assert network.hash == draw_case(seed, layers)[0].hash
        norms = {n.layer.center for n in network.nodes if isinstance(n.layer, Normalize)}
        allowed: dict[Form | None, set[bool]] = {None: set(), "center": {True}, "rms": {False}}
        assert norms == allowed[form] if form in allowed else norms
        seen.update(type(node.layer).__name__ for node in network.nodes)
        windows += [node.layer for node in network.nodes if isinstance(node.layer, WindowLayer)]
    others = {layer.__name__ for layer in ACTIVATIONS if layer is not Relu}
    assert set(seen) == set(LAYERS) - others - absent
    assert {"SAME", "VALID", ((1, 1), (1, 1))} <= {layer.padding for layer in windows}
    assert {w.divisor for w in windows if isinstance(w, AvgPool)} == {"valid", "window"}
    cropped = any(min(e) < 0 for w in windows if isinstance(w.padding, tuple) for e in w.padding)
    circular = any(layer.padding == "CIRCULAR" for layer in windows)
    dilated = any(max(layer.dilations) > 1 for layer in windows)
    assert {cropped, circular, dilated} == {layers == "all"}


# --- the conformance list ------------------------------------------------------------------------


@pytest.mark.parametrize("case", CASES)
def test_kernels_of_every_layer_are_kernels(case: str) -> None:
    network, shape = CASES[case], shape_of(case)
    network.shapes(shape)
    x = np.random.default_rng(11).normal(size=(3, *shape))
    check_positive(network, *oracle(network, x, reference=x))


def test_every_layer_and_every_parameter_is_in_the_conformance_list() -> None:
    values: dict[tuple[str, str], set[object]] = defaultdict(set)
    named: set[str] = set()
    for case, network in CASES.items():
        name = case.split(": ")[0]
        layers = [node.layer for node in network.nodes if type(node.layer).__name__ == name]
        assert layers, f"{case}: no {name} in it"
        named.add(name)
        for layer in layers:
            for field in fields(layer):
                values[name, field.name].add(getattr(layer, field.name))
    assert named == set(LAYERS)
    only_one = {key for key, found in values.items() if len(found) == 1}
    in_test_rates = {(layer, "rates") for layer in ("Conv", "Dense", "DepthwiseConv")}
    assert only_one == {("MaxPool", "as_average"), ("Normalize", "over")} | in_test_rates
