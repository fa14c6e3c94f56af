"""A score that is measured by training: the test accuracy of a candidate's finite networks."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np

from kernas.errors import ConfigurationError, DivergenceError
from kernas.kernels import Dataset
from kernas.kernels.architecture.widths import check_count
from kernas.kernels.regression import ScoreValue

from ..spaces import Candidate
from ..training import TrainingSettings, train
from ..training.trained import recipe_for, what_is_trained
from .base import Evaluation, Score, Source

NAME = "trained_accuracy"


def check_validation(name: str, given: Dataset | None, way_out: str) -> None:
    """Refuse a score that has no images to measure accuracy on.

    Raises:
        ConfigurationError: the message says what to give.
    """
    if not isinstance(given, Dataset):
        raise ConfigurationError(
            f"{name} needs validation images, and there are none; give {way_out}"
        )


def training_key(candidate: Candidate) -> str:
    """What decides a candidate's finite networks: its layers as built, and what fills slots."""
    if candidate.failure is not None:
        return candidate.key
    trained = what_is_trained(candidate)
    return hashlib.sha256(json.dumps(trained.identity()).encode()).hexdigest()


@dataclass(frozen=True, eq=False)
class TrainSource(Source):
    """Trains the networks of a candidate; its fields are those of :class:`TrainScore`.

    Records keep the accuracy of each network too, as ``trained_accuracy:SEED``.
    """

    fit: Dataset
    validation: Dataset
    recipe: TrainingSettings
    seeds: int

    @property
    def name(self) -> str:
        """``training``."""
        return "training"

    def settings(self) -> dict[str, Any]:
        """The recipe, the seeds and the data's fingerprints."""
        return {
            **self.recipe.settings(),
            "seeds": self.seeds,
            "fit": self.fit.fingerprint,
            "validation": self.validation.fingerprint,
        }

    def work_key(self, candidate: Candidate) -> str:
        """Of the network as it is built, of the slots that it fills, since such as have one kernel
        may start from other weights, and of the candidate's own recipe where it has one.

        Raises:
            ConfigurationError: that recipe cannot be trained on ``fit``.
        """
        recipe = recipe_for(candidate, self.recipe)
        recipe.steps_for(self.fit)
        key = training_key(candidate)
        if recipe == self.recipe:
            return key
        own = json.dumps([key, recipe.settings()], sort_keys=True)
        return hashlib.sha256(own.encode()).hexdigest()

    def begin(self, candidate: Candidate, scores: Sequence[Score]) -> Callable[[], Evaluation]:
        """Trains and evaluates; nothing is left for the host.

        Raises:
            DivergenceError: the loss of a network is not finite.
        """
        trained = train(candidate, self.fit, self.validation, self.recipe, seeds=self.seeds)
        if trained.diverged.any():
            finite = np.isfinite(trained.losses).all(axis=1)
            raise DivergenceError(
                f"{int(trained.diverged.sum())} of {self.seeds} networks of {candidate.name} "
                f"diverged: the loss of step {int(np.argmin(finite))} is not finite; give a "
                f"learning_rate below {recipe_for(candidate, self.recipe).learning_rate:g}"
            )
        accuracies = trained.test_accuracy
        error = None
        if self.seeds > 1:
            error = float(accuracies.std(ddof=1)) / math.sqrt(self.seeds)
        values = {NAME: ScoreValue(float(accuracies.mean()), error)}
        values |= {
            f"{NAME}:{seed}": ScoreValue(float(accuracy))
            for seed, accuracy in zip(trained.seeds, accuracies, strict=True)
        }
        return partial(Evaluation, values)


@dataclass(frozen=True)
class TrainScore(Score):
    """The mean accuracy on other images of networks trained from several seeds.

    ``ā = (1/N) Σ_i a_i`` over seeds, with the standard error ``sqrt(Σ_i (a_i − ā)² / (N − 1) / N)``
    of one more mean like it. Image size and number of images are those of the data sets:
    ``load(…, image_size=…)``, ``fit.subset(n)``.

    Args:
        fit: labelled images to train on.
        validation: others, on which accuracy is measured.
        recipe: width, optimiser, epochs and so on; what a candidate of a :class:`RecipeSpace`
            chooses takes the place of it.
        seeds: networks a candidate, >= 1; a single one has no standard error.

    Raises:
        ConfigurationError: ``seeds`` is no integer >= 1, there are no validation images, or there
            are fewer images than the recipe's batches have.
    """

    fit: Dataset
    validation: Dataset | None
    recipe: TrainingSettings = field(default_factory=TrainingSettings)
    seeds: int = 3

    def __post_init__(self) -> None:
        check_count(self.seeds, "seeds")
        check_validation(NAME, self.validation, "TrainScore(fit, validation), or --n-validation")
        self.recipe.steps_for(self.fit)

    @property
    def name(self) -> str:
        """``trained_accuracy``."""
        return NAME

    @property
    def higher_is_better(self) -> bool:
        """True."""
        return True

    @property
    def source(self) -> TrainSource:
        """What trains."""
        assert self.validation is not None
        return TrainSource(self.fit, self.validation, self.recipe, self.seeds)
