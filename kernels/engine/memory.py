"""How many bytes a plan takes while it runs."""

from __future__ import annotations

import math

import jax.numpy as jnp

from ..architecture.activations import (
    Activation,
    Erf,
    Exp,
    Gaussian,
    Gelu,
    Hermite,
    Monomial,
    Sign,
)
from ..covariance.activations import has_closed_form
from ..covariance.activations.series import NODES, TERMS
from ..covariance.images import UNROLLED_CHANNELS
from ..program.ops import (
    DualOp,
    ImageOp,
    LayerNormOp,
    MomentOp,
    NormalizeOp,
    Program,
    SteinOp,
    TapOp,
)
from ..program.planning import LocalStep, Plan, ProductStep, RecordStep, Step
from ..program.streams import Grid, InstructionSet

PLANES_ALIVE = 3
"""Planes of both kernels that a fused step holds: what a layer reads, what it writes, a readout."""

MOMENTS_OF_OPERATION, COPIES_OF_IMAGE = 2, 2
"""Moments that an operation of a stream holds beside the registers, and how often each image."""

ARRAYS_OF_NODES = 3
"""Over the nodes of the quadrature, while the coefficients of a series are made."""

ARRAYS_OF_RIGHT_PIXELS = {SteinOp: 2, LayerNormOp: 1, NormalizeOp: 2}
"""Of an instruction: slopes, a scale, a mean of both kernels."""

PARTS_OF_VARIANCE: dict[type[Activation], int] = {
    **dict.fromkeys((Sign, Exp, Monomial, Hermite), 1),
    **dict.fromkeys((Erf, Gelu, Gaussian), 3),
}
"""Of v, √v and 1/√v, how many a nonlinearity's formula reads of the right image; others read two
(the roots)."""


def pair_bytes(plan: Plan, *, with_tangent: bool, by_plane: bool = False) -> int:
    """Most bytes alive at once for one pair of images.

    Args:
        plan: what runs.
        with_tangent: whether ``Θ`` is computed.
        by_plane: whether fused steps run plane by plane: then with the right image's quantities,
            each twice beside itself, and the planes between layers.
    """
    moment = _item() * (2 if with_tangent else 1)
    alive: dict[int, int] = {}
    most = 0
    for step, last_reads in zip(plan.steps, plan.last_reads, strict=True):
        if not isinstance(step, RecordStep):
            whole = step.defines if isinstance(step, LocalStep) else (step.defines,)
            item = _item() if isinstance(step, ProductStep) else moment  # images have no Θ
            for value in whole:
                alive[value] = item * math.prod(axis.length for axis in plan.axes[value])
            if isinstance(step, LocalStep):
                alive |= dict.fromkeys(step.readouts, moment)
        inside = step_bytes(plan, step, with_tangent=with_tangent) if by_plane else 0
        most = max(most, sum(alive.values()) + inside)
        for value in last_reads:
            del alive[value]
    return most


def step_bytes(plan: Plan, step: Step, *, with_tangent: bool) -> int:
    """Bytes for one pair that a step needs beside its moments.

    A matrix product needs its result, all pairs of pixels, and the right image twice: taken from
    the others, and as XLA lays it out for the product. A step of one plane needs its series
    (:func:`series_bytes`). One that runs plane by plane needs:

    - Every quantity of the right image's pixels, beside itself along both axes, mostly twice
      (:attr:`Axis.copies`): channels, and what instructions read of variances. Of a nonlinearity
      without closed form those are the ``TERMS`` coefficients of its series; making them takes
      ``ARRAYS_OF_NODES`` arrays over its ``NODES``.
    - Planes with a border: what the readout weighs, and what the last layer reads; with several
      windows what it writes as well.
    - The outputs, since the loop over planes writes them beside what it was given.

    tests/kernels/test_memory.py compares this with what XLA says of compiled programs.
    """
    if isinstance(step, ProductStep):
        pairs = math.prod(axis.left * axis.right for axis in plan.axes[step.defines])
        return (pairs + 2 * math.prod(plan.program.image_shape)) * _item()
    if not isinstance(step, LocalStep):
        return 0
    rows, columns = step.body.axes
    ops, item = step.body.ops, _item()
    if step.body.planes == 1:
        return sum(series_bytes(op) for op in ops)
    moment = item * (2 if with_tangent else 1)
    arrays = sum(_arrays_of_right_pixels(op, plan.program.image_shape[-1]) for op in ops)
    doubled = arrays * item * math.prod(axis.copies * axis.modulus for axis in (rows, columns))
    making = ARRAYS_OF_NODES * NODES * rows.right * columns.right * item
    series = making if any(map(_is_series, ops)) else 0
    windows = sum(isinstance(op, TapOp) for op in ops)
    planes = min(PLANES_ALIVE, 1 + windows) * (rows.left + 2) * (columns.left + 2) * moment
    outputs = len(step.defines) * rows.length * columns.length * moment
    return doubled + series + planes + outputs


