"""Where a kernel leaves the range of its numbers: signs of it in results, then the instruction.

Results are looked at whenever there are any: a variance, a mean or a kernel that is not finite, and
a variance or a row of a kernel that is zero or nearly. Only then is the network run once more, on
an image or two of those that show it, and every instruction's value is looked at.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from ..covariance.activations import Dual, largest_variance
from ..covariance.moments import covariance, tangent
from ..program.ops import (
    DualOp,
    ImageOp,
    LayerNormOp,
    MeanOp,
    NormalizeOp,
    Program,
    RecordOp,
    WeightOp,
)
from ..program.planning import plan_pairs
from .planes import Constants, Side
from .records import Images, Statistics, as_pixels, largest_of_images, record
from .steps import Block, run_step

FEW_DIGITS = 1e6
"""What is so close to the smallest normal number may underflow in any instruction."""


@dataclass(frozen=True)
class Fault:
    """The first instruction whose value is out of range.

    Attributes:
        instruction: its number.
        kernel: whose value it is.
        kind: ``"overflow"``, or ``"underflow"`` where the value is not zero but nearly.
    """

    instruction: int
    kernel: Literal["nngp", "ntk"]
    kind: Literal["overflow", "underflow"]


def tiny(dtype: Any) -> float:
    """The smallest normal number: below it digits are lost, and XLA takes numbers for zero."""
    return float(np.finfo(dtype).tiny)


def suspects(program: Program, images: Images) -> tuple[np.ndarray, np.ndarray]:
    """Which images have records that are not finite, and which have variances that vanish.

    A variance that vanishes may well be zero: only :func:`first_fault` tells.

    Args:
        program: the lowered network, or several.
        images: with their records.

    Returns:
        Two arrays of booleans, ``[n]``.
    """
    limits = _limits(program, images.pixels.dtype)
    broken, vanishing = np.zeros((2, len(images)), bool)
    for index, found in images.records.items():
        if isinstance(program.ops[index], MeanOp):
            mean = np.asarray(found)
            broken |= ~np.isfinite(mean.reshape(-1, len(images))).all(axis=0)
        else:
            largest = largest_of_images(found)
            broken |= ~(np.abs(largest) <= limits.get(index, math.inf)) | np.isinf(largest)
            vanishing |= largest < tiny(images.pixels.dtype)
    return broken, vanishing & ~broken


def _limits(program: Program, dtype: Any) -> dict[int, float]:
    """The largest variances that the nonlinearities which read them can take, by record."""
    limits: dict[int, float] = {}
    for op in program.ops:
        if isinstance(op, DualOp):
            most = largest_variance(op.left_activation, op.right_activation, np.dtype(dtype))
            for index in op.records:
                limits[index] = min(limits.get(index, math.inf), most)
    return limits


def first_fault(
    program: Program,
    pixels: np.ndarray,
    statistics: Statistics | None,
    *,
    with_tangent: bool,
    binding: bool = False,
) -> Fault | None:
    """Run a network on a few images and look at every value; the first one out of range.

    Args:
        program: the lowered network.
        pixels: the images, whose kernels with each other are computed.
        statistics: of the bound kernel, ``None`` if the program needs none, or if ``binding``.
        with_tangent: whether ``Θ`` is looked at as well.
        binding: the images are the reference images themselves.

    Returns:
        ``None`` where all values are in range, in the precision that JAX computes in.
    """
    if program.outputs == (None,):
        return None
    constants = Constants({}, {})
    side = reference = Side(jnp.asarray(as_pixels(pixels)), {})
    if statistics is not None:
        statistics = _in_precision(statistics)
        constants, reference = statistics.constants, statistics.reference.side
    watch = _Watch(program, bool(np.any(pixels)))
    alone = Block(side, side, True, constants, with_tangent)
    met = Block(reference, side, False, constants, with_tangent)
    record(program, alone, met, binding=binding, watch=watch.see)
    if watch.fault is None and not binding:
        block = Block(side, side, False, constants, with_tangent)
        plan, values = plan_pairs(program, fused=False), {}
        for step, last_reads in zip(plan.steps, plan.last_reads, strict=True):
            before = set(values)
            run_step(plan, step, values, block)
            for index in sorted(values.keys() - before):
                watch.see(index, values[index])
            for value in last_reads:
                del values[value]
    return watch.fault


def _in_precision(statistics: Statistics) -> Statistics:
    """Statistics in the precision that JAX computes in now."""
    real = np.dtype(jnp.result_type(float))
    kinds = {"f": real, "c": np.result_type(real, np.complex64)}

    def cast(parts: Iterable[tuple[int, Any]]) -> dict[int, Array]:
        arrays = ((index, np.asarray(value)) for index, value in parts)
        return {
            index: jnp.asarray(array.astype(kinds[array.dtype.kind])) for index, array in arrays
        }

    images = statistics.reference
    constants = Constants(*(cast(part.items()) for part in statistics.constants))
    reference = Images(np.asarray(images.pixels, real), cast(images.records.items()))
    return Statistics(reference, constants, statistics.with_tangent)


@dataclass
class _Watch:
    """Looks at the values of instructions in their order until one is out of range.

    Attributes:
        program: whose instructions they are.
        lit: whether an image has a pixel that is not black.
        largest: of the entries of each value, by instruction.
        fault: the first one.
    """

    program: Program
    lit: bool
    largest: dict[int, float] = field(default_factory=dict)
    fault: Fault | None = None

    def see(self, index: int, value: Any) -> None:
        """Take note of the value of an instruction."""
        if self.fault is not None or value is None:
            return
        found = jnp.asarray(value)
        size = float(jnp.max(jnp.abs(covariance(found))))
        slope = tangent(found)
        op = self.program.ops[index]
        if not math.isfinite(size) or self._multiplies_out_of_range(op, found.real.dtype):
            self.fault = Fault(index, "nngp", "overflow")
        elif slope is not None and not bool(jnp.isfinite(slope).all()):
            self.fault = Fault(index, "ntk", "overflow")
        elif self._vanishes(op, size, tiny(found.real.dtype)):
            self.fault = Fault(index, "nngp", "underflow")
        self.largest[index] = size

    def _multiplies_out_of_range(self, op: Any, dtype: Any) -> bool:
        if not isinstance(op, DualOp):
            return False
        most = largest_variance(op.left_activation, op.right_activation, np.dtype(dtype))
        return any(self.largest.get(index, 0.0) > most for index in op.records)

    def _vanishes(self, op: Any, size: float, least: float) -> bool:
        """Whether a value is out of range below, and not what the network makes zero itself."""
        if size >= least:
            return False
        read = [self.largest.get(index, 0.0) for index in op.reads]
        match op:
            case ImageOp():
                return self.lit
            case WeightOp():
                return op.b_std != 0 or (op.W_std != 0 and read[0] > 0)
            case DualOp() if op.left_activation == op.right_activation:
                variance = min(self.largest.get(index, 0.0) for index in op.records)
                return variance > 0 and read[0] > 0 and _is_not_zero(op)
            case NormalizeOp() | LayerNormOp() | RecordOp():
                return False
        return size > 0 or any(0 < value < FEW_DIGITS * least for value in read)


def _is_not_zero(op: DualOp) -> bool:
    """Whether a nonlinearity is another function than zero, on which variances have no bearing."""
    one = jnp.ones((1, 1, 1))
    K, _ = Dual(op.left_activation, op.right_activation)(one, one, one)
    return float(K[0, 0, 0]) > 0


def fault_in_float64(program: Program, pixels: np.ndarray, *args: Any, **options: Any) -> bool:
    """Whether :func:`first_fault` finds one in float64 as well."""
    with jax.enable_x64(True):
        return first_fault(program, pixels, *args, **options) is not None
