"""ENAS: a controller that learns on weights which candidates share, before any is evaluated."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from kernas.errors import DivergenceError

from ..spaces import Candidate, Space
from ..spaces.abilities import Slotted, require
from .base import Course, Trial, check_least, rng_of
from .options import Options
from .reinforce import Reinforce
from .shared_weights import SharedWeights

if TYPE_CHECKING:
    from ..training.enas import EnasFound


@dataclass(frozen=True)
class Enas(SharedWeights):
    """A controller that learns on weights which candidates share, before any is evaluated.

    In turns of 50 steps the weights are trained along paths that an LSTM draws, each step moving
    those on its path alone, and the LSTM is moved by REINFORCE, with the accuracy of a batch of
    validation images as its reward. From the trained LSTM ``samples`` candidates are drawn and
    proposed, those of the highest accuracy with the shared weights first; then it draws on.

    Args:
        samples: drawn and compared in the end, >= 1.
        controller_rate: of the controller's Adam, > 0.
        baseline: how much of the mean reward stays, in [0, 1).
        entropy: weight of the controller's entropy, >= 0.

    The others are those of :class:`~kernas.search.strategies.shared_weights.SharedWeights`.

    Raises:
        ConfigurationError: an argument is out of its range; of a space, that its candidates have no
            one template with slots.

    Reference: Pham et al. 2018, Efficient neural architecture search via parameter sharing, section
    2, which trains the controller for 2,000 steps of 0.00035 after each of 310 epochs, with a
    baseline of 0.99 and an entropy of 0.0001; a search of minutes takes larger steps.
    """

    samples: int = 100
    controller_rate: float = 0.003
    baseline: float = 0.95
    entropy: float = 0.0001

    def __post_init__(self) -> None:
        check_least(self.samples, "samples")
        Reinforce("lstm", self.controller_rate, self.baseline, self.entropy)

    @property
    def name(self) -> str:
        """``enas``."""
        return "enas"

    def course(self, space: Space, seed: int) -> Course:
        """With the controller trained.

        Raises:
            DivergenceError: the shared weights diverged.
        """
        from ..training.controller import Controller  # flax, which takes a second
        from ..training.enas import train_enas

        options, everywhere = Options.in_space(space), Options.in_space(space.whole)
        able = require(space.whole, Slotted)
        found = train_enas(
            space.whole,
            self.train_set,
            self.validation,
            self.recipe,
            Controller(options.sizes, self.controller_rate, self.entropy),
            lambda chosen: able.slots(everywhere.candidate(chosen)),
            baseline=self.baseline,
            seed=seed,
            folder=self.folder,
            progress=self.progress,
        )
        accuracies: dict[tuple[int, ...], float] = {}
        for number in range(self.samples):
            chosen = tuple(found.drawn(rng_of(seed, number, "sample")))
            if chosen not in accuracies:
                accuracies[chosen] = found.accuracy(chosen)
        if any(map(math.isnan, accuracies.values())):
            raise DivergenceError(
                "the shared weights diverged: give enas a learning_rate below "
                f"{self.learning_rate:g}"
            )
        best = sorted(accuracies, key=lambda chosen: -accuracies[chosen])
        return Drawn(options, found, [options.candidate(chosen) for chosen in best])


@dataclass
class Drawn(Course):
    """What the controller has drawn, the best first.

    Attributes:
        told: trials that have ended.
    """

    options: Options
    found: EnasFound
    best: list[Candidate]
    told: int = 0

    def tell(self, trial: Trial) -> None:
        self.told += 1

    def propose(self, rng: random.Random, running: Sequence[Candidate] = ()) -> Candidate:
        place = self.told + len(running)
        if place < len(self.best):
            return self.best[place]
        return self.options.candidate(self.found.drawn(rng))
