"""The idx files of MNIST and of its kin: a magic number, the sizes, the bytes.

The magic number is ``00 00 08 d``: unsigned bytes of d axes, whose sizes follow as big-endian
32-bit integers (LeCun, Cortes and Burges, "The MNIST database of handwritten digits").
"""

from __future__ import annotations

import gzip
import math
import struct
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from kernas.errors import DataError
from kernas.files import open_regular
from kernas.published import PublishedFile

from .identity import check_content, fetch_again
from .source import Source

UNSIGNED_BYTES = 0x0800
SLACK = 1024
"""Bytes that are read beyond those expected, to say how many there are."""


@dataclass(frozen=True)
class IdxLayout:
    """Which files hold what.

    Attributes:
        files: training images, training labels, test images, test labels, each with its shape.
        classes: names of the classes.
    """

    files: tuple[tuple[PublishedFile, tuple[int, ...]], ...]
    classes: tuple[str, ...]

    def is_in(self, folder: Path) -> bool:
        """Whether any of the files is there."""
        return any(_find(folder, file) is not None for file, _ in self.files)


def read_idx_folder(folder: Path, name: str, layout: IdxLayout) -> Source:
    """The data set from its four files, each gzipped or not, checked by the SHA-256 of its content.

    Raises:
        DataError: a file is missing, cut off, damaged, or belongs to another data set.
    """
    arrays = [_read_idx(folder, file, shape, name) for file, shape in layout.files]
    x, y, x_test, y_test = arrays
    return Source(
        name,
        folder.name,
        x[..., None],
        y.astype(np.int64),
        x_test[..., None],
        y_test.astype(np.int64),
        layout.classes,
    )


def _find(folder: Path, file: PublishedFile) -> Path | None:
    places = (folder / file.name.removesuffix(".gz"), folder / file.name)
    return next((place for place in places if place.is_file()), None)


def _read_idx(folder: Path, file: PublishedFile, shape: tuple[int, ...], name: str) -> np.ndarray:
    path = _find(folder, file)
    if path is None:
        raise DataError(
            f"no file {folder / file.name}: expected it beside the others; run `kernas data fetch "
            f"{name}`"
        )
    head = struct.pack(f">{1 + len(shape)}I", UNSIGNED_BYTES + len(shape), *shape)
    size = len(head) + math.prod(shape)
    compressed = path.name == file.name
    content = _content(path, size + SLACK, compressed, file, name)
    if content[:4] != head[:4]:
        raise DataError(
            f"{path} begins with the magic number 0x{content[:4].hex()}: expected "
            f"0x{head[:4].hex()}, unsigned bytes of {len(shape)} axes; {fetch_again(name)}"
        )
    if content[: len(head)] != head:
        found = struct.unpack(f">{len(shape)}I", content[4 : len(head)].ljust(len(head) - 4, b"\0"))
        raise DataError(
            f"{path} has an array of shape {found}: expected {shape}; {fetch_again(name)}"
        )
    if len(content) != size:
        more = "more than " if len(content) == size + SLACK else ""
        raise DataError(
            f"the content of {path} has {more}{len(content):,} bytes: expected {size:,}; "
            f"{fetch_again(name)}"
        )
    check_content(content, path, file, name)
    return np.frombuffer(content, np.uint8, offset=len(head)).reshape(shape)


def _content(path: Path, most: int, compressed: bool, file: PublishedFile, name: str) -> bytes:
    """The first ``most`` bytes of a file, decompressed."""
    with open_regular(path) as stored:
        if not compressed:
            return stored.read(most)
        try:
            with gzip.open(stored) as stream:
                return stream.read(most)
        except (EOFError, OSError, zlib.error) as error:
            raise DataError(
                f"{path} cannot be decompressed ({error}): it has {path.stat().st_size:,} bytes, "
                f"published were {file.size:,}; {fetch_again(name)}"
            ) from None
