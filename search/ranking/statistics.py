"""Agreement of scores with the truth, with bootstrap intervals of it and of differences."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from jaxtyping import Real

from kernas.errors import ConfigurationError, DataError

from ..scores.base import oriented
from .rank_statistics import Comparison, Order

LEVEL = 0.95
N_RESAMPLES = 1000

FEWEST = 10
"""Candidates from which on there are intervals.

Of normal pairs with correlations of 0 to 0.95, percentile intervals of the three statistics hold
the population's value 92 to 99 times of 100 with 10 to 30 candidates, and as rarely as 62 times
with five and 29 times with three, where most resamples say nothing.
"""

USABLE = 0.95
"""Share of resamples in which a statistic is defined, below which there is no interval."""


@dataclass(frozen=True)
class Interval:
    """A statistic with its two-sided bootstrap interval; NaN where one is not defined."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        limits = f"{self.low:.3f}, {self.high:.3f}" if self.is_known else "–"
        return f"{self.value:.3f} [{limits}]"

    @property
    def is_known(self) -> bool:
        """Whether there is an interval."""
        return math.isfinite(self.low) and math.isfinite(self.high)


@dataclass(frozen=True)
class Agreement:
    """How well one score orders candidates like the truth.

    Attributes:
        spearman: Spearman's ρ, 1 is perfect.
        kendall: Kendall's τ_b, 1 is perfect.
        ndcg: :func:`ndcg` of the score's order, 1 is perfect.
        precision: the share of the best tenth by the score that is of the best tenth by the truth.
        regret: the truth of the best candidate less that of the score's first; 0 is perfect, in
            units of the truth.
        n: candidates compared, degenerate ones included.
        degenerate: candidates without a value, compared as one tie below all others.
        failed: candidates left out because they raised an error.
    """

    spearman: Interval
    kendall: Interval
    ndcg: Interval
    precision: Interval
    regret: Interval
    n: int
    degenerate: int = 0
    failed: int = 0

    def __str__(self) -> str:
        return (
            f"Spearman {self.spearman}  Kendall {self.kendall}  nDCG {self.ndcg}"
            f"  of the best tenth {self.precision}  regret {self.regret}"
            f"  n={self.n} (degenerate {self.degenerate}, failed {self.failed})"
        )

    def to_dict(self) -> dict[str, Any]:
        """As JSON values; a statistic that is not defined is ``None``."""
        data = asdict(self)
        for name in STATISTICS:
            data[name] = {k: v if math.isfinite(v) else None for k, v in data[name].items()}
        return data


STATISTICS: dict[str, Callable[[Comparison], np.ndarray]] = {
    "spearman": Comparison.spearman,
    "kendall": Comparison.kendall,
    "ndcg": Comparison.ndcg,
    "precision": Comparison.precision,
    "regret": Comparison.regret,
}
"""What an :class:`Agreement` has an interval of."""

RESAMPLE_ENTRIES = 2**22
"""Candidates of all resamples that are compared at a time."""


@dataclass(frozen=True)
class Agreements(Mapping[str, Agreement]):
    """Score name → :class:`Agreement`, all from the same resamples; prints as one line a score.

    Attributes:
        by_score: the agreements.
        draws: score name → statistic → its value in every resample.
    """

    by_score: Mapping[str, Agreement] = field(default_factory=dict)
    draws: Mapping[str, Mapping[str, np.ndarray]] = field(
        default_factory=dict, compare=False, repr=False
    )

    def __getitem__(self, name: str) -> Agreement:
        return self.by_score[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.by_score)

    def __len__(self) -> int:
        return len(self.by_score)

    def __str__(self) -> str:
        return "\n".join(f"{name}: {value}" for name, value in self.by_score.items())

    def best_first(self) -> list[str]:
        """The scores by Spearman's ρ, those of which it is not defined last; ties by name."""

        def order(name: str) -> tuple[float, str]:
            value = self[name].spearman.value
            return (math.inf if math.isnan(value) else -value), name

        return sorted(self, key=order)

    def difference(self, first: str, second: str, statistic: str = "spearman") -> Interval:
        """A statistic of one score less that of another, with its paired-bootstrap interval.

        An interval without 0 says that one orders better than the other on candidates like these.

        Raises:
            ConfigurationError: there is no such score or statistic.
        """
        for given, known in (((first, second), tuple(self)), ((statistic,), tuple(STATISTICS))):
            for name in given:
                if name not in known:
                    raise ConfigurationError(f"{name!r}: expected one of {', '.join(known)}")
        values = [getattr(self[name], statistic).value for name in (first, second)]
        one, other = (self.draws[name][statistic] for name in (first, second))
        return _interval(values[0] - values[1], one - other)


