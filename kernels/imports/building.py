"""From operations to an architecture of exactly their channels, and its network's variables."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from kernas.errors import ArchitectureError

from ..architecture import (
    Architecture,
    AvgPool,
    Concat,
    Conv,
    Dense,
    DepthwiseConv,
    Flatten,
    GlobalAvgPool,
    Input,
    Layer,
    LayerNorm,
    MaxPool,
    Node,
    Normalize,
    Sum,
)
from ..architecture.layers import FullWeightLayer, WindowLayer
from ..architecture.widths import channel_blocks
from ..architecture.windows import output_size
from ..finite.network import BATCHNORM_EPSILON
from .refusing import refuse
from .steps import (
    Adaptive,
    Affine,
    Array,
    Edges,
    Flattening,
    Images,
    LayerNormalization,
    Operation,
    Pool,
    Weights,
)

Pixels = tuple[int, ...]


@dataclass(frozen=True)
class Choices:
    """What the library's network does not say.

    Attributes:
        W_std: of every weight layer.
        b_std: of every bias.
        averages: whether kernels take averages for maxima.
        channels_first: how the library's images lie.
    """

    W_std: float
    b_std: float
    averages: bool
    channels_first: bool


@dataclass(frozen=True, eq=False)
class Value:
    """What a node gives.

    Attributes:
        node: its index.
        pixels: of its output, ``()`` of a vector.
        channels: their number.
        order: of a vector, where each feature that the library counts stands here; ``None`` if the
            same.
    """

    node: int
    pixels: Pixels
    channels: int
    order: Array | None = None


class Building:
    """An architecture node by node.

    Attributes:
        nodes: so far.
        values: by the operation's name.
        variables: of the finite network, by collection.
    """

    def __init__(self, image_shape: tuple[int, ...], choices: Choices) -> None:
        self.nodes: list[Node] = []
        self.values: dict[str, Value] = {}
        self.variables: dict[str, dict[str, Any]] = {"params": {}}
        self._image_shape, self._choices = image_shape, choices
        self._shared: dict[Any, Operation] = {}
        self._counts: dict[int, int] = {}

    def add(self, operation: Operation) -> None:
        """Append what an operation is.

        Raises:
            ArchitectureError: it is nothing here; the message names it.
        """
        inputs = [self.values[name] for name in operation.inputs]
        try:
            self.values[operation.name] = self._value(operation, inputs)
        except ArchitectureError as error:
            if str(operation) in str(error):
                raise
            raise refuse(operation, str(error)) from None

    def architecture(self, output: str) -> tuple[Architecture, int, int | None]:
        """The architecture, the width at which it has the channels of all operations, and the
        outputs of its last layer.

        Raises:
            ArchitectureError: it has a sum or a concatenation that does not align.
        """
        last, value = len(self.nodes) - 1, self.values[output]
        if value.node != last:
            raise ArchitectureError("the network's output is not its last layer")
        outputs = value.channels if isinstance(self.nodes[last].layer, Dense) else None
        hidden = [count for node, count in self._counts.items() if node != last or outputs is None]
        width = hidden[0] if hidden else 1
        for index, count in self._counts.items():
            if index == last and outputs is not None:
                continue
            layer: Any = self.nodes[index].layer
            relative = replace(layer, width=count / width)
            self.nodes[index] = Node(relative, self.nodes[index].inputs)
        try:
            architecture = Architecture(tuple(self.nodes))
            pixels = architecture.shapes(self._image_shape)
        except ArchitectureError as error:
            raise ArchitectureError(self._with_names(str(error))) from None
        channels = self._image_shape[-1]
        blocks = channel_blocks(architecture.nodes, pixels, channels, width, outputs)
        for name, value in self.values.items():
            assert sum(blocks[value.node]) == value.channels, f"channels of {name}"
            assert pixels[value.node] == value.pixels, f"pixels of {name}"
        return architecture, width, outputs

    def _with_names(self, message: str) -> str:
        """A message on nodes, with their names in the library's network."""
        found = re.search(r"node (\d+)", message)
        at = {value.node: name for name, value in self.values.items()}
        name = at.get(int(found[1])) if found else None
        return message if name is None else f"{name!r}, here {message}"

    def _append(self, layer: Layer, inputs: Sequence[Value]) -> int:
        self.nodes.append(Node(layer, tuple(value.node for value in inputs)))
        return len(self.nodes) - 1

    def _value(self, operation: Operation, inputs: list[Value]) -> Value:
        step = operation.step
        match step:
            case Images():
                *pixels, channels = self._image_shape
                return Value(self._append(Input(), ()), tuple(pixels), channels)
            case Weights():
                return self._weights(operation, step, inputs[0])
            case Affine():
                return self._normalize(step, inputs[0])
            case LayerNormalization():
                return self._layer_norm(operation, step, inputs[0])
            case Pool():
                return self._pool(operation, step, inputs[0])
            case Adaptive():
                return self._adaptive(operation, step, inputs[0])
            case Flattening():
                return self._flatten(inputs[0])
            case Concat():
                return self._concat(step, inputs)
            case Sum():
                return self._sum(operation, step, inputs)
        assert isinstance(step, Layer), step
        return replace(inputs[0], node=self._append(step, inputs))

    def _weights(self, operation: Operation, step: Weights, x: Value) -> Value:
        earlier = self._shared.setdefault(step.key, operation)
        if earlier is not operation:
            raise refuse(
                operation,
                f"it has the weights of {earlier}, and layers of an Architecture have weights of "
                "their own; give each its own",
            )
        kernel, bias = step.kernel, step.bias
        if kernel.ndim == 4 and not x.pixels:
            if kernel.shape[:2] != (1, 1) or step.depthwise or step.stride != (1, 1):
                raise refuse(operation, "no pixels are left before it; put it before the pool")
            kernel = kernel[0, 0]
        if kernel.ndim == 2 and x.pixels:
            if self._choices.channels_first:
                raise refuse(
                    operation,
                    "it mixes the columns of an image; flatten the image before it, or take a "
                    "convolution of window 1, which mixes channels",
                )
            step, kernel = replace(step, kernel=kernel[None, None]), kernel[None, None]
        read = kernel.shape[-1] if step.depthwise else kernel.shape[-2]
        if read != x.channels:
            raise refuse(
                operation,
                f"it reads {read} channels of {x.channels}; give image_shape as it was made for",
            )
        scales: dict[str, Any] = {
            "W_std": self._choices.W_std,
            "b_std": 0.0 if bias is None else self._choices.b_std,
        }
        if kernel.ndim == 2:
            if x.order is not None:
                ours = np.empty_like(kernel)
                ours[x.order] = kernel
                kernel = ours
            layer: Layer = Dense(**scales)
            pixels: Pixels = ()
        else:
            layer = _convolution(step, scales)
            pixels = _windowed(operation, layer, x.pixels)
        node = self._append(layer, [x])
        if isinstance(layer, FullWeightLayer):
            self._counts[node] = step.made
        own = {"kernel": kernel, **({} if bias is None else {"bias": bias})}
        self.variables["params"][f"{type(layer).__name__}_{node}"] = {
            name: np.asarray(array, dtype=np.float32) for name, array in own.items()
        }
        return Value(node, pixels, step.made)

    def _normalize(self, step: Affine, x: Value) -> Value:
        """Running averages that have the scale and the shift in them:
        ``a x + c = (x − m) / √(v + ε)`` with ``m = −c / a`` and ``v = 1 / a² − ε``."""
        scale, shift = (np.broadcast_to(part, (x.channels,)) for part in (step.scale, step.shift))
        averages: dict[str, Any] = {"mean": -shift / scale, "var": 1 / scale**2 - BATCHNORM_EPSILON}
        node = self._append(Normalize(), [x])
        for name, array in averages.items():
            ours = np.array(array, dtype=np.float32)
            if x.order is not None:
                ours[x.order] = array
            averages[name] = ours
        self.variables.setdefault("batch_stats", {})[f"Normalize_{node}"] = averages
        return replace(x, node=node)

    def _layer_norm(self, operation: Operation, step: LayerNormalization, x: Value) -> Value:
        over = step.over
        if over == "last axis":
            if x.pixels and self._choices.channels_first:
                raise refuse(
                    operation,
                    "it normalises over the columns of an image; LayerNorm() here is over channels",
                )
            over = "channels"
        return replace(x, node=self._append(LayerNorm(over, eps=step.eps), [x]))

    def _pool(self, operation: Operation, step: Pool, x: Value) -> Value:
        padding = step.padding
        if step.ceil and x.pixels:
            sides = tuple(_with_ceil(step, axis, x.pixels[axis]) for axis in (0, 1))
            if sides != padding and step.kind == "average":
                raise refuse(
                    operation,
                    "its last windows hang over the edge (ceil_mode), and an average here divides "
                    "by the pixels that its padding makes; pad, or choose an image size that fits",
                )
            padding = (sides[0], sides[1])
        options: dict[str, Any] = {"stride": step.stride, "padding": _padding(padding)}
        if step.kind == "max":
            layer: Layer = MaxPool(step.window, as_average=self._choices.averages, **options)
        else:
            whole = step.counts_padding and padding != ((0, 0), (0, 0))
            layer = AvgPool(step.window, divisor="window" if whole else "valid", **options)
        return Value(self._append(layer, [x]), _windowed(operation, layer, x.pixels), x.channels)

    def _adaptive(self, operation: Operation, step: Adaptive, x: Value) -> Value:
        if step.size == (1, 1):
            return Value(self._append(GlobalAvgPool(), [x]), (), x.channels)
        if len(x.pixels) != 2:
            raise refuse(operation, "no pixels are left before it; leave it out")
        wanted = [
            side if size is None else size for size, side in zip(step.size, x.pixels, strict=True)
        ]
        if any(side % size for size, side in zip(wanted, x.pixels, strict=True)):
            raise refuse(
                operation,
                f"it makes {wanted[0]}×{wanted[1]} pixels of {x.pixels[0]}×{x.pixels[1]} by "
                "windows of different sizes; take images whose sides it divides, or one pixel, "
                "GlobalAvgPool()",
            )
        window = tuple(side // size for size, side in zip(wanted, x.pixels, strict=True))
        if window == (1, 1):
            return x
        layer = AvgPool((window[0], window[1]), stride=(window[0], window[1]))
        return Value(self._append(layer, [x]), tuple(wanted), x.channels)

    def _flatten(self, x: Value) -> Value:
        if not x.pixels:
            return x
        height, width = x.pixels
        features = height * width * x.channels
        order = None
        if self._choices.channels_first and height * width > 1:
            ours = np.arange(features).reshape(height, width, x.channels)
            order = ours.transpose(2, 0, 1).ravel()
        return Value(self._append(Flatten(), [x]), (), features, order)

    def _concat(self, step: Concat, inputs: list[Value]) -> Value:
        before = np.cumsum([0, *(x.channels for x in inputs)])
        order = None
        if any(x.order is not None for x in inputs):
            parts = [np.arange(x.channels) if x.order is None else x.order for x in inputs]
            order = np.concatenate(
                [part + start for part, start in zip(parts, before, strict=False)]
            )
        node = self._append(step, inputs)
        return Value(node, inputs[0].pixels, int(before[-1]), order)

    def _sum(self, operation: Operation, step: Sum, inputs: list[Value]) -> Value:
        for x in inputs[1:]:
            if (x.pixels, x.channels) != (inputs[0].pixels, inputs[0].channels):
                raise refuse(
                    operation,
                    f"it adds {_shape(inputs[0])} and {_shape(x)}, one broadcast over the other; "
                    "Sum() here adds equal shapes",
                )
            if not np.array_equal(_order(x), _order(inputs[0])):
                raise refuse(operation, "it adds a flattened image to features of another order")
        return replace(inputs[0], node=self._append(step, inputs))


def _shape(x: Value) -> str:
    return "×".join(map(str, (*x.pixels, x.channels)))


def _order(x: Value) -> Array:
    return np.arange(x.channels) if x.order is None else x.order


def _windowed(operation: Operation, layer: Layer, pixels: Pixels) -> Pixels:
    if len(pixels) != 2:
        raise refuse(
            operation, "no pixels are left before it; put it before the pool that ends them"
        )
    assert isinstance(layer, WindowLayer)
    name = str(operation)
    return tuple(output_size(name, layer, axis, side) for axis, side in enumerate(pixels))


def _convolution(step: Weights, scales: dict[str, Any]) -> Layer:
    height, width = (int(side) for side in step.kernel.shape[:2])
    padding: Any = step.padding
    if not isinstance(padding, str):
        extents = [
            (side - 1) * apart + 1
            for side, apart in zip((height, width), step.dilation, strict=True)
        ]
        around = tuple((e // 2, e // 2) for e in extents)
        same = step.stride == (1, 1) and all(e % 2 for e in extents) and padding == around
        padding = "SAME" if same else _padding(padding)
    options: dict[str, Any] = {
        "stride": step.stride,
        "padding": padding,
        "dilation": step.dilation,
        **scales,
    }
    return (DepthwiseConv if step.depthwise else Conv)((height, width), **options)


def _padding(edges: Edges) -> Any:
    return "VALID" if edges == ((0, 0), (0, 0)) else edges


def _with_ceil(step: Pool, axis: int, side: int) -> tuple[int, int]:
    """The padding along an axis that gives a last window which begins inside its full size."""
    (low, high), window, stride = step.padding[axis], step.window[axis], step.stride[axis]
    outputs = -(-(side + low + high - window) // stride) + 1
    if (outputs - 1) * stride >= side + low:
        outputs -= 1
    return low, max(high, (outputs - 1) * stride + window - side - low)
