"""Planning: which pairs of pixels every moment needs, and in which steps they are computed.

Needs run backwards from what is wanted. ``Flatten`` reads displacement 0, a local average pool a
band, a global one all; a convolution of stride ``s`` turns displacements ``D`` into ``s · D``; a
pool reads around them; a moment that several read takes the union. What no one needs is not
computed.

Instructions that keep their pairs where they are (*local* ones: nonlinearities, sums,
normalisations, windows of stride 1) can run plane by plane: a *plane* is the product of one slot of
each axis, and small enough to stay in cache from the first layer to the last. The others (*linear*
ones: pools, strides) gather from planes of one moment into those of another. A pool down to one
pixel is neither: it is a *readout*, a weighting of the pairs that is separable per axis,
accumulated plane by plane. Images of many channels begin with a *product*: one matrix product of
all their pixels, where more than a few displacements are needed.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from heapq import heappop, heappush
from math import prod

import numpy as np

from ..architecture.windows import stride_of, tap_offsets
from ..covariance.images import UNROLLED_CHANNELS
from .axes import Axis, AxisMap, flatten_map, pool_map, scale, shared_modulus, tap_map
from .ops import (
    FlattenOp,
    ImageOp,
    MeanOp,
    MomentOp,
    Op,
    PoolOp,
    Program,
    RecordOp,
    ScaleOp,
    TapOp,
    VarianceOp,
)

PRODUCT_GAIN = 8
"""A matrix product of all pairs of pixels takes no longer than one in so many of them, elementwise
(``experiments/benchmarks/many_channels.py``)."""

AxisPair = tuple[Axis, Axis]
"""The pairs of a moment along the rows and along the columns of the images."""


@dataclass(frozen=True)
class Readout:
    """A moment of one pixel as a weighting of another moment's pairs.

    ``y = Σ_{p, q} rows[p, q] · columns[p, q] · x[p, q]``, each factor over its own axis.
    """

    source: int
    rows: np.ndarray
    columns: np.ndarray


@dataclass(frozen=True)
class LocalBody:
    """What a local step computes, whatever the numbers of its values: equal bodies compile once.

    Attributes:
        ops: instructions on moments numbered from the inputs on, and on records of their own.
        axes: the pairs of all of them.
        inputs: the pairs of the moments that they read from before, of the same moduli.
        outputs: which moments are read after.
        readouts: for each readout the moment that it weighs.
    """

    ops: tuple[MomentOp, ...]
    axes: AxisPair
    inputs: tuple[AxisPair, ...]
    outputs: tuple[int, ...]
    readouts: tuple[int, ...]

    @property
    def planes(self) -> int:
        """Products of a slot of the rows and a slot of the columns."""
        return len(self.axes[0].slots) * len(self.axes[1].slots)


@dataclass(frozen=True)
class LocalStep:
    """Local instructions in a run.

    Attributes:
        body: what is computed.
        reads: the moments that are its inputs.
        records: the records that its instructions read, by the body's numbers.
        defines: the moments that are its outputs.
        readouts: the moments that its readouts are.
    """

    body: LocalBody
    reads: tuple[int, ...]
    records: tuple[int, ...]
    defines: tuple[int, ...]
    readouts: tuple[int, ...]


@dataclass(frozen=True)
class ProductStep:
    """The images' products at all pairs of pixels, by one matrix product."""

    defines: int


@dataclass(frozen=True)
class LinearStep:
    """A linear map of one moment's pairs to another's, for each axis by itself."""

    source: int
    defines: int


@dataclass(frozen=True)
class RecordStep:
    """A record, made of a moment."""

    source: int
    defines: int


Step = LocalStep | ProductStep | LinearStep | RecordStep


@dataclass(frozen=True, eq=False)
class Plan:
    """What is computed for one pair of images.

    Attributes:
        program: the instructions.
        axes: the pairs of every moment that is computed in full, and of what it is made of.
        readouts: the moments of one pixel that are weightings of another.
        steps: in order.
        last_reads: for each step the moments that no later one reads.
    """

    program: Program
    axes: dict[int, AxisPair]
    readouts: dict[int, Readout]
    steps: tuple[Step, ...]
    last_reads: tuple[tuple[int, ...], ...]

    def maps(self, index: int) -> tuple[AxisMap, AxisMap]:
        """What a linear instruction does along the rows and along the columns."""
        return _axis_maps(self.program.ops[index], self.program.ops)


