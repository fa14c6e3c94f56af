"""REINFORCE: a policy of free logits or of an LSTM, moved towards what was rewarded."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np

from kernas.errors import ConfigurationError

from ..spaces import Candidate, Space
from ..spaces.abilities import Distributed
from .base import Course, Strategy, Trial
from .options import Options

if TYPE_CHECKING:
    from ..training.controller import Controller

ControllerName = Literal["logits", "lstm"]

BETAS, EPSILON = (0.9, 0.999), 1e-8
"""Of Adam (Kingma and Ba 2015, algorithm 1)."""


@dataclass(frozen=True)
class Reinforce(Strategy):
    """A policy of free logits or of an LSTM, moved towards what was rewarded.

    Every parameter has logits of its own, ``π(a) = softmax(θ)_a``, from which proposals are
    drawn; after each trial with the reward r, its value,

        θ ← Adam(θ, (r − b) ∇ log π(candidate) + β ∇ H(π)),   b ← μ b + (1 − μ) r,

    with H the entropy. The baseline b begins at the first reward, which so moves nothing. Adam's
    steps do not grow with the scale of rewards. With the controller ``"lstm"`` a recurrent network
    has the parameters one after the other, each after what was chosen before, and θ are its
    weights (:class:`kernas.search.training.controller.Controller`).

    Args:
        controller: ``"logits"`` or ``"lstm"``.
        learning_rate: of Adam, > 0.
        baseline: μ, how much of it stays, in [0, 1).
        entropy: β >= 0, in units of the reward.

    Raises:
        ConfigurationError: an argument is out of its range.

    References: Williams 1992, Simple statistical gradient-following algorithms, section 4; Zoph and
    Le 2016, sections 3.2 and 4.1, whose controller is an LSTM with Adam at 0.0006; free logits with
    Adam at 0.01 and μ = 0.9 are those of NATS-Bench (Dong et al. 2021, section 4.2).
    """

    controller: ControllerName = "logits"
    learning_rate: float = 0.01
    baseline: float = 0.9
    entropy: float = 0.0

    def __post_init__(self) -> None:
        if self.controller not in get_args(ControllerName):
            raise ConfigurationError(f"controller={self.controller!r}: expected 'logits' or 'lstm'")
        if not 0 < self.learning_rate < float("inf"):
            raise ConfigurationError(f"learning_rate={self.learning_rate!r}: expected > 0")
        if not 0 <= self.baseline < 1:
            raise ConfigurationError(f"baseline={self.baseline!r}: expected in [0, 1)")
        if not 0 <= self.entropy < float("inf"):
            raise ConfigurationError(f"entropy={self.entropy!r}: expected a number >= 0")

    @property
    def name(self) -> str:
        """``reinforce``."""
        return "reinforce"

    @property
    def abilities(self) -> tuple[type, ...]:
        """Of the spaces that it searches."""
        return (Distributed,)

    def course(self, space: Space, seed: int) -> Course:
        """Its policy so far."""
        options = Options.in_space(space)
        if self.controller == "lstm":
            from ..training.controller import Controller  # flax, which takes a second

            controller = Controller(options.sizes, self.learning_rate, self.entropy)
            return Recurrent(self, options, controller, controller.begin(seed))
        return Policy(self, options, [np.zeros(size) for size in options.sizes])


@dataclass
class Baseline:
    """A running mean of rewards.

    Attributes:
        kept: μ.
        mean: b; ``None`` before the first reward.
    """

    kept: float
    mean: float | None = None

    def advantage(self, reward: float) -> float:
        """``r − b``; then b is moved."""
        before = reward if self.mean is None else self.mean
        self.mean = self.kept * before + (1 - self.kept) * reward
        return reward - before


@dataclass
class Recurrent(Course):
    """The weights of an LSTM, and what Adam knows of them."""

    strategy: Reinforce
    options: Options
    controller: Controller
    state: tuple[Any, Any]

    def __post_init__(self) -> None:
        self.baseline = Baseline(self.strategy.baseline)

    def tell(self, trial: Trial) -> None:
        if trial.value is not None:
            advantage = self.baseline.advantage(trial.value)
            chosen = self.options.chosen(trial.candidate)
            self.state = self.controller.moved(self.state, chosen, advantage)

    def propose(self, rng: random.Random, running: Sequence[Candidate] = ()) -> Candidate:
        variables, _ = self.state
        return self.options.candidate(self.controller.drawn(variables, rng))


@dataclass
class Policy(Course):
    """The logits of each parameter, and what Adam knows of them.

    Attributes:
        logits: of each parameter's options.
    """

    strategy: Reinforce
    options: Options
    logits: list[np.ndarray]
    steps: int = 0
    moments: list[tuple[np.ndarray, np.ndarray]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.baseline = Baseline(self.strategy.baseline)

    def probabilities(self) -> list[np.ndarray]:
        """π of each parameter."""
        shifted = [np.exp(one - one.max()) for one in self.logits]
        return [one / one.sum() for one in shifted]

    def gradient(self, chosen: Sequence[int], advantage: float) -> list[np.ndarray]:
        """``advantage ∇ log π(chosen) + β ∇ H(π)`` by the logits.

        ``∂ log π_a / ∂θ_k = 1[a = k] − π_k`` and ``∂H / ∂θ_k = −π_k (log π_k + H)``.
        """
        found: list[np.ndarray] = []
        for number, of in zip(chosen, self.probabilities(), strict=True):
            logs = np.log(of)
            by_choice = -of
            by_choice[number] += 1
            of_entropy = -of * (logs - (of * logs).sum())
            found.append(advantage * by_choice + self.strategy.entropy * of_entropy)
        return found

    def tell(self, trial: Trial) -> None:
        if trial.value is None:
            return
        advantage = self.baseline.advantage(trial.value)
        self._climb(self.gradient(self.options.chosen(trial.candidate), advantage))

    def _climb(self, gradients: Sequence[np.ndarray]) -> None:
        """A step of Adam."""
        self.steps += 1
        first, second = BETAS
        self.moments = self.moments or [(np.zeros_like(g), np.zeros_like(g)) for g in gradients]
        self.moments = [
            (first * m + (1 - first) * g, second * v + (1 - second) * g**2)
            for (m, v), g in zip(self.moments, gradients, strict=True)
        ]
        for logits, (m, v) in zip(self.logits, self.moments, strict=True):
            step = m / (1 - first**self.steps)
            logits += (
                self.strategy.learning_rate
                * step
                / (np.sqrt(v / (1 - second**self.steps)) + EPSILON)
            )

    def propose(self, rng: random.Random, running: Sequence[Candidate] = ()) -> Candidate:
        chosen = [
            rng.choices(range(len(of)), weights=of.tolist())[0] for of in self.probabilities()
        ]
        return self.options.candidate(chosen)
