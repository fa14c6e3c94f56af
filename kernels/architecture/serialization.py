"""The JSON form of an architecture: versioned, readable, round-trips exactly."""

from __future__ import annotations

import json
from typing import Any

from kernas.documents import INTEGER, OBJECT, expect, field, list_of, parse
from kernas.errors import ArchitectureError, DocumentError

from .foreign_names import answer
from .layers import LAYERS, Layer

FORMAT = "kernas.architecture"
VERSION = 1


def layer_to_dict(layer: Layer) -> dict[str, Any]:
    """``{"layer": name, parameter: value, …}``, in the order of the layer's fields."""
    return {"layer": type(layer).__name__, **layer.parameters()}


def layer_from_dict(data: dict[str, Any]) -> Layer:
    """The inverse of :func:`layer_to_dict`.

    Raises:
        ArchitectureError: there is no such layer, or it cannot have these parameters.
    """
    parameters = {key: _tuples(value) for key, value in data.items() if key != "layer"}
    name = data.get("layer")
    if not isinstance(name, str) or name not in LAYERS:
        known = answer(name, LAYERS) if isinstance(name, str) else None
        said = known or f"expected one of {', '.join(LAYERS)}"
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
        document = parse(text)
        if not isinstance(document, dict) or document.get("format") != FORMAT:
            raise ArchitectureError(
                f'not an architecture: expected an object with "format": "{FORMAT}"; '
                "write it with Architecture.to_json()"
            )
        version = field(document, "version", INTEGER)
        if version != VERSION:
            raise ArchitectureError(
                f"architecture of format version {version}: this kernas reads version {VERSION}; "
                "use the kernas that wrote it, or write it again"
            )
        nodes = field(document, "nodes", list_of(OBJECT))
        return tuple(_node(index, node) for index, node in enumerate(nodes))
    except DocumentError as error:
        raise ArchitectureError(
            f'{error}; expected an object with "format", "version" and "nodes", as '
            "Architecture.to_json() writes it"
        ) from None


def _node(index: int, data: dict[str, Any]) -> tuple[Layer, tuple[int, ...]]:
    inputs = expect(data.get("inputs"), list_of(INTEGER), f'"inputs" of node {index}')
    layer = {key: value for key, value in data.items() if key != "inputs"}
    return layer_from_dict(layer), tuple(inputs)


def _tuples(value: Any) -> Any:
    return tuple(_tuples(v) for v in value) if isinstance(value, list) else value
