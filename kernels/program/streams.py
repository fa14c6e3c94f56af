"""Programs as data, so that networks made of the same operations share what is compiled.

A program becomes a *stream*, rows of integers that say which operation reads which register and
writes which. A device goes through the rows in a loop whose body chooses the operation, so the
operations are compiled once for all networks that are made of them, and a network is an array.

Moments of one grid (the pixels of the left and of the right image) stand in one *bank* of
registers, and every bank has a loop of its own, from the largest grid down: what it reads is in its
own registers or in those of banks that are finished. Operations are chains of instructions with one
reader each, such as a nonlinearity, a window and its weights. Terms of a sum are added into the
sum's register as they come, and what is recorded of a moment is a column of the row that writes it.
While it records, a normalised moment is not written: those that read it normalise what they read,
and its variances are made of those of its source. An operation that begins by normalising also
serves where nothing is normalised, so there is one of each kind and not two.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from math import prod
from typing import Any, NamedTuple

import numpy as np

from ..architecture.layers import GlobalAvgPool
from .ops import (
    FlattenOp,
    LayerNormOp,
    MeanOp,
    MomentOp,
    NormalizeOp,
    Op,
    Pixels,
    PoolOp,
    Program,
    ReadOp,
    RecordOp,
    ScaleOp,
    SumOp,
    TapOp,
    VarianceOp,
    WeightOp,
)

Grid = tuple[Pixels, Pixels]
"""The pixels of the left and of the right image of a moment."""

ONE: Grid = ((1, 1), (1, 1))

FOLLOWERS = (TapOp, WeightOp, LayerNormOp, NormalizeOp, FlattenOp)
"""Instructions that are computed in one go with the one whose only reader they are."""

(
    OPERATION,  # its number among those of its bank
    SOURCE,  # the register that it reads, of the bank of its source's grid
    TARGET,  # the register that it writes
    VARIANCE,  # where the result's variances are recorded; 0 where they are not
    MEAN,  # likewise its covariances with the reference images' mean
    SCALE,  # likewise 1 / (v − m)
    SCALE_MEAN,  # whose mean over the reference images is m; 0 for m = 0
    DIAGONAL,  # 0, or from 1 on the operation that makes the variances; nothing is written then
    ADDED,  # 1 where the result is added to what the register holds, as a further term of a sum
    RECORDS,  # from here on the records that the chain reads, in order
) = range(10)
"""The columns of a row."""

(
    TIMES,  # what the result is multiplied by, of a term of a sum
    GAINS,  # from here on the gains of each weight layer of the chain, in order
) = range(2)
"""The columns of a row's factors."""


@dataclass(frozen=True)
class Operation:
    """What several networks compute alike: instructions of which each reads the one before.

    Attributes:
        source: the grid of the moment that the first one reads, ``None`` if it reads none.
        chain: the instructions, their numbers and gains left out; none for a copy.
        rooms: the pixels over which each record is that the chain reads, in order.
    """

    source: Grid | None
    chain: tuple[MomentOp, ...]
    rooms: tuple[Pixels | None, ...] = ()


def computed_by(operation: Operation) -> dict[Operation, int]:
    """What an operation computes: itself, and itself without normalisations that it begins with.

    A normalisation whose records are in place 0 changes nothing, so what is left without it needs
    no operation of its own.

    Returns:
        By operation, how many records of the given one come before its own.
    """
    found = {operation: 0}
    skipped = 0
    for number, op in enumerate(operation.chain, start=1):
        if not isinstance(op, NormalizeOp):
            break
        skipped += len(op.records)
        rest = Operation(operation.source, operation.chain[number:], operation.rooms[skipped:])
        found[rest] = skipped
    return found


@dataclass(frozen=True)
class Instruction:
    """A row of a stream. Registers are those of banks, records have the program's numbers.

    Attributes:
        operation: what is computed.
        source: the register that is read.
        target: the register that is written, or added to.
        times: the result's factor, of a term of a sum.
        records: that the chain reads, in order.
        gains: those of each weight layer of the chain, in order (:attr:`WeightOp.gains`).
        variance: the record of the result's variances, if any.
        mean: the record of its covariances with the reference images' mean, if any.
        scale: the record of its ``1 / (v − m)``, if any.
        scale_mean: the record of which ``m`` is the mean over the reference images.
        diagonal: only the variances are made, of those of the moment in the register.
        added: the result is added to what the register holds, as a further term of a sum.
    """

    operation: Operation
    source: int
    target: int
    times: float
    records: tuple[int, ...]
    gains: tuple[float, ...] = ()
    variance: int | None = None
    mean: int | None = None
    scale: int | None = None
    scale_mean: int | None = None
    diagonal: bool = False
    added: bool = False


