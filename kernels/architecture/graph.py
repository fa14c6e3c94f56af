"""The graph: an immutable DAG of layers, validated when it is built."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from kernas.errors import ArchitectureError

from .canonical import content_hash
from .channels import SplitNetwork, layouts, split
from .drawing import svg
from .layers import (
    Dense,
    Input,
    Layer,
    LocalAvgPool,
    Node,
    Sum,
    WeightLayer,
    WindowLayer,
)
from .serialization import from_json, to_json
from .table import Summary, layer_table, summarize
from .windows import LARGEST_SIDE, of_image, output_size, window_of

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Architecture:
    """A network without widths or weights: nodes in topological order.

    Node 0 is the :class:`Input`, the last node is the output. Every weight layer is a node with
    fresh weights: two equal convolutions of one input are two nodes, and differ from one
    convolution that is read twice. Build one with :func:`serial`, :func:`parallel`,
    :func:`residual` or a :class:`GraphBuilder`.

    Args:
        nodes: the layers with the indices of what they read; a node reads only earlier ones.

    Raises:
        ArchitectureError: a node reads a later or missing node, has the wrong number of inputs,
            does not reach the output, or is given pixels where it needs none (or none where it
            needs pixels). The message names the node and the fix.
    """

    nodes: tuple[Node, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "nodes", tuple(self.nodes))
        _check_edges(self.nodes)
        _check_reachable(self.nodes)
        _check_flatness(self.nodes)
        layouts(self.nodes, fragment=True)

    def __len__(self) -> int:
        return len(self.nodes)

    def __repr__(self) -> str:
        weights = sum(isinstance(node.layer, WeightLayer) for node in self.nodes)
        return f"<Architecture {len(self)} nodes, {weights} weight layers>"

    def __str__(self) -> str:
        return layer_table(self.nodes)

    def _repr_svg_(self) -> str | None:
        """What notebooks show: the graph as a drawing, of up to 500 nodes and 2,000 edges."""
        return svg(self.nodes)

    @property
    def output(self) -> int:
        """Index of the output node."""
        return len(self.nodes) - 1

    @property
    def takes_signals(self) -> bool:
        """Whether its windows have one axis: its inputs are signals ``(length, channels)``."""
        layers = (node.layer for node in self.nodes)
        windows = (layer.pool if isinstance(layer, LocalAvgPool) else layer for layer in layers)
        return any(isinstance(layer, WindowLayer) and layer.axes == 1 for layer in windows)

    @cached_property
    def hash(self) -> str:
        """Content hash: equal for equal networks, in every process and Python version.

        SHA-256 of the canonical form (see :mod:`kernas.kernels.architecture.canonical`).
        """
        return content_hash(self.split)

    @cached_property
    def split(self) -> SplitNetwork:
        """The network without concatenations, as lowering reads it.

        Raises:
            ArchitectureError: the inputs of a sum do not align.
        """
        return split(self.nodes)

    def to_json(self) -> str:
        """The versioned JSON document that :meth:`from_json` reads back exactly."""
        return to_json(tuple((node.layer, node.inputs) for node in self.nodes))

    @classmethod
    def from_json(cls, text: str) -> Architecture:
        """Read a document that :meth:`to_json` wrote.

        Raises:
            ArchitectureError: it is not such a document, or describes no valid architecture.
        """
        return cls(tuple(Node(layer, inputs) for layer, inputs in from_json(text)))

    def describe(self, index: int) -> str:
        """A node's name in messages, for example ``node 3 (Conv reading 2)``."""
        node = self.nodes[index]
        reads = f" reading {', '.join(map(str, node.inputs))}" if node.inputs else ""
        return f"node {index} ({type(node.layer).__name__}{reads})"

    def shapes(self, input_shape: Sequence[int]) -> tuple[Shape, ...]:
        """The pixels of every node's output for an input of the given shape.

        Args:
            input_shape: ``(height, width, channels)``, ``(length, channels)`` or ``(features,)``,
                without the batch.

        Returns:
            For each node ``(height, width)`` or ``(length,)``, or ``()`` where no pixels are left.

        Raises:
            ArchitectureError: the input is too small for a window, too large to be listed, or the
                inputs of a sum differ.
        """
        try:
            shape = tuple(int(n) for n in input_shape)
        except (TypeError, ValueError, OverflowError):
            shape = ()
        if len(shape) not in (1, 2, 3) or min(shape) < 1:
            raise ArchitectureError(
                f"input shape {input_shape}: expected (height, width, channels), (length, "
                "channels) or (features,), without the batch axis"
            )
        if max(shape[:-1], default=1) > LARGEST_SIDE:
            raise ArchitectureError(
                f"input shape {shape}: expected images of at most {LARGEST_SIDE:,} pixels along an "
                "axis; give smaller ones"
            )
        network = self.split  # refuses what does not align, before any size is looked at
        pixels: list[Shape] = []
        for index, node in enumerate(self.nodes):
            parents = [pixels[i] for i in node.inputs]
            pixels.append(self._output_pixels(index, parents, shape[:-1]))
        self._check_flattened(network, tuple(pixels))
        return tuple(pixels)

    def summary(
        self, image_shape: Sequence[int], width: int | None = None, outputs: int | None = 1
    ) -> Summary:
        """What each layer makes of images of one shape, and how many weights it has.

        Args:
            image_shape: ``(height, width, channels)``, ``(length, channels)`` or ``(features,)``,
                without the batch.
            width: of a finite network: channels of a weight layer of relative width 1, >= 1.
                ``None`` for the infinite network.
            outputs: channels of the last layer, if it is a ``Dense``; ``None`` for as many as the
                other layers would have in its place.

        Returns:
            A :class:`Summary`, which prints as a table. Shapes and weights are those of
            ``finite_network(self, width, outputs=outputs)``.

        Raises:
            ArchitectureError: the network does not fit the images, or has ``outputs`` and does not
                end in ``Dense``.
            ConfigurationError: ``width`` or ``outputs`` is no integer >= 1.

        >>> from kernas.kernels import Conv, Dense, GlobalAvgPool, Relu, serial
        >>> network = serial(Conv(3, W_std=2**0.5), Relu(), GlobalAvgPool(), Dense(b_std=0.1))
        >>> network.summary((8, 8, 3), width=64, outputs=10)
        node  layer                     output  weights
        0     Input                  (8, 8, 3)
        1     Conv(3, W_std=1.414)  (8, 8, 64)    1,728
        2     Relu                  (8, 8, 64)
        3     GlobalAvgPool              (64,)
        4     Dense(b_std=0.1)           (10,)      650
        5 nodes, 2,378 weights at width 64
        """
        pixels = self.shapes(image_shape)
        return summarize(self.nodes, pixels, int(image_shape[-1]), width, outputs)

    def _output_pixels(self, index: int, parents: list[Shape], image: Shape) -> Shape:
        layer = self.nodes[index].layer
        if isinstance(layer, Input):
            return image
        if len(set(parents)) > 1:
            raise ArchitectureError(
                f"{self.describe(index)} has inputs of different sizes "
                f"{', '.join(map(str, parents))} for images of {image}; choose an image size that "
                "every stride divides, or paddings that give equal sizes"
            )
        pixels = parents[0]
        if isinstance(layer, LocalAvgPool) and pixels:
            self._check_axes(index, layer.pool, pixels)
            self._check_circular(index, layer, pixels)
        if layer.flattens:
            return ()
        if isinstance(layer, WindowLayer):
            if not pixels:
                raise ArchitectureError(
                    f"{self.describe(index)} needs an image but gets a vector; give "
                    "(height, width, channels), or remove the layer"
                )
            self._check_axes(index, layer, pixels)
            name, sides = self.describe(index), of_image(pixels)
            made = tuple(output_size(name, layer, axis, sides[axis]) for axis in (0, 1))
            return made[-len(pixels) :]
        if isinstance(layer, Dense) and parents[0]:
            raise ArchitectureError(
                f"{self.describe(index)} gets an image of {parents[0]} pixels; insert Flatten() or "
                "GlobalAvgPool() before it"
            )
        return parents[0]

    def _check_flattened(self, network: SplitNetwork, shapes: tuple[Shape, ...]) -> None:
        pixels = network.pixels(shapes)
        for part in network.parts:
            sizes = {pixels[i] for i in part.inputs}
            if isinstance(part.layer, Sum) and len(sizes) > 1:
                raise ArchitectureError(
                    f"{self.describe(part.node)} adds vectors that were flattened from images of "
                    f"{' and '.join(map(str, sorted(sizes)))}; insert Dense() before the sum, or "
                    "pool to equal sizes"
                )

    def _check_axes(self, index: int, layer: WindowLayer, pixels: Shape) -> None:
        """Signals take windows of one axis, images of two; an image of one row takes either."""
        if layer.axes == len(pixels) or (layer.axes == 1 and pixels[0] == 1):
            return
        if layer.axes == 2:
            raise ArchitectureError(
                f"{self.describe(index)} has a window of two axes, {layer.window}, and its input "
                f"is a signal of {pixels[0]} pixels; give a window of one axis, "
                f"({max(window_of(layer))},), or grey images an axis of one channel, x[..., None]"
            )
        raise ArchitectureError(
            f"{self.describe(index)} has a window of one axis, {layer.window}, and its input is an "
            f"image of {pixels} pixels; give a window of two, or signals (n, length, channels)"
        )

    def _check_circular(self, index: int, layer: LocalAvgPool, pixels: Shape) -> None:
        window = window_of(layer.pool)[1]
        sides = pixels[-layer.pool.axes :]
        if layer.edges == "circular" and window > min(sides):
            raise ArchitectureError(
                f"{self.describe(index)} averages {'×'.join([str(window)] * len(sides))} pixels "
                f"around each of an image of {pixels}, some of them twice; use GlobalAvgPool() for "
                f"the mean over all, or c <= {(min(sides) - 1) // 2}"
            )


