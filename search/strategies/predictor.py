"""A predictor of values: a Gaussian process on the space's encoding proposes what may be best."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from ..spaces import Candidate, Space
from ..spaces.abilities import Encoded, Mutable, require
from ..spaces.regression import fitted_process
from .base import Course, Strategy, Trial, check_least, random_candidate


@dataclass(frozen=True)
class Predictor(Strategy):
    """A Gaussian process on the space's encoding, which tells of what may be best.

    After ``first`` random proposals a Gaussian process is fitted to the values so far, with the
    kernel ``σ² exp(−‖u − v‖² / (2 ℓ²)) + noise`` of the candidates' codes u and v, its numbers by
    maximum likelihood. Of ``pool`` candidates, half of them mutants of the best ``parents`` and
    half random, that were not tried yet, the one with the largest value drawn from its predictive
    distribution is proposed (independent Thompson sampling).

    Args:
        first: random proposals, >= 2.
        pool: candidates that are looked at for each proposal, >= 1.
        parents: of the mutants, >= 1.
        most: of the trials that are fitted, the last so many, >= first; a fit takes their cube.

    Raises:
        ConfigurationError: an argument is out of its range.

    References: White, Neiswanger and Savani 2021, BANANAS, sections 3 and 4, whose predictor is an
    ensemble of networks on path encodings, with independent Thompson sampling and mutations of the
    best; a Gaussian process takes its place here.
    """

    first: int = 10
    pool: int = 100
    parents: int = 5
    most: int = 300

    def __post_init__(self) -> None:
        for name, least in (("first", 2), ("pool", 1), ("parents", 1), ("most", self.first)):
            check_least(getattr(self, name), name, least)

    @property
    def name(self) -> str:
        """``predictor``."""
        return "predictor"

    @property
    def abilities(self) -> tuple[type, ...]:
        """Of the spaces that it searches."""
        return (Encoded, Mutable)

    def course(self, space: Space, seed: int) -> Course:
        """What it has seen so far."""
        return _Predictor(self, space)


@dataclass
class _Predictor(Course):
    """Attributes:
    seen: candidates with their values, in the order in which they ended.
    tried: the names of all that ended.
    """

    strategy: Predictor
    space: Space
    seen: list[tuple[Candidate, float]] = field(default_factory=list)
    tried: set[str] = field(default_factory=set)

    def tell(self, trial: Trial) -> None:
        self.tried.add(trial.candidate.name)
        if trial.value is not None:
            self.seen.append((trial.candidate, trial.value))

    def propose(self, rng: random.Random, running: Sequence[Candidate] = ()) -> Candidate:
        if len(self.seen) < self.strategy.first:
            return random_candidate(self.space, rng)
        pool = self._pool(rng, {candidate.name for candidate in running})
        if not pool:
            return random_candidate(self.space, rng)
        encode = require(self.space, Encoded).encode
        known = self.seen[-self.strategy.most :]
        means, deviations = predicted(
            np.array([encode(candidate) for candidate, _ in known]),
            np.array([value for _, value in known]),
            np.array([encode(candidate) for candidate in pool]),
            rng.randrange(2**32),
        )
        drawn = [rng.gauss(m, d) for m, d in zip(means, deviations, strict=True)]
        return pool[int(np.argmax(drawn))]

    def _pool(self, rng: random.Random, running: set[str]) -> list[Candidate]:
        """Mutants of the best and random candidates, none of them tried."""
        best = sorted(self.seen, key=lambda one: -one[1])[: self.strategy.parents]
        space = require(self.space, Mutable)
        found: dict[str, Candidate] = {}
        for number in range(self.strategy.pool):
            if number % 2:
                candidate = random_candidate(self.space, rng)
            else:
                candidate = space.mutate(rng.choice(best)[0], rng)
            if candidate.name not in self.tried | running:
                found[candidate.name] = candidate
        return list(found.values())


def predicted(
    known: np.ndarray, values: np.ndarray, asked: np.ndarray, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Means and deviations of a Gaussian process at codes, fitted to the values of others.

    Args:
        known: ``(n, d)``, their codes.
        values: ``(n,)``.
        asked: ``(m, d)``.
        seed: of the fit's restarts.
    """
    means, deviations = fitted_process(known, values, seed).predict(asked, return_std=True)
    return means, deviations
