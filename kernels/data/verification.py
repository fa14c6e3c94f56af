"""What is there of the known data sets, and whether it is whole."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from kernas.errors import DataError

from .known import DATASETS, check_name, find_known, read_known, way_to
from .loading import number_classes


@dataclass(frozen=True)
class Verification:
    """What reading a data set as a whole showed.

    Attributes:
        name: of the data set.
        status: ``"ok"``, ``"absent"`` or ``"damaged"``.
        path: of the file or folder that :func:`~kernas.kernels.load` reads; ``None`` if it is
            absent or comes with an installed package.
        size: bytes of the file, or of the files in the folder.
        sha256: whether a published SHA-256 was compared, and was equal.
        n_train: images of training, or all of them where there is no test part.
        n_test: images of the test part.
        n_classes: number of classes.
        message: what is damaged, or how to get what is absent.
    """

    name: str
    status: Literal["ok", "absent", "damaged"]
    path: Path | None = None
    size: int = 0
    sha256: bool = False
    n_train: int = 0
    n_test: int = 0
    n_classes: int = 0
    message: str = ""


def verify(name: str) -> Verification:
    """Find a known data set, read all of it, and compare it with what was published.

    Raises:
        ConfigurationError: an unknown name.
    """
    check_name(name)
    found = find_known(name)
    if found is None and DATASETS[name].embedded is None:
        return Verification(name, "absent", message=way_to(name))
    form, path = found or (None, None)
    try:
        source, classes = number_classes(read_known(name))
    except DataError as error:
        return Verification(name, "damaged", path, message=str(error))
    return Verification(
        name,
        "ok",
        path,
        size=_size(path),
        sha256=form is not None and form.summed,
        n_train=len(source.y),
        n_test=0 if source.y_test is None else len(source.y_test),
        n_classes=len(classes),
    )


def _size(path: Path | None) -> int:
    if path is None:
        return 0
    files = path.iterdir() if path.is_dir() else [path]
    return sum(file.stat().st_size for file in files)
