"""DARTS: a mixture of all candidates, of which the heaviest are proposed."""

from __future__ import annotations

import heapq
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Literal

import numpy as np

from kernas.errors import ConfigurationError, DivergenceError

from ..spaces import Candidate, Space
from ..spaces.abilities import Slotted, require
from .base import Course, ExhaustedError, Trial
from .options import Options
from .shared_weights import SharedWeights


@dataclass(frozen=True)
class Darts(SharedWeights):
    """A mixture of all candidates, of which the heaviest are proposed.

    Every slot of the space's template computes the mean of its branches, weighted by a softmax of
    logits that are trained on validation images, while the branches' own weights are trained on
    others. Candidates are proposed in the order of the product of their branches' weights, the
    largest first.

    Args:
        order: of the gradient of the logits: 1, or 2 through the branches' next step, in which two
            derivatives more are taken.
        logit_rate: of Adam on the logits, > 0.

    The others are those of :class:`~kernas.search.strategies.shared_weights.SharedWeights`; there
    are as many validation images as a batch has, or more.

    Raises:
        ConfigurationError: an argument is out of its range; of a space, that its candidates have no
            one template each slot of which is one of its parameters.

    Reference: Liu et al. 2019, DARTS: differentiable architecture search, section 2: 50 epochs of
    25,000 images with a rate of 0.0003 of the logits; a search of minutes takes larger steps.
    """

    steps: int = 1000
    learning_rate: float = 0.025
    order: Literal[1, 2] = 1
    logit_rate: float = 0.003

    def __post_init__(self) -> None:
        if self.order not in (1, 2):
            raise ConfigurationError(f"order={self.order!r}: expected 1 or 2")
        if not 0 < self.logit_rate < float("inf"):
            raise ConfigurationError(f"logit_rate={self.logit_rate!r}: expected > 0")

    @property
    def name(self) -> str:
        """``darts``."""
        return "darts"

    def course(self, space: Space, seed: int) -> Course:
        """With the mixture trained.

        Raises:
            DivergenceError: it diverged.
        """
        from ..training.darts import train_darts

        options = Options.in_space(space)
        places = branches_by_option(Options.in_space(space.whole))
        logs = train_darts(
            space.whole,
            self.train_set,
            self.validation,
            self.recipe,
            rate=self.logit_rate,
            order=self.order,
            seed=seed,
            folder=self.folder,
            progress=self.progress,
        )
        if np.isnan(logs).any():
            raise DivergenceError(
                f"the mixture diverged: give darts a learning_rate below {self.learning_rate:g}"
            )
        by_option = [logs[slot, branches] for slot, branches in enumerate(places)]
        return Heaviest(options, heaviest_first(by_option))


def branches_by_option(options: Options) -> list[list[int]]:
    """Of each parameter, which is a slot, the branch that each option puts there.

    Raises:
        ConfigurationError: the space has no slots, or a parameter does not fill the slot of its
            place, and that one alone.
    """
    space = options.space.whole
    able = require(space, Slotted)
    first = [0] * len(options.sizes)
    base = able.slots(options.candidate(first))
    found: list[list[int]] = []
    for place, size in enumerate(options.sizes):
        branches: list[int] = []
        for number in range(size):
            chosen = [*first[:place], number, *first[place + 1 :]]
            slots = able.slots(options.candidate(chosen))
            others = [at for at in range(len(base)) if at != place]
            if len(base) != len(first) or any(slots[at] != base[at] for at in others):
                raise ConfigurationError(
                    f"space {space.name!r}: its parameters do not each fill a slot of their own, "
                    "which a mixture of branches asks for; choose another strategy"
                )
            branches.append(slots[place])
        found.append(branches)
    return found


def heaviest_first(logs: Sequence[np.ndarray]) -> Iterator[tuple[int, ...]]:
    """Options of each parameter in the order of the sum of their logarithms, the largest first.

    Args:
        logs: of each parameter's options.
    """
    orders = [np.argsort(-of, kind="stable") for of in logs]

    def weight(ranks: tuple[int, ...]) -> float:
        pairs = zip(ranks, orders, logs, strict=True)
        return -float(sum(of[order[rank]] for rank, order, of in pairs))

    start: tuple[int, ...] = (0,) * len(logs)
    heap: list[tuple[float, tuple[int, ...]]] = [(weight(start), start)]
    seen: set[tuple[int, ...]] = {start}
    while heap:
        _, ranks = heapq.heappop(heap)
        yield tuple(int(order[rank]) for rank, order in zip(ranks, orders, strict=True))
        for place, order in enumerate(orders):
            after = (*ranks[:place], ranks[place] + 1, *ranks[place + 1 :])
            if after[place] < len(order) and after not in seen:
                seen.add(after)
                heapq.heappush(heap, (weight(after), after))


@dataclass
class Heaviest(Course):
    """Proposals in the order of their weights.

    Attributes:
        order: of the options, those that were not looked at yet.
        proposed: the others.
        told: trials that have ended.
    """

    options: Options
    order: Iterator[tuple[int, ...]]
    proposed: list[Candidate] = field(default_factory=list)
    told: int = 0

    def tell(self, trial: Trial) -> None:
        self.told += 1

    def propose(self, rng: random.Random, running: Sequence[Candidate] = ()) -> Candidate:
        place = self.told + len(running)
        missing = place + 1 - len(self.proposed)
        self.proposed += map(self.options.candidate, islice(self.order, max(0, missing)))
        if place >= len(self.proposed):
            raise ExhaustedError
        return self.proposed[place]
