"""`train`: a candidate's finite network, trained from several seeds at once."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import jax
import numpy as np

from kernas.errors import ConfigurationError, DataError
from kernas.files import user_path
from kernas.kernels import Architecture, Dataset
from kernas.progress import progress_bar

from ..spaces import Candidate
from ..spaces.abilities import Slotted, has, require
from . import checkpoints
from .batches import Batches, batches
from .checkpoints import Checkpoint
from .settings import TrainingSettings

if TYPE_CHECKING:
    from .programs import Programs, State

CHUNK = 50
"""Most steps of one call of a program."""

EVALUATED = 250
"""Images of one call of an evaluation."""

PACKAGES = ("kernas", "jax", "jaxlib", "flax", "optax", "numpy")


@dataclass(frozen=True, eq=False)
class Trained:
    """What became of a candidate's networks; the axis of seeds is in the order of ``seeds``.

    Attributes:
        seeds: of the weights and batches of each network.
        losses: ``(steps, seeds)``, mean cross-entropy of the batch before each step; not finite
            from where a network diverged. Fewer steps than asked for if all of them did.
        train_accuracy: ``(seeds,)``, of the images that it was trained on, as they are; NaN of a
            network that diverged.
        test_accuracy: ``(seeds,)``, of the others.
        diverged: ``(seeds,)``, whether a loss was not finite.
        seconds: of training and evaluation, compilation included, those before an interruption too.
        parameters: trained weights and biases of the candidate's own network.
        variables: of the flax module of the candidate's template (``finite_network``), with the
            axis of seeds before all others.
    """

    seeds: tuple[int, ...]
    losses: np.ndarray
    train_accuracy: np.ndarray
    test_accuracy: np.ndarray
    diverged: np.ndarray
    seconds: float
    parameters: int
    variables: Any


def train(
    candidate: Candidate | Architecture,
    train_set: Dataset,
    test_set: Dataset,
    settings: TrainingSettings | None = None,
    *,
    seeds: int | Sequence[int] = 3,
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
        settings: the recipe, by default :class:`TrainingSettings`.
        seeds: how many networks, with the seeds from 0, or the seeds themselves, each >= 0.
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
    from .programs import programs_of  # which imports optax

    recipe = settings or TrainingSettings()
    numbers = _seeds(seeds)
    _check_pair(train_set, test_set)
    steps = recipe.steps_for(train_set)
    what = what_is_trained(candidate)
    place = None if folder is None else user_path(folder, "folder")
    begun = time.perf_counter()
    shape, classes = train_set.input_shape, train_set.n_classes
    programs = programs_of(what.template, shape, classes, recipe, steps)
    start = Checkpoint(
        programs.start(what.template, numbers), np.zeros((0, len(numbers)), np.float32)
    )
    identity = {
        **what.identity(),
        "settings": recipe.settings(),
        "seeds": list(numbers),
        "train_set": train_set.fingerprint,
        "device": jax.local_devices()[0].device_kind,
        "versions": {name: version(name) for name in PACKAGES},
    }
    reached = start
    if place is not None:
        reached = checkpoints.read(place, identity, start, steps)
    choices = np.array(what.slots, np.int32)
    images, labels = jax.device_put((train_set.x, train_set.y.astype(np.int32)))
    with progress_bar(shown=progress, total=steps, desc="training", initial=reached.steps) as bar:
        while reached.steps < steps and not _diverged(reached.losses).all():
            count = min(CHUNK, steps - reached.steps)
            some = batches(reached.steps, count, numbers, len(train_set), recipe.batch_size, shape)
            state, losses = programs.advance(
                reached.state, choices, images, labels, _whole(some), np.int32(count)
            )
            losses = np.concatenate([reached.losses, np.asarray(losses)[:count]])
            now = time.perf_counter()
            reached = Checkpoint(state, losses, reached.seconds + now - begun)
            begun = now
            if place is not None:
                checkpoints.write(place, identity, reached)
            bar.update(count)
    accuracies = [
        np.where(_diverged(reached.losses), np.nan, _accuracy(programs, reached.state, choices, of))
        for of in (train_set, test_set)
    ]
    return Trained(
        numbers,
        reached.losses,
        *accuracies,
        diverged=_diverged(reached.losses),
        seconds=reached.seconds + time.perf_counter() - begun,
        parameters=_parameters(what.network, shape, recipe.width, classes),
        variables=jax.device_get(reached.state["variables"]),
    )


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


def _seeds(seeds: int | Sequence[int]) -> tuple[int, ...]:
    given = tuple(range(seeds)) if isinstance(seeds, int) and seeds is not True else seeds
    if (
        not isinstance(given, Sequence)
        or not given
        or not all(type(seed) is int and 0 <= seed < 2**32 for seed in given)
        or len(set(given)) < len(given)
    ):
        raise ConfigurationError(
            f"seeds={seeds!r:.80}: expected how many, >= 1, or different integers >= 0"
        )
    return tuple(given)


def _check_pair(train_set: Dataset, test_set: Dataset) -> None:
    """Refuse data that do not belong together."""
    for name, given in (("train_set", train_set), ("test_set", test_set)):
        if not isinstance(given, Dataset):
            raise ConfigurationError(
                f"{name} of {type(given).__name__}: expected a Dataset, as load() returns"
            )
    if train_set.input_shape != test_set.input_shape or train_set.classes != test_set.classes:
        raise DataError(
            f"{train_set!r} and {test_set!r}: expected images of equal shapes and the same "
            "classes; load both together"
        )


def _diverged(losses: np.ndarray) -> np.ndarray:
    """Of each seed whether a loss was not finite."""
    return np.logical_not(np.isfinite(losses).all(axis=0))


def _whole(some: Batches) -> Batches:
    """The batches with zeros for the steps that are not done, so that one program serves all."""
    missing = CHUNK - len(some.images)
    return Batches(*(np.pad(part, ((0, missing), *[(0, 0)] * (part.ndim - 1))) for part in some))


def _accuracy(programs: Programs, state: State, choices: np.ndarray, images: Dataset) -> np.ndarray:
    """Of each seed the share of images that are classified correctly."""
    correct = np.zeros(1, int)
    for first in range(0, len(images), EVALUATED):
        x, y = images.x[first : first + EVALUATED], images.y[first : first + EVALUATED]
        missing = EVALUATED - len(y)
        x = np.pad(x, ((0, missing), *[(0, 0)] * (x.ndim - 1)))
        y = np.pad(y.astype(np.int32), (0, missing), constant_values=-1)
        correct = correct + np.asarray(programs.correct(state, choices, x, y))
    return correct / len(images)


def _parameters(network: Architecture, shape: Sequence[int], width: int, classes: int) -> int:
    """Weights and biases that are trained."""
    summary = network.summary(shape, width, classes)
    return (summary.weights or 0) - (summary.untrained or 0)
