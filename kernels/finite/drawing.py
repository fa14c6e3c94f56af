"""The variables of a finite network at the start of its training, drawn by NumPy.

They are those of the parameterisation ``"standard"``. Nothing is compiled, so that networks that
differ in gains share the programs that train them, and equal generators draw equal bytes on every
device.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ..architecture import Architecture, Normalize
from ..architecture.slots import Slot
from ..architecture.widths import weight_deviations


def draw_variables(
    architecture: Architecture, shapes: Mapping[str, Any], rng: np.random.Generator
) -> dict[str, Any]:
    """Weights and biases normal with the layers' deviations, statistics 0 and 1.

    Args:
        architecture: the network, or a template.
        shapes: of the variables, as ``jax.eval_shape`` gives them of a finite network's ``init``.
        rng: is drawn from in the order of collections and layers.
    """
    return {collection: _drawn(architecture, of, rng) for collection, of in sorted(shapes.items())}


def _drawn(
    architecture: Architecture, shapes: Mapping[str, Any], rng: np.random.Generator
) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, parts in sorted(shapes.items(), key=lambda item: _number(item[0])):
        layer: Any = architecture.nodes[_number(name)].layer
        if isinstance(layer, Slot):
            found[name] = {
                branch: _drawn(layer.branches[_number(branch)], own, rng)
                for branch, own in sorted(parts.items(), key=lambda item: _number(item[0]))
            }
        elif isinstance(layer, Normalize):
            found[name] = {
                part: np.full(leaf.shape, float(part != "mean"), leaf.dtype)
                for part, leaf in parts.items()
            }
        else:
            deviations = weight_deviations(layer, parts["kernel"].shape)
            found[name] = {
                part: (deviations[part] * rng.standard_normal(leaf.shape)).astype(leaf.dtype)
                for part, leaf in sorted(parts.items())
            }
    return found


def _number(name: str) -> int:
    """Of a node, or of a branch: the end of its name."""
    return int(name.rpartition("_")[2])
