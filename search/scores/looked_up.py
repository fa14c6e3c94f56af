"""A score that is looked up in a table of measured values, with what measuring them took."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from kernas.errors import ConfigurationError
from kernas.kernels.regression import ScoreValue

from ..spaces import Candidate
from ..truth import Truth
from .base import Cost, Evaluation, Score, Source


@dataclass(frozen=True, eq=False)
class TruthSource(Source):
    """Looks candidates up by their names; its fields are those of :class:`TruthScore`."""

    truth: Truth
    cost_table: Truth | None

    @property
    def name(self) -> str:
        """``truth``."""
        return "truth"

    def settings(self) -> dict[str, Any]:
        """The table, its column, that of the seconds, and a digest of all values."""
        tables = [self.truth, *([] if self.cost_table is None else [self.cost_table])]
        values = json.dumps([sorted(table.measured.items()) for table in tables])
        return {
            "source": self.truth.source,
            "columns": [table.column for table in tables],
            "values": hashlib.sha256(values.encode()).hexdigest()[:16],
        }

    def work_key(self, candidate: Candidate) -> str:
        """The name: two candidates of one kernel were measured apart."""
        return candidate.name

    def begin(self, candidate: Candidate, scores: Sequence[Score]) -> Callable[[], Evaluation]:
        """Looks it up; nothing is left for the host.

        Raises:
            DataError: it was not measured.
        """
        self.check(candidate)
        values = {score.name: ScoreValue(self.truth[candidate.name]) for score in scores}
        return partial(Evaluation, values, seconds=self._seconds(candidate))

    def check(self, candidate: Candidate) -> None:
        """Refuse a candidate that was not measured.

        Raises:
            DataError: the table, or that of the seconds, does not have it.
        """
        self.truth.require([candidate])
        if self.cost_table is not None:
            self.cost_table.require([candidate])

    def _seconds(self, candidate: Candidate) -> float:
        return 0.0 if self.cost_table is None else self.cost_table[candidate.name]

    def cost(self, candidate: Candidate, scores: Sequence[Any]) -> Cost:
        """The published seconds, which nobody waits for here.

        Raises:
            DataError: as for :meth:`begin`.
        """
        self.check(candidate)
        return Cost(seconds=self._seconds(candidate))


@dataclass(frozen=True)
class TruthScore(Score):
    """A measured value of a candidate, from a table: a search by it is a simulated one, and spends
    the seconds that the measurement took.

    Args:
        truth: candidate's name → value, the larger the better, such as
            ``load_truth(table, "val12_cifar10")``.
        cost: candidate's name → seconds that measuring it took, such as
            ``load_truth(table, "seconds12_cifar10")``; without it a value costs nothing.

    Raises:
        ConfigurationError: ``truth`` is no mapping.
        DataError: a value of a mapping is infinite or no number.

    >>> score = TruthScore({"narrow": 0.8, "wide": 0.9}, cost={"narrow": 60, "wide": 120})
    >>> score.name
    'truth:truth'
    """

    truth: Mapping[str, float]
    cost: Mapping[str, float] | None = None

    def __post_init__(self) -> None:
        for name in ("truth", "cost"):
            given = getattr(self, name)
            if given is None and name == "cost":
                continue
            if not isinstance(given, Mapping):
                raise ConfigurationError(
                    f"{name}={given!r:.60}: expected names with values, for example "
                    "load_truth('digits-hard')"
                )
            if not isinstance(given, Truth):
                object.__setattr__(self, name, Truth(given))

    def __hash__(self) -> int:
        return hash(self.source)

    @property
    def name(self) -> str:
        """``truth:COLUMN``."""
        return f"truth:{self._table.column}"

    @property
    def higher_is_better(self) -> bool:
        """True."""
        return True

    @property
    def _table(self) -> Truth:
        assert isinstance(self.truth, Truth)
        return self.truth

    @property
    def source(self) -> TruthSource:
        """The tables."""
        assert self.cost is None or isinstance(self.cost, Truth)
        return TruthSource(self._table, self.cost)
