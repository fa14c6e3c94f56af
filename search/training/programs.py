"""The compiled programs of a template: steps of training, and evaluation, for several seeds.

The numbers that fill the slots are arguments, and seeds are mapped over inside, so that a branch
that is not chosen is not computed: one program of each kind serves all candidates of a template.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import Array, lax

from kernas.kernels import Architecture, finite_network
from kernas.kernels.architecture import Node, Slot, WeightLayer
from kernas.kernels.finite.convolution import convolution_for
from kernas.kernels.finite.drawing import draw_variables

from .batches import Batches, augmented
from .settings import TrainingSettings

KEPT = 8
"""Templates whose programs stay in memory."""

State = dict[str, Any]
"""Variables and the optimiser's state, every array with the seeds as its first axis."""


def without_gains(architecture: Architecture) -> Architecture:
    """The network with unit gains: what its programs depend on, once its weights are drawn.

    A layer that has a bias keeps it.
    """

    def plain(layer: Any) -> Any:
        if isinstance(layer, WeightLayer):
            return replace(layer, W_std=1.0, b_std=float(layer.b_std > 0))
        if isinstance(layer, Slot):
            return replace(layer, branches=tuple(map(without_gains, layer.branches)))
        return layer

    return Architecture(tuple(Node(plain(n.layer), n.inputs) for n in architecture.nodes))


@dataclass(frozen=True)
class Programs:
    """What is compiled for a template, its images, and a recipe.

    Attributes:
        start: ``(template, seeds) -> State``, drawn on the host with the template's gains.
        advance: ``(state, choices, images, labels, batches, count) -> (state, losses)``: the first
            ``count`` of the batches' steps, and the mean loss of each, ``(steps, seeds)``.
        correct: ``(state, choices, images, labels) -> (seeds,)`` images that are classified
            correctly; a label of -1 never is.
    """

    start: Callable[[Architecture, Sequence[int]], State]
    advance: Callable[..., tuple[State, Array]]
    correct: Callable[..., Array]


def programs_of(
    template: Architecture,
    image_shape: tuple[int, ...],
    n_classes: int,
    settings: TrainingSettings,
    steps: int,
) -> Programs:
    """The programs of a template; equal for templates that differ in gains only.

    Raises:
        ArchitectureError: the network does not fit the images, or does not end in ``Dense``.
    """
    return _programs(without_gains(template), image_shape, n_classes, settings, steps)


@lru_cache(maxsize=KEPT)
def _programs(
    template: Architecture,
    image_shape: tuple[int, ...],
    n_classes: int,
    settings: TrainingSettings,
    steps: int,
) -> Programs:
    platform = jax.local_devices()[0].platform
    network: Any = finite_network(
        template,
        settings.width,
        outputs=n_classes,
        parameterization="standard",
        convolution=convolution_for(platform, image_shape[:-1]),
    )
    example = jax.ShapeDtypeStruct((2, *image_shape), np.float32)
    shapes = jax.eval_shape(lambda x: network.init(jax.random.key(0), x), example)
    optimizer = _optimizer(settings, steps)

    def start(filled: Architecture, seeds: Sequence[int]) -> State:
        drawn = [draw_variables(filled, shapes, np.random.default_rng([s, 0])) for s in seeds]
        variables = jax.tree.map(lambda *each: np.stack(each), *drawn)
        moments = jax.eval_shape(jax.vmap(optimizer.init), variables["params"])
        zeros = jax.tree.map(lambda leaf: np.zeros(leaf.shape, leaf.dtype), moments)
        return {"variables": variables, "optimizer": zeros}

    def step(
        state: State, choices: Array, images: Array, labels: Array, batch: Batches
    ) -> tuple[State, Array]:
        x, y = images[batch.images], labels[batch.images]
        if settings.augment:
            x = augmented(x, *batch[1:])
        rest = dict(state["variables"])
        params = rest.pop("params")

        def loss(params: Any) -> Any:
            logits, moved = network.apply(
                {**rest, "params": params}, x, train=True, choices=choices, mutable=["batch_stats"]
            )
            return optax.softmax_cross_entropy_with_integer_labels(logits, y).mean(), moved

        (value, moved), gradients = jax.value_and_grad(loss, has_aux=True)(params)
        updates, moments = optimizer.update(gradients, state["optimizer"], params)
        variables = {**rest, **moved, "params": optax.apply_updates(params, updates)}
        return {"variables": variables, "optimizer": moments}, value

    over_seeds = jax.vmap(step, in_axes=(0, None, None, None, 0))

    @jax.jit
    def advance(
        state: State, choices: Array, images: Array, labels: Array, some: Batches, count: Array
    ) -> tuple[State, Array]:
        def body(index: Array, carry: tuple[State, Array]) -> tuple[State, Array]:
            state, losses = carry
            batch = jax.tree.map(lambda part: part[index], some)
            state, loss = over_seeds(state, choices, images, labels, batch)
            return state, losses.at[index].set(loss)

        losses = jnp.zeros(some.images.shape[:2], images.dtype)
        return lax.fori_loop(0, count, body, (state, losses))

    @jax.jit
    def correct(state: State, choices: Array, images: Array, labels: Array) -> Array:
        def one(variables: Any) -> Array:
            logits = network.apply(variables, images, choices=choices)
            return (jnp.argmax(logits, axis=-1) == labels).sum()

        return jax.vmap(one)(state["variables"])

    return Programs(start, advance, correct)


def _optimizer(settings: TrainingSettings, steps: int) -> optax.GradientTransformation:
    rate = optax.cosine_decay_schedule(settings.learning_rate, steps)
    if settings.optimizer == "adam":
        return optax.adamw(rate, weight_decay=settings.weight_decay)
    return optax.chain(
        optax.add_decayed_weights(settings.weight_decay),
        optax.sgd(rate, momentum=settings.momentum, nesterov=True),
    )
