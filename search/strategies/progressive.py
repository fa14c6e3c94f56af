"""Progressive search: candidates grow parameter by parameter, and a surrogate says which go on."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from ..spaces import Candidate, Space
from ..spaces.abilities import Distributed, Encoded, require
from .base import Course, Strategy, Trial, check_least, random_candidate, rng_of
from .options import Options
from .predictor import predicted

Chosen = tuple[int, ...]
"""The option of each parameter."""


@dataclass(frozen=True)
class Progressive(Strategy):
    """From simple candidates to whole ones, the best of each size chosen by a surrogate.

    Of the first parameter every option is tried, with the first options of all others (in
    NAS-Bench-201 ``none``). Then the ``beam`` best trials are given every option of the next
    parameter; a Gaussian process on the space's encoding, fitted to all trials so far, predicts the
    values of what is new among these, and the ``beam`` best are tried. After the last parameter the
    next best ones that it predicts come, then random candidates.

    Args:
        beam: candidates of each size, K >= 1.

    Raises:
        ConfigurationError: ``beam`` is below 1.

    Reference: Liu et al. 2018, Progressive neural architecture search, algorithm 1 (K = 256; blocks
    of a cell in place of parameters, and an ensemble of networks as the surrogate).
    """

    beam: int = 16

    def __post_init__(self) -> None:
        check_least(self.beam, "beam")

    @property
    def name(self) -> str:
        """``progressive``."""
        return "progressive"

    @property
    def abilities(self) -> tuple[type, ...]:
        """Of the spaces that it searches."""
        return (Distributed, Encoded)

    def course(self, space: Space, seed: int) -> Course:
        """With the first parameter's options before it."""
        options = Options.in_space(space)
        rest = (0,) * (len(options.sizes) - 1)
        return Growth(self, space, seed, options, [(n, *rest) for n in range(options.sizes[0])])


@dataclass
class Growth(Course):
    """What is tried at this size.

    Attributes:
        ahead: to be tried, the best first; those that have ended are passed.
        size: parameters that are chosen in them.
        seen: what has ended → its value.
        spare: what the last surrogate left out, the best first.
    """

    strategy: Progressive
    space: Space
    seed: int
    options: Options
    ahead: list[Chosen]
    size: int = 1
    seen: dict[Chosen, float | None] = field(default_factory=dict)
    spare: list[Chosen] = field(default_factory=list)

    def tell(self, trial: Trial) -> None:
        self.seen[self.options.chosen(trial.candidate)] = trial.value
        while self.size < len(self.options.sizes) and all(one in self.seen for one in self.ahead):
            self._grow(trial.number)

    def _grow(self, number: int) -> None:
        """On to the next parameter."""
        best = sorted(self.seen, key=lambda one: (self.seen[one] is None, -(self.seen[one] or 0.0)))
        grown = {
            (*one[: self.size], option, *one[self.size + 1 :])
            for one in best[: self.strategy.beam]
            for option in range(self.options.sizes[self.size])
        } - set(self.seen)
        ordered = self._ordered(sorted(grown), rng_of(self.seed, number, "surrogate"))
        self.ahead, self.spare = ordered[: self.strategy.beam], ordered[self.strategy.beam :]
        self.size += 1

    def _ordered(self, grown: list[Chosen], rng: random.Random) -> list[Chosen]:
        """The best ones by the surrogate first; as they come where nothing has a value."""
        known = {one: value for one, value in self.seen.items() if value is not None}
        if len(known) < 2:
            return grown
        encode = require(self.space, Encoded).encode
        codes = np.array([encode(self.options.candidate(one)) for one in known])
        asked = np.array([encode(self.options.candidate(one)) for one in grown])
        means, _ = predicted(codes, np.array(list(known.values())), asked, rng.randrange(2**32))
        return [grown[place] for place in np.argsort(-means, kind="stable")]

    def propose(self, rng: random.Random, running: Sequence[Candidate] = ()) -> Candidate:
        under_way = {self.options.chosen(candidate) for candidate in running}
        for one in (*self.ahead, *self.spare):
            if one not in self.seen and one not in under_way:
                return self.options.candidate(one)
        return random_candidate(self.space, rng)
