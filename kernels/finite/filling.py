"""The variables of a filled network, taken out of those of its template."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ..architecture import Architecture
from ..architecture.slots import Slot, check_choices


def filled_variables(
    template: Architecture, choices: Sequence[int], variables: Mapping[str, Any]
) -> dict[str, dict[str, Any]]:
    """The variables of ``finite_network(filled(template, choices), …)``.

    Args:
        template: a network with slots, or without.
        choices: as of :func:`kernas.kernels.architecture.slots.filled`.
        variables: of ``finite_network(template, …)``, by collection. Those of the branches that are
            not chosen are left out.

    Raises:
        ArchitectureError: the numbers do not fit the slots.
    """
    places = list(_places(template, check_choices(template, tuple(choices))))
    found: dict[str, dict[str, Any]] = {}
    for collection, layers in variables.items():
        here: dict[str, Any] = {}
        for number, (branch, own) in enumerate(places, start=1):
            where: Any = layers
            for name in branch:
                where = where.get(name, {})
            kind, _, _ = own.rpartition("_")
            if own in where:
                here[f"{kind}_{number}"] = where[own]
        if here:
            found[collection] = here
    return found


def _places(
    template: Architecture, choices: Sequence[int]
) -> Iterator[tuple[tuple[str, ...], str]]:
    """Of each node of the filled network, without its input: the branch that it is in, and the name
    of its variables there."""
    for index, node in enumerate(template.nodes[1:], start=1):
        if not isinstance(node.layer, Slot):
            yield (), f"{type(node.layer).__name__}_{index}"
            continue
        number = choices[node.layer.choice]
        branch = (f"Slot_{index}", f"branches_{number}")
        for place, own in enumerate(node.layer.branches[number].nodes[1:], start=1):
            yield branch, f"{type(own.layer).__name__}_{place}"
