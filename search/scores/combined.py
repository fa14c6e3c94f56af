"""Scores that combine the ranks that others give."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any, Literal, get_args

import numpy as np
from scipy.stats import rankdata

from kernas.errors import ConfigurationError
from kernas.kernels.regression import ScoreValue

from ..spaces import Candidate, Family, Space
from .base import Cost, Evaluation, Score, Source, by_source, joined, oriented

How = Literal["log_rank", "rank", "vote"]
HOWS: tuple[How, ...] = get_args(How)

FEWEST = 20
"""Candidates of a reference sample: the ranks of fewer are coarse."""


@dataclass(frozen=True)
class Combined:
    """Ranks that several scores give a candidate, as one number; higher is better.

    With ``r_s`` the rank of a candidate by score ``s`` among ``m`` (1 for the worst, ``m`` for the
    best, ties share their mean) and ``w_s`` its weight, ``"log_rank"`` is ``Σ_s w_s log(r_s / m)``,
    which a candidate pays dearly for that one of them calls bad, and ``"rank"`` is
    ``Σ_s w_s r_s / m``. ``"vote"`` is the share of the other candidates that it beats by majority:
    of which ``Σ_s w_s sign(r_s − r_s')`` is above 0, one that is 0 counting half. Majorities may go
    round in a circle (:meth:`cycles`). A candidate that a score is degenerate for is tied with such
    at the bottom.

    In a ranking the scores that it combines are given beside it, and ranks are those among its
    candidates. For candidates that come one at a time, :meth:`within` ranks each within a fixed
    sample.

    Args:
        weights: score name → weight, > 0; two or more.
        how: ``"log_rank"``, ``"rank"`` or ``"vote"``.

    Raises:
        ConfigurationError: there are fewer than two, a weight is not usable, or ``how`` unknown.

    References:
        Lee and Ham 2024, AZ-NAS, section 3.3: ``"log_rank"`` with equal weights. Abdelfattah et al.
        2021, section 3.3: ``vote(synflow, jacob_cov, snip)``, of two candidates; wins as Copeland
        1951.

    >>> Combined({"ntk:loo_error": 1, "params": 1}).name
    'log_rank(ntk:loo_error, params)'
    """

    weights: Mapping[str, float]
    how: How = "log_rank"
    higher_is_better: bool = field(default=True, init=False)

    def __post_init__(self) -> None:
        if self.how not in HOWS:
            raise ConfigurationError(f"how={self.how!r}: expected one of {', '.join(HOWS)}")
        if len(self.weights) < 2:
            raise ConfigurationError(
                f"a combination of {', '.join(self.weights) or 'nothing'}: expected two scores or "
                "more, for example log_rank(ntk:loo_error, params)"
            )
        for name, weight in self.weights.items():
            if not isinstance(weight, int | float) or not 0 < weight < math.inf:
                raise ConfigurationError(
                    f"the weight {weight!r} of {name} in a combination: expected a number > 0"
                )
        object.__setattr__(self, "weights", MappingProxyType(dict(self.weights)))

    def __reduce__(self) -> tuple[type[Combined], tuple[dict[str, float], str]]:
        return Combined, (dict(self.weights), self.how)

    def __hash__(self) -> int:
        return hash((tuple(self.weights.items()), self.how))

    @property
    def name(self) -> str:
        """As the command line reads it, weights of one left out."""
        parts = (name if w == 1 else f"{w:g}*{name}" for name, w in self.weights.items())
        return f"{self.how}({', '.join(parts)})"

    def settings(self) -> dict[str, Any]:
        """What it combines, as JSON values."""
        return {"how": self.how, "weights": dict(self.weights)}

    def check(self, names: Iterable[str]) -> None:
        """Refuse it where one of the scores that it combines is missing.

        Raises:
            ConfigurationError: the message names it.
        """
        known = list(names)
        missing = [name for name in self.weights if name not in known]
        if missing:
            raise ConfigurationError(
                f"{self.name} combines {missing[0]!r}, which is not among the scores "
                f"{', '.join(known) or 'given'}: give it too"
            )

    def values(
        self, of_scores: Mapping[str, Sequence[float | None]], directions: Mapping[str, bool]
    ) -> np.ndarray:
        """The combination for each of ``m`` candidates.

        Args:
            of_scores: score name → its values, ``None`` where the candidate is degenerate.
            directions: score name → whether higher is better.

        Returns:
            ``(m,)``; higher is better.
        """
        ranks = self._ranks(of_scores, directions)
        m = len(next(iter(ranks.values())))
        if self.how == "vote":
            others = max(1, m - 1)
            return np.array([(self._votes(ranks, i).sum() - 0.5) / others for i in range(m)])
        return self._summed({name: rank / max(1, m) for name, rank in ranks.items()})

    def cycles(
        self, of_scores: Mapping[str, Sequence[float | None]], directions: Mapping[str, bool]
    ) -> int:
        """How many three candidates beat each other in a circle by majority.

        ``C(m, 3) − Σ_i C(b_i, 2)`` with b_i the number that candidate i beats, where there are no
        ties; candidates of a tie are in no circle here.

        Args:
            of_scores, directions: as of :meth:`values`.
        """
        ranks = self._ranks(of_scores, directions)
        m = len(next(iter(ranks.values())))
        beats = np.array([self._votes(ranks, i) == 1 for i in range(m)], dtype=np.float64)
        return round(float(np.einsum("ij,ji->", beats @ beats, beats)) / 3)

    def _ranks(
        self, of_scores: Mapping[str, Sequence[float | None]], directions: Mapping[str, bool]
    ) -> dict[str, np.ndarray]:
        return {
            name: rankdata(oriented(of_scores[name], directions[name])) for name in self.weights
        }

    def _votes(self, ranks: Mapping[str, np.ndarray], place: int) -> np.ndarray:
        """By candidate 1 where the one at a place beats it, 0 where it loses, else a half."""
        signs = {name: np.sign(rank[place] - rank) for name, rank in ranks.items()}
        return self._majority(signs)

    def _majority(self, signs: Mapping[str, np.ndarray]) -> np.ndarray:
        """From what each score says of candidate and others, 1, 0 or −1."""
        balance = sum(weight * signs[name] for name, weight in self.weights.items())
        return (np.sign(balance) + 1) / 2

    def within(
        self, reference: Mapping[str, Sequence[float | None]], scores: Sequence[Score]
    ) -> ReferenceScore:
        """The combination as a score of one candidate at a time: its ranks among a fixed sample.

        ``r_s`` is one more than the number of the ``m`` reference candidates that are worse, and
        half of those that tie, and ``m + 1`` takes the place of ``m``. The sample's values are part
        of the score's identity.

        Args:
            reference: score name → values of the sample, at least ``FEWEST`` of each: those of
                ``rank(space.sample(100), scores).columns()``.
            scores: those that it combines, on their data.

        Raises:
            ConfigurationError: the sample is too small, or a score is missing.
        """
        self.check(score.name for score in scores)
        self.check(reference)
        known: list[tuple[float, ...]] = []
        parts = tuple(score for score in scores if score.name in self.weights)
        for part in parts:
            values = oriented(reference[part.name], part.higher_is_better)
            if len(values) < FEWEST:
                raise ConfigurationError(
                    f"a reference sample of {len(values)}: expected at least {FEWEST} candidates, "
                    "for example space.sample(100)"
                )
            known.append(tuple(sorted(values.tolist())))
        return ReferenceScore(self, parts, tuple(known))

    def _summed(self, shares: Mapping[str, np.ndarray]) -> np.ndarray:
        """From each score's ``r / m``."""
        change = np.log if self.how == "log_rank" else np.asarray
        return sum(
            (weight * change(shares[name]) for name, weight in self.weights.items()), np.zeros(())
        )

    def place(
        self,
        values: Mapping[str, float | None],
        reference: Mapping[str, Sequence[float]],
        directions: Mapping[str, bool],
    ) -> float:
        """The combination for one candidate among a sample.

        Args:
            values: score name → the candidate's value, ``None`` where it is degenerate.
            reference: score name → the sample's values, larger is better.
            directions: score name → whether higher is better in ``values``.
        """
        shares: dict[str, np.ndarray] = {}
        signs: dict[str, np.ndarray] = {}
        for name in self.weights:
            (own,), others = oriented([values[name]], directions[name]), np.array(reference[name])
            signs[name] = (others < own).astype(float) - (others > own)
            rank = 1 + np.sum(others < own) + np.sum(others == own) / 2
            shares[name] = rank / (len(others) + 1)
        if self.how == "vote":
            return float(self._majority(signs).mean())
        return float(self._summed(shares))


@dataclass(frozen=True)
class ReferenceScore(Score):
    """A combination within a fixed sample; :meth:`Combined.within` makes it.

    Args:
        combined: what is combined, and how.
        parts: the scores.
        reference: of each part the sample's values, larger is better, in order.
    """

    combined: Combined
    parts: tuple[Score, ...]
    reference: tuple[tuple[float, ...], ...] = field(repr=False)

    @property
    def name(self) -> str:
        """That of the combination."""
        return self.combined.name

    @property
    def higher_is_better(self) -> bool:
        """True."""
        return True

    @property
    def source(self) -> ReferenceSource:
        """The sources of the parts, with the sample."""
        return ReferenceSource(self, tuple(source for source, _ in by_source(self.parts)))


@dataclass(frozen=True, eq=False)
class ReferenceSource(Source):
    """What a combination within a sample is computed from.

    Args:
        score: the only one of this source.
        sources: of its parts.
    """

    score: ReferenceScore
    sources: tuple[Source, ...]

    @property
    def name(self) -> str:
        """``combined``."""
        return "combined"

    def settings(self) -> dict[str, Any]:
        """How is combined, the sources of the parts, and a digest of the sample's values."""
        digest = hashlib.sha256(repr(self.score.reference).encode()).hexdigest()
        return {
            **self.score.combined.settings(),
            "sources": [{"name": source.name, **source.settings()} for source in self.sources],
            "reference": {"count": len(self.score.reference[0]), "sha256": digest},
        }

    def work_key(self, candidate: Candidate) -> str:
        """Equal where it is for every part."""
        return ",".join(dict.fromkeys(source.work_key(candidate) for source in self.sources))

    def check_space(self, space: Space) -> None:
        """Refuse what a part would.

        Raises:
            ConfigurationError: as there.
        """
        for source in self.sources:
            source.check_space(space)

    def prepare(self, families: Sequence[Family], scores: Sequence[Score]) -> ReferenceSource:
        """With the sources of the parts prepared."""
        return replace(self, sources=tuple(own.prepare(families, of) for own, of in self._groups))

    def resumed(self, settings: Iterable[Mapping[str, Any]]) -> ReferenceSource:
        """With the sources of the parts as the run has used them."""
        recorded = list(settings)
        return replace(self, sources=tuple(source.resumed(recorded) for source in self.sources))

    def cost(self, candidate: Candidate, scores: Sequence[Score]) -> Cost:
        """That of the parts."""
        return sum((source.cost(candidate, of) for source, of in self._groups), Cost())

    def begin(self, candidate: Candidate, scores: Sequence[Score]) -> Callable[[], Evaluation]:
        """The device's part of the scores; what is returned combines them."""
        begun = [source.begin(candidate, of) for source, of in self._groups]

        def finish() -> Evaluation:
            found = joined(part() for part in begun)
            parts = self.score.parts
            values = {
                part.name: found.values[part.name].value if part.name in found.values else None
                for part in parts
            }
            reference = {
                part.name: known for part, known in zip(parts, self.score.reference, strict=True)
            }
            directions = {part.name: part.higher_is_better for part in parts}
            value = self.score.combined.place(values, reference, directions)
            return Evaluation({self.score.name: ScoreValue(value)}, settings=found.settings)

        return finish

    @property
    def _groups(self) -> list[tuple[Source, list[Score]]]:
        groups = by_source(self.score.parts)
        return [(own, of) for own, (_, of) in zip(self.sources, groups, strict=True)]