def plan_pairs(program: Program, *, fused: bool) -> Plan:
    """The plan of a program's outputs.

    Args:
        program: the lowered network.
        fused: runs of local instructions as one step, plane by plane; otherwise a step each,
            so that different networks share what is compiled for an instruction.
    """
    return _planned(program, tuple(o for o in program.outputs if o is not None), fused)


def plan_variances(program: Program) -> Plan:
    """The plan of what is recorded of each image with itself."""
    wanted = _needed_records(program, VarianceOp, ScaleOp)
    return _planned(program, wanted, fused=False)


def plan_means(program: Program) -> Plan:
    """The plan of what is recorded of each image with every reference image."""
    return _planned(program, _needed_records(program, MeanOp), fused=False)


def _needed_records(program: Program, *kinds: type[RecordOp]) -> tuple[int, ...]:
    """The records of some kinds that the outputs depend on, by way of other records or not."""
    wanted = {o for o in program.outputs if o is not None}
    for index in range(len(program.ops) - 1, -1, -1):
        if index in wanted:
            wanted.update(program.ops[index].reads, program.ops[index].records)
    return tuple(i for i in sorted(wanted) if isinstance(program.ops[i], kinds))


@lru_cache(maxsize=512)
def _planned(program: Program, wanted: tuple[int, ...], fused: bool) -> Plan:
    readouts = _find_readouts(program)
    needs = _needs(program, wanted, readouts)
    axes = _axes(program, needs, readouts)
    order = sorted(needs.keys() | {i for i in wanted if isinstance(program.ops[i], RecordOp)})
    kept = frozenset(wanted)
    steps = _Scheduler(program, axes, readouts, kept, fused).run(order)
    last: dict[int, int] = {}
    for number, step in enumerate(steps):
        last |= dict.fromkeys(_read_by(step), number)
    ends: dict[int, list[int]] = defaultdict(list)
    for value, number in last.items():
        if value not in kept:
            ends[number].append(value)
    last_reads = tuple(tuple(ends[number]) for number in range(len(steps)))
    return Plan(program, axes, readouts, steps, last_reads)


def _read_by(step: Step) -> tuple[int, ...]:
    match step:
        case LocalStep():
            return step.reads
        case ProductStep():
            return ()
    return (step.source,)


def _axis_maps(op: Op, ops: Sequence[Op]) -> tuple[AxisMap, AxisMap]:
    assert isinstance(op, TapOp | PoolOp | FlattenOp)
    source = ops[op.source]
    assert isinstance(source, MomentOp)
    return _axis_map(op, source, 0), _axis_map(op, source, 1)


def _axis_map(op: TapOp | PoolOp | FlattenOp, source: MomentOp, axis: int) -> AxisMap:
    left, right = source.left[axis], source.right[axis]
    if isinstance(op, TapOp):
        return tap_map(op.window, axis, left, right)
    if isinstance(op, PoolOp):
        return pool_map(op.layer, axis, left, right, op.side)
    return flatten_map(left)


def _find_readouts(program: Program) -> dict[int, Readout]:
    """The moments of one pixel that come from larger ones by pools and flattening alone."""
    found: dict[int, Readout] = {}
    for index, op in enumerate(program.ops):
        if not isinstance(op, PoolOp | FlattenOp) or (op.left, op.right) != ((1, 1), (1, 1)):
            continue
        source, weights = index, (np.ones((1, 1)), np.ones((1, 1)))
        while isinstance(op, PoolOp | FlattenOp):
            before = program.ops[op.source]
            assert isinstance(before, MomentOp)
            maps = _axis_maps(op, program.ops)
            rows, columns = (maps[axis].pulled_back(weights[axis]) for axis in (0, 1))
            source, weights, op = op.source, (rows, columns), before
        found[index] = Readout(source, *weights)
    return found


Needs = dict[int, tuple[set[int], set[int]]]
"""By moment, the displacements that are needed along the rows and along the columns."""


