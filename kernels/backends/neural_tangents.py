"""neural-tangents as second backend: an architecture's kernel from the layers of its ``stax``.

Each node has a ``Kernel`` of neural-tangents, made by its layer's own ``kernel_fn`` from those of
the nodes it reads. So a graph needs no unfolding into nested ``serial`` and ``parallel``. Sums add
kernels, which is exact only where the terms are uncorrelated: where they are not, the network is
refused.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from kernas.errors import ArchitectureError, ConfigurationError

from .._compat import import_neural_tangents
from ..architecture.activations import (
    Abs,
    Activation,
    Cos,
    Erf,
    Exp,
    Gaussian,
    Gelu,
    LeakyRelu,
    Monomial,
    Relu,
    Sin,
    Sinusoid,
)
from ..architecture.graph import Architecture
from ..architecture.layers import (
    AvgPool,
    Conv,
    Dense,
    Flatten,
    GlobalAvgPool,
    Identity,
    Input,
    Node,
    Normalize,
    Sum,
    WeightLayer,
    Zero,
)
from ..architecture.pools import pooling_matrix
from ..architecture.windows import window_of
from ..engine.tiles import TilesOfRow, fill_tiles
from ..program import correlated_terms

Pixels = tuple[int, ...]
Moments = tuple[Array, Array | None]
"""``K`` and ``Θ``, the second ``None`` where it was not asked for."""

ACTIVATIONS: dict[type[Activation], Callable[[Any, Any], Any]] = {
    Relu: lambda stax, _: stax.Relu(),
    LeakyRelu: lambda stax, layer: stax.LeakyRelu(layer.slope),
    Abs: lambda stax, _: stax.Abs(),
    Erf: lambda stax, _: stax.Erf(),
    Gelu: lambda stax, _: stax.Gelu(approximate=False),
    Sin: lambda stax, _: stax.Sin(),
    Cos: lambda stax, _: stax.Cos(),
    Sinusoid: lambda stax, layer: stax.Sin(b=layer.frequency, c=layer.phase),
    Exp: lambda stax, layer: stax.Exp(b=layer.rate),
    Gaussian: lambda stax, layer: stax.Gaussian(b=-0.5 / layer.scale**2),
    Monomial: lambda stax, layer: stax.Monomial(layer.degree),
}
"""The layer of ``stax`` for each activation, from the module and from our layer.

