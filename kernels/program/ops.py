"""The instructions of a covariance program.

A program is a straight line of instructions in single assignment form: instruction ``i`` defines
value ``i`` and reads earlier ones. A *moment* is a value per pair of images, ``K`` and ``Θ`` over
pixels of both (``covariance/__init__.py`` has the layout). A *record* is a value per image, which
is computed once for each image and then read by all the pairs it stands in.
"""

from __future__ import annotations

from dataclasses import dataclass

from ..architecture.activations import Activation
from ..architecture.layers import AvgPool, GlobalAvgPool, WeightLayer

Pixels = tuple[int, int]

Schedule = tuple[tuple[int, tuple[int, ...]], ...]
"""Instructions in order, each with the values that it is the last to read."""


@dataclass(frozen=True)
class Op:
    """An instruction. ``reads`` lists the moments it reads, ``records`` the records."""

    @property
    def reads(self) -> tuple[int, ...]:
        return ()

    @property
    def records(self) -> tuple[int, ...]:
        return ()


@dataclass(frozen=True)
class MomentOp(Op):
    """Defines a moment between pixels of shape ``left`` and ``right``."""

    left: Pixels
    right: Pixels


@dataclass(frozen=True)
class ReadOp(MomentOp):
    """A moment made of one other, ``source``."""

    source: int

    @property
    def reads(self) -> tuple[int, ...]:
        return (self.source,)


@dataclass(frozen=True)
class ImageOp(MomentOp):
    """The images' own products; with ``flat``, of all pixels side by side."""

    flat: bool


@dataclass(frozen=True)
class ZeroOp(MomentOp):
    """Zero: two nodes that share no randomness, where an instruction needs to read it."""


@dataclass(frozen=True)
class WeightOp(ReadOp):
    """The output of a weight layer with itself."""

    layer: WeightLayer


@dataclass(frozen=True)
class DualOp(ReadOp):
    """Two nonlinearities' outputs: the dual of ``source`` and of the variances of both sides."""

    left_activation: Activation
    right_activation: Activation
    left_variance: int
    right_variance: int

    @property
    def records(self) -> tuple[int, ...]:
        return (self.left_variance, self.right_variance)


@dataclass(frozen=True)
class SteinOp(ReadOp):
    """A nonlinearity's output on ``side`` with a Gaussian node: ``source · E[φ'(b)]``."""

    activation: Activation
    variance: int
    side: int

    @property
    def records(self) -> tuple[int, ...]:
        return (self.variance,)


@dataclass(frozen=True)
class PoolOp(ReadOp):
    """A pool on the left (``side`` 0) or right (1) pixels of ``source``."""

    layer: AvgPool | GlobalAvgPool
    side: int


@dataclass(frozen=True)
class LayerNormOp(ReadOp):
    """``source`` over ``sqrt(variance + eps)`` of the left (``side`` 0) or right (1) image."""

    eps: float
    variance: int
    side: int

    @property
    def records(self) -> tuple[int, ...]:
        return (self.variance,)


@dataclass(frozen=True)
class FlattenOp(ReadOp):
    """Two flattened images: the mean over equal pixels of ``source``."""


@dataclass(frozen=True)
class SumOp(MomentOp):
    """``Σ times · value`` over ``terms``, pairs ``(value, times)``.

    Of a sum ``times`` are integers, of a concatenation shares of the channels.
    """

    terms: tuple[tuple[int, float], ...]

    @property
    def reads(self) -> tuple[int, ...]:
        return tuple(value for value, _ in self.terms)


@dataclass(frozen=True)
class NormalizeOp(ReadOp):
    """Normalisation of the left side, the right side or both.

    Attributes:
        left_scale: record of the left side's scale, ``None`` where only the right is normalised.
        right_scale: likewise for the right side.
        left_mean: record to subtract for the left image's pixels, where the right side is centred.
        right_mean: record to subtract for the right image's pixels, where the left is centred.
    """

    left_scale: int | None
    right_scale: int | None
    left_mean: int | None
    right_mean: int | None

    @property
    def records(self) -> tuple[int, ...]:
        parts = (self.left_scale, self.right_scale, self.left_mean, self.right_mean)
        return tuple(part for part in parts if part is not None)


@dataclass(frozen=True)
class RecordOp(Op):
    """Defines a record, made of the moment ``source``."""

    source: int

    @property
    def reads(self) -> tuple[int, ...]:
        return (self.source,)


@dataclass(frozen=True)
class VarianceOp(RecordOp):
    """Per image: ``K(x, x)[p, p]`` of a node."""


@dataclass(frozen=True)
class MeanOp(RecordOp):
    """Per image: mean over reference images (left) and their pixels, of ``K`` and of ``Θ``."""


@dataclass(frozen=True)
class ScaleOp(RecordOp):
    """Of the reference images alone: ``1 / (v − m)``, ``source`` being the node with itself.

    Attributes:
        mean: the record whose mean over reference images is ``m``, ``None`` for ``m = 0``.
    """

    mean: int | None

    @property
    def records(self) -> tuple[int, ...]:
        return () if self.mean is None else (self.mean,)


@dataclass(frozen=True)
class Program:
    """A lowered architecture.

    Attributes:
        ops: the instructions.
        output: the moment that is the kernel, ``None`` if the network is zero everywhere.
        image_shape: ``(height, width, channels)`` or ``(features,)``.
        scales: for each ``Normalize`` node, the records of its scales, one for each block of its
            channels; ``None`` for a block that is zero or that the kernel does not read.
    """

    ops: tuple[Op, ...]
    output: int | None
    image_shape: tuple[int, ...]
    scales: tuple[tuple[int, tuple[int | None, ...]], ...]

    @property
    def needs_reference(self) -> bool:
        """Whether statistics of reference images enter the kernel."""
        return any(isinstance(op, ScaleOp) for op in self.ops)

    @property
    def meets_reference(self) -> bool:
        """Whether every image has to be paired with the reference images first."""
        return any(isinstance(op, MeanOp) for op in self.ops)

    def schedule(self, *, records: bool) -> Schedule:
        """Instructions to execute, each with the moments that no later one of them reads.

        Args:
            records: those of the records as well as of the output.
        """
        wanted = set() if self.output is None else {self.output}
        if records:
            wanted |= {i for i, op in enumerate(self.ops) if isinstance(op, RecordOp)}
        for index in range(len(self.ops) - 1, -1, -1):
            if index in wanted:
                wanted.update(self.ops[index].reads)
        last = {value: index for index in sorted(wanted) for value in self.ops[index].reads}
        ends: dict[int, tuple[int, ...]] = dict.fromkeys(sorted(wanted), ())
        for value, index in last.items():
            ends[index] += (value,)
        return tuple(ends.items())