def _needs(program: Program, wanted: Iterable[int], readouts: dict[int, Readout]) -> Needs:
    needs: Needs = {}

    def need(value: int, rows: Iterable[int], columns: Iterable[int]) -> None:
        known = needs.setdefault(value, (set(), set()))
        known[0].update(rows)
        known[1].update(columns)

    for index in wanted:
        op = program.ops[index]
        if isinstance(op, MeanOp):
            source = program.ops[op.source]
            assert isinstance(source, MomentOp)
            need(op.source, *(_all(source, axis) for axis in (0, 1)))
        elif isinstance(op, RecordOp):
            need(op.source, {0}, {0})
        else:
            need(index, {0}, {0})
    for index in range(len(program.ops) - 1, -1, -1):
        if index not in needs:
            continue
        op, wants = program.ops[index], needs[index]
        if index in readouts:
            readout = readouts[index]
            need(readout.source, *(_support(w) for w in (readout.rows, readout.columns)))
        elif isinstance(op, TapOp | PoolOp | FlattenOp):
            maps = _axis_maps(op, program.ops)
            reads = [maps[axis].reads(wants[axis]) for axis in (0, 1)]
            if isinstance(op, TapOp) and stride_of(op.window) == (1, 1):
                # Padding can make an image larger: there are displacements of zeros then.
                reads = [read | want for read, want in zip(reads, wants, strict=True)]
            need(op.source, *reads)
        else:
            for value in op.reads:
                need(value, *wants)
    return needs


def _all(op: MomentOp, axis: int) -> range:
    step = scale(op.left[axis], op.right[axis])
    return range(step * (1 - op.left[axis]), op.right[axis])


def _support(weights: np.ndarray) -> set[int]:
    p, q = np.nonzero(weights)
    return set(np.unique(q - scale(*weights.shape) * p).tolist())


def _all_circular(ops: Iterable[Op]) -> bool:
    """Whether all windows of stride 1 are circular: they keep displacements modulo the image."""
    windows = [op.window for op in ops if isinstance(op, TapOp)]
    paddings = {window.padding for window in windows if stride_of(window) == (1, 1)}
    return paddings == {"CIRCULAR"}


def _axes(program: Program, needs: Needs, readouts: dict[int, Readout]) -> dict[int, AxisPair]:
    """The pairs of every needed moment: one modulus for all that local instructions connect."""
    ops = program.ops
    circular = _all_circular(ops[index] for index in needs)
    parent = {value: value for value in needs}

    def root(value: int) -> int:
        while parent[value] != value:
            parent[value] = value = parent[parent[value]]
        return value

    for index in needs:
        if index not in readouts and _is_local(ops[index], circular):
            for value in ops[index].reads:
                parent[root(value)] = root(index)
    groups: dict[int, list[int]] = defaultdict(list)
    for value in needs:
        groups[root(value)].append(value)
    axes: dict[int, AxisPair] = {}
    for members in groups.values():
        moduli = [_modulus(ops, members, needs, axis, circular) for axis in (0, 1)]
        for value in members:
            op = ops[value]
            assert isinstance(op, MomentOp)
            rows, columns = (
                Axis(op.left[a], op.right[a], moduli[a], tuple(sorted(needs[value][a])))
                for a in (0, 1)
            )
            axes[value] = rows, columns
    return axes


def _is_local(op: Op, circular: bool) -> bool:
    """Whether an instruction keeps every pair in its slot.

    Circular windows do where nothing but circular windows stands, zero edges where those do not.
    """
    if isinstance(op, TapOp):
        if stride_of(op.window) != (1, 1):
            return False
        return circular or op.window.padding != "CIRCULAR"
    return not isinstance(op, PoolOp | FlattenOp)


def has_many_channels(program: Program, op: Op) -> bool:
    """Whether an instruction is the products of images of more channels than are written out."""
    return isinstance(op, ImageOp) and not op.flat and program.image_shape[-1] > UNROLLED_CHANNELS


def _is_product(program: Program, index: int, axes: AxisPair) -> bool:
    """Whether a moment is made by a matrix product of all pixels: of many channels, many planes."""
    op = program.ops[index]
    if not has_many_channels(program, op):
        return False
    needed, every = (prod(size) for size in ((len(a.slots) for a in axes), (a.right for a in axes)))
    return PRODUCT_GAIN * needed >= every


def _modulus(
    ops: Sequence[Op], members: Sequence[int], needs: Needs, axis: int, circular: bool
) -> int:
    """The modulus of moments that local instructions connect.

    A window must read zeros outside the image and never the other diagonal of its slot.
    """
    least = 1
    needed: set[int] = set()
    for value in members:
        op = ops[value]
        assert isinstance(op, MomentOp)
        needed |= needs[value][axis]
        least = max(least, op.left[axis], op.right[axis])
        if isinstance(op, TapOp) and _is_local(op, circular) and not circular:
            before = ops[op.source]
            assert isinstance(before, MomentOp)
            size = max(before.left[axis], before.right[axis])
            offsets = tap_offsets(op.window, axis, before.left[axis])
            after = max(op.left[axis], op.right[axis])
            least = max(least, size - offsets[0], after + offsets[-1])
    return least if circular else shared_modulus(least, frozenset(needed))


