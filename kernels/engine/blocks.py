"""Indices in blocks of one size, so that one compilation serves them all."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class IndexBlock:
    """Some of ``range(length)``.

    Attributes:
        rows: the indices that the block stands for.
        filled: the same, the last one repeated to the block's size.
    """

    rows: slice
    filled: np.ndarray

    def __len__(self) -> int:
        return self.rows.stop - self.rows.start


def balanced(length: int, most: int) -> int:
    """The size of parts as equal as possible, none larger than ``most``."""
    return -(-length // -(-length // most))


def blocks(length: int, side: int) -> Iterator[IndexBlock]:
    """``range(length)`` in blocks of ``side``, the last one filled up."""
    for start in range(0, length, side):
        rows = slice(start, min(start + side, length))
        yield IndexBlock(rows, np.minimum(np.arange(start, start + side), length - 1))
