"""Running the steps of a plan on a block of pairs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from ..covariance.pools import gathered, multiplied
from ..program.axes import OUTSIDE, Axis, AxisMap
from ..program.ops import ImageOp, MomentOp, Op, VarianceOp
from ..program.planning import LinearStep, LocalStep, Plan, ProductStep, Step
from .planes import COMPILER_OPTIONS, Constants, Gains, Side, Weights, run_local
from .products import run_products
from .programs import compiled

DENSE = 2**15
"""Up to so many entries a linear map of an axis is a matrix product, and above it gathers.

A product of small matrices costs more operations than the taps it replaces, and is faster for all
that: gathers wait for memory.
"""


@dataclass(frozen=True)
class Block:
    """The pairs of a block: all of left × right, or image ``i`` with image ``i`` (``paired``).

    ``records`` of its sides may still be growing: while records are computed, a block reads those
    before it. With ``gains``, of the weight layers' instructions by number, the block is
    differentiated: its steps, of one instruction each, are run as JAX traces them.
    """

    left: Side
    right: Side
    paired: bool
    constants: Constants
    with_tangent: bool
    by_plane: bool = False
    gains: Mapping[int, Gains] | None = None

    def run(self, function: Any) -> Any:
        """A compiled function; what is differentiated becomes part of a program of the caller's,
        and options of the compiler belong to whole programs."""
        return function if self.gains is None else function.__wrapped__


def run_step(plan: Plan, step: Step, values: dict[int, Array], block: Block) -> None:
    """Run a step that is no record, and add what it defines to ``values``."""
    if isinstance(step, LinearStep):
        maps = _axis_operands(plan, step, np.dtype(block.left.images.dtype).name)
        values[step.defines] = block.run(_run_linear)(values[step.source], *maps)
        return
    if isinstance(step, ProductStep):
        left, right = block.left, block.right
        variances = left.records.get(step.defines), right.records.get(step.defines)
        values[step.defines] = block.run(run_products)(
            plan.axes[step.defines], left.images, right.images, variances, paired=block.paired
        )
        return
    assert isinstance(step, LocalStep)
    arguments, options = local_arguments(plan, step, values, block)
    if block.gains is not None:
        options["gains"] = next((block.gains[i] for i in step.defines if i in block.gains), ())
    outputs, readouts = block.run(run_local)(*arguments, **options)
    values.update(zip(step.defines, outputs, strict=True))
    values.update(zip(step.readouts, readouts, strict=True))


def local_arguments(
    plan: Plan, step: LocalStep, values: dict[int, Array], block: Block
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """What :func:`~.planes.run_local` takes for a step: to call it, or to lower it.

    Args:
        plan: whose step it is.
        step: of local instructions.
        values: the moments that the step reads.
        block: the pairs; arrays, or their shapes where nothing is run.

    Returns:
        The positional arguments, of which the first is static, and the static ones by name.
    """
    sides = (_renumbered(side, step.records) for side in (block.left, block.right))
    scales, grand_means = (
        {i: of[record] for i, record in enumerate(step.records) if record in of}
        for of in block.constants
    )
    arguments = (
        step.body,
        [values[value] for value in step.reads],
        *sides,
        Constants(scales, grand_means),
        _readout_weights(plan, step),
    )
    options = {
        "paired": block.paired,
        "with_tangent": block.with_tangent,
        "by_plane": block.by_plane and step.body.planes > 1,
    }
    return arguments, options


def lowered_step(
    plan: Plan, step: LocalStep, lanes: int, *, with_tangent: bool, sharding: Any = None
) -> Any:
    """The program of a step plane by plane, from shapes alone: nothing is computed.

    Args:
        plan: whose step it is, of a network without ``Normalize``.
        step: of local instructions.
        lanes: right images that meet one left image.
        with_tangent: whether ``Θ`` is wanted.
        sharding: the device to compile for, perhaps one that is not here; the default if ``None``.

    Returns:
        A ``jax.stages.Lowered``, to be compiled.
    """
    real = jnp.result_type(float)
    dtype = jnp.result_type(real, jnp.complex64) if with_tangent else real
    ops = plan.program.ops
    left, right = (
        Side(
            _shape((images, *plan.program.image_shape), real),
            {record: _shape((*_pixels(ops, record), images), real) for record in step.records},
        )
        for images in (1, lanes)
    )
    values = {
        value: _shape(
            (*(axis.length for axis in plan.axes[value]), 1, lanes),
            real if isinstance(ops[value], ImageOp) else dtype,
        )
        for value in step.reads
    }
    block = Block(left, right, False, Constants({}, {}), with_tangent, by_plane=True)
    (body, *arrays), options = local_arguments(plan, step, values, block)
    shapes = jax.tree.map(lambda x: _shape(x.shape, x.dtype, sharding), arrays)
    return run_local.lower(body, *shapes, **options)


def _pixels(ops: Sequence[Op], record: int) -> tuple[int, int]:
    """The left pixels of a variance."""
    variance = ops[record]
    assert isinstance(variance, VarianceOp)
    source = ops[variance.source]
    assert isinstance(source, MomentOp)
    return source.left


def _shape(shape: tuple[int, ...], dtype: Any, sharding: Any = None) -> Any:
    return jax.ShapeDtypeStruct(shape, jax.dtypes.canonicalize_dtype(dtype), sharding=sharding)


def run_plan(plan: Plan, block: Block) -> dict[int, Array]:
    """Run all steps of a plan that records nothing; returns what was wanted of it."""
    values: dict[int, Array] = {}
    for step, last_reads in zip(plan.steps, plan.last_reads, strict=True):
        run_step(plan, step, values, block)
        for value in last_reads:
            del values[value]
    return values


def _renumbered(side: Side, records: Sequence[int]) -> Side:
    known = {i: side.records[record] for i, record in enumerate(records) if record in side.records}
    return Side(side.images, known)


Operand = Array | tuple[Array, Array]
"""A linear map of an axis: a matrix, or the positions that taps read and the outputs' weights."""