class BankOfStream(NamedTuple):
    """The rows that write moments of one grid, and how many registers they need."""

    grid: Grid
    rows: tuple[Instruction, ...]
    registers: int


@dataclass(frozen=True, eq=False)
class Stream:
    """A program as rows.

    Attributes:
        program: what it computes.
        banks: from the largest grid down.
        output: the register of the kernel, in the bank of one pixel.
        recording: whether its rows record what is kept of each image.
    """

    program: Program
    banks: tuple[BankOfStream, ...]
    output: int
    recording: bool

    @cached_property
    def slots(self) -> dict[int, tuple[Pixels | None, int]]:
        """By record, the pixels over which it is (``None`` of a scale), and its place, from 1 on.

        Records of one kind over the same pixels stand side by side. What is not kept is written
        to place 0, and a normalisation that reads it there changes nothing.
        """
        ops = self.program.ops
        number: Counter[tuple[type[Op], Pixels | None]] = Counter()
        found: dict[int, tuple[Pixels | None, int]] = {}
        for index, op in enumerate(ops):
            if isinstance(op, RecordOp):
                pixels = pixels_of(self.program, index)
                number[type(op), pixels] += 1
                found[index] = pixels, number[type(op), pixels]
        return found

    @property
    def mirrored(self) -> bool:
        """Whether all means are of nodes with themselves: ``K(x, x')[p, q] = K(x', x)[q, p]``."""
        rows = [row for bank in self.banks for row in bank.rows]
        return all(row.scale is not None for row in rows if row.mean is not None)

    @property
    def recorded(self) -> tuple[int, ...]:
        """The records of images that its rows define, in the program's order."""
        rows = (row for bank in self.banks for row in bank.rows)
        return tuple(sorted(r for row in rows for r in (row.variance, row.mean) if r is not None))

    @property
    def scaled(self) -> tuple[int, ...]:
        """The scales that its rows define."""
        rows = (row for bank in self.banks for row in bank.rows)
        return tuple(sorted(row.scale for row in rows if row.scale is not None))

    def room(self, kind: type[RecordOp]) -> dict[Pixels | None, int]:
        """How many places the records of a kind need, place 0 included, by their pixels."""
        found: dict[Pixels | None, int] = {}
        for record, (pixels, place) in self.slots.items():
            if isinstance(self.program.ops[record], kind):
                found[pixels] = max(found.get(pixels, 0), place + 1)
        return found


def pixels_of(program: Program, record: int) -> Pixels | None:
    """The pixels over which a record is: of a mean those of the right image; of a scale none."""
    op = program.ops[record]
    assert isinstance(op, RecordOp)
    source = program.ops[op.source]
    assert isinstance(source, MomentOp)
    match op:
        case VarianceOp():
            return source.left
        case MeanOp():
            return source.right
    return None


def _order(grid: Grid) -> tuple[int, Grid]:
    """The order of banks: from the largest grid down."""
    return -prod(grid[0]) * prod(grid[1]), grid


def stream_of(program: Program, *, recording: bool) -> Stream | None:
    """The stream of a program of one network.

    Args:
        program: the lowered network.
        recording: whether what is kept of each image is recorded on the way; otherwise the rows
            compute the kernel from records.

    Returns:
        ``None`` if the program cannot be one: several networks or none, vectors, or grids that
        grow again.
    """
    if len(program.outputs) != 1 or program.outputs[0] is None:
        return None
    if len(program.image_shape) != 3:
        return None
    return _Streaming(program, program.outputs[0], recording).stream()


@dataclass
class _Row:
    """A row before its registers are chosen: values have the program's numbers."""

    chain: list[int]
    source: int | None
    value: int
    times: float = 1.0
    position: int = 0
    diagonal: bool = False
    grid: Grid = ONE