def series_bytes(op: MomentOp) -> int:
    """Bytes for one image that a nonlinearity without closed form needs: its coefficients, and
    what they are made of; none for other instructions."""
    if not _is_series(op):
        return 0
    arrays = _arrays_of_right_pixels(op, 0) + ARRAYS_OF_NODES * NODES
    return arrays * math.prod(op.right) * _item()


def recorded_series_bytes(program: Program) -> int:
    """Most bytes that series take while an image is recorded: on both sides, one at a time."""
    return 2 * max((series_bytes(op) for op in program.ops if isinstance(op, DualOp)), default=0)


def recorded_image_bytes(program: Program) -> int:
    """Bytes of an image of many channels while it is recorded; few are read as they are.

    It is there as it was given, by channel, and once more as the right image.
    """
    channels = program.image_shape[-1] if len(program.image_shape) == 3 else 0
    return 3 * math.prod(program.image_shape) * _item() if channels > UNROLLED_CHANNELS else 0


def register_bytes(instructions: InstructionSet, *, with_tangent: bool) -> int:
    """Bytes of all registers of a set for one pair.

    Of a bank of one register of real numbers XLA may hold two: what is written there may be added
    to what is there. Complex ones it writes in place.
    """
    moment, least = _item() * (2 if with_tangent else 1), 1 if with_tangent else 2
    registers = ((max(bank.registers, least), bank.grid) for bank in instructions.banks)
    return moment * sum(number * _entries(grid) for number, grid in registers)


def operation_bytes(
    instructions: InstructionSet, image_shape: tuple[int, ...], *, with_tangent: bool
) -> int:
    """Bytes for one pair that an operation needs beside the registers.

    ``MOMENTS_OF_OPERATION`` moments with a border: what a window reads, and what is made of it. The
    images of both sides, ``COPIES_OF_IMAGE`` times: as they are taken and as their product reads
    them.
    """
    moment = _item() * (2 if with_tangent else 1)
    largest = max((_entries(bank.grid, border=2) for bank in instructions.banks), default=0)
    images = 2 * COPIES_OF_IMAGE * math.prod(image_shape) * _item()
    return MOMENTS_OF_OPERATION * moment * largest + images


def _entries(grid: Grid, *, border: int = 0) -> int:
    return math.prod(size + border for pixels in grid for size in pixels)


def _arrays_of_right_pixels(op: MomentOp, channels: int) -> int:
    """Of an instruction, arrays over the right image's pixels."""
    match op:
        case ImageOp():
            # Many are one array, which XLA doubles along one axis after the other.
            return channels if channels <= UNROLLED_CHANNELS else 2 * channels
        case DualOp() if _is_series(op):
            return TERMS + 3
        case DualOp(left_activation=left, right_activation=right):
            return max(PARTS_OF_VARIANCE.get(type(phi), 2) for phi in (left, right))
    return ARRAYS_OF_RIGHT_PIXELS.get(type(op), 0)


def _is_series(op: MomentOp) -> bool:
    return isinstance(op, DualOp) and not has_closed_form(op.left_activation, op.right_activation)


def _item() -> int:
    return jnp.dtype(jnp.result_type(float)).itemsize
