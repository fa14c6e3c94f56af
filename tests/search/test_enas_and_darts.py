"""Strategies that train shared weights as they go: what a step moves, and what follows from it."""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from interrupting import after_a_piece
from two_slots import BRANCHES, FOUR, SPACE, TEMPLATE, built

import kernas.kernels as kk
import kernas.search as ks
from kernas.errors import ConfigurationError, DataError, DivergenceError
from kernas.kernels import finite_network
from kernas.kernels.architecture import Slot
from kernas.kernels.architecture.slots import filled
from kernas.kernels.finite.filling import filled_variables
from kernas.search.strategies import search
from kernas.search.strategies.darts import heaviest_first
from kernas.search.testing import StrategyTests
from kernas.search.training.controller import Controller
from kernas.search.training.darts import ALPHA, DECAY, DartsTraining, absent_of, mixture
from kernas.search.training.enas import BASELINE, POLICY, EnasTraining
from kernas.search.training.loop import training_of
from kernas.search.training.settings import TrainingSettings

FIT, JUDGED = kk.load("digits", n_train=120, n_test=60, image_size=4, seed=0)
ENAS = ks.Enas(FIT, JUDGED, steps=60, samples=4, width=2, batch_size=16)
DARTS = ks.Darts(FIT, JUDGED, steps=60, width=2, batch_size=16)
RECIPE = TrainingSettings(width=4, batch_size=16, steps=60, learning_rate=0.05)


class TestSharedSearches(StrategyTests):
    @pytest.fixture(
        params=[replace(ENAS, steps=10), replace(DARTS, steps=10)], ids=["enas", "darts"]
    )
    def strategy(self, request: pytest.FixtureRequest) -> ks.Strategy:
        return request.param

    @pytest.fixture
    def space(self) -> ks.Space:
        return FOUR


def test_a_mixture_of_one_branch_is_that_network() -> None:
    """And one of several is the sum of what they make, by their weights."""
    network: Any = finite_network(TEMPLATE, 4, outputs=10)
    x = FIT.x[:5]
    variables: Any = network.init(jax.random.key(0), x)
    outputs: list[Any] = []
    for chosen in product(range(3), repeat=2):
        rows = jnp.eye(3)[np.array(chosen)]
        found = network.apply(variables, x, choices=rows)
        alone: Any = finite_network(filled(TEMPLATE, chosen), 4, outputs=10)
        own = filled_variables(TEMPLATE, chosen, variables)
        np.testing.assert_allclose(found, alone.apply(own, x), rtol=2e-5, atol=1e-6)
        outputs.append(found)
    # The last slot stands before a nonlinearity: of the one after it only parallel weights add up.
    linear = kk.serial(kk.Conv(3), Slot(BRANCHES, 0), kk.Flatten(), kk.Dense())
    network = finite_network(linear, 4, outputs=3)
    variables = network.init(jax.random.key(1), x)
    weights = jnp.array([[0.2, 0.5, 0.3]])
    parts = [network.apply(variables, x, choices=(number,)) for number in range(3)]
    mixed = network.apply(variables, x, choices=weights)
    expected = sum(w * np.asarray(part) for w, part in zip(weights[0], parts, strict=True))
    np.testing.assert_allclose(mixed, expected, rtol=2e-5, atol=1e-6)


def enas_training() -> EnasTraining:
    return training_of(
        *(EnasTraining, TEMPLATE, FIT, RECIPE, (3,)),
        on_path=True,
        slots=tuple,
        controller=Controller((3, 3), 0.01, 0.0),
        validation=JUDGED,
        baseline=0.9,
    )


def moved_by(training: EnasTraining, path: tuple[int, int], state: Any, first: int) -> set[str]:
    """Which arrays of weights and of momentum a step along a path changes, in place of none."""
    after, _ = training.stepped(state, first, np.array([[path]]))
    changed: set[str] = set()
    for part, of in (("params", state["variables"]["params"]), ("optimizer", state["optimizer"])):
        then = after["variables"]["params"] if part == "params" else after["optimizer"]
        pairs = zip(jax.tree_util.tree_leaves_with_path(of), jax.tree.leaves(then), strict=True)
        changed |= {
            f"{part}{jax.tree_util.keystr(where)}"
            for (where, before), now in pairs
            if not np.array_equal(before, now)
        }
    return changed


