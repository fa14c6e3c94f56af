"""Statistics, records and Gram matrices of networks as data, in blocks of pairs.

A block holds any pairs of images, so the pairs of several matrices go through the device in one
sweep. The records of an image are made by running the network on the image with itself and, where
``Normalize`` is centred, with every reference image; the kernel of those pairs comes out on the way
and is not computed again.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from itertools import islice
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from ..program.ops import MeanOp, Program
from ..program.streams import Encoded, encode
from .blocks import IndexBlock, blocks
from .execution import Execution
from .machine import Meetings, Shared, Table, run_pairs, run_records
from .memory import operation_bytes, register_bytes
from .planes import Constants
from .programs import make_room
from .records import NO_CONSTANTS, Images, Matrix, Met, Request, Statistics, check_bind_bytes
from .sharing import is_stream as is_stream
from .sharing import known_stream as known_stream
from .sharing import stream_for
from .tiles import TileShape, check_tile_bytes
from .workers import Device, Task, local_workers, run_tasks

BLOCKS = 64
"""Most blocks of pairs that one call computes."""

LEAST_IMAGES = 64
"""A table has room for so many images or a power of two, so that few sizes are compiled."""

ALONE = 32
"""Images at a time whose records need no reference images, for networks that have none."""


def steps(program: Program) -> int:
    """Operations that a pair goes through."""
    return sum(len(bank.rows) for bank in stream_for(program, recording=False).banks)


class _Layout:
    """Records by the numbers of a program, as tables of a set and back."""

    def __init__(self, execution: Execution, recording: bool) -> None:
        self.program = execution.program
        self.stream = stream_for(self.program, recording)
        self.instructions = execution.instructions(recording)
        self.with_tangent = execution.with_tangent
        self.real = np.dtype(jnp.result_type(float))
        self.moment = np.result_type(self.real, np.complex64) if self.with_tangent else self.real

    @cached_property
    def encoded(self) -> Encoded:
        """The stream in numbers of the set."""
        return encode(self.stream, self.instructions, self.real)

    def table(self, images: Images, size: int) -> Table:
        """Images with their records, and room for others up to a number of images."""
        pixels = np.asarray(images.pixels)
        filled = np.zeros((pixels.shape[3], *pixels.shape[1:3], size), self.real)
        filled[..., : len(pixels)] = np.moveaxis(pixels, (3, 0), (0, 3))
        variances: dict[Any, np.ndarray]
        means: dict[Any, np.ndarray]
        variances, means = (
            {of: np.zeros((places, *of, size), dtype) for of, places in rooms}
            for rooms, dtype in (
                (self.instructions.variances, self.real),
                (self.instructions.means, self.moment),
            )
        )
        for index, record in images.records.items():
            of, place = self.stream.slots[index]
            room = means if self._is_mean(index) else variances
            room[of][place, ..., : len(pixels)] = record if room is variances else self._of(record)
        return Table(filled, variances, means)

    def records(self, table: Table, count: int) -> dict[int, Array | np.ndarray]:
        """What was recorded of the first images of a table."""
        found: dict[int, Array | np.ndarray] = {}
        for index in self.stream.recorded:
            of, place = self.stream.slots[index]
            room = table.means if self._is_mean(index) else table.variances
            found[index] = room[of][place, ..., :count]
        return found

    def shared(self, constants: Constants) -> Shared:
        """What ``Normalize`` takes from the reference images."""
        scales = np.zeros(self.instructions.scales, self.real)
        grand: dict[Any, np.ndarray] = {
            of: np.zeros(places, self.moment) for of, places in self.instructions.means
        }
        for index, value in constants.scales.items():
            scales[self.stream.slots[index][1]] = value
        for index, value in constants.grand_means.items():
            of, place = self.stream.slots[index]
            grand[of][place] = self._of(value)
        return Shared(scales, grand)

    def constants(self, shared: Shared) -> Constants:
        """What was recorded of the reference images together."""
        slots = self.stream.slots
        means = [index for index in self.stream.recorded if self._is_mean(index)]
        return Constants(
            {index: shared.scales[slots[index][1]] for index in self.stream.scaled},
            {index: shared.grand_means[slots[index][0]][slots[index][1]] for index in means},
        )

    def _is_mean(self, index: int) -> bool:
        return isinstance(self.program.ops[index], MeanOp)

    def _of(self, record: Any) -> np.ndarray:
        return _kernels(record, self.moment)


def _kernels(moments: Any, dtype: np.dtype) -> np.ndarray:
    """Moments of both kernels, or of NNGP alone if that is what is wanted."""
    return np.asarray(moments) if dtype.kind == "c" else np.real(moments)


def _with_others(images: int, reference: int, lanes: int) -> Meetings:
    """Every reference image with every image, and every image with itself."""
    i, j = np.divmod(np.arange(reference * images), images)
    own = np.arange(images)
    met = np.arange(reference * images).reshape(reference, images)
    left, right = np.concatenate([i, reference + own]), np.concatenate([j, own])
    return _in_blocks(left, right, reference * images + own, met, lanes)


def _with_each_other(images: int, lanes: int, *, mirrored: bool) -> Meetings:
    """The reference images with each other, each two of them once if ``mirrored``."""
    if mirrored:
        i, j = np.triu_indices(images)
    else:
        i, j = np.divmod(np.arange(images**2), images)
    met = np.zeros((images, images), int)
    met[i, j] = np.arange(len(i))
    alone = met.diagonal().copy()
    if mirrored:
        whole = -(-len(i) // balanced_lanes(len(i), lanes)) * balanced_lanes(len(i), lanes)
        below = np.tril_indices(images, -1)
        met[below] = whole + met.T[below]
    return _in_blocks(images + i, j, alone, met, lanes)


def _in_blocks(
    left: np.ndarray, right: np.ndarray, alone: np.ndarray, met: np.ndarray, lanes: int
) -> Meetings:
    lanes = balanced_lanes(len(left), lanes)
    fill = -len(left) % lanes
    left, right = (np.pad(x, (0, fill), mode="edge").reshape(-1, lanes) for x in (left, right))
    return Meetings(*(x.astype(np.int32) for x in (left, right, alone, met)))


def balanced_lanes(pairs: int, lanes: int) -> int:
    """Lanes of blocks that hold a number of pairs: at least ``lanes``, with few left empty."""
    return max(1, -(-pairs // max(1, pairs // lanes)))


def is_centred(program: Program) -> bool:
    """Whether an image has to meet the reference images."""
    return any(isinstance(program.ops[i], MeanOp) for i in stream_for(program, True).recorded)


def bind_bytes_of(execution: Execution, n_reference: int) -> int:
    """Bytes of the block in which reference images meet each other."""
    program, with_tangent = execution.program, execution.with_tangent
    instructions = execution.instructions(True)
    pairs = n_reference
    if is_centred(program):
        each_once = n_reference * (n_reference + 1) // 2
        pairs = each_once if stream_for(program, True).mirrored else n_reference**2
    once = balanced_lanes(pairs, execution.blocking.lanes) * operation_bytes(
        instructions, program.image_shape, with_tangent=with_tangent
    )
    return pairs * register_bytes(instructions, with_tangent=with_tangent) + once


def record_pairs(program: Program, n_reference: int) -> int:
    """Pairs in which one image is recorded."""
    return n_reference + 1 if n_reference and is_centred(program) else 1


def tile_shape(execution: Execution, tile_bytes: int, n_reference: int) -> TileShape:
    """How many pairs and how many recorded images a number of bytes holds.

    Raises:
        ConfigurationError: not even one pair, or the pairs of one image with the reference images.
    """
    program, blocking = execution.program, execution.blocking
    with_tangent = execution.with_tangent
    of_pair = max(
        register_bytes(instructions, with_tangent=with_tangent)
        + operation_bytes(instructions, program.image_shape, with_tangent=with_tangent)
        for instructions in map(execution.instructions, (False, True))
    )
    met = record_pairs(program, n_reference)
    check_tile_bytes(program, tile_bytes, met * of_pair)
    workers = min(len(local_workers()), tile_bytes // (met * of_pair))
    pairs = tile_bytes // (of_pair * workers)
    chunk = 1 if met > 1 else min(n_reference or ALONE, pairs)
    return TileShape(1, min(blocking.lanes, pairs), chunk, blocking.way, of_pair, workers)


def bind(execution: Execution, reference: np.ndarray, *, max_bytes: int) -> Statistics:
    """Record the statistics of the reference images, all of their pairs in one block.

    Raises:
        ConfigurationError: the block does not fit into ``max_bytes``.
    """
    needed = partial(bind_bytes_of, execution)
    check_bind_bytes(execution.program, len(reference), max_bytes, needed)
    make_room()
    layout = _Layout(execution, True)
    device = jax.local_devices()[0]
    images = Images(reference.astype(layout.real), {})
    found, constants = _binding(execution, layout, images).on(device).of(images, device)
    return Statistics(found, constants, execution.with_tangent)


def _binding(execution: Execution, layout: _Layout, images: Images) -> _Records:
    """How the reference images are recorded: with each other, or as any others without means."""
    count, lanes = len(images), execution.blocking.lanes
    if not is_centred(execution.program):
        return _recording(layout, images, NO_CONSTANTS, count, lanes, binding=True)
    mirrored = layout.stream.mirrored
    return _Records(
        layout,
        layout.encoded,
        layout.table(images, count),
        layout.shared(NO_CONSTANTS),
        _with_each_other(count, lanes, mirrored=mirrored),
        most=1,
        mirrored=mirrored,
        binding=True,
    )


def _recording(
    layout: _Layout,
    reference: Images,
    constants: Constants,
    chunk: int,
    lanes: int,
    *,
    binding: bool = False,
) -> _Records:
    """How so many images at a time are recorded, with the reference images if there are means."""
    others = reference if is_centred(layout.program) else _some(reference, np.arange(0))
    return _Records(
        layout,
        layout.encoded,
        layout.table(others, len(others)),
        layout.shared(constants),
        _with_others(chunk, len(others), lanes),
        most=max(1, BLOCKS // chunk),
        binding=binding,
    )


def prepare(
    execution: Execution, x: np.ndarray, statistics: Statistics | None, *, tile: TileShape
) -> Images:
    """Compute the records of images, a chunk at a time; reference images have theirs.

    Args:
        execution: of the lowered network.
        x: images ``(n, h, w, channels)``.
        statistics: of the bound kernel, ``None`` if the program needs none.
        tile: how many images are recorded at a time.
    """
    make_room()
    layout = _Layout(execution, True)
    images = Images(x.astype(layout.real), {})
    if statistics is None:
        constants, reference = NO_CONSTANTS, _some(images, np.arange(0))
    else:
        constants, reference = statistics.constants, statistics.reference
    known = _positions(reference, images) if statistics is not None else {}
    unknown = np.array([i for i in range(len(images)) if i not in known], int)
    workers = local_workers()[: tile.workers]
    records = _recording(layout, reference, constants, tile.chunk, tile.columns)
    copies = {device: records.on(device) for device in dict.fromkeys(workers)}
    chunks = -(-len(unknown) // tile.chunk)
    each = tile.chunk * max(1, min(records.most, -(-chunks // (4 * len(workers)))))
    parts: dict[int, Images] = {}

    def task(block: IndexBlock) -> Task:
        def run(device: Device) -> None:
            part = _some(images, unknown[block.rows])
            parts[block.rows.start], _ = copies[device].of(part, device)

        return run

    if len(unknown):
        run_tasks(map(task, blocks(len(unknown), each)), workers)
    found = [parts[start] for start in sorted(parts)]
    if known:
        found.append(_some(reference, np.array(list(known.values()))))
    order = np.argsort(np.concatenate([unknown, np.array(list(known), int)]))
    return _some(_joined(found), order)


class _Call(NamedTuple):
    """A jitted function with its arguments."""

    function: Any
    arguments: tuple[Any, ...]
    static: dict[str, bool]

    def result(self) -> Any:
        """What the function returns."""
        return self.function(*self.arguments, **self.static)

    def lowered(self) -> Any:
        """The program, a ``jax.stages.Lowered``: nothing is computed."""
        return self.function.lower(*self.arguments, **self.static)

    @property
    def shapes(self) -> Hashable:
        """Equal for calls of one program."""
        leaves, tree = jax.tree.flatten(self.arguments)
        described = (
            (x.shape, x.dtype, frozenset(x.devices()))
            if isinstance(x, Array)
            else getattr(x, "shape", x)
            for x in leaves
        )
        return self.function, tree, tuple(described), *self.static.items()


@dataclass(frozen=True)
class _Records:
    """How images are recorded.

    Attributes:
        layout: of the program that records.
        encoded: its stream.
        reference: the reference images, perhaps none.
        shared: of ``Normalize``.
        pairs: of each part of the images.
        most: how many parts are compiled for.
        mirrored: whether some lanes stand for both orders of their two images.
        binding: whether the images are the reference images.
    """

    layout: _Layout
    encoded: Encoded
    reference: Table
    shared: Shared
    pairs: Meetings
    most: int
    mirrored: bool = False
    binding: bool = False

    def on(self, device: Device) -> _Records:
        """The same with what is the same for all images on a device."""
        same = self.encoded, self.reference, self.shared, self.pairs
        encoded, reference, shared, pairs = jax.device_put(same, device)
        return replace(self, encoded=encoded, reference=reference, shared=shared, pairs=pairs)

    def call(self, images: Images, device: Device) -> _Call:
        """The call for images, no more than ``most`` parts of them, on a device."""
        layout, size = self.layout, len(self.pairs.alone)
        arguments = (
            layout.instructions,
            self.encoded,
            jax.device_put(layout.table(images, self.most * size), device),
            self.reference,
            self.shared,
            self.pairs,
            np.int32(-(-len(images) // size)),
            np.bool_(self.binding),
        )
        static = {"mirrored": self.mirrored, "with_tangent": layout.with_tangent}
        return _Call(run_records, arguments, static)

    def of(self, images: Images, device: Device) -> tuple[Images, Constants]:
        """Images with their records, and what was recorded of all of them together.

        Args:
            images: no more than ``most`` parts.
            device: where to compute.
        """
        layout, n = self.layout, len(images)
        table, after, kernel = jax.device_get(self.call(images, device).result())
        lanes = kernel.shape[1]
        alone, met = (
            np.concatenate(kernel[:, np.asarray(places) % lanes], axis=-1)[..., :n]
            for places in (self.pairs.alone, self.pairs.met)
        )
        return Images(images.pixels, layout.records(table, n), Met(alone, met)), layout.constants(
            after
        )


def _some(images: Images, indices: np.ndarray) -> Images:
    records = {i: record[..., indices] for i, record in images.records.items()}
    met = images.met and Met(images.met.alone[indices], images.met.reference[:, indices])
    return Images(np.asarray(images.pixels)[indices], records, met)


def _joined(parts: Sequence[Images]) -> Images:
    """Images side by side; what is known of their kernels only if it is known of all."""
    mets = [part.met for part in parts if part.met is not None]
    met = None
    if len(mets) == len(parts):
        met = Met(
            np.concatenate([part.alone for part in mets]),
            np.concatenate([part.reference for part in mets], axis=1),
        )
    records = {
        i: np.concatenate([np.asarray(part.records[i]) for part in parts], axis=-1)
        for i in parts[0].records
    }
    return Images(np.concatenate([np.asarray(part.pixels) for part in parts]), records, met)


def _positions(reference: Images, images: Images) -> dict[int, int]:
    """Which of the images are reference images, and which ones."""
    known = {row.tobytes(): k for k, row in enumerate(np.asarray(reference.pixels))}
    found = ((i, known.get(row.tobytes())) for i, row in enumerate(np.asarray(images.pixels)))
    return {i: k for i, k in found if k is not None}


def grams(
    execution: Execution,
    requests: Sequence[Request],
    statistics: Statistics | None,
    *,
    tile: TileShape,
) -> list[list[Matrix]]:
    """Matrices of one network, all pairs that are not known yet in one sweep.

    Args:
        execution: of the lowered network.
        requests: the images of each matrix, with their records.
        statistics: of the bound kernel, ``None`` if the program needs none.
        tile: how many pairs are in a block.

    Returns:
        For each request ``K`` and ``Θ`` of the one network.
    """
    make_room()
    layout = _Layout(execution, False)
    constants = NO_CONSTANTS if statistics is None else statistics.constants
    meetings = [
        (left, right, request.symmetric) for request in requests for left, right in request.meetings
    ]
    sides = {id(side): side for left, right, _ in meetings for side in (left, right)}
    starts = dict(zip(sides, np.cumsum([0, *map(len, sides.values())]), strict=False))
    known = [
        _known_pairs(left, right, statistics, layout.moment, symmetric=symmetric)
        for left, right, symmetric in meetings
    ]
    missing = [np.nonzero(lacking) for _, lacking in known]
    rows, columns = (
        np.concatenate(
            [
                starts[id(meeting[side])] + indices[side]
                for meeting, indices in zip(meetings, missing, strict=True)
            ]
        ).astype(np.int32)
        for side in (0, 1)
    )
    images = _joined(list(sides.values()))
    values = _computed(layout, images, constants, rows, columns, tile)
    parts = np.split(values, np.cumsum([len(i) for i, _ in missing])[:-1])
    for (of_views, _), indices, part in zip(known, missing, parts, strict=True):
        of_views[indices] = part
    matrices = iter(of_views for of_views, _ in known)
    wholes = [_mean(list(islice(matrices, len(request.meetings)))) for request in requests]
    for request, whole in zip(requests, wholes, strict=True):
        if request.symmetric:
            below = np.tril_indices(len(whole), -1)
            whole[below] = whole.T[below]
    if not execution.with_tangent:
        return [[(whole, None)] for whole in wholes]
    return [[(np.real(whole).copy(), np.imag(whole).copy())] for whole in wholes]


def lowered_pairs(execution: Execution) -> Any:
    """The program that computes blocks of pairs, a ``jax.stages.Lowered``: nothing is computed."""
    pairs = _pairs(_Layout(execution, False), _blank(execution, 1), NO_CONSTANTS)
    return pairs.call(np.zeros((2, 0), np.int32), execution.blocking.lanes).lowered()


def compiling(
    execution: Execution, tile: TileShape, *, n_reference: int, n_images: int
) -> list[Task]:
    """Tasks that compile what :func:`bind`, :func:`prepare` and :func:`grams` will run.

    Args:
        execution: of the lowered network.
        tile: how the work will be cut.
        n_reference: reference images that will be bound, 0 if the program needs none.
        n_images: all images whose pairs will be asked for in a call.

    Returns:
        A task for each different program on each device that will run it.
    """
    make_room()
    recording, layout = _Layout(execution, True), _Layout(execution, False)
    reference, image = _blank(execution, n_reference), _blank(execution, 1)
    records = _recording(recording, reference, NO_CONSTANTS, tile.chunk, tile.columns)
    pairs = _pairs(layout, _blank(execution, n_images), NO_CONSTANTS)
    calls: list[_Call] = []
    if n_reference:
        device = jax.local_devices()[0]
        binding = _binding(execution, recording, reference)
        calls.append(binding.on(device).call(reference, device))
    for device in dict.fromkeys(local_workers()[: tile.workers]):
        calls.append(records.on(device).call(image, device))
        calls.append(pairs.on(device).call(np.zeros((2, 0), np.int32), tile.columns))
    different = {call.shapes: call for call in calls}
    return [lambda _, call=call: call.lowered().compile() for call in different.values()]


def _blank(execution: Execution, count: int) -> Images:
    return Images(np.zeros((count, *execution.program.image_shape)), {})


def _mean(matrices: Sequence[np.ndarray]) -> np.ndarray:
    """Over the views that met."""
    return matrices[0] if len(matrices) == 1 else np.mean(matrices, axis=0, dtype=matrices[0].dtype)


def _known_pairs(
    left: Images,
    right: Images,
    statistics: Statistics | None,
    dtype: np.dtype,
    *,
    symmetric: bool,
) -> tuple[np.ndarray, np.ndarray]:
    """A matrix with what came out with the records, and which pairs are still to be computed.

    Of a symmetric one these are above the diagonal and on it.
    """
    whole = np.zeros((len(left), len(right)), dtype)
    lacking = np.ones(whole.shape, bool)
    if statistics is not None:
        for i, k in _positions(statistics.reference, left).items():
            if right.met is not None and len(right.met.reference):
                whole[i], lacking[i] = _kernels(right.met.reference[k], dtype), False
        for j, k in _positions(statistics.reference, right).items():
            if left.met is not None and len(left.met.reference):
                whole[:, j], lacking[:, j] = _kernels(left.met.reference[k], dtype), False
    if symmetric:
        lacking &= np.triu(lacking)
        if left is right and left.met is not None:
            np.fill_diagonal(whole, _kernels(left.met.alone, dtype))
            np.fill_diagonal(lacking, False)
    return whole, lacking


@dataclass(frozen=True)
class _Pairs:
    """How pairs of images are computed.

    Attributes:
        layout: of the program.
        arguments: the stream, the images, and what is of ``Normalize``.
    """

    layout: _Layout
    arguments: tuple[Encoded, Table, Shared]

    def on(self, device: Device) -> _Pairs:
        """The same on a device."""
        return _Pairs(self.layout, jax.device_put(self.arguments, device))

    def call(self, pairs: np.ndarray, lanes: int) -> _Call:
        """The call for pairs of images, by their indices ``(2, n)``, as many as blocks hold."""
        filled = np.zeros((2, BLOCKS * lanes), np.int32)
        filled[:, : pairs.shape[1]] = pairs
        blocks = np.int32(-(-pairs.shape[1] // lanes))
        return _Call(
            run_pairs,
            (
                self.layout.instructions,
                *self.arguments,
                *filled.reshape(2, BLOCKS, lanes),
                blocks,
            ),
            {"with_tangent": self.layout.with_tangent},
        )


def _pairs(layout: _Layout, images: Images, constants: Constants) -> _Pairs:
    size = max(LEAST_IMAGES, 1 << (len(images) - 1).bit_length())
    return _Pairs(layout, (layout.encoded, layout.table(images, size), layout.shared(constants)))


def _computed(
    layout: _Layout,
    images: Images,
    constants: Constants,
    rows: np.ndarray,
    columns: np.ndarray,
    tile: TileShape,
) -> np.ndarray:
    """The kernel of pairs of images, by their indices."""
    lanes, devices = tile.columns, local_workers()[: tile.workers]
    pairs = _pairs(layout, images, constants)
    copies = {device: pairs.on(device) for device in dict.fromkeys(devices)}
    values = np.zeros(len(rows), layout.moment)
    count = -(-len(rows) // lanes)
    each = max(1, min(BLOCKS, -(-count // (4 * len(devices)))))

    def tasks() -> Iterator[Task]:
        for start in range(0, count, each):
            yield lambda device, part=slice(start * lanes, (start + each) * lanes): run(
                device, part
            )

    def run(device: Device, part: slice) -> None:
        found = copies[device].call(np.stack([rows[part], columns[part]]), lanes).result()
        values[part] = np.asarray(found).reshape(-1)[: len(rows[part])]

    run_tasks(tasks(), devices)
    return values
