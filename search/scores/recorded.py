"""Scores as a run that is resumed has computed them before."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from kernas.kernels.engine import Blocking, recorded_blocking

from .base import Score
from .kernel_score import KernelScore
from .mean_score import MeanScore


def with_recorded_blocking(
    scores: Sequence[Score], settings: Iterable[Mapping[str, Any]]
) -> tuple[Score, ...]:
    """The scores with the blocking of the run that they go on with.

    Args:
        scores: of the run.
        settings: of the kernels that the run has recorded. Only what was measured may come out
            differently another time: how many pairs go through a plane.
    """
    recorded = (
        recorded_blocking(kernel["blocking"]) for kernel in settings if "blocking" in kernel
    )
    blocking = next((b for b in recorded if b.nanoseconds is not None), None)
    if blocking is None:
        return tuple(scores)
    return tuple(_with_blocking(score, blocking) for score in scores)


def _with_blocking(score: Score, blocking: Blocking) -> Score:
    if isinstance(score, KernelScore):
        return replace(score, blocking=blocking)
    if isinstance(score, MeanScore):
        return replace(score, draws=tuple(_with_blocking(draw, blocking) for draw in score.draws))
    return score
