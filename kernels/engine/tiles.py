"""Gram matrices in tiles of pairs, bounded by a number of bytes."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import jax.numpy as jnp
import numpy as np
from jax import Array

from kernas.errors import ConfigurationError

from ..program.ops import MomentOp, Program, Schedule
from .blocks import blocks
from .instructions import Block, Moment, execute
from .records import Images, Statistics, pair_bytes

DEFAULT_TILE_BYTES = 32 * 2**20
"""Default bound on the bytes that the moments of one tile take at a time."""

Progress = Callable[[int], None]

TilesOfRow = Callable[[np.ndarray], tuple[Array, Array | None]]
"""``K`` and ``Θ`` of a row of tiles, by the indices of its columns."""


@dataclass(frozen=True)
class TileShape:
    """How pairs are grouped.

    Attributes:
        side: images on each side of a tile.
        chunk: images whose records are computed at a time.
        pair_bytes: most bytes that the live moments of one pair take.
    """

    side: int
    chunk: int
    pair_bytes: int


def tile_shape(program: Program, tile_bytes: int, n_reference: int, *, tangent: bool) -> TileShape:
    """The largest tile and chunk that fit into a number of bytes.

    Raises:
        ConfigurationError: not even one pair fits.
    """
    per_pair = max(pair_bytes(program, records=False, tangent=tangent), 1)
    recorded = max(pair_bytes(program, records=True, tangent=tangent), 1)
    pairs_per_image = 1 + (n_reference if program.meets_reference else 0)
    least = max(per_pair, recorded * pairs_per_image)
    if tile_bytes < least:
        raise ConfigurationError(
            f"tile_bytes={tile_bytes}: one pair of images of {program.image_shape} needs {least} "
            "bytes; give at least that, or use smaller images"
        )
    side = math.isqrt(tile_bytes // per_pair)
    chunk = tile_bytes // (recorded * pairs_per_image)
    return TileShape(side, chunk, per_pair)


def gram(
    program: Program,
    left: Images,
    right: Images | None,
    statistics: Statistics | None,
    *,
    side: int,
    tangent: bool,
    progress: Progress | None = None,
) -> tuple[np.ndarray, np.ndarray | None]:
    """``K`` and ``Θ`` of all pairs.

    Args:
        program: the lowered network.
        left: the images of the rows, with their records.
        right: the images of the columns; ``None`` for the rows' own, of which one triangle of
            tiles is computed and mirrored.
        statistics: of the bound kernel, ``None`` if the program needs none.
        side: images on each side of a tile; the last tile is filled up with repetitions.
        tangent: whether ``Θ`` is wanted.
        progress: called with the number of pairs after each tile.

    Returns:
        Arrays ``(n, n')``; the second is ``None`` unless ``tangent``.
    """
    columns = left if right is None else right
    shape = (len(left), len(columns))
    dtype = jnp.result_type(float)
    K = np.zeros(shape, dtype)
    T = np.zeros(shape, dtype) if tangent else None
    if program.output is None:  # the network is zero everywhere
        return K, T
    scales = {} if statistics is None else statistics.scales
    grand_means = {} if statistics is None else statistics.grand_means
    schedule = program.schedule(records=False)

    def tiles_of(row: np.ndarray) -> TilesOfRow:
        left_side = left.take(row)

        def tile(col: np.ndarray) -> Moment:
            sides = left_side, columns.take(col)
            return _tile(program, schedule, Block(*sides, False, scales, grand_means, tangent))

        return tile

    fill_tiles(K, T, tiles_of, side=side, symmetric=right is None, progress=progress)
    return K, T


def fill_tiles(
    K: np.ndarray,
    T: np.ndarray | None,
    tiles_of: Callable[[np.ndarray], TilesOfRow],
    *,
    side: int,
    symmetric: bool,
    progress: Progress | None = None,
) -> None:
    """Write ``K`` and ``Θ`` of all pairs into two matrices, tile by tile.

    Args:
        K: ``(n, n')``, to be filled.
        T: likewise, ``None`` if it is not wanted; left as it is where a tile has no ``Θ``.
        tiles_of: of ``side`` indices of rows, the function of as many of columns that gives both
            ``(side, side)``; the last index is repeated where a tile hangs over the edge.
        side: images on each side of a tile.
        symmetric: the columns are the rows: one triangle of tiles is computed and mirrored.
        progress: called with the number of pairs after each tile.
    """
    for row in blocks(K.shape[0], side):
        tile = tiles_of(row.filled)
        for col in blocks(K.shape[1], side):
            if symmetric and col.rows.start < row.rows.start:
                continue
            diagonal = symmetric and col.rows == row.rows
            parts = tile(col.filled)
            for whole, part in zip((K, T), parts, strict=True):
                if whole is None or part is None:
                    continue
                block = np.asarray(part)[: len(row), : len(col)]
                if diagonal:
                    block = np.triu(block) + np.triu(block, 1).T
                whole[row.rows, col.rows] = block
                if symmetric:
                    whole[col.rows, row.rows] = block.T
            if progress is not None:
                progress(len(row) * len(col) * (2 if symmetric and not diagonal else 1))


def _tile(program: Program, schedule: Schedule, block: Block) -> Moment:
    values: dict[int, Moment] = {}
    for index, last_reads in schedule:
        op = program.ops[index]
        assert isinstance(op, MomentOp)
        values[index] = execute(op, values, block)
        for value in last_reads:
            del values[value]
    assert program.output is not None
    return values[program.output].map(lambda part: part[0, 0, 0, 0])
