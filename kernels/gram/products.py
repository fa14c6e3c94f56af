"""Products of a stored matrix with vectors: its tiles are read by whoever an executor has."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Float64

from kernas.errors import GramStoreError
from kernas.execution import Executor
from kernas.files import Location

from .store import GramStore
from .tiles import Tile, parts, tiles_of

RESULT_BYTES = 100_000
"""What a part of a product takes at most."""

LEAST_PARTS = 16
"""Into so many block rows a matrix is cut at least, if it has as many tiles."""

MESSAGES, MESSAGE_BYTES = 16, 2**20
"""At least so many messages a product, if there are as many blocks, and at most about so large: the
less is on its way at a time, the less memory the driver takes."""

Vectors = Float64[np.ndarray, "n C"]


class Item(NamedTuple):
    """A block of the lower triangle of a matrix, and what it is multiplied with.

    Attributes:
        place: of the block, counted in blocks.
        left: the vectors' numbers at its rows, for its mirror image; ``None`` on the diagonal.
        right: those at its columns.
    """

    place: tuple[int, int]
    left: Float[np.ndarray, "rows C"] | None
    right: Float[np.ndarray, "columns C"]


class Part(NamedTuple):
    """A part of a product.

    Attributes:
        place: of the block that it comes from.
        rows: ``K[rows, columns] V[columns]``.
        columns: ``K[columns, rows] V[rows]``; ``None`` for a block on the diagonal.
    """

    place: tuple[int, int]
    rows: Float64[np.ndarray, "rows C"]
    columns: Float64[np.ndarray, "columns C"] | None


@dataclass(frozen=True)
class ProductTask:
    """Multiplies blocks of a symmetric matrix, a tile in memory at a time.

    Attributes:
        store: where it is.
        name: of the kernel.
        side: of a block, a multiple of the tiles' side.
    """

    store: Location
    name: str
    side: int

    def begin(self, item: Sequence[Item]) -> Callable[[], list[Part]]:
        """Nothing is there for a device to do."""
        return lambda: [self._part(block) for block in item]

    def failed(self, item: Sequence[Item], message: str) -> list[Part]:
        """Without a part there is no product.

        Raises:
            GramStoreError: with the message.
        """
        raise GramStoreError(f"block {item[0].place} of {self.store}: {message}")

    def _part(self, item: Item) -> Part:
        start, end = item.place[0] * self.side, self._store.shape[0]
        at_rows = np.zeros((min(self.side, end - start), item.right.shape[1]))
        at_columns = None if item.left is None else np.zeros(item.right.shape)
        for tile, block in self._store.blocks(self.name, self._blocks[item.place]):
            rows, columns = _within(tile.rows, self.side), _within(tile.columns, self.side)
            at_rows[rows] += block @ item.right[columns]
            if at_columns is not None and item.left is not None:
                at_columns[columns] += block.T @ item.left[rows]
            elif not tile.mirrored:  # its mirror image lies in the same block
                at_rows[columns] += block.T @ item.right[rows]
        return Part(item.place, at_rows, at_columns)

    @cached_property
    def _store(self) -> GramStore:
        return GramStore(self.store)

    @cached_property
    def _blocks(self) -> dict[tuple[int, int], list[Tile]]:
        """The tiles of each block."""
        found: dict[tuple[int, int], list[Tile]] = {}
        for tile in self._store.in_order():
            place = tile.rows.start // self.side, tile.columns.start // self.side
            found.setdefault(place, []).append(tile)
        return found


def _within(part: slice, side: int) -> slice:
    """A slice counted from the beginning of its block."""
    start = part.start % side
    return slice(start, start + part.stop - part.start)


@dataclass(frozen=True)
class StoredGram:
    """A symmetric kernel of a store, of which whoever computes has one tile in memory at a time.

    Args:
        store: that holds it.
        name: of the kernel.
        executor: who reads and multiplies tiles.
    """

    store: GramStore
    name: str
    executor: Executor

    def __len__(self) -> int:
        """The number n of images."""
        return self.store.shape[0]

    def times(self, V: Float[np.ndarray, "n C"]) -> Vectors:
        """``K V``, each tile read once; the same sum whoever computes which part of it.

        Raises:
            GramStoreError: a tile is missing or corrupted.
        """
        V = np.asarray(V, np.float64)
        side = self._side(V.shape[1])
        blocks = parts(len(self), side)
        grid = tiles_of(self.store.shape, side, symmetric=True, to_and_fro=False)
        # One object for all items of a block row, so that many sent together have it once.
        pieces = [V[block] for block in blocks]
        items = [
            Item((t.row, t.column), None if t.mirrored else pieces[t.row], pieces[t.column])
            for t in grid
        ]
        result = np.zeros_like(V)
        task = ProductTask(self.store.place.shared_location(), self.name, side)
        for place, at_rows, at_columns in self._in_order(task, items):
            result[blocks[place[0]]] += at_rows
            if at_columns is not None:
                result[blocks[place[1]]] += at_columns
        return result

    def session(self) -> AbstractContextManager[object]:
        """That of the executor, whose workers stay from one product to the next."""
        return self.executor.session()

    def _in_order(self, task: ProductTask, items: list[Item]) -> Iterator[Part]:
        """The parts as the items stand: floating-point sums depend on that."""
        most = MESSAGE_BYTES // (2 * items[0].right.nbytes)
        together = max(1, min(most, len(items) // MESSAGES))
        messages = (items[i : i + together] for i in range(0, len(items), together))
        early: dict[tuple[int, int], list[Part]] = {}
        starts = iter([item.place for item in items[::together]])
        awaited = next(starts, None)
        for found in self.executor.map(task, messages):
            early[found[0].place] = found
            while awaited is not None and awaited in early:
                yield from early.pop(awaited)
                awaited = next(starts, None)

    def _side(self, C: int) -> int:
        """Of a block: as many whole tiles as keep a part of the product small."""
        tile = self.store.identity["tile_side"]
        most = min(RESULT_BYTES // (2 * 8 * C), -(-len(self) // LEAST_PARTS))
        return tile * max(1, most // tile)

    def diagonal(self) -> np.ndarray:
        """The kernel of each image with itself, shape ``(n,)``."""
        tiles = (tile for tile in self.store.grid() if tile.mirrored)
        return np.concatenate([np.diag(block) for _, block in self.store.blocks(self.name, tiles)])

    def column(self, index: int) -> np.ndarray:
        """The kernel of all images with one, shape ``(n,)``."""
        column = np.empty(len(self), self.store.dtype)
        at_columns = (t for t in self.store.grid() if index in range(len(self))[t.columns])
        at_rows = (t for t in self.store.grid() if index in range(len(self))[t.rows])
        for tile, block in self.store.blocks(self.name, at_rows):
            column[tile.columns] = block[index - tile.rows.start]
        for tile, block in self.store.blocks(self.name, at_columns):
            column[tile.rows] = block[:, index - tile.columns.start]
        return column
