"""Arrays that come with scikit-learn or lie in an ``.npz``, checked; never unpickled."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from kernas.arrays import open_npz
from kernas.errors import DataError

from .checks import check_images, check_labels, check_pair
from .source import Source

WAY_OUT = "write it again with numpy.savez(path, x=images, y=labels)"


def read_npz(path: Path, name: str) -> Source:
    """A data set from an ``.npz`` file.

    The file holds ``x`` and ``y``, or ``x_train``, ``y_train``, ``x_test`` and ``y_test``; and, if
    wished, ``class_names``. ``x`` has shape ``(n, features)``, ``(n, height, width)`` or
    ``(n, height, width, channels)``; or, if the file holds ``signals=True``, ``(n, length,
    channels)``. ``y`` has n integers.

    Raises:
        DataError: no such file, not an ``.npz``, damaged, arrays missing or not of this form.
    """
    if not path.is_file():
        raise DataError(f"no file {path}: expected an .npz file with arrays x and y")
    with open_npz(path, way_out=WAY_OUT) as archive:
        parts = _parts(path, set(archive.names))
        arrays = {key: archive.read(key) for pair in parts for key in pair}
        names = archive.read("class_names") if "class_names" in archive.names else None
        signals = "signals" in archive.names and bool(np.all(archive.read("signals")))
    checked: list[np.ndarray] = []
    for x_key, y_key in parts:
        x = check_images(arrays[x_key], f"array {x_key!r} of {path}", signals=signals)
        y = check_labels(arrays[y_key], f"labels {y_key!r} of {path}")
        check_pair(x, y, f"{x_key!r} and {y_key!r} of {path}")
        if checked and x.shape[1:] != checked[0].shape[1:]:
            raise DataError(
                f"{path} has test images of shape {x.shape[1:]} but training images of shape "
                f"{checked[0].shape[1:]}: expected the same"
            )
        if checked and (x.dtype == np.uint8) != (checked[0].dtype == np.uint8):
            raise DataError(
                f"{path} has test images of dtype {x.dtype} but training images of dtype "
                f"{checked[0].dtype}: expected both or neither uint8, since bytes are divided by "
                "255; save both in one dtype"
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


def _class_names(names: np.ndarray | None, path: Path) -> tuple[str, ...] | None:
    if names is None:
        return None
    if names.ndim != 1 or names.dtype.kind != "U":
        raise DataError(
            f"'class_names' of {path} has shape {names.shape} and dtype {names.dtype}: expected a "
            "vector of strings"
        )
    return tuple(str(name) for name in names)
