"""EcoNAS: candidates that are trained longer the better they are, and children of the best."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field

from kernas.errors import ConfigurationError

from ..spaces import Candidate, Space
from ..spaces.abilities import Distributed, Mutable, require
from .base import Course, Strategy, Trial, check_least, random_candidate
from .options import Ladder, Rest

TRIES = 100
"""Children that are drawn for one that is new."""


@dataclass(frozen=True)
class EcoNas(Strategy):
    """Candidates that are trained longer the better they are, and children of the best.

    A space that chooses epochs, or whatever else costs, has a bin of candidates for each of their
    values. ``population`` random candidates begin in the first bin. Then a cycle proposes
    ``children`` there, and of each bin in turn the ``promoted`` best that live, on the next level.
    A child is a mutation of the best of ``tournament`` members of one bin, which is drawn with a
    weight in proportion to its level, and no candidate that was proposed before, as long as there
    are others. A member dies that was neither new nor promoted for ``patience`` cycles; who was
    promoted lives on in the next bin alone.

    Args:
        fidelity: the parameter, a list of two numbers or more, such as the ``epochs`` of a
            :class:`RecipeSpace`; at each level a candidate is evaluated anew, at that level.
        population: >= 1.
        children: of a cycle, >= 1.
        promoted: of each bin in a cycle, >= 1.
        tournament: >= 1.
        patience: cycles, >= 1.

    Raises:
        ConfigurationError: an argument is out of its range; of a space, that it has no such
            parameter.

    Reference: Zhou et al. 2020, EcoNAS: finding proxies for economical neural architecture search,
    section 4 and algorithm 1, which trains three bins for one, two and three times as long and goes
    on with their weights.
    """

    fidelity: str = "epochs"
    population: int = 20
    children: int = 4
    promoted: int = 1
    tournament: int = 5
    patience: int = 10

    def __post_init__(self) -> None:
        for name in ("population", "children", "promoted", "tournament", "patience"):
            check_least(getattr(self, name), name)

    @property
    def name(self) -> str:
        """``econas``."""
        return "econas"

    @property
    def abilities(self) -> tuple[type, ...]:
        """Of the spaces that it searches."""
        return (Distributed, Mutable)

    def course(self, space: Space, seed: int) -> Course:
        """With empty bins."""
        ladder = Ladder.of(space, self.fidelity)
        if ladder.levels[0] <= 0:
            raise ConfigurationError(
                f"{self.fidelity}={ladder.levels[0]:g}: expected numbers > 0, by which bins weigh"
            )
        return Bins(self, ladder, [{} for _ in ladder.levels])


@dataclass
class Member:
    """A candidate in a bin.

    Attributes:
        value: of its evaluation there, below everything where it failed.
        cycle: in which it came.
    """

    value: float
    cycle: int


@dataclass
class Bins(Course):
    """Who lives, by level, and what was proposed.

    Attributes:
        bins: of each level, the other values of its members.
        known: other values that were proposed.
        told: trials that have ended.
    """

    strategy: EcoNas
    ladder: Ladder
    bins: list[dict[Rest, Member]]
    known: set[Rest] = field(default_factory=set)
    told: int = 0

    @property
    def cycle_length(self) -> int:
        """Trials of a cycle."""
        return self.strategy.children + self.strategy.promoted * (len(self.bins) - 1)

    def cycle(self, place: int) -> int:
        """Of a proposal; the first population is 0."""
        return max(0, place - self.strategy.population) // self.cycle_length

    def level(self, place: int) -> int:
        """On which a proposal is to be: 0 of children, and then each in turn."""
        if place < self.strategy.population:
            return 0
        within = (place - self.strategy.population) % self.cycle_length
        return max(0, within - self.strategy.children + self.strategy.promoted) // (
            self.strategy.promoted
        )

    def tell(self, trial: Trial) -> None:
        level, rest = self.ladder.place(trial.candidate)
        now = self.cycle(self.told)
        value = -float("inf") if trial.value is None else trial.value
        self.known.add(rest)
        for below in self.bins[:level]:
            below.pop(rest, None)
        self.bins[level][rest] = Member(value, now)
        self.told += 1
        for members in self.bins:
            for dead in [r for r, m in members.items() if now - m.cycle > self.strategy.patience]:
                del members[dead]

    def propose(self, rng: random.Random, running: Sequence[Candidate] = ()) -> Candidate:
        under_way = {rest for _, rest in map(self.ladder.place, running)}
        place = self.told + len(running)
        level = self.level(place)
        if level > 0:
            below = self.bins[level - 1]
            able = [r for r in below if r not in under_way and below[r].value > -float("inf")]
            if able:
                return self.ladder.candidate(max(able, key=lambda r: below[r].value), level)
        taken = self.known | under_way
        candidate = self._new(rng, place)
        for _ in range(TRIES):
            if self.ladder.place(candidate)[1] not in taken:
                break
            candidate = self._new(rng, place)
        return candidate

    def _new(self, rng: random.Random, place: int) -> Candidate:
        """A child on the first level, or a random candidate there."""
        filled = [level for level, members in enumerate(self.bins) if members]
        if place < self.strategy.population or not filled:
            drawn = random_candidate(self.ladder.space, rng)
        else:
            weights = [self.ladder.levels[level] for level in filled]
            level = rng.choices(filled, weights)[0]
            members = list(self.bins[level].items())
            among = [rng.choice(members) for _ in range(self.strategy.tournament)]
            parent, _ = max(among, key=lambda one: one[1].value)
            able = require(self.ladder.space, Mutable)
            drawn = able.mutate(self.ladder.candidate(parent, level), rng)
        return self.ladder.candidate(self.ladder.place(drawn)[1], 0)
