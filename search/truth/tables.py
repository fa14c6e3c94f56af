"""Measured accuracies by architecture name."""

from __future__ import annotations

import math
import random
from collections import Counter
from collections.abc import Hashable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from numbers import Real
from pathlib import Path
from types import MappingProxyType
from typing import Any

from kernas.comparison import first_difference
from kernas.errors import DataError
from kernas.files import user_path
from kernas.kernels.data import data_folders

from ..spaces import Candidate, Space, space_from_text
from ..spaces.base import check_sample_size, distinct
from ..spaces.published import TABLES, own_name
from .files import (
    WAY_OUT,
    Column,
    column_of,
    is_surrogate,
    read_column,
    read_document,
)
from .shipped import protocol, shipped_column, shipped_truths

MISSING = -1e8
"""What published columns hold where an accuracy is missing; NaN means the same."""

FILE_COLUMN = "test_cifar10"
"""The column of a file that is read unless another is asked for."""


@dataclass(frozen=True, eq=False)
class Truth(Mapping[str, float]):
    """Architecture name → measured value; a missing measurement is not in the mapping.

    Cells of a published table are found in every form that their space parses, and are named here
    by the published one.

    Attributes:
        measured: the mapping, larger is better.
        source: name of the file.
        column: name of the column.
        space: text of the space whose candidates it measured, and that no other is compared with;
            ``None`` where the candidates' names are all that counts.
        dataset: what they were trained on, if it is known.

    Raises:
        DataError: a value is infinite or no number, or two names are those of one cell.
    """

    measured: Mapping[str, float] = field(repr=False)
    source: str = "memory"
    column: str = "truth"
    space: str | None = None
    dataset: str | None = None

    def __post_init__(self) -> None:
        kept: dict[str, float] = {}
        given: dict[Hashable, str] = {}
        for name, value in self.measured.items():
            own = own_name(name)
            if own in given:
                raise DataError(
                    f"{given[own]!r} and {name!r} in {self.source} are one cell: expected one "
                    "measured value of each"
                )
            if not isinstance(value, Real) or math.isinf(value):
                raise DataError(
                    f"{name!r} has the value {value!r}: expected a finite number, or NaN where it "
                    "was not measured"
                )
            given[own] = name
            if not math.isnan(value) and value != MISSING:
                kept[own] = float(value)
        object.__setattr__(self, "measured", MappingProxyType(kept))

    @property
    def is_whole(self) -> bool:
        """Whether every candidate of the space has a value, measured or not."""
        return False

    def __reduce__(self) -> tuple[type[Truth], tuple[Any, ...]]:
        return Truth, (dict(self.measured), self.source, self.column, self.space, self.dataset)

    def __getitem__(self, name: Any) -> float:
        if isinstance(name, str) and name in self.measured:
            return self.measured[name]
        return self.measured[own_name(name)]

    def __iter__(self) -> Iterator[str]:
        return iter(self.measured)

    def __len__(self) -> int:
        return len(self.measured)

    def require(self, candidates: Iterable[Candidate]) -> None:
        """Refuse candidates of another space, or that have no measurement.

        Raises:
            DataError: the message has the first field in which the spaces differ; or the first
                missing name, and how many there are.
        """
        chosen = list(candidates)
        for space in dict.fromkeys(candidate.space for candidate in chosen):
            self._check_space(space)
        missing = [candidate.name for candidate in chosen if candidate.name not in self]
        if missing:
            raise DataError(
                f"{missing[0]} has no {self.column!r} in {self.source} ({len(missing)} of the "
                "candidates are missing); leave the truth out, or rank candidates of the table"
            )

    def covers(self, candidates: Iterable[Candidate]) -> bool:
        """Whether every one of the candidates was measured."""
        return all(candidate.name in self for candidate in candidates)

    def sample(self, space: Space, n: int, seed: int = 0) -> list[Candidate]:
        """``n`` of the measured candidates, no two of them the same network.

        Fewer of a seed are the first of more.

        Args:
            space: theirs.
            n: how many, >= 1.
            seed: decides which.

        Raises:
            ConfigurationError: there are fewer.
            DataError: the space is another one.
        """
        self._check_space(space)
        check_sample_size(n)
        names = list(self.measured)
        random.Random(seed).shuffle(names)
        return distinct(map(space.candidate, names), n, of=f"candidates of {self.source}")

    def _check_space(self, space: Space) -> None:
        if self.space is None:
            return
        difference = first_difference(space_from_text(self.space).settings(), space.settings())
        if difference is not None:
            name, measured, given = difference
            raise DataError(
                f"{self.source} measured networks of the space {self.space}, where {name} is "
                f"{measured}: expected the same of the candidates, which have {given}; rank in "
                "that space, or leave the truth out"
            )


def load_truth(path_or_name: str | Path, column: str | None = None) -> Truth:
    """Read one column of a table of measured accuracies.

    Args:
        path_or_name: ``"digits_hard"``, which is in the package; the name of a published table, or
            a file's, looked for in the current folder, ``$KERNAS_DATA`` and the cache folder, or a
            path. The file is an ``.npz`` with the architectures' names in ``arch_str`` (n,) and
            one-dimensional columns of n numbers; a ``.csv`` with titles, and the names in its first
            column; a ``.json`` that maps names to numbers, or to columns and numbers; or what
            :meth:`SurrogateTruth.save` wrote.
        column: the column's name; ``None`` for ``test_cifar10`` of a file, or the only one of a
            text, and for the mean accuracy of the seeds of what is in the package. NaN, −1e8 and,
            in a text, what is no number mean missing.

    Returns:
        The measured values by architecture name.

    Raises:
        DataError: there is no such file or column (the message lists what there is), the file is
            no such table, a name stands in it twice, or a value is infinite.
        ConfigurationError: the path is in the home of an unknown user.
    """
    name = str(path_or_name)
    if name in shipped_truths():
        asked, values = shipped_column(name, column)
        how = protocol(name)
        return Truth(values, name, asked, space=how["space"], dataset=how["dataset"])
    path = _find(path_or_name)
    if path.suffix.lower() == ".json":
        document = read_document(path)
        if is_surrogate(document):
            from .surrogate import SurrogateTruth

            return SurrogateTruth.of_document(path, document)
        return _truth_of(path, column_of(path, document, column, FILE_COLUMN))
    return _truth_of(path, read_column(path, column, FILE_COLUMN))


def _truth_of(path: Path, found: Column) -> Truth:
    known = dict(zip(found.names, found.values, strict=True))
    if len(known) < len(found.names):
        twice = next(text for text, count in Counter(found.names).items() if count > 1)
        raise DataError(
            f"{path} has {twice!r} in several rows; expected one of each architecture, for "
            "instance the mean over its trainings"
        )
    try:
        return Truth(known, path.name, found.name)
    except DataError as error:
        raise DataError(f"{found.name!r} of {path}: {error}") from None


def _find(path_or_name: str | Path) -> Path:
    """The first existing file among the places where the table may be."""
    given = user_path(path_or_name, "truth")
    if _is_there(given):
        return given
    filename = TABLES.get(str(path_or_name), given)
    places = [given, *(folder / filename for folder in data_folders())]
    for place in places[1:]:
        if _is_there(place):
            return place
    raise DataError(
        f"truth {str(path_or_name)!r}: no file at {', '.join(str(place) for place in places)}; "
        "set KERNAS_DATA to the folder that holds it, or give the path of an .npz table"
    )


def _is_there(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError as error:
        raise DataError(f"truth {path} cannot be read ({error.strerror}); {WAY_OUT}") from None
