"""The JSON form of an architecture: versioned, readable, round-trips exactly."""

from __future__ import annotations

import json
from typing import Any

from kernas.errors import ArchitectureError

from .foreign_names import answer
from .layers import LAYERS, Layer

FORMAT = "kernas.architecture"
VERSION = 1


def layer_to_dict(layer: Layer) -> dict[str, Any]:
    """``{"layer": name, parameter: value, …}``, in the order of the layer's fields."""
    return {"layer": type(layer).__name__, **layer.parameters()}


def layer_from_dict(data: dict[str, Any]) -> Layer:
    """The inverse of :func:`layer_to_dict`."""
    parameters = {key: _tuples(value) for key, value in data.items() if key != "layer"}
    name = data.get("layer")
    if name not in LAYERS:
        said = answer(name, LAYERS) or f"expected one of {', '.join(LAYERS)}"
        raise ArchitectureError(f"unknown layer {name!r}: {said}")
    try:
        return LAYERS[name](**parameters)
    except (TypeError, ArchitectureError) as error:
        raise ArchitectureError(f"layer {name} cannot have these parameters: {error}") from None


def to_json(nodes: tuple[tuple[Layer, tuple[int, ...]], ...]) -> str:
    """The document of a graph given as ``(layer, inputs)`` in topological order."""
    document = {
        "format": FORMAT,
        "version": VERSION,
        "nodes": [{**layer_to_dict(layer), "inputs": list(inputs)} for layer, inputs in nodes],
    }
    return json.dumps(document, indent=1)


def from_json(text: str) -> tuple[tuple[Layer, tuple[int, ...]], ...]:
    """The inverse of :func:`to_json`.

    Raises:
        ArchitectureError: the text is not JSON, of another format or version, or malformed.
    """
    try:
        document = json.loads(text)
    except json.JSONDecodeError as error:
        raise ArchitectureError(
            f"not JSON ({error}); write architectures with Architecture.to_json()"
        ) from None
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        raise ArchitectureError(
            f'not an architecture: expected an object with "format": "{FORMAT}"; '
            "write it with Architecture.to_json()"
        )
    if document.get("version") != VERSION:
        raise ArchitectureError(
            f"architecture of format version {document.get('version')!r}: this kernas reads "
            f"version {VERSION}; use the kernas that wrote it, or write it again"
        )
    nodes = document.get("nodes")
    if not isinstance(nodes, list) or not all(isinstance(node, dict) for node in nodes):
        raise ArchitectureError('an architecture needs "nodes", a list of objects')
    return tuple(_node(index, node) for index, node in enumerate(nodes))


def _node(index: int, data: dict[str, Any]) -> tuple[Layer, tuple[int, ...]]:
    inputs = data.get("inputs")
    if not isinstance(inputs, list) or not all(
        isinstance(i, int) and not isinstance(i, bool) for i in inputs
    ):
        raise ArchitectureError(f'node {index} has "inputs": {inputs!r}, expected a list of nodes')
    return layer_from_dict({k: v for k, v in data.items() if k != "inputs"}), tuple(inputs)


def _tuples(value: Any) -> Any:
    return tuple(_tuples(v) for v in value) if isinstance(value, list) else value
