"""What an output needs, with arithmetic on numbers taken together to the layers that it is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from ..architecture import Activation, Sum
from ..covariance.activations.functions import function_of
from .recognition import recognized
from .refusing import no_rule, refuse_all
from .steps import Affine, Array, NoRule, Operation, Pointwise, Step

FARTHEST = 40
"""Operations that an activation written in arithmetic is looked for over."""


def settled(operations: Sequence[Operation], output: str) -> list[Operation]:
    """The operations that the output needs, none of them :class:`Pointwise`.

    Arithmetic that depends on one tensor alone is a function of its numbers: the nearest tensor of
    which it is a known function, as ``recognized`` finds it, is what the activation reads. Two
    tensors that are added and are no such function are a ``Sum``.

    Args:
        operations: in topological order.
        output: the name of one.

    Raises:
        ArchitectureError: layers that the output needs have no rule; the message names them.
    """
    known = {operation.name: operation for operation in operations}
    order = {name: place for place, name in enumerate(known)}
    needed, kept = {output}, []
    for operation in reversed(operations):
        if operation.name not in needed:
            continue
        if isinstance(operation.step, Pointwise):
            operation = _whole(operation, operation.step, known, order)
        kept.append(operation)
        needed.update(operation.inputs)
    kept.reverse()
    if refused := [operation for operation in kept if isinstance(operation.step, NoRule)]:
        raise refuse_all([part for part in refused if part.kind != "getitem"] or refused)
    return kept


def _whole(
    operation: Operation, step: Pointwise, known: Mapping[str, Operation], order: Mapping[str, int]
) -> Operation:
    """The activation, scale or sum that an operation ends."""
    for root in _ancestors(operation, known, order):
        found = recognized(lambda x, root=root: _value(operation.name, root, x, known, {}))
        if found is None or (step.adds and len(operation.inputs) == 2 and _straight(found)):
            continue
        return replace(operation, step=found, inputs=(root,))
    if step.adds and len(operation.inputs) == 2:
        return replace(operation, step=Sum())
    several = len(operation.inputs) > 1 and operation.kind not in ("mul", "Mul", "multiply")
    reason = "no layer here computes such a function of several inputs; join them with Sum()"
    kind = "multiply" if operation.kind in ("mul", "Mul") else operation.kind
    return replace(operation, step=no_rule(kind, reason if several else None))


def _straight(found: Step) -> bool:
    return isinstance(found, Affine)


def _ancestors(
    operation: Operation, known: Mapping[str, Operation], order: Mapping[str, int]
) -> list[str]:
    """What the operation reads through arithmetic and depends on alone, the nearest first."""
    reached: set[str] = set()
    open_names = list(operation.inputs)
    while open_names and len(reached) < FARTHEST:
        name = open_names.pop(0)
        if name in reached:
            continue
        reached.add(name)
        if isinstance(known[name].step, Pointwise | Activation):
            open_names += known[name].inputs
    found = sorted(reached, key=order.__getitem__, reverse=True)
    return [root for root in found if _depends_on(operation.name, root, known)]


def _depends_on(name: str, root: str, known: Mapping[str, Operation]) -> bool:
    """Whether an operation is arithmetic on ``root`` and on nothing else."""
    open_names, seen = [name], {root}
    while open_names:
        name = open_names.pop()
        if name in seen:
            continue
        seen.add(name)
        if not isinstance(known[name].step, Pointwise | Activation) or len(seen) > FARTHEST:
            return False
        open_names += known[name].inputs
    return True


def _value(
    name: str, root: str, x: Array, known: Mapping[str, Operation], found: dict[str, Array]
) -> Array:
    """Arithmetic with ``x`` in place of ``root``."""
    if name == root:
        return x
    if name not in found:
        step: Any = known[name].step
        inputs = [_value(i, root, x, known, found) for i in known[name].inputs]
        function: Any = function_of(step) if isinstance(step, Activation) else step.function
        found[name] = np.asarray(function(*inputs))
    return found[name]
