"""Statistics of how an order agrees with the truth, of many resamples of the candidates at once.

A resample says of every candidate how often it was drawn: a row of ``counts (B, n)``. A statistic
of a resample is that of the list in which each candidate stands so often, so that the candidates
themselves are the resample of ones. All functions return ``(B,)`` numbers, NaN where a statistic is
not defined: fewer than two candidates, or all truths or all scores equal.

Ties: Spearman's ρ takes mean ranks, Kendall's is τ_b; where a tie of the score reaches over the
edge of what a statistic looks at, its candidates count in part, which is the mean over all ways to
break the tie.
"""

from __future__ import annotations

from functools import cached_property

import numpy as np

TENTH = 0.1
"""The share of the candidates that :meth:`Comparison.precision` calls the best."""

BLOCK_ENTRIES = 2**24
"""Pairs of candidates whose order is compared at a time."""


class Order:
    """Values of candidates, larger is better, in resamples.

    Args:
        values: ``(n,)``, finite or infinite, no NaN.
        counts: ``(B, n)``.
    """

    def __init__(self, values: np.ndarray, counts: np.ndarray) -> None:
        self.values = np.asarray(values, dtype=np.float64)
        self.counts = counts
        self.levels, self.level = np.unique(self.values, return_inverse=True)

    @cached_property
    def sizes(self) -> np.ndarray:
        """``(B, L)``: candidates at each level, the lowest first."""
        return self.sums(np.ones(len(self.values), dtype=self.counts.dtype))

    def sums(self, of_candidates: np.ndarray) -> np.ndarray:
        """``(B, L)``: at each level the sum of numbers ``(n,)`` or ``(B, n)`` of its candidates."""
        by_level = np.argsort(self.level, kind="stable")
        starts = np.searchsorted(self.level[by_level], np.arange(len(self.levels)))
        weighted = self.counts * of_candidates
        return np.add.reduceat(weighted[:, by_level], starts, axis=1)

    @cached_property
    def ends(self) -> np.ndarray:
        """``(B, L)``: candidates at each level and below."""
        return np.cumsum(self.sizes, axis=1)

    @cached_property
    def ranks(self) -> np.ndarray:
        """``(B, n)``: 1 for the lowest, ties share the mean."""
        return (self.ends - (self.sizes - 1) / 2)[:, self.level]

    @cached_property
    def tied_pairs(self) -> np.ndarray:
        """``(B,)``: pairs at one level."""
        return np.sum(self.sizes * (self.sizes - 1) / 2, axis=1)

    @cached_property
    def is_constant(self) -> np.ndarray:
        """``(B,)``: whether fewer than two levels were drawn."""
        return np.count_nonzero(self.sizes, axis=1) < 2

    def shares_of_best(self, k: np.ndarray) -> np.ndarray:
        """``(B, n)``: how much of each candidate is among the ``k (B,)`` best; 1, 0, or in a tie
        over the edge the share of the tied that is."""
        above = self.ends[:, -1:] - self.ends
        sizes = np.maximum(self.sizes, 1)
        return np.clip((k[:, None] - above) / sizes, 0, 1)[:, self.level]


