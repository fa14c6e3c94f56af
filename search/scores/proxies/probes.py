"""The compiled programs that proxies of a template's networks are read from.

The numbers that fill the slots are arguments, as in :mod:`kernas.search.training.programs`: one
program of each kind serves all candidates of a template. A program is compiled when it is first
called.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache, lru_cache, partial
from itertools import pairwise
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from kernas.kernels import Architecture, finite_network
from kernas.kernels.architecture.gains import with_gains
from kernas.kernels.finite.convolution import convolution_for
from kernas.kernels.finite.drawing import draw_variables

from .parts import blocks_of, body_of, smallest_images

KEPT = 8
"""Templates whose programs stay in memory."""

SMALL_IMAGES = 1000
"""Of :attr:`Probes.regions`, as many as Chen et al. 2021 have in a batch."""

Variables = dict[str, Any]


@dataclass(frozen=True)
class Probes:
    """What is compiled for a template and a batch. All read ``choices``, which fill the slots, and
    networks are in training, so that they are normalised by the statistics of the batch.

    Attributes:
        start: ``(template, seed) -> Variables``: the weights of a training with this seed.
        normal: ``seed -> Variables``: all weights standard normal, biases zero.
        first_order: ``(variables, choices, images, labels) ->`` a mapping with ``gradients`` of the
            mean cross-entropy by the weights and ``gates`` by the gates, ``codes``, and
            ``jacobian``, ``(n, …)``: of the sum of all logits by the images.
        curvature: ``(variables, choices, images, labels) ->`` the Hessian of that loss times its
            gradient, both by the weights.
        tangent: ``(variables, choices, images) -> (n, n)``: inner products of the gradients by the
            weights, biases left out, of the sum of each image's logits.
        flow: ``(params, choices) ->`` the gradient by the weights' magnitudes of the sum of the
            logits of an image of ones, without normalisation, in float64.
        perturbed: ``(variables, choices, images, others) ->`` the features that the readout reads
            of both, and the running averages after the first and after both, which begin at 0;
            ``None`` where the readout reads the images themselves.
        inside: ``(variables, choices, images, signs) ->`` a mapping with ``values``, the outputs of
            layers for the first images, as :func:`finite_network` keeps them; and of the blocks
            that follow one another ``spreads``, the covariances ``(channels, channels)`` of the
            pixels of what each makes, and ``passages``, from the second on: the mean over pixels
            of the products, ``(channels read, channels made)``, of the signs with the gradient of
            their inner product with what the block makes, by what it reads; and ``identities``,
            whether signs and gradient are equal.
        ends: the shapes of what the blocks make, in their order, and so of ``signs``.
        places: the parameters of the template, each as its place among them.
        information: ``(variables, choices, images, places, count) ->`` the logits, and their
            derivatives, ``(places, n, classes)``, by the first weights of the first ``count`` of
            some parameters, all without normalisation.
        thin: ``(template, seed) -> Variables`` of the network whose widths are their relative ones.
        regions: ``(variables, choices, images) ->`` the codes of that network, of
            ``SMALL_IMAGES`` images of ``small_shape``.
        small_shape: ``None`` where the network takes none, and there is no ``regions``.
    """

    start: Callable[[Architecture, int], Variables]
    normal: Callable[[int], Variables]
    first_order: Callable[..., dict[str, Any]]
    curvature: Callable[..., Any]
    tangent: Callable[..., Array]
    flow: Callable[..., Any]
    perturbed: Callable[..., tuple[Array, Array, Any, Any]] | None
    inside: Callable[..., dict[str, Any]]
    ends: Mapping[str, tuple[int, ...]]
    places: Variables
    information: Callable[..., tuple[Array, Array]]
    thin: Callable[[Architecture, int], Variables]
    regions: Callable[..., Any]
    small_shape: tuple[int, ...] | None


def probes_of(
    template: Architecture, image_shape: tuple[int, ...], n_classes: int, width: int, batch: int
) -> Probes:
    """The programs of a template; equal for templates that differ in gains only.

    Args:
        template: of the networks.
        image_shape: ``(height, width, channels)`` or ``(features,)``.
        n_classes: of the labels.
        width: channels of a weight layer of relative width 1.
        batch: images in a batch.

    Raises:
        ArchitectureError: the network does not fit the images, or does not end in ``Dense``.
    """
    return _probes(with_gains(template, 1.0), image_shape, n_classes, width, batch)


@lru_cache(maxsize=KEPT)
def _probes(
    template: Architecture, image_shape: tuple[int, ...], n_classes: int, width: int, batch: int
) -> Probes:
    common: Mapping[str, Any] = {
        "parameterization": "standard",
        "convolution": convolution_for(jax.local_devices()[0].platform, image_shape[:-1]),
    }
    watched: Any = partial(finite_network, template, outputs=n_classes, watched=True, **common)
    network, cuts = watched(width), blocks_of(template)
    parted = watched(width, cuts=cuts)
    shapes, kept = _shapes(parted, (batch, *image_shape))
    codes, gates = kept["codes"], kept["gates"]

    def start(filled: Architecture, seed: int) -> Variables:
        return draw_variables(filled, shapes, np.random.default_rng([seed, 0]))

    def normal(seed: int) -> Variables:
        rng = np.random.default_rng([seed, 4])
        drawn = draw_variables(template, shapes, rng)

        def leaf(path: Any, shape: Any) -> np.ndarray:
            values = rng.standard_normal(shape.shape) * (path[-1].key != "bias")
            return values.astype(shape.dtype)

        weights = {name: shapes[name] for name in ("params", "fixed") if name in shapes}
        return {**drawn, **jax.tree_util.tree_map_with_path(leaf, weights)}

    def split(variables: Variables) -> tuple[Any, Variables]:
        rest = dict(variables)
        return rest.pop("params"), rest

    def logits_of(
        params: Any, gated: Any, x: Array, rest: Variables, choices: Array
    ) -> tuple[Array, Any]:
        """Logits, and the codes of the activations."""
        logits, moved = network.apply(
            {**rest, "params": params, "gates": gated, "codes": _filled(codes, 0)},
            x,
            train=True,
            choices=choices,
            mutable=["batch_stats", "codes"],
        )
        return logits, moved.get("codes", {})

    def cross_entropy(logits: Array, labels: Array) -> Array:
        chosen = jnp.take_along_axis(jax.nn.log_softmax(logits), labels[:, None], axis=1)
        return -chosen.mean()

    def first_order(
        variables: Variables, choices: Array, images: Array, labels: Array
    ) -> dict[str, Any]:
        params, rest = split(variables)

        def forward(params: Any, gated: Any, x: Array) -> tuple[Array, Any]:
            return logits_of(params, gated, x, rest, choices)

        logits, pull, lit = jax.vjp(forward, params, _filled(gates, 1), images, has_aux=True)
        gradients, by_gate, _ = pull(jax.grad(cross_entropy)(logits, labels))
        _, _, jacobian = pull(jnp.ones_like(logits))
        return {"gradients": gradients, "gates": by_gate, "codes": lit, "jacobian": jacobian}

    def curvature(variables: Variables, choices: Array, images: Array, labels: Array) -> Any:
        params, rest = split(variables)

        def loss(params: Any) -> Array:
            logits, _ = logits_of(params, _filled(gates, 1), images, rest, choices)
            return cross_entropy(logits, labels)

        gradient = jax.grad(loss)
        return jax.jvp(gradient, (params,), (gradient(params),))[1]

    def tangent(variables: Variables, choices: Array, images: Array) -> Array:
        params, rest = split(variables)

        def forward(params: Any) -> Array:
            return logits_of(params, _filled(gates, 1), images, rest, choices)[0]

        logits, pull = jax.vjp(forward, params)

        def of_image(chosen: Array) -> Array:
            (gradients,) = pull(jnp.broadcast_to(chosen[:, None], logits.shape))
            leaves = jax.tree_util.tree_leaves_with_path(gradients)
            kernels = [leaf.ravel() for path, leaf in leaves if path[-1].key == "kernel"]
            return jnp.concatenate(kernels)

        rows = lax.map(of_image, jnp.eye(len(images), dtype=logits.dtype))
        return rows @ rows.T

    plain: Any = finite_network(template, width, outputs=n_classes, normalization="none", **common)

    def flow(variables: Variables, choices: Array) -> Any:
        params, rest = split(jax.tree.map(jnp.abs, variables))
        ones = jnp.ones((1, *image_shape), jnp.float64)
        return jax.grad(lambda p: plain.apply({**rest, "params": p}, ones, choices=choices).sum())(
            params
        )

    trunk = body_of(template)
    body: Any = trunk and finite_network(trunk, width, outputs=None, **common)

    def perturbed(
        variables: Variables, choices: Array, images: Array, others: Array
    ) -> tuple[Array, Array, Any, Any]:
        def features(variables: Variables, x: Array) -> tuple[Array, Variables]:
            found, moved = body.apply(
                variables, x, train=True, choices=choices, mutable=["batch_stats"]
            )
            return found, {**variables, **moved}

        kept = "batch_stats"
        nothing = jax.tree.map(jnp.zeros_like, variables.get(kept, {}))
        one, after = features({**variables, kept: nothing}, images)
        other, after_both = features(after, others)
        return one, other, after[kept], after_both[kept]

    jitted_flow = jax.jit(flow)

    def flow_in_float64(variables: Variables, choices: Array) -> Any:
        kept = {name: variables[name] for name in ("params", "fixed") if name in variables}
        with jax.enable_x64(True):
            doubled = jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), kept)
            return jax.device_get(jitted_flow(doubled, choices))

    names = [f"end_{place}" for place in cuts]
    ends = {name: kept["ends"][name] for name in names}

    def inside(variables: Variables, choices: Array, images: Array, signs: Any) -> dict[str, Any]:
        def forward(nudges: Any) -> tuple[Any, Any]:
            given = {**variables, "gates": _filled(gates, 1), "nudges": nudges}
            given |= {"ends": _filled(ends, 0), "values": _filled(kept["values"], 0)}
            _, found = parted.apply(
                given,
                images,
                train=True,
                choices=choices,
                mutable=["batch_stats", "ends", "values"],
            )
            return found.get("ends", {}), found.get("values", {})

        made, pull, values = jax.vjp(forward, _filled(ends, 0), has_aux=True)
        (back,) = pull({name: signs[name].astype(made[name].dtype) for name in made})
        return {
            "values": values,
            "spreads": {name: _covariance(one) for name, one in made.items()},
            "passages": {name: _passage(back[read], signs[name]) for read, name in pairwise(names)},
            "identities": {
                name: jnp.array_equal(back[read], signs[name]) for read, name in pairwise(names)
            },
        }

    leaves, tree = jax.tree_util.tree_flatten(shapes.get("params", {}))

    def information(
        variables: Variables, choices: Array, images: Array, places: Array, count: Array
    ) -> tuple[Array, Array]:
        params, rest = split(variables)

        def logits(params: Any) -> Array:
            return plain.apply({**rest, "params": params}, images, choices=choices)

        def along(number: Array, slopes: Array) -> Array:
            moved = [
                jnp.zeros_like(leaf).ravel().at[0].set(place == places[number]).reshape(leaf.shape)
                for place, leaf in enumerate(jax.tree.leaves(params))
            ]
            slope = jax.jvp(logits, (params,), (tree.unflatten(moved),))[1]
            return slopes.at[number].set(slope)

        found = logits(params)
        slopes = jnp.zeros((len(places), *found.shape), found.dtype)
        return found, lax.fori_loop(0, count, along, slopes)

    small_shape = smallest_images(template, image_shape)
    slender = watched(1)

    @cache
    def shapes_of_thin() -> tuple[dict[str, Any], dict[str, Any]]:
        return _shapes(slender, (SMALL_IMAGES, *(small_shape or image_shape)))

    def thin(filled: Architecture, seed: int) -> Variables:
        return draw_variables(filled, shapes_of_thin()[0], np.random.default_rng([seed, 6]))

    def regions(variables: Variables, choices: Array, images: Array) -> Any:
        lit = shapes_of_thin()[1]
        given = {**variables, "gates": _filled(lit["gates"], 1), "codes": _filled(lit["codes"], 0)}
        _, found = slender.apply(
            given, images, train=True, choices=choices, mutable=["batch_stats", "codes"]
        )
        return found.get("codes", {})

    return Probes(
        start,
        normal,
        jax.jit(first_order),
        jax.jit(curvature),
        jax.jit(tangent),
        flow_in_float64,
        jax.jit(perturbed) if trunk else None,
        jax.jit(inside),
        {name: end.shape for name, end in ends.items()},
        tree.unflatten(range(len(leaves))),
        jax.jit(information),
        thin,
        jax.jit(regions),
        small_shape,
    )


def _shapes(network: Any, images: tuple[int, ...]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Those of a network's variables by collection, and those of what it is watched by."""
    example = jax.ShapeDtypeStruct(images, np.float32)
    shapes = dict(jax.eval_shape(lambda x: network.init(jax.random.key(0), x), example))
    watched = {name: shapes.pop(name, {}) for name in ("codes", "values", "gates", "ends")}
    shapes.pop("nudges", None)
    return shapes, watched


