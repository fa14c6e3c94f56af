"""The loop of a training: steps in pieces, checkpoints between them, test images now and then."""

from __future__ import annotations

import os
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, TypeVar

import jax
import numpy as np

from kernas.errors import ConfigurationError, DataError
from kernas.files import user_path
from kernas.kernels import Architecture, Dataset
from kernas.kernels.architecture.widths import check_count
from kernas.progress import progress_bar

from . import checkpoints
from .batches import Batches, batches
from .checkpoints import Checkpoint
from .settings import TrainingSettings

if TYPE_CHECKING:
    from .programs import Pace, Programs, State

CHUNK = 50
"""Most steps of one call of a program."""

EVALUATED = 250
"""Images of one call of an evaluation."""

PACKAGES = ("kernas", "jax", "jaxlib", "flax", "optax", "numpy")

Kind = TypeVar("Kind", bound="Training")

Paths = Callable[[int, int], np.ndarray]
"""``(first, count) -> (count, paths, slots)``: what fills a template's slots in some steps."""


@dataclass(frozen=True, eq=False)
class Training(ABC):
    """What is trained, on what, and its programs; the state is the caller's.

    Attributes:
        template: the network.
        programs: of it.
        pace: of the recipe.
        seeds: of each network.
        steps: of the whole training.
        train_set: images and labels.
        recipe: the settings.
    """

    template: Architecture
    programs: Programs
    pace: Pace
    seeds: tuple[int, ...]
    steps: int
    train_set: Dataset
    recipe: TrainingSettings

    @abstractmethod
    def advance(self, state: State, first: int, count: int) -> tuple[State, np.ndarray]:
        """The state after the steps from ``first`` on, and their losses ``(count, seeds)``."""

    def start(self) -> Checkpoint:
        """The state before the first step."""
        return Checkpoint(
            self.programs.start(self.template, self.seeds),
            np.zeros((0, len(self.seeds)), np.float32),
            np.zeros((0, len(self.seeds))),
        )

    def stepped(self, state: State, first: int, paths: np.ndarray) -> tuple[State, np.ndarray]:
        """The same for steps along these paths, ``(count, paths, slots)``."""
        count = len(paths)
        drawn = batches(
            *(first, count, self.seeds, len(self.train_set), self.recipe.batch_size),
            self.train_set.input_shape,
        )
        choices = paths.astype(np.int32)
        state, losses = self.programs.advance(
            *(state, self.pace, whole(choices), *self._on_device),
            *(Batches(*map(whole, drawn)), np.int32(count)),
        )
        return state, np.asarray(losses)[:count]

    def accuracy(self, reached: Checkpoint, of: Dataset, slots: Sequence[int]) -> np.ndarray:
        """Of each seed the share of images that are classified correctly; NaN where it diverged.

        Args:
            reached: the state of the training, or what a path inherits of it.
            of: images and labels.
            slots: the path.
        """
        choices = np.array(slots, np.int32)
        correct = np.zeros(len(self.seeds), int)
        for first in range(0, len(of), EVALUATED):
            x, y = of.x[first : first + EVALUATED], of.y[first : first + EVALUATED]
            missing = EVALUATED - len(y)
            x = np.pad(x, ((0, missing), *[(0, 0)] * (x.ndim - 1)))
            y = np.pad(y.astype(np.int32), (0, missing), constant_values=-1)
            correct += np.asarray(self.programs.correct(reached.state, choices, x, y))
        return np.where(reached.diverged, np.nan, correct / len(of))

    @cached_property
    def _on_device(self) -> tuple[Any, Any]:
        return jax.device_put((self.train_set.x, self.train_set.y.astype(np.int32)))


@dataclass(frozen=True, eq=False)
class PathTraining(Training):
    """Steps along paths that are known before.

    Attributes:
        paths: through the template.
    """

    paths: Paths

    def advance(self, state: State, first: int, count: int) -> tuple[State, np.ndarray]:
        """Along the paths of these steps."""
        return self.stepped(state, first, self.paths(first, count))


def along(slots: Sequence[int]) -> Paths:
    """The same path in every step."""
    path = np.array(slots, np.int32)
    return lambda first, count: np.broadcast_to(path, (count, 1, len(path)))


