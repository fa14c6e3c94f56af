"""Networks with other gains: programs do not depend on them, once weights are drawn."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from .graph import Architecture
from .layers import Node, WeightLayer
from .slots import Slot


def with_gains(architecture: Architecture, W_std: float) -> Architecture:
    """A network, or a template, all of whose weight layers have one gain.

    A layer that has a bias keeps it, with a deviation of 1.
    """

    def changed(layer: Any) -> Any:
        if isinstance(layer, WeightLayer):
            return replace(layer, W_std=W_std, b_std=float(layer.b_std > 0))
        if isinstance(layer, Slot):
            branches = tuple(with_gains(branch, W_std) for branch in layer.branches)
            return replace(layer, branches=branches)
        return layer

    return Architecture(tuple(Node(changed(n.layer), n.inputs) for n in architecture.nodes))
