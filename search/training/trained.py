"""`train`: a candidate's finite network, trained from several seeds at once."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np

from kernas.errors import ConfigurationError
from kernas.kernels import Architecture, Dataset
from kernas.kernels.architecture.slots import filled
from kernas.kernels.finite.filling import filled_variables

from ..spaces import Candidate
from ..spaces.abilities import Slotted, chosen_recipe, has, require
from .loop import Judged, PathTraining, along, check_pair, run, training_of
from .settings import TrainingSettings


@dataclass(frozen=True, eq=False)
class Trained:
    """What became of a candidate's networks; the axis of seeds is in the order of ``seeds``.

    Attributes:
        seeds: of the weights and batches of each network.
        losses: ``(steps, seeds)``, mean cross-entropy of the batch before each step; not finite
            from where a network diverged. Fewer steps than asked for if all of them did.
        train_accuracy: ``(seeds,)``, of the images that it was trained on, as they are; NaN of a
            network that diverged.
        evaluated: ``(k,)``, after how many steps the others were classified; the last is the end.
        curve: ``(k, seeds)``, what was accurate of them then.
        diverged: ``(seeds,)``, whether a loss was not finite.
        seconds: of training and evaluation, compilation included, those before an interruption too.
        parameters: trained weights and biases of the candidate's own network.
        network: what was trained, a candidate's template filled: its own function, also where that
            has convolutions whose output nothing reads.
        variables: of ``finite_network(network, width, outputs=classes,
            parameterization="standard")``, with the axis of seeds before all others.
    """

    seeds: tuple[int, ...]
    losses: np.ndarray
    train_accuracy: np.ndarray
    evaluated: np.ndarray
    curve: np.ndarray
    diverged: np.ndarray
    seconds: float
    parameters: int
    network: Architecture
    variables: Any

    @property
    def test_accuracy(self) -> np.ndarray:
        """``(seeds,)``, of the other images in the end; NaN of a network that diverged."""
        return self.curve[-1]

    def variables_of(self, seed: int) -> Any:
        """The variables of the network of one of the seeds.

        Raises:
            ConfigurationError: it is none of them.
        """
        if seed not in self.seeds:
            raise ConfigurationError(
                f"seed={seed!r}: expected one of {', '.join(map(str, self.seeds))}"
            )
        place = self.seeds.index(seed)
        return jax.tree.map(lambda leaf: leaf[place], self.variables)


def train(
    candidate: Candidate | Architecture,
    train_set: Dataset,
    test_set: Dataset,
    settings: TrainingSettings | None = None,
    *,
    seeds: int | Sequence[int] = 3,
    evaluate_every: int | None = None,
    folder: str | os.PathLike[str] | None = None,
    progress: bool = False,
) -> Trained:
    """Train the finite network of a candidate, one for each seed, and count what it classifies.

    The networks of a space that is :class:`Slotted` are computed by two compiled programs, whatever
    the candidates are; of another space, networks that differ only in gains share them. Equal
    seeds give equal bytes of weights on one machine, whatever was trained before.

    Args:
        candidate: a space's, or a network; its last layer a ``Dense``.
        train_set: images and labels to train on.
        test_set: others, of the same shape and classes.
        settings: the recipe, by default :class:`TrainingSettings`; what the candidate's own says
            (:class:`~kernas.search.RecipeSpace`) takes the place of it.
        seeds: how many networks, with the seeds from 0, or the seeds themselves, each >= 0.
        evaluate_every: steps after which the test images are classified again, for the curve; by
            default that is done in the end alone.
        folder: where to keep the state of the training every 50 steps, from which the same call
            goes on if it was interrupted, and gives what it would have given.
        progress: whether to show a bar on stderr.

    Returns:
        :class:`Trained`. A network whose loss leaves the finite numbers is no error, but said.

    Raises:
        ArchitectureError: the network does not fit the images, or does not end in ``Dense``.
        ConfigurationError, DataError: an argument is not usable.
        RunFolderError: the checkpoint in ``folder`` is damaged or that of another training.

    >>> from kernas.kernels import Dense, Flatten, Relu, load, serial
    >>> fit, test = load("digits", n_train=200, n_test=100, seed=0)
    >>> network = serial(Flatten(), Dense(W_std=2**0.5), Relu(), Dense())
    >>> trained = train(network, fit, test, TrainingSettings(steps=60), seeds=2)
    >>> trained.losses.shape, trained.parameters, bool(trained.test_accuracy.min() > 0.5)
    ((60, 2), 592, True)
    """
    recipe = recipe_for(candidate, settings)
    what = what_is_trained(candidate)
    training = training_of(
        *(PathTraining, what.template, train_set, recipe, seeds), paths=along(what.slots)
    )
    check_pair(train_set, test_set)
    judged = Judged(test_set, what.slots, evaluate_every)
    reached = run(training, what.identity(), folder=folder, judged=judged, progress=progress)
    every = evaluate_every or training.steps
    begun = time.perf_counter()
    return Trained(
        training.seeds,
        reached.losses,
        training.accuracy(reached, train_set, what.slots),
        evaluated=np.minimum(every * np.arange(1, len(reached.curve) + 1), reached.steps),
        curve=reached.curve,
        diverged=reached.diverged,
        seconds=reached.seconds + time.perf_counter() - begun,
        parameters=_parameters(
            what.network, train_set.input_shape, recipe.width, train_set.n_classes
        ),
        network=filled(what.template, what.slots),
        variables=filled_variables(
            what.template, what.slots, jax.device_get(reached.state["variables"])
        ),
    )


def recipe_for(
    given: Candidate | Architecture, settings: TrainingSettings | None
) -> TrainingSettings:
    """A recipe with what the candidate's space chooses of it, if it chooses any.

    Raises:
        ConfigurationError: that is no setting of a training, or out of its range.
    """
    recipe = settings or TrainingSettings()
    return recipe.chosen(chosen_recipe(given)) if isinstance(given, Candidate) else recipe


@dataclass(frozen=True)
class WhatIsTrained:
    """A network as it is trained.

    Attributes:
        network: the candidate's own.
        template: of which programs are compiled; the network itself where it has no slots.
        slots: the numbers of the branches that fill it.
    """

    network: Architecture
    template: Architecture
    slots: tuple[int, ...] = ()

    def identity(self) -> dict[str, Any]:
        """What decides the weights that it starts from and the function that is trained, as JSON
        values."""
        digest = hashlib.sha256(self.network.to_json().encode()).hexdigest()
        return {"network": digest, "slots": list(self.slots)}


def what_is_trained(given: Candidate | Architecture) -> WhatIsTrained:
    """The network, its template and what fills the slots of it, if there are any.

    Raises:
        ArchitectureError: the candidate's network cannot be built.
        ConfigurationError: it is no candidate and no network.
    """
    if isinstance(given, Candidate):
        network = given.architecture
        if has(given.space, Slotted):
            able = require(given.space, Slotted)
            return WhatIsTrained(network, able.template(given), tuple(able.slots(given)))
        return WhatIsTrained(network, network)
    if not isinstance(given, Architecture):
        raise ConfigurationError(
            f"candidate={given!r:.80}: expected a candidate, for example space.sample(1)[0], or "
            "an Architecture"
        )
    return WhatIsTrained(given, given)


def _parameters(network: Architecture, shape: Sequence[int], width: int, classes: int) -> int:
    """Weights and biases that are trained."""
    summary = network.summary(shape, width, classes)
    return (summary.weights or 0) - (summary.untrained or 0)
