"""A truth of a whole space: measured values of some of its candidates, predicted for all."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import rankdata, spearmanr

from kernas import documents
from kernas.documents import OBJECT, TEXT
from kernas.errors import ConfigurationError, DataError, DocumentError, KernasError
from kernas.files import user_path, write_whole

from ..spaces import Candidate, Space, space_from_text
from ..spaces.abilities import Encoded, require
from ..spaces.regression import fitted_process
from .files import SURROGATE, read_document
from .tables import Truth

MOST = 3000
"""Measured candidates that are fitted: a process takes their cube."""

FOLDS = 5
FEWEST = 2 * FOLDS
"""Measured candidates of which there are at least so many."""


@dataclass(frozen=True, eq=False)
class SurrogateTruth(Truth):
    """Values of all candidates of a space, predicted from those that were measured.

    A Gaussian process on the space's encoding is fitted to the ranks of the measured values, which
    a few failed trainings do not pull; what it says of a candidate is the measured value at that
    rank, between two of them in proportion. It is the prediction of measured candidates too, so
    that a search by it does not see the noise of single trainings. As a mapping it has every
    candidate of the space, and goes through the measured ones.

    Args:
        measured: candidate's name → value, larger is better; 10 to 3,000 of them.
        source: what they are from.
        column: what was measured.
        space: text of the space, which is ``Encoded``.
        dataset: what they were trained on, if it is known.
        seed: of the fit, and of the parts that are held out.

    Raises:
        ConfigurationError: there is no text of a space, it has no encoding, or there are too few
            measured candidates, or too many.
        ArchitectureError: a name is none of the space.

    Reference: Siems et al. 2020, NAS-Bench-301, section 4, whose surrogates are boosted trees and
    graph networks, fitted to 60,000 measured candidates.
    """

    seed: int = 0
    candidates: Mapping[str, Candidate] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.space is None:
            raise ConfigurationError(
                "a surrogate without space: give its text, for example 'darts:cells=5'"
            )
        if not FEWEST <= len(self.measured) <= MOST:
            raise ConfigurationError(
                f"{len(self.measured)} measured candidates: expected {FEWEST} to {MOST:,}, to "
                "predict others from"
            )
        require(self.of, Encoded)
        found = {name: self.of.candidate(name) for name in self.measured}
        object.__setattr__(self, "candidates", found)

    def __reduce__(self) -> tuple[type[SurrogateTruth], tuple[Any, ...]]:
        whole = (dict(self.measured), self.source, self.column, self.space, self.dataset, self.seed)
        return SurrogateTruth, whole

    @property
    def is_whole(self) -> bool:
        """True."""
        return True

    @cached_property
    def of(self) -> Space:
        """The space."""
        assert self.space is not None
        return space_from_text(self.space)

    def __getitem__(self, name: Any) -> float:
        try:
            code = require(self.of, Encoded).encode(self.of.candidate(name))
        except KernasError:
            raise KeyError(name) from None
        return float(self._values_at(self._process.predict(code[None]))[0])

    def __contains__(self, name: object) -> bool:
        if name in self.measured:
            return True
        try:
            self.of.candidate(name)
        except KernasError:
            return False
        return True

    @cached_property
    def held_out(self) -> dict[str, float]:
        """By name what is predicted from the others without a fifth of them, of which this one
        is."""
        from sklearn.model_selection import KFold  # takes a second to import

        codes, ranks = self._data
        found = np.zeros(len(ranks))
        for known, asked in KFold(FOLDS, shuffle=True, random_state=self.seed).split(codes):
            fitted = fitted_process(codes[known], ranks[known], self.seed)
            found[asked] = fitted.predict(codes[asked])
        return dict(zip(self.measured, map(float, self._values_at(found)), strict=True))

    @cached_property
    def rank_correlation(self) -> float:
        """Spearman's, of :attr:`held_out` with what was measured."""
        result: Any = spearmanr(list(self.held_out.values()), list(self.measured.values()))
        return float(result.statistic)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the measured values, the space and the seed as JSON; :meth:`load` fits
        them again.

        Raises:
            DataError: it cannot be written.
        """
        place = user_path(path, "path")
        content = {
            "kind": SURROGATE,
            "measured": dict(self.measured),
            "source": self.source,
            "column": self.column,
            "space": self.space,
            "dataset": self.dataset,
            "seed": self.seed,
        }
        try:
            write_whole(place, json.dumps(documents.sealed(content), indent=1).encode())
        except OSError as error:
            raise DataError(f"{place} cannot be written ({error.strerror})") from None

    @staticmethod
    def load(path: str | os.PathLike[str]) -> SurrogateTruth:
        """A surrogate that was saved.

        Raises:
            DataError: the file is none, or damaged.
        """
        place = user_path(path, "path")
        return SurrogateTruth.of_document(place, read_document(place))

    @staticmethod
    def of_document(path: Path, document: Any) -> SurrogateTruth:
        """What a file's document says.

        Raises:
            DataError: it is none, or damaged.
        """
        try:
            found = documents.unsealed(document)
            documents.field(found, "kind", documents.one_of(SURROGATE))
            values = [documents.field(found, name, kind) for name, kind in _FIELDS.items()]
        except DocumentError as error:
            raise DataError(
                f"{path} cannot be read ({error}); expected what SurrogateTruth.save wrote"
            ) from None
        return SurrogateTruth(*values)

    @cached_property
    def _data(self) -> tuple[np.ndarray, np.ndarray]:
        """Codes, and the ranks of the values from 0 to 1, ties in the mean."""
        encode = require(self.of, Encoded).encode
        codes = np.array([encode(candidate) for candidate in self.candidates.values()])
        ranks = rankdata(list(self.measured.values())) - 1
        return codes, ranks / (len(ranks) - 1)

    @cached_property
    def _process(self) -> Any:
        return fitted_process(*self._data, self.seed)

    def _values_at(self, ranks: np.ndarray) -> np.ndarray:
        """The measured values at ranks; those beyond the ends are the ends'."""
        values = np.sort(list(self.measured.values()))
        return np.interp(ranks, np.linspace(0, 1, len(values)), values)


_FIELDS: dict[str, documents.Kind[Any]] = {
    "measured": OBJECT,
    "source": TEXT,
    "column": TEXT,
    "space": TEXT,
    "dataset": documents.optional(TEXT),
    "seed": documents.COUNT,
}
"""Of a file, in the order of the arguments."""