Left out: ``Sign``, whose kernel there is off by 6e-5 in float64, and ``Hermite``, which there is
right for inputs of unit variance only.
"""

OTHERS = (Input, WeightLayer, AvgPool, GlobalAvgPool, Flatten, Identity, Zero, Sum)

CHANNELS = 1
"""Width of the finite network that neural-tangents reads shapes from; kernels have none."""


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
    for index, node in enumerate(architecture.nodes):
        if isinstance(node.layer, Normalize):
            reasons[index] = "takes statistics over a batch"
        elif not isinstance(node.layer, (*OTHERS, *ACTIVATIONS)):
            reasons[index] = "has no counterpart there"
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

    def kernel(x1: Array, x2: Array) -> Moments:
        with jax.default_matmul_precision("highest"):
            image = _kernel_fn(stax.Identity())(x1, x2, None, diagonal_spatial=diagonal)
            image = image.replace(ntk=jnp.zeros_like(image.nngp) if tangent else None)
            values: list[Any] = []
            for node in architecture.nodes:
                inputs = [values[i] for i in node.inputs] or [image]
                pixels = shapes[node.inputs[0]] if node.inputs else ()
                values.append(_apply(stax, node, inputs, pixels))
            output = _flattened(stax, values[-1])
        return output.nngp, output.ntk

    return kernel


def _diagonal(architecture: Architecture, shapes: tuple[Pixels, ...]) -> bool:
    """Whether pixels with themselves are enough: nothing averages over different pixels."""
    return not any(
        isinstance(node.layer, AvgPool | GlobalAvgPool) and shapes[node.inputs[0]]
        for node in architecture.nodes
    )


def _kernel_fn(layer: Any) -> Callable[..., Any]:
    _, _, kernel_fn = layer
    return kernel_fn


def _apply(stax: Any, node: Node, inputs: list[Any], pixels: Pixels) -> Any:
    """The ``Kernel`` of a node. ``Flatten`` waits for the layer that reads its vector."""
    layer, k = node.layer, inputs[0]
    match layer:
        case Zero():
            return (0.0 * k).replace(is_gaussian=True)
        case Sum():
            return _sum(stax, inputs)
        case Dense():
            return _weights(layer, _flattened(stax, k), lambda **std: stax.Dense(CHANNELS, **std))
        case Conv():
            k, padding = _padded(layer, k)
            conv = (CHANNELS, layer.window, layer.stride, padding)
            return _weights(layer, k, lambda **std: stax.Conv(*conv, **std))
        case AvgPool():
            return _pool(stax, layer, k, pixels)
        case GlobalAvgPool() if pixels:
            return _kernel_fn(stax.GlobalAvgPool())(k)
        case Activation():
            return _kernel_fn(ACTIVATIONS[type(layer)](stax, layer))(k)
    assert isinstance(layer, Input | Identity | Flatten | GlobalAvgPool)
    return k


def _flattened(stax: Any, k: Any) -> Any:
    return k if k.nngp.ndim == 2 else _kernel_fn(stax.Flatten())(k)


def _sum(stax: Any, inputs: list[Any]) -> Any:
    """Add kernels; that the terms are uncorrelated, which this warns of, is known.

    ``FanInSum`` refuses terms that are not Gaussian, since they could have a mean. Two that have
    one are correlated, and refused before; one among terms without a mean adds like any other.
    """
    if len(inputs) == 1:
        return inputs[0]
    gaussian = all(k.is_gaussian for k in inputs)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="`FanIn` layers assume independent inputs")
        total = _kernel_fn(stax.FanInSum())([k.replace(is_gaussian=True) for k in inputs])
    return total.replace(is_gaussian=gaussian)


def _weights(layer: WeightLayer, k: Any, make: Callable[..., Any]) -> Any:
    """A weight layer; neural-tangents trains all, so an untrained one is two without ``ntk``.

    ``Θ`` goes through an untrained layer as ``K`` goes through one without bias.
    """
    kernel_fn = _kernel_fn(make(W_std=layer.W_std, b_std=layer.b_std or None))
    if layer.trainable or k.ntk is None:
        return kernel_fn(k)
    unbiased = _kernel_fn(make(W_std=layer.W_std, b_std=None))
    tangent = unbiased(k.replace(nngp=k.ntk, ntk=None)).nngp
    return kernel_fn(k.replace(ntk=None)).replace(ntk=tangent)


def _pool(stax: Any, layer: AvgPool, k: Any, pixels: Pixels) -> Any:
    """An average pool that divides by its window, then a factor where fewer pixels are valid.

    neural-tangents knows valid pixels only for ``"SAME"``, and counts them for all pairs of images
    in an array as large as the kernel, which XLA takes minutes to fold into a constant.
    """
    k, padding = _padded(layer, k)
    pool = stax.AvgPool(layer.window, layer.stride, padding, normalize_edges=False)
    k = _kernel_fn(pool)(k)
    window = window_of(layer)
    rows, columns = (
        window[axis] * pooling_matrix(layer, axis, pixels[axis]).max(axis=1) for axis in (0, 1)
    )
    if np.all(rows == 1) and np.all(columns == 1):
        return k
    k = k.reverse() if k.is_reversed else k
    factor = jnp.asarray(np.einsum("a,b,c,d->abcd", rows, rows, columns, columns), k.nngp.dtype)
    return _map(k, lambda x, _: x * factor)


def _padded(layer: Conv | AvgPool, k: Any) -> tuple[Any, str]:
    """The kernel with explicit padding around it, and the padding that is left to do."""
    if not isinstance(layer.padding, tuple):
        return k, layer.padding
    (top, bottom), (left, right) = layer.padding
    k = k.reverse() if k.is_reversed else k
    repeats = 1 if k.diagonal_spatial else 2
    edges = [(top, bottom)] * repeats + [(left, right)] * repeats
    k = _map(k, lambda x, batch_ndim: jnp.pad(x, [(0, 0)] * batch_ndim + edges))

    def grown(shape: tuple[int, ...]) -> tuple[int, ...]:
        n, height, width, channels = shape
        return n, height + top + bottom, width + left + right, channels

    return k.replace(shape1=grown(k.shape1), shape2=grown(k.shape2)), "VALID"


def _map(k: Any, function: Callable[[Array, int], Array]) -> Any:
    """A function of each covariance of a ``Kernel`` and of how many batch axes lead it."""

    def each(x: Array | None, batch_ndim: int) -> Array | None:
        return None if x is None else function(x, batch_ndim)

    own = 1 if k.diagonal_batch else 2
    return k.replace(
        nngp=each(k.nngp, 2), ntk=each(k.ntk, 2), cov1=each(k.cov1, own), cov2=each(k.cov2, own)
    )


WORKSPACE = 4
"""Kernels of the largest node that XLA holds beside those that are still to be read."""


def pair_bytes(architecture: Architecture, image_shape: tuple[int, ...], *, tangent: bool) -> int:
    """Bytes that a pair of images takes at most, with the covariances of each by itself.

    An estimate: neural-tangents leaves the order of work to XLA. It counts the kernels alive while
    nodes are computed in order, and :data:`WORKSPACE` more of the largest.
    """
    shapes = architecture.shapes(image_shape)
    once = _diagonal(architecture, shapes)
    sizes: list[int] = []
    for node, shape in zip(architecture.nodes, shapes, strict=True):
        waits = isinstance(node.layer, Flatten | Identity | Sum | Zero | Activation) and not shape
        size = sizes[node.inputs[0]] if waits else math.prod(shape) ** (1 if once else 2)
        if isinstance(node.layer, Conv | AvgPool) and isinstance(node.layer.padding, tuple):
            before = shapes[node.inputs[0]]
            edges = (sum(pair) for pair in node.layer.padding)
            padded = math.prod(n + e for n, e in zip(before, edges, strict=True))
            size = max(size, padded ** (1 if once else 2))
        sizes.append(size)
    last = {source: i for i, node in enumerate(architecture.nodes) for source in node.inputs}
    most = max(
        sum(size for j, size in enumerate(sizes[: i + 1]) if last.get(j, i) >= i)
        for i in range(len(sizes))
    )
    item = jnp.dtype(jnp.result_type(float)).itemsize
    return item * (4 if tangent else 3) * (most + WORKSPACE * max(sizes))


def tile_side(
    architecture: Architecture, image_shape: tuple[int, ...], tile_bytes: int, *, tangent: bool
) -> int:
    """The most images on each side of a tile whose pairs fit into a number of bytes.

    Raises:
        ConfigurationError: not even one pair fits.
    """
    per_pair = pair_bytes(architecture, image_shape, tangent=tangent)
    if tile_bytes < per_pair:
        raise ConfigurationError(
            f"tile_bytes={tile_bytes}: one pair of images of {image_shape} needs {per_pair} bytes "
            "in neural-tangents; give at least that, or use smaller images"
        )
    return math.isqrt(tile_bytes // per_pair)


@lru_cache(maxsize=64)
def _compiled(
    architecture: Architecture, image_shape: tuple[int, ...], tangent: bool
) -> Callable[[Array, Array], Moments]:
    return jax.jit(pair_kernel(architecture, image_shape, tangent=tangent))


def gram(
    architecture: Architecture,
    x1: np.ndarray,
    x2: np.ndarray | None,
    *,
    side: int,
    tangent: bool,
) -> tuple[np.ndarray, np.ndarray | None]:
    """``K`` and ``Θ`` of all pairs by neural-tangents, in tiles.

    Args:
        architecture: a network that passes :func:`check_expressible`.
        x1: images ``(n, height, width, channels)`` or vectors ``(n, features)``.
        x2: likewise, ``(n', …)``; ``None`` for ``x1`` itself, of which one triangle is computed.
        side: images on each side of a tile; the last tile is filled up with repetitions.
        tangent: whether ``Θ`` is wanted.

    Returns:
        Arrays ``(n, n')``; the second is ``None`` unless ``tangent``.
    """
    columns = x1 if x2 is None else x2
    dtype = jnp.result_type(float)
    kernel = _compiled(architecture, x1.shape[1:], tangent)
    K = np.zeros((len(x1), len(columns)), dtype)
    T = np.zeros_like(K) if tangent else None

    def tiles_of(row: np.ndarray) -> TilesOfRow:
        left = jnp.asarray(x1[row], dtype)
        return lambda col: kernel(left, jnp.asarray(columns[col], dtype))

    fill_tiles(K, T, tiles_of, side=side, symmetric=x2 is None)
    return K, T
