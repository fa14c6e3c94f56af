"""A matrix as the work of a cluster: how many tiles, and what one takes."""

from __future__ import annotations

import math

import numpy as np

from kernas.errors import ConfigurationError
from kernas.execution import Work

from .layout import Layout
from .tiles import TILE_SIDE


def matrix_work(
    n: int, pair_seconds: float, *, tile_side: int = TILE_SIDE, itemsize: int = 4
) -> Work:
    """The tiles of the kernel of ``n`` images with themselves, for ``kernas.execution.predict``.

    ``T (T + 1) / 2`` tiles with ``T = ⌈n / side⌉``, of ``n (n + 1) / 2`` pairs together: what a
    tile takes is a mean over whole ones and those of the diagonal and the edges, which have fewer
    pairs. All are files of the same size.

    Args:
        n: images, >= 1.
        pair_seconds: of a pair of images, > 0.
        tile_side: images on each side of a tile, >= 1.
        itemsize: bytes of a number.

    Raises:
        ConfigurationError: a number is out of its range.
    """
    if n < 1 or tile_side < 1:
        raise ConfigurationError(
            f"n={n}, tile_side={tile_side}: expected positive numbers of images"
        )
    side = math.ceil(n / tile_side)
    tiles = side * (side + 1) // 2
    pairs = n * (n + 1) // 2
    stored = Layout(tile_side, 1, np.dtype(f"f{itemsize}")).tile_bytes
    return Work(tiles, pairs / tiles * pair_seconds, bytes=stored)
