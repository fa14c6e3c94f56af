"""What the trials of a study mean: what a strategy is told, what is run, and what was lost."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..scores import Score, Source
from ..spaces import Candidate, Space
from ..strategies import Course, Trial
from ..strategies.base import rng_of
from .dependency import optuna

IDENTITY = "kernas"
"""Attribute of a study that says what it searches."""

CANDIDATE, OUTCOME, WORKER, REPEATS = "candidate", "outcome", "worker", "repeats"
"""Attributes of a trial: its candidate's name, what became of it, the process that has it, and the
number of the lost trial that it repeats."""

COMPLETE, FAIL, RUNNING = (
    optuna.trial.TrialState.COMPLETE,
    optuna.trial.TrialState.FAIL,
    optuna.trial.TrialState.RUNNING,
)

Work = tuple[str, ...]
"""The keys of a candidate's work in every source."""


@dataclass
class History:
    """The trials of a study so far, as they were read.

    A trial that failed without an outcome is lost: whoever had it died or was interrupted. It is
    no part of what the strategy is told, and its candidate is proposed again.

    Attributes:
        told: trials that have ended, lost ones apart.
        running: number → candidate of those that have not.
        results: work → a trial that has its value.
        lost: number → candidate of lost trials that nobody has repeated.
        spent: seconds that evaluations took.
        best: the best first value.
    """

    study: optuna.Study
    space: Space
    scores: Sequence[Score]
    sources: Sequence[Source]
    course: Course
    seed: int
    told: int = 0
    running: dict[int, Candidate] = field(default_factory=dict)
    results: dict[Work, optuna.trial.FrozenTrial] = field(default_factory=dict)
    lost: dict[int, Candidate] = field(default_factory=dict)
    spent: float = 0.0
    best: float | None = None
    _first: int = 0
    _ended: set[int] = field(default_factory=set)
    _works: dict[str, Work] = field(default_factory=dict)

    def read(self) -> list[optuna.trial.FrozenTrial]:
        """Take note of what has ended or begun since; returns those that run."""
        trials = self.study.get_trials(deepcopy=False)[self._first :]
        new = [one for one in trials if one.number not in self._ended]
        ended = [one for one in new if one.state in (COMPLETE, FAIL)]
        for trial in sorted(ended, key=lambda one: (one.datetime_complete, one.number)):
            self._end(trial)
        while self._first in self._ended:
            self._ended.discard(self._first)
            self._first += 1
        running = [one for one in new if one.state == RUNNING]
        for trial in running:
            if CANDIDATE in trial.user_attrs and trial.number not in self.running:
                self.running[trial.number] = self._candidate(trial)
                self.lost.pop(trial.user_attrs.get(REPEATS, -1), None)
        return running

    def proposed(self) -> Candidate:
        """The strategy's next candidate.

        Raises:
            ExhaustedError: it has none.
        """
        running = list(self.running.values())
        return self.course.propose(rng_of(self.seed, self.told + len(running)), running)

    def work(self, candidate: Candidate) -> Work:
        """Equal for candidates that are evaluated once."""
        if candidate.name not in self._works:
            works = tuple(source.work_key(candidate) for source in self.sources)
            self._works[candidate.name] = works
        return self._works[candidate.name]

    def is_run(self, candidate: Candidate, besides: Iterable[int]) -> bool:
        """Whether a trial of equal work is being evaluated, besides some that only wait."""
        work, waiting = self.work(candidate), set(besides)
        return any(
            number not in waiting and self.work(other) == work
            for number, other in self.running.items()
        )

    def _candidate(self, trial: optuna.trial.FrozenTrial) -> Candidate:
        return self.space.candidate(trial.user_attrs[CANDIDATE])

    def _end(self, trial: optuna.trial.FrozenTrial) -> None:
        self._ended.add(trial.number)
        self.running.pop(trial.number, None)
        if CANDIDATE not in trial.user_attrs:
            return
        candidate = self._candidate(trial)
        self.lost.pop(trial.user_attrs.get(REPEATS, -1), None)
        outcome: Mapping[str, Any] | None = trial.user_attrs.get(OUTCOME)
        if outcome is None:
            self.lost[trial.number] = candidate
            return
        self.spent += outcome["seconds"]
        self.results.setdefault(self.work(candidate), trial)
        oriented = [
            value if score.higher_is_better else -value
            for value, score in zip(trial.values or (), self.scores, strict=False)
        ]
        if trial.values:
            better = max if self.scores[0].higher_is_better else min
            first = trial.values[0]
            self.best = first if self.best is None else better(first, self.best)
        value = oriented[0] if oriented else None
        self.course.tell(Trial(self.told, candidate, value, tuple(oriented[1:])))
        self.told += 1
