"""A program with all that says how the engine runs it."""

from __future__ import annotations

from dataclasses import dataclass

from ..program.ops import Program
from ..program.streams import InstructionSet
from .blocking import Blocking
from .sharing import SharedPrograms, own_instructions


@dataclass(frozen=True)
class Execution:
    """A program, and how the engine runs it.

    Attributes:
        program: the lowered networks.
        blocking: how the work is cut.
        with_tangent: whether ``Θ`` is wanted.
        programs: what is compiled for several networks; without, or where it does not hold the
            program, a stream is compiled by itself.
    """

    program: Program
    blocking: Blocking
    with_tangent: bool
    programs: SharedPrograms | None = None

    @property
    def shared(self) -> SharedPrograms | None:
        """The programs of several networks in which this one runs, if it does."""
        if self.blocking.way != "stream" or self.programs is None:
            return None
        return self.programs if self.programs.holds(self.program) else None

    def instructions(self, recording: bool) -> InstructionSet:
        """What is compiled for a stream that records images, or computes pairs of them."""
        if self.shared is None:
            return own_instructions(self.program, recording)
        return self.shared.instructions(recording)
