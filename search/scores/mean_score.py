"""A score that is the mean over several draws of the images it is computed from."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from kernas.errors import ConfigurationError
from kernas.kernels.regression import ScoreValue

from ..spaces import Candidate, Family, Space
from .base import Cost, Evaluation, Score, Source, joined


@dataclass(frozen=True, eq=False)
class MeanSource(Source):
    """The sources of all draws of a :class:`MeanScore`; equal where all of them are.

    Args:
        draws: the source of each draw.
    """

    draws: tuple[Source, ...]

    @property
    def name(self) -> str:
        """``mean``."""
        return "mean"

    def settings(self) -> dict[str, Any]:
        """Those of every draw."""
        return {"draws": [{"name": draw.name, **draw.settings()} for draw in self.draws]}

    def work_key(self, candidate: Candidate) -> str:
        """Equal where it is for every draw."""
        return ",".join(dict.fromkeys(draw.work_key(candidate) for draw in self.draws))

    def check_space(self, space: Space) -> None:
        """Refuse what every draw would.

        Raises:
            ConfigurationError: as there.
        """
        for draw in self.draws:
            draw.check_space(space)

    def prepare(self, families: Sequence[Family], scores: Sequence[MeanScore]) -> MeanSource:
        """With every draw prepared."""
        return MeanSource(tuple(draw.prepare(families, of) for draw, of in self._of_draws(scores)))

    def resumed(self, settings: Iterable[Mapping[str, Any]]) -> MeanSource:
        """With every draw as the run has used it."""
        recorded = list(settings)
        return MeanSource(tuple(draw.resumed(recorded) for draw in self.draws))

    def cost(self, candidate: Candidate, scores: Sequence[MeanScore]) -> Cost:
        """What all draws take."""
        costs = (source.cost(candidate, of) for source, of in self._of_draws(scores))
        return sum(costs, Cost())

    def begin(self, candidate: Candidate, scores: Sequence[MeanScore]) -> Callable[[], Evaluation]:
        """The device's part of every draw; what is returned does the host's, and takes the means.

        A candidate that is degenerate in one draw is degenerate, with that draw's reason.
        """
        begun = [source.begin(candidate, of) for source, of in self._of_draws(scores)]
        return lambda: _means([joined([finish()]) for finish in begun])

    def _of_draws(self, scores: Sequence[MeanScore]) -> list[tuple[Source, list[Score]]]:
        """Of each draw its source and all scores."""
        return [
            (source, [score.draws[number] for score in scores])
            for number, source in enumerate(self.draws)
        ]


@dataclass(frozen=True)
class MeanScore(Score):
    """The mean of a score over several draws of its images, with the error that the draws show.

    ``s̄ = (1/N) Σ_i s_i``, and its standard error is ``sqrt(Σ_i (s_i − s̄)² / (N − 1)) / √N``: how
    far the mean of other N draws would lie from it, as far as the draws are independent. The
    standard errors of the single draws do not enter.

    Args:
        draws: the score on each draw, at least two, of one name and direction.

    Raises:
        ConfigurationError: they are fewer, or differ in name or direction.

    Means whose draws have equal sources share one evaluation a candidate and draw.
    """

    draws: Sequence[Score]

    def __post_init__(self) -> None:
        object.__setattr__(self, "draws", tuple(self.draws))
        if len(self.draws) < 2:
            raise ConfigurationError(
                f"a mean over {len(self.draws)} draws: expected two or more scores, for example "
                "KernelScore(fit) on images of different seeds; a single draw is the score itself"
            )
        kinds = {(draw.name, draw.higher_is_better) for draw in self.draws}
        if len(kinds) > 1:
            names = ", ".join(sorted({name for name, _ in kinds}))
            raise ConfigurationError(
                f"a mean over different scores, {names}: expected draws of one name and direction"
            )

    @property
    def name(self) -> str:
        """That of every draw, for example ``nngp:loo_error``."""
        return self.draws[0].name

    @property
    def higher_is_better(self) -> bool:
        """Whether a larger value promises a better architecture."""
        return self.draws[0].higher_is_better

    @property
    def source(self) -> MeanSource:
        """The sources of the draws."""
        return MeanSource(tuple(draw.source for draw in self.draws))


def _means(draws: Sequence[Evaluation]) -> Evaluation:
    """Of every score that all draws have, or that one of them is degenerate for."""
    values: dict[str, ScoreValue] = {}
    degenerate: dict[str, str] = {}
    settings: dict[str, Any] = {}
    for number, draw in enumerate(draws, start=1):
        settings.update(draw.settings)
        for name, reason in draw.degenerate.items():
            degenerate.setdefault(name, f"draw {number} of {len(draws)}: {reason}")
    for name in draws[0].values:
        if name not in degenerate and all(name in draw.values for draw in draws):
            found = [draw.values[name].value for draw in draws]
            error = statistics.stdev(found) / math.sqrt(len(found))
            values[name] = ScoreValue(statistics.fmean(found), error)
    return Evaluation(values, degenerate, settings)
