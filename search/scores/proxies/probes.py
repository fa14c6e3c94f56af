"""The compiled programs that proxies of a template's networks are read from.

The numbers that fill the slots are arguments, as in :mod:`kernas.search.training.programs`: one
program of each kind serves all candidates of a template. A program is compiled when it is first
called.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from kernas.kernels import Architecture, finite_network
from kernas.kernels.architecture import Dense, Flatten, GlobalAvgPool, LocalAvgPool
from kernas.kernels.architecture.gains import with_gains
from kernas.kernels.finite.convolution import convolution_for
from kernas.kernels.finite.drawing import draw_variables

KEPT = 8
"""Templates whose programs stay in memory."""

READOUT = (Dense, Flatten, GlobalAvgPool, LocalAvgPool)

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
    """

    start: Callable[[Architecture, int], Variables]
    normal: Callable[[int], Variables]
    first_order: Callable[..., dict[str, Any]]
    curvature: Callable[..., Any]
    tangent: Callable[..., Array]
    flow: Callable[..., Any]
    perturbed: Callable[..., tuple[Array, Array, Any, Any]] | None


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
    network: Any = finite_network(template, width, outputs=n_classes, watched=True, **common)
    example = jax.ShapeDtypeStruct((batch, *image_shape), np.float32)
    shapes = dict(jax.eval_shape(lambda x: network.init(jax.random.key(0), x), example))
    codes, gates = shapes.pop("codes", {}), shapes.pop("gates", {})

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
        dark = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), codes)
        logits, moved = network.apply(
            {**rest, "params": params, "gates": gated, "codes": dark},
            x,
            train=True,
            choices=choices,
            mutable=["batch_stats", "codes"],
        )
        return logits, moved.get("codes", {})

    def open_gates() -> Any:
        return jax.tree.map(lambda leaf: jnp.ones(leaf.shape, leaf.dtype), gates)

    def cross_entropy(logits: Array, labels: Array) -> Array:
        chosen = jnp.take_along_axis(jax.nn.log_softmax(logits), labels[:, None], axis=1)
        return -chosen.mean()

    def first_order(
        variables: Variables, choices: Array, images: Array, labels: Array
    ) -> dict[str, Any]:
        params, rest = split(variables)

        def forward(params: Any, gated: Any, x: Array) -> tuple[Array, Any]:
            return logits_of(params, gated, x, rest, choices)

        logits, pull, lit = jax.vjp(forward, params, open_gates(), images, has_aux=True)
        gradients, by_gate, _ = pull(jax.grad(cross_entropy)(logits, labels))
        _, _, jacobian = pull(jnp.ones_like(logits))
        return {"gradients": gradients, "gates": by_gate, "codes": lit, "jacobian": jacobian}

    def curvature(variables: Variables, choices: Array, images: Array, labels: Array) -> Any:
        params, rest = split(variables)

        def loss(params: Any) -> Array:
            logits, _ = logits_of(params, open_gates(), images, rest, choices)
            return cross_entropy(logits, labels)

        gradient = jax.grad(loss)
        return jax.jvp(gradient, (params,), (gradient(params),))[1]

    def tangent(variables: Variables, choices: Array, images: Array) -> Array:
        params, rest = split(variables)

        def forward(params: Any) -> Array:
            return logits_of(params, open_gates(), images, rest, choices)[0]

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

    return Probes(
        start,
        normal,
        jax.jit(first_order),
        jax.jit(curvature),
        jax.jit(tangent),
        flow_in_float64,
        jax.jit(perturbed) if trunk else None,
    )


def body_of(architecture: Architecture) -> Architecture | None:
    """What the pools, flattenings and dense layers at the end of a network read; ``None`` where
    they read the images."""
    place = architecture.output
    while isinstance(architecture.nodes[place].layer, READOUT):
        (place,) = architecture.nodes[place].inputs
    return Architecture(architecture.nodes[: place + 1]) if place else None
