"""`GramStore`: a zarr v3 group with one array a kernel and one chunk a tile.

A chunk is written beside its name and moved onto it, which zarr's ``LocalStore`` does, and ends
with a checksum, which zarr tests whenever it is read. What is not computed yet is NaN, and no
kernel that is stored is: so a tile is there if it can be read and is finite, whatever happened to
the process that wrote it, and also where the matrix has grown since.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast

import google_crc32c
import numpy as np
import zarr
from zarr.codecs import Crc32cCodec
from zarr.storage import LocalStore

from kernas.comparison import first_difference
from kernas.documents import sealed
from kernas.errors import GramStoreError
from kernas.execution import Executor, Local
from kernas.locks import exclusive

from ..interface import Kernels
from .identity import Identity, as_far_as
from .metadata import LOCKS, shape_of, stored_identity
from .tiles import Tile, tiles_of

if TYPE_CHECKING:
    from .products import StoredGram

CHECKSUM_BYTES = 4


@dataclass(frozen=True)
class TileFault:
    """A tile that cannot be read.

    Attributes:
        kernel: ``"nngp"`` or ``"ntk"``.
        row, column: of the tile, counted in tiles.
        file: where it is, or ought to be.
        state: whether it was not computed yet, or its bytes are not those that were written, or
            they are no finite numbers, as of a kernel that overflowed.
    """

    kernel: str
    row: int
    column: int
    file: Path
    state: Literal["missing", "corrupted", "not finite"]

    def __str__(self) -> str:
        return f"tile ({self.row}, {self.column}) of {self.kernel} is {self.state}: {self.file}"


class GramStore:
    """Kernel matrices on disk, read tile by tile or whole; :func:`compute_gram` makes them.

    The folder is a zarr v3 group, with an array of each kernel that any reader of zarr opens. Of a
    symmetric matrix only the tiles on and below the diagonal are stored; the others are NaN there.

    Args:
        path: the folder.

    Raises:
        GramStoreError: there is no store, or it is of another version of kernas.

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

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        identity = stored_identity(self.path)
        if identity is None:
            raise GramStoreError(
                f"no Gram store in {self.path}; compute_gram(kernel, x, store=…) makes one"
            )
        self.identity = identity
        group = zarr.open_group(LocalStore(self.path), mode="r+", zarr_format=3)
        self._arrays = {name: cast(zarr.Array | None, group.get(name)) for name in self.names}

    def __repr__(self) -> str:
        return f"GramStore({str(self.path)!r}: {', '.join(self.names)} {self.shape})"

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
        side = self.identity["tile_side"]
        return list(tiles_of(self.shape, side, symmetric=self.symmetric))

    def in_order(self) -> Iterator[Tile]:
        """The tiles that are stored, row by row."""
        side = self.identity["tile_side"]
        return tiles_of(self.shape, side, symmetric=self.symmetric, to_and_fro=False)

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
        for tile in self.in_order():
            yield tile.rows, tile.columns, self.block(name, tile)

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
                f"{self.path} holds a kernel between two sets of images, {self.shape}: expected "
                "one of images with themselves; compute_gram(kernel, x) makes it"
            )
        return StoredGram(self, name, executor or Local())

    def __getitem__(self, name: str) -> np.ndarray:
        """A whole kernel in memory, ``(n1, n2)``.

        Raises:
            GramStoreError: the kernel is not stored, or a tile is missing or corrupted.
        """
        self._check_name(name)
        for tile in self.in_order():  # before memory is taken for all of them
            if not self._file(name, tile).exists():
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
                f"{self.path} holds kernels of several networks; take one by its name, "
                f"store[{self.names[0]!r}]"
            )
        found = {name: self[name] for name in self.names}
        return Kernels(found.get("nngp"), found.get("ntk"))

    def verify(self) -> list[TileFault]:
        """The tiles that are missing, corrupted or not finite; reads every tile.

        Empty for a whole store.
        """
        return self.faults(self.grid())

    def faults(self, tiles: Iterable[Tile]) -> list[TileFault]:
        """Those of some tiles, by row and column, that :meth:`verify` would list."""
        return [
            block
            for tile in sorted(tiles, key=lambda tile: (tile.row, tile.column))
            for name in self.names
            if isinstance(block := self._block(name, tile), TileFault)
        ]

    def holds(self, tile: Tile) -> bool:
        """Whether a tile of all kernels is there and sound."""
        return all(isinstance(self._block(name, tile), np.ndarray) for name in self.names)

    def write(self, tile: Tile, kernels: Mapping[str, np.ndarray]) -> None:
        """Put a tile of all kernels in place; for its one writer, who holds :meth:`lock`.

        Raises:
            OSError: a file cannot be written; no part of it is left.
        """
        for name in self.names:
            file = self._file(name, tile)
            for left in file.parent.glob(f"{file.name}.*.partial"):  # of a writer that was killed
                left.unlink()
            array = self._arrays[name]
            assert array is not None
            array[tile.rows, tile.columns] = kernels[name]

    def _check_name(self, name: str) -> None:
        if name not in self.names:
            raise GramStoreError(f"{self.path} holds {' and '.join(self.names)}, not {name!r}")

    def block(self, name: str, tile: Tile) -> np.ndarray:
        """One tile of a kernel.

        Raises:
            GramStoreError: it is missing or corrupted.
        """
        found = self._block(name, tile)
        if isinstance(found, TileFault):
            raise GramStoreError(f"{found}; the same compute_gram computes it")
        return found

    def lock(self, tile: Tile) -> Path:
        """The file that the one who computes a tile locks."""
        return self.path / LOCKS / f"{tile.row}-{tile.column}"

    def _block(self, name: str, tile: Tile) -> np.ndarray | TileFault:
        file, state = self._file(name, tile), "missing"
        with contextlib.suppress(FileNotFoundError, NotADirectoryError, IsADirectoryError):
            block = _decoded(np.fromfile(file, np.uint8), self.dtype, self.identity["tile_side"])
            if block is None:
                state = "corrupted"
            elif np.isfinite(block := block[: tile.shape[0], : tile.shape[1]]).all():
                return block
            elif not np.isnan(block).any():
                state = "not finite"
        return TileFault(name, tile.row, tile.column, file, state)

    def _file(self, name: str, tile: Tile) -> Path:
        """Where zarr's default encoding of chunks puts a tile."""
        return self.path.joinpath(name, "c", str(tile.row), str(tile.column))


