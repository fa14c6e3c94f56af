"""Names and files to arrays as they are stored, checked; nothing is ever unpickled."""

from __future__ import annotations

import os
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from kernas.errors import ConfigurationError, DataError

from .checks import check_images, check_labels, check_pair


@dataclass(frozen=True, eq=False)
class Source:
    """A data set as it is stored.

    Attributes:
        name: of the data set.
        origin: the file's name, or the package the images come with.
        x, y: training images and labels, or all of them where there is no test part.
        x_test, y_test: the test part, if the data set has one of its own.
        class_names: names of the classes 0, 1, …, if the data set has them.
    """

    name: str
    origin: str
    x: np.ndarray = field(repr=False)
    y: np.ndarray = field(repr=False)
    x_test: np.ndarray | None = field(default=None, repr=False)
    y_test: np.ndarray | None = field(default=None, repr=False)
    class_names: tuple[str, ...] | None = None


def read_source(name: str | os.PathLike[str]) -> Source:
    """The arrays of a known data set, or of the user's own ``.npz`` file.

    Raises:
        ConfigurationError: neither a known name nor a path.
        DataError: a file is missing or unreadable, or its arrays are not a labelled data set.
    """
    text = os.fspath(name)
    if text in DATASETS:
        return DATASETS[text]()
    path = Path(text).expanduser()
    if path.suffix != ".npz" and not path.exists():
        raise ConfigurationError(
            f"unknown data set {text!r}: expected one of {', '.join(DATASETS)}, or the path of "
            "an .npz file"
        )
    return read_npz(path, path.stem)


def read_digits() -> Source:
    """scikit-learn's handwritten digits: 1,797 images of 8×8 grey values, scaled into [0, 1]."""
    from sklearn.datasets import load_digits

    images, labels = load_digits(return_X_y=True)
    x = np.asarray(images).reshape(-1, 8, 8, 1) / 16.0
    names = tuple(str(digit) for digit in range(10))
    y = check_labels(labels, "labels of digits")
    return Source("digits", "scikit-learn load_digits", x, y, class_names=names)


def read_cifar10() -> Source:
    """CIFAR-10, 32×32 colour images, from ``cifar10_10k_2k.npz``."""
    return read_npz(find_file("cifar10_10k_2k.npz", "cifar10"), "cifar10")


def read_fashion_mnist() -> Source:
    """Fashion-MNIST, 28×28 grey images, from ``fashion_mnist.npz``."""
    return read_npz(find_file("fashion_mnist.npz", "fashion_mnist"), "fashion_mnist")


DATASETS: dict[str, Callable[[], Source]] = {
    "digits": read_digits,
    "cifar10": read_cifar10,
    "fashion_mnist": read_fashion_mnist,
}
"""Known data sets and what reads them."""


def cache_folder() -> Path:
    """``$XDG_CACHE_HOME/kernas``, by default ``~/.cache/kernas``."""
    root = os.environ.get("XDG_CACHE_HOME")
    return (Path(root) if root else Path.home() / ".cache") / "kernas"


def data_folders() -> list[Path]:
    """Where files are looked for: the folder that ``KERNAS_DATA`` names, then the cache folder."""
    data = os.environ.get("KERNAS_DATA")
    return [*([Path(data).expanduser()] if data else []), cache_folder()]


def find_file(filename: str, dataset: str) -> Path:
    """The first file of this name in :func:`data_folders`.

    Raises:
        DataError: it is in none.
    """
    folders = data_folders()
    for folder in folders:
        if (folder / filename).is_file():
            return folder / filename
    looked = " and ".join(str(folder) for folder in folders)
    unset = "" if os.environ.get("KERNAS_DATA") else " (KERNAS_DATA is not set)"
    raise DataError(
        f"data set {dataset!r} needs {filename}, which is not in {looked}{unset}; set KERNAS_DATA "
        f"to the folder that holds it, or put it into {folders[-1]}"
    )


def read_npz(path: Path, name: str) -> Source:
    """A data set from an ``.npz`` file.

    The file holds ``x`` and ``y``, or ``x_train``, ``y_train``, ``x_test`` and ``y_test``; and, if
    wished, ``class_names``. ``x`` has shape ``(n, features)``, ``(n, height, width)`` or
    ``(n, height, width, channels)``; ``y`` has n integers.

    Raises:
        DataError: no such file, not an ``.npz``, damaged, arrays missing or not of this form.
    """
    if not path.is_file():
        raise DataError(f"no file {path}: expected an .npz file with arrays x and y")
    if not _is_zip(path):
        raise DataError(
            f"{path} is not an .npz file, or is cut off; write it again with "
            "numpy.savez(path, x=images, y=labels)"
        )
    try:
        with np.load(path, allow_pickle=False) as archive:
            keys = set(archive.files)
            parts = _parts(path, keys)
            arrays = {key: _array(archive, key, path) for pair in parts for key in pair}
            names = _array(archive, "class_names", path) if "class_names" in keys else None
    except (OSError, zipfile.BadZipFile) as error:
        raise DataError(f"{path} cannot be read ({error}); write or copy it again") from None
    checked: list[np.ndarray] = []
    for x_key, y_key in parts:
        x = check_images(arrays[x_key], f"array {x_key!r} of {path}")
        y = check_labels(arrays[y_key], f"labels {y_key!r} of {path}")
        check_pair(x, y, f"{x_key!r} and {y_key!r} of {path}")
        if checked and x.shape[1:] != checked[0].shape[1:]:
            raise DataError(
                f"{path} has test images of shape {x.shape[1:]} but training images of shape "
                f"{checked[0].shape[1:]}: expected the same"
            )
        checked += [x, y]
    return Source(name, path.name, *checked, class_names=_class_names(names, path))


def _parts(path: Path, keys: set[str]) -> list[tuple[str, str]]:
    """The keys of the images and labels that the file holds, part by part."""
    whole, halves = [("x", "y")], [("x_train", "y_train"), ("x_test", "y_test")]
    for parts in (halves, whole):
        if all(key in keys for pair in parts for key in pair):
            return parts
    raise DataError(
        f"{path} holds the arrays {', '.join(sorted(keys)) or 'none'}: expected x and y, or "
        "x_train, y_train, x_test and y_test"
    )


def _array(archive: np.lib.npyio.NpzFile, key: str, path: Path) -> np.ndarray:
    try:
        array = archive[key]
    except ValueError as error:
        if "Object arrays" in str(error):
            raise DataError(
                f"array {key!r} of {path} holds Python objects, which are never unpickled; save "
                "numbers, for instance y.astype('int64')"
            ) from None
        raise DataError(f"array {key!r} of {path} is damaged ({error}); write it again") from None
    except (EOFError, zlib.error, RuntimeError) as error:
        raise DataError(f"array {key!r} of {path} is damaged ({error}); write it again") from None
    if not isinstance(array, np.ndarray):
        raise DataError(f"member {key!r} of {path} is not an array; write it with numpy.savez")
    return array


def _is_zip(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return file.read(2) == b"PK" and zipfile.is_zipfile(path)
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error}); check its permissions") from None


def _class_names(names: np.ndarray | None, path: Path) -> tuple[str, ...] | None:
    if names is None:
        return None
    if names.ndim != 1 or names.dtype.kind != "U":
        raise DataError(
            f"'class_names' of {path} has shape {names.shape} and dtype {names.dtype}: expected a "
            "vector of strings"
        )
    return tuple(str(name) for name in names)
