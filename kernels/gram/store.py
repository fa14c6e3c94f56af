"""`GramStore`: a zarr v3 group with one array a kernel and one chunk a tile, or one shard for many.

A chunk is there whole or not at all, which its place sees to, and ends with a checksum, which zarr
tests whenever it is read. What is not computed yet is NaN, and no kernel that is stored is: so a
tile is there if it can be read and is finite, whatever happened to the process that wrote it, and
also where the matrix has grown since.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby, tee
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from kernas.comparison import first_difference
from kernas.errors import GramStoreError
from kernas.execution import Executor, Local
from kernas.files import Location
from kernas.places import Folder, Place, place_of

from ..interface import Kernels
from .creation import bring_up, is_settled
from .identity import Identity, as_far_as
from .layout import DAMAGED, Block, Bytes, Layout
from .metadata import LOCKS, refused, shape_of, stored_identity
from .tiles import Tile, tiles_of, within

if TYPE_CHECKING:
    from .products import StoredGram

VERIFIED_BYTES = 16 * 2**20
"""About what a worker reads for an item of its own when a store is verified."""


State = Literal["missing", "corrupted", "not finite"]

Found = tuple[str, int, int, State]
"""Kernel, row, column and state of a fault, as they travel between processes."""


@dataclass(frozen=True)
class TileFault:
    """A tile that cannot be read.

    Attributes:
        kernel: ``"nngp"`` or ``"ntk"``.
        row, column: of the tile, counted in tiles.
        file: where it is, or ought to be; in an object store a URL.
        state: whether it was not computed yet, or its bytes are not those that were written, or
            they are no finite numbers, as of a kernel that overflowed.
    """

    kernel: str
    row: int
    column: int
    file: Location
    state: State

    def __str__(self) -> str:
        return f"tile ({self.row}, {self.column}) of {self.kernel} is {self.state}: {self.file}"


class GramStore:
    """Kernel matrices on disk, read tile by tile or whole; :func:`compute_gram` makes them.

    The folder is a zarr v3 group, with an array of each kernel that any reader of zarr opens. Of a
    symmetric matrix only the tiles on and below the diagonal are stored; the others are NaN there.

    Args:
        path: the folder, or a URL such as ``"s3://bucket/prefix"``.

    Attributes:
        identity: what is stored, as JSON values.

    Raises:
        GramStoreError: there is no store, or it is of another version of kernas, or an object store
            refuses.
        ConfigurationError: no URL that is known.
        MissingDependencyError: what reads the URL is not installed.

    >>> import tempfile, kernas.kernels as kk
    >>> train, _ = kk.load("digits", n_train=50, n_test=10)
    >>> kernel = kk.NeuralKernel(kk.serial(kk.Flatten(), kk.Dense(), kk.Relu(), kk.Dense()))
    >>> path = tempfile.mkdtemp()
    >>> store = kk.compute_gram(kernel, train, store=path, tile_side=20)
    >>> store.shape, [block.shape for rows, columns, block in store.tiles("ntk")]
    ((50, 50), [(20, 20), (20, 20), (20, 20), (10, 20), (10, 20), (10, 10)])
    >>> kk.GramStore(path)["ntk"].shape
    (50, 50)
    """

    def __init__(self, path: str | os.PathLike[str] | Place) -> None:
        self.place = place_of(path)
        identity = stored_identity(self.place)
        if identity is None:
            raise GramStoreError(
                f"no Gram store in {self.place}; compute_gram(kernel, x, store=…) makes one"
            )
        self.identity = identity
        self._layout = Layout.of(identity)

    def __repr__(self) -> str:
        return f"GramStore({str(self.place)!r}: {', '.join(self.names)} {self.shape})"

    def __reduce__(self) -> tuple[Any, ...]:
        return GramStore, (self.location,)

    @property
    def location(self) -> Location:
        """The folder, or the URL."""
        return self.place.location

    @property
    def path(self) -> Path:
        """The folder.

        Raises:
            GramStoreError: it is none; :attr:`location` is the URL.
        """
        if not isinstance(self.place, Folder):
            raise GramStoreError(f"{self.place} is no folder; take the store's location")
        return self.place.location

    @property
    def names(self) -> tuple[str, ...]:
        """The kernels that are stored."""
        return tuple(self.identity["kernels"])

    @property
    def shape(self) -> tuple[int, int]:
        """``(n1, n2)``, of each kernel."""
        return shape_of(self.identity)

    @property
    def dtype(self) -> np.dtype:
        """Of all kernels."""
        return np.dtype(self.identity["settings"]["dtype"])

    @property
    def symmetric(self) -> bool:
        """Whether the columns are the rows, so that one triangle is stored."""
        return self.identity["x2"] is None

    def grid(self) -> list[Tile]:
        """The tiles that are stored, in the order in which they are computed."""
        return [tile for shard in self.shards() for tile in self.within(shard)]

    def shards(self) -> list[Tile]:
        """What is written at a time, in the order in which it is computed: squares of tiles, or the
        tiles where each is kept by itself."""
        return list(self._shards(to_and_fro=True))

    def _shards(self, *, to_and_fro: bool) -> Iterator[Tile]:
        side = self._layout.side * self._layout.shard
        return tiles_of(self.shape, side, symmetric=self.symmetric, to_and_fro=to_and_fro)

    def within(self, shard: Tile) -> list[Tile]:
        """The tiles of a shard, one if it is a tile itself."""
        return within(shard, self._layout.side, self._layout.shard)

    def in_order(self) -> Iterator[Tile]:
        """The tiles that are stored, row by row, those of a shard together."""
        for shard in self._shards(to_and_fro=False):
            yield from sorted(self.within(shard), key=_by_place)

    def tiles(self, name: str) -> Iterator[tuple[slice, slice, np.ndarray]]:
        """A kernel's tiles, one in memory at a time.

        Args:
            name: ``"nngp"`` or ``"ntk"``; of a table's kernels one of :attr:`names`.

        Yields:
            Rows, columns and the block ``K[rows, columns]``. Of a symmetric matrix those on the
            diagonal, whole, and those below: for each of these ``K[columns, rows]`` is the
            transposed block.

        Raises:
            GramStoreError: the kernel is not stored, or a tile is missing or corrupted.
        """
        self._check_name(name)
        for tile, block in self.blocks(name, self.in_order()):
            yield tile.rows, tile.columns, block

    def blocks(self, name: str, tiles: Iterable[Tile]) -> Iterator[tuple[Tile, Block]]:
        """Tiles of a kernel with what is stored of them, a few in memory at a time.

        Args:
            name: of the kernel.
            tiles: best those of a row, or of a shard, together.

        Raises:
            GramStoreError: one is missing or corrupted.
        """
        for tile, found in self._blocks(name, tiles):
            yield tile, _sound(found)

    def gram(self, name: str, *, executor: Executor | None = None) -> StoredGram:
        """A symmetric kernel as solvers read it, in parts: see ``conjugate_gradients``.

        Args:
            name: one of :attr:`names`.
            executor: who reads and multiplies tiles, such as :class:`kernas.search.RayExecutor`,
                whose workers see the store under the same path; by default this process.

        Raises:
            GramStoreError: the kernel is not stored, or its columns are not its rows.
        """
        from .products import StoredGram

        self._check_name(name)
        if not self.symmetric:
            raise GramStoreError(
                f"{self.place} holds a kernel between two sets of images, {self.shape}: expected "
                "one of images with themselves; compute_gram(kernel, x) makes it"
            )
        return StoredGram(self, name, executor or Local())

    def __getitem__(self, name: str) -> np.ndarray:
        """A whole kernel in memory, ``(n1, n2)``.

        Raises:
            GramStoreError: the kernel is not stored, or a tile is missing or corrupted.
        """
        self._check_name(name)
        keys = (self._key(name, tile) for tile in self.in_order())
        with self._answers():
            for tile, is_there in zip(self.in_order(), self.place.present(keys), strict=True):
                if not is_there:  # which is said before memory is taken for all of them
                    self.block(name, tile)
        whole = np.empty(self.shape, self.dtype)
        for rows, columns, block in self.tiles(name):
            whole[rows, columns] = block
            if self.symmetric:
                whole[columns, rows] = block.T
        return whole

    def kernels(self) -> Kernels:
        """All kernels of one network in memory; ``None`` for one that is not stored.

        Raises:
            GramStoreError: a tile is missing or corrupted, or the store is that of a table.
        """
        if not set(self.names) <= set(Kernels._fields):
            raise GramStoreError(
                f"{self.place} holds kernels of several networks; take one by its name, "
                f"store[{self.names[0]!r}]"
            )
        found = {name: self[name] for name in self.names}
        return Kernels(found.get("nngp"), found.get("ntk"))

    def verify(self, executor: Executor | None = None) -> list[TileFault]:
        """The tiles that are missing, corrupted or not finite, by row and column; reads every tile.

        Empty for a whole store.

        Args:
            executor: whose workers read them, such as :class:`kernas.search.RayExecutor`; by
                default this process does.

        Raises:
            GramStoreError: a file cannot be read, or a worker does not see this store.
        """
        if executor is None:
            return self.faults(self.grid())
        number = len(self._row_by_row)
        each = max(1, VERIFIED_BYTES // (len(self.names) * self._layout.most_bytes))
        items = [(start, min(start + each, number)) for start in range(0, number, each)]
        with executor.session():
            found = [
                self._fault(*fault)
                for faults in executor.map(
                    VerifyTask(self.place.shared_location(), self.identity), items
                )
                for fault in faults
            ]
        return sorted(found, key=self._by_place)

    def faults(self, tiles: Iterable[Tile]) -> list[TileFault]:
        """Those of some tiles, by row and column, that :meth:`verify` would list."""
        together = sorted(tiles, key=lambda tile: (*self._shard_of(tile), *_by_place(tile)))
        found = [
            block
            for name in self.names
            for _, block in self._blocks(name, together)
            if isinstance(block, TileFault)
        ]
        return sorted(found, key=self._by_place)

    def faults_of_shards(self, start: int, stop: int) -> list[TileFault]:
        """Those of some shards, which are counted row by row."""
        shards = self._row_by_row[start:stop]
        return self.faults(tile for shard in shards for tile in self.within(shard))

    @cached_property
    def _row_by_row(self) -> list[Tile]:
        return list(self._shards(to_and_fro=False))

    def _by_place(self, fault: TileFault) -> tuple[int, int, int]:
        return fault.row, fault.column, self.names.index(fault.kernel)

    def lacking(self) -> list[int]:
        """Which of :meth:`shards` have a tile that is not there and sound, by their numbers."""
        shard = self._layout.shard
        faults = self.faults(self.grid())
        faulty = {(fault.row // shard, fault.column // shard) for fault in faults}
        shards = enumerate(self.shards())
        return [number for number, shard in shards if _by_place(shard) in faulty]

    def holds(self, shard: Tile) -> bool:
        """Whether all kernels of a shard, or of a tile, are there and sound."""
        return not self.faults(self.within(shard))

    def found(self, shard: Tile) -> dict[str, Block]:
        """All kernels of a shard, or of a tile, with NaN where nothing sound is stored."""
        whole = {name: np.full(shard.shape, np.nan, self.dtype) for name in self.names}
        for name, kernel in whole.items():
            for tile, block in self._blocks(name, self.within(shard)):
                if isinstance(block, np.ndarray):
                    kernel[tile.inside(shard)] = block
        return whole

    def write(self, shard: Tile, kernels: Mapping[str, np.ndarray]) -> None:
        """Put a tile, or a shard, of all kernels in place; for its one writer, who has
        :meth:`claimed` it where there are locks.

        Raises:
            OSError: it cannot be written; no part of it is left.
        """
        for name in self.names:
            key = f"{name}/c/{shard.row}/{shard.column}"
            self.place.write(key, self._layout.encoded(kernels[name]))

    def _check_name(self, name: str) -> None:
        if name not in self.names:
            raise GramStoreError(f"{self.place} holds {' and '.join(self.names)}, not {name!r}")

    def block(self, name: str, tile: Tile) -> Block:
        """One tile of a kernel.

        Raises:
            GramStoreError: it is missing or corrupted.
        """
        with self._answers():
            return _sound(self._judged(name, tile, self._read(name, tile)))

    def claimed(self, shard: Tile) -> AbstractContextManager[bool]:
        """Keep others from computing a tile or a shard; ``False`` if somebody is at it. Where
        there are no locks it is always true, and who is late writes the same bytes again."""
        return self.place.claim(_lock(shard))

    def lock(self, tile: Tile) -> Path:
        """The file that the one who computes a tile, or a shard, locks in a folder."""
        return self.path / _lock(tile)

    def _shard_of(self, tile: Tile) -> tuple[int, int]:
        return tile.row // self._layout.shard, tile.column // self._layout.shard

    def _key(self, name: str, tile: Tile) -> str:
        """Where zarr's default encoding of chunks puts a tile, or the shard that it is in."""
        row, column = self._shard_of(tile)
        return f"{name}/c/{row}/{column}"

    def _blocks(self, name: str, tiles: Iterable[Tile]) -> Iterator[tuple[Tile, Block | TileFault]]:
        """Tiles with what is stored of them, or with what is wrong; shards are read as a whole."""
        layout = self._layout
        groups, again = tee(list(group) for _, group in groupby(tiles, self._shard_of))
        keys = (self._key(name, group[0]) for group in again)
        with self._answers():
            for group, data in zip(
                groups, self.place.read_all(keys, layout.most_bytes), strict=True
            ):
                for tile, chunk in zip(group, layout.chunks(data, group), strict=True):
                    yield tile, self._judged(name, tile, chunk)

    def _read(self, name: str, tile: Tile) -> Bytes | None:
        """The bytes of a tile, as :meth:`Layout.chunks` gives them, without those around it."""
        layout, key = self._layout, self._key(name, tile)
        if layout.shard == 1:
            return self.place.read(key)
        end = self.place.read(key, -layout.index_bytes)
        while end is not None:
            starts = layout.starts(end)
            if starts is None:
                return DAMAGED
            start = int(starts[layout.inside(tile)])
            chunk = None if start < 0 else self.place.read(key, start, layout.tile_bytes)
            before, end = end, self.place.read(key, -layout.index_bytes)
            if end is not None and np.array_equal(before, end):
                return chunk
            # Else the shard was written anew meanwhile, and another tile may be at this place now.
        return None

    def _judged(self, name: str, tile: Tile, chunk: Bytes | None) -> Block | TileFault:
        state = "missing"
        if chunk is not None:
            block = self._layout.decoded(chunk)
            if block is None:
                state = "corrupted"
            elif np.isfinite(block := block[: tile.shape[0], : tile.shape[1]]).all():
                return block
            elif not np.isnan(block).any():
                state = "not finite"
        return self._fault(name, tile.row, tile.column, state)

    def _fault(self, name: str, row: int, column: int, state: State) -> TileFault:
        shard = self._layout.shard
        file = self.place.at(f"{name}/c/{row // shard}/{column // shard}")
        return TileFault(name, row, column, file, state)

    @contextmanager
    def _answers(self) -> Iterator[None]:
        """Say in a line what cannot be read.

        Raises:
            GramStoreError: in place of the system's errors.
        """
        try:
            yield
        except OSError as error:
            if isinstance(self.place, Folder):
                raise GramStoreError(f"{self.place} cannot be read ({error.strerror})") from None
            raise GramStoreError(refused(self.place, error)) from None


