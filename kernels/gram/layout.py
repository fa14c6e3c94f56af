"""The bytes of tiles: chunks of zarr, alone or as many in a shard.

zarr's tasks and threads take ten times as long for a chunk as this does.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import google_crc32c
import numpy as np
from jaxtyping import Float, Int64, UInt8

from .identity import Identity
from .metadata import shard_of
from .tiles import Tile

Bytes = UInt8[np.ndarray, " length"]
Block = Float[np.ndarray, "rows columns"]
Starts = Int64[np.ndarray, "number number"]
"""Of each tile of a shard the first byte; −1 if it is not there."""

CHECKSUM_BYTES = 4
ABSENT = 2**64 - 1
DAMAGED: Bytes = np.empty(0, np.uint8)


@dataclass(frozen=True)
class Layout:
    """How a store has its tiles in bytes.

    Attributes:
        side: of a tile.
        shard: tiles on each side of a shard; 1 if each is kept by itself.
        dtype: of the numbers.

    Reference:
        Zarr v3 specification, codecs ``bytes``, ``crc32c`` and ``sharding_indexed``.
    """

    side: int
    shard: int
    dtype: np.dtype

    @classmethod
    def of(cls, identity: Identity) -> Layout:
        """That of a store."""
        dtype = np.dtype(identity["settings"]["dtype"])
        return cls(identity["tile_side"], shard_of(identity), dtype)

    @property
    def tile_bytes(self) -> int:
        """Of a tile."""
        return self.side**2 * self.dtype.itemsize + CHECKSUM_BYTES

    @property
    def index_bytes(self) -> int:
        """What is at the end of a shard; none where there are no shards."""
        return 0 if self.shard == 1 else 16 * self.shard**2 + CHECKSUM_BYTES

    @property
    def most_bytes(self) -> int:
        """Of what is kept under one name."""
        return self.shard**2 * self.tile_bytes + self.index_bytes

    def encoded(self, block: Block) -> bytes:
        """A tile; or a shard, whose tiles of NaN alone are left out.

        Args:
            block: at the edges of the matrix perhaps a smaller one, which is filled up with NaN.
        """
        if self.shard == 1:
            return self._chunk(block)
        side, chunks, at = self.side, [], 0
        index = np.full((self.shard, self.shard, 2), ABSENT, "<u8")
        for row, column in np.ndindex(self.shard, self.shard):
            part = block[side * row : side * (row + 1), side * column : side * (column + 1)]
            if not np.isnan(part).all():  # of none too
                chunks.append(self._chunk(part))
                index[row, column] = at, self.tile_bytes
                at += self.tile_bytes
        return b"".join((*chunks, _summed(index.tobytes())))

    def _chunk(self, block: Block) -> bytes:
        if block.shape != (self.side, self.side):
            whole = np.full((self.side, self.side), np.nan, self.dtype)
            whole[: block.shape[0], : block.shape[1]] = block
            block = whole
        return _summed(np.ascontiguousarray(block, self.dtype.newbyteorder("<")).tobytes())

    def decoded(self, chunk: Bytes) -> Block | None:
        """The numbers of a tile, ``(side, side)``; ``None`` if length or checksum are wrong.

        Args:
            chunk: the numbers row by row, each from its lowest byte on, and their CRC-32C.
        """
        if len(chunk) != self.tile_bytes or not _is_sound(chunk):
            return None
        numbers = chunk[:-CHECKSUM_BYTES].view(self.dtype.newbyteorder("<"))
        return numbers.reshape(self.side, self.side).astype(self.dtype, copy=False)

    def starts(self, end: Bytes) -> Starts | None:
        """Where the tiles of a shard begin; ``None`` if that is damaged.

        Args:
            end: the last :attr:`index_bytes` of the shard.
        """
        if len(end) != self.index_bytes or not _is_sound(end):
            return None
        index = end[:-CHECKSUM_BYTES].view("<u8").reshape(self.shard, self.shard, 2)
        starts, lengths = index[..., 0], index[..., 1]
        if np.any((lengths != self.tile_bytes) & (starts != ABSENT)):
            return None
        return starts.astype(np.int64)

    def chunks(self, data: Bytes | None, tiles: Sequence[Tile]) -> list[Bytes | None]:
        """The bytes of tiles of one shard, or of the one tile that is kept by itself.

        Args:
            data: what is kept under their name, if there is anything.
            tiles: of it.

        Returns:
            ``None`` for one that is not there, ``DAMAGED`` for one that cannot be found.
        """
        if data is None:
            return [None] * len(tiles)
        if self.shard == 1:
            return [data]
        starts = self.starts(data[-self.index_bytes :])
        if starts is None:
            return [DAMAGED] * len(tiles)
        at = [int(starts[self.inside(tile)]) for tile in tiles]
        return [None if n < 0 else data[n : n + self.tile_bytes].copy() for n in at]

    def inside(self, tile: Tile) -> tuple[int, int]:
        """Row and column of a tile in its shard, counted in tiles."""
        return tile.row % self.shard, tile.column % self.shard


def _summed(data: bytes) -> bytes:
    return data + google_crc32c.value(data).to_bytes(CHECKSUM_BYTES, "little")


def _is_sound(data: Bytes) -> bool:
    checksum = data[-CHECKSUM_BYTES:].tobytes()
    return google_crc32c.value(data[:-CHECKSUM_BYTES]) == int.from_bytes(checksum, "little")
