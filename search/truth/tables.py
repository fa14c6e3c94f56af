"""Measured accuracies by architecture name, read from ``.npz`` tables."""

from __future__ import annotations

import hashlib
import math
import re
import zipfile
import zlib
from collections import Counter
from collections.abc import Hashable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from kernas.errors import ArchitectureError, DataError
from kernas.kernels.data import data_folders

from ..spaces.cell_strings import is_cell_text, name_of

NAME_KEY = "arch_str"
MISSING = -1e8
"""What published columns hold where an accuracy is missing; NaN means the same."""

KNOWN = {"nasbench201": "nasbench201.npz"}

_IN_ORDER = re.compile(r"\|\w+~0\|\+\|\w+~0\|\w+~1\|\+\|\w+~0\|\w+~1\|\w+~2\|")
"""A cell string in the published order, recognised without parsing a table of them."""


@dataclass(frozen=True, eq=False)
class Truth(Mapping[str, float]):
    """Architecture name → measured value; a missing measurement is not in the mapping.

    Cells of NAS-Bench-201 are found in every form that :meth:`NasBench201.parse` takes, and are
    named here by their string in the published order of edges.

    Attributes:
        measured: the mapping, larger is better.
        source: name of the file.
        column: name of the column.

    Raises:
        DataError: two names are those of one cell.
    """

    measured: Mapping[str, float] = field(repr=False)
    source: str = "memory"
    column: str = "truth"

    def __post_init__(self) -> None:
        given = {_own_name(name): name for name in self.measured}
        if len(given) < len(self.measured):
            twice = next(n for n in self.measured if given[_own_name(n)] != n)
            raise DataError(
                f"{twice!r} and {given[_own_name(twice)]!r} in {self.source} are one cell: "
                "expected one measured value of each"
            )
        kept = {
            own: float(self.measured[name])
            for own, name in given.items()
            if math.isfinite(self.measured[name]) and self.measured[name] != MISSING
        }
        object.__setattr__(self, "measured", MappingProxyType(kept))

    def __getitem__(self, name: Any) -> float:
        if isinstance(name, str) and name in self.measured:
            return self.measured[name]
        return self.measured[_own_name(name)]

    def __iter__(self) -> Iterator[str]:
        return iter(self.measured)

    def __len__(self) -> int:
        return len(self.measured)

    def require(self, names: Iterable[str]) -> None:
        """Refuse names that have no measurement.

        Raises:
            DataError: the message has the first missing name and how many there are.
        """
        missing = [name for name in names if name not in self]
        if missing:
            raise DataError(
                f"{missing[0]} has no {self.column!r} in {self.source} ({len(missing)} of the "
                "candidates are missing); leave the truth out, or rank candidates of the table"
            )

    def fingerprint(self, names: Iterable[str]) -> str:
        """SHA-256 over names and their values, for the identity of a run."""
        digest = hashlib.sha256()
        for name in names:
            digest.update(f"{name}\t{self[name]!r}\n".encode())
        return digest.hexdigest()


def _own_name(name: Any) -> Any:
    """The name of a cell in the published order of edges; other names as they are.

    A text of digits may be a name of another kind, and is no number of the table here.
    """
    if isinstance(name, str) and (
        _IN_ORDER.fullmatch(name) or name.isdecimal() or not is_cell_text(name)
    ):
        return name
    try:
        return name_of(name)
    except ArchitectureError:
        return name if isinstance(name, Hashable) else repr(name)


def load_truth(path_or_name: str | Path, column: str = "test_cifar10") -> Truth:
    """Read one column of a table of measured accuracies.

    Args:
        path_or_name: ``"nasbench201"``, a file's name that is looked for in the current folder,
            ``$KERNAS_DATA`` and the cache folder, or a path. The file is an ``.npz`` with the
            architectures' names in ``arch_str`` (n,) and one-dimensional columns of n numbers.
        column: the column's name. NaN and −1e8 mean missing.

    Returns:
        The measured values by architecture name.

    Raises:
        DataError: there is no such file or column (the message lists what there is), or the file
            is no such table.
    """
    path = _find(path_or_name)
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as table:
            if isinstance(table, np.lib.npyio.NpzFile):
                return _read_column(table, path, column)
            reason = "one array without a name"
    except DataError:
        raise
    except (OSError, ValueError, TypeError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        reason = str(error)
    raise DataError(
        f"cannot read {path} as a table ({reason}); expected an .npz of plain arrays with "
        f"{NAME_KEY!r} and columns of numbers"
    )


def _read_column(table: np.lib.npyio.NpzFile, path: Path, column: str) -> Truth:
    if NAME_KEY not in table.files:
        raise DataError(
            f"{path} has no array {NAME_KEY!r} (it has {', '.join(table.files)}); expected the "
            "architectures' names there"
        )
    names = table[NAME_KEY]
    values = table[column] if column in table.files else None
    if values is None or values.shape != names.shape or values.dtype.kind not in "fiu":
        columns = [
            key
            for key in table.files
            if key != NAME_KEY
            and table[key].shape == names.shape
            and table[key].dtype.kind in "fiu"
        ]
        raise DataError(
            f"{path} has no column {column!r}; expected one of {', '.join(columns) or 'none'}"
        )
    texts = [name.decode() if isinstance(name, bytes) else str(name) for name in names.tolist()]
    known = dict(zip(texts, values.tolist(), strict=True))
    if len(known) < len(texts):
        twice = next(text for text, count in Counter(texts).items() if count > 1)
        raise DataError(
            f"{path} has {twice!r} in several rows; expected one of each architecture, for "
            "instance the mean over its trainings"
        )
    return Truth(known, path.name, column)


def _find(path_or_name: str | Path) -> Path:
    """The first existing file among the places where the table may be."""
    given = Path(path_or_name).expanduser()
    filename = KNOWN.get(str(path_or_name), given)
    places = [given, *(folder / filename for folder in data_folders())]
    for place in places:
        if place.is_file():
            return place
    raise DataError(
        f"truth {str(path_or_name)!r}: no file at {', '.join(str(place) for place in places)}; "
        "set KERNAS_DATA to the folder that holds it, or give the path of an .npz table"
    )