@lru_cache(maxsize=1024)
def _axis_operands(plan: Plan, step: LinearStep, dtype: str) -> tuple[Operand, Operand]:
    parts = zip(
        plan.maps(step.defines), plan.axes[step.source], plan.axes[step.defines], strict=True
    )
    with jax.ensure_compile_time_eval():  # kept, and so no value of a trace that may be under way
        rows, columns = (_operand(*part, dtype) for part in parts)
    return rows, columns


def _operand(axis_map: AxisMap, source: Axis, out: Axis, dtype: str) -> Operand:
    reads, weights = axis_map.gathers(source, out)
    if source.length * out.length > DENSE and len(reads) < source.length // 4:
        positions = np.where(reads == OUTSIDE, source.length, reads)
        return jnp.asarray(positions), jnp.asarray(weights, dtype)
    matrix = np.zeros((out.length, source.length))
    tap, output = np.nonzero(reads != OUTSIDE)
    np.add.at(matrix, (output, reads[tap, output]), weights[output])
    return jnp.asarray(matrix, dtype)


@partial(compiled, compiler_options=COMPILER_OPTIONS)
def _run_linear(x: Array, rows: Operand, columns: Operand) -> Array:
    for axis, operand in enumerate((rows, columns)):
        if isinstance(operand, tuple):
            x = gathered(x, axis, *operand)
        else:
            x = multiplied(x, axis, operand)
    return x


@lru_cache(maxsize=1024)
def _readout_weights(plan: Plan, step: LocalStep) -> tuple[Weights, ...]:
    found: list[Weights] = []
    for value in step.readouts:
        readout = plan.readouts[value]
        weights = []
        for axis, of in zip(step.body.axes, (readout.rows, readout.columns), strict=True):
            p = np.broadcast_to(np.arange(axis.left), axis.partners.shape)
            weights.append(np.where(axis.valid, of[p, axis.partners], 0))
        found.append((weights[0], weights[1]))
    return tuple(found)
