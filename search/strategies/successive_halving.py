"""Successive halving: many candidates at little, and the best of them at more."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from kernas.errors import ConfigurationError

from ..spaces import Candidate, Space
from ..spaces.abilities import Distributed, require
from .base import Course, Strategy, Trial, check_least, random_candidate


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
        of: Any = require(space, Distributed).distributions().get(self.fidelity)
        numbers = isinstance(of, list) and all(isinstance(one, int | float) for one in of)
        if not numbers or len(of) < 2:
            raise ConfigurationError(
                f"space {space.name!r} has no parameter {self.fidelity!r} of two numbers or more: "
                "successive halving climbs it; RecipeSpace(space, epochs=[1, 3, 9]) has one"
            )
        levels = sorted(of)
        return Rungs(self, space, levels, [{} for _ in levels])


Rest = tuple[tuple[str, Any], ...]
"""The values of a candidate's other parameters."""


@dataclass
class Rungs(Course):
    """What has ended at each level.

    Attributes:
        levels: of the fidelity, the least first.
        ended: of each, the other values → the value, below everything where it failed.
        promoted: the other values of whoever was proposed above a level, by its number.
    """

    strategy: SuccessiveHalving
    space: Space
    levels: Sequence[float]
    ended: list[dict[Rest, float]]
    promoted: set[tuple[int, Rest]] = field(default_factory=set)

    def tell(self, trial: Trial) -> None:
        level, rest = self._place(trial.candidate)
        self.ended[level][rest] = -float("inf") if trial.value is None else trial.value
        self.promoted.add((level - 1, rest))

    def propose(self, rng: random.Random, running: Sequence[Candidate] = ()) -> Candidate:
        under_way = {
            (level - 1, rest) for level, rest in (self._place(candidate) for candidate in running)
        }
        gone = self.promoted | under_way
        for level in reversed(range(len(self.levels) - 1)):
            ended = self.ended[level]
            taken = sum(of == level for of, _ in gone)
            left = [rest for rest in ended if (level, rest) not in gone]
            if taken < len(ended) // self.strategy.eta and left:
                best = max(left, key=ended.__getitem__)
                if ended[best] > -float("inf"):
                    return self._candidate(dict(best), level + 1)
        drawn = require(self.space, Distributed).values_of(random_candidate(self.space, rng))
        return self._candidate(drawn, 0)

    def _candidate(self, values: Mapping[str, Any], level: int) -> Candidate:
        able = require(self.space, Distributed)
        return able.candidate_of({**values, self.strategy.fidelity: self.levels[level]})

    def _place(self, candidate: Candidate) -> tuple[int, Rest]:
        values = dict(require(self.space, Distributed).values_of(candidate))
        level = self.levels.index(values.pop(self.strategy.fidelity))
        return level, tuple(values.items())