def _decoded(chunk: np.ndarray, dtype: np.dtype, side: int) -> np.ndarray | None:
    """A chunk's numbers, ``(side, side)``, without zarr, whose tasks and threads take ten times as
    long; ``None`` if its length or its checksum is wrong.

    Args:
        chunk: the bytes of the file: the numbers row by row, each from its lowest byte on, and
            their CRC-32C. At the edges of the matrix a chunk is filled up with NaN.
        dtype: of the numbers.
        side: of the chunk.
    """
    numbers, checksum = chunk[:-CHECKSUM_BYTES], chunk[-CHECKSUM_BYTES:].tobytes()
    if len(numbers) != side**2 * dtype.itemsize:
        return None
    if google_crc32c.value(numbers) != int.from_bytes(checksum, "little"):
        return None
    return numbers.view(dtype.newbyteorder("<")).reshape(side, side).astype(dtype, copy=False)


def check_identity(path: Path, identity: Identity, sources: Mapping[str, Any]) -> None:
    """Refuse a folder that holds another matrix, unless it is the beginning of this one.

    Args:
        path: of the store, which need not exist.
        identity: of the matrix that is wanted.
        sources: its images, ``x1`` and ``x2``.

    Raises:
        GramStoreError: the message names the first field that differs.
    """
    stored = stored_identity(path)
    if stored is None:
        return
    difference = first_difference(stored, as_far_as(stored, identity, sources))
    if difference is not None:
        field, there, here = difference
        raise GramStoreError(
            f"{path} holds another matrix: {field} is {there} there and {here} here; choose "
            "another folder, or give the same kernel, images and settings"
        )


def open_store(path: Path, identity: Identity, sources: Mapping[str, Any]) -> GramStore:
    """The store of a matrix: made, grown to more images, or as it is, which writes nothing.

    Raises:
        GramStoreError: the folder holds another matrix.
        OSError: it cannot be written.
    """
    check_identity(path, identity, sources)
    if _is_settled(path, identity):
        return GramStore(path)
    (path / LOCKS).mkdir(parents=True, exist_ok=True)
    with exclusive(path / LOCKS / "store", wait=True):
        check_identity(path, identity, sources)  # another process may have made it meanwhile
        stored = stored_identity(path)
        if stored is not None and shape_of(stored) == shape_of(identity):
            identity = stored  # which may say more about how the images were made
        for left in _left_behind(path):
            left.unlink()
        attributes = sealed(identity)
        group = zarr.open_group(LocalStore(path), mode="a", zarr_format=3, attributes=attributes)
        if dict(group.attrs) != attributes:
            group.attrs.put(attributes)
        for name in identity["kernels"]:
            _settle(group, name, identity)
    return GramStore(path)


def _is_settled(path: Path, identity: Identity) -> bool:
    """Whether a store is there and has an array of each kernel in the shape that is wanted, and
    nothing that was left behind."""
    stored = stored_identity(path)
    if stored is None or shape_of(stored) != shape_of(identity) or _left_behind(path):
        return False
    group = zarr.open_group(LocalStore(path), mode="r", zarr_format=3)
    arrays = [group.get(name) for name in identity["kernels"]]
    return all(isinstance(a, zarr.Array) and a.shape == shape_of(identity) for a in arrays)


def _left_behind(path: Path) -> list[Path]:
    """Metadata that a process was killed over; tiles see to theirs as they are written."""
    patterns = ("zarr.*.partial", "*/zarr.*.partial", "*/*/zarr.*.partial")
    return [left for pattern in patterns for left in path.glob(pattern)]


def _settle(group: zarr.Group, name: str, identity: Identity) -> None:
    """Make the array of a kernel, or give it the shape that the identity says."""
    array, shape = group.get(name), shape_of(identity)
    if isinstance(array, zarr.Array):
        if array.shape != shape:
            array.resize(shape)
        return
    side = identity["tile_side"]
    group.create_array(
        name,
        shape=shape,
        chunks=(side, side),
        dtype=identity["settings"]["dtype"],
        fill_value=float("nan"),
        compressors=[Crc32cCodec()],  # and none that compresses: digits of kernels do not repeat
    )
