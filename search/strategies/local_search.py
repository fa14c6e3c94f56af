"""Local search: to the first neighbour that is better, and from a random candidate again."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field

from ..spaces import Candidate, Space
from ..spaces.abilities import Neighbouring, require
from .base import Course, Strategy, Trial, random_candidate, rng_of


@dataclass(frozen=True)
class LocalSearch(Strategy):
    """To the first neighbour that is better, until none is.

    From a random candidate to its first neighbour with a larger value, and on from there; where
    none of all neighbours is better, from another random candidate.

    Neighbours come in random order, and those that were tried before are not proposed again: their
    values are known.

    Reference: White, Nolen and Savani 2021, Exploring the loss landscape in neural architecture
    search, section 3, with the first improving neighbour in place of the best one.
    """

    @property
    def name(self) -> str:
        """``local-search``."""
        return "local-search"

    @property
    def abilities(self) -> tuple[type, ...]:
        """Of the spaces that it searches."""
        return (Neighbouring,)

    def course(self, space: Space, seed: int) -> Course:
        """Where it stands."""
        return _Local(space, seed)


@dataclass
class _Local(Course):
    """Attributes:
    tried: name → value of every candidate that has ended.
    here: where it stands, with its value; ``None`` before it begins again.
    ahead: neighbours that are left to look at, the next one last.
    """

    space: Space
    seed: int
    tried: dict[str, float | None] = field(default_factory=dict)
    here: tuple[Candidate, float] | None = None
    ahead: list[Candidate] = field(default_factory=list)

    def tell(self, trial: Trial) -> None:
        self.tried[trial.candidate.name] = trial.value
        if trial.value is None:
            return
        if self.here is None:
            self._move(trial.candidate, trial.value, trial.number)
        self._look_around(trial.number)

    def _move(self, candidate: Candidate, value: float, number: int) -> None:
        self.here = candidate, value
        self.ahead = require(self.space, Neighbouring).neighbours(candidate)
        rng_of(self.seed, number, "neighbours").shuffle(self.ahead)

    def _look_around(self, number: int) -> None:
        """Pass the neighbours that are known, and move to one of them that is better."""
        while self.here is not None and self.ahead:
            if self.ahead[-1].name not in self.tried:
                return
            neighbour = self.ahead.pop()
            value = self.tried[neighbour.name]
            if value is not None and value > self.here[1]:
                self._move(neighbour, value, number)
        self.here = None

    def propose(self, rng: random.Random, running: Sequence[Candidate] = ()) -> Candidate:
        names = {candidate.name for candidate in running}
        for neighbour in reversed(self.ahead if self.here else []):
            if neighbour.name not in names and neighbour.name not in self.tried:
                return neighbour
        return random_candidate(self.space, rng)
