"""The channels of every node at a width, and the shapes of the weights between them.

One rule for all who count: the finite network makes its weights by it, the summary counts them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from kernas.errors import ConfigurationError

from .layers import (
    Concat,
    ConvLayer,
    DepthwiseConv,
    Flatten,
    FullWeightLayer,
    Input,
    LocalAvgPool,
    Node,
    WeightLayer,
)
from .windows import window_of

LARGEST_COUNT = 2**31 - 1
"""Channels of a layer; XLA counts them in 32 bits."""

Blocks = tuple[int | float, ...]
"""Channels of a node, one number for each stretch of them that came from one layer; infinity where
the width is infinite."""


def check_count(value: Any, name: str, advice: str = "") -> None:
    """Refuse what is no number of channels.

    Raises:
        ConfigurationError: it is no integer from 1 to ``LARGEST_COUNT``; ``advice`` is added.
    """
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise ConfigurationError(f"{name}={value!r}: expected an integer >= 1{advice}")
    if value > LARGEST_COUNT:
        raise ConfigurationError(
            f"{name} of more than {LARGEST_COUNT:,}: expected an integer of at most that{advice}"
        )


def channel_blocks(
    nodes: Sequence[Node],
    pixels: Sequence[tuple[int, ...]],
    channels: int,
    width: int | float,
    outputs: int | None,
) -> tuple[Blocks, ...]:
    """The channels of every node's output.

    Args:
        nodes: of an architecture.
        pixels: of each node, see :meth:`Architecture.shapes`.
        channels: of the images, or features of the vectors.
        width: channels of a weight layer of relative width 1, ``math.inf`` for the infinite
            network; another layer has ``round(width * layer.width)``, at least one.
        outputs: channels of the last node, a ``Dense``; ``None`` for as many as it would have in
            another place.
    """
    found: list[Blocks] = []
    for index, node in enumerate(nodes):
        layer = node.layer
        before = [found[i] for i in node.inputs]
        if isinstance(layer, Input):
            blocks: Blocks = (channels,)
        elif index == len(nodes) - 1 and outputs is not None:
            blocks = (outputs,)
        elif isinstance(layer, FullWeightLayer):
            blocks = (width if width == math.inf else max(1, round(width * layer.width)),)
        elif isinstance(layer, Concat):
            blocks = tuple(block for blocks in before for block in blocks)
        elif isinstance(layer, Flatten | LocalAvgPool) and pixels[node.inputs[0]]:
            # The pixels of all blocks alternate.
            blocks = (math.prod(pixels[node.inputs[0]]) * sum(before[0]),)
        else:
            blocks = before[0]
        found.append(blocks)
    return tuple(found)


def weight_shapes(layer: WeightLayer, read: int, made: int) -> dict[str, tuple[int, ...]]:
    """The shapes of a layer's parameters: of its ``"kernel"``, and of its ``"bias"`` if it has one.

    The product of all axes of the kernel but the last is the fan-in.

    Args:
        layer: the layer.
        read: channels of its input.
        made: channels of its output.
    """
    window = window_of(layer) if isinstance(layer, ConvLayer) else ()
    shapes: dict[str, tuple[int, ...]] = {}
    shapes["kernel"] = (*window, 1 if isinstance(layer, DepthwiseConv) else read, made)
    if layer.b_std > 0:
        shapes["bias"] = (made,)
    return shapes


def weight_deviations(layer: WeightLayer, kernel: Sequence[int]) -> dict[str, float]:
    """``W_std / sqrt(fan-in)`` of the kernel and ``b_std`` of the bias: what the weights of the
    standard parameterisation deviate by.

    Args:
        layer: the layer.
        kernel: the shape of its kernel, see :func:`weight_shapes`.
    """
    return {"kernel": layer.W_std / math.sqrt(math.prod(kernel[:-1])), "bias": layer.b_std}