def training_of(
    kind: Callable[..., Kind],
    template: Architecture,
    train_set: Dataset,
    recipe: TrainingSettings,
    seeds: int | Sequence[int],
    *,
    sets: int = 1,
    on_path: bool = False,
    **own: Any,
) -> Kind:
    """A training, with all that can be checked of it.

    Args:
        kind: of training.
        template: the network.
        train_set: images and labels.
        recipe: the settings.
        seeds: how many networks, with the seeds from 0, or the seeds themselves.
        sets: of weights that are mixed for each path.
        on_path: whether a step moves the weights of its path alone.
        own: attributes of this kind.

    Raises:
        ArchitectureError: the network does not fit the images, or does not end in ``Dense``.
        ConfigurationError: an argument is not usable.
    """
    from .programs import Pace, programs_of  # which imports optax

    numbers = _seeds(seeds)
    _check_set("train_set", train_set)
    steps = recipe.steps_for(train_set)
    programs = programs_of(
        template, train_set.input_shape, train_set.n_classes, recipe, sets, on_path
    )
    pace = Pace.of(recipe, steps)
    return kind(template, programs, pace, numbers, steps, train_set, recipe, **own)


@dataclass(frozen=True, eq=False)
class Judged:
    """What is classified on the way.

    Attributes:
        images: and labels.
        slots: the path.
        every: so many steps, and in the end; ``None`` for in the end alone.
    """

    images: Dataset
    slots: Sequence[int]
    every: int | None = None


def run(
    training: Training,
    identity: Mapping[str, Any],
    *,
    folder: str | os.PathLike[str] | None = None,
    judged: Judged | None = None,
    progress: bool = False,
) -> Checkpoint:
    """All steps of a training, from where its folder left it.

    Args:
        training: what is trained.
        identity: what decides its weights beside recipe, seeds and images, as JSON values.
        folder: where its state is kept; ``None`` for nowhere.
        judged: what the curve is measured on; ``None`` for no curve.
        progress: whether to show a bar on stderr.

    Returns:
        The state after the last step, or after the piece in which all networks diverged.

    Raises:
        ConfigurationError: ``judged.every`` is no integer >= 1.
        RunFolderError: the checkpoint is damaged or that of another training, or none can be
            written.
    """
    steps = every = training.steps
    if judged is not None and judged.every is not None:
        check_count(judged.every, "evaluate_every")
        every = judged.every
    place = None if folder is None else user_path(folder, "folder")
    begun = time.perf_counter()
    reached = training.start()
    whole: dict[str, Any] = {}
    if place is not None:
        whole = {
            **identity,
            "settings": training.recipe.settings(),
            "seeds": list(training.seeds),
            "train_set": training.train_set.fingerprint,
            "device": jax.local_devices()[0].device_kind,
            "versions": {name: version(name) for name in PACKAGES},
        }
        if judged is not None:
            whole |= {"evaluate_every": judged.every, "test_set": judged.images.fingerprint}
        reached = checkpoints.read(place, whole, reached, steps)
    with progress_bar(shown=progress, total=steps, desc="training", initial=reached.steps) as bar:
        while reached.steps < steps and not reached.diverged.all():
            stop = min(steps, (reached.steps // every + 1) * every)
            count = min(CHUNK, stop - reached.steps)
            state, losses = training.advance(reached.state, reached.steps, count)
            seconds = reached.seconds - begun
            reached = Checkpoint(state, np.concatenate([reached.losses, losses]), reached.curve)
            if judged is not None and (reached.steps == stop or reached.diverged.all()):
                measured = training.accuracy(reached, judged.images, judged.slots)
                reached = replace(reached, curve=np.concatenate([reached.curve, measured[None]]))
            begun = time.perf_counter()
            reached = replace(reached, seconds=seconds + begun)
            if place is not None:
                checkpoints.write(place, whole, reached)
            bar.update(count)
    return reached


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


def _check_set(name: str, given: Dataset) -> None:
    if not isinstance(given, Dataset):
        raise ConfigurationError(
            f"{name} of {type(given).__name__}: expected a Dataset, as load() returns"
        )


def check_pair(train_set: Dataset, test_set: Dataset) -> None:
    """Refuse data that do not belong together."""
    _check_set("test_set", test_set)
    if train_set.input_shape != test_set.input_shape or train_set.classes != test_set.classes:
        raise DataError(
            f"{train_set!r} and {test_set!r}: expected images of equal shapes and the same "
            "classes; load both together"
        )


def whole(of_steps: np.ndarray) -> np.ndarray:
    """Draws of some steps with zeros for those that are not done, so that one program serves."""
    missing = CHUNK - len(of_steps)
    return np.pad(of_steps, ((0, missing), *[(0, 0)] * (of_steps.ndim - 1)))
