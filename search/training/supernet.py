"""One network that all candidates of a space share the weights of, and what they inherit of it."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from typing import Literal

import jax
import numpy as np

from kernas.errors import ConfigurationError
from kernas.kernels import Architecture, Dataset
from kernas.kernels.architecture.slots import branches_of
from kernas.kernels.architecture.widths import check_count

from ..spaces import Candidate, Space
from ..spaces.abilities import Slotted, require
from ..spaces.base import genotype_of
from ..spaces.parts import check_one_of
from .checkpoints import Checkpoint
from .loop import PathTraining, Training, run, training_of
from .settings import TrainingSettings

Sampling = Literal["uniform", "fair"]

RECALIBRATED = 20
"""Batches by which the statistics of a path are moved before it is judged: what they were before
has a weight of 0.9^20, an eighth."""


DRAWN = 4
"""Candidates whose templates are compared before a training; each is when it is judged."""


@dataclass(frozen=True, eq=False)
class Supernet:
    """A trained network of a space's template, whose paths are the candidates.

    Attributes:
        space: of the candidates.
        train_set: images and labels.
        recipe: of the training.
        sampling: of the paths.
        sets: of weights that are mixed for each path.
        seed: of weights, batches and paths.
        reached: its end: variables, every array with the one seed as its first axis; losses
            ``(steps, 1)``, the mean over the paths of each step; and its seconds.
    """

    space: Space
    train_set: Dataset
    recipe: TrainingSettings
    sampling: Sampling
    sets: int
    seed: int
    reached: Checkpoint

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of its variables."""
        digest = hashlib.sha256()
        for leaf in jax.tree.leaves(self.reached.state["variables"]):
            digest.update(np.ascontiguousarray(leaf).tobytes())
        return digest.hexdigest()

    def accuracy(self, candidate: Candidate, of: Dataset) -> float:
        """What share a candidate classifies correctly with the weights that it inherits.

        Statistics of normalisations are moved by 20 batches of training images along its path
        first (Guo et al. 2020, Single path one-shot, section 3.4). NaN if the supernet diverged.

        Args:
            candidate: of the space.
            of: images and labels.

        Raises:
            ConfigurationError: the candidate belongs to another space, or has another template.
        """
        genotype_of(self.space, candidate)
        able = require(self.space, Slotted)
        if able.template(candidate) != shared_template(self.space):
            raise ConfigurationError(
                f"{candidate.name} has another template than the supernet: its weights are shared "
                "by candidates of one template"
            )
        slots = able.slots(candidate)
        training = _training(
            *(self.space, self.train_set, self.recipe, self.sampling, self.sets, self.seed)
        )
        return inherited_accuracy(training, self.reached, slots, of)


def train_supernet(
    space: Space,
    train_set: Dataset,
    settings: TrainingSettings | None = None,
    *,
    sampling: Sampling = "uniform",
    sets: int = 1,
    seed: int = 0,
    folder: str | os.PathLike[str] | None = None,
    progress: bool = False,
) -> Supernet:
    """Train the weights that the candidates of a space share.

    ``"uniform"``: each step trains one path, every choice uniform among its branches (Guo et al.
    2020, section 3.3). ``"fair"``: each step sums the gradients of as many paths as there are
    branches, so that each branch of every slot is on one of them (Chu et al. 2021, FairNAS,
    algorithm 1). With several ``sets`` of weights a path has ``θ = Σ_k λ_k θ_k``, with λ from a
    small network that reads the path (Su et al. 2021, K-shot NAS, section 3.2). The weights of
    branches off the path have no gradient; momentum and decay move them all the same.

    Args:
        space: whose candidates have one template with slots.
        train_set: images and labels.
        settings: the recipe, by default :class:`TrainingSettings`.
        sampling: of the paths of a step.
        sets: K, of shared weights, >= 1.
        seed: of weights, batches and paths.
        folder: where to keep the state every 50 steps, as :func:`train` does.
        progress: whether to show a bar on stderr.

    Raises:
        ConfigurationError: the space has no slots, or several templates; with ``"fair"`` its slots
            have different numbers of branches; an argument is not usable.
        ArchitectureError: the network does not fit the images.
        RunFolderError: the checkpoint in ``folder`` is damaged or that of another training.
    """
    recipe = settings or TrainingSettings()
    training = _training(space, train_set, recipe, sampling, sets, seed)
    identity = {"space": space.settings(), "sampling": sampling, "sets": sets}
    reached = run(training, identity, folder=folder, progress=progress)
    state = {"variables": jax.device_get(reached.state["variables"])}
    return Supernet(
        *(space, train_set, recipe, sampling, sets, seed), replace(reached, state=state)
    )


def inherited_accuracy(
    training: Training, reached: Checkpoint, slots: Sequence[int], of: Dataset
) -> float:
    """What share of images a path classifies correctly with the weights that it inherits; as
    :meth:`Supernet.accuracy` says.

    Args:
        training: of the shared weights.
        reached: its end.
        slots: the path.
        of: images and labels.
    """
    size = (RECALIBRATED, training.recipe.batch_size)
    chosen = np.random.default_rng(0).choice(len(training.train_set), size)
    inherited = training.programs.inherited(
        {"variables": reached.state["variables"]},
        np.array(slots, np.int32),
        training.train_set.x[chosen],
    )
    path = replace(reached, state=inherited)
    return float(training.accuracy(path, of, slots)[0])


def _training(
    space: Space,
    train_set: Dataset,
    recipe: TrainingSettings,
    sampling: Sampling,
    sets: int,
    seed: int,
) -> Training:
    """The training of a supernet, with all that can be checked."""
    check_one_of("sampling", sampling, Sampling)
    check_count(sets, "sets")
    template = shared_template(space)
    branches = branches_of(template)
    if sampling == "fair" and len(set(branches)) > 1:
        raise ConfigurationError(
            f"sampling='fair' of slots with {', '.join(map(str, branches))} branches: expected as "
            "many in all; give sampling='uniform'"
        )

    def paths(first: int, count: int) -> np.ndarray:
        return np.stack([_paths(branches, sampling, seed, first + i) for i in range(count)])

    return training_of(
        *(PathTraining, template, train_set, recipe, (seed,)), sets=sets, paths=paths
    )


@lru_cache(maxsize=8)
def shared_template(space: Space) -> Architecture:
    """The one template of a space.

    Raises:
        ConfigurationError: it has none, or several.
    """
    able = require(space, Slotted)
    found = {able.template(*space.sample(1, seed=seed)) for seed in range(DRAWN)}
    if len(found) > 1:
        raise ConfigurationError(
            f"candidates of {space.name} have several templates: expected one, whose weights all "
            "of them share; fix the fields that decide the skeleton"
        )
    return found.pop()


def _paths(branches: tuple[int, ...], sampling: Sampling, seed: int, step: int) -> np.ndarray:
    """The paths of a step, ``(paths, slots)``."""
    rng = np.random.default_rng([seed, 2, step])
    if sampling == "uniform":
        return rng.integers(0, branches)[None].astype(np.int32)
    return np.stack([rng.permutation(count) for count in branches], axis=1).astype(np.int32)
