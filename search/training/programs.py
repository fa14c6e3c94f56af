"""The compiled programs of a template: steps of training, and evaluation, for several seeds.

The numbers that fill the slots are arguments, and seeds are mapped over inside, so that a branch
that is not chosen is not computed: one program of each kind serves all candidates of a template.
The rate, the number of steps and the decay of weights are arguments too (:class:`Pace`): recipes
that differ in them have the programs in common, and each size of a batch has one of steps.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import Array, lax
from jax.typing import ArrayLike

from kernas.kernels import Architecture, finite_network
from kernas.kernels.architecture.gains import with_gains
from kernas.kernels.architecture.slots import branches_of
from kernas.kernels.finite.convolution import ConvolutionName, convolution_for
from kernas.kernels.finite.drawing import draw_variables

from .batches import Batches, augmented
from .mixing import mixed, start_of_sets
from .settings import TrainingSettings

ARGUMENTS = ("learning_rate", "weight_decay", "batch_size", "epochs", "steps")
"""Settings that no program depends on: arguments of it, and the shape of one."""

KEPT = 8
"""Templates whose programs stay in memory."""

State = dict[str, Any]
"""Variables and the optimiser's state, every array with the seeds as its first axis."""


class Pace(NamedTuple):
    """What a training's steps read of its recipe, as numbers of float32.

    Attributes:
        learning_rate: of the first step.
        turn: ``π / T``, by which the cosine of the schedule goes on in each of ``T`` steps.
        weight_decay: of weights and biases.
    """

    learning_rate: Any
    turn: Any
    weight_decay: Any

    @classmethod
    def of(cls, settings: TrainingSettings, steps: int) -> Pace:
        """Of a recipe, for so many steps in all."""
        turn = np.float32(np.pi) * (np.float32(1) / np.float32(steps))
        return cls(np.float32(settings.learning_rate), turn, np.float32(settings.weight_decay))

    def rate(self, step: ArrayLike) -> Array:
        """Of a step from 0 on: ``learning_rate · (1 + cos(π t / T)) / 2``."""
        return self.learning_rate * (0.5 * (1 + jnp.cos(self.turn * step)))


STILL = Pace(0.0, 0.0, 0.0)
"""No pace."""


@dataclass(frozen=True)
class Programs:
    """What is compiled for a template, its images, and a recipe.

    Attributes:
        start: ``(template, seeds) -> State``, drawn on the host with the template's gains.
        advance: ``(state, pace, choices, images, labels, batches, count) -> (state, losses)``: the
            first ``count`` of the batches' steps, and the mean loss of each, ``(steps, seeds)``.
            ``choices`` of ``(steps, paths, slots)`` fill the slots of each step: with several paths
            it goes along the sum of their gradients, of one batch.
        inherited: ``(state, choices, images) -> State``: the variables of one path, with statistics
            moved by batches of ``images``, ``(batches, batch, …)``.
        correct: ``(state, choices, images, labels) -> (seeds,)`` images that are classified
            correctly; a label of -1 never is.
        correct_in_batch: the same by the statistics of these images, as a step of training has it.
    """

    start: Callable[[Architecture, Sequence[int]], State]
    advance: Callable[..., tuple[State, Array]]
    inherited: Callable[..., State]
    correct: Callable[..., Array]
    correct_in_batch: Callable[..., Array]


def programs_of(
    template: Architecture,
    image_shape: tuple[int, ...],
    n_classes: int,
    settings: TrainingSettings,
    sets: int = 1,
    on_path: bool = False,
) -> Programs:
    """The programs of a template; equal for templates that differ in gains only, and for recipes
    that differ in what a :class:`Pace` has or in the size of batches.

    Args:
        template: of the networks.
        image_shape: ``(height, width, channels)`` or ``(features,)``.
        n_classes: of the labels.
        settings: the recipe.
        sets: of weights that are mixed for each path (see :mod:`.mixing`).
        on_path: whether a step leaves weights without a gradient, and their momentum, as they are,
            so that it moves those of its path alone.

    Raises:
        ArchitectureError: the network does not fit the images, or does not end in ``Dense``.
    """
    return _programs(
        *(with_gains(template, 1.0), image_shape, n_classes, as_compiled(settings)),
        *(sets, on_path),
    )


