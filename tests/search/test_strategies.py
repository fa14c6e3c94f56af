"""Strategies: the suite that ships, and each one's mechanism against what is known of it."""

from __future__ import annotations

import random
from collections import Counter
from functools import partial
from itertools import product
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from toy_search import CHOICES, TOY, network, sum_of

import kernas.search as ks
from kernas.errors import ConfigurationError
from kernas.search.spaces import Candidate, Space
from kernas.search.spaces.abilities import has
from kernas.search.strategies import (
    Bandit,
    EcoNas,
    ExploreThenExploit,
    LocalSearch,
    Predictor,
    Progressive,
    QLearning,
    RandomSearch,
    RegularizedEvolution,
    Reinforce,
    Strategy,
    SuccessiveHalving,
    Trial,
    WarmUp,
    search,
)
from kernas.search.strategies.base import random_candidate, rng_of
from kernas.search.strategies.evolution import preferred
from kernas.search.strategies.options import Options
from kernas.search.strategies.q_learning import QTable
from kernas.search.strategies.reinforce import Policy
from kernas.search.testing import StrategyTests
from kernas.search.training.controller import Controller


def cheap(candidate: Candidate) -> float:
    """A preference that knows something."""
    return float(len(candidate.name) % 5)


STRATEGIES = (
    RandomSearch(),
    RegularizedEvolution(population=8, tournament=3),
    RegularizedEvolution(population=6, tournament=2, retention="best"),
    RegularizedEvolution(6, 2, retention="stochastic", mutants=3, prefer=cheap),
    LocalSearch(),
    Reinforce(entropy=0.1),
    Reinforce("lstm", learning_rate=0.01, entropy=0.1),
    Progressive(beam=3),
    ExploreThenExploit((cheap, cheap), pool=30, kept=0.3, mutants=3, patience=4),
    SuccessiveHalving("batch_size"),
    EcoNas("batch_size", population=6, children=3, tournament=2, patience=2),
    QLearning(exploration=20),
    Bandit(),
    Bandit("thompson"),
    Predictor(first=36, pool=10),
    WarmUp(cheap, pool=30, first=6, then=RegularizedEvolution(6, 2)),
)
SPACES = {
    "nasbench201": ks.NasBench201(1),
    "macro": ks.MacroSpace(),
    "recipes": ks.RecipeSpace(ks.NasBench201(1), learning_rate=(0.01, 1.0), batch_size=[16, 32]),
}


PAIRS = [
    (strategy, name)
    for strategy, (name, space) in product(STRATEGIES, SPACES.items())
    if all(has(space, ability) for ability in strategy.abilities)
    and (not isinstance(strategy, SuccessiveHalving | EcoNas) or name == "recipes")
]


class TestStrategies(StrategyTests):
    @pytest.fixture(params=PAIRS, ids=lambda pair: f"{pair[0].name}-{pair[1]}")
    def pair(self, request: pytest.FixtureRequest) -> tuple[Strategy, str]:
        return request.param

    @pytest.fixture
    def strategy(self, pair: tuple[Strategy, str]) -> Strategy:
        return pair[0]

    @pytest.fixture
    def space(self, pair: tuple[Strategy, str]) -> Space:
        return SPACES[pair[1]]


def test_what_a_space_lacks_is_named() -> None:
    """Neighbours of a rate that has no end of values."""
    refused = {
        (strategy.name, space): strategy
        for strategy, space in product(STRATEGIES, SPACES)
        if (strategy, space) not in PAIRS
    }
    assert set(refused) == {
        ("local-search", "recipes"),
        ("successive-halving", "nasbench201"),
        ("successive-halving", "macro"),
        ("econas", "nasbench201"),
        ("econas", "macro"),
    }
    for (name, space), strategy in refused.items():
        said = "is not Neighbouring" if name == "local-search" else "no parameter 'batch_size'"
        with pytest.raises(ConfigurationError, match=said):
            strategy.begin(SPACES[space])


def best_of(strategy: Strategy, seed: int, trials: int = 150) -> float:
    found = search(strategy, TOY, sum_of, trials, seed)
    return max(trial.value or 0.0 for trial in found)


@pytest.mark.parametrize(
    "strategy",
    [
        RegularizedEvolution(population=20, tournament=5),
        RegularizedEvolution(population=20, tournament=5, retention="best"),
        LocalSearch(),
        Reinforce(learning_rate=0.1),
        Bandit("thompson"),
    ],
    ids=lambda one: one.name,
)
def test_it_beats_random_search_where_the_optimum_can_be_reached_by_steps(
    strategy: Strategy,
) -> None:
    seeds = range(30)
    better = [best_of(strategy, seed) - best_of(RandomSearch(), seed) for seed in seeds]
    wins, losses = sum(b > 0 for b in better), sum(b < 0 for b in better)
    # A sign test: of 30 even pairs, 9 more wins than losses come once in a thousand times or less.
    assert wins - losses >= 9


