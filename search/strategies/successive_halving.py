"""Successive halving: many candidates at little, and the best of them at more."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field

from ..spaces import Candidate, Space
from ..spaces.abilities import Distributed
from .base import Course, Strategy, Trial, check_least, random_candidate
from .options import Ladder, Rest


@dataclass(frozen=True)
class SuccessiveHalving(Strategy):
    """Many candidates at the least of a fidelity, and the best of them at more.

    A space that chooses epochs, or whatever else costs, has rungs: the values of that parameter
    from the least to the largest. Whenever fewer than ⌊n/η⌋ of the n candidates that have ended on
    a rung were promoted, the best of the others is proposed on the next one, from the highest rung
    on; else a random candidate begins on the first. Nothing waits for a rung to be full, so that
    any number of trials may run at a time, and no rung has more than its share.

    Args:
        fidelity: the parameter, a list of two numbers or more, such as the ``epochs`` of a
            :class:`RecipeSpace`.
        eta: η >= 2, of so many one goes on.

    Raises:
        ConfigurationError: ``eta`` is below 2; of a space, that it has no such parameter.

    References: Jamieson and Talwalkar 2016, Non-stochastic best arm identification, section 3; Li
    et al. 2020, A system for massively parallel hyperparameter tuning, algorithm 2 (ASHA, η = 4),
    which promotes whoever is among the best ⌊n/η⌋, however many others were before.
    """

    fidelity: str = "epochs"
    eta: int = 3

    def __post_init__(self) -> None:
        check_least(self.eta, "eta", 2)

    @property
    def name(self) -> str:
        """``successive-halving``."""
        return "successive-halving"

    @property
    def abilities(self) -> tuple[type, ...]:
        """Of the spaces that it searches."""
        return (Distributed,)

    def course(self, space: Space, seed: int) -> Course:
        """Its rungs so far."""
        ladder = Ladder.of(space, self.fidelity)
        return Rungs(self, ladder, [{} for _ in ladder.levels])


@dataclass
class Rungs(Course):
    """What has ended at each level.

    Attributes:
        ended: of each, the other values → the value, below everything where it failed.
        promoted: the other values of whoever was proposed above a level, by its number.
    """

    strategy: SuccessiveHalving
    ladder: Ladder
    ended: list[dict[Rest, float]]
    promoted: set[tuple[int, Rest]] = field(default_factory=set)

    def tell(self, trial: Trial) -> None:
        level, rest = self.ladder.place(trial.candidate)
        self.ended[level][rest] = -float("inf") if trial.value is None else trial.value
        self.promoted.add((level - 1, rest))

    def propose(self, rng: random.Random, running: Sequence[Candidate] = ()) -> Candidate:
        under_way = {(level - 1, rest) for level, rest in map(self.ladder.place, running)}
        gone = self.promoted | under_way
        for level in reversed(range(len(self.ladder.levels) - 1)):
            ended = self.ended[level]
            taken = sum(of == level for of, _ in gone)
            left = [rest for rest in ended if (level, rest) not in gone]
            if taken < len(ended) // self.strategy.eta and left:
                best = max(left, key=ended.__getitem__)
                if ended[best] > -float("inf"):
                    return self.ladder.candidate(best, level + 1)
        _, drawn = self.ladder.place(random_candidate(self.ladder.space, rng))
        return self.ladder.candidate(drawn, 0)
