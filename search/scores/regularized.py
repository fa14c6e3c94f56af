"""A score that a count of the network, such as its parameters, draws towards a wanted size."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from kernas.errors import ConfigurationError
from kernas.kernels.regression import ScoreValue

from ..spaces import Candidate, Family, Space
from .base import Cost, Evaluation, Score, Source, joined
from .counts import CountScore


@dataclass(frozen=True, eq=False)
class RegularizedSource(Source):
    """What a :class:`RegularizedScore` is computed from.

    Args:
        parts: the sources of the score and of the count.
        center: μ.
        scale: σ.
    """

    parts: tuple[Source, Source]
    center: float
    scale: float

    @property
    def name(self) -> str:
        """``regularized``."""
        return "regularized"

    def settings(self) -> dict[str, Any]:
        """Those of both parts, with μ and σ."""
        parts = [{"name": part.name, **part.settings()} for part in self.parts]
        return {"parts": parts, "center": self.center, "scale": self.scale}

    def work_key(self, candidate: Candidate) -> str:
        """Equal where it is for both parts."""
        return ",".join(dict.fromkeys(part.work_key(candidate) for part in self.parts))

    def check_space(self, space: Space) -> None:
        """Refuse what both parts would.

        Raises:
            ConfigurationError: as there.
        """
        for part in self.parts:
            part.check_space(space)

    def prepare(
        self, families: Sequence[Family], scores: Sequence[RegularizedScore]
    ) -> RegularizedSource:
        """With both parts prepared."""
        first, second = (part.prepare(families, of) for part, of in self._of(scores))
        return replace(self, parts=(first, second))

    def resumed(self, settings: Iterable[Mapping[str, Any]]) -> RegularizedSource:
        """With both parts as the run has used them."""
        recorded = list(settings)
        first, second = (part.resumed(recorded) for part in self.parts)
        return replace(self, parts=(first, second))

    def cost(self, candidate: Candidate, scores: Sequence[RegularizedScore]) -> Cost:
        """That of both parts."""
        return sum((part.cost(candidate, of) for part, of in self._of(scores)), Cost())

    def begin(
        self, candidate: Candidate, scores: Sequence[RegularizedScore]
    ) -> Callable[[], Evaluation]:
        """The device's part of both; what is returned multiplies."""
        begun = [part.begin(candidate, of) for part, of in self._of(scores)]

        def finish() -> Evaluation:
            found = joined(part() for part in begun)
            values: dict[str, ScoreValue] = {}
            for score in scores:
                of, size = (found.values.get(part.name) for part in (score.score, score.count))
                if of is None or size is None:
                    continue
                factor = math.exp(-((size.value - self.center) ** 2) / self.scale)
                error = of.standard_error
                values[score.name] = ScoreValue(
                    factor * of.value, None if error is None else factor * error
                )
            reasons = {
                score.name: found.degenerate[score.score.name]
                for score in scores
                if score.score.name in found.degenerate
            }
            return Evaluation(values, reasons, found.settings)

        return finish

    def _of(self, scores: Sequence[RegularizedScore]) -> list[tuple[Source, list[Score]]]:
        """Both parts with the scores that are asked of them."""
        of_parts: tuple[list[Score], list[Score]] = ([], [])
        for score in scores:
            for own, one in zip(of_parts, (score.score, score.count), strict=True):
                if one not in own:
                    own.append(one)
        return list(zip(self.parts, of_parts, strict=True))


@dataclass(frozen=True)
class RegularizedScore(Score):
    """``s exp(−(c − μ)² / σ)``: a score s that falls with the distance of a count c from μ.

    Args:
        score: not negative, and the higher the better, such as ``swap``.
        count: of the same networks, such as the parameters.
        center: μ, the count that is wanted.
        scale: σ > 0, in units of the count squared: at a distance of √σ the score is 0.37 of what
            it was.

    Raises:
        ConfigurationError: lower values of the score are better, or μ or σ is no such number.

    Reference:
        Peng et al. 2024, SWAP-NAS, section 3.3, with counts in units of their own there.

    >>> count = CountScore("params", (8, 8, 1), 10)
    >>> RegularizedScore(count, count, center=1e5, scale=1e10).name
    'regularized(params, params)'
    """

    score: Score
    count: CountScore
    center: float
    scale: float

    def __post_init__(self) -> None:
        if not self.score.higher_is_better:
            raise ConfigurationError(
                f"lower values of {self.score.name} are better, and a factor below 1 would make a "
                "candidate better: give a score of which higher values are"
            )
        if not (math.isfinite(self.center) and 0 < self.scale < math.inf):
            raise ConfigurationError(
                f"center={self.center!r} and scale={self.scale!r}: expected finite numbers, the "
                "latter > 0"
            )

    @property
    def name(self) -> str:
        """For example ``regularized(swap, params)``."""
        return f"regularized({self.score.name}, {self.count.name})"

    @property
    def higher_is_better(self) -> bool:
        """True."""
        return True

    @property
    def source(self) -> RegularizedSource:
        """Where both come from."""
        return RegularizedSource((self.score.source, self.count.source), self.center, self.scale)