@pytest.mark.parametrize(
    "strategy",
    [
        Reinforce(learning_rate=0.1),
        Reinforce("lstm", learning_rate=0.02),
        QLearning(0.3, initial=0.0, exploration=60),
        Bandit(),
    ],
    ids=lambda one: one.name,
)
def test_what_a_controller_proposes_in_the_end_is_better_than_chance(strategy: Strategy) -> None:
    """The mean of chance is 0.5, with a deviation of 0.17 of one proposal."""
    late = [
        [trial.value or 0.0 for trial in search(strategy, TOY, sum_of, 200, seed)[150:]]
        for seed in range(30)
    ]
    assert np.mean(late) > 0.5 + 4 * 0.17 / len(late) ** 0.5


def members(strategy: RegularizedEvolution, trials: list[Trial]) -> list[str]:
    course: Any = strategy.begin(TOY)
    for trial in trials:
        course.tell(trial)
    return [candidate.name for candidate, _ in course.members]


def trials_of(values: list[float | None]) -> list[Trial]:
    names = [f"p0={i % 4},p1={i // 4},p2=0,p3=0,p4=0" for i in range(len(values))]
    return [Trial(i, TOY.candidate(names[i]), value) for i, value in enumerate(values)]


def test_ageing_keeps_the_youngest_whatever_they_are_worth() -> None:
    trials = trials_of([0.9, None, 0.1, 0.5, 0.2, 0.3])
    kept = members(RegularizedEvolution(population=3, tournament=1), trials)
    assert kept == [trials[i].candidate.name for i in (3, 4, 5)]


def test_deterministic_retention_keeps_the_best() -> None:
    trials = trials_of([0.9, 0.1, 0.5, 0.2, 0.5, 0.3])
    kept = members(RegularizedEvolution(population=3, tournament=1, retention="best"), trials)
    assert kept == [trials[i].candidate.name for i in (0, 2, 4)]


def test_stochastic_retention_lets_go_by_rank() -> None:
    """Against the probabilities, within four deviations of so many draws."""
    values = [0.4, 0.1, 0.3, 0.2]
    gone: Counter[int] = Counter()
    draws = 4000
    for seed in range(draws):
        course: Any = RegularizedEvolution(3, 1, retention="stochastic").begin(TOY, seed)
        trials = trials_of([*values])
        for trial in trials:
            course.tell(trial)
        left = {candidate.name for candidate, _ in course.members}
        gone[next(t.number for t in trials if t.candidate.name not in left)] += 1
    for place, rank in ((0, 1), (2, 2), (3, 3), (1, 4)):
        p = 2 * rank / (4 * 5)
        assert abs(gone[place] / draws - p) < 4 * (p * (1 - p) / draws) ** 0.5


def test_the_parent_is_the_best_of_the_drawn() -> None:
    trials = trials_of([0.1, 0.9, 0.5])
    strategy = RegularizedEvolution(population=3, tournament=50)
    for seed in range(10):
        child = strategy.propose(TOY, trials, seed)
        parent = trials[1].candidate.genotype
        assert sum(a != b for a, b in zip(child.genotype, parent, strict=True)) == 1


def test_mutants_are_chosen_by_what_is_preferred() -> None:
    candidates = [TOY.candidate(f"p0={i},p1=0,p2=0,p3=0,p4=0") for i in range(4)]
    assert (
        preferred(candidates, lambda c: {0: None, 1: -2.0, 2: -1.0, 3: -1.0}[c.genotype[0]])
        == (candidates[2])
    )
    guided = RegularizedEvolution(10, 3, mutants=8, prefer=sum_of)
    blind = RegularizedEvolution(10, 3)
    seeds = range(20)
    assert sum(best_of(guided, s, 40) > best_of(blind, s, 40) for s in seeds) >= 15


def test_local_search_ends_where_no_neighbour_is_better_and_begins_again() -> None:
    """Every climb goes up to the only optimum, and the next proposal is anywhere."""
    trials = search(LocalSearch(), TOY, sum_of, 300)
    tops = [t.number for t in trials if t.value == 1.0]
    assert tops
    names = [t.candidate.name for t in trials[: tops[0] + 1]]
    assert len(set(names)) == len(names)  # nothing is tried twice on the way
    best = -1.0
    for trial in trials[: tops[0] + 1]:
        best = max(best, trial.value or 0.0)
    assert best == 1.0


