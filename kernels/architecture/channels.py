"""The channels of every node, in blocks: what sums must agree in and concatenations put together.

A block is a stretch of channels that are alike. All nodes have one, but for what reads a
:class:`Concat`. :func:`split` takes concatenations apart into *parts*, one for each block: layers
that act on every channel by itself act on each part by itself, and layers that mix channels read
all parts of their input. What comes after (canonical form, lowering) knows parts only.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from kernas.errors import ArchitectureError

from .layers import (
    Concat,
    Dense,
    Flatten,
    FullWeightLayer,
    GlobalAvgPool,
    Input,
    Layer,
    LayerNorm,
    LocalAvgPool,
    Node,
    Sum,
)
from .windows import of_image


@dataclass(frozen=True)
class ChannelBlock:
    """Channels that are alike.

    Attributes:
        width: their number relative to the other blocks of the network.
        raw: they are the images' own, few and not alike.
        flattened: all pixels stand side by side, channels of these widths alternating; empty if
            they do not.
    """

    width: float
    raw: bool = False
    flattened: tuple[float, ...] = ()

    def __str__(self) -> str:
        name = "those of the raw input" if self.raw else f"width {self.width:g}"
        if not self.flattened:
            return name
        others = " and ".join(f"{width:g}" for width in self.flattened)
        return f"{name}, flattened" + (f" within {others}" if len(self.flattened) > 1 else "")


Layout = tuple[ChannelBlock, ...]


def layouts(nodes: Sequence[Node], *, fragment: bool) -> tuple[Layout | None, ...]:
    """The blocks of every node's channels.

    Args:
        nodes: in topological order.
        fragment: the graph may be a part of another, so that its input has any channels: what reads
            only it has the layout ``None``.

    Raises:
        ArchitectureError: the inputs of a sum do not align, or the raw input is concatenated with
            features: no finite network of any width could do it, or none has a limit.
    """
    found: list[Layout | None] = []
    vectors: list[bool] = []  # what is one whatever the images are
    for index, node in enumerate(nodes):
        layer = node.layer
        inputs = [found[i] for i in node.inputs]
        name = f"node {index} ({type(layer).__name__})"
        if isinstance(layer, Input):
            found.append(None if fragment else (ChannelBlock(1.0, raw=True),))
        elif isinstance(layer, FullWeightLayer):
            found.append((ChannelBlock(layer.width),))
        elif isinstance(layer, Concat):
            found.append(_concatenated(name, inputs))
        elif isinstance(layer, Sum):
            found.append(_summed(name, inputs))
        elif isinstance(layer, Flatten | LocalAvgPool) and not vectors[node.inputs[0]]:
            found.append(_flattened(inputs[0]))
        else:
            found.append(inputs[0])
        is_vector = layer.flattens or isinstance(layer, Dense)
        vectors.append(is_vector or any(vectors[i] for i in node.inputs))
    return tuple(found)


def _flattened(layout: Layout | None) -> Layout | None:
    if layout is None:
        return None
    widths = tuple(block.width for block in layout)
    return tuple(ChannelBlock(block.width, block.raw, widths) for block in layout)


def _concatenated(name: str, inputs: list[Layout | None]) -> Layout | None:
    blocks: Layout = ()
    for layout in inputs:
        if layout is None:
            return None
        blocks += layout
    if len({block.raw for block in blocks}) > 1:
        raise ArchitectureError(
            f"{name} concatenates the raw input, whose channels are few, with features, which are "
            "infinitely many; insert Conv(1) or Dense() on the input"
        )
    return blocks


def _summed(name: str, inputs: list[Layout | None]) -> Layout | None:
    different = sorted({layout for layout in inputs if layout is not None}, key=str)
    if not different:
        return None
    if len(different) == 1:
        return different[0]
    described = " and ".join(" | ".join(map(str, layout)) for layout in different)
    if any(len(layout) > 1 for layout in different):
        raise ArchitectureError(
            f"{name} adds concatenations that do not align: {described}; insert Conv(1) or Dense() "
            "before the sum, or concatenate parts of the same widths in the same order"
        )
    raise ArchitectureError(
        f"{name} adds inputs with different channels: {described}; insert Conv(1) or Dense() with "
        "the width of the others before the sum"
    )


@dataclass(frozen=True)
class Part:
    """A block of channels of one node, as a node of its own in a graph without ``Concat``.

    Attributes:
        node: the node of the architecture.
        layer: its layer.
        inputs: parts that it acts on channel by channel; for a :class:`FullWeightLayer` all the
            parts whose channels it mixes.
        statistics: of a :class:`LayerNorm`, the parts over whose channels it takes them.
        block: its channels.
    """

    node: int
    layer: Layer
    inputs: tuple[int, ...]
    statistics: tuple[int, ...]
    block: ChannelBlock


@dataclass(frozen=True)
class SplitNetwork:
    """A graph without ``Concat``.

    Attributes:
        parts: in topological order.
        of: for each node of the architecture its parts, in the order of their channels.
    """

    parts: tuple[Part, ...]
    of: tuple[tuple[int, ...], ...]

    def pixels(self, shapes: Sequence[tuple[int, ...]]) -> tuple[tuple[int, int], ...]:
        """Pixels of each part; those of a flattened image stay apart until channels are mixed.

        Args:
            shapes: the pixels of each node, see :meth:`Architecture.shapes`.
        """
        found: list[tuple[int, int]] = []
        for part in self.parts:
            pools_image = (
                isinstance(part.layer, GlobalAvgPool) and shapes[self.parts[part.inputs[0]].node]
            )
            if shapes[part.node]:
                height, width = of_image(shapes[part.node])
                found.append((height, width))
            elif pools_image or isinstance(part.layer, Input | FullWeightLayer):
                found.append((1, 1))
            else:
                found.append(found[part.inputs[0]])
        return tuple(found)


def split(nodes: Sequence[Node]) -> SplitNetwork:
    """Take concatenations apart.

    Raises:
        ArchitectureError: the inputs of a sum do not align.
    """
    widths = layouts(nodes, fragment=False)
    parts: list[Part] = []
    of: list[tuple[int, ...]] = []
    for index, node in enumerate(nodes):
        layer = node.layer
        inputs = [of[i] for i in node.inputs]
        if isinstance(layer, Concat):
            of.append(tuple(p for blocks in inputs for p in blocks))
            continue
        if isinstance(layer, Input):
            reads = [()]
        elif isinstance(layer, FullWeightLayer):
            reads = inputs
        else:
            reads = list(zip(*inputs, strict=True))
        statistics = inputs[0] if isinstance(layer, LayerNorm) else ()
        layout = widths[index]
        assert layout is not None
        first = len(parts)
        for block, read in zip(layout, reads, strict=True):
            parts.append(Part(index, layer, read, statistics, block))
        of.append(tuple(range(first, len(parts))))
    return SplitNetwork(tuple(parts), tuple(of))
