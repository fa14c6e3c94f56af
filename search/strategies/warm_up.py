"""Warm-up: a cheap score of many candidates chooses the first ones of another strategy."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field

from kernas.errors import ConfigurationError

from ..spaces import Candidate, Space
from .base import Course, Strategy, Trial
from .evolution import Preference, RegularizedEvolution, best_first, pool_of


@dataclass(frozen=True)
class WarmUp(Strategy):
    """The candidates that a cheap score calls best among many, then another strategy.

    Of ``pool`` random candidates the ``first`` that a cheap score calls best are proposed, the
    best one first; then ``then`` goes on, which was told of all of them.

    Args:
        prefer: the cheap score, the higher the better.
        pool: candidates that it sees, >= ``first``.
        first: that are proposed, >= 1.
        then: the strategy after that; it begins with their values, so that an evolution of a
            population of at most ``first`` draws no random ones.

    Raises:
        ConfigurationError: an argument is out of its range.

    Reference: Abdelfattah, Mehrotra, Dudziak and Lane 2021, Zero-cost proxies for lightweight NAS,
    section 5.1: a pool of 3,000 and more before an ageing evolution of 64.
    """

    prefer: Preference
    pool: int = 1000
    first: int = 64
    then: Strategy = field(default_factory=lambda: RegularizedEvolution(64, tournament=10))

    def __post_init__(self) -> None:
        if not 1 <= self.first <= self.pool:
            raise ConfigurationError(
                f"first={self.first!r} of pool={self.pool!r}: expected 1 <= first <= pool"
            )

    @property
    def abilities(self) -> tuple[type, ...]:
        """Those of the strategy that goes on."""
        return self.then.abilities

    @property
    def name(self) -> str:
        """``warm-up``."""
        return "warm-up"

    def course(self, space: Space, seed: int) -> Course:
        """With the pool scored."""
        best = best_first(pool_of(space, self.pool, seed), self.prefer)
        return _WarmUp(best[: self.first], self.then.begin(space, seed))


@dataclass
class _WarmUp(Course):
    """Attributes:
    first: the chosen, the best one first.
    then: what goes on.
    told: trials that have ended.
    """

    first: list[Candidate]
    then: Course
    told: int = 0

    def tell(self, trial: Trial) -> None:
        self.told += 1
        self.then.tell(trial)

    def propose(self, rng: random.Random, running: Sequence[Candidate] = ()) -> Candidate:
        place = self.told + len(running)
        return self.first[place] if place < len(self.first) else self.then.propose(rng, running)