def _by_place(tile: Tile) -> tuple[int, int]:
    return tile.row, tile.column


def _lock(shard: Tile) -> str:
    return f"{LOCKS}/{shard.row}-{shard.column}"


def _sound(block: Block | TileFault) -> Block:
    """A block.

    Raises:
        GramStoreError: it is none.
    """
    if isinstance(block, TileFault):
        raise GramStoreError(f"{block}; the same compute_gram computes it")
    return block


@dataclass(frozen=True)
class VerifyTask:
    """Reads shards from the first number to before the last; what is wrong, as :class:`TileFault`
    has it but for the file.

    Attributes:
        location: of the store.
        identity: of the store, which a worker has to see too.
    """

    location: Location
    identity: Identity

    def begin(self, item: tuple[int, int]) -> Callable[[], list[Found]]:
        """Read them.

        Raises:
            GramStoreError: there is no such store for this process.
        """
        if self._store.identity != self.identity:
            raise GramStoreError(
                f"{self.location} is another store for a worker than for this process: give a "
                "folder that all nodes share, or a URL that means the same to all"
            )
        found = self._store.faults_of_shards(*item)
        faults: list[Found] = [(f.kernel, f.row, f.column, f.state) for f in found]
        return lambda: faults

    def failed(self, item: tuple[int, int], message: str) -> list[Found]:
        """What cannot be read ends it.

        Raises:
            GramStoreError: with the message.
        """
        raise GramStoreError(f"{self.location}: {message}")

    @cached_property
    def _store(self) -> GramStore:
        return GramStore(self.location)


