"""What the programs of proxies take, about; measured on two cores."""

from __future__ import annotations

from collections.abc import Collection, Hashable, Mapping
from typing import Any

from kernas.kernels import Architecture
from kernas.kernels.architecture import Slot, WeightLayer
from kernas.kernels.architecture.counts import count

from ..base import Cost
from .probed import Need

PASSES: Mapping[Need, float] = {
    "first_order": 5.0,
    "second_batch": 5.0,
    "curvature": 9.0,
    "tangent": 1.0,
    "flow": 0.2,
    "perturbed": 2.0,
    "inside": 3.0,
    "information": 1.0,
    "regions": 0.1,
}
"""Forward passes of a batch that each takes, by operations; of the tangent kernel beside two for
each image of the batch, of the information beside two for each layer with weights."""

COMPILING: Mapping[Need, float] = {
    "first_order": 0.1,
    "curvature": 0.2,
    "tangent": 0.08,
    "flow": 0.07,
    "perturbed": 0.06,
    "inside": 0.08,
    "information": 0.08,
    "regions": 0.04,
}
"""Seconds for each layer of the template, those in slots too."""

OPERATIONS_A_SECOND = 5e9

SECONDS_A_NETWORK = 0.1
"""For its weights, and for what the host does."""


def cost_of(
    network: Architecture,
    template: Architecture,
    needs: Collection[Need],
    *,
    image_shape: tuple[int, ...],
    n_classes: int,
    width: int,
    batch_size: int,
    repeats: int,
) -> Cost:
    """Of one candidate.

    Args:
        network: of the candidate.
        template: whose programs are compiled.
        needs: of its proxies.
        image_shape, n_classes, width, batch_size, repeats: as of the source.
    """
    operations = operations_of(
        network, needs, image_shape, n_classes=n_classes, width=width, batch_size=batch_size
    )
    layers = _layers(template)
    seconds = repeats * (SECONDS_A_NETWORK + operations / OPERATIONS_A_SECOND)
    programs: dict[Hashable, float] = {
        ("proxies", template, image_shape, width, batch_size, need): COMPILING[need] * layers
        for need in needs
        if need in COMPILING
    }
    return Cost(seconds=seconds, programs=programs)


def operations_of(
    network: Architecture,
    needs: Collection[Need],
    image_shape: tuple[int, ...],
    *,
    n_classes: int,
    width: int,
    batch_size: int,
) -> float:
    """Floating-point operations of the passes of one network that is drawn, about."""
    forward = 2 * count(network, image_shape, width=width, outputs=n_classes).flops * batch_size
    passes = sum(PASSES.get(need, 0.0) for need in needs)
    weighted = sum(isinstance(node.layer, WeightLayer) for node in network.nodes)
    passes += 2 * batch_size * ("tangent" in needs) + 2 * weighted * ("information" in needs)
    return passes * forward


def _layers(architecture: Architecture) -> int:
    """Of a network and of all that may fill its slots."""

    def inside(layer: Any) -> int:
        return sum(map(_layers, layer.branches)) if isinstance(layer, Slot) else 1

    return sum(inside(node.layer) for node in architecture.nodes)