def test_the_policys_gradient_is_that_of_the_expected_reward() -> None:
    """Against enumeration: the mean of the gradients over all candidates by their probabilities,
    and differences of the expected reward and of the entropy."""
    options = Options.in_space(ks.ChoiceSpace(network, {"a": [0, 1, 2], "b": [0, 1]}))
    rng = np.random.default_rng(0)
    logits = [rng.standard_normal(3), rng.standard_normal(2)]
    rewards = rng.standard_normal((3, 2))
    beta = 0.3
    policy = Policy(Reinforce(entropy=beta), options, logits)

    def objective() -> float:
        one, two = policy.probabilities()
        entropy = -sum((p * np.log(p)).sum() for p in (one, two))
        return float(one @ rewards @ two) + beta * entropy

    one, two = policy.probabilities()
    mean = [np.zeros(3), np.zeros(2)]
    for a, b in product(range(3), range(2)):
        for total, part in zip(mean, policy.gradient((a, b), rewards[a, b]), strict=True):
            total += one[a] * two[b] * part
    step = 1e-6
    for of, found in zip(logits, mean, strict=True):
        for place in range(len(of)):
            of[place] += step
            up = objective()
            of[place] -= 2 * step
            down = objective()
            of[place] += step
            assert found[place] == pytest.approx((up - down) / (2 * step), abs=1e-8)


def test_the_recurrent_policys_gradient_is_that_of_the_expected_reward() -> None:
    """Against enumeration: by the weights of all layers."""
    controller = Controller((3, 2), 0.01, 0.0)
    (variables, _), rewards = controller.begin(1), np.random.default_rng(0).standard_normal((3, 2))
    paths = [jnp.array(path) for path in product(range(3), range(2))]

    def probability(variables: Any, path: jax.Array) -> Any:
        return jnp.exp(controller.objective(variables, path, 1.0))

    def expected(variables: Any) -> Any:
        return sum(probability(variables, path) * rewards[tuple(path)] for path in paths)

    exact = jax.grad(expected)(variables)
    sampled = [
        jax.tree.map(
            partial(jnp.multiply, probability(variables, path)),
            jax.grad(controller.objective)(variables, path, rewards[tuple(path)]),
        )
        for path in paths
    ]
    assert sum(float(probability(variables, path)) for path in paths) == pytest.approx(1, abs=1e-6)
    mean = jax.tree.map(lambda *leaves: sum(leaves), *sampled)
    for one, other in zip(jax.tree.leaves(mean), jax.tree.leaves(exact), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-6)


def rungs_of(trials: list[Trial]) -> list[list[float]]:
    """The values that ended at each number of epochs."""
    found: dict[int, list[float]] = {1: [], 3: [], 9: []}
    for trial in trials:
        found[CLIMBED.recipe(trial.candidate)["epochs"]].append(trial.value or 0.0)
    return list(found.values())


CLIMBED = ks.RecipeSpace(ks.NasBench201(1), epochs=[9, 1, 3])