@dataclass
class _Scheduler:
    """Puts instructions into steps."""

    program: Program
    axes: dict[int, AxisPair]
    readouts: dict[int, Readout]
    wanted: frozenset[int]
    fused: bool

    def __post_init__(self) -> None:
        self.circular = _all_circular(self.program.ops[index] for index in self.axes)

    def run(self, order: Sequence[int]) -> tuple[Step, ...]:
        """Steps that compute the instructions ``order``, each after what it reads.

        A step begins with the first instruction that is left. Fused, it takes all local ones over
        the same pairs that can follow it.
        """
        readers: dict[int, set[int]] = defaultdict(set)
        missing: dict[int, int] = {}  # of what an instruction reads, how much is not computed yet
        for index in order:
            values = set(self._reads(index))
            missing[index] = len(values)
            for value in values:
                readers[value].add(index)
        ready: dict[AxisPair, list[int]] = defaultdict(list)  # heaps: fused instructions, by pairs

        def add_if_ready(index: int) -> None:
            if missing[index] == 0 and self.fused and self._kind(index) != "other":
                heappush(ready[self._pairs(index)], index)

        def finish(value: int) -> None:
            for index in readers[value]:
                missing[index] -= 1
                add_if_ready(index)

        for index in order:
            add_if_ready(index)
        done: set[int] = set()
        steps: list[Step] = []
        for first in order:
            if first in done:
                continue
            run, later = [first], [first]
            if self.fused and self._kind(first) != "other":
                run, later = [], []
                following = ready[self._pairs(first)]
                while following:
                    run.append(heappop(following))
                    if self._kind(run[-1]) == "local":
                        finish(run[-1])
                    else:
                        later.append(run[-1])
            for index in later:  # a readout is read in another step
                finish(index)
            done.update(run)
            steps.append(self._step(run, readers))
        return tuple(steps)

    def _reads(self, index: int) -> tuple[int, ...]:
        if index in self.readouts:
            return (self.readouts[index].source,)
        return self.program.ops[index].reads

    def _kind(self, index: int) -> str:
        """``"readout"``, ``"local"`` or ``"other"``: a product, a linear one or a record."""
        op = self.program.ops[index]
        if index in self.readouts:
            return "readout"
        if isinstance(op, RecordOp) or not _is_local(op, self.circular):
            return "other"
        if _is_product(self.program, index, self.axes[index]):
            return "other"
        return "local"

    def _pairs(self, index: int) -> AxisPair:
        """The pairs over which a step runs: of a readout, those that it weighs."""
        return self.axes[self.readouts[index].source if index in self.readouts else index]

    def _step(self, run: Sequence[int], readers: dict[int, set[int]]) -> Step:
        op = self.program.ops[run[0]]
        if isinstance(op, RecordOp):
            return RecordStep(op.source, run[0])
        if isinstance(op, ImageOp) and self._kind(run[0]) == "other":
            return ProductStep(run[0])
        if self._kind(run[0]) == "other":
            assert isinstance(op, TapOp | PoolOp | FlattenOp)
            return LinearStep(op.source, run[0])
        computed = [index for index in run if self._kind(index) == "local"]
        weighed = [index for index in run if self._kind(index) == "readout"]
        members, inside = set(run), set(computed)
        inputs: dict[int, int] = {}
        for index in run:
            for value in self._reads(index):
                if value not in inside:
                    inputs.setdefault(value, len(inputs))
        numbers = inputs | {value: len(inputs) + i for i, value in enumerate(computed)}
        records: dict[int, int] = {}
        ops: list[MomentOp] = []
        for index in computed:
            local = self.program.ops[index]
            assert isinstance(local, MomentOp)
            for record in local.records:
                records.setdefault(record, len(records))
            ops.append(local.renamed(numbers.__getitem__, records.__getitem__))
        after = [v for v in computed if v in self.wanted or readers[v] - members]
        body = LocalBody(
            tuple(ops),
            self._pairs(run[0]),
            tuple(self.axes[value] for value in inputs),
            tuple(numbers[value] for value in after),
            tuple(numbers[self.readouts[index].source] for index in weighed),
        )
        return LocalStep(body, tuple(inputs), tuple(records), tuple(after), tuple(weighed))
