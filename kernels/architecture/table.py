"""An architecture as text: a line for each layer, with shapes and numbers of weights if asked."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import MISSING, dataclass, fields
from typing import Any

from kernas.errors import ArchitectureError

from .layers import Dense, FullWeightLayer, Layer, Node, WeightLayer
from .widths import channel_blocks, check_count, weight_shapes

Size = tuple[int | float, ...]


def layer_text(layer: Layer) -> str:
    """The layer as it is written, without what it has by default.

    >>> from kernas.kernels import AvgPool, Conv, Elementwise, Relu
    >>> [layer_text(layer) for layer in (Conv(3, W_std=2**0.5), Relu(), Elementwise("tanh"))]
    ['Conv(3, W_std=1.414)', 'Relu', "Elementwise('tanh')"]
    >>> layer_text(AvgPool((2, 3), stride=2, padding="SAME"))
    "AvgPool((2, 3), stride=2, padding='SAME')"
    """
    said = layer_arguments(layer)
    return f"{type(layer).__name__}({', '.join(said)})" if said else type(layer).__name__


def layer_arguments(layer: Layer) -> list[str]:
    """What a layer is made with beside its defaults: first what it needs, last its weights."""
    required = [f.name for f in fields(layer) if f.default is MISSING]
    plain = type(layer)(**{name: getattr(layer, name) for name in required})
    weights = {f.name for f in fields(FullWeightLayer)}
    named = sorted((f.name for f in fields(layer)), key=lambda name: name in weights)
    return [_value_text(getattr(layer, name)) for name in required] + [
        f"{name}={_value_text(_along(getattr(layer, name)))}"
        for name in named
        if getattr(layer, name) != getattr(plain, name)
    ]


def _along(value: Any) -> Any:
    """Pixels along the only axis as the number that stands for every axis."""
    return value[0] if isinstance(value, tuple) and list(map(type, value)) == [int] else value


def _value_text(value: Any) -> str:
    if isinstance(value, tuple) and len(value) == 2 and value[0] == value[1]:
        value = value[0] if isinstance(value[0], int) else value  # of 3×3 pixels it is Conv(3)
    return f"{value:.4g}" if isinstance(value, float) else repr(value)


@dataclass(frozen=True)
class LayerSummary:
    """One node.

    Attributes:
        index: of the node.
        layer: as it is written, see :func:`layer_text`.
        inputs: the nodes that it reads.
        shape: of its output without the batch, as that of an input is;
            ``math.inf`` channels in the infinite network.
        weights: numbers in its kernel and its bias, ``None`` in the infinite network.
        trainable: whether they are trained.
    """

    index: int
    layer: str
    inputs: tuple[int, ...]
    shape: Size
    weights: int | None
    trainable: bool


@dataclass(frozen=True, repr=False)
class Summary:
    """A network, layer by layer, on images of one shape; ``print`` shows it as a table.

    Attributes:
        layers: one for each node.
        width: channels of a layer of relative width 1, ``None`` for the infinite network.
    """

    layers: tuple[LayerSummary, ...]
    width: int | None

    @property
    def weights(self) -> int | None:
        """Weights and biases of all layers, trained or not; ``None`` in the infinite network."""
        return None if self.width is None else sum(layer.weights or 0 for layer in self.layers)

    @property
    def untrained(self) -> int | None:
        """Those of layers with ``trainable=False``."""
        fixed = [layer.weights or 0 for layer in self.layers if not layer.trainable]
        return None if self.width is None else sum(fixed)

    def __str__(self) -> str:
        head = ("node", "layer", "reads", "output")
        rows = [
            (str(n.index), n.layer, _reads(n.index, n.inputs), _shape_text(n.shape))
            for n in self.layers
        ]
        end = f"{len(self.layers)} nodes"
        if self.width is None:
            return _table([head, *rows], end, right=(3,))
        counts = [f"{layer.weights:,}" if layer.weights else "" for layer in self.layers]
        rows = [(*row, count) for row, count in zip(rows, counts, strict=True)]
        end += f", {self.weights:,} weights at width {self.width:,}"
        end += f", {self.untrained:,} of them untrained" if self.untrained else ""
        return _table([(*head, "weights"), *rows], end, right=(3, 4))

    __repr__ = __str__


def layer_table(nodes: Sequence[Node]) -> str:
    """A line for each node: its number, its layer, and what it reads if not the node before."""
    rows = [(str(i), layer_text(n.layer), _reads(i, n.inputs)) for i, n in enumerate(nodes)]
    return _table([("node", "layer", "reads"), *rows], f"{len(nodes)} nodes")


def summarize(
    nodes: Sequence[Node],
    pixels: Sequence[tuple[int, ...]],
    channels: int,
    width: int | None,
    outputs: int | None,
) -> Summary:
    """What :meth:`Architecture.summary` returns.

    Args:
        nodes: of the architecture.
        pixels: of each node's output.
        channels: of the images.
        width: see :meth:`Architecture.summary`.
        outputs: see there.

    Raises:
        ConfigurationError: ``width`` or ``outputs`` is no integer >= 1 and not ``None``.
        ArchitectureError: several outputs of a network that does not end in ``Dense``.
    """
    if width is not None:
        check_count(width, "width", ", or None for the infinite network")
    if outputs is not None:
        check_count(outputs, "outputs", ", or None for as many as the last layer has")
        if not isinstance(nodes[-1].layer, Dense):
            if outputs > 1:
                raise ArchitectureError(
                    f"outputs={outputs}, but the network ends in {layer_text(nodes[-1].layer)}: "
                    "expected Dense(); append it, or leave outputs out"
                )
            outputs = None
    at_width = math.inf if width is None else width
    blocks = channel_blocks(nodes, pixels, channels, at_width, outputs)
    found: list[LayerSummary] = []
    for index, node in enumerate(nodes):
        made, layer, weights = sum(blocks[index]), node.layer, None
        if width is not None:
            weights = 0
            if isinstance(layer, WeightLayer):
                read = sum(sum(blocks[i]) for i in node.inputs)
                shapes = weight_shapes(layer, int(read), int(made))
                weights = sum(math.prod(shape) for shape in shapes.values())
        trainable = not isinstance(layer, WeightLayer) or layer.trainable
        shape = (*pixels[index], made)
        text = layer_text(layer)
        found.append(LayerSummary(index, text, node.inputs, shape, weights, trainable))
    return Summary(tuple(found), width)


def _reads(index: int, inputs: tuple[int, ...]) -> str:
    return "" if inputs == (index - 1,) else ", ".join(map(str, inputs))


def _shape_text(shape: Size) -> str:
    sizes = ["∞" if size == math.inf else str(size) for size in shape]
    return f"({', '.join(sizes)}{',' if len(sizes) == 1 else ''})"


def _table(rows: Sequence[tuple[str, ...]], end: str, right: Sequence[int] = ()) -> str:
    """Columns as wide as their longest text, without those that have a title only.

    Args:
        rows: the titles first.
        end: the last line.
        right: columns whose texts end at one place.
    """
    columns: list[list[str]] = []
    for index, column in enumerate(zip(*rows, strict=True)):
        width = max(map(len, column))
        if any(column[1:]):
            columns.append([f"{text:{'>' if index in right else '<'}{width}}" for text in column])
    lines = ["  ".join(row).rstrip() for row in zip(*columns, strict=True)]
    return "\n".join([*lines, end])
