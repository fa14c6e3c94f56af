"""The flax module of an architecture: its weights, and its forward pass node by node.

It is a linen module, not nnx: linen's are pure functions of variables and images, which is what
``jax.jvp`` and ``jax.vjp`` differentiate.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, cast

import flax.linen as nn
import jax.numpy as jnp
from jax import Array, lax
from jax.nn.initializers import normal

from kernas.errors import ArchitectureError, ConfigurationError, DataError

from ..architecture import (
    Activation,
    Architecture,
    AvgPool,
    Concat,
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
    Normalize,
    Sum,
    WeightLayer,
    Zero,
)
from ..architecture.pools import pooling_matrix
from ..architecture.slots import Slot, check_choices
from ..architecture.widths import Blocks, channel_blocks, weight_deviations, weight_shapes
from ..architecture.windows import (
    WindowLayer,
    axis_padding,
    padding_of,
    stride_of,
    window_of,
)
from ..covariance.activations.functions import function_of
from ..interface import shape_advice
from .convolution import CONVOLUTIONS, ConvolutionName
from .network import BATCHNORM_EPSILON, BATCHNORM_MOMENTUM


class FiniteNetwork(nn.Module):
    """A network of finite width; :func:`finite_network` makes it and says what its fields are.

    Pixels lie as ``(n, height, width, channels)``, vectors as ``(n, features)``; signals
    ``(n, length, channels)`` are images of one row, for which the windows' weights are too.
    """

    architecture: Architecture
    width: int
    outputs: int | None = 1
    parameterization: str = "ntk"
    normalization: str = "batchnorm"
    scales: tuple[tuple[int, tuple[float, ...]], ...] = ()
    convolution: ConvolutionName = "lax"
    watched: bool = False
    cuts: tuple[int, ...] = ()

    def __call__(
        self, x: Any, *, reference: Any = None, train: bool = False, choices: Any = ()
    ) -> Array:
        """The network's output on images.

        Args:
            x: ``(n, height, width, channels)``, ``(n, length, channels)`` or ``(n, features)``.
            reference: images ``(m, …)`` whose statistics ``Normalize`` uses. They go through the
                network beside ``x``, so derivatives go through the statistics. Needed by
                ``"limit"`` where it centres; with ``"batchnorm"`` they are the training batch in
                place of ``x``.
            train: ``"batchnorm"`` uses the statistics of the batch and moves its running averages,
                so ``apply`` needs ``mutable=["batch_stats"]``; otherwise it reads the averages.
            choices: what fills the slots of a template: the number of a branch for each
                :attr:`Slot.choice`, as integers or an array of them. An array may be an argument of
                a compiled function, which then serves all choices; the branches that are not chosen
                are not computed, unless it is mapped over. An array ``(choices, branches)`` mixes
                all branches, ``y = Σ_b w_b branch_b(x)`` with ``w`` its row. ``init`` needs none.

        Returns:
            ``(n, channels)``, or with the axes of ``x`` of a network that keeps pixels.

        Raises:
            DataError: the arrays have the wrong number of axes, or their shapes differ.
            ArchitectureError: the network does not fit the images.
            ConfigurationError: reference images are missing, or would not be read.
        """
        images, first = self._images(x, reference, train)
        if not self.is_initializing():  # which makes the variables of all branches
            choices = check_choices(self.architecture, choices)
        made = self.through(images, first, train, choices)[first:]
        return made[:, 0] if jnp.ndim(x) == 3 and made.ndim == 4 else made

    @nn.compact
    def through(self, images: Array, first: int, train: bool, choices: Any) -> Array:
        """The output on all images, the first ``first`` of which are those of reference."""
        nodes = self.architecture.nodes
        pixels = self.architecture.shapes(images.shape[1:])
        blocks = channel_blocks(nodes, pixels, images.shape[-1], self.width, self.outputs)
        values: list[Array] = []
        for index, node in enumerate(nodes):
            if isinstance(node.layer, Input):
                values.append(images)
                continue
            inputs = [values[i] for i in node.inputs]
            if isinstance(node.layer, WeightLayer):
                channels = int(sum(blocks[index]))
                value = self._weights(index, node.layer, inputs[0], channels)
            elif isinstance(node.layer, Normalize):
                value = self._normalize(index, node.layer, inputs[0], blocks[index], first, train)
            elif isinstance(node.layer, Slot):
                slot = _Slot(self._branches(node.layer), name=f"Slot_{index}")
                chosen = None if self.is_initializing() else choices[node.layer.choice]
                value = slot(inputs[0], first, train, chosen)
            else:
                value = _weight_free(node.layer, inputs)
            if self.watched:
                value = self._watch(index, node.layer, value)
            values.append(self._cut(index, value) if index in self.cuts else value)
        return values[-1]

    def _watch(self, index: int, layer: Any, value: Array) -> Array:
        """The output of a layer, kept or gated as :func:`finite_network` says of ``watched``."""
        if not isinstance(layer, Activation | WeightLayer):
            return value
        name, channels = f"{type(layer).__name__}_{index}", value.shape[-1]
        if isinstance(layer, Activation):
            self._keep("codes", name, value > function_of(layer)(jnp.zeros((), value.dtype)))
        else:
            shape = (len(value), *[1] * (value.ndim - 2), channels)
            value = value * self.variable("gates", name, jnp.ones, shape, value.dtype).value
        pixels = math.prod(value.shape[1:-1])
        self._keep("values", name, value[: max(1, math.ceil(channels / pixels))])
        return value

    def _cut(self, index: int, value: Array) -> Array:
        """The output of a node of ``cuts``, through which no derivative goes."""
        name = f"end_{index}"
        self._keep("ends", name, value)
        nudge = self.variable("nudges", name, jnp.zeros, value.shape, value.dtype).value
        return lax.stop_gradient(value) + nudge

    def _keep(self, collection: str, name: str, value: Array) -> None:
        """Leave a value in a collection, where the caller named that as mutable."""
        if self.is_mutable_collection(collection):
            self.variable(collection, name, jnp.zeros, value.shape, value.dtype).value = value

    def _images(self, x: Any, reference: Any, train: bool) -> tuple[Array, int]:
        """Reference images, then ``x``; and how many are the former."""
        dtype = jnp.result_type(float)
        images = jnp.asarray(x, dtype)
        if images.ndim not in (2, 3, 4):
            raise DataError(f"x has shape {images.shape}: {shape_advice(images.shape)}")
        if images.ndim == 3:
            self.architecture.shapes(images.shape[1:])  # which refuses what is no signal's
            images = images[:, None]
            reference = None if reference is None else jnp.asarray(reference, dtype)[:, None]
        layers = [node.layer for node in self.architecture.nodes]
        normalizations = [layer for layer in layers if isinstance(layer, Normalize)]
        if reference is None:
            if self.normalization == "limit" and any(layer.center for layer in normalizations):
                raise ConfigurationError(
                    "normalization='limit' subtracts means over reference images, and none are "
                    "given; pass reference=images"
                )
            return images, 0
        if not normalizations:
            return images, 0
        if self.normalization == "batchnorm" and not train:
            raise ConfigurationError(
                "reference images are given, but normalization='batchnorm' reads running averages "
                "unless train=True; pass train=True, or leave them out"
            )
        reference = jnp.asarray(reference, dtype)
        if reference.shape[1:] != images.shape[1:] or len(reference) == 0:
            raise DataError(
                f"reference has shape {reference.shape} and x {images.shape}: expected images of "
                "equal shapes, at least one"
            )
        return jnp.concatenate([reference, images]), len(reference)

    def _branches(self, slot: Slot) -> tuple[FiniteNetwork, ...]:
        """Networks of what may stand in a slot, with the settings of this one."""
        return tuple(
            self.clone(
                architecture=branch, outputs=None, scales=(), cuts=(), parent=None, name=None
            )
            for branch in slot.branches
        )

    def _weights(self, index: int, layer: WeightLayer, x: Array, channels: int) -> Array:
        """A flax layer with the parameters as this parameterisation keeps and scales them."""
        standard = self.parameterization == "standard"
        shapes = weight_shapes(layer, x.shape[-1], channels)
        deviations = weight_deviations(layer, shapes["kernel"])
        # The function stays, and gradients grow by the root of the layer's learning rate.
        of_weights, of_biases = map(math.sqrt, layer.rates)
        roots = {"kernel": of_weights, "bias": of_biases}
        common: dict[str, Any] = {
            "features": channels,
            "use_bias": "bias" in shapes,
            "kernel_init": normal(deviations["kernel"] if standard else 1 / roots["kernel"]),
            "bias_init": normal(deviations["bias"] if standard else 1 / roots["bias"]),
            "param_dtype": x.dtype,
            "parent": None,
        }
        if isinstance(layer, Dense):
            unit = nn.Dense(**common)
        else:
            assert isinstance(layer, Conv | DepthwiseConv)
            x, padding = _padded(layer, x)
            unit = nn.Conv(
                kernel_size=window_of(layer),
                strides=stride_of(layer),
                padding=padding,
                kernel_dilation=layer.dilations,
                feature_group_count=channels if isinstance(layer, DepthwiseConv) else 1,
                conv_general_dilated=CONVOLUTIONS[self.convolution],
                **common,
            )

        def draw(key: Array) -> dict[str, Any]:
            return dict(unit.init(key, x[:1])["params"])

        name = f"{type(layer).__name__}_{index}"
        if layer.trainable:
            drawn = self.param(name, draw)
        else:
            drawn = self.variable("fixed", name, lambda: draw(self.make_rng("params"))).value
        if not standard:
            drawn = {p: roots[p] * deviations[p] * value for p, value in drawn.items()}
        return cast(Array, unit.apply({"params": drawn}, x))

    def _normalize(
        self, index: int, layer: Normalize, x: Array, blocks: Blocks, first: int, train: bool
    ) -> Array:
        if self.normalization == "none":
            return x
        if self.normalization == "limit":
            if layer.center:
                x = x - x[:first].mean(axis=tuple(range(x.ndim - 1)))
            return x * self._factors(index, blocks).astype(x.dtype)
        batch = None
        if first:
            batch = (jnp.arange(len(x)) < first).reshape(-1, *[1] * (x.ndim - 1))
        name = f"Normalize_{index}"
        if not layer.center:
            return _RootMeanSquare(name=name)(x, batch, train)
        norm = nn.BatchNorm(
            use_running_average=not train,
            momentum=BATCHNORM_MOMENTUM,
            epsilon=BATCHNORM_EPSILON,
            param_dtype=x.dtype,
            use_bias=False,
            use_scale=False,
            use_fast_variance=False,
            force_float32_reductions=False,
            name=name,
        )
        return norm(x, mask=batch)

    def _factors(self, index: int, blocks: Blocks) -> Array:
        """One over the scale of every channel; 0 where there is nothing to divide."""
        scales = dict(self.scales).get(index, (math.inf,) * len(blocks))
        if len(scales) != len(blocks):
            raise ConfigurationError(
                f"{self.architecture.describe(index)} has {len(scales)} scales: expected "
                f"{len(blocks)}, one for each block of its channels"
            )
        factors = jnp.array([1 / scale for scale in scales])
        return jnp.repeat(factors, jnp.array(blocks), total_repeat_length=int(sum(blocks)))


class _Slot(nn.Module):
    """One of several networks, by a number that may be known only when the program runs, or all of
    them in a mixture.

    Its variables are those of all branches.
    """

    branches: tuple[FiniteNetwork, ...]

    @nn.compact
    def __call__(self, x: Array, first: int, train: bool, chosen: Any) -> Array:
        def through(number: int) -> Callable[[_Slot, Array], Array]:
            return lambda slot, x: slot.branches[number].through(x, first, train, ())

        branches = [through(number) for number in range(len(self.branches))]
        if self.is_initializing():
            made = [branch(self, x) for branch in branches]
            for number, image in enumerate(made):
                if image.shape != x.shape:
                    raise ArchitectureError(
                        f"branch {number} of a slot makes {image.shape[1:]} of {x.shape[1:]}: "
                        "expected one that keeps pixels and channels; give its layers the width "
                        "and the padding of what they read"
                    )
            return made[0]
        if jnp.ndim(chosen) == 1:
            mixed = [chosen[number] * branch(self, x) for number, branch in enumerate(branches)]
            return cast(Array, sum(mixed))
        return nn.switch(chosen, branches, self, x)


class _RootMeanSquare(nn.Module):
    """Batch normalisation that does not centre: each channel over its root mean square.

    The same running averages as :class:`flax.linen.BatchNorm` keeps.
    """

    @nn.compact
    def __call__(self, x: Array, batch: Array | None, train: bool) -> Array:
        average = self.variable("batch_stats", "mean_square", jnp.ones, x.shape[-1:], x.dtype)
        if train:
            square = (x**2).mean(axis=tuple(range(x.ndim - 1)), where=batch)
            if not self.is_initializing():
                kept = BATCHNORM_MOMENTUM * average.value
                average.value = kept + (1 - BATCHNORM_MOMENTUM) * square
        else:
            square = average.value
        return x * lax.rsqrt(square + BATCHNORM_EPSILON)


def _weight_free(layer: Any, inputs: list[Array]) -> Array:
    """Layers without weights or statistics."""
    x = inputs[0]
    match layer:
        case Activation():
            return function_of(layer)(x)
        case AvgPool():
            x, padding = _padded(layer, x)
            valid = layer.divisor == "valid"
            return nn.avg_pool(
                x, window_of(layer), stride_of(layer), padding, count_include_pad=not valid
            )
        case MaxPool():
            x, padding = _padded(layer, x)
            return nn.max_pool(x, window_of(layer), stride_of(layer), padding)
        case LocalAvgPool():
            return _local_average(layer, x).reshape(len(x), -1)
        case GlobalAvgPool():
            return x.mean(axis=tuple(range(1, x.ndim - 1)))
        case Flatten():
            return x.reshape(len(x), -1)
        case LayerNorm():
            axes = (-1,) if layer.over == "channels" else tuple(range(1, x.ndim))
            norm = nn.LayerNorm(
                epsilon=layer.eps,
                reduction_axes=axes,
                use_bias=False,
                use_scale=False,
                use_fast_variance=False,
                parent=None,
            )
            return cast(Array, norm.apply({}, x))
        case Sum():
            return sum(inputs[1:], x)
        case Concat():
            return jnp.concatenate(inputs, axis=-1)
        case Identity():
            return x
        case Zero():
            return jnp.zeros_like(x)
    raise TypeError(f"no finite network is known for {layer}")


def _padded(layer: WindowLayer, x: Array) -> tuple[Array, Any]:
    """The image cropped or continued, and the padding that is left to do, a pair for each axis."""
    pads = [axis_padding(layer, axis, x.shape[1 + axis]) for axis in (0, 1)]
    if padding_of(layer) == "CIRCULAR":
        return jnp.pad(x, ((0, 0), *pads, (0, 0)), mode="wrap"), ((0, 0), (0, 0))
    crops = [(min(low, 0), min(high, 0), 0) for low, high in pads]
    x = lax.pad(x, jnp.zeros((), x.dtype), ((0, 0, 0), *crops, (0, 0, 0)))
    return x, tuple((max(low, 0), max(high, 0)) for low, high in pads)


def _local_average(layer: LocalAvgPool, x: Array) -> Array:
    """As matrices on the axes: its window may be as large as the image, or larger."""
    if x.ndim == 2:
        return x
    L, R = (jnp.asarray(pooling_matrix(layer.pool, axis, x.shape[1 + axis])) for axis in (0, 1))
    return jnp.einsum("oh,pw,nhwc->nopc", L.astype(x.dtype), R.astype(x.dtype), x)
