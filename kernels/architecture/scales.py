"""The scales of weights and biases by name: what a search over an architecture's scales sets."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from kernas.errors import ConfigurationError

from .graph import Architecture
from .layers import Node, WeightLayer

SCALES = ("W_std", "b_std")

_NAME = re.compile(rf"(?:node(?P<index>\d+)__)?(?P<scale>{'|'.join(SCALES)})")


LayerScales = dict[str, dict[str, Any]]
"""By the name of a weight layer, ``node3`` of the one that is node 3, ``W_std`` and ``b_std``."""


def scales_of(architecture: Architecture) -> LayerScales:
    """The scales of every weight layer, as :func:`kernas.kernels.kernel_function` takes them.

    Args:
        architecture: any network.

    Returns:
        ``{"node3": {"W_std": 1.4, "b_std": 0.1}, …}``: a layer is named by the index of its node,
        as :meth:`Architecture.describe` and the messages count them. Each weight layer has weights
        of its own, so no two entries are one number.

    >>> from kernas.kernels import Dense, Relu, scales_of, serial
    >>> scales_of(serial(Dense(W_std=2.0), Relu(), Dense()))
    {'node1': {'W_std': 2.0, 'b_std': 0.0}, 'node3': {'W_std': 1.0, 'b_std': 0.0}}
    """
    return {
        f"node{index}": {scale: getattr(node.layer, scale) for scale in SCALES}
        for index, node in enumerate(architecture.nodes)
        if isinstance(node.layer, WeightLayer)
    }


def flat_scales(scales: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """``{"node3": {"W_std": 2.0}}`` as ``{"node3__W_std": 2.0}``."""
    return {f"{layer}__{name}": value for layer, of in scales.items() for name, value in of.items()}


def named_scales(architecture: Architecture) -> dict[str, float]:
    """``node3__W_std`` → its value, for every weight layer by the index of its node.

    ``W_std`` and ``b_std`` stand there as well where all weight layers have one value.
    """
    found: dict[str, float] = {}
    for scale in SCALES:
        values = {
            f"node{index}__{scale}": getattr(node.layer, scale)
            for index, node in enumerate(architecture.nodes)
            if isinstance(node.layer, WeightLayer)
        }
        if len(set(values.values())) == 1:
            found[scale] = next(iter(values.values()))
        found |= values
    return found


def with_scales(architecture: Architecture, scales: Mapping[str, Any]) -> Architecture:
    """The network with other scales.

    Args:
        architecture: not changed.
        scales: ``W_std`` or ``b_std`` of all weight layers, and ``node3__W_std`` of the one that is
            node 3, which goes before.

    Raises:
        ConfigurationError: no weight layer has such a name.
        ArchitectureError: a value is not a finite number >= 0.
    """
    nodes = list(architecture.nodes)
    weight_layers = [i for i, node in enumerate(nodes) if isinstance(node.layer, WeightLayer)]
    # A node's own name comes after the name of all, whose value it overrides.
    for name in sorted(scales, key=lambda name: name not in SCALES):
        match = _NAME.fullmatch(name)
        index = None if match is None or match["index"] is None else int(match["index"])
        if match is None or (index is not None and index not in weight_layers):
            raise ConfigurationError(
                f"{name!r} of an architecture of {len(nodes)} nodes: expected W_std or b_std, or "
                f"nodeI__W_std or nodeI__b_std with I of a weight layer, one of "
                f"{', '.join(map(str, weight_layers[:8]))}{', …' if weight_layers[8:] else ''}"
            )
        change: dict[str, Any] = {match["scale"]: scales[name]}
        for i in weight_layers if index is None else [index]:
            nodes[i] = Node(replace(nodes[i].layer, **change), nodes[i].inputs)
    return Architecture(tuple(nodes))
