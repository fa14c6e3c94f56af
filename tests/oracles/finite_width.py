"""Finite networks drawn at random, straight from the architecture: the Monte-Carlo reference.

A draw gives every weight layer standard normal weights in the NTK parameterisation and runs the
network on images; nothing is known here of how covariances propagate. A ``MaxPool``
takes the maximum here, whatever its kernel does. ``Normalize`` comes in two
kinds. "limit" subtracts each channel's mean over the reference images and divides by the *kernel's*
standard deviation: the finite network whose limit the kernel is. "batchnorm" divides by the
channel's own one, as real networks do, 1e-5 added to the variance; its limit is not the kernel.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
from oracles.geometry import Grid, local_pool_matrix, node_grids, pool_matrix, window_taps
from oracles.numpy_kernel import normalize_scales
from oracles.recorded import recorded

from kernas.kernels.architecture.activations import (
    Abs,
    Activation,
    Cos,
    Elementwise,
    Elu,
    Erf,
    Exp,
    Gaussian,
    Gelu,
    Hermite,
    LeakyRelu,
    Monomial,
    Relu,
    Selu,
    Sign,
    Sin,
    Sinusoid,
)
from kernas.kernels.architecture.graph import Architecture
from kernas.kernels.architecture.layers import (
    AvgPool,
    Concat,
    ConvLayer,
    Dense,
    DepthwiseConv,
    Flatten,
    GlobalAvgPool,
    Input,
    LayerNorm,
    LocalAvgPool,
    MaxPool,
    Normalize,
    Sum,
    WeightLayer,
    WindowLayer,
    Zero,
)

Normalization = Literal["limit", "batchnorm"]
Parameters = dict[int, dict[str, jax.Array]]

TOGETHER = 25
"""Draws that are computed at once, which takes half the time of one after the other."""


@dataclass(frozen=True)
class FiniteNetwork:
    """A network of finite width on given images.

    Args:
        architecture: ends in ``Dense``.
        x: the images whose kernel is wanted, ``(n, height, width, channels)`` or ``(n, features)``.
        width: channels of a weight layer of relative width one; the output has one channel.
        reference: images whose statistics ``Normalize`` uses.
        normalize: see the module's docstring.

    Raises:
        ValueError: the network does not end in ``Dense``, or has no reference for ``Normalize``.
    """

    architecture: Architecture
    x: np.ndarray
    width: int
    reference: np.ndarray | None = None
    normalize: Normalization = "limit"

    def __post_init__(self) -> None:
        layers = [node.layer for node in self.architecture.nodes]
        if not isinstance(layers[-1], Dense):
            raise ValueError("a finite network must end in Dense")
        if self.reference is None and any(isinstance(layer, Normalize) for layer in layers):
            raise ValueError("Normalize: give reference images")

    @property
    def images(self) -> np.ndarray:
        """Reference images, then ``x``."""
        return self.x if self.reference is None else np.concatenate([self.reference, self.x])

    @cached_property
    def grids(self) -> list[Grid]:
        """The pixels and blocks of channels of every node."""
        return node_grids(self.architecture, self.x.shape[1:])

    def blocks(self, node: int) -> list[int]:
        """Channels of every block of a node: those of a ``Concat``'s parts, of every pixel."""
        if node == self.architecture.output:
            return [1]
        grid = self.grids[node]
        return [self.x.shape[-1] if grid.raw else round(self.width * w) for w in grid.channels]

    def channels(self) -> list[int]:
        """Channels of every node's output; all pixels' of a flattened one."""
        return [sum(self.blocks(node)) for node in range(len(self.architecture))]

    def draw(self, key: jax.Array) -> Parameters:
        """Standard normal weights and biases.

        Weights are ``(taps, channels in, channels out)``, and ``(taps, 1, channels)`` of a
        ``DepthwiseConv``.
        """
        channels, shapes = self.channels(), {}
        for index, node in enumerate(self.architecture.nodes):
            layer = node.layer
            if isinstance(layer, WeightLayer):
                taps = int(np.prod(layer.window)) if isinstance(layer, ConvLayer) else 1
                read = 1 if isinstance(layer, DepthwiseConv) else channels[node.inputs[0]]
                shapes[index] = (taps, read, channels[index])
        # One draw for all layers: a generator for each would take most of the compilation's time.
        sizes = [size for shape in shapes.values() for size in (int(np.prod(shape)), shape[2])]
        normal = jnp.split(jax.random.normal(key, (sum(sizes),)), np.cumsum(sizes)[:-1])
        return {
            index: {"W": W.reshape(shape), "b": b}
            for (index, shape), W, b in zip(shapes.items(), normal[::2], normal[1::2], strict=True)
        }

    def forward(self, parameters: Parameters, scales: dict[int, np.ndarray]) -> list[jax.Array]:
        """Every node's value on ``x``: ``(n, pixels, channels)``, or ``(n, channels)`` if flat."""
        grids, values = self.grids, []
        for index, node in enumerate(self.architecture.nodes):
            layer, inputs = node.layer, [values[i] for i in node.inputs]
            if isinstance(layer, Input):
                images = jnp.asarray(self.images)
                flat = grids[index].flat
                value = images if flat else images.reshape(len(images), -1, images.shape[-1])
            elif isinstance(layer, WeightLayer):
                value = _weights(layer, grids[node.inputs[0]], parameters[index], inputs[0])
            elif isinstance(layer, MaxPool):
                value = _max_pool(layer, grids[node.inputs[0]], inputs[0])
            elif isinstance(layer, AvgPool):
                value = _pixels(pool_matrix(layer, grids[node.inputs[0]]), inputs[0])
            elif isinstance(layer, GlobalAvgPool) and inputs[0].ndim == 3:
                value = inputs[0].mean(1)
            elif isinstance(layer, LocalAvgPool) and inputs[0].ndim == 3:
                pooled = _pixels(local_pool_matrix(layer, grids[node.inputs[0]]), inputs[0])
                value = pooled.reshape(len(pooled), -1)
            elif isinstance(layer, Flatten):
                value = inputs[0].reshape(len(inputs[0]), -1)
            elif isinstance(layer, Activation):
                value = _activation(layer, inputs[0])
            elif isinstance(layer, Sum):
                value = sum(inputs[1:], inputs[0])
            elif isinstance(layer, Concat):
                value = jnp.concatenate(inputs, axis=-1)
            elif isinstance(layer, Zero):
                value = jnp.zeros_like(inputs[0])
            elif isinstance(layer, LayerNorm):
                value = _layer_norm(layer, inputs[0])
            elif isinstance(layer, Normalize):
                value = self._normalize(index, layer, inputs[0], scales.get(index))
            else:
                value = inputs[0]
            values.append(value)
        first = 0 if self.reference is None else len(self.reference)
        return [value[first:] for value in values]

    def _normalize(self, index: int, layer: Normalize, value: jax.Array, scale: Any) -> jax.Array:
        assert self.reference is not None
        over = tuple(range(value.ndim - 1))
        reference = value[: len(self.reference)]
        if layer.center:
            value = value - reference.mean(over)
            reference = reference - reference.mean(over)
        if self.normalize == "batchnorm":
            return value / jnp.sqrt((reference**2).mean(over) + 1e-5)
        return value / np.repeat(scale, self.blocks(index))


