"""What is compiled for streams: of one network, or of several that share it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

from kernas.errors import ArchitectureError

from ..architecture import Architecture
from ..architecture.windows import as_image
from ..covariance.activations import has_closed_form
from ..program import lower
from ..program.ops import DualOp, Program
from ..program.streams import EMPTY, InstructionSet, Stream, stream_of


@lru_cache(maxsize=1024)
def known_stream(program: Program, recording: bool) -> Stream | None:
    """The stream of a program; ``None`` if it cannot be one, or has a series for each pixel."""
    for op in program.ops:
        if isinstance(op, DualOp) and not has_closed_form(op.left_activation, op.right_activation):
            return None
    return stream_of(program, recording=recording)


def is_stream(program: Program) -> bool:
    """Whether a program can be computed as a stream."""
    return all(known_stream(program, recording) is not None for recording in (False, True))


def stream_for(program: Program, recording: bool) -> Stream:
    """The stream of a program that can be one."""
    stream = known_stream(program, recording)
    assert stream is not None
    return stream


@dataclass(frozen=True)
class SharedPrograms:
    """What is compiled for several networks on images of one shape.

    Small images in networks with pools or strides inside are computed by programs that take the
    network as data (``docs/engine.md``). Such a program knows the operations of the networks of
    which this was made, in any order, and serves every network that needs no others: it is
    compiled once for all of them, and not for each by itself. It changes no result but last
    digits. Given to kernels as ``NeuralKernel(architecture, programs=programs)``; a value that can
    be compared, hashed and pickled.

    Attributes:
        image_shape: ``(height, width, channels)`` or ``(features,)``.
        recording: the operations by which images are recorded.
        pairs: those by which pairs of recorded images are computed.
    """

    image_shape: tuple[int, ...]
    recording: InstructionSet = EMPTY
    pairs: InstructionSet = EMPTY

    @classmethod
    def of(
        cls, architectures: Iterable[Architecture], image_shape: Sequence[int]
    ) -> SharedPrograms:
        """What is compiled for some networks.

        Args:
            architectures: in any order. One that does not fit the images is passed over, its
                kernel says why; one that is computed in another way has nothing to share.
            image_shape: ``(height, width, channels)`` or ``(features,)``.
        """
        return cls(as_image(image_shape)).extended(architectures)

    def extended(self, architectures: Iterable[Architecture]) -> SharedPrograms:
        """What is compiled for further networks as well, this value being left as it is.

        Args:
            architectures: as of :meth:`of`.
        """
        programs = list(self._streams(architectures))
        recording, pairs = (
            instructions.extended(*(stream_for(program, flag) for program in programs))
            for instructions, flag in ((self.recording, True), (self.pairs, False))
        )
        return SharedPrograms(self.image_shape, recording, pairs)

    def holds(self, program: Program) -> bool:
        """Whether a lowered network runs in what is compiled."""
        return (
            program.image_shape == self.image_shape
            and is_stream(program)
            and all(_held(program, flag, self.instructions(flag)) for flag in (False, True))
        )

    def instructions(self, recording: bool) -> InstructionSet:
        """The operations by which images are recorded, or those of pairs."""
        return self.recording if recording else self.pairs

    def _streams(self, architectures: Iterable[Architecture]) -> Iterator[Program]:
        for architecture in architectures:
            with contextlib.suppress(ArchitectureError):
                program = lower(architecture, self.image_shape)
                if is_stream(program):
                    yield program


@lru_cache(maxsize=1024)
def own_instructions(program: Program, recording: bool) -> InstructionSet:
    """What is compiled for a program by itself, one that can be a stream."""
    return EMPTY.extended(stream_for(program, recording))


@lru_cache(maxsize=1024)
def _held(program: Program, recording: bool, instructions: InstructionSet) -> bool:
    return instructions.holds(stream_for(program, recording))