@dataclass
class _Streaming:
    program: Program
    output: int
    recording: bool
    rows: list[_Row] = field(default_factory=list)

    def __post_init__(self) -> None:
        ops = self.program.ops
        self.needed: set[int] = {self.output}
        for index in range(len(ops) - 1, -1, -1):
            if index in self.needed:
                self.needed.update(self._reads(index))
        self.readers = Counter(
            value
            for index in sorted(self.needed)
            if isinstance(ops[index], MomentOp)
            for value in ops[index].reads
        )
        self.recorded: dict[int, list[int]] = defaultdict(list)
        for index in sorted(self.needed):
            if isinstance(ops[index], RecordOp):
                self.recorded[self._recorded_of(index)].append(index)

    def _recorded_of(self, record: int) -> int:
        """The moment of which a record is taken: of a mean, before the pool over its pixels."""
        op = self.program.ops[record]
        assert isinstance(op, RecordOp)
        match op, self.program.ops[op.source]:
            case MeanOp(), PoolOp(source=moment, layer=GlobalAvgPool(), side=0):
                return moment
        return op.source

    def _reads(self, index: int) -> Iterable[int]:
        op = self.program.ops[index]
        if isinstance(op, RecordOp):
            return (self._recorded_of(index), *op.records)
        return (*op.reads, *op.records) if self.recording else op.reads

    @cached_property
    def _unwritten(self) -> dict[int, int]:
        """Normalised moments that are made anew wherever they are read, and their sources."""
        ops = self.program.ops
        found: dict[int, int] = {}
        for index in sorted(self.needed) if self.recording else ():
            op = ops[index]
            if not isinstance(op, NormalizeOp) or index == self.output or op.source in found:
                continue
            if all(isinstance(ops[record], VarianceOp) for record in self.recorded[index]):
                found[index] = op.source
        return found

    def _single(self, value: int) -> bool:
        """Whether one instruction reads a value, and nothing else does."""
        return self.readers[value] == 1 and not self.recorded[value] and value != self.output

    def stream(self) -> Stream | None:
        self._make_rows()
        ops = self.program.ops
        for row in self.rows:
            op = ops[row.value]
            assert isinstance(op, MomentOp)
            row.grid = op.left, op.right
        self.rows.sort(key=lambda row: (_order(row.grid), row.position))
        written = {row.value: number for number, row in enumerate(self.rows)}
        for number, row in enumerate(self.rows):
            reads = [] if row.source is None else [row.source]
            if self.recording:
                reads += [self._recorded_of(r) for i in row.chain for r in ops[i].records]
            if any(written.get(value, number) >= number for value in reads):
                return None
        for kind in (ScaleOp, MeanOp):  # a row has a place for one of each
            found = (sum(isinstance(ops[r], kind) for r in of) for of in self.recorded.values())
            if max(found, default=0) > 1:
                return None
        return self._allocated(written)

    def _make_rows(self) -> None:
        """Chains of instructions, and the sums that they are added to."""
        ops = self.program.ops
        ending: dict[int, _Row] = {}
        for index in sorted(self.needed):
            op = ops[index]
            if isinstance(op, SumOp):
                for value, times in op.terms:
                    row = ending.get(value) if self._single(value) else None
                    if row is None:
                        row = self._beginning(value)
                        row.position = index
                    row.value, row.times = index, times
            elif index in self._unwritten:
                if self.recorded[index]:
                    source = self._unwritten[index]
                    self.rows.append(_Row([index], source, index, position=index, diagonal=True))
            elif isinstance(op, MomentOp):
                source = op.source if isinstance(op, ReadOp) else None
                row = ending.get(source) if source is not None else None
                if row is None or not self._follows(op, ops[row.chain[-1]]):
                    row = self._beginning(source)
                row.chain.append(index)
                row.value = row.position = index
                ending[index] = row

    def _beginning(self, source: int | None) -> _Row:
        """A new row that reads a moment, or makes it of the one that is written."""
        chain = []
        if source in self._unwritten:
            chain, source = [source], self._unwritten[source]
        self.rows.append(_Row(chain, source, 0))
        return self.rows[-1]

    def _follows(self, op: MomentOp, before: Op) -> bool:
        assert isinstance(op, ReadOp)
        # Only the right side after the left one: how pools follow each other makes no operations.
        other_side = (
            isinstance(op, PoolOp)
            and isinstance(before, PoolOp)
            and (before.layer, before.side, op.side) == (op.layer, 0, 1)
        )
        return self._single(op.source) and (isinstance(op, FOLLOWERS) or other_side)

    def _allocated(self, written: dict[int, int]) -> Stream:
        """Registers: one is free again after the last row that reads it."""
        ends: dict[int, int] = {self.output: len(self.rows)}
        for number, row in enumerate(self.rows):
            if row.source is not None:
                ends[row.source] = max(ends.get(row.source, 0), number)
        grids = list(dict.fromkeys(row.grid for row in self.rows))
        last_of = {row.grid: number for number, row in enumerate(self.rows)}
        register: dict[int, int] = {}
        banks: list[BankOfStream] = []
        for grid in grids:
            free: list[int] = []
            used: set[int] = set()
            instructions: list[Instruction] = []
            alive: dict[int, int] = {}
            for number, row in enumerate(self.rows):
                if row.grid != grid:
                    continue
                for value in [v for v, end in alive.items() if end <= number]:
                    free.append(register[value])
                    del alive[value]
                if row.diagonal:
                    assert row.source is not None
                    instructions.append(self._instruction(row, register, True, True))
                    continue
                first = row.value not in register
                if first:
                    register[row.value] = free.pop() if free else len(used)
                    used.add(register[row.value])
                instructions.append(
                    self._instruction(row, register, first, written[row.value] == number)
                )
                end = ends.get(row.value, number)
                if first:
                    # What a later bank reads stays to the end of this one.
                    alive[row.value] = end if end <= last_of[grid] else len(self.rows)
            banks.append(BankOfStream(grid, tuple(instructions), len(used)))
        return Stream(self.program, tuple(banks), register[self.output], self.recording)

    def _instruction(
        self, row: _Row, register: dict[int, int], first: bool, last: bool
    ) -> Instruction:
        ops = self.program.ops
        source = None
        if row.source is not None:
            read = ops[row.source]
            assert isinstance(read, MomentOp)
            source = read.left, read.right
        chain: list[MomentOp] = []
        records: list[int] = []
        gains: list[float] = []
        for index in row.chain:
            op = ops[index]
            assert isinstance(op, MomentOp)
            records += op.records
            op = op.renamed(lambda _: 0, lambda _: 0)
            if isinstance(op, WeightOp):
                gains += op.gains
                op = op.without_gains()
            chain.append(op)
        instruction = Instruction(
            Operation(
                source,
                tuple(chain),
                tuple(pixels_of(self.program, record) for record in records),
            ),
            0 if row.source is None else register[row.source],
            register[row.source if row.diagonal and row.source is not None else row.value],
            row.times,
            tuple(records),
            tuple(gains),
            diagonal=row.diagonal,
            added=not first,
        )
        if not (last and self.recording):
            return instruction
        for record in self.recorded[row.value]:
            match ops[record]:
                case VarianceOp():
                    instruction = replace(instruction, variance=record)
                case MeanOp():
                    instruction = replace(instruction, mean=record)
                case ScaleOp(mean=mean):
                    instruction = replace(instruction, scale=record, scale_mean=mean)
        return instruction


