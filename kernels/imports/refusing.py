"""Layers that have no rule here, by their names, and what could stand in."""

from __future__ import annotations

from collections.abc import Sequence

from kernas.errors import ArchitectureError

from ..architecture.foreign_names import answer
from ..architecture.layers import LAYERS
from .steps import NoRule, Operation

NAMED = 4
"""Layers that a message names."""

FAMILIES = ("attention", "transformer", "lstm", "gru", "rnn", "embedding", "softmax")
"""Words in the names of classes whose answers are those of the word."""


def no_rule(kind: str, reason: str | None = None) -> NoRule:
    """The step of a layer without a rule.

    Args:
        kind: what its library calls it.
        reason: why, if its name does not say it.
    """
    family = next((word for word in FAMILIES if word in kind.lower()), "")
    found = (reason, answer(kind, LAYERS), answer(family, LAYERS) if family else None)
    said = [text for text in found if text is not None and not text.startswith("perhaps")]
    return NoRule(said[0] if said else "no layer here computes it")


def refused_groups(groups: int, read: int, made: int) -> NoRule | None:
    """The step of a convolution whose groups of channels no layer has, ``None`` if one has them.

    Args:
        groups: of channels.
        read: channels of its input.
        made: channels of its output.
    """
    if groups == 1 or groups == read == made:
        return None
    return NoRule(
        f"no layer here has {groups} groups of channels ({read} to {made}); one filter a channel "
        "is DepthwiseConv(window), one for all Conv(window)"
    )


def refuse(operation: Operation, reason: str) -> ArchitectureError:
    """The error that names a layer of the network, which is to be raised."""
    return ArchitectureError(f"{operation} cannot be imported: {reason}")


def refuse_all(operations: Sequence[Operation]) -> ArchitectureError:
    """The error that names every layer without a rule, those of one reason together."""
    reasons: dict[str, list[Operation]] = {}
    for operation in operations:
        assert isinstance(operation.step, NoRule)
        reasons.setdefault(operation.step.reason, []).append(operation)
    parts: list[str] = []
    for reason, those in list(reasons.items())[:NAMED]:
        more = f" and {len(those) - NAMED} more" if len(those) > NAMED else ""
        parts.append(f"{', '.join(map(str, those[:NAMED]))}{more}: {reason}")
    if len(reasons) > NAMED:
        parts.append("others")
    return ArchitectureError(f"no exact kernel, and no layer here, for {'; '.join(parts)}")
