"""How many bytes a plan takes while it runs."""

from __future__ import annotations

import math

import jax.numpy as jnp

from ..covariance.images import UNROLLED_CHANNELS
from ..program.ops import DualOp, ImageOp, LayerNormOp, NormalizeOp, SteinOp
from ..program.planning import LocalStep, Plan, RecordStep, Step

PLANES_ALIVE = 3
"""Planes of both kernels that a fused step holds: what a layer reads, what it writes, a readout."""

ARRAYS_OF_RIGHT_PIXELS = {DualOp: 2, SteinOp: 2, LayerNormOp: 1, NormalizeOp: 2}
"""Of an instruction: √v and 1/√v, slopes, a scale, a mean of both kernels."""


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
    """Bytes for one pair that a step which runs plane by plane needs beside its moments."""
    if not isinstance(step, LocalStep) or step.body.planes == 1:
        return 0
    rows, columns = step.body.axes
    image_shape = plan.program.image_shape
    arrays = 0
    for op in step.body.ops:
        if isinstance(op, ImageOp):
            arrays += min(image_shape[-1], UNROLLED_CHANNELS)
        arrays += ARRAYS_OF_RIGHT_PIXELS.get(type(op), 0)
    item = _item()
    doubled = arrays * 4 * rows.modulus * columns.modulus * item
    plane = (rows.left + 2) * (columns.left + 2) * item * (2 if with_tangent else 1)
    # The loop over planes writes outputs beside what it was given.
    outputs = len(step.defines) * rows.length * columns.length * item * (2 if with_tangent else 1)
    return doubled + PLANES_ALIVE * plane + outputs


def _item() -> int:
    return jnp.dtype(jnp.result_type(float)).itemsize
