"""Regularised evolution: the best of a few parents has a child, and a member leaves for it."""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal, get_args

from kernas.errors import ConfigurationError

from ..spaces import Candidate, Space
from ..spaces.abilities import Mutable, require
from .base import Course, Strategy, Trial, check_least, random_candidate, rng_of

Retention = Literal["ageing", "best", "stochastic"]

Preference = Callable[[Candidate], float | None]
"""A cheap score, the higher the better; ``None`` of a candidate that it says nothing of."""


@dataclass(frozen=True)
class RegularizedEvolution(Strategy):
    """Mutants of the best of a few members of a population that members leave.

    A population of ``population``; of ``tournament`` members drawn with replacement the best
    one's mutant is the next proposal, and when that has ended and the population is full, one
    member leaves.

    Args:
        population: members, >= 2; the first so many proposals are random.
        tournament: members of which the best is the parent, >= 1.
        retention: who leaves. ``"ageing"``: the oldest (Real et al. 2019, algorithm 1).
            ``"best"``: the worst, the youngest of equals (deterministic retention).
            ``"stochastic"``: one drawn with the probability ``2 r / (m (m + 1))`` with r its rank
            among the m, 1 for the best.
        mutants: so many of a parent, >= 1, of which the one that ``prefer`` calls best is proposed
            (the survey's section 5.3.1).
        prefer: a cheap score of a candidate, such as a kernel's or a proxy; needed by several
            mutants.

    Raises:
        ConfigurationError: an argument is out of its range.

    Reference: Real, Aggarwal, Huang and Le 2019, Regularized evolution for image classifier
    architecture search, section 3 (population 100, tournament 25); NATS-Bench has 10 and 3.
    """

    population: int = 100
    tournament: int = 25
    retention: Retention = "ageing"
    mutants: int = 1
    prefer: Preference | None = None

    def __post_init__(self) -> None:
        for name, least in (("population", 2), ("tournament", 1), ("mutants", 1)):
            check_least(getattr(self, name), name, least)
        if self.retention not in get_args(Retention):
            raise ConfigurationError(
                f"retention={self.retention!r}: expected one of {', '.join(get_args(Retention))}"
            )
        if self.mutants > 1 and self.prefer is None:
            raise ConfigurationError(
                f"mutants={self.mutants} without prefer: give the score that chooses among them"
            )

    @property
    def name(self) -> str:
        """``regularized-evolution``."""
        return "regularized-evolution"

    @property
    def abilities(self) -> tuple[type, ...]:
        """Of the spaces that it searches."""
        return (Mutable,)

    def course(self, space: Space, seed: int) -> Course:
        """Its population so far."""
        return _Evolution(self, space, seed)


@dataclass
class _Evolution(Course):
    """Attributes:
    members: with a value, the oldest first.
    """

    strategy: RegularizedEvolution
    space: Space
    seed: int
    members: deque[tuple[Candidate, float]] = field(default_factory=deque)

    def tell(self, trial: Trial) -> None:
        if trial.value is None:
            return
        self.members.append((trial.candidate, trial.value))
        if len(self.members) > self.strategy.population:
            self._let_one_go(rng_of(self.seed, trial.number, "retention"))

    def _let_one_go(self, rng: random.Random) -> None:
        if self.strategy.retention == "ageing":
            self.members.popleft()
            return
        worst_last = sorted(range(len(self.members)), key=lambda i: (-self.members[i][1], i))
        if self.strategy.retention == "best":
            del self.members[worst_last[-1]]
            return
        ranks = range(1, len(worst_last) + 1)
        del self.members[rng.choices(worst_last, weights=ranks)[0]]

    def propose(self, rng: random.Random, running: Sequence[Candidate] = ()) -> Candidate:
        strategy = self.strategy
        if len(self.members) + len(running) < strategy.population or not self.members:
            return random_candidate(self.space, rng)
        drawn = [rng.randrange(len(self.members)) for _ in range(strategy.tournament)]
        parent, _ = self.members[max(drawn, key=lambda i: (self.members[i][1], -i))]
        space = require(self.space, Mutable)
        mutants = [space.mutate(parent, rng) for _ in range(strategy.mutants)]
        return preferred(mutants, strategy.prefer)


def pool_of(space: Space, size: int, seed: int) -> list[Candidate]:
    """So many random candidates, those that come twice once."""
    rng = rng_of(seed, 0, "pool")
    drawn = (random_candidate(space, rng) for _ in range(size))
    return list({candidate.name: candidate for candidate in drawn}.values())


def best_first(candidates: Sequence[Candidate], prefer: Preference) -> list[Candidate]:
    """Those that a cheap score says anything of, the first of equals first."""
    said = [(prefer(candidate), candidate) for candidate in candidates]
    known = [(value, candidate) for value, candidate in said if value is not None]
    return [candidate for _, candidate in sorted(known, key=lambda one: -one[0])]


def preferred(candidates: Sequence[Candidate], prefer: Preference | None) -> Candidate:
    """The one that a cheap score calls best, the first of equals; those that it says nothing of
    come last."""
    if prefer is None or len(candidates) == 1:
        return candidates[0]
    scored = [(prefer(candidate), -place) for place, candidate in enumerate(candidates)]
    best = max(scored, key=lambda one: (one[0] is not None, one[0] or 0.0, one[1]))
    return candidates[-best[1]]