def test_successive_halving_promotes_one_of_eta_the_best() -> None:
    """Budgets, at every moment of a search; and who goes on."""

    def value(candidate: Candidate) -> float:
        return random.Random(candidate.name.partition(" @ ")[0]).random()

    trials = search(SuccessiveHalving(eta=3), CLIMBED, value, 130, seed=0)
    for end in range(1, len(trials) + 1):
        first, second, third = rungs_of(trials[:end])
        assert len(second) <= len(first) // 3
        assert len(third) <= len(second) // 3
    first, second, third = rungs_of(trials)
    assert [len(first) // 3 - len(second), len(second) // 3 - len(third)] in ([0, 0], [1, 0])
    assert sorted(first)[-15:] == sorted(second)[-15:]  # no rung is waited for: some were best then
    assert set(third) <= set(sorted(first)[-15:])


def test_bins_of_econas_on_a_history_that_is_written_down() -> None:
    """Who is promoted leaves its bin, and who was neither new nor promoted for some cycles dies."""
    strategy = EcoNas(population=3, children=1, promoted=1, tournament=1, patience=1)
    cells = [one.name for one in ks.NasBench201(1).sample(8, seed=0)]

    def of(number: int, epochs: int) -> Candidate:
        return CLIMBED.candidate(f"{cells[number]} @ epochs={epochs}")

    course: Any = strategy.begin(CLIMBED)
    told = [(0, 1, 0.1), (1, 1, 0.5), (2, 1, 0.3), (3, 1, 0.2)]
    for number, (cell, epochs, value) in enumerate(told):
        assert course.level(number) == 0
        course.tell(Trial(number, of(cell, epochs), value))
    assert course.level(4) == 1
    assert course.propose(rng_of(0, 4)) == of(1, 3)  # the best of the first bin
    assert course.propose(rng_of(0, 4), [of(1, 3)]) != of(1, 9)  # which nobody has reached
    course.tell(Trial(4, of(1, 3), 0.6))
    assert course.level(5) == 2
    assert course.propose(rng_of(0, 5)) == of(1, 9)
    course.tell(Trial(5, of(1, 9), None))

    def alive() -> list[list[int]]:
        of_bins = [[course.ladder.candidate(rest, 0).name for rest in b] for b in course.bins]
        return [sorted(cells.index(name.partition(" @ ")[0]) for name in b) for b in of_bins]

    assert alive() == [[0, 2, 3], [], [1]]
    for number, (cell, epochs, value) in enumerate([(4, 1, 0.0), (2, 3, 0.4), (2, 9, 0.9)], 6):
        course.tell(Trial(number, of(cell, epochs), value))
    assert alive() == [[0, 3, 4], [], [1, 2]]
    for number, (cell, epochs, value) in enumerate([(5, 1, 0.05), (3, 3, 0.4), (3, 9, 0.8)], 9):
        course.tell(Trial(number, of(cell, epochs), value))
    # The third cycle: who came before the second one is gone, in the last bin too.
    assert alive() == [[4, 5], [], [2, 3]]


def test_the_one_that_explored_best_is_tried_first() -> None:
    strategy = ExploreThenExploit((sum_of, lambda one: -float(one.genotype[0])), 100, 0.2)
    trials = search(strategy, TOY, sum_of, 4, seed=2)
    rng = rng_of(2, 0, "pool")
    pool = list({c.name: c for c in (random_candidate(TOY, rng) for _ in range(100))}.values())
    left = sorted(pool, key=lambda one: -sum_of(one))[: round(0.2 * len(pool))]
    left.sort(key=lambda one: one.genotype[0])
    assert [trial.candidate for trial in trials] == left[:4]


@pytest.mark.parametrize(("scale", "reliability"), [(1.0, 1.0), (-1.0, 0.0), (0.0, 0.0)])
def test_what_a_score_says_counts_as_far_as_it_proved_right(
    scale: float, reliability: float
) -> None:
    """One that orders trials the wrong way, or not at all, chooses as chance does."""
    strategy = ExploreThenExploit(lambda one: scale * sum_of(one), 20, 0.5, mutants=8)
    course = strategy.begin(TOY, 0)
    trials = search(strategy, TOY, sum_of, 15)
    for trial in trials:
        course.tell(trial)
    assert course.reliabilities() == pytest.approx(reliability)  # pyright: ignore
    alone = ExploreThenExploit(lambda one: 0.0, 20, 0.5, mutants=1).begin(TOY, 0)
    for trial in trials:
        alone.tell(trial)
    chosen = [[c.propose(rng_of(9, n)) for n in range(60)] for c in (course, alone)]
    if reliability == 0:
        assert chosen[0] == chosen[1]
    else:
        means = [float(np.mean([sum_of(one) for one in of])) for of in chosen]
        assert means[0] > means[1]


def test_who_was_outdone_dies() -> None:
    """On a history that is written down."""
    strategy = ExploreThenExploit(cheap, pool=2, kept=0.5, patience=2)
    course = strategy.begin(TOY, 0)
    values = [0.5, 0.9, 0.4, 0.6, 0.7, 0.3]
    for number, value in enumerate(values):
        course.tell(Trial(number, TOY.candidate((number % 4,) * 5), value))
    alive = [member.value for member in course.members]  # pyright: ignore
    assert alive == [0.9, 0.6, 0.7, 0.3]  # 0.5 by 0.9 and 0.6, 0.4 by 0.6 and 0.7


def test_progressive_search_grows_by_what_is_predicted() -> None:
    """Each size is tried before the next one; and the optimum of a sum is found."""
    beam = 16
    trials = search(Progressive(beam), TOY, sum_of, CHOICES + 4 * beam, seed=0)
    chosen = [trial.candidate.genotype for trial in trials]
    assert [one[0] for one in chosen[:CHOICES]] == list(range(CHOICES))
    sizes = [max((n for n, option in enumerate(one, 1) if option), default=1) for one in chosen]
    levels = Counter(np.maximum.accumulate(sizes).tolist())  # one with the first option is known
    assert list(levels) == [1, 2, 3, 4, 5]
    assert all(levels[level] <= beam for level in (2, 3, 4))
    assert max(trial.value or 0.0 for trial in trials) == 1.0


def test_q_values_tend_to_the_best_that_can_follow() -> None:
    """Against the exact solution: at the rate 1 every choice has the best value that was seen after
    it, and with all candidates told, the best there is."""
    space = ks.ChoiceSpace(network, {"a": [0, 1, 2], "b": [0, 1], "c": [0, 1]})
    rewards = {c: random.Random(str(c)).random() for c in product(range(3), range(2), range(2))}
    table = QTable(QLearning(learning_rate=1.0, initial=-1.0), Options.in_space(space))
    for number, (chosen, reward) in enumerate(rewards.items()):
        table.tell(Trial(number, table.options.candidate(chosen), reward))
    for depth in (1, 2, 3):
        for path in product(*(range(n) for n in (3, 2, 2)[:depth])):
            best = max(r for chosen, r in rewards.items() if chosen[:depth] == path)
            assert table.value(path) == best


@pytest.mark.parametrize("rule", ["ucb", "thompson"])
def test_a_bandits_regret_grows_less_than_its_trials(rule: Any) -> None:
    """On one machine with arms of known means and noise of 0.1: the regret of each of four quarters
    of the trials, means over seeds; that of chance would not fall."""
    space = ks.ChoiceSpace(network, {"arm": [0, 1, 2, 3]})
    means, seeds, trials = (0.2, 0.8, 0.4, 0.5), 20, 800
    regret = np.zeros((seeds, trials))
    for seed in range(seeds):
        noise = random.Random(seed)
        course = Bandit(rule).begin(space, seed)
        for number in range(trials):
            candidate = course.propose(rng_of(seed, number))
            (arm,) = candidate.genotype
            regret[seed, number] = max(means) - means[arm]
            course.tell(Trial(number, candidate, means[arm] + noise.gauss(0, 0.1)))
    quarters = regret.mean(axis=0).reshape(4, -1).sum(axis=1)
    assert quarters[3] < quarters[1] < quarters[0]
    chance = (max(means) - np.mean(means)) * trials / 4
    assert quarters[3] < 0.35 * chance


def test_a_warm_up_proposes_the_best_of_its_pool_first() -> None:
    trials = search(WarmUp(sum_of, pool=200, first=10), TOY, sum_of, 12)
    values = [trial.value or 0.0 for trial in trials[:10]]
    assert values == sorted(values, reverse=True)
    assert min(values) > 0.6


def test_a_predictor_finds_the_optimum_of_what_it_can_model() -> None:
    """Of 1,024 candidates in 30 trials, in which chance finds it once in 34 times."""
    trials = search(Predictor(), TOY, sum_of, 30)
    assert max(trial.value or 0.0 for trial in trials) == 1.0
    late = [trial.candidate.name for trial in trials[10:]]
    assert len(set(late)) == len(late)  # nothing is tried twice


def test_options_of_a_range_are_the_middles_of_its_parts() -> None:
    space = ks.RecipeSpace(ks.NasBench201(1), learning_rate=(0.01, 1.0), batch_size=[16, 32])
    options = Options.in_space(space)
    rates = options.of["learning_rate"]
    assert np.allclose(np.diff(np.log(rates)), np.log(100) / 8)
    for number in range(8):
        chosen = (*[0] * 6, number, 1)
        assert options.chosen(options.candidate(chosen)) == chosen


unknown: Any = "greedy"


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: RegularizedEvolution(population=1), "population=1"),
        (lambda: RegularizedEvolution(tournament=0), "tournament=0"),
        (lambda: RegularizedEvolution(retention=unknown), "ageing, best, stochastic"),
        (lambda: RegularizedEvolution(mutants=3), "give the score that chooses"),
        (lambda: Reinforce(learning_rate=0.0), "learning_rate=0.0"),
        (lambda: Reinforce(baseline=1.0), "baseline=1.0"),
        (lambda: Reinforce(entropy=-1.0), "entropy=-1.0"),
        (lambda: QLearning(learning_rate=2.0), "learning_rate=2.0"),
        (lambda: QLearning(exploration=0), "exploration=0"),
        (lambda: Bandit(unknown), "'ucb' or 'thompson'"),
        (lambda: Predictor(first=1), "first=1"),
        (lambda: Predictor(most=5), "most=5"),
        (lambda: WarmUp(cheap, pool=3, first=4), "first=4 of pool=3"),
        (lambda: search(RandomSearch(), TOY, sum_of, 0), "n_trials=0"),
    ],
)
def test_what_cannot_be_is_refused(make: Any, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        make()
