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
from ..program.ops import DualOp, ImageOp, LayerNormOp, MomentOp, NormalizeOp, SteinOp, TapOp
from ..program.planning import LocalStep, Plan, RecordStep, Step
from ..program.streams import Grid, InstructionSet

PLANES_ALIVE = 3
"""Planes of both kernels that a fused step holds: what a layer reads, what it writes, a readout."""

MOMENTS_OF_OPERATION = 2
"""Moments that an operation of a stream holds beside the registers."""

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
            for value in whole:
                alive[value] = moment * math.prod(axis.length for axis in plan.axes[value])
            if isinstance(step, LocalStep):
                alive |= dict.fromkeys(step.readouts, moment)
        inside = step_bytes(plan, step, with_tangent=with_tangent) if by_plane else 0
        most = max(most, sum(alive.values()) + inside)
        for value in last_reads:
            del alive[value]
    return most


def step_bytes(plan: Plan, step: Step, *, with_tangent: bool) -> int:
    """Bytes for one pair that a step which runs plane by plane needs beside its moments.

    - Every quantity of the right image's pixels, twice beside itself along both axes: channels, and
      what instructions read of variances. Of a nonlinearity without closed form those are the
      ``TERMS`` coefficients of its series; making them takes three arrays over its ``NODES``.
    - Planes with a border: what the readout weighs, and what the last layer reads; with several
      windows what it writes as well.
    - The outputs, since the loop over planes writes them beside what it was given.
    - Without Θ, the moments that a step with readouts reads: XLA on a CPU lays them out anew, as
      the readout's matrix product of real numbers likes them. The two parts of a complex number
      are stacked before that product, which keeps the layout where it is.

    tests/kernels/test_memory.py compares this with what XLA says of compiled programs.
    """
    if not isinstance(step, LocalStep) or step.body.planes == 1:
        return 0
    rows, columns = step.body.axes
    ops, item = step.body.ops, _item()
    moment = item * (2 if with_tangent else 1)
    arrays = sum(_arrays_of_right_pixels(op, plan.program.image_shape[-1]) for op in ops)
    doubled = arrays * 4 * rows.modulus * columns.modulus * item
    series = 3 * NODES * rows.right * columns.right * item if any(map(_is_series, ops)) else 0
    windows = sum(isinstance(op, TapOp) for op in ops)
    planes = min(PLANES_ALIVE, 1 + windows) * (rows.left + 2) * (columns.left + 2) * moment
    outputs = len(step.defines) * rows.length * columns.length * moment
    copies = 0
    if not with_tangent and step.readouts:
        copies = sum(math.prod(axis.length for axis in plan.axes[v]) for v in step.reads) * item
    return doubled + series + planes + outputs + copies


def register_bytes(instructions: InstructionSet, *, with_tangent: bool) -> int:
    """Bytes of all registers of a set for one pair."""
    moment = _item() * (2 if with_tangent else 1)
    return moment * sum(bank.registers * _entries(bank.grid) for bank in instructions.banks)


def operation_bytes(instructions: InstructionSet, *, with_tangent: bool) -> int:
    """Bytes for one pair that an operation needs beside the registers.

    ``MOMENTS_OF_OPERATION`` moments with a border: what a window reads, and what is made of it.
    """
    moment = _item() * (2 if with_tangent else 1)
    largest = max((_entries(bank.grid, border=2) for bank in instructions.banks), default=0)
    return MOMENTS_OF_OPERATION * moment * largest


def _entries(grid: Grid, *, border: int = 0) -> int:
    return math.prod(size + border for pixels in grid for size in pixels)


def _arrays_of_right_pixels(op: MomentOp, channels: int) -> int:
    """Of an instruction, arrays over the right image's pixels."""
    match op:
        case ImageOp():
            return min(channels, UNROLLED_CHANNELS)
        case DualOp() if _is_series(op):
            return TERMS + 3
        case DualOp(left_activation=left, right_activation=right):
            return max(PARTS_OF_VARIANCE.get(type(phi), 2) for phi in (left, right))
    return ARRAYS_OF_RIGHT_PIXELS.get(type(op), 0)


def _is_series(op: MomentOp) -> bool:
    return isinstance(op, DualOp) and not has_closed_form(op.left_activation, op.right_activation)


def _item() -> int:
    return jnp.dtype(jnp.result_type(float)).itemsize
