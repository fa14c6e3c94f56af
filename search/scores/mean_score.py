"""A score that is the mean over several draws of the images it is computed from."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from kernas.errors import ConfigurationError
from kernas.kernels import Architecture
from kernas.kernels.regression import ScoreValue

from .base import Cost, Evaluation, Score, Source, begin_scores, cost_of_scores


@dataclass(frozen=True)
class MeanSource:
    """The sources of all draws of a :class:`MeanScore`; equal where all of them are.

    Args:
        draws: the source of each draw.
    """

    draws: tuple[Source, ...]

    def expect(self, architectures: Iterable[Architecture]) -> None:
        """Let every draw prepare what its architectures share."""
        chosen = list(architectures)
        for source in dict.fromkeys(self.draws):
            source.expect(chosen)

    def cost(self, architecture: Architecture, scores: Sequence[MeanScore]) -> Cost:
        """What all draws take."""
        return sum((cost_of_scores(architecture, draw) for draw in _of_draws(scores)), Cost())

    def begin(
        self, architecture: Architecture, scores: Sequence[MeanScore]
    ) -> Callable[[], Evaluation]:
        """The device's part of every draw; what is returned does the host's, and takes the means.

        An architecture that is degenerate in one draw is degenerate, with that draw's reason.
        """
        begun = [begin_scores(architecture, draw) for draw in _of_draws(scores)]

        def finish() -> Evaluation:
            return _means([score.name for score in scores], [draw() for draw in begun])

        return finish


@dataclass(frozen=True)
class MeanScore:
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

    draws: tuple[Score, ...]

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

    def settings(self) -> dict[str, Any]:
        """What identifies the score in the records of a run: every draw."""
        return {
            "higher_is_better": self.higher_is_better,
            "draws": [draw.settings() for draw in self.draws],
        }


def _of_draws(scores: Sequence[MeanScore]) -> list[tuple[Score, ...]]:
    """Of each draw all scores."""
    return list(zip(*(score.draws for score in scores), strict=True))


def _means(names: Sequence[str], draws: Sequence[Evaluation]) -> Evaluation:
    values: dict[str, ScoreValue] = {}
    degenerate: dict[str, str] = {}
    settings: dict[str, Any] = {}
    for draw in draws:
        settings.update(draw.settings)
    for name in names:
        for number, draw in enumerate(draws, start=1):
            if name in draw.degenerate:
                reason = f"draw {number} of {len(draws)}: {draw.degenerate[name]}"
                degenerate.setdefault(name, reason)
        if name not in degenerate:
            found = [draw.values[name].value for draw in draws]
            error = statistics.stdev(found) / math.sqrt(len(found))
            values[name] = ScoreValue(statistics.fmean(found), error)
    return Evaluation(values, degenerate, settings)