def as_compiled(settings: TrainingSettings) -> TrainingSettings:
    """What a program depends on of a recipe; all else is as by default."""
    plain = TrainingSettings()
    return replace(settings, **{name: getattr(plain, name) for name in ARGUMENTS})


@lru_cache(maxsize=KEPT)
def _programs(
    template: Architecture,
    image_shape: tuple[int, ...],
    n_classes: int,
    settings: TrainingSettings,
    sets: int,
    on_path: bool,
) -> Programs:
    ways = own_ways(image_shape)
    network = network_of(template, image_shape, n_classes, settings)
    example = jax.ShapeDtypeStruct((2, *image_shape), np.float32)
    shapes = jax.eval_shape(lambda x: network.init(jax.random.key(0), x), example)
    branches = branches_of(template)
    over_seeds = jax.vmap if ways.side_by_side else _one_after_another

    def start(filled: Architecture, seeds: Sequence[int]) -> State:
        drawn = [draw_variables(filled, shapes, np.random.default_rng([s, 0])) for s in seeds]
        if sets > 1:
            for own, seed in zip(drawn, seeds, strict=True):
                rng = np.random.default_rng([seed, 3])
                own["params"] = start_of_sets(own["params"], sets, branches, rng)
        variables = jax.tree.map(lambda *each: np.stack(each), *drawn)
        moments = jax.eval_shape(jax.vmap(optimizer_of(settings, STILL).init), variables["params"])
        zeros = jax.tree.map(lambda leaf: np.zeros(leaf.shape, leaf.dtype), moments)
        return {"variables": variables, "optimizer": zeros}

    def forward(params: Any, rest: Any, x: Array, choices: Array) -> tuple[Array, Any]:
        """Logits of a batch in training, and the other variables after it."""
        logits, moved = network.apply(
            {**rest, "params": params}, x, train=True, choices=choices, mutable=["batch_stats"]
        )
        return logits, {**rest, **moved}

    def step(
        state: State, pace: Pace, paths: Array, images: Array, labels: Array, batch: Batches
    ) -> tuple[State, Array]:
        x, y = images[batch.images], labels[batch.images]
        if settings.augment:
            x = augmented(x, *batch[1:])
        rest = dict(state["variables"])
        params = rest.pop("params")

        def along(carry: tuple[Any, Any], choices: Array) -> tuple[tuple[Any, Any], Array]:
            """The gradients of one path more, and the statistics after it."""
            gradients, rest = carry

            def loss(params: Any) -> Any:
                logits, moved = forward(mixed(params, choices, branches), rest, x, choices)
                of_each = optax.softmax_cross_entropy_with_integer_labels(logits, y)
                return of_each.mean(), moved

            (value, rest), own = jax.value_and_grad(loss, has_aux=True)(params)
            return (jax.tree.map(jnp.add, gradients, own), rest), value

        nothing = jax.tree.map(jnp.zeros_like, params)
        (gradients, rest), values = lax.scan(along, (nothing, rest), paths)
        optimizer = optimizer_of(settings, pace)
        updates, moments = optimizer.update(gradients, state["optimizer"], params)
        after = optax.apply_updates(params, updates)
        if on_path:
            after, moments = moved_alone(
                optimizer, gradients, (params, state["optimizer"]), (after, moments)
            )
        variables = {**rest, "params": after}
        return {"variables": variables, "optimizer": moments}, values.mean()

    def advance(
        state: State,
        pace: Pace,
        choices: Array,
        images: Array,
        labels: Array,
        some: Batches,
        count: Array,
    ) -> tuple[State, Array]:
        def of_seed(given: tuple[State, Batches]) -> tuple[State, Array]:
            """All steps of one seed."""
            own, drawn = given

            def body(index: Array, carry: tuple[State, Array]) -> tuple[State, Array]:
                state, losses = carry
                batch = jax.tree.map(lambda part: part[index], drawn)
                state, loss = step(state, pace, choices[index], images, labels, batch)
                return state, losses.at[index].set(loss)

            return lax.fori_loop(0, count, body, (own, jnp.zeros(len(drawn.images), images.dtype)))

        by_seed = jax.tree.map(lambda part: jnp.moveaxis(part, 1, 0), some)
        state, losses = over_seeds(of_seed)((state, by_seed))
        return state, losses.T

    def inherited(state: State, choices: Array, images: Array) -> State:
        def one(variables: Any) -> Any:
            rest = dict(variables)
            params = mixed(rest.pop("params"), choices, branches)

            rest, _ = lax.scan(
                lambda rest, x: (forward(params, rest, x, choices)[1], None), rest, images
            )
            return {**rest, "params": params}

        return {"variables": over_seeds(one)(state["variables"])}

    def correct(state: State, choices: Array, images: Array, labels: Array) -> Array:
        def one(variables: Any) -> Array:
            logits = network.apply(variables, images, choices=choices)
            return (jnp.argmax(logits, axis=-1) == labels).sum()

        return over_seeds(one)(state["variables"])

    def correct_in_batch(state: State, choices: Array, images: Array, labels: Array) -> Array:
        def one(variables: Any) -> Array:
            rest = dict(variables)
            logits, _ = forward(rest.pop("params"), rest, images, choices)
            return (jnp.argmax(logits, axis=-1) == labels).sum()

        return over_seeds(one)(state["variables"])

    compiled = map(jax.jit, (advance, inherited, correct, correct_in_batch))
    return Programs(start, *compiled)


