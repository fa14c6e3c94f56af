"""An architecture's layers in the ``stax`` of neural-tangents: kernels of it in, a kernel out."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from functools import reduce
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import Array, lax

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
from ..architecture.channels import Part
from ..architecture.layers import (
    AvgPool,
    Conv,
    Dense,
    DepthwiseConv,
    Flatten,
    GlobalAvgPool,
    Identity,
    Input,
    LayerNorm,
    LocalAvgPool,
    MaxPool,
    Sum,
    WeightLayer,
    WindowLayer,
    Zero,
)
from ..architecture.pools import pooling_divisor
from ..architecture.weights import RATES
from ..architecture.windows import padding_of, stride_of, window_of

Pixels = tuple[int, ...]

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

Left out: ``Sign``, whose kernel there is off by 6e-5 in float64, ``Hermite``, which there is right
for inputs of unit variance only, and ``Elu`` and ``Selu``, which it does not have.
"""

CHANNELS = 1
"""Width of the finite network that neural-tangents reads shapes from; kernels have none."""


def kernel_fn(layer: Any) -> Callable[..., Any]:
    """Its third function."""
    return layer[2]


def apply(stax: Any, part: Part, inputs: list[Any], pixels: Pixels) -> Any:
    """The ``Kernel`` of a part that reads ``pixels``. ``Flatten`` waits for what mixes channels."""
    layer, k = part.layer, inputs[0]
    match layer:
        case Zero():
            return (0.0 * k).replace(is_gaussian=True)
        case Sum():
            return _sum(stax, inputs)
        case Dense():
            return _weights(layer, k, lambda **std: stax.Dense(CHANNELS, **std))
        case Conv() | DepthwiseConv():  # one rule for both: the mean over channels is the same
            k, padding = _padded(layer, k)
            conv = (CHANNELS, window_of(layer), stride_of(layer), padding)
            return _weights(layer, k, lambda **std: stax.Conv(*conv, **std))
        case AvgPool():
            return _pool(stax, layer, k, pixels)
        case MaxPool():
            return _pool(stax, layer.average, k, pixels)
        case LocalAvgPool() if pixels:
            return _pool(stax, layer.pool, k, pixels)
        case GlobalAvgPool() if pixels:
            return kernel_fn(stax.GlobalAvgPool())(k)
        case LayerNorm():
            return _layer_norm(stax, layer, k, pixels)
        case Activation():
            return kernel_fn(ACTIVATIONS[type(layer)](stax, layer))(k)
    assert isinstance(layer, Input | Identity | Flatten | GlobalAvgPool | LocalAvgPool)
    return k


def _layer_norm(stax: Any, layer: LayerNorm, k: Any, pixels: Pixels) -> Any:
    """``stax.LayerNorm`` refuses what is not Gaussian; that the mean is zero is known."""
    over_pixels = layer.over == "channels and pixels" or not pixels
    axes = tuple(range(1, len(k.shape1))) if over_pixels else -1
    normalized = kernel_fn(stax.LayerNorm(axes, layer.eps))(k.replace(is_gaussian=True))
    return normalized.replace(is_gaussian=k.is_gaussian)


def flattened(stax: Any, k: Any) -> Any:
    """A kernel with all pixels side by side."""
    return k if k.nngp.ndim == 2 else kernel_fn(stax.Flatten())(k)


def mixture(kernels: list[Any], weights: list[float]) -> Any:
    """The mean of kernels over the channels of a concatenation."""
    if len(kernels) == 1:
        return kernels[0]
    kernels = [k.reverse() if k.is_reversed else k for k in kernels]
    whole = sum(weights)

    def mean(name: str) -> Array | None:
        parts = [getattr(k, name) for k in kernels]
        if parts[0] is None:
            return None
        return reduce(jnp.add, [w / whole * p for w, p in zip(weights, parts, strict=True)])

    return kernels[0].replace(**{name: mean(name) for name in ("nngp", "ntk", "cov1", "cov2")})


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
        total = kernel_fn(stax.FanInSum())([k.replace(is_gaussian=True) for k in inputs])
    return total.replace(is_gaussian=gaussian)


def _weights(layer: WeightLayer, k: Any, make: Callable[..., Any]) -> Any:
    """A weight layer; neural-tangents trains all alike, so an untrained one is two without ``ntk``,
    and one with learning rates of its own three.

    ``Θ`` goes through an untrained layer as ``K`` goes through one without bias.
    """
    biased = kernel_fn(make(W_std=layer.W_std, b_std=layer.b_std or None))
    if k.ntk is None or (layer.trainable and layer.rates == RATES):
        return biased(k)
    unbiased = kernel_fn(make(W_std=layer.W_std, b_std=None))
    tangent = unbiased(k.replace(nngp=k.ntk, ntk=None)).nngp
    if layer.trainable:
        weights, biases = (rate**0.5 for rate in layer.rates)
        own = kernel_fn(make(W_std=weights * layer.W_std, b_std=biases * layer.b_std or None))
        tangent = tangent + own(k.replace(ntk=None)).nngp
    return biased(k.replace(ntk=None)).replace(ntk=tangent)


def _pool(stax: Any, layer: AvgPool, k: Any, pixels: Pixels) -> Any:
    """An average pool that divides by its window, then a factor where fewer pixels are valid.

    neural-tangents knows valid pixels only for ``"SAME"``, and counts them for all pairs of images
    in an array as large as the kernel, which XLA takes minutes to fold into a constant.
    """
    k, padding = _padded(layer, k)
    pool = stax.AvgPool(window_of(layer), stride_of(layer), padding, normalize_edges=False)
    k = kernel_fn(pool)(k)
    window = window_of(layer)
    rows, columns = (window[axis] / pooling_divisor(layer, axis, pixels[axis]) for axis in (0, 1))
    if np.all(rows == 1) and np.all(columns == 1):
        return k
    k = k.reverse() if k.is_reversed else k
    factor = jnp.asarray(np.einsum("a,b,c,d->abcd", rows, rows, columns, columns), k.nngp.dtype)
    return _map(k, lambda x, _: x * factor)


def _padded(layer: WindowLayer, k: Any) -> tuple[Any, str]:
    """The kernel with explicit padding around it, and the padding that is left to do."""
    padding = padding_of(layer)
    if not isinstance(padding, tuple):
        return k, padding
    (top, bottom), (left, right) = padding
    k = k.reverse() if k.is_reversed else k
    repeats = 1 if k.diagonal_spatial else 2
    edges = [(top, bottom)] * repeats + [(left, right)] * repeats

    def pad(x: Array, batch_ndim: int) -> Array:
        config = [(0, 0, 0)] * batch_ndim + [(low, high, 0) for low, high in edges]
        return lax.pad(x, jnp.zeros((), x.dtype), config)

    k = _map(k, pad)

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