class Comparison:
    """A truth and a score of the same candidates in the same resamples.

    Args:
        truth: measured values.
        score: with the same counts.
    """

    def __init__(self, truth: Order, score: Order) -> None:
        self.truth, self.score, self.counts = truth, score, truth.counts
        self.n = self.counts.sum(axis=1).astype(np.float64)
        self.defined = ~(truth.is_constant | score.is_constant)

    def _where_defined(self, values: np.ndarray) -> np.ndarray:
        return np.where(self.defined, values, np.nan)

    def spearman(self) -> np.ndarray:
        """Spearman's ρ: the correlation of the mean ranks."""
        middle = (self.n[:, None] + 1) / 2
        x, y = self.truth.ranks - middle, self.score.ranks - middle
        c = self.counts
        with np.errstate(invalid="ignore", divide="ignore"):
            found = np.sum(c * x * y, axis=1) / np.sqrt(
                np.sum(c * x * x, axis=1) * np.sum(c * y * y, axis=1)
            )
        return self._where_defined(found)

    def kendall(self) -> np.ndarray:
        """Kendall's τ_b ``= (P − Q) / √((n₀ − n₁)(n₀ − n₂))``: of ``n₀`` pairs P are ordered alike
        and Q opposite, n₁ and n₂ are tied in one of both (Kendall 1945, section 4)."""
        pairs = self.n * (self.n - 1) / 2
        balance = self._concordant_minus_discordant()
        with np.errstate(invalid="ignore", divide="ignore"):
            found = balance / np.sqrt(
                (pairs - self.truth.tied_pairs) * (pairs - self.score.tied_pairs)
            )
        return self._where_defined(found)

    def _concordant_minus_discordant(self) -> np.ndarray:
        """``½ Σ_ij c_i c_j sgn(t_i − t_j) sgn(s_i − s_j)``, by matrix products of small integers:
        float32 holds them exactly up to 2²⁴."""
        n = len(self.truth.values)
        t, s = self.truth.level, self.score.level
        drawn = self.counts.astype(np.float32)
        total = np.zeros(len(drawn))
        rows = max(1, BLOCK_ENTRIES // n)
        for start in range(0, n, rows):
            some = slice(start, start + rows)
            signs = np.sign(t[some, None] - t) * np.sign(s[some, None] - s)
            met = drawn @ signs.T.astype(np.float32)
            total += np.einsum("bi,bi->b", met, drawn[:, some], dtype=np.float64)
        return total / 2

    def ndcg(self) -> np.ndarray:
        """:meth:`normalised_gain` where it says something."""
        return self._where_defined(self.normalised_gain())

    def normalised_gain(self) -> np.ndarray:
        """Normalised discounted cumulative gain of the order that the score gives.

        DCG = Σ_i g_(i) / log₂(i + 1) over positions i = 1 … n, divided by the DCG of the best
        order. The gain g of a candidate is the fraction of the other candidates that it beats by
        the truth, a tie counting half: from 0 for the worst to 1 for the best, whatever the
        truth's scale. Ties of the score get the mean gain of the tied candidates.

        Reference: Järvelin and Kekäläinen, Cumulated gain-based evaluation of IR techniques, ACM
        TOIS 2002, section 2.2; ties as McSherry and Najork, ECIR 2008, section 3.
        """
        with np.errstate(invalid="ignore", divide="ignore"):
            gains = (self.truth.ranks - 1) / (self.n[:, None] - 1)
            return _dcg(self.score, gains) / _dcg(self.truth, gains)

    def precision(self) -> np.ndarray:
        """The share of the best tenth by the score that is of the best tenth by the truth.

        A tenth of n candidates is ``round(n / 10)`` of them, one at least.
        """
        k = np.maximum(1, np.round(TENTH * self.n))
        both = self.truth.shares_of_best(k) * self.score.shares_of_best(k)
        return self._where_defined(np.sum(self.counts * both, axis=1) / k)

    def regret(self) -> np.ndarray:
        """The truth of the best candidate less that of the score's first: >= 0, in units of the
        truth; of candidates that tie for the first place the mean."""
        drawn = self.counts > 0
        best = np.max(np.where(drawn, self.truth.values, -np.inf), axis=1)
        one = self.score.shares_of_best(np.ones(len(self.n)))
        found = best - np.sum(self.counts * one * self.truth.values, axis=1)
        return self._where_defined(np.maximum(found, 0))


def _dcg(order: Order, gains: np.ndarray) -> np.ndarray:
    """Discounted gains ``(B, n)``, those of a level of the order shared by its candidates."""
    n = int(order.ends[:, -1].max(initial=0))
    discounts = np.concatenate([[0.0], np.cumsum(1 / np.log2(np.arange(n) + 2))])
    behind = order.ends[:, -1:] - order.ends
    places = discounts[behind + order.sizes] - discounts[behind]
    return np.sum(order.sums(gains) / np.maximum(order.sizes, 1) * places, axis=1)