def _check_edges(nodes: tuple[Node, ...]) -> None:
    if len(nodes) < 2 or not isinstance(nodes[0].layer, Input):
        raise ArchitectureError(
            "an architecture needs Input() as node 0 and at least one layer; build it with serial()"
        )
    for index, node in enumerate(nodes):
        name = f"node {index} ({type(node.layer).__name__})"
        if not isinstance(node.layer, Layer):
            raise ArchitectureError(
                f"{name} is not a layer; use the layers of kernas.kernels, e.g. Conv(3)"
            )
        if isinstance(node.layer, Input) and index > 0:
            raise ArchitectureError(f"{name}: only node 0 is Input(); read node 0 instead")
        for source in node.inputs:
            if not 0 <= source < index:
                raise ArchitectureError(
                    f"{name} reads node {source}, which does not come before it; list the nodes "
                    "in topological order, a network has no cycles"
                )
        arity = node.layer.arity
        if (arity is None and not node.inputs) or (arity is not None and len(node.inputs) != arity):
            wanted = "one or more inputs" if arity is None else f"{arity} input(s)"
            raise ArchitectureError(
                f"{name} reads {len(node.inputs)} nodes, expected {wanted}; join several with "
                "Sum() or Concat()"
            )


def _check_reachable(nodes: tuple[Node, ...]) -> None:
    reached = {len(nodes) - 1}
    for index in range(len(nodes) - 1, 0, -1):
        if index in reached:
            reached.update(nodes[index].inputs)
    unread = [i for i in range(len(nodes)) if i not in reached]
    if unread:
        layer = type(nodes[unread[0]].layer).__name__
        raise ArchitectureError(
            f"node {unread[0]} ({layer}) does not reach the output; remove it, or join it to the "
            "output with Sum()"
        )


def _check_flatness(nodes: tuple[Node, ...]) -> None:
    """Refuse windows after the pixels are gone; what needs sizes waits for :meth:`shapes`."""
    flat: list[bool] = []
    for index, node in enumerate(nodes):
        parents = {flat[i] for i in node.inputs}
        name = f"node {index} ({type(node.layer).__name__})"
        if isinstance(node.layer, WindowLayer) and parents == {True}:
            raise ArchitectureError(
                f"{name} follows a layer that left no pixels; move it before Flatten() or "
                "GlobalAvgPool(), or use Dense()"
            )
        # A dense layer's input must be a vector, so whatever reads one is known to be one.
        flat.append(node.layer.flattens or isinstance(node.layer, Dense) or (parents == {True}))