def check_identity(place: Place, identity: Identity, sources: Mapping[str, Any]) -> None:
    """Refuse a place that holds another matrix, unless it is the beginning of this one.

    Args:
        place: of the store, which need not exist.
        identity: of the matrix that is wanted.
        sources: its images, ``x1`` and ``x2``.

    Raises:
        GramStoreError: the message names the first field that differs.
    """
    stored = stored_identity(place)
    if stored is None:
        return
    difference = first_difference(stored, as_far_as(stored, identity, sources))
    if difference is not None:
        field, there, here = difference
        raise GramStoreError(
            f"{place} holds another matrix: {field} is {there} there and {here} here; choose "
            "another folder, or give the same kernel, images and settings"
        )


def open_store(
    location: str | os.PathLike[str] | Place, identity: Identity, sources: Mapping[str, Any]
) -> GramStore:
    """The store of a matrix: made, grown to more images, or as it is, which writes nothing.

    Raises:
        GramStoreError: the place holds another matrix.
        OSError: it cannot be written.
    """
    place = place_of(location)
    check_identity(place, identity, sources)
    if not is_settled(place, identity):
        with place.claim(f"{LOCKS}/store", wait=True):
            check_identity(place, identity, sources)  # another process may have made it meanwhile
            stored = stored_identity(place)
            if stored is not None and shape_of(stored) == shape_of(identity):
                identity = stored  # which may say more about how the images were made
            bring_up(place, identity)
            if not place.has_locks:
                check_identity(place, identity, sources)  # so another one may now, too
    return GramStore(place)
