"""The binary version of CIFAR-10 and CIFAR-100: records of labels and one image.

A record is one label byte (CIFAR-10) or two, coarse and fine (CIFAR-100), then 1,024 bytes each of
red, green and blue, row by row: https://www.cs.toronto.edu/~kriz/cifar.html.
"""

from __future__ import annotations

import tarfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np

from kernas.errors import DataError
from kernas.files import read_bytes
from kernas.published import PublishedFile

from .identity import check_archive, fetch_again
from .source import Source

SIDE = 32
PIXEL_BYTES = 3 * SIDE * SIDE
MAX_NAMES_BYTES = 1 << 16


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

    @property
    def record_bytes(self) -> int:
        """Bytes of one image with its labels."""
        return self.label_bytes + PIXEL_BYTES

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
        size = (path / file).stat().st_size
        _check_size(file, size, path, name, layout)
        return read_bytes(path / file, size)

    return _read(member, path, name, layout)


def read_cifar_archive(path: Path, name: str, layout: CifarLayout, file: PublishedFile) -> Source:
    """The data set from the published archive, which is checked by size and SHA-256.

    Raises:
        DataError: the archive is not the published one.
    """
    check_archive(path, file, name)
    try:
        found = _members(path, name, layout)
    except DataError:
        raise
    except (OSError, tarfile.TarError, EOFError, ValueError, zlib.error) as error:
        raise DataError(f"{path} cannot be read ({error}); {fetch_again(name)}") from None

    def member(file: str) -> bytes:
        if file not in found:
            raise DataError(f"{path} has no file {file}; {fetch_again(name)}")
        return found[file]

    return _read(member, path, name, layout)


def _members(path: Path, name: str, layout: CifarLayout) -> dict[str, bytes]:
    """The wanted files of an archive, whatever folder they are in there."""
    wanted = {*dict(layout.train), *dict(layout.test), layout.names}
    found: dict[str, bytes] = {}
    with tarfile.open(path) as archive:
        # In the order of the archive: going back would decompress it again.
        for entry in archive:
            file = PurePosixPath(entry.name).name
            if file not in wanted or not entry.isreg():
                continue
            _check_size(file, entry.size, path, name, layout)
            stream = archive.extractfile(entry)
            if file in found or stream is None:
                raise DataError(f"{path} has {file} twice; {fetch_again(name)}")
            found[file] = stream.read()
    return found


def _check_size(file: str, size: int, path: Path, name: str, layout: CifarLayout) -> None:
    """Refuse a file of another size before it is read.

    Raises:
        DataError: the message has both sizes.
    """
    if file == layout.names:
        if size > MAX_NAMES_BYTES:
            raise DataError(
                f"{file} of {path} has {size:,} bytes: expected at most {MAX_NAMES_BYTES:,}, the "
                f"names of {layout.n_classes} classes; {fetch_again(name)}"
            )
        return
    n_records, record = {**dict(layout.train), **dict(layout.test)}[file], layout.record_bytes
    if size != n_records * record:
        raise DataError(
            f"{file} of {path} has {size:,} bytes: expected {n_records * record:,}, "
            f"{n_records:,} records of {record}; {fetch_again(name)}"
        )


def _read(member: Callable[[str], bytes], path: Path, name: str, layout: CifarLayout) -> Source:
    try:
        text = member(layout.names).decode()
    except UnicodeDecodeError as error:
        raise DataError(
            f"{layout.names} of {path} is no text ({error}); {fetch_again(name)}"
        ) from None
    names = tuple(line for line in text.splitlines() if line.strip())
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
    records = np.frombuffer(content, np.uint8).reshape(n_records, layout.record_bytes)
    y = records[:, layout.label].astype(np.int64)
    if y.max() >= layout.n_classes:
        first = int(np.argmax(y >= layout.n_classes))
        raise DataError(
            f"image {first} of {what} has label {y[first]}: expected 0 … {layout.n_classes - 1}; "
            f"{fetch_again(name)}"
        )
    planes = records[:, layout.label_bytes :].reshape(n_records, 3, SIDE, SIDE)
    return planes.transpose(0, 2, 3, 1), y
