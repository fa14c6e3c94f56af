"""DARTS: the choice of each slot relaxed to weights, which are trained beside those they mix.

Reference: Liu et al. 2019, DARTS: differentiable architecture search, sections 2.2 and 2.3.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import Array, lax

from kernas.kernels import Architecture, Dataset
from kernas.kernels.architecture.gains import with_gains
from kernas.kernels.architecture.slots import branches_of

from ..spaces import Space
from .batches import Batches, batches
from .checkpoints import Checkpoint
from .loop import CHUNK, Training, check_pair, run, training_of, whole
from .programs import Pace, as_compiled, network_of, optimizer_of
from .settings import TrainingSettings
from .supernet import shared_template

ALPHA = "alpha"
"""Part of the state: the logits of the branches, and what Adam knows of them."""

START = 1e-3
"""Standard deviation of the first logits."""

BETAS, DECAY = (0.5, 0.999), 1e-3
"""Of their Adam (section A.1.1)."""

ABSENT = -1e9
"""The logit of a branch that a choice does not have."""


@dataclass(frozen=True, eq=False)
class DartsTraining(Training):
    """Steps of logits and weights in turns.

    A slot with the logits α of its choice computes ``Σ_b softmax(α)_b branch_b(x)``. Each step
    first moves α along ``∇_α L_val(w', α)``, with ``w' = w``, or of the second order
    ``w' = w − ξ ∇_w L_train(w, α)``, of which JAX takes the derivative without an approximation;
    then w along ``∇_w L_train(w, α)``. ξ is the rate of the weights.

    Attributes:
        validation: images for α, as many as a batch has or more.
        rate: of Adam on α.
        order: of the gradient.
    """

    validation: Dataset
    rate: float
    order: Literal[1, 2]

    def start(self) -> Checkpoint:
        """The state before the first step."""
        first = super().start()
        (seed,) = self.seeds
        counts = branches_of(self.template)
        drawn = np.random.default_rng([seed, 5]).standard_normal((len(counts), max(counts)))
        alpha = np.float32(START * drawn)
        state = {**first.state, ALPHA: (alpha, jax.device_get(_ADAM.init(alpha)))}
        return Checkpoint(state, first.losses, first.curve)

    def advance(self, state: Any, first: int, count: int) -> tuple[Any, np.ndarray]:
        """The state after the steps from ``first`` on, and the weights' losses ``(count, 1)``."""
        (seed,) = self.seeds
        size = self.recipe.batch_size
        shape = self.train_set.input_shape
        train = batches(first, count, (seed,), len(self.train_set), size, shape)
        judged = batches(first, count, (seed + 1,), len(self.validation), size, shape)
        drawn = jax.tree.map(whole, (train, judged))
        program = _program(
            *(with_gains(self.template, 1.0), shape, self.train_set.n_classes),
            *(as_compiled(self.recipe), self.order),
        )
        state, losses = program(
            *(state, self.pace, np.float32(self.rate), self._sets, *drawn),
            *(np.int32(first), np.int32(count)),
        )
        return state, np.asarray(losses)[:count, None]

    @cached_property
    def _sets(self) -> Any:
        return jax.device_put(
            [(of.x, of.y.astype(np.int32)) for of in (self.train_set, self.validation)]
        )


_ADAM = optax.chain(optax.add_decayed_weights(DECAY), optax.scale_by_adam(*BETAS))
"""Of the logits, at a rate of 1."""


@lru_cache(maxsize=4)
def _program(
    template: Architecture,
    image_shape: tuple[int, ...],
    n_classes: int,
    recipe: TrainingSettings,
    order: int,
) -> Callable[..., tuple[Any, Array]]:
    """``(state, pace, rate, sets, train, judged, first, count) -> (state, losses)``, of steps from
    ``first`` on; ``sets`` are images and labels to train on, and to judge by."""
    network = network_of(template, image_shape, n_classes, recipe)
    absent = jnp.asarray(absent_of(branches_of(template)))

    def loss(params: Any, alpha: Array, rest: Any, of: Any, batch: Batches) -> Any:
        images, labels = of
        logits, moved = network.apply(
            {**rest, "params": params},
            images[batch.images],
            train=True,
            choices=mixture(alpha, absent),
            mutable=["batch_stats"],
        )
        of_each = optax.softmax_cross_entropy_with_integer_labels(logits, labels[batch.images])
        return of_each.mean(), moved

    def step(
        state: Any, pace: Pace, rate: Array, sets: Any, batches: tuple[Batches, Batches], at: Array
    ) -> tuple[Any, Array]:
        rest = {name: _first(leaf) for name, leaf in state["variables"].items()}
        params, (alpha, known) = rest.pop("params"), state[ALPHA]
        train, judged = zip(sets, batches, strict=True)

        def judge(alpha: Array) -> Array:
            ahead = params
            if order == 2:
                slope = jax.grad(lambda p: loss(p, alpha, rest, *train)[0])(params)
                ahead = jax.tree.map(lambda p, g: p - pace.rate(at) * g, params, slope)
            return loss(ahead, alpha, rest, *judged)[0]

        update, known = _ADAM.update(jax.grad(judge)(alpha), known, alpha)
        alpha = alpha - rate * jnp.asarray(update)
        (value, moved), slope = jax.value_and_grad(loss, has_aux=True)(params, alpha, rest, *train)
        moves, moments = optimizer_of(recipe, pace).update(
            slope, _first(state["optimizer"]), params
        )
        variables = {**rest, **moved, "params": optax.apply_updates(params, moves)}
        after = {"variables": variables, "optimizer": moments}
        return {**jax.tree.map(lambda leaf: leaf[None], after), ALPHA: (alpha, known)}, value

    @jax.jit
    def advance(
        state: Any,
        pace: Pace,
        rate: Array,
        sets: Any,
        train: Batches,
        judged: Batches,
        first: Array,
        count: Array,
    ) -> tuple[Any, Array]:
        def body(index: Array, carry: tuple[Any, Array]) -> tuple[Any, Array]:
            state, losses = carry
            batches = jax.tree.map(lambda part: part[index, 0], (train, judged))
            state, value = step(state, pace, rate, sets, batches, first + index)
            return state, losses.at[index].set(value)

        return lax.fori_loop(0, count, body, (state, jnp.zeros(CHUNK)))

    return advance


def mixture(alpha: Array, absent: Array) -> Array:
    """The weights of the branches, a row for each choice; zero for branches that it lacks."""
    return jax.nn.softmax(alpha + absent, axis=-1)


def absent_of(branches: tuple[int, ...]) -> np.ndarray:
    """What is added to logits ``(choices, branches)``: nothing, or :data:`ABSENT`."""
    places = np.arange(max(branches))
    return np.where(places[None] < np.array(branches)[:, None], 0.0, ABSENT).astype(np.float32)


def _first(tree: Any) -> Any:
    """Of the one seed."""
    return jax.tree.map(lambda leaf: leaf[0], tree)


def train_darts(
    space: Space,
    train_set: Dataset,
    validation: Dataset,
    settings: TrainingSettings,
    *,
    rate: float,
    order: Literal[1, 2] = 1,
    seed: int = 0,
    folder: str | os.PathLike[str] | None = None,
    progress: bool = False,
) -> np.ndarray:
    """Train the weights of branches beside those of their layers.

    Args:
        space: whose candidates have one template with slots.
        train_set: images of the layers.
        validation: images of the branches, at least a batch.
        settings: of the layers.
        rate: of Adam on the logits of the branches, > 0.
        order: of the gradient; of the second it sees the layers' next step.
        seed: of all that is drawn.
        folder: where to keep the state every 50 steps.
        progress: whether to show a bar on stderr.

    Returns:
        ``(choices, branches)``, the logarithms of the branches' weights; NaN if it diverged.

    Raises:
        ConfigurationError, DataError: the space has no slots, or several templates; an argument is
            not usable.
        RunFolderError: the checkpoint in ``folder`` is damaged or that of another training.
    """
    check_pair(train_set, validation)
    settings.steps_for(validation)
    template = shared_template(space)
    training = training_of(
        *(DartsTraining, template, train_set, settings, (seed,)),
        validation=validation,
        rate=rate,
        order=order,
    )
    identity = {
        "search": "darts",
        "space": space.settings(),
        "validation": validation.fingerprint,
        "rate": rate,
        "order": order,
    }
    reached = run(training, identity, folder=folder, progress=progress)
    alpha, _ = reached.state[ALPHA]
    absent = absent_of(branches_of(template))
    found = np.asarray(jax.nn.log_softmax(np.asarray(alpha) + absent, axis=-1), np.float64)
    return np.full_like(found, np.nan) if reached.diverged.all() else found
