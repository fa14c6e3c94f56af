"""What a matrix will cost, from a measurement of a few of its pairs."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass

from kernas.quantities import duration, size

from .identity import Source, StorableKernel
from .layout import Layout
from .metadata import shape_of, stored_identity
from .request import GramRequest, requested
from .store import GramStore, TileFault
from .tiles import tiles_of, within

FIRST_SIDE = 8
"""Images on each side of the first block that is timed."""

LONG_ENOUGH = 0.5
"""Seconds of a block that is timed well; smaller ones are doubled on each side up to a tile."""


@dataclass(frozen=True)
class GramEstimate:
    """Time, memory and disk of a matrix that is not computed yet.

    Attributes:
        tiles: of the matrix.
        missing: tiles that are still to be computed.
        pairs: of images, in the missing tiles.
        seconds: predicted for this process alone, compiling apart.
        timed_pairs: so many pairs were timed for it, after compiling.
        memory_bytes: at most so many, beside JAX's own.
        disk_bytes: of the missing tiles.
        free_bytes: on the disk now; ``None`` in an object store.
        corrupted: those of the missing tiles that were computed once, and damaged since.
    """

    tiles: int
    missing: int
    pairs: int
    seconds: float
    timed_pairs: int
    memory_bytes: int
    disk_bytes: int
    free_bytes: int | None
    corrupted: tuple[TileFault, ...] = ()

    def __str__(self) -> str:
        free = "" if self.free_bytes is None else f" ({size(self.free_bytes)} free)"
        return (
            f"{self.missing} of {self.tiles} tiles to compute, {self.pairs:,} pairs: about "
            f"{duration(self.seconds)} in one process (from {self.timed_pairs:,} timed pairs), at "
            f"most {size(self.memory_bytes)} of memory beside JAX's own, "
            f"{size(self.disk_bytes)} of disk{free}"
        )


def estimate_gram(
    kernel: StorableKernel,
    x1: Source,
    x2: Source | None = None,
    *,
    store: str | os.PathLike[str],
    tile_side: int | None = None,
    shard: int | None = None,
) -> GramEstimate:
    """What :func:`compute_gram` with the same arguments will take; writes nothing.

    A few pairs are compiled, computed and timed. Of a store that has begun, every tile is read.

    Raises:
        GramStoreError, ConfigurationError, UnboundKernelError, ArchitectureError, DataError,
            MissingDependencyError: as for :func:`compute_gram`.
    """
    request = requested(kernel, x1, x2, store, tile_side, shard)
    layout = Layout.of(request.identity)
    shape, symmetric = shape_of(request.identity), x2 is None
    shards = list(tiles_of(shape, layout.side * layout.shard, symmetric=symmetric))
    grid = [tile for whole in shards for tile in within(whole, layout.side, layout.shard)]
    missing, faults = grid, []
    if stored_identity(request.place) is not None:
        faults = GramStore(request.place).faults(grid)
        places = {(fault.row, fault.column) for fault in faults}
        missing = [tile for tile in grid if (tile.row, tile.column) in places]
    pairs = sum(tile.pairs for tile in missing)
    images = shape[0] + (0 if symmetric else shape[1])
    timing = _timed(request) if missing else _Timing(0, 0.0, 0.0, 0.0)
    begun = {(tile.row // layout.shard, tile.column // layout.shard) for tile in missing}
    written = len(missing) * layout.tile_bytes + len(begun) * layout.index_bytes
    kernels = len(request.kernel.names)
    return GramEstimate(
        len(grid),
        len(missing),
        pairs,
        pairs * timing.seconds_of_pair + images * timing.seconds_of_image,
        timing.pairs,
        _memory(request, images * timing.bytes_of_image) + 2 * kernels * layout.most_bytes,
        kernels * written,
        request.place.free_bytes(),
        tuple(fault for fault in faults if fault.state == "corrupted"),
    )


@dataclass(frozen=True)
class _Timing:
    """What a block of ``pairs`` pairs took, compiled and with its images prepared."""

    pairs: int
    seconds_of_pair: float
    seconds_of_image: float
    bytes_of_image: float


def _timed(request: GramRequest) -> _Timing:
    kernel, x1 = request.kernel, request.x1
    x2 = x1 if request.x2 is None else request.x2
    most = min(request.identity["tile_side"], len(x1), len(x2))
    side = min(FIRST_SIDE, most)
    while True:
        left, right = x1[:side], x2[len(x2) - side :]
        kernel.named(kernel.prepare(left), kernel.prepare(right))  # compiles
        start = time.perf_counter()
        rows, columns = kernel.prepare(left), kernel.prepare(right)
        prepared = time.perf_counter()
        kernel.named(rows, columns)
        end = time.perf_counter()
        if end - prepared >= LONG_ENOUGH or side == most:
            return _Timing(
                side**2,
                (end - prepared) / side**2,
                (prepared - start) / (2 * side),
                rows.nbytes / side,
            )
        side = min(2 * side, most)


def _memory(request: GramRequest, prepared_bytes: float) -> int:
    """Most bytes of a tile's moments, of the prepared images that are kept, and of all images."""
    kernel, side = request.kernel, request.identity["tile_side"]
    moments = min(kernel.tile_bytes, side**2 * kernel.pair_bytes(request.x1.shape[1:]))
    caches = kernel.tile_bytes * (1 if request.x2 is None else 2)
    given = request.x1.nbytes + (0 if request.x2 is None else request.x2.nbytes)
    return moments + min(round(prepared_bytes), caches) + given
