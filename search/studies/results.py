"""What a study has found, as rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from .dependency import MAXIMIZE, optuna
from .history import CANDIDATE, COMPLETE, FAIL, OUTCOME


@dataclass(frozen=True)
class Found:
    """A trial that has ended.

    Attributes:
        number: of the trial.
        candidate: its name.
        values: of each score; none where it failed.
        errors: score → standard error of its value.
        status: of its evaluation.
        seconds: that it took.
        same_as: the trial whose value it has, if it has another's.
        message: why it failed.
    """

    number: int
    candidate: str
    values: tuple[float, ...]
    errors: dict[str, float]
    status: str
    seconds: float
    same_as: int | None
    message: str


def trials_of(study: optuna.Study) -> list[Found]:
    """The trials that have ended, in their order; those that were lost apart."""
    found: list[Found] = []
    for trial in study.get_trials(deepcopy=False, states=(COMPLETE, FAIL)):
        outcome: dict[str, Any] | None = trial.user_attrs.get(OUTCOME)
        if outcome is not None:
            found.append(
                Found(
                    trial.number,
                    trial.user_attrs[CANDIDATE],
                    tuple(trial.values or ()),
                    outcome.get("errors", {}),
                    outcome["status"],
                    outcome["seconds"],
                    outcome.get("same_as"),
                    outcome.get("message", ""),
                )
            )
    return found


def best_of(study: optuna.Study) -> list[Found]:
    """Different networks, each the first candidate of it that was proposed, the best first: by
    their value, or of several scores those in the front that nothing dominates, in the order of the
    first."""
    of = trials_of(study)
    if len(study.directions) > 1:
        front = {trial.number for trial in study.best_trials}
        of = [one for one in of if one.number in front]
    different = [one for one in of if one.values and one.same_as is None]
    return sorted(different, key=lambda one: -_sign(study) * one.values[0])


def best_so_far(study: optuna.Study, found: Sequence[Found]) -> list[Found | None]:
    """After each trial the best one by the first score; ``None`` before any has a value."""
    sign = _sign(study)
    best: Found | None = None
    so_far: list[Found | None] = []
    for one in found:
        if one.values and (best is None or sign * one.values[0] > sign * best.values[0]):
            best = one
        so_far.append(best)
    return so_far


def _sign(study: optuna.Study) -> float:
    """1 where a larger first value is better."""
    return 1.0 if study.directions[0] == MAXIMIZE else -1.0
