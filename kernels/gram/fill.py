"""`compute_gram`: computes the tiles that a store lacks, beside whoever else does."""

from __future__ import annotations

import contextlib
import errno
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from kernas.errors import GramStoreError
from kernas.execution import Executor, Local
from kernas.locks import POLL_SECONDS, exclusive
from kernas.progress import progress_bar

from .identity import Source, StorableKernel
from .metadata import LOCKS
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
    progress: bool = False,
    executor: Executor | None = None,
) -> GramStore:
    """The kernel of all pairs of images in a store, of which only what is missing is computed.

    Each tile is written once, whole or not at all. Called again after an interruption, it computes
    the tiles that are missing or corrupted, and the store ends with the bytes of an undisturbed
    run. Several processes may call it with one store: no tile is computed twice, a tile whose
    process died is taken over, and each returns when the store is complete. With more images that
    begin with the stored ones, the matrix grows: tiles that were full stay.

    Args:
        kernel: bound, if it normalises over a batch. Its ``get`` says which kernels are stored, its
            ``tile_bytes`` also bounds the prepared images that are kept.
        x1: ``(n1, height, width, channels)`` or ``(n1, features)``, or a data set, whose ``info``
            the store keeps.
        x2: ``(n2, …)``; ``None`` for ``x1`` itself, of which one triangle of tiles is stored.
        store: the folder; made if it does not exist.
        tile_side: images on each side of a tile; ``None`` for that of the store, 128 in a new one.
            An interruption costs at most one tile a process.
        progress: whether to show a bar with rate and remaining time on stderr.
        executor: what computes tiles, such as :class:`kernas.search.RayExecutor`, whose workers
            write them into the store themselves; by default this process.

    Returns:
        The complete store; one that was complete already is only read, and may be read-only.

    Raises:
        GramStoreError: the folder holds another kernel or other images (the message names the
            field that differs), or cannot be written; finished tiles are kept.
        ConfigurationError: ``tile_side`` is not positive, or not even one pair fits into the
            kernel's ``tile_bytes``.
        UnboundKernelError, ArchitectureError, DataError: as for a call of the kernel.
        KernelRangeError: as for a call; tiles that were finished before are kept.
    """
    request = requested(kernel, x1, x2, store, tile_side)
    try:
        found = request.opened()
    except GramStoreError:
        # Another process may have begun the store meanwhile, with what it measured of the device:
        # asked again, this one takes that over, or says what else differs.
        request = requested(kernel, x1, x2, store, tile_side)
        found = request.opened()
    try:
        _fill(found, request, progress, executor or Local())
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        way = "make room" if full else "have the folder, or a copy of it, writable"
        raise GramStoreError(
            f"cannot write in {found.path} ({error.strerror}); finished tiles are kept: {way}, "
            "and do the same again"
        ) from None
    return found


@dataclass(frozen=True)
class TileTask:
    """Computes tiles by their numbers and writes them; says of each whether it is there.

    Attributes:
        request: what computes them.
        store: where they belong.
    """

    request: GramRequest
    store: Path

    @property
    def folders(self) -> tuple[Path, ...]:
        """What all who compute write into."""
        return (self.store,)

    def begin(self, item: int) -> Callable[[], tuple[int, bool]]:
        """Compute and write a tile, unless another process is at it or has been."""
        tile = self._grid[item]
        with exclusive(self._store.lock(tile)) as held:
            if held and not self._store.holds(tile):  # another process may have been faster
                self._store.write(tile, self.request.computed(tile))
        return lambda: (item, held)

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
    def _grid(self) -> list[Tile]:
        return self._store.grid()


def _fill(store: GramStore, request: GramRequest, progress: bool, executor: Executor) -> None:
    grid = store.grid()
    missing = [number for number, tile in enumerate(grid) if not store.holds(tile)]
    if not missing:  # nobody has to come
        _drop_locks(store)
        return
    pairs = sum(tile.pairs for tile in grid)
    task = TileTask(request, store.path)
    with (
        progress_bar(
            shown=progress,
            total=pairs,
            initial=pairs - sum(grid[number].pairs for number in missing),
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
                    bar.update(grid[number].pairs)
                else:
                    busy.append(number)
            if len(busy) == len(missing):
                time.sleep(POLL_SECONDS)
            missing = busy
    _drop_locks(store)


def _drop_locks(store: GramStore) -> None:
    """Remove the locks of tiles, which nobody needs any more: every tile is there."""
    for lock in (store.path / LOCKS).glob("[0-9]*"):
        # On Windows not those of who is still looking at it, and none on a read-only medium.
        with contextlib.suppress(OSError):
            lock.unlink(missing_ok=True)
