"""Random search: the yardstick of all others."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

from ..spaces import Candidate, Space
from .base import Course, Strategy, Trial, random_candidate


@dataclass(frozen=True)
class RandomSearch(Strategy):
    """Every proposal is drawn by itself, with replacement.

    Reference: Bergstra and Bengio 2012, Random search for hyper-parameter optimization; Li and
    Talwalkar 2019, Random search and reproducibility for neural architecture search.
    """

    @property
    def name(self) -> str:
        """``random``."""
        return "random"

    def course(self, space: Space, seed: int) -> Course:
        """Knows nothing of trials."""
        return _Random(space)


@dataclass
class _Random(Course):
    space: Space

    def tell(self, trial: Trial) -> None:
        pass

    def propose(self, rng: random.Random, running: Sequence[Candidate] = ()) -> Candidate:
        return random_candidate(self.space, rng)
