"""The binary version of CIFAR-10 and CIFAR-100: records of labels and one image.

A record is one label byte (CIFAR-10) or two, coarse and fine (CIFAR-100), then 1,024 bytes each of
red, green and blue, row by row: https://www.cs.toronto.edu/~kriz/cifar.html.
"""

from __future__ import annotations

import tarfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from kernas.errors import DataError
from kernas.published import PublishedFile

from .identity import check_archive, fetch_again
from .source import Source

SIDE = 32
PIXEL_BYTES = 3 * SIDE * SIDE


@dataclass(frozen=True)
class CifarLayout:
    """Which files hold what.

    Attributes:
        folder: the folder inside the archive, and where it was unpacked.
        train: files of the training part, each with its number of records.
        test: those of the test part.
        names: the text file with the classes' names, one a line.
        n_classes: number of classes.
        label_bytes: in front of each image.
        label: which of them is the class.
    """

    folder: str
    train: tuple[tuple[str, int], ...]
    test: tuple[tuple[str, int], ...]
    names: str
    n_classes: int
    label_bytes: int = 1
    label: int = 0

    def is_in(self, folder: Path) -> bool:
        """Whether any of the files is there."""
        return any((folder / file).exists() for file, _ in (*self.train, *self.test))


def read_cifar_folder(path: Path, name: str, layout: CifarLayout) -> Source:
    """The data set from its unpacked files, which are checked by size and labels.

    Raises:
        DataError: a file is missing or of another size, or a label lies outside the classes.
    """

    def member(file: str) -> bytes:
        if not (path / file).is_file():
            raise DataError(
                f"no file {path / file}: expected it beside the others; unpack the archive again"
            )
        return (path / file).read_bytes()

    return _read(member, path, name, layout)


def read_cifar_archive(path: Path, name: str, layout: CifarLayout, file: PublishedFile) -> Source:
    """The data set from the published archive, which is checked by size and SHA-256.

    Raises:
        DataError: the archive is not the published one.
    """
    check_archive(path, file, name)
    with tarfile.open(path) as archive:
        wanted = {*dict(layout.train), *dict(layout.test), layout.names}
        found: dict[str, bytes] = {}
        # In the order of the archive: going back would decompress it again.
        for entry in archive:
            stream = archive.extractfile(entry)
            if stream is not None and Path(entry.name).name in wanted:
                found[Path(entry.name).name] = stream.read()
    return _read(found.__getitem__, path, name, layout)


def _read(member: Callable[[str], bytes], path: Path, name: str, layout: CifarLayout) -> Source:
    names = tuple(line for line in member(layout.names).decode().splitlines() if line.strip())
    if len(names) != layout.n_classes:
        raise DataError(
            f"{layout.names} of {path} has {len(names)} class names: expected {layout.n_classes}; "
            f"{fetch_again(name)}"
        )
    parts = []
    for files in (layout.train, layout.test):
        decoded = [
            _decode(member(file), n_records, f"{file} of {path}", name, layout)
            for file, n_records in files
        ]
        parts += [np.concatenate(arrays) for arrays in zip(*decoded, strict=True)]
    return Source(name, path.name, *parts, class_names=names)


def _decode(
    content: bytes, n_records: int, what: str, name: str, layout: CifarLayout
) -> tuple[np.ndarray, np.ndarray]:
    """Images ``(n, 32, 32, 3)`` in uint8 and labels ``(n,)`` of one file."""
    record = layout.label_bytes + PIXEL_BYTES
    if len(content) != n_records * record:
        raise DataError(
            f"{what} has {len(content):,} bytes: expected {n_records * record:,}, {n_records:,} "
            f"records of {record}; {fetch_again(name)}"
        )
    records = np.frombuffer(content, np.uint8).reshape(n_records, record)
    y = records[:, layout.label].astype(np.int64)
    if y.max() >= layout.n_classes:
        first = int(np.argmax(y >= layout.n_classes))
        raise DataError(
            f"image {first} of {what} has label {y[first]}: expected 0 … {layout.n_classes - 1}; "
            f"{fetch_again(name)}"
        )
    planes = records[:, layout.label_bytes :].reshape(n_records, 3, SIDE, SIDE)
    return planes.transpose(0, 2, 3, 1), y
