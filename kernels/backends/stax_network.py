"""An architecture's kernel from the layers of neural-tangents' ``stax``.

Each node has a ``Kernel`` of neural-tangents for every block of its channels, made by its layer's
own ``kernel_fn`` from those of the nodes it reads. So a graph needs no unfolding into nested
``serial`` and ``parallel``. Sums add kernels, which is exact only where the terms are uncorrelated:
where they are not, the network is refused.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from kernas.errors import ArchitectureError

from .._compat import import_neural_tangents
from ..architecture.activations import Activation
from ..architecture.graph import Architecture
from ..architecture.layers import (
    AvgPool,
    ConvLayer,
    Dense,
    FullWeightLayer,
    GlobalAvgPool,
    LocalAvgPool,
    MaxPool,
    Normalize,
    WindowLayer,
)
from ..architecture.windows import padding_of
from ..program import correlated_terms
from .stax_layers import ACTIVATIONS, apply, flattened, kernel_fn, mixture

Pixels = tuple[int, ...]
Moments = tuple[Array, Array | None]
"""``K`` and ``Θ``, the second ``None`` where it was not asked for."""


@lru_cache(maxsize=256)
def check_expressible(architecture: Architecture, image_shape: tuple[int, ...]) -> None:
    """Refuse, in one error, everything that neural-tangents would compute wrongly or not at all.

    Args:
        architecture: a network that lowers, see :func:`kernas.kernels.program.lower`.
        image_shape: ``(height, width, channels)`` or ``(features,)``.

    Raises:
        ArchitectureError: the message names each such node, and the way out.
    """
    reasons: dict[int, str] = {}
    for part in architecture.split.parts:
        if isinstance(part.layer, Normalize):
            reasons[part.node] = "takes statistics over a batch"
        elif isinstance(part.layer, Activation) and type(part.layer) not in ACTIVATIONS:
            reasons[part.node] = "has no counterpart there"
        elif isinstance(part.layer, ConvLayer) and part.layer.dilations != (1, 1):
            reasons[part.node] = "is dilated"
        elif len(part.statistics) > 1:
            reasons[part.node] = "takes statistics over a concatenation"
    for index, (first, second) in correlated_terms(architecture, image_shape).items():
        reasons[index] = f"adds branches that are correlated, nodes {first} and {second}"
    if reasons:
        named = [f"{architecture.describe(i)} {why}" for i, why in sorted(reasons.items())]
        raise ArchitectureError(
            f"neural-tangents cannot express this network: {'; '.join(named)}; use backend='kernas'"
        )


def pair_kernel(
    architecture: Architecture, image_shape: tuple[int, ...], *, tangent: bool
) -> Callable[[Array, Array], Moments]:
    """The kernel between two sets of images, by neural-tangents.

    Args:
        architecture: a network that passes :func:`check_expressible`.
        image_shape: ``(height, width, channels)`` or ``(features,)``.
        tangent: whether ``Θ`` is wanted.

    Returns:
        A function of images ``(n, *image_shape)`` and ``(n', *image_shape)`` that JAX can trace; it
        returns ``K`` and ``Θ``, ``(n, n')``.

    Raises:
        MissingDependencyError: neural-tangents is not installed.
    """
    stax = import_neural_tangents().stax
    shapes = architecture.shapes(image_shape)
    diagonal = _diagonal(architecture, shapes)
    parts = architecture.split
    pixels = parts.pixels(shapes)

    def kernel(x1: Array, x2: Array) -> Moments:
        with jax.default_matmul_precision("highest"):
            image = kernel_fn(stax.Identity())(x1, x2, None, diagonal_spatial=diagonal)
            image = image.replace(ntk=jnp.zeros_like(image.nngp) if tangent else None)
            values: list[Any] = []

            def mixed(read: tuple[int, ...], *, flat: bool) -> Any:
                weights = [parts.parts[i].block.width * math.prod(pixels[i]) for i in read]
                kernels = [flattened(stax, values[i]) if flat else values[i] for i in read]
                return mixture(kernels, weights)

            for part in parts.parts:
                inputs = [values[i] for i in part.inputs] or [image]
                if isinstance(part.layer, FullWeightLayer):
                    inputs = [mixed(part.inputs, flat=isinstance(part.layer, Dense))]
                of_image = shapes[parts.parts[part.inputs[0]].node] if part.inputs else ()
                values.append(apply(stax, part, inputs, of_image))
            output = mixed(parts.of[architecture.output], flat=True)
        return output.nngp, output.ntk

    return kernel


def _diagonal(architecture: Architecture, shapes: tuple[Pixels, ...]) -> bool:
    """Whether pixels with themselves are enough: nothing averages over different pixels."""
    pools = AvgPool | LocalAvgPool | GlobalAvgPool | MaxPool
    return not any(
        isinstance(node.layer, pools) and shapes[node.inputs[0]] for node in architecture.nodes
    )


WORKSPACE = 4
"""Kernels of the largest node that XLA holds beside those that are still to be read."""


def pair_bytes(architecture: Architecture, image_shape: tuple[int, ...], *, tangent: bool) -> int:
    """Bytes that a pair of images takes at most, with the covariances of each by itself.

    An estimate: neural-tangents leaves the order of work to XLA. It counts the kernels alive while
    nodes are computed in order, and :data:`WORKSPACE` more of the largest.
    """
    shapes = architecture.shapes(image_shape)
    power = 1 if _diagonal(architecture, shapes) else 2
    parts = architecture.split
    pixels = parts.pixels(shapes)
    sizes: list[int] = []
    for part, own in zip(parts.parts, pixels, strict=True):
        size = math.prod(own) ** power
        padding = padding_of(part.layer) if isinstance(part.layer, WindowLayer) else ""
        if isinstance(padding, tuple):
            edges = (sum(pair) for pair in padding)
            before = pixels[part.inputs[0]]
            padded = math.prod(n + e for n, e in zip(before, edges, strict=True))
            size = max(size, padded**power)
        sizes.append(size)
    last = {read: i for i, part in enumerate(parts.parts) for read in part.inputs}
    ends = [0] * len(sizes)  # for each part, the sizes of what no later one reads
    for i, size in enumerate(sizes):
        ends[last.get(i, len(sizes) - 1)] += size
    alive, most = 0, 0
    for size, freed in zip(sizes, ends, strict=True):
        alive += size
        most = max(most, alive)
        alive -= freed
    item = jnp.dtype(jnp.result_type(float)).itemsize
    return item * (4 if tangent else 3) * (most + WORKSPACE * max(sizes))