@dataclass(frozen=True)
class Bank:
    """What is compiled for the moments of one grid.

    Attributes:
        grid: of the moments.
        operations: that write them.
        diagonals: operations that make variances of those of another moment.
        rows: how many rows there may be.
        registers: how many moments there may be at a time.
    """

    grid: Grid
    operations: tuple[Operation, ...]
    diagonals: tuple[Operation, ...]
    rows: int
    registers: int


Rooms = tuple[tuple[Pixels, int], ...]
"""By pixels, how many records of a kind there may be, place 0 included."""


@dataclass(frozen=True)
class InstructionSet:
    """What is compiled: the operations of some networks, and room for their rows and records.

    Attributes:
        banks: from the largest grid down.
        variances: rooms of variances.
        means: rooms of covariances with the reference images' mean.
        scales: places for scales, place 0 included.
        reads: most records that an operation reads.
        gains: most gains that an operation takes.
    """

    banks: tuple[Bank, ...]
    variances: Rooms
    means: Rooms
    scales: int
    reads: int
    gains: int

    @cached_property
    def _hash(self) -> int:
        return hash(tuple(getattr(self, part.name) for part in fields(self)))

    def __hash__(self) -> int:
        """Kept: it is asked for at every call of what is compiled."""
        return self._hash

    def __reduce__(self) -> Any:
        """Without the hash, which is another one in another process."""
        return InstructionSet, tuple(getattr(self, part.name) for part in fields(self))

    def holds(self, stream: Stream) -> bool:
        """Whether the stream runs in what is compiled."""
        return self.extended(stream) == self

    def extended(self, *streams: Stream) -> InstructionSet:
        """The set that holds some streams as well, the same one in whatever order they come."""
        operations, diagonals = (
            {bank.grid: getattr(bank, kind) for bank in self.banks}
            for kind in ("operations", "diagonals")
        )
        rows, registers = (
            Counter({bank.grid: getattr(bank, kind) for bank in self.banks})
            for kind in ("rows", "registers")
        )
        variances, means = self.variances, self.means
        scales, reads, gains = self.scales, self.reads, self.gains
        for stream in streams:
            for grid, written, needed in stream.banks:
                for kind, diagonal in ((operations, False), (diagonals, True)):
                    made = {row.operation for row in written if row.diagonal == diagonal}
                    kind[grid] = _united(kind.get(grid, ()), made)
                rows[grid] = max(rows[grid], _rounded(len(written)))
                registers[grid] = max(registers[grid], needed)
                reads = max([reads, *(len(row.records) for row in written)])
                gains = max([gains, *(len(row.gains) for row in written)])
            scaled: dict[Pixels | None, int] = {
                grid[0]: 1 for grid, written, _ in stream.banks if any(r.scale for r in written)
            }
            variances = _enlarged(variances, scaled | stream.room(VarianceOp))
            means = _enlarged(means, stream.room(MeanOp))
            scales = max([scales, *map(_rounded, stream.room(ScaleOp).values())])
        banks = (
            Bank(grid, operations[grid], diagonals[grid], rows[grid], registers[grid])
            for grid in sorted(rows, key=_order)
        )
        return InstructionSet(tuple(banks), variances, means, scales, reads, gains)