def ndcg(truth: Real[np.ndarray, " n"], score: Real[np.ndarray, " n"]) -> float:
    """Normalised discounted cumulative gain of the order that a score gives.

    DCG = Σ_i g_(i) / log₂(i + 1) over positions i = 1 … n, divided by the DCG of the best order.
    The gain g of a candidate is the fraction of the other candidates that it beats by the truth,
    a tie counting half: from 0 for the worst to 1 for the best, whatever the truth's scale. Ties
    of the score get the mean gain of the tied candidates.

    Args:
        truth: measured values (n,), larger is better, n >= 2.
        score: scores (n,), larger is better.

    Returns:
        A number in (0, 1]; 1 for the truth's own order.

    Reference: Järvelin and Kekäläinen, Cumulated gain-based evaluation of IR techniques, ACM TOIS
    2002, section 2.2; ties as McSherry and Najork, ECIR 2008, section 3.
    """
    every = np.ones((1, len(truth)), dtype=np.int64)
    return float(Comparison(Order(truth, every), Order(score, every)).normalised_gain()[0])


def agreements(
    truth: Sequence[float] | np.ndarray,
    scores: Mapping[str, Sequence[float | None]],
    *,
    higher_is_better: Mapping[str, bool] | None = None,
    failed: int = 0,
    seed: int = 0,
    n_resamples: int = N_RESAMPLES,
) -> Agreements:
    """How well scores order candidates like the truth, with 95% paired-bootstrap intervals.

    The bootstrap draws candidates, each with its truth and its scores, with replacement, and takes
    percentiles (Efron and Tibshirani, An Introduction to the Bootstrap, 1993, section 13.3);
    resamples in which all truths or all scores are equal are passed over. All scores are judged on
    the same resamples, so that their differences have intervals too. There is no interval, but
    NaN, where it would not be honest: for fewer than ``FEWEST`` candidates, where more resamples
    are passed over than one in twenty, and where all of them say the same, as those of a perfect
    order do, however few candidates there are.

    Args:
        truth: measured values (n,), larger is better.
        scores: score name → values (n,); ``None`` for a degenerate candidate, ranked as a tie at
            the bottom.
        higher_is_better: score name → direction; higher where it is not named.
        failed: candidates that were left out, for the record.
        seed: of the bootstrap.
        n_resamples: how many resamples, >= 1.

    Returns:
        The statistics; NaN where fewer than two values differ, and for limits that are not given.

    Raises:
        DataError: the lengths differ, or a value is not finite.
    """
    measured = np.asarray(truth, dtype=np.float64)
    if not np.isfinite(measured).all():
        raise DataError("a truth is not finite; leave out the candidates without a measurement")
    directions = dict.fromkeys(scores, True) | dict(higher_is_better or {})
    values = {name: _oriented(found, directions[name]) for name, found in scores.items()}
    for found in values.values():
        if measured.shape != found.shape:
            raise DataError(
                f"{measured.size} truths for {found.size} scores: expected one for each"
            )
    n = len(measured)
    every = np.ones((1, n), dtype=np.int64)
    points = _statistics(measured, values, every)
    generator = np.random.default_rng(seed)
    drawn: list[dict[str, dict[str, np.ndarray]]] = []
    left = n_resamples if n >= FEWEST else 0
    while left:
        some = min(left, max(1, RESAMPLE_ENTRIES // n))
        chosen = generator.integers(0, n, (some, n))
        flat = (chosen + n * np.arange(some)[:, None]).ravel()
        counts = np.bincount(flat, minlength=some * n).reshape(some, n)
        drawn.append(_statistics(measured, values, counts))
        left -= some
    draws = {
        name: {
            key: np.concatenate([part[name][key] for part in drawn]) if drawn else np.zeros(0)
            for key in STATISTICS
        }
        for name in values
    }
    by_score = {
        name: Agreement(
            **{key: _interval(float(points[name][key][0]), draws[name][key]) for key in STATISTICS},
            n=n,
            degenerate=sum(value is None for value in scores[name]),
            failed=failed,
        )
        for name in values
    }
    return Agreements(by_score, draws)


def agreement(
    truth: Sequence[float] | np.ndarray,
    scores: Sequence[float | None],
    *,
    higher_is_better: bool = True,
    failed: int = 0,
    seed: int = 0,
    n_resamples: int = N_RESAMPLES,
) -> Agreement:
    """:func:`agreements` of one score.

    Raises:
        DataError: the lengths differ, or a value is not finite.
    """
    return agreements(
        truth,
        {"": scores},
        higher_is_better={"": higher_is_better},
        failed=failed,
        seed=seed,
        n_resamples=n_resamples,
    )[""]


def spearman(
    first: Sequence[float | None],
    second: Sequence[float | None],
    *,
    higher_is_better: tuple[bool, bool] = (True, True),
) -> float:
    """Spearman's ρ of the orders that two scores give the same candidates.

    Args:
        first: values (n,); ``None`` for a degenerate candidate, ranked as a tie at the bottom.
        second: likewise.
        higher_is_better: direction of each; 1 says that both call the same candidates good.

    Returns:
        A number in [-1, 1]; NaN where one of both has fewer than two different values.

    Raises:
        DataError: the lengths differ, or a value is NaN.
    """
    one, other = map(_oriented, (first, second), higher_is_better)
    if one.size != other.size:
        raise DataError(f"{one.size} and {other.size} scores: expected two for each candidate")
    every = np.ones((1, one.size), dtype=np.int64)
    if one.size < 2:
        return math.nan
    return float(Comparison(Order(one, every), Order(other, every)).spearman()[0])


def _statistics(
    truth: np.ndarray, scores: Mapping[str, np.ndarray], counts: np.ndarray
) -> dict[str, dict[str, np.ndarray]]:
    """Score name → statistic → its values ``(B,)`` in resamples ``(B, n)``."""
    if counts.shape[1] < 2:
        undefined = np.full(len(counts), np.nan)
        return {name: dict.fromkeys(STATISTICS, undefined) for name in scores}
    order = Order(truth, counts)
    found: dict[str, dict[str, np.ndarray]] = {}
    for name, score in scores.items():
        comparison = Comparison(order, Order(score, counts))
        found[name] = {key: function(comparison) for key, function in STATISTICS.items()}
    return found


def _oriented(scores: Sequence[float | None], higher_is_better: bool) -> np.ndarray:
    """Values of which larger is better; refuses those that are no numbers."""
    found = oriented(scores, higher_is_better)
    if np.isnan(found).any():
        raise DataError("a score is NaN; expected a number, or None for a degenerate candidate")
    return found


def _interval(value: float, draws: np.ndarray) -> Interval:
    usable = draws[~np.isnan(draws)]
    if math.isnan(value) or not len(usable) or len(usable) < USABLE * len(draws):
        return Interval(value, math.nan, math.nan)
    if np.ptp(usable) <= 1e-12:
        return Interval(value, math.nan, math.nan)
    tail = (1 - LEVEL) / 2
    low, high = np.quantile(usable, [tail, 1 - tail])
    return Interval(value, float(low), float(high))
