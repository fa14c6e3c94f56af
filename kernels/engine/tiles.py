"""Gram matrices in tiles of pairs, bounded by a number of bytes."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import reduce

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from kernas.errors import ConfigurationError

from ..covariance.moments import covariance, tangent
from ..program.ops import Program
from ..program.planning import plan_pairs
from .blocking import WayName
from .blocks import IndexBlock, balanced, blocks
from .execution import Execution
from .memory import pair_bytes
from .programs import make_room
from .records import NO_CONSTANTS, Matrix, Request, Statistics, record_bytes, take
from .steps import Block, run_plan
from .workers import Device, Task, local_workers, run_tasks

DEFAULT_TILE_BYTES = 2**30
"""Default bound on the bytes that all tiles at work take."""

CACHED_BYTES = 16 * 2**20
"""Tiles of all planes at once are no larger, so that what an instruction writes is still in cache
when the next one reads it."""

Progress = Callable[[int], None]

TilesOfRow = Callable[[np.ndarray, Device], Sequence[Array | None]]
"""The tiles of a row of tiles, one for each matrix, by the indices of its columns and a device."""


@dataclass(frozen=True)
class TileShape:
    """How pairs are grouped.

    Attributes:
        rows: most left images of a tile.
        columns: most right images of a tile.
        chunk: images whose records are computed at a time.
        way: in planes, whole or as a stream.
        pair_bytes: most bytes that the live moments of one pair take.
        workers: at most so many tiles at a time.
    """

    rows: int
    columns: int
    chunk: int
    way: WayName
    pair_bytes: int
    workers: int

    @property
    def by_plane(self) -> bool:
        """Whether a tile is of planes, one left image meeting several right ones."""
        return self.way == "planes"


def tile_shape(execution: Execution, tile_bytes: int, n_reference: int) -> TileShape:
    """The tile that a number of bytes holds, and the chunk.

    Raises:
        ConfigurationError: not even one pair fits.
    """
    program, blocking = execution.program, execution.blocking
    with_tangent, by_plane = execution.with_tangent, blocking.by_plane
    plan = plan_pairs(program, fused=by_plane)
    per_pair = max(pair_bytes(plan, with_tangent=with_tangent, by_plane=by_plane), 1)
    recorded = max(record_bytes(program, n_reference, with_tangent=with_tangent), 1)
    least = max(per_pair, recorded)
    check_tile_bytes(program, tile_bytes, least)
    workers = min(len(local_workers()), tile_bytes // per_pair)
    pairs = tile_bytes // (per_pair * workers)
    if by_plane:
        rows, columns = 1, min(blocking.lanes, pairs)
    else:
        most = math.isqrt(max(1, min(pairs, CACHED_BYTES // per_pair)))
        # A power of two: different networks then have tiles of one size, compiled once.
        rows = columns = 1 << (most.bit_length() - 1)
    return TileShape(rows, columns, tile_bytes // recorded, blocking.way, per_pair, workers)


def check_tile_bytes(program: Program, tile_bytes: int, least: int) -> None:
    """Refuse a bound below what one pair of images, or the records of one image, need.

    Raises:
        ConfigurationError: the message says how many bytes are needed.
    """
    if tile_bytes < least:
        raise ConfigurationError(
            f"tile_bytes={tile_bytes}: one pair of images of {program.image_shape} needs {least} "
            "bytes; give at least that, or use smaller images"
        )


def gram(
    program: Program,
    request: Request,
    statistics: Statistics | None,
    *,
    tile: TileShape,
    with_tangent: bool,
    progress: Progress | None = None,
) -> list[Matrix]:
    """``K`` and ``Θ`` of all pairs, for each output of the program.

    Args:
        program: the lowered network.
        request: the images; of a symmetric matrix one triangle of tiles is computed and mirrored.
        statistics: of the bound kernel, ``None`` if the program needs none.
        tile: how pairs are grouped; the last tile is filled up with repetitions.
        with_tangent: whether ``Θ`` is wanted.
        progress: called with the number of pairs after each tile.

    Returns:
        Arrays ``(n, n')``; the second is ``None`` unless ``with_tangent``.
    """
    dtype = jnp.result_type(float)
    wholes = [
        (np.zeros(request.shape, dtype), np.zeros(request.shape, dtype) if with_tangent else None)
        for _ in program.outputs
    ]
    alive = {i: output for i, output in enumerate(program.outputs) if output is not None}
    if not alive:  # the networks are zero everywhere
        return wholes
    make_room()
    constants = NO_CONSTANTS if statistics is None else statistics.constants
    plan = plan_pairs(program, fused=tile.by_plane)

    views = {id(view): view for view in (*request.rows, *request.columns)}
    meetings = [(id(left), id(right)) for left, right in request.meetings]
    workers = local_workers()[: tile.workers]
    copies = {
        device: jax.device_put(({key: view.side for key, view in views.items()}, constants), device)
        for device in dict.fromkeys(workers)
    }

    def tiles_of(row: np.ndarray) -> TilesOfRow:
        def tile_of(col: np.ndarray, device: Device) -> list[Array | None]:
            sides, shared = copies[device]
            found: list[list[Array]] = []
            for left, right in meetings:
                met = take(sides[left], row), take(sides[right], col)
                block = Block(*met, False, shared, with_tangent, tile.by_plane)
                values = run_plan(plan, block)
                found.append([values[output][0, 0] for output in alive.values()])
            parts: list[Array | None] = []
            for of_views in zip(*found, strict=True):
                moment = reduce(jnp.add, of_views)
                if len(of_views) > 1:
                    moment = moment / len(of_views)
                parts += [covariance(moment), tangent(moment)]
            return parts

        return tile_of

    fill_tiles(
        [part for i in alive for part in wholes[i]],
        tiles_of,
        rows=balanced(request.shape[0], tile.rows),
        columns=_lanes(request.shape[1], tile),
        symmetric=request.symmetric,
        workers=workers,
        progress=progress,
    )
    return wholes


def _lanes(images: int, tile: TileShape) -> int:
    """Columns of a tile: as equal as possible, but by plane as wide as the device likes it."""
    return min(images, tile.columns) if tile.by_plane else balanced(images, tile.columns)


def fill_tiles(
    wholes: Sequence[np.ndarray | None],
    tiles_of: Callable[[np.ndarray], TilesOfRow],
    *,
    rows: int,
    columns: int,
    symmetric: bool,
    workers: tuple[Device, ...] | None = None,
    progress: Progress | None = None,
) -> None:
    """Write matrices of all pairs, tile by tile.

    Args:
        wholes: matrices ``(n, n')`` to be filled, ``None`` for one that is not wanted.
        tiles_of: of ``rows`` indices of rows, the function of ``columns`` indices of columns that
            gives a tile ``(rows, columns)`` of each matrix, ``None`` for one to leave as it is;
            the last index is repeated where a tile hangs over the edge.
        rows: images on the left of a tile.
        columns: images on the right of a tile.
        symmetric: the columns are the rows: tiles below the diagonal are mirrored.
        workers: the device of each thread that computes tiles; the default device's alone if
            ``None``.
        progress: called with the number of pairs after each tile.
    """
    shape = next(whole.shape for whole in wholes if whole is not None)

    def write(parts: Sequence[Array | None], row: IndexBlock, col: IndexBlock) -> None:
        for whole, part in zip(wholes, parts, strict=True):
            if whole is None or part is None:
                continue
            block = np.asarray(part)[: len(row), : len(col)]
            if not symmetric:
                whole[row.rows, col.rows] = block
                continue
            i, j = (np.arange(part.rows.start, part.rows.stop) for part in (row, col))
            upper = i[:, None] <= j  # where a tile meets the diagonal
            i, j = (np.broadcast_to(index, upper.shape)[upper] for index in (i[:, None], j))
            whole[i, j] = whole[j, i] = block[upper]
        if progress is not None:
            progress(len(row) * len(col))

    def tasks() -> Iterator[Task]:
        for row in blocks(shape[0], rows):
            tile = tiles_of(row.filled)
            for col in blocks(shape[1], columns):
                if symmetric and col.rows.stop <= row.rows.start:
                    continue
                yield lambda device, tile=tile, row=row, col=col: write(
                    tile(col.filled, device), row, col
                )

    run_tasks(tasks(), workers or (jax.local_devices()[0],))
