"""Networks with open places: a slot is one of several small networks, which a number chooses.

Many networks that differ in what stands in such places, as the cells of a search space do, are one
*template* and some numbers each. A finite network of the template computes any of them without
being compiled again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from kernas.errors import ArchitectureError

from .base import Layer, integer_in
from .combinators import GraphBuilder
from .graph import Architecture

LARGEST_CHOICE = 2**16
"""Numbers that decide the slots of one template are fewer."""


@dataclass(frozen=True)
class Slot(Layer):
    """One of several networks, each of which keeps the pixels and the channels that it reads.

    ``y = branches[choices[choice]](x)``, with ``choices`` what the template is filled with.
    Several slots with one ``choice`` are filled alike, each with weights of its own.

    Args:
        branches: what may stand here, at least two, without slots of their own.
        choice: the place in ``choices`` of the number that decides, >= 0.

    Raises:
        ArchitectureError: a parameter is out of its range.
    """

    branches: tuple[Architecture, ...]
    choice: int

    def __post_init__(self) -> None:
        object.__setattr__(self, "branches", tuple(self.branches))
        if len(self.branches) < 2 or not all(isinstance(b, Architecture) for b in self.branches):
            raise ArchitectureError(
                f"branches={self.branches!r:.80}: expected two or more architectures, for example "
                "serial(Identity()) and serial(Zero())"
            )
        if any(slots_of(branch) for branch in self.branches):
            raise ArchitectureError(
                "a branch of a slot has a slot itself: expected branches whose layers are known; "
                "list every combination as a branch of its own"
            )
        integer_in(self.choice, "choice", 0, LARGEST_CHOICE - 1)

    def parameters(self) -> dict[str, Any]:
        """Refused: an open network has neither a hash nor a JSON form.

        Raises:
            ArchitectureError: always.
        """
        raise ArchitectureError(
            "a network with open slots has no hash and no JSON form, only one that is filled; "
            "fill it with filled(network, choices)"
        )


def slots_of(architecture: Architecture) -> tuple[Slot, ...]:
    """The slots of a network, in the order of its nodes; none of an ordinary one."""
    return tuple(node.layer for node in architecture.nodes if isinstance(node.layer, Slot))


def branches_of(architecture: Architecture) -> tuple[int, ...]:
    """Of each number that fills slots, how many branches it chooses among: the least of its slots.

    A number that no slot reads is 0.
    """
    found: dict[int, int] = {}
    for slot in slots_of(architecture):
        found[slot.choice] = min(len(slot.branches), found.get(slot.choice, len(slot.branches)))
    return tuple(found.get(place, 1) for place in range(max(found, default=-1) + 1))


def check_choices(architecture: Architecture, choices: Any) -> Any:
    """The numbers that fill a network's slots.

    Args:
        architecture: a template.
        choices: numbers; of an array, which may be known only when a program runs, the shape alone
            is looked at. A row of weights in place of each number mixes branches.

    Raises:
        ArchitectureError: they are not one for each choice, or one is not a branch's number.
    """
    branches = branches_of(architecture)
    wide = (len(branches), max(branches, default=0))
    if np.shape(choices) not in ((len(branches),), wide):
        raise ArchitectureError(
            f"choices of shape {np.shape(choices)} for a network whose slots read {len(branches)}: "
            f"expected one number for each, or weights of shape {wide}"
        )
    if not hasattr(choices, "dtype"):
        for place, (number, count) in enumerate(zip(choices, branches, strict=True)):
            integer_in(number, f"choices[{place}]", 0, count - 1, ", the number of a branch")
    return choices


def filled(architecture: Architecture, choices: Sequence[int]) -> Architecture:
    """The network whose slots hold the branches of these numbers.

    Args:
        architecture: a template; one without slots is returned as it is, of no choices.
        choices: for each :attr:`Slot.choice` the number of the branch.

    Raises:
        ArchitectureError: the numbers do not fit the slots.

    >>> from kernas.kernels import Conv, Dense, Identity, GlobalAvgPool, Relu, serial
    >>> slot = Slot((serial(Identity()), serial(Relu(), Conv(3))), choice=0)
    >>> template = serial(Conv(3), slot, Relu(), GlobalAvgPool(), Dense())
    >>> filled(template, (1,)) == serial(
    ...     Conv(3), Relu(), Conv(3), Relu(), GlobalAvgPool(), Dense()
    ... )
    True
    """
    given = check_choices(architecture, tuple(choices))
    builder = GraphBuilder()
    places = [builder.input]
    for node in architecture.nodes[1:]:
        inputs = [places[i] for i in node.inputs]
        layer = node.layer
        part = layer.branches[given[layer.choice]] if isinstance(layer, Slot) else layer
        places.append(builder.add(part, *inputs))
    return builder.build(places[-1])