def _united(known: tuple[Operation, ...], made: set[Operation]) -> tuple[Operation, ...]:
    """Operations that compute all, in an order that does not depend on which of them came first."""
    if made <= set(known):
        return known
    united = made.union(known)
    parts = {part for whole in united for part in computed_by(whole) if part != whole}
    return tuple(sorted(united - parts, key=repr))


def _numbered(operations: tuple[Operation, ...], first: int) -> dict[Operation, tuple[int, int]]:
    """By operation the number of one that computes it, and how many records are left in place 0."""
    return {
        part: (number, skipped)
        for number, operation in enumerate(operations, first)
        for part, skipped in computed_by(operation).items()
    }


EMPTY = InstructionSet((), (), (), 1, 1, 0)
"""The set of no operations."""

ROOM = 16
"""Rows and places are counted in so many: what is not used costs little."""


def _rounded(number: int) -> int:
    return -(-number // ROOM) * ROOM


def _enlarged(rooms: Rooms, needed: dict[Pixels | None, int]) -> Rooms:
    known = dict(rooms)
    for pixels, places in needed.items():
        assert pixels is not None
        known[pixels] = max(known.get(pixels, 0), _rounded(places))
    return tuple(sorted(known.items(), reverse=True))


class Encoded(NamedTuple):
    """A stream as arrays, for each bank of a set.

    Attributes:
        rows: ``(rows, columns)`` of integers.
        factors: real numbers, ``(rows, columns)``.
        counts: rows that are used.
        output: the register of the kernel.
    """

    rows: tuple[np.ndarray, ...]
    factors: tuple[np.ndarray, ...]
    counts: np.ndarray
    output: np.ndarray


def encode(stream: Stream, instructions: InstructionSet, dtype: np.dtype) -> Encoded:
    """The rows of a stream as numbers of a set that holds it; factors of a real ``dtype``."""
    of_grid = {bank.grid: bank for bank in stream.banks}

    def slot(record: int | None) -> int:
        return 0 if record is None else stream.slots[record][1]

    rows: list[np.ndarray] = []
    factors: list[np.ndarray] = []
    for bank in instructions.banks:
        written, diagonals = _numbered(bank.operations, 0), _numbered(bank.diagonals, 1)
        table = np.zeros((bank.rows, RECORDS + instructions.reads), np.int32)
        of_rows = np.ones((bank.rows, GAINS + instructions.gains), dtype)
        used: Sequence[Instruction] = of_grid[bank.grid].rows if bank.grid in of_grid else ()
        for i, row in enumerate(used):
            number, skipped = (diagonals if row.diagonal else written)[row.operation]
            table[i, :RECORDS] = (
                0 if row.diagonal else number,
                row.source,
                row.target,
                slot(row.variance),
                slot(row.mean),
                slot(row.scale),
                slot(row.scale_mean),
                number if row.diagonal else 0,
                row.added,
            )
            at = RECORDS + skipped
            table[i, at : at + len(row.records)] = [slot(record) for record in row.records]
            of_rows[i, : GAINS + len(row.gains)] = row.times, *row.gains
        rows.append(table)
        factors.append(of_rows)
    counts = [len(of_grid[b.grid].rows) if b.grid in of_grid else 0 for b in instructions.banks]
    return Encoded(
        tuple(rows), tuple(factors), np.array(counts, np.int32), np.array(stream.output, np.int32)
    )
