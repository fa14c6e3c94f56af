"""What a plan costs, as a table of its instructions: data, before anything is computed."""

from __future__ import annotations

import math
from dataclasses import dataclass

from ..architecture.windows import window_of
from ..program.ops import FlattenOp, ImageOp, MomentOp, PoolOp, Program, RecordOp, SumOp, TapOp
from ..program.planning import Plan, ProductStep, plan_pairs
from .blocking import Blocking
from .calibration import layer_nanoseconds
from .tiles import TileShape
from .ways import WAYS

OPERATIONS = {"DualOp": 32, "SteinOp": 2, "WeightOp": 3, "LayerNormOp": 1, "NormalizeOp": 6}
"""Floating-point operations at one pair of pixels, both kernels together; a dual's are ReLU's."""

PROBE_OPERATIONS = 16 + OPERATIONS["DualOp"] + OPERATIONS["WeightOp"]
"""Those of the layer that the calibration times: nine taps of both kernels, weights and ReLU."""


COMPILING_STREAM, COMPILING_ROW, MOST_ROWS = 2.0, 0.2, 60
"""Seconds to compile a stream, those of a row, and how many rows may differ: many do the same."""

COMPILING_INSTRUCTION = 0.4
"""Seconds to compile what other networks take for an instruction, on both sides of a tile."""


@dataclass(frozen=True)
class InstructionCost:
    """An instruction on one pair of images.

    Attributes:
        name: of the instruction.
        pixels: of the left and of the right image.
        displacements: that are needed, along the rows and along the columns.
        planes: slots of the rows times slots of the columns.
        entries: pairs of pixels that are computed, those between diagonals included.
        operations: floating-point operations.
    """

    name: str
    pixels: tuple[tuple[int, int], tuple[int, int]]
    displacements: tuple[int, int]
    planes: int
    entries: int
    operations: int


@dataclass(frozen=True)
class KernelPlan:
    """What is computed for one pair of images; ``print`` shows it as a table.

    Attributes:
        image_shape: ``(height, width, channels)`` or ``(features,)``.
        instructions: those that run for every pair, in order.
        steps: into how many steps they are put.
        blocking: how they are cut.
        pair_bytes: most bytes alive at once for one pair.
        tile: ``(rows, columns)``, images on the left and on the right of a tile.
        seconds: predicted time of one pair with all workers at work.
        evaluations: so many times the instructions run for a pair: several where the kernel is a
            mean over mirror images.
    """

    image_shape: tuple[int, ...]
    instructions: tuple[InstructionCost, ...]
    steps: int
    blocking: Blocking
    pair_bytes: int
    tile: tuple[int, int]
    seconds: float
    evaluations: int = 1

    @property
    def operations(self) -> int:
        """Floating-point operations of one pair."""
        return self.evaluations * sum(cost.operations for cost in self.instructions)

    @property
    def compile_seconds(self) -> float:
        """To compile what is computed for a pair, roughly (two cores, 2025; see
        ``experiments/benchmarks/rank_estimate.py``); nothing if it is in the cache."""
        if self.shared:
            return COMPILING_STREAM + COMPILING_ROW * min(self.steps, MOST_ROWS)
        return COMPILING_INSTRUCTION * len(self.instructions)

    @property
    def shared(self) -> bool:
        """Whether the programs serve other networks too, and what is recorded of an image with the
        reference images is not computed again."""
        return WAYS[self.blocking.way].shared

    @property
    def planes(self) -> int:
        """Planes of all instructions."""
        return self.evaluations * sum(cost.planes for cost in self.instructions)

    def __str__(self) -> str:
        lines = [("instruction", "pixels", "displacements", "planes", "entries", "operations")]
        for cost in self.instructions:
            sides = ["×".join(map(str, side)) for side in cost.pixels]
            lines.append(
                (
                    cost.name,
                    sides[0] if sides[0] == sides[1] else " and ".join(sides),
                    "×".join(map(str, cost.displacements)),
                    f"{cost.planes:,}",
                    f"{cost.entries:,}",
                    f"{cost.operations:,}",
                )
            )
        widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
        table = [
            "  ".join(
                f"{cell:<{width}}" if i < 2 else f"{cell:>{width}}"
                for i, (cell, width) in enumerate(zip(line, widths, strict=True))
            ).rstrip()
            for line in lines
        ]
        times = "" if self.evaluations == 1 else f", {self.evaluations} times"
        how = WAYS[self.blocking.way].text.format(self.blocking.lanes)
        return "\n".join(
            [
                *table,
                f"one pair: {self.operations:,} operations in {self.steps} steps{times}, {how}; "
                f"{self.pair_bytes:,} bytes; {1e3 * self.seconds:.3g} ms",
                f"a tile: {self.tile[0]} × {self.tile[1]} images",
            ]
        )


def kernel_plan(
    program: Program,
    blocking: Blocking,
    tile: TileShape,
    *,
    with_tangent: bool,
    evaluations: int = 1,
) -> KernelPlan:
    """The plan of a program with its costs, run ``evaluations`` times for a pair."""
    way = WAYS[blocking.way]
    plan = plan_pairs(program, fused=blocking.by_plane)
    products = {step.defines for step in plan.steps if isinstance(step, ProductStep)}
    costs = tuple(
        _cost(plan, index, with_tangent, grids=way.shared or index in products)
        for index in sorted(plan.axes)
        if not isinstance(program.ops[index], RecordOp)
    )
    nanoseconds = layer_nanoseconds(program, blocking, with_tangent=with_tangent)
    operations = evaluations * sum(cost.operations for cost in costs)
    seconds = operations / PROBE_OPERATIONS * nanoseconds * 1e-9
    return KernelPlan(
        program.image_shape,
        costs,
        way.steps(program),
        blocking,
        tile.pair_bytes,
        (tile.rows, tile.columns),
        seconds,
        evaluations,
    )


def _cost(plan: Plan, index: int, with_tangent: bool, *, grids: bool) -> InstructionCost:
    """Of an instruction; ``grids`` if moments hold all pairs of pixels, needed or not."""
    op = plan.program.ops[index]
    assert isinstance(op, MomentOp)
    name = type(op).__name__.removesuffix("Op")
    axes, kernels = plan.axes[index], 2 if with_tangent else 1
    weighed = op
    if index in plan.readouts:
        weighed = plan.program.ops[plan.readouts[index].source]
        name, axes, each = "Readout", plan.axes[plan.readouts[index].source], 2 * kernels
    elif isinstance(op, TapOp):
        each = kernels * (math.prod(window_of(op.window)) - 1)
    elif isinstance(op, PoolOp | FlattenOp):
        each = kernels * sum(len(part.left) for part in plan.maps(index))
    elif isinstance(op, ImageOp):
        each = 2 * plan.program.image_shape[-1]
    elif isinstance(op, SumOp):
        each = kernels * (len(op.terms) - 1)
    else:
        each = OPERATIONS.get(type(op).__name__, 0)
    entries = math.prod(axis.length for axis in axes)
    if grids:
        assert isinstance(weighed, MomentOp)
        entries = math.prod((*weighed.left, *weighed.right))
    return InstructionCost(
        name,
        (op.left, op.right),
        (len(axes[0].diagonals), len(axes[1].diagonals)),
        math.prod(len(axis.slots) for axis in axes),
        entries,
        entries * each,
    )
