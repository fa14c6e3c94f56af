"""The template of a space computes what the finite network of each candidate does."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np
import pytest

import kernas.kernels as kk
import kernas.search as ks
from kernas.errors import ArchitectureError, ConfigurationError
from kernas.kernels.architecture import Slot
from kernas.kernels.architecture.slots import filled
from kernas.kernels.finite.filling import filled_variables

SHAPE = (8, 8, 1)


@dataclass(frozen=True)
class Step:
    """One layer of a filled template: where its variables are, and which steps it reads."""

    layer: Any
    path: tuple[str, ...]
    reads: tuple[int, ...]


def steps(template: kk.Architecture, slots: tuple[int, ...]) -> list[Step]:
    """A template's layers with those of the chosen branches in place of its slots."""
    found: list[Step] = []
    ends: list[int] = []

    def append(layer: Any, path: tuple[str, ...], reads: tuple[int, ...], index: int) -> int:
        found.append(Step(layer, (*path, f"{type(layer).__name__}_{index}"), reads))
        return len(found) - 1

    for index, node in enumerate(template.nodes):
        reads = tuple(ends[i] for i in node.inputs)
        if not isinstance(node.layer, Slot):
            ends.append(append(node.layer, (), reads, index))
            continue
        number = slots[node.layer.choice]
        inner = [reads[0]]
        for place, own in enumerate(node.layer.branches[number].nodes[1:], start=1):
            path = (f"Slot_{index}", f"branches_{number}")
            inner.append(append(own.layer, path, tuple(inner[i] for i in own.inputs), place))
        ends.append(inner[-1])
    return found


def carrying(found: list[Step]) -> Iterator[Step]:
    """The steps that have variables, carry no zeros, and that the output reads."""
    alive: list[bool] = []
    for step in found:
        nonzero = not step.reads or any(alive[i] for i in step.reads)
        alive.append(nonzero and not isinstance(step.layer, kk.Zero))
    read, waiting = set(), [len(found) - 1]
    while waiting:
        index = waiting.pop()
        if index not in read:
            read.add(index)
            waiting += [i for i in found[index].reads if alive[i]]
    kinds = (kk.Conv, kk.Dense, kk.Normalize)
    return (s for i, s in enumerate(found) if i in read and isinstance(s.layer, kinds))


def copied(
    variables: Any, candidate: ks.Candidate, template: kk.Architecture, slots: tuple[int, ...]
) -> dict[str, dict[str, Any]]:
    """The variables of the candidate's own network, those that it has of the template's."""
    own = [
        (index, node.layer)
        for index, node in enumerate(candidate.architecture.nodes)
        if isinstance(node.layer, kk.Conv | kk.Dense | kk.Normalize)
    ]
    result: dict[str, dict[str, Any]] = {"params": {}, "batch_stats": {}}
    for (index, layer), step in zip(own, carrying(steps(template, slots)), strict=True):
        assert layer == step.layer
        collection = "batch_stats" if isinstance(layer, kk.Normalize) else "params"
        values = variables[collection]
        for part in step.path:
            values = values[part]
        result[collection][f"{type(layer).__name__}_{index}"] = values
    return result


def compare(found: Any, expected: Any, rtol: float = 1e-4) -> None:
    """Arrays of two trees, each to rounding errors of its largest number."""
    assert jax.tree.structure(found) == jax.tree.structure(expected)
    for one, other in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        scale = max(1.0, float(np.abs(other).max()))
        np.testing.assert_allclose(one, other, rtol=rtol, atol=rtol * scale)