def _activation(layer: Activation, x: jax.Array) -> jax.Array:
    match layer:
        case Relu():
            return jax.nn.relu(x)
        case LeakyRelu(slope):
            return jax.nn.leaky_relu(x, slope)
        case Elu(alpha):
            return jnp.where(x > 0, x, alpha * jnp.expm1(jnp.minimum(x, 0)))
        case Selu():
            return jax.nn.selu(x)
        case Abs():
            return jnp.abs(x)
        case Sign():
            return jnp.sign(x)
        case Erf():
            return jax.lax.erf(x)
        case Sin():
            return jnp.sin(x)
        case Cos():
            return jnp.cos(x)
        case Gelu():
            return x * jax.scipy.stats.norm.cdf(x)
        case Sinusoid(frequency, phase):
            return jnp.sin(frequency * x + phase)
        case Exp(rate):
            return jnp.exp(rate * x)
        case Gaussian(scale):
            return jnp.exp(-(x**2) / (2 * scale**2))
        case Monomial(degree):
            return x**degree
        case Hermite(3):
            return (x**3 - 3 * x) / 6**0.5
        case Elementwise("tanh"):
            return jnp.tanh(x)
        case Elementwise("softplus"):
            return jax.nn.softplus(x)
    raise ValueError(f"no forward pass for {layer}")


def _pixels(L: np.ndarray, value: jax.Array) -> jax.Array:
    return jnp.einsum("op,npc->noc", jnp.asarray(L), value)


def _max_pool(layer: MaxPool, grid: Grid, value: jax.Array) -> jax.Array:
    inside = [[k for k in at_p if k is not None] for at_p in window_taps(layer, grid)]
    return jnp.stack([value[:, np.array(at_p)].max(1) for at_p in inside], axis=1)


def _layer_norm(layer: LayerNorm, value: jax.Array) -> jax.Array:
    axes = (1, 2) if layer.over == "channels and pixels" and value.ndim == 3 else (-1,)
    mean, variance = value.mean(axes, keepdims=True), value.var(axes, keepdims=True)
    return (value - mean) / jnp.sqrt(variance + layer.eps)


