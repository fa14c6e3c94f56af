"""Statistics, records and matrices of a network, whichever way it is computed."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..program.ops import Program
from . import records, streams, tiles
from .blocking import Blocking
from .blocks import balanced
from .records import Images, Matrix, Request, Statistics
from .tiles import TileShape

OVERFLOWING = np.errstate(over="ignore", invalid="ignore")
"""Overflow is seen in results, and needs no warnings of NumPy's on the way."""


@OVERFLOWING
def bind(
    program: Program,
    reference: np.ndarray,
    *,
    blocking: Blocking,
    max_bytes: int,
    with_tangent: bool,
) -> Statistics:
    """Record the statistics of the reference images, all of their pairs in one block.

    Raises:
        ConfigurationError: the block does not fit into ``max_bytes``; the message says how many
            images do.
        ArchitectureError: a nonlinearity's series is not exact enough at these variances.
    """
    if blocking.way == "stream":
        return streams.bind(
            program,
            reference,
            lanes=blocking.lanes,
            max_bytes=max_bytes,
            with_tangent=with_tangent,
        )
    return records.bind(program, reference, max_bytes=max_bytes, with_tangent=with_tangent)


def tile_shape(
    program: Program, tile_bytes: int, n_reference: int, *, blocking: Blocking, with_tangent: bool
) -> TileShape:
    """The tile that a number of bytes holds, and the chunk.

    Raises:
        ConfigurationError: not even one pair fits.
    """
    if blocking.way == "stream":
        return streams.stream_tile(
            program, tile_bytes, n_reference, lanes=blocking.lanes, with_tangent=with_tangent
        )
    return tiles.tile_shape(
        program, tile_bytes, n_reference, blocking=blocking, with_tangent=with_tangent
    )


@OVERFLOWING
def prepare(
    program: Program,
    x: np.ndarray,
    statistics: Statistics | None,
    *,
    tile: TileShape,
    with_tangent: bool,
) -> Images:
    """Compute the records of images.

    Raises:
        ArchitectureError: a nonlinearity's series is not exact enough at these variances.
    """
    if tile.way == "stream":
        return streams.prepare(program, x, statistics, tile=tile, with_tangent=with_tangent)
    chunk = balanced(len(x), tile.chunk)
    return records.prepare(program, x, statistics, chunk=chunk, with_tangent=with_tangent)


@OVERFLOWING
def grams(
    program: Program,
    requests: Sequence[Request[Images]],
    statistics: Statistics | None,
    *,
    tile: TileShape,
    with_tangent: bool,
) -> list[list[Matrix]]:
    """For several pairs of sets of images ``K`` and ``Θ`` of each output of a program.

    Args:
        program: the lowered networks.
        requests: the images of each matrix.
        statistics: of the bound kernel, ``None`` if the program needs none.
        tile: how pairs are grouped.
        with_tangent: whether ``Θ`` is wanted; the second matrices are ``None`` otherwise.
    """
    if tile.way == "stream":
        found = streams.gram(program, requests, statistics, tile=tile, with_tangent=with_tangent)
        return [[matrix] for matrix in found]
    return [
        tiles.gram(program, request, statistics, tile=tile, with_tangent=with_tangent)
        for request in requests
    ]
