"""The ways to compute a network's pairs: by the steps of a plan, in planes or whole; as a stream.

A :class:`~.blocking.Blocking` names its way, and so does the :class:`~.execution.Execution` that it
is part of. What differs between the ways stands in :data:`WAYS`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass

import numpy as np

from ..program.ops import Program
from ..program.planning import plan_pairs
from . import records, streams, tiles
from .blocking import WayName
from .blocks import balanced
from .execution import Execution
from .records import Images, Matrix, Request, Statistics
from .tiles import TileShape
from .workers import Task, begin

OVERFLOWING = np.errstate(over="ignore", invalid="ignore")
"""Overflow is seen in results, and needs no warnings of NumPy's on the way."""


@dataclass(frozen=True)
class Way:
    """What a way does.

    Attributes:
        text: the way in words, with a place for the number of lanes.
        takes: whether it computes a program.
        steps: into how many steps it puts the instructions of a program.
        shared: whether its programs serve other networks, whose moments hold all pairs of pixels,
            needed or not, and no pair is computed twice.
        bind, tile_shape, prepare, grams: as the functions of this module, which document them.
        compiling: as of streams; nothing for ways whose programs are known only as they run.
    """

    text: str
    takes: Callable[[Program], bool]
    steps: Callable[[Program], int]
    shared: bool
    bind: Callable[..., Statistics]
    tile_shape: Callable[..., TileShape]
    prepare: Callable[..., Images]
    grams: Callable[..., list[list[Matrix]]]
    compiling: Callable[..., list[Task]]


def _in_steps(text: str, *, fused: bool) -> Way:
    """By the steps of a plan, with layers that keep pixels in place fused or not."""
    return Way(
        text,
        takes=lambda program: True,
        steps=lambda program: len(plan_pairs(program, fused=fused).steps),
        shared=False,
        bind=_bind_in_steps,
        tile_shape=tiles.tile_shape,
        prepare=_prepare_in_steps,
        grams=_grams_in_steps,
        compiling=lambda *_, **__: [],
    )


def _bind_in_steps(execution: Execution, reference: np.ndarray, *, max_bytes: int) -> Statistics:
    how = {"max_bytes": max_bytes, "with_tangent": execution.with_tangent}
    return records.bind(execution.program, reference, **how)


def _prepare_in_steps(
    execution: Execution, x: np.ndarray, statistics: Statistics | None, *, tile: TileShape
) -> Images:
    how = {"chunk": balanced(len(x), tile.chunk), "with_tangent": execution.with_tangent}
    return records.prepare(execution.program, x, statistics, **how)


def _grams_in_steps(
    execution: Execution,
    requests: Sequence[Request],
    statistics: Statistics | None,
    *,
    tile: TileShape,
) -> list[list[Matrix]]:
    return [
        tiles.gram(
            execution.program, request, statistics, tile=tile, with_tangent=execution.with_tangent
        )
        for request in requests
    ]


WAYS: dict[WayName, Way] = {
    "planes": _in_steps("by plane, {} pairs at a time", fused=True),
    "whole": _in_steps("all planes at once", fused=False),
    "stream": Way(
        "as a stream, {} pairs at a time",
        takes=streams.is_stream,
        steps=streams.steps,
        shared=True,
        bind=streams.bind,
        tile_shape=streams.tile_shape,
        prepare=streams.prepare,
        grams=streams.grams,
        compiling=streams.compiling,
    ),
}
"""The ways by the names that records of settings have for them."""


@OVERFLOWING
def bind(execution: Execution, reference: np.ndarray, *, max_bytes: int) -> Statistics:
    """Record the statistics of the reference images, all of their pairs in one block.

    Raises:
        ConfigurationError: the block does not fit into ``max_bytes``; the message says how many
            images do.
        ArchitectureError: a nonlinearity's series is not exact enough at these variances.
    """
    return WAYS[execution.blocking.way].bind(execution, reference, max_bytes=max_bytes)


def tile_shape(execution: Execution, tile_bytes: int, n_reference: int) -> TileShape:
    """The tile that a number of bytes holds, and the chunk, with so many reference images.

    Raises:
        ConfigurationError: not even one pair fits.
    """
    return WAYS[execution.blocking.way].tile_shape(execution, tile_bytes, n_reference)


@OVERFLOWING
def compile_ahead(
    execution: Execution, tile: TileShape, *, n_reference: int, n_images: int
) -> Future[None]:
    """Compile a stream's programs side by side, before they are called; other ways do nothing.

    Args:
        execution: of the lowered networks.
        tile: how the work will be cut.
        n_reference: reference images that will be bound, 0 if the program needs none.
        n_images: all images whose pairs will be asked for in a call.

    Returns:
        At once; its ``result`` waits until they are compiled, and raises what a compilation raised.
    """
    compiling = WAYS[execution.blocking.way].compiling
    return begin(compiling(execution, tile, n_reference=n_reference, n_images=n_images))


@OVERFLOWING
def prepare(
    execution: Execution, x: np.ndarray, statistics: Statistics | None, *, tile: TileShape
) -> Images:
    """Compute the records of images.

    Raises:
        ArchitectureError: a nonlinearity's series is not exact enough at these variances.
    """
    return WAYS[execution.blocking.way].prepare(execution, x, statistics, tile=tile)


@OVERFLOWING
def grams(
    execution: Execution,
    requests: Sequence[Request],
    statistics: Statistics | None,
    *,
    tile: TileShape,
) -> list[list[Matrix]]:
    """For several pairs of sets of images ``K`` and ``Θ`` of each output of a program.

    Args:
        execution: of the lowered networks; second matrices are ``None`` without the tangent kernel.
        requests: the images of each matrix.
        statistics: of the bound kernel, ``None`` if the program needs none.
        tile: how pairs are grouped.
    """
    return WAYS[execution.blocking.way].grams(execution, requests, statistics, tile=tile)
