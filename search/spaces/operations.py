"""What a network needs of programs that are compiled for several: its operations, and room.

Programs know a set of operations and how many rows, registers and records there may be
(:class:`kernas.kernels.program.streams.InstructionSet`). Both are items here, room by counted
steps, so that a set of programs serves a network if the items of the one contain those of the
other. Gains of weights and biases are left out.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from kernas.errors import ArchitectureError
from kernas.kernels import Architecture
from kernas.kernels.engine.streams import known_stream
from kernas.kernels.program import lower
from kernas.kernels.program.ops import MomentOp, WeightOp
from kernas.kernels.program.streams import EMPTY, ROOM, InstructionSet, computed_by

Items = frozenset[tuple[Any, ...]]


def needs(architecture: Architecture, image_shape: Sequence[int]) -> Items:
    """What the programs of a network need on such images.

    Args:
        architecture: the network.
        image_shape: ``(height, width, channels)`` or ``(features,)``.

    Returns:
        Nothing for a network that has no kernel on them; the single instructions for one whose
        programs are its own.
    """
    try:
        program = lower(architecture, tuple(image_shape))
    except ArchitectureError:
        return frozenset()
    items: set[tuple[Any, ...]] = set()
    for recording in (False, True):
        stream = known_stream(program, recording)
        if stream is None:
            return frozenset(
                ("instruction", _without_gains(op.renamed(lambda _: 0, lambda _: 0)))
                for op in program.ops
                if isinstance(op, MomentOp)
            )
        items |= {(recording, *item) for item in _items(EMPTY.extended(stream))}
    return frozenset(items)


def needs_of(architectures: Iterable[Architecture], image_shape: Sequence[int]) -> Items:
    """What the programs of several networks need together."""
    return frozenset().union(*(needs(network, image_shape) for network in architectures))


def _items(instructions: InstructionSet) -> Iterator[tuple[Any, ...]]:
    for bank in instructions.banks:
        for kind, operations in (("made", bank.operations), ("diagonal", bank.diagonals)):
            for operation in operations:
                yield from ((kind, bank.grid, part) for part in computed_by(operation))
        yield from _steps("rows", bank.grid, bank.rows // ROOM)
        yield from _steps("registers", bank.grid, bank.registers)
    for kind, rooms in (("variances", instructions.variances), ("means", instructions.means)):
        for pixels, places in rooms:
            yield from _steps(kind, pixels, places // ROOM)
    yield from _steps("scales", None, -(-instructions.scales // ROOM))
    yield from _steps("reads", None, instructions.reads)


def _steps(kind: str, of: Any, count: int) -> Iterator[tuple[Any, ...]]:
    return ((kind, of, step) for step in range(count))


def _without_gains(op: MomentOp) -> MomentOp:
    return op.without_gains() if isinstance(op, WeightOp) else op