def test_a_step_moves_the_weights_of_its_path_alone() -> None:
    """Momentum of an earlier path does not go on, nor does the decay."""
    training = enas_training()
    start = training.start().state
    shared = {name: start[name] for name in ("variables", "optimizer")}
    after, _ = training.stepped(shared, 0, np.array([[(1, 2)]] * 5))
    changed = moved_by(training, (2, 0), after, 5)
    slots = {name for name in changed if "Slot" in name}
    assert slots
    assert all("Slot_3" in name and "branches_2" in name for name in slots)
    assert any("Conv_1" in name for name in changed)
    assert any(name.startswith("optimizer") for name in slots)


def test_a_round_is_that_of_its_parts() -> None:
    """The controller's steps, by rewards that are computed here."""
    training = enas_training()
    start = training.start().state
    after, losses = training.advance(start, 0, 4)
    assert losses.shape == (4, 1)
    network: Any = finite_network(TEMPLATE, 4, outputs=10, parameterization="standard")
    variables = jax.tree.map(lambda leaf: leaf[0], after["variables"])
    expected: list[float] = []
    for step in range(3):
        places = np.random.default_rng([3, 4, step]).permutation(len(JUDGED))[:16]
        logits, _ = network.apply(
            *(variables, JUDGED.x[places]), train=True, choices=(1, 2), mutable=["batch_stats"]
        )
        right = np.argmax(np.asarray(logits), axis=1) == JUDGED.y[places]
        expected.append(float(right.mean()))
    assert [training.reward(after, (1, 2), step) for step in range(3)] == expected
    rewards = after[BASELINE]
    assert 0 <= rewards[0] <= 1
    leaves = zip(jax.tree.leaves(start[POLICY]), jax.tree.leaves(after[POLICY]), strict=True)
    assert any(not np.array_equal(one, other) for one, other in leaves)


