"""Parameters, operations and layers of a finite network, counted as benchmarks of cells count them.

A network of finite width is taken as such benchmarks train it: its ``Normalize`` layers have a
scale and a shift for each channel, its last ``Dense`` has a bias whatever ``b_std`` is, and other
weight layers have one where ``b_std > 0``.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .activations import Activation
from .layers import (
    ConvLayer,
    Dense,
    GlobalAvgPool,
    Layer,
    LayerNorm,
    LocalAvgPool,
    Normalize,
    WeightLayer,
    WindowLayer,
)
from .widths import channel_blocks, check_count, weight_shapes
from .windows import window_of

if TYPE_CHECKING:
    from .graph import Architecture


@dataclass(frozen=True)
class Counts:
    """Of one network on images of one shape.

    Attributes:
        params: numbers that are trained.
        flops: operations of one image's forward pass, see :func:`count`.
        depth: weight layers on the longest way from the input to the output.
        n_conv: convolutions.
    """

    params: int
    flops: int
    depth: int
    n_conv: int


def count(
    architecture: Architecture, image_shape: Sequence[int], *, width: int, outputs: int
) -> Counts:
    """Count a network's parameters, operations and layers.

    Operations are counted as the published columns of NAS-Bench-201 are, with ``h · w · c`` the
    numbers in a layer's output: a weight layer has one multiplication and addition for each weight
    and pixel, and one for a convolution's bias; an activation 1 a number, a normalisation 2, a pool
    those of its window; a global pool ``(h + 1)(w + 1)`` of its input a channel, where its tool
    counts a window's last pixel twice; sums, concatenations and the bias of ``Dense`` none.

    Args:
        architecture: the network, as it is built: layers that its output does not need are not in
            it, and equal branches count as often as they stand there.
        image_shape: ``(height, width, channels)`` or ``(features,)``.
        width: channels of a weight layer of relative width 1, >= 1.
        outputs: classes: channels of the last layer, where it is a ``Dense``.

    Raises:
        ArchitectureError: the network does not fit the images.
        ConfigurationError: ``width`` or ``outputs`` is no integer >= 1.

    References:
        Dong and Yang 2020, NAS-Bench-201; Krishnakumar et al. 2022, NAS-Bench-Suite-Zero, whose
        ``flops`` and ``params`` these are; their tool is TensorWatch's copy of torchstat.

    >>> from kernas.kernels import Conv, Dense, GlobalAvgPool, Relu, serial
    >>> count(serial(Conv(3), Relu(), GlobalAvgPool(), Dense()), (8, 8, 3), width=16, outputs=10)
    Counts(params=602, flops=30128, depth=2, n_conv=1)
    """
    check_count(width, "width")
    check_count(outputs, "outputs")
    nodes = architecture.nodes
    pixels = architecture.shapes(image_shape)
    last = nodes[-1].layer
    classes = outputs if isinstance(last, Dense) else None
    blocks = channel_blocks(nodes, pixels, int(image_shape[-1]), width, classes)
    channels = [int(sum(of)) for of in blocks]
    params = flops = 0
    depths: list[int] = []
    for index, node in enumerate(nodes):
        layer, made = node.layer, channels[index]
        read = sum(channels[i] for i in node.inputs)
        depths.append(
            max((depths[i] for i in node.inputs), default=0) + isinstance(layer, WeightLayer)
        )
        if isinstance(layer, WeightLayer):
            shapes = weight_shapes(layer, read, made)
            if layer is last:
                shapes["bias"] = (made,)
            params += sum(map(math.prod, shapes.values()))
            flops += math.prod((*pixels[index], *shapes["kernel"]))
            if isinstance(layer, ConvLayer) and "bias" in shapes:
                flops += math.prod((*pixels[index], made))
        else:
            params += 2 * made if isinstance(layer, Normalize) else 0
            before = pixels[node.inputs[0]] if node.inputs else ()
            flops += made * _operations(layer, before) * math.prod(pixels[index])
    n_conv = sum(isinstance(node.layer, ConvLayer) for node in nodes)
    return Counts(params, flops, depths[-1], n_conv)


def _operations(layer: Layer, before: tuple[int, ...]) -> int:
    """Of a layer without weights, for each number of its output; ``before`` are its pixels."""
    match layer:
        case Activation():
            return 1
        case Normalize() | LayerNorm():
            return 2
        case WindowLayer():
            return math.prod(window_of(layer))
        case GlobalAvgPool():
            return math.prod(side + 1 for side in before)
        case LocalAvgPool():
            return math.prod(window_of(layer.pool))
    return 0
