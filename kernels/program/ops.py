"""The instructions of a covariance program.

A program is a straight line of instructions in single assignment form: instruction ``i`` defines
value ``i`` and reads earlier ones. A *moment* is a value per pair of images, ``K`` and ``Θ`` over
pixels of both (``covariance/__init__.py`` has the layout). A *record* is a value per image, which
is computed once for each image and then read by all the pairs it stands in.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from functools import cached_property
from typing import Self

from ..architecture.activations import Activation
from ..architecture.layers import AvgPool, Conv, GlobalAvgPool
from ..architecture.weights import RATES

Pixels = tuple[int, int]

Rename = Callable[[int], int]

RECORD_FIELDS = (
    "variance",
    "left_variance",
    "right_variance",
    "left_scale",
    "right_scale",
    "left_mean",
    "right_mean",
    "mean",
)
"""The fields of instructions that name a record."""


@dataclass(frozen=True)
class Op:
    """An instruction. ``reads`` lists the moments it reads, ``records`` the records."""

    @property
    def reads(self) -> tuple[int, ...]:
        return ()

    @property
    def records(self) -> tuple[int, ...]:
        return ()

    def renamed(self, moment: Rename, record: Rename) -> Self:
        """The same instruction on moments and records of other numbers."""
        changed = {
            field.name: record(value) if field.name in RECORD_FIELDS else moment(value)
            for field in fields(self)
            if field.name in ("source", *RECORD_FIELDS)
            and (value := getattr(self, field.name)) is not None
        }
        return replace(self, **changed)


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
class TapOp(ReadOp):
    """The mean over a convolution's window, whose taps move both pixels together."""

    window: Conv


@dataclass(frozen=True)
class WeightOp(ReadOp):
    """The output of a weight layer with itself, ``source`` being the mean over its window.

    ``rates`` multiply what its weights and biases add to the tangent kernel."""

    W_std: float
    b_std: float
    trainable: bool
    rates: tuple[float, float] = RATES

    @property
    def rated(self) -> bool:
        """Whether the rates are not 1."""
        return self.rates != RATES

    @property
    def gains(self) -> tuple[float, ...]:
        """σ_w² and σ_b², and with rates what the layer's own K and 1 add to Θ."""
        squares = self.W_std * self.W_std, self.b_std * self.b_std
        if not self.rated:
            return squares
        return (
            *squares,
            *(rate * square for rate, square in zip(self.rates, squares, strict=True)),
        )

    def without_gains(self) -> WeightOp:
        """Equal for layers that differ in numbers alone."""
        rates = (0.0, 0.0) if self.rated else self.rates
        return replace(self, W_std=1.0, b_std=0.0, rates=rates)


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

    def renamed(self, moment: Rename, record: Rename) -> Self:
        return replace(self, terms=tuple((moment(value), times) for value, times in self.terms))


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
    """Per image: mean over reference images, left, of a moment averaged over their pixels."""


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
    """Lowered architectures: one, or several that share what is equal.

    Attributes:
        ops: the instructions.
        outputs: for each architecture the moment that is its kernel, ``None`` if the network is
            zero everywhere.
        image_shape: ``(height, width, channels)``, a signal's one row high, or ``(features,)``.
        scales: for each ``Normalize`` node of the only architecture, the records of its scales,
            one for each block of its channels; ``None`` for a block that is zero or that the
            kernel does not read.
    """

    ops: tuple[Op, ...]
    outputs: tuple[int | None, ...]
    image_shape: tuple[int, ...]
    scales: tuple[tuple[int, tuple[int | None, ...]], ...] = ()

    @cached_property
    def _hash(self) -> int:
        return hash((self.ops, self.outputs, self.image_shape, self.scales))

    def __hash__(self) -> int:
        """Kept: plans and streams are remembered by their program."""
        return self._hash

    @property
    def needs_reference(self) -> bool:
        """Whether statistics of reference images enter the kernel."""
        return any(isinstance(op, ScaleOp) for op in self.ops)
