"""What a training will take, from a few of its steps."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

from kernas.kernels import Architecture, Dataset
from kernas.quantities import duration

from ..spaces import Candidate
from .loop import along, training_of
from .settings import TrainingSettings
from .trained import what_is_trained

MEASURED = 3
"""Steps that are timed, after one that is not."""


@dataclass(frozen=True)
class TrainingEstimate:
    """What a training takes beside compilation, which was done when its steps were measured.

    Attributes:
        steps: of the optimiser.
        seconds_a_step: of all seeds together.
    """

    steps: int
    seconds_a_step: float

    @property
    def seconds(self) -> float:
        """Of all steps."""
        return self.steps * self.seconds_a_step

    def __str__(self) -> str:
        each = 1000 * self.seconds_a_step
        return f"{self.steps:,} steps of {each:.3g} ms, {duration(self.seconds)} in all"


def estimate_training(
    candidate: Candidate | Architecture,
    train_set: Dataset,
    settings: TrainingSettings | None = None,
    *,
    seeds: int | Sequence[int] = 3,
) -> TrainingEstimate:
    """Measure some steps of a training, which are not kept; ``train`` does not compile again.

    Evaluation is left out: its images cost about a third of what they would in a step.

    Args:
        candidate, train_set, settings, seeds: as of :func:`train`.

    Raises:
        as :func:`train`.
    """
    what, recipe = what_is_trained(candidate), settings or TrainingSettings()
    training = training_of(what.template, train_set, recipe, seeds, along(what.slots))
    state, _ = training.advance(training.start().state, 0, 1)  # compiles
    begun = time.perf_counter()
    count = min(MEASURED, training.steps)
    training.advance(state, 0, count)  # whose losses are on the host in the end
    return TrainingEstimate(training.steps, (time.perf_counter() - begun) / count)
