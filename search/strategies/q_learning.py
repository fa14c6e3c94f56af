"""Q-learning: candidates are built choice by choice, and every choice has a value."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field

from kernas.errors import ConfigurationError

from ..spaces import Candidate, Space
from ..spaces.abilities import Distributed
from .base import Course, Strategy, Trial, check_least
from .options import Options


@dataclass(frozen=True)
class QLearning(Strategy):
    """A table of what each choice is worth after those before it.

    A controller that chooses the parameters one after the other: the state is what was chosen
    so far, an action the next option, the reward the value of the whole at the end. After each
    trial, from its last choice to its first,

        Q(s, a) ← (1 − α) Q(s, a) + α max_a' Q(s', a'),   at the end ← (1 − α) Q(s, a) + α r,

    without discount. Proposals take the best action, and with the probability ε any: ε falls from 1
    by a tenth after each tenth of ``exploration`` trials, and stays at 0.1.

    Args:
        learning_rate: α, in (0, 1].
        initial: Q of an action that was never taken.
        exploration: trials over which ε falls, >= 1.

    Raises:
        ConfigurationError: an argument is out of its range.

    Reference: Watkins 1989; Baker, Gupta, Naik and Raskar 2017, Designing neural network
    architectures using reinforcement learning, section 4 (α = 0.01, Q = 0.5, and replay of 100
    episodes after each, in whose place α is larger here); in place of the controller of ENAS: Wu
    and Jain 2021, QENAS.
    """

    learning_rate: float = 0.1
    initial: float = 0.5
    exploration: int = 200

    def __post_init__(self) -> None:
        if not 0 < self.learning_rate <= 1:
            raise ConfigurationError(f"learning_rate={self.learning_rate!r}: expected in (0, 1]")
        check_least(self.exploration, "exploration")

    @property
    def name(self) -> str:
        """``q-learning``."""
        return "q-learning"

    @property
    def abilities(self) -> tuple[type, ...]:
        """Of the spaces that it searches."""
        return (Distributed,)

    def course(self, space: Space, seed: int) -> Course:
        """Its values so far."""
        return QTable(self, Options.in_space(space))


@dataclass
class QTable(Course):
    """The values of the choices that were made.

    Attributes:
        values: what was chosen so far, with the next option → Q.
        told: trials that have ended.
    """

    strategy: QLearning
    options: Options
    values: dict[tuple[int, ...], float] = field(default_factory=dict)
    told: int = 0

    def value(self, path: tuple[int, ...]) -> float:
        """Q of the last choice of a path after those before it."""
        return self.values.get(path, self.strategy.initial)

    @property
    def epsilon(self) -> float:
        """The probability of a random choice."""
        tenths = 10 * self.told // self.strategy.exploration
        return max(0.1, 1 - tenths / 10)

    def tell(self, trial: Trial) -> None:
        self.told += 1
        if trial.value is None:
            return
        chosen, sizes = self.options.chosen(trial.candidate), self.options.sizes
        target, rate = trial.value, self.strategy.learning_rate
        for depth in range(len(chosen), 0, -1):
            path = chosen[:depth]
            if depth < len(chosen):
                target = max(self.value((*path, action)) for action in range(sizes[depth]))
            self.values[path] = (1 - rate) * self.value(path) + rate * target

    def propose(self, rng: random.Random, running: Sequence[Candidate] = ()) -> Candidate:
        path: tuple[int, ...] = ()
        for size in self.options.sizes:
            if rng.random() < self.epsilon:
                action = rng.randrange(size)
            else:
                known = [self.value((*path, action)) for action in range(size)]
                best = max(known)
                action = rng.choice([a for a, value in enumerate(known) if value == best])
            path = (*path, action)
        return self.options.candidate(path)
