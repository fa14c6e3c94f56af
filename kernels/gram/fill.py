"""`compute_gram`: computes the tiles that a store lacks, beside whoever else does."""

from __future__ import annotations

import errno
import os
import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from kernas.errors import GramStoreError
from kernas.execution import Executor, Local
from kernas.files import Location
from kernas.locks import POLL_SECONDS
from kernas.places import Folder
from kernas.progress import progress_bar

from .identity import Source, StorableKernel
from .metadata import LOCKS, refused
from .request import GramRequest, requested
from .store import GramStore
from .tiles import Tile


def compute_gram(
    kernel: StorableKernel,
    x1: Source,
    x2: Source | None = None,
    *,
    store: str | os.PathLike[str],
    tile_side: int | None = None,
    shard: int | None = None,
    progress: bool = False,
    executor: Executor | None = None,
) -> GramStore:
    """The kernel of all pairs of images in a store, of which only what is missing is computed.

    Each tile is written once, whole or not at all. Called again after an interruption, it computes
    the tiles that are missing or corrupted, and the store ends with the bytes of an undisturbed
    run. Several processes may call it with one store: no tile is computed twice, a tile whose
    process died is taken over, and each returns when the store is complete. With more images that
    begin with the stored ones, the matrix grows: tiles that were full stay.

    An object store has no locks: processes that fill one begin at different tiles, and where they
    meet one may be computed twice, to the same bytes. An ``executor`` gives each to one worker.

    Args:
        kernel: bound, if it normalises over a batch. Its ``get`` says which kernels are stored, its
            ``tile_bytes`` also bounds the prepared images that are kept.
        x1: ``(n1, height, width, channels)`` or ``(n1, features)``, or a data set, whose ``info``
            the store keeps.
        x2: ``(n2, …)``; ``None`` for ``x1`` itself, of which one triangle of tiles is stored.
        store: the folder, made if it does not exist; or the URL of an object store,
            ``"s3://bucket/prefix"``, which s3fs opens with the credentials of the environment
            (extra ``s3``), or another one that fsspec knows.
        tile_side: images on each side of a tile; ``None`` for that of the store, 128 in a new one.
            An interruption costs at most one tile a process.
        shard: tiles on each side of a square that is one file or object, from 2 to 64, for matrices
            of very many tiles: an interruption then costs at most what a process has computed of
            one square, and reading a tile alone takes three small requests. ``None`` for that of
            the store, or 1: each tile is kept by itself.
        progress: whether to show a bar with rate and remaining time on stderr.
        executor: what computes tiles, such as :class:`kernas.search.RayExecutor`, whose workers
            write them into the store themselves; by default this process.

    Returns:
        The complete store; one that was complete already is only read, and may be read-only.

    Raises:
        GramStoreError: the folder holds another kernel or other images (the message names the
            field that differs), or cannot be written, or an object store refuses; finished tiles
            are kept.
        ConfigurationError: ``tile_side`` is not positive, ``shard`` is out of its range, the URL is
            none, or not even one pair fits into the kernel's ``tile_bytes``.
        MissingDependencyError: what opens the URL is not installed.
        UnboundKernelError, ArchitectureError, DataError: as for a call of the kernel.
        KernelRangeError: as for a call; tiles that were finished before are kept.
    """
    request = requested(kernel, x1, x2, store, tile_side, shard)
    try:
        found = request.opened()
    except GramStoreError:
        # Another process may have begun the store meanwhile, with what it measured of the device:
        # asked again, this one takes that over, or says what else differs.
        request = requested(kernel, x1, x2, store, tile_side, shard)
        found = request.opened()
    try:
        _fill(found, request, progress, executor or Local())
    except OSError as error:
        if not isinstance(found.place, Folder):
            kept = "finished tiles are kept: do the same again"
            raise GramStoreError(f"{refused(found.place, error)}; {kept}") from None
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        way = "make room" if full else "have the folder, or a copy of it, writable"
        raise GramStoreError(
            f"cannot write in {found.place} ({error.strerror}); finished tiles are kept: {way}, "
            "and do the same again"
        ) from None
    return found


TILE_LOCKS = f"{LOCKS}/[0-9]*"
"""The locks of tiles, which nobody needs once every tile is there."""


@dataclass(frozen=True)
class TileTask:
    """Computes tiles or shards by their numbers and writes them; says of each whether it is there.

    Attributes:
        request: what computes them.
        store: where they belong.
    """

    request: GramRequest
    store: Location

    @property
    def folders(self) -> tuple[Location, ...]:
        """What all who compute write into."""
        return (self.store,)

    def begin(self, item: int) -> Callable[[], tuple[int, bool]]:
        """Compute and write what it lacks, unless another process is at it or has been."""
        shard = self._shards[item]
        with self._store.claimed(shard) as held:
            if held:
                self._complete(shard)
        return lambda: (item, held)

    def _complete(self, shard: Tile) -> None:
        kernels = self._store.found(shard)  # of which another process may have been faster
        lacking = [
            tile
            for tile in self._store.within(shard)
            if any(np.isnan(kernel[tile.inside(shard)]).any() for kernel in kernels.values())
        ]
        for tile in lacking:
            for name, block in self.request.computed(tile).items():
                kernels[name][tile.inside(shard)] = block
        if lacking:
            self._store.write(shard, kernels)

    def failed(self, item: int, message: str) -> tuple[int, bool]:
        """What cannot be computed ends it.

        Raises:
            GramStoreError: with the message.
        """
        raise GramStoreError(f"tile {item} of {self.store}: {message}; finished tiles are kept")

    @cached_property
    def _store(self) -> GramStore:
        return GramStore(self.store)

    @cached_property
    def _shards(self) -> list[Tile]:
        return self._store.shards()


def _fill(store: GramStore, request: GramRequest, progress: bool, executor: Executor) -> None:
    missing = store.lacking()
    if not missing:  # nobody has to come
        store.place.drop_claims(TILE_LOCKS)
        return
    if not store.place.has_locks:
        begin = random.randrange(len(missing))  # elsewhere than other processes, most likely
        missing = missing[begin:] + missing[:begin]
    shards = store.shards()
    pairs = sum(shard.pairs for shard in shards)
    task = TileTask(request, store.place.shared_location())
    with (
        progress_bar(
            shown=progress,
            total=pairs,
            initial=pairs - sum(shards[number].pairs for number in missing),
            desc="gram",
            unit="pair",
            unit_scale=True,
        ) as bar,
        executor.session(),
    ):
        while missing:
            busy: list[int] = []
            for number, is_there in executor.map(task, missing):
                if is_there:
                    bar.update(shards[number].pairs)
                else:
                    busy.append(number)
            if len(busy) == len(missing):
                time.sleep(POLL_SECONDS)
            missing = busy
    store.place.drop_claims(TILE_LOCKS)