@dataclass(frozen=True)
class Ways:
    """How a device computes several seeds; ``experiments/benchmarks/training.py`` measures all.

    Attributes:
        convolution: one of :data:`kernas.kernels.finite.convolution.CONVOLUTIONS`.
        side_by_side: whether all seeds take a step together, rather than one seed all of them.
    """

    convolution: ConvolutionName
    side_by_side: bool


def ways_for(platform: str, pixels: Sequence[int]) -> Ways:
    """The fastest: a CPU has the arrays of one seed in its cache, other devices want to be filled.

    Args:
        platform: of the device, ``"cpu"`` or another.
        pixels: of the images, height and width.
    """
    return Ways(convolution_for(platform, pixels), side_by_side=platform != "cpu")


def own_ways(image_shape: Sequence[int]) -> Ways:
    """Those of the device at hand."""
    return ways_for(jax.local_devices()[0].platform, image_shape[:-1])


def network_of(
    template: Architecture, image_shape: Sequence[int], n_classes: int, settings: TrainingSettings
) -> Any:
    """The finite network of a template that is trained."""
    return finite_network(
        template,
        settings.width,
        outputs=n_classes,
        parameterization="standard",
        convolution=own_ways(image_shape).convolution,
    )


def _one_after_another(function: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """A function of one seed as one of all."""
    return partial(lax.map, function)


def moved_alone(
    optimizer: optax.GradientTransformation,
    gradients: Any,
    before: tuple[Any, Any],
    after: tuple[Any, Any],
) -> tuple[Any, Any]:
    """Parameters and the optimiser's state after a step, as before it where an array has no
    gradient at all.

    Args:
        optimizer: whose state it is.
        gradients: of the parameters.
        before: parameters and state.
        after: likewise.
    """
    has_one = jax.tree.map(lambda gradient: jnp.any(gradient != 0), gradients)

    def chosen(moved: Array, new: Array, old: Array) -> Array:
        return jnp.where(moved, new, old)

    of_state = optax.tree_map_params(
        *(optimizer, lambda _, moved: moved, after[1], has_one),
        transform_non_params=lambda _: jnp.array(True),
    )
    params = jax.tree.map(chosen, has_one, after[0], before[0])
    return params, jax.tree.map(chosen, of_state, after[1], before[1])


def optimizer_of(settings: TrainingSettings, pace: Pace) -> optax.GradientTransformation:
    """The optimiser at a pace, on which the shapes of its state do not depend."""
    if settings.optimizer == "adam":
        return optax.adamw(pace.rate, weight_decay=pace.weight_decay)
    return optax.chain(
        optax.add_decayed_weights(pace.weight_decay),
        optax.sgd(pace.rate, momentum=settings.momentum, nesterov=True),
    )
