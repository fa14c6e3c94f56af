"""The standard parameterisation: the tangent kernel of networks as they are usually trained."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from kernas.errors import ArchitectureError

from .graph import Architecture
from .layers import Dense, Node, WeightLayer
from .weights import RATES
from .widths import channel_blocks, check_count, weight_shapes


def standard_parameterization(
    architecture: Architecture, image_shape: Sequence[int], *, width: int, outputs: int = 1
) -> Architecture:
    """The network whose tangent kernel is that of the standard parameterisation at a width.

    A layer of fan-in n that computes ``W x + b`` with weights of deviation ``W_std / √n`` and
    biases of deviation ``b_std`` has gradients larger by ``√n / W_std`` and ``1 / b_std`` than in
    the NTK parameterisation, where all parameters are standard normal. So the rates are
    ``(n / W_std², 1 / b_std²)``, and the layer adds ``n`` times the mean of K over its window, and
    1 where it has a bias: a layer counts by its inputs, and the numbers of its parameters enter the
    kernel. K itself stays that of the limit.

    Args:
        architecture: without open slots.
        image_shape: ``(height, width, channels)`` or ``(features,)``.
        width: channels of a weight layer of relative width 1.
        outputs: channels of the last layer, where it is a ``Dense``; no fan-in is its.

    Raises:
        ArchitectureError: the network does not fit the images, has rates already, or a layer that
            is trained has ``W_std=0``.
        ConfigurationError: ``width`` or ``outputs`` is no integer >= 1.

    References:
        Sohl-Dickstein, Novak, Schoenholz and Lee 2020, On the infinite width limit of neural
        networks with a standard parameterization, section 2.

    >>> from kernas.kernels import Dense, NeuralKernel, Relu, serial
    >>> network = serial(Dense(), Relu(), Dense(W_std=2.0))
    >>> standard_parameterization(network, (5,), width=64).nodes[3].layer.rates
    (16.0, 1.0)
    """
    check_count(width, "width")
    check_count(outputs, "outputs")
    nodes = architecture.nodes
    pixels = architecture.shapes(image_shape)
    classes = outputs if isinstance(nodes[-1].layer, Dense) else None
    blocks = channel_blocks(nodes, pixels, int(image_shape[-1]), width, classes)

    def rated(index: int, layer: Any) -> Any:
        if not isinstance(layer, WeightLayer) or not layer.trainable:
            return layer
        where = architecture.describe(index)
        if layer.rates != RATES:
            raise ArchitectureError(
                f"{where} has rates already: expected a network in the NTK parameterisation"
            )
        if layer.W_std == 0:
            raise ArchitectureError(
                f"{where} has W_std=0, weights without a scale: give it one, or trainable=False"
            )
        read = int(sum(sum(blocks[i]) for i in nodes[index].inputs))
        kernel = weight_shapes(layer, read, int(sum(blocks[index])))["kernel"]
        of_bias = 1 / layer.b_std**2 if layer.b_std > 0 else 1.0
        return replace(layer, rates=(math.prod(kernel[:-1]) / layer.W_std**2, of_bias))

    return Architecture(
        tuple(Node(rated(index, node.layer), node.inputs) for index, node in enumerate(nodes))
    )