@pytest.mark.parametrize("strategy", [ENAS, DARTS], ids=["enas", "darts"])
def test_an_interrupted_training_proposes_the_same(
    strategy: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = search(strategy, SPACE, lambda one: 0.0, 8, seed=2)
    kept = replace(strategy, folder=tmp_path)
    with pytest.raises(KeyboardInterrupt), after_a_piece(monkeypatch):
        search(kept, SPACE, lambda one: 0.0, 8, seed=2)
    again = search(kept, SPACE, lambda one: 0.0, 8, seed=2)
    assert [trial.candidate for trial in again] == [trial.candidate for trial in whole]


@pytest.mark.parametrize("order", [1, 2])
def test_the_gradient_of_the_logits_is_that_of_the_loss_which_judges(order: Any) -> None:
    """Against differences, in float64: of the validation loss, of order 2 after the weights' own
    step, which is written out here."""
    training = training_of(
        *(DartsTraining, TEMPLATE, FIT, RECIPE, (3,)), validation=JUDGED, rate=0.01, order=order
    )
    start = training.start().state
    after, _ = training.advance(start, 0, 1)
    alpha, _ = start[ALPHA]
    adam = after[ALPHA][1][1]
    found = np.asarray(adam.mu) / 0.5 - DECAY * alpha  # Adam's mean is (1 - 0.5) g after a step

    with jax.enable_x64(True):
        network: Any = finite_network(TEMPLATE, 4, outputs=10, parameterization="standard")
        variables = jax.tree.map(lambda leaf: jnp.array(leaf[0], float), start["variables"])
        params = variables["params"]
        absent = jnp.zeros((2, 3))
        drawn = [_batch(data, seed) for data, seed in ((FIT, 3), (JUDGED, 4))]

        def loss(params: Any, alpha: Any, of: Any) -> Any:
            logits, _ = network.apply(
                {**variables, "params": params},
                jnp.array(of[0], float),
                train=True,
                choices=mixture(alpha, absent),
                mutable=["batch_stats"],
            )
            return optax.softmax_cross_entropy_with_integer_labels(logits, of[1]).mean()

        slope = jax.jit(jax.grad(loss))
        value = jax.jit(loss)

        def judged(alpha: Any) -> float:
            ahead = params
            if order == 2:
                gradient = slope(params, alpha, drawn[0])
                ahead = jax.tree.map(lambda p, g: p - RECIPE.learning_rate * g, params, gradient)
            return float(value(ahead, alpha, drawn[1]))

        small = 1e-5
        exact = np.zeros((2, 3))
        for place in product(range(2), range(3)):
            nudge = np.zeros((2, 3))
            nudge[place] = small
            base = np.asarray(alpha, float)
            exact[place] = (judged(base + nudge) - judged(base - nudge)) / (2 * small)
    np.testing.assert_allclose(found, exact, rtol=2e-3, atol=2e-6)


def _batch(data: kk.Dataset, seed: int) -> tuple[Any, Any]:
    """The images and labels of the first step of a seed."""
    order = np.random.default_rng([seed, 1, 0]).permutation(len(data))[:16]
    return data.x[order], data.y[order]


def test_a_branch_that_carries_nothing_loses_its_weight() -> None:
    """Of both strategies: with one branch that is zero, whatever else there is comes first."""
    slot = Slot((kk.serial(kk.Zero()), kk.serial(kk.Relu(), kk.Conv(3))), 0)
    template = kk.serial(kk.Conv(3), kk.Normalize(), slot, kk.GlobalAvgPool(), kk.Dense())

    class Dead(ks.ChoiceSpace):
        def template(self, candidate: ks.Candidate) -> kk.Architecture:
            return template

        def slots(self, candidate: ks.Candidate) -> tuple[int, ...]:
            return tuple(candidate.genotype)

    space = Dead(lambda lives: filled(template, (lives,)), {"lives": [0, 1]})
    for strategy in (
        replace(DARTS, steps=150, learning_rate=0.1, logit_rate=0.02),
        replace(ENAS, steps=150, learning_rate=0.1),
    ):
        first = search(strategy, space, lambda one: 0.0, 1)[0]
        assert first.candidate.genotype == (1,), strategy.name


def test_the_heaviest_come_first() -> None:
    """Against all products, sorted."""
    rng = np.random.default_rng(0)
    logs = [rng.standard_normal(size) for size in (2, 3, 4)]
    found = list(heaviest_first(logs))
    every = list(product(range(2), range(3), range(4)))
    assert sorted(found) == every
    weights = [sum(of[at] for of, at in zip(logs, one, strict=True)) for one in found]
    assert weights == sorted(weights, reverse=True)


def test_a_choice_with_fewer_branches_gives_none_to_those_it_lacks() -> None:
    shares = np.asarray(mixture(jnp.zeros((2, 3)), jnp.asarray(absent_of((2, 3)))))
    np.testing.assert_allclose(shares, [[0.5, 0.5, 0.0], [1 / 3, 1 / 3, 1 / 3]], atol=1e-7)


def test_what_cannot_be_searched_so_is_refused() -> None:
    for strategy in (ENAS, DARTS):
        with pytest.raises(ConfigurationError, match="Slotted"):
            strategy.begin(ks.MacroSpace())
        other = replace(strategy, validation=kk.load("digits", n_test=9, image_size=8, seed=0)[1])
        with pytest.raises(DataError, match="equal shapes"):
            other.begin(SPACE)
        wild = replace(strategy, learning_rate=1e5)
        with pytest.raises(DivergenceError, match="learning_rate below"):
            wild.begin(SPACE)
    with pytest.raises(ConfigurationError, match="batch_size=16 of 9 images"):
        replace(DARTS, validation=JUDGED.subset(9, seed=0)).begin(SPACE)

    class Twisted(type(SPACE)):
        def slots(self, candidate: ks.Candidate) -> tuple[int, ...]:
            first, second = candidate.genotype
            return (first, (first + second) % 3)

    twisted = Twisted(built, {"first": [0, 1, 2], "second": [0, 1, 2]})
    with pytest.raises(ConfigurationError, match="do not each fill a slot"):
        DARTS.begin(twisted)


@pytest.mark.parametrize(
    ("strategy", "field", "value"),
    [(ENAS, "samples", 0), (ENAS, "baseline", 1.0), (DARTS, "order", 3), (DARTS, "logit_rate", 0)],
)
def test_a_setting_out_of_its_range_is_refused(strategy: Any, field: str, value: Any) -> None:
    with pytest.raises(ConfigurationError, match=f"{field}="):
        replace(strategy, **{field: value})
