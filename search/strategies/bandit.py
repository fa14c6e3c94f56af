"""Bandits: every parameter is a machine of its own, and every option one of its arms."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, get_args

from kernas.errors import ConfigurationError

from ..spaces import Candidate, Space
from ..spaces.abilities import Distributed
from .base import Course, Strategy, Trial
from .options import Options

Rule = Literal["ucb", "thompson"]


@dataclass(frozen=True)
class Bandit(Strategy):
    """Every parameter a machine of its own, and every option one of its arms.

    Of each parameter the option with the largest index, whatever the others are, from the mean
    x̄ of the values of the n of t trials that had it, scaled to lie between 0 and 1 of all values so
    far. ``"ucb"``: ``x̄ + √(2 ln t / n)`` (UCB1); options that were never tried come first.
    ``"thompson"``: a number drawn from the normal distribution with the mean ``Σ x / (n + 1)`` and
    the variance ``1 / (n + 1)``.

    Args:
        rule: ``"ucb"`` or ``"thompson"``.

    Raises:
        ConfigurationError: the rule is unknown.

    References: Auer, Cesa-Bianchi and Fischer 2002, figure 1; Agrawal and Goyal 2013, Further
    optimal regret bounds for Thompson sampling, algorithm 2; as a controller Wu and Jain 2021,
    QENAS.
    """

    rule: Rule = "ucb"

    def __post_init__(self) -> None:
        if self.rule not in get_args(Rule):
            raise ConfigurationError(f"rule={self.rule!r}: expected 'ucb' or 'thompson'")

    @property
    def name(self) -> str:
        """``bandit``."""
        return "bandit"

    @property
    def abilities(self) -> tuple[type, ...]:
        """Of the spaces that it searches."""
        return (Distributed,)

    def course(self, space: Space, seed: int) -> Course:
        """Its sums so far."""
        options = Options.in_space(space)
        return _Bandit(
            self,
            options,
            [[0] * size for size in options.sizes],
            [[0.0] * size for size in options.sizes],
        )


@dataclass
class _Bandit(Course):
    """Attributes:
    counts: of the trials with each option of each parameter.
    sums: of their values.
    range: the least and the largest value so far.
    """

    strategy: Bandit
    options: Options
    counts: list[list[int]]
    sums: list[list[float]]
    range: tuple[float, float] | None = field(default=None)

    def tell(self, trial: Trial) -> None:
        if trial.value is None:
            return
        low, high = self.range or (trial.value, trial.value)
        self.range = min(low, trial.value), max(high, trial.value)
        chosen = self.options.chosen(trial.candidate)
        for counts, sums, number in zip(self.counts, self.sums, chosen, strict=True):
            counts[number] += 1
            sums[number] += trial.value

    def propose(self, rng: random.Random, running: Sequence[Candidate] = ()) -> Candidate:
        pairs = zip(self.counts, self.sums, strict=True)
        return self.options.candidate([self._arm(counts, sums, rng) for counts, sums in pairs])

    def _arm(self, counts: Sequence[int], sums: Sequence[float], rng: random.Random) -> int:
        """The option with the largest index, one at random of equal ones."""
        indices = [self._index(n, s, sum(counts), rng) for n, s in zip(counts, sums, strict=True)]
        best = max(indices)
        return rng.choice([arm for arm, index in enumerate(indices) if index == best])

    def _index(self, n: int, total: float, trials: int, rng: random.Random) -> float:
        low, high = self.range or (0.0, 0.0)
        scaled = (total - n * low) / (high - low) if high > low else 0.0
        if self.strategy.rule == "thompson":
            return rng.gauss(scaled / (n + 1), 1 / math.sqrt(n + 1))
        return math.inf if n == 0 else scaled / n + math.sqrt(2 * math.log(trials) / n)
