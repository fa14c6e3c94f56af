"""A matrix that is asked for: its kernel, its images, and which tile is which."""

from __future__ import annotations

import contextlib
import os
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any

import numpy as np

from kernas.errors import ConfigurationError, GramStoreError, KernelRangeError
from kernas.files import Location
from kernas.places import Folder, Place, place_of

from ..engine import recorded_blocking
from ..interface import check_equal_shapes
from ..kernel import PreparedImages
from .identity import Identity, Source, StorableKernel, identity_of, images_of
from .metadata import MOST_SHARD, refused, shard_of, stored_identity
from .store import GramStore, check_identity, open_store
from .tiles import TILE_SIDE, Tile

KEPT_BLOCKS = 2
"""Blocks of prepared images that are kept whatever they take: the two that meet in a tile."""


@contextlib.contextmanager
def located(images: str) -> Iterator[None]:
    """Say in the message of a kernel that is out of range which images its numbers count."""
    try:
        yield
    except KernelRangeError as error:
        raise KernelRangeError(f"{images}: {error}") from None


def _named(name: str, part: slice) -> str:
    return f"{name}[{part.start}:{part.stop}]"


class PreparedBlocks:
    """Images in blocks, prepared when a tile needs them; the last ones are kept.

    Args:
        kernel: what prepares them.
        x: the images.
        side: of a block.
        name: of the images in messages.
    """

    def __init__(self, kernel: StorableKernel, x: np.ndarray, side: int, name: str = "x") -> None:
        self._kernel, self._x, self._side, self._name = kernel, x, side, name
        self._kept: OrderedDict[int, PreparedImages] = OrderedDict()

    def __getitem__(self, index: int) -> PreparedImages:
        kept = self._kept
        if index in kept:
            kept.move_to_end(index)
        else:
            part = slice(start := index * self._side, min(start + self._side, len(self._x)))
            with located(_named(self._name, part)):
                kept[index] = self._kernel.prepare(self._x[part])
            while len(kept) > KEPT_BLOCKS and self._bytes() > self._kernel.tile_bytes:
                kept.popitem(last=False)
        return kept[index]

    def _bytes(self) -> int:
        return sum(images.nbytes for images in self._kept.values())


@dataclass(frozen=True, eq=False)
class GramRequest:
    """A matrix and the store that it belongs into.

    Attributes:
        kernel: with the blocking of the store, if it has begun.
        x1, x2: the images of the rows and of the columns; ``x2`` is ``None`` for the rows' own.
        place: of the store.
        identity: of the matrix.
        sources: the images as they were given.
    """

    kernel: StorableKernel
    x1: np.ndarray
    x2: np.ndarray | None
    place: Place
    identity: Identity
    sources: Mapping[str, Any]

    def __getstate__(self) -> dict[str, Any]:
        """Without images that are prepared: another process prepares those that it needs."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    @property
    def path(self) -> Location:
        """The folder of the store, or its URL."""
        return self.place.location

    @cached_property
    def rows(self) -> PreparedBlocks:
        """The images of the rows."""
        return PreparedBlocks(self.kernel, self.x1, self.identity["tile_side"], "x1")

    @cached_property
    def columns(self) -> PreparedBlocks:
        """The images of the columns."""
        if self.x2 is None:
            return self.rows
        return PreparedBlocks(self.kernel, self.x2, self.identity["tile_side"], "x2")

    def computed(self, tile: Tile) -> dict[str, np.ndarray]:
        """A tile of all kernels.

        Raises:
            KernelRangeError: a kernel is out of range; the message says in which images.
        """
        rows, columns = self.rows[tile.row], None if tile.mirrored else self.columns[tile.column]
        other = "x1" if self.x2 is None else "x2"
        with located(f"x1 = {_named('x1', tile.rows)}, x2 = {_named(other, tile.columns)}"):
            return self.kernel.named(rows, columns)

    def opened(self) -> GramStore:
        """The store, made if it does not exist.

        Raises:
            UnboundKernelError, DataError, ArchitectureError: as for a call of the kernel; nothing
                is written then.
            GramStoreError: the folder holds another matrix, or cannot be written.
        """
        _ = self.rows[0], self.columns[0]
        try:
            return open_store(self.place, self.identity, self.sources)
        except OSError as error:
            if not isinstance(self.place, Folder):
                raise GramStoreError(refused(self.place, error)) from None
            raise GramStoreError(
                f"cannot write in {self.place} ({error.strerror}); make room, or choose another "
                "folder"
            ) from None


def requested(
    kernel: StorableKernel,
    x1: Source,
    x2: Source | None,
    store: str | os.PathLike[str],
    tile_side: int | None,
    shard: int | None = None,
) -> GramRequest:
    """A matrix that can be computed, and whose store, if there is one, is of this matrix.

    Raises:
        ConfigurationError: neither a :class:`NeuralKernel` nor a :class:`KernelTable`, a side
            that is not positive, a shard that is out of its range, a ``tile_bytes`` below one pair
            of images, or a URL that is none.
        DataError: images that are no images, or whose shapes differ.
        ArchitectureError: the network does not fit the images.
        GramStoreError: the store holds another matrix, and the message names the field; or an
            object store refuses.
        MissingDependencyError: what reads the URL is not installed.
    """
    if not isinstance(kernel, StorableKernel):
        raise ConfigurationError(
            f"kernel={kernel!r}: expected a NeuralKernel or a KernelTable, whose identity a store "
            "can keep"
        )
    place, sources = place_of(store), {"x1": x1, "x2": x2}
    stored = stored_identity(place)
    if shard is None:
        shard = 1 if stored is None else shard_of(stored)
    if not isinstance(shard, int) or not 1 <= shard <= MOST_SHARD:
        raise ConfigurationError(f"shard={shard!r}: expected a number from 1 to {MOST_SHARD}")
    if stored is not None and shard_of(stored) != shard:
        raise GramStoreError(
            f"{place} holds another matrix: shard is {shard_of(stored)} there and {shard} here; "
            "choose another folder, or leave the shard out"
        )
    if tile_side is None:
        tile_side = TILE_SIDE if stored is None else stored["tile_side"]
    if not isinstance(tile_side, int) or tile_side < 1:
        raise ConfigurationError(f"tile_side={tile_side!r}: expected a positive number of images")
    left = images_of(x1, "x1")
    right = None if x2 is None else images_of(x2, "x2")
    if right is not None:
        check_equal_shapes(left.shape[1:], right.shape[1:])
    kernel = _with_stored_blocking(kernel, stored)
    identity = identity_of(kernel, x1, x2, tile_side=tile_side, shard=shard)
    check_identity(place, identity, sources)
    return GramRequest(kernel, left, right, place, identity, sources)


def _with_stored_blocking(kernel: StorableKernel, stored: Identity | None) -> StorableKernel:
    """The kernel cut as the store's tiles are: a measurement may come out differently now."""
    if stored is None or kernel.blocking is not None or "blocking" not in stored["settings"]:
        return kernel
    return kernel.with_blocking(recorded_blocking(stored["settings"]["blocking"]))
