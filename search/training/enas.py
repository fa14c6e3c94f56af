"""ENAS: a controller and the weights that its candidates share, trained in turns.

Reference: Pham et al. 2018, Efficient neural architecture search via parameter sharing, section
2.2.
"""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np

from kernas.kernels import Dataset

from ..spaces import Space
from .checkpoints import Checkpoint
from .controller import Controller
from .loop import Training, check_pair, run, training_of
from .settings import TrainingSettings
from .supernet import inherited_accuracy, shared_template

POLICY, BASELINE = "policy", "baseline"
"""Parts of the state: the controller's weights with what Adam knows, and the mean reward."""

Slots = Callable[[Sequence[int]], tuple[int, ...]]
"""What fills a template's slots, by options of each parameter."""


@dataclass(frozen=True, eq=False)
class EnasTraining(Training):
    """Steps of the shared weights along paths that the controller draws, then its own.

    A call of :meth:`advance` is a round: ``count`` steps of the weights, each along one path that
    the controller draws, then ``count`` steps of the controller, each by the reward of one path.
    The reward is the share of a batch of validation images that the path classifies correctly, by
    the statistics of that batch, less its running mean.

    Attributes:
        slots: of options that the controller draws.
        controller: that draws them.
        validation: images that the weights are not trained on.
        baseline: how much of the mean reward stays.
    """

    slots: Slots
    controller: Controller
    validation: Dataset
    baseline: float

    def start(self) -> Checkpoint:
        """The state before the first round; a baseline that is not finite has seen no reward."""
        first = super().start()
        (seed,) = self.seeds
        state = {
            **first.state,
            POLICY: jax.device_get(self.controller.begin(seed)),
            BASELINE: np.full(1, np.nan),
        }
        return Checkpoint(state, first.losses, first.curve)

    def advance(self, state: Any, first: int, count: int) -> tuple[Any, np.ndarray]:
        """The state after a round, and the losses of the weights' steps ``(count, 1)``."""
        (seed,) = self.seeds
        policy, baseline = state[POLICY], float(state[BASELINE][0])
        shared = {name: state[name] for name in ("variables", "optimizer")}
        rng = random.Random(f"round from {first} of {seed}")
        paths = [self.slots(self.drawn(policy, rng)) for _ in range(count)]
        shared, losses = self.stepped(shared, first, np.array(paths)[:, None])
        for step in range(first, first + count):
            chosen = self.drawn(policy, rng)
            reward = self.reward(shared, chosen, step)
            before = reward if np.isnan(baseline) else baseline
            baseline = self.baseline * before + (1 - self.baseline) * reward
            policy = self.controller.moved(policy, chosen, reward - before)
        return {**shared, POLICY: policy, BASELINE: np.array([baseline])}, losses

    def drawn(self, policy: Any, rng: random.Random) -> list[int]:
        """Options that the controller draws."""
        variables, _ = policy
        return self.controller.drawn(variables, rng)

    def reward(self, shared: Any, chosen: Sequence[int], step: int) -> float:
        """Of a path, in [0, 1], on the validation images of a step."""
        (seed,) = self.seeds
        size = min(self.recipe.batch_size, len(self.validation))
        places = np.random.default_rng([seed, 4, step]).permutation(len(self.validation))[:size]
        correct = self.programs.correct_in_batch(
            *(shared, np.array(self.slots(chosen), np.int32)),
            *(self.validation.x[places], self.validation.y[places].astype(np.int32)),
        )
        return float(correct[0]) / size


@dataclass(frozen=True, eq=False)
class EnasFound:
    """The end of a training.

    Attributes:
        training: what it was.
        reached: its end.
    """

    training: EnasTraining
    reached: Checkpoint

    def drawn(self, rng: random.Random) -> list[int]:
        """Options that the controller draws."""
        return self.training.drawn(self.reached.state[POLICY], rng)

    def accuracy(self, chosen: Sequence[int]) -> float:
        """On all validation images, with the shared weights; NaN if they diverged."""
        training = self.training
        slots = training.slots(chosen)
        return inherited_accuracy(training, self.reached, slots, training.validation)


def train_enas(
    space: Space,
    train_set: Dataset,
    validation: Dataset,
    settings: TrainingSettings,
    controller: Controller,
    slots: Slots,
    *,
    baseline: float,
    seed: int = 0,
    folder: str | os.PathLike[str] | None = None,
    progress: bool = False,
) -> EnasFound:
    """Train a controller and the weights that its candidates share, in rounds of 50 steps of each.

    A step of the weights moves those on its path alone.

    Args:
        space: whose candidates have one template with slots.
        train_set: images of the weights.
        validation: images of the controller.
        settings: of the weights.
        controller: that draws paths.
        slots: of what it draws.
        baseline: how much of the mean reward stays at each step of the controller, in [0, 1).
        seed: of weights, batches and paths.
        folder: where to keep the state after each round.
        progress: whether to show a bar on stderr.

    Raises:
        ConfigurationError, DataError: the space has no slots, or several templates; an argument is
            not usable.
        RunFolderError: the checkpoint in ``folder`` is damaged or that of another training.
    """
    check_pair(train_set, validation)
    training = training_of(
        *(EnasTraining, shared_template(space), train_set, settings, (seed,)),
        on_path=True,
        slots=slots,
        controller=controller,
        validation=validation,
        baseline=baseline,
    )
    identity = {
        "search": "enas",
        "space": space.settings(),
        "validation": validation.fingerprint,
        "controller": [list(controller.sizes), controller.learning_rate, controller.entropy],
        "baseline": baseline,
    }
    return EnasFound(training, run(training, identity, folder=folder, progress=progress))