def _weights(
    layer: WeightLayer, grid: Grid, parameters: dict[str, jax.Array], value: jax.Array
) -> jax.Array:
    W, b = parameters["W"], parameters["b"]
    scale = layer.W_std / np.sqrt(W.shape[0] * W.shape[1])
    if isinstance(layer, WindowLayer):
        taps = window_taps(layer, grid)
        select = np.zeros((W.shape[0], len(taps), grid.size))
        for p, at_p in enumerate(taps):
            for k, source in enumerate(at_p):
                if source is not None:
                    select[k, p, source] = 1
        patches = jnp.einsum("kop,npc->nokc", jnp.asarray(select), value)
        if isinstance(layer, DepthwiseConv):
            return scale * jnp.einsum("nokc,kc->noc", patches, W[:, 0]) + layer.b_std * b
        return scale * jnp.einsum("nokc,kcd->nod", patches, W) + layer.b_std * b
    return scale * value @ W[0] + layer.b_std * b


@recorded(rtol=1e-4)
def sampled_sums(
    architecture: Architecture,
    x: np.ndarray,
    reference: np.ndarray | None,
    width: int,
    draws: int,
    seed: int,
    weights: np.ndarray,
    normalize: Normalization = "limit",
) -> tuple[np.ndarray, ...]:
    """Of ``t = Σ_ij A_ij K_ij`` over independent draws the mean and its standard error.

    Args:
        architecture: see :class:`FiniteNetwork`, as ``x``, ``width``, ``reference``, ``normalize``.
        draws: how many.
        seed: of the draws.
        weights: ``A``, ``(n, n)``.

    Returns:
        Means and standard errors, each of both kernels, ``(2,)``.
    """
    network = FiniteNetwork(architecture, x, width, reference, normalize)
    t = [np.einsum("ij,dij->d", weights, K) for K in sample_kernels(network, draws, seed)]
    errors = [of_kernel.std(ddof=1) / draws**0.5 for of_kernel in t]
    return np.array([of_kernel.mean() for of_kernel in t]), np.array(errors)


def sample_ntk(network: FiniteNetwork, draws: int, seed: int) -> np.ndarray:
    """Empirical tangent kernels ``∂f(x)·∂f(x')`` of a scalar output: ``(draws, n, n)``.

    The derivative is by the weights and biases of trainable layers, through the means that
    ``Normalize`` subtracts (and, in "batchnorm", through the standard deviations).
    """
    return _map_draws(network, draws, seed, _ntk)


def sample_kernels(network: FiniteNetwork, draws: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Empirical NNGP kernels, and :func:`sample_ntk` of the same draws.

    The mean of ``f(x) f(x')`` over the last layer's weights is taken exactly, it needs no sampling:
    ``σ_w² h(x)·h(x') / channels + σ_b²`` with ``h`` the features that the last layer reads. That is
    what infinitely many output channels would average to.
    """
    both = _map_draws(network, draws, seed, lambda *args: jnp.stack([_nngp(*args), _ntk(*args)]))
    return both[:, 0], both[:, 1]


def _map_draws(
    network: FiniteNetwork, draws: int, seed: int, kernel: Callable[..., jax.Array]
) -> np.ndarray:
    scales: dict[int, np.ndarray] = {}
    if network.reference is not None and network.normalize == "limit":
        scales = normalize_scales(network.architecture, network.reference)

    @jax.jit
    def kernels(keys: jax.Array) -> jax.Array:
        def draw(key: jax.Array) -> jax.Array:
            return kernel(network, scales, network.draw(key))

        return jax.lax.map(draw, keys, batch_size=TOGETHER)

    return np.asarray(kernels(jax.random.split(jax.random.key(seed), draws)), np.float64)


def _nngp(
    network: FiniteNetwork, scales: dict[int, np.ndarray], parameters: Parameters
) -> jax.Array:
    last = network.architecture.nodes[-1]
    assert isinstance(last.layer, Dense)
    h = network.forward(parameters, scales)[last.inputs[0]]
    return last.layer.W_std**2 * h @ h.T / h.shape[1] + last.layer.b_std**2


def _ntk(
    network: FiniteNetwork, scales: dict[int, np.ndarray], parameters: Parameters
) -> jax.Array:
    nodes = network.architecture.nodes
    moving = {i: p for i, p in parameters.items() if getattr(nodes[i].layer, "trainable", False)}

    def f(moving: Parameters) -> jax.Array:
        return network.forward(parameters | moving, scales)[-1][:, 0]

    jacobian = jax.jacrev(f)(moving)
    leaves = [leaf.reshape(len(network.x), -1) for leaf in jax.tree.leaves(jacobian)]
    return sum((leaf @ leaf.T for leaf in leaves), jnp.zeros((len(network.x),) * 2))