def _filled(shapes: Any, value: float) -> Any:
    """Arrays of these shapes full of a number."""
    return jax.tree.map(lambda leaf: jnp.full(leaf.shape, value, leaf.dtype), shapes)


def _covariance(values: Array) -> Array:
    """Of the channels of ``(n, …, channels)``, over images and pixels."""
    rows = values.reshape(-1, values.shape[-1])
    rows = rows - rows.mean(axis=0)
    return rows.T @ rows / len(rows)


def _passage(read: Array, made: Array) -> Array:
    """The mean over the pixels made of the products ``(channels read, channels made)``; of fewer
    pixels than were read each has all channels of its share of them, zeros beyond the border."""
    n, *sides, c = read.shape
    grid = (*made.shape[1:-1], *[1] * (len(sides) - made.ndim + 2))
    folds = [-(-side // count) for side, count in zip(sides, grid, strict=True)]
    if folds:
        missing = [(0, f * count - side) for f, count, side in zip(folds, grid, sides, strict=True)]
        padded = jnp.pad(read, ((0, 0), *missing, (0, 0)))
        (high, wide), (f, g) = grid, folds
        read = padded.reshape(n, high, f, wide, g, c).transpose(0, 1, 3, 2, 4, 5)
        c *= f * g
    rows, columns = read.reshape(-1, c), made.reshape(-1, made.shape[-1])
    return rows.T @ columns / len(rows)
