"""What a training will take, from a few of its steps."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

from kernas.kernels import Architecture, Dataset
from kernas.quantities import duration

from ..spaces import Candidate
from .loop import EVALUATED, PathTraining, along, training_of
from .settings import TrainingSettings
from .trained import recipe_for, what_is_trained

MEASURED = 3
"""Steps that are timed, after one that is not."""


@dataclass(frozen=True)
class TrainingEstimate:
    """What a training takes beside compilation, which was done when its parts were measured.

    Attributes:
        steps: of the optimiser.
        seconds_a_step: of all seeds together.
        evaluated: images that are classified, on the way and in the end.
        seconds_an_image: of all seeds together.
    """

    steps: int
    seconds_a_step: float
    evaluated: int
    seconds_an_image: float

    @property
    def seconds(self) -> float:
        """Of all steps and evaluations."""
        return self.steps * self.seconds_a_step + self.evaluated * self.seconds_an_image

    def __str__(self) -> str:
        each = 1000 * self.seconds_a_step
        return (
            f"{self.steps:,} steps of {each:.3g} ms, {duration(self.seconds)} in all with "
            "evaluation"
        )


def estimate_training(
    candidate: Candidate | Architecture,
    train_set: Dataset,
    settings: TrainingSettings | None = None,
    *,
    seeds: int | Sequence[int] = 3,
    n_test: int = 0,
    evaluations: int = 1,
) -> TrainingEstimate:
    """Measure some steps of a training, which are not kept; ``train`` does not compile again.

    Args:
        candidate, train_set, settings, seeds: as of :func:`train`.
        n_test: images to test with.
        evaluations: how often they are classified; the training images are so once.

    Raises:
        as :func:`train`.
    """
    what, recipe = what_is_trained(candidate), recipe_for(candidate, settings)
    training = training_of(
        *(PathTraining, what.template, train_set, recipe, seeds), paths=along(what.slots)
    )
    state, _ = training.advance(training.start().state, 0, 1)  # compiles
    begun = time.perf_counter()
    count = min(MEASURED, training.steps)
    state, _ = training.advance(state, 0, count)  # whose losses are on the host in the end
    a_step = (time.perf_counter() - begun) / count
    reached = replace(training.start(), state=state)
    some = train_set if len(train_set) <= EVALUATED else train_set.subset(EVALUATED)
    training.accuracy(reached, some, what.slots)  # compiles
    begun = time.perf_counter()
    training.accuracy(reached, some, what.slots)
    an_image = (time.perf_counter() - begun) / EVALUATED
    images = len(train_set) + n_test * evaluations
    return TrainingEstimate(training.steps, a_step, images, an_image)
