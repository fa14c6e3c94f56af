"""How a matrix is cut into square tiles, and in which order they are computed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

TILE_SIDE = 128
"""Images on each side of a tile unless the user says otherwise."""


@dataclass(frozen=True)
class Tile:
    """A square part of a matrix; at its last rows and columns perhaps a smaller one.

    Attributes:
        row, column: its place among the tiles.
        rows, columns: the images that meet.
        mirrored: whether it lies on the diagonal of a symmetric matrix.
    """

    row: int
    column: int
    rows: slice
    columns: slice
    mirrored: bool

    @property
    def shape(self) -> tuple[int, int]:
        """Images on the left and on the right."""
        return self.rows.stop - self.rows.start, self.columns.stop - self.columns.start

    @property
    def pairs(self) -> int:
        """Pairs of images that are computed for it."""
        left, right = self.shape
        return left * (left + 1) // 2 if self.mirrored else left * right

    def inside(self, shard: Tile) -> tuple[slice, slice]:
        """Its rows and columns, counted from those of a shard that it is in."""
        top, left = shard.rows.start, shard.columns.start
        return (
            slice(self.rows.start - top, self.rows.stop - top),
            slice(self.columns.start - left, self.columns.stop - left),
        )


def parts(length: int, side: int) -> list[slice]:
    """``range(length)`` in parts of ``side``, the last one perhaps smaller."""
    return [slice(start, min(start + side, length)) for start in range(0, length, side)]


def tiles_of(
    shape: tuple[int, int], side: int, *, symmetric: bool, to_and_fro: bool = True
) -> Iterator[Tile]:
    """The tiles of a matrix, of a symmetric one those on and below the diagonal.

    Row by row, to and fro: where a row begins, the columns of the row before it ended, so that
    what was prepared of their images is likely to be there still. Or each row from its beginning.
    """
    columns = parts(shape[1], side)
    for row, rows in enumerate(parts(shape[0], side)):
        met = list(enumerate(columns[: row + 1] if symmetric else columns))
        for column, part in reversed(met) if row % 2 and to_and_fro else met:
            yield Tile(row, column, rows, part, symmetric and row == column)


def within(shard: Tile, side: int, number: int) -> list[Tile]:
    """The tiles of a shard, to and fro as :func:`tiles_of` gives those of a matrix.

    Args:
        shard: a tile of ``side * number`` images on each side.
        side: of its tiles.
        number: of its tiles on each side; 1 if it is one itself.
    """
    if number == 1:
        return [shard]
    found = []
    for tile in tiles_of(shard.shape, side, symmetric=shard.mirrored):
        rows, columns = (
            slice(start + part.start, start + part.stop)
            for start, part in ((shard.rows.start, tile.rows), (shard.columns.start, tile.columns))
        )
        row, column = number * shard.row + tile.row, number * shard.column + tile.column
        found.append(Tile(row, column, rows, columns, tile.mirrored))
    return found