def check_space(space: Any, cells: list[Any], *, gradients: bool, width: int = 4) -> None:
    """Outputs and statistics of the template and of each cell's own network, and gradients."""
    candidates = [space.candidate(cell) for cell in cells]
    template = space.template(candidates[0])
    assert all(space.template(candidate) == template for candidate in candidates)
    x = np.random.default_rng(0).normal(size=(6, *SHAPE)).astype(np.float32)
    options: dict[str, Any] = {"outputs": 3, "parameterization": "standard"}
    shared: Any = kk.finite_network(template, width, convolution="patches", **options)
    start = jax.jit(shared.init)(jax.random.key(0), x)

    def computed(network: Any, variables: Any, choices: Any) -> Any:
        """In training, and what it moves; then evaluated; and the loss's gradients."""

        def loss(params: Any) -> Any:
            value, moved = network.apply(
                {**variables, "params": params}, x, train=True, choices=choices, mutable=True
            )
            return (value**2).sum(), (value, moved)

        params = variables["params"]
        if gradients:
            params, (value, moved) = jax.grad(loss, has_aux=True)(params)
        else:
            _, (value, moved) = loss(params)
        return value, network.apply(variables, x, choices=choices), {**moved, "params": params}

    through = jax.jit(lambda variables, choices: computed(shared, variables, choices))
    for candidate in candidates:
        slots = space.slots(candidate)

        def own_of(
            variables: Any, candidate: ks.Candidate = candidate, slots: Any = slots
        ) -> dict[str, Any]:
            found = copied(variables, candidate, template, slots)
            return {name: values for name, values in found.items() if values}

        # Statistics as training leaves them: they differ from those at the start.
        _, _, moved = through(start, np.array(slots))
        variables = {**start, **moved, "params": start["params"]}
        trained, evaluated, mine = through(variables, np.array(slots))
        if any(isinstance(node.layer, kk.Zero) for node in candidate.architecture.nodes):
            assert not np.any(trained)
            assert not np.any(evaluated)
            continue
        network: Any = kk.finite_network(candidate.architecture, width, **options)
        expected = jax.jit(lambda v, network=network: computed(network, v, ()))(own_of(variables))
        compare((trained, evaluated), expected[:2])
        compare(own_of(mine), dict(expected[2]), rtol=1e-3)


CELLS = [
    "|nor_conv_3x3~0|+|avg_pool_3x3~0|nor_conv_1x1~1|+|skip_connect~0|none~1|nor_conv_3x3~2|",
    # Convolutions that read nothing, and one that nothing reads.
    "|none~0|+|nor_conv_1x1~0|nor_conv_3x3~1|+|none~0|nor_conv_1x1~1|skip_connect~2|",
    "|nor_conv_3x3~0|+|none~0|none~1|+|avg_pool_3x3~0|none~1|nor_conv_3x3~2|",
    # No way through the cell.
    "|none~0|+|nor_conv_1x1~0|none~1|+|none~0|avg_pool_3x3~1|none~2|",
]


def test_a_filled_template_is_the_cell_with_its_weights() -> None:
    check_space(ks.NasBench201(cells_per_stage=1), CELLS[1:2], gradients=False)


@pytest.mark.slow
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"reduction": "pool", "cells_per_stage": 2},
        {"normalize": "layer", "padding": "circular"},
        {"normalize": "none", "readout": "flatten"},
        {"center": False},
    ],
    ids=str,
)
def test_templates_of_all_skeletons_and_their_gradients(options: dict[str, Any]) -> None:
    space = ks.NasBench201(**{"cells_per_stage": 1, **options})
    drawn = [candidate.genotype for candidate in space.sample(3, seed=5)]
    check_space(space, [*CELLS, *drawn], gradients=True)


def test_the_variables_of_a_filled_template_are_those_of_its_branches() -> None:
    branches = (
        kk.serial(kk.Identity()),
        kk.serial(kk.Relu(), kk.Conv(3), kk.Normalize()),
        kk.serial(kk.Zero()),
    )
    template = kk.serial(
        *(kk.Conv(3), kk.Normalize(), Slot(branches, 0), kk.Conv(1), Slot(branches, 1)),
        *(kk.GlobalAvgPool(), kk.Dense(b_std=1.0)),
    )
    x = np.random.default_rng(0).normal(size=(6, *SHAPE)).astype(np.float32)
    options: dict[str, Any] = {"outputs": 3, "parameterization": "standard"}
    shared: Any = kk.finite_network(template, 4, **options)
    variables = shared.init(jax.random.key(0), x)
    for choices in ((0, 1), (1, 1), (2, 0)):
        network: Any = kk.finite_network(filled(template, choices), 4, **options)
        own = filled_variables(template, choices, variables)
        assert jax.tree.structure(own) == jax.tree.structure(
            jax.eval_shape(network.init, jax.random.key(0), x)
        )
        expected = shared.apply(variables, x, choices=np.array(choices))
        np.testing.assert_allclose(network.apply(own, x), expected, rtol=1e-5, atol=1e-5)
    with pytest.raises(ArchitectureError, match="choices of shape"):
        filled_variables(template, (0,), variables)


def test_only_candidates_of_the_space_have_a_template_here() -> None:
    other = ks.NasBench201(cells_per_stage=2).candidate(CELLS[0])
    for method in ("template", "slots"):
        with pytest.raises(ConfigurationError, match="belongs to the space nasbench201:cells=2"):
            getattr(ks.NasBench201(cells_per_stage=1), method)(other)
