"""A search from end to end: proposals, evaluations and what became of them, in optuna's storage."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from kernas.comparison import first_difference
from kernas.errors import ConfigurationError, KernasError
from kernas.execution import Executor, Local
from kernas.progress import progress_bar

from ..evaluation import Evaluator
from ..runs.outcome import OK, Outcome
from ..scores import Score
from ..scores.base import check_scores, check_seed
from ..spaces import Candidate, Space
from ..strategies import RegularizedEvolution, Strategy
from ..strategies.base import ExhaustedError, check_least
from .dependency import MAXIMIZE, MINIMIZE, optuna, quiet
from .history import (
    CANDIDATE,
    COMPLETE,
    FAIL,
    IDENTITY,
    OUTCOME,
    REPEATS,
    WORKER,
    History,
)
from .place import Place

WAIT_SECONDS = 0.2
"""How often who waits for another process's trial looks."""

PATIENCE = 1000
"""Trials in a row that bring nothing new, after which a search without a number of them ends."""


def optimize(
    space: Space,
    score: Score | Sequence[Score],
    *,
    strategy: Strategy | None = None,
    n_trials: int | None = None,
    time_budget: float | None = None,
    storage: Any = None,
    study_name: str = "search",
    seed: int = 0,
    executor: Executor | None = None,
    progress: bool = True,
) -> optuna.Study:
    """Search a space for the candidates that a score calls best.

    Everything that a search knows is in the storage: the same call goes on with a study that was
    interrupted or killed, and one with more trials extends it. Trials whose process died are
    marked, and their candidates are proposed again. With one process and a seed the candidates are
    the same, however often it was cut. Several processes may work at one study, started by hand or
    by ``executor``; a candidate is evaluated once, and a trial of an equal one has its value.

    A trial has the attributes ``candidate``, its name, and ``outcome``, with ``status``,
    ``seconds``, ``values`` (of each score, or ``None``) and, where there are such, ``errors``
    (standard errors by score), ``message`` and ``same_as`` (the trial whose value it has). What
    fails or is degenerate has the state FAIL.

    Args:
        space: that is searched.
        score: what is to be as good as possible; several, for a strategy of several objectives.
        strategy: what proposes, :class:`RegularizedEvolution` by default.
        n_trials: trials that the study is to have, >= 1, those that it has counted.
        time_budget: seconds that evaluations may take in all, > 0: those measured, of all
            processes together, or those that a :class:`TruthScore` tells. One of both is given.
        storage: ``None`` for one in memory; ``sqlite:///PATH`` or another URL of a database that
            optuna takes, ``PATH.journal``, or a storage of optuna.
        study_name: of the study there.
        seed: of all randomness.
        executor: what evaluates several candidates at a time, such as :class:`Processes`; by
            default one after the other, here.
        progress: whether to show a bar on stderr.

    Returns:
        The study: ``study.best_trial.user_attrs["candidate"]``, ``study.trials_dataframe()``.

    Raises:
        ConfigurationError: an argument is out of its range, the storage cannot be opened, the
            study there searches something else, the space lacks an ability that the strategy asks
            for, a score does not order its candidates, there are more objectives than the strategy
            heeds, or one evaluation takes more than the budget.
        DataError: a table does not have a candidate.
        KernasError: the storage cannot be written any more; what had ended is kept.

    >>> import kernas.search as ks
    >>> space, score = ks.space_from_text("macro"), ks.CountScore("params", (32, 32, 3), 10)
    >>> study = ks.optimize(space, score, strategy=ks.LocalSearch(), n_trials=30, progress=False)
    >>> study.best_value >= study.trials[0].value
    True
    """
    scores = tuple(score) if isinstance(score, Sequence) else (score,)
    check_scores(scores)
    chosen = RegularizedEvolution() if strategy is None else strategy
    check_budget(n_trials, time_budget)
    check_seed(seed)
    if len(scores) > chosen.objectives:
        raise ConfigurationError(
            f"{len(scores)} scores for {chosen.name}, which heeds {chosen.objectives}: give one, "
            "or Nsga2()"
        )
    evaluator = Evaluator.of(scores)
    evaluator.check_spaces([space])
    course = chosen.begin(space, seed)
    place = Place.opened(storage)
    study = _study(place, study_name, space, scores)
    sources = [source for source, _ in evaluator.groups.values()]
    history = History(study, space, scores, sources, course, seed)
    search = _Search(history, place, evaluator, n_trials, time_budget)
    with (
        place.working(),
        progress_bar(shown=progress, total=n_trials, desc=chosen.name, unit="trial") as bar,
    ):
        history.read()
        bar.initial = bar.n = history.told  # its rate is that of this process
        search.run(executor, lambda: _show(bar, history))
    return study


def check_budget(n_trials: int | None, time_budget: float | None) -> None:
    """Refuse a search without an end, or with one before its beginning.

    Raises:
        ConfigurationError: neither is given, or one is out of its range.
    """
    if n_trials is None and time_budget is None:
        raise ConfigurationError("no end is given: expected n_trials or time_budget, or both")
    if n_trials is not None:
        check_least(n_trials, "n_trials")
    if time_budget is not None and not 0 < time_budget < float("inf"):
        raise ConfigurationError(f"time_budget={time_budget!r}: expected seconds > 0")


def _study(place: Place, name: str, space: Space, scores: Sequence[Score]) -> optuna.Study:
    """The study of a name, new or the one that is there.

    Raises:
        ConfigurationError: it searches something else.
    """
    identity = {
        "space": space.settings(),
        "scores": {
            score.name: {"higher_is_better": score.higher_is_better, **score.source.settings()}
            for score in scores
        },
    }
    directions = [MAXIMIZE if score.higher_is_better else MINIMIZE for score in scores]
    with place.locked(), quiet():
        study = optuna.create_study(
            storage=place.storage,
            study_name=name,
            directions=directions,
            load_if_exists=True,
            sampler=optuna.samplers.RandomSampler(0),  # which nobody asks: strategies propose
        )
        there = study.user_attrs.get(IDENTITY)
        if there is None and not study.get_trials(deepcopy=False):
            study.set_user_attr(IDENTITY, identity)
            return study
    if there is None:
        raise ConfigurationError(
            f"study {name!r} has trials that were not made here: give another study name"
        )
    difference = first_difference(there, identity)
    if difference is not None:
        what, before, now = difference
        raise ConfigurationError(
            f"study {name!r} was made with {what} = {before}, and this search has {now}: give what "
            "it was made with, or another study name"
        )
    return study


def _show(bar: Any, history: History) -> None:
    if history.best is not None:
        bar.set_postfix_str(f"best {history.best:.4g}", refresh=False)
    bar.update(history.told - bar.n)


@dataclass(frozen=True)
class _Begun:
    """A trial of this process."""

    trial: optuna.Trial
    candidate: Candidate


@dataclass(frozen=True)
class _Item:
    """What is evaluated, and for which trial."""

    number: int
    candidate: Candidate


@dataclass(frozen=True)
class _Evaluation:
    """The task of a search: a candidate in all sources."""

    evaluator: Evaluator

    def begin(self, item: _Item) -> Callable[[], tuple[int, list[Outcome]]]:
        begun = [self.evaluator.begin(part) for part in self.evaluator.items(item.candidate)]
        return lambda: (item.number, [finish() for finish in begun])

    def failed(self, item: _Item, message: str) -> tuple[int, list[Outcome]]:
        parts = self.evaluator.items(item.candidate)
        return item.number, [self.evaluator.failed(part, message) for part in parts]


@dataclass
class _Search:
    """A search on its way in this process.

    Attributes:
        evaluator: prepared for the families that were met.
        mine: by number, the trials that are evaluated here.
        waiting: by number, those whose value another process's trial will have.
        is_over: whether nothing is proposed any more.
    """

    history: History
    place: Place
    evaluator: Evaluator
    n_trials: int | None
    time_budget: float | None
    mine: dict[int, _Begun] = field(default_factory=dict)
    waiting: dict[int, _Begun] = field(default_factory=dict)
    is_over: bool = False
    _held: _Item | None = None
    _idle: int = 0

    def run(self, executor: Executor | None, show: Callable[[], None]) -> None:
        """Propose and evaluate until the end that is given."""
        how = Local() if executor is None else executor
        try:
            with how.session():
                while self._held or self.waiting or self._wants_more():
                    items = self._items(several=executor is not None)
                    for number, outcomes in how.map(_Evaluation(self.evaluator), items):
                        self._record(number, outcomes)
                        self.history.read()
                        show()
                    show()
                    if self.waiting:
                        time.sleep(WAIT_SECONDS)
        except BaseException as error:
            with suppress(Exception):  # the storage may be what failed
                for one in (*self.mine.values(), *self.waiting.values()):
                    self.history.study.tell(one.trial, state=FAIL)  # lost, for whoever goes on
            if isinstance(error, optuna.exceptions.StorageInternalError):
                raise KernasError(
                    f"the study cannot be written ({' '.join(str(error).split())[:200]}); every "
                    "trial that had ended is kept: make room, and search again"
                ) from error
            raise

    def _items(self, *, several: bool) -> Iterator[_Item]:
        """What is to be evaluated, one unless several; those of a family that workers have no
        programs for begin another round."""
        while True:
            item, self._held = self._held or self._next(), None
            if item is None:
                return
            ready = self.evaluator.prepared([item.candidate])
            if ready is not self.evaluator:
                self.evaluator, self._held = ready, item
                return
            yield item
            if not several:
                return

    def _wants_more(self) -> bool:
        history = self.history
        if self.is_over:
            return False
        if self.n_trials is not None and history.told + len(history.running) >= self.n_trials:
            return False
        return self.time_budget is None or history.spent < self.time_budget

    def _next(self) -> _Item | None:
        """A trial to evaluate here; ``None`` if there is none now.

        Trials whose work is done have its value at once, one whose work another process does has it
        later.
        """
        history = self.history
        while True:
            with self.place.locked():
                self._end_abandoned()
                item = self._settled()
                if item is not None:
                    return item
                if not self._wants_more():
                    return None
                repeated = next(iter(history.lost), None)
                try:
                    candidate = history.proposed() if repeated is None else history.lost[repeated]
                except ExhaustedError:
                    self.is_over = True
                    return None
                known = history.work(candidate) in history.results
                is_run = not known and history.is_run(candidate, self.waiting)
                if (is_run and self.waiting) or not (known or self._is_affordable(candidate)):
                    return None
                begun = self._begun(candidate, repeated)
                if not known and not is_run:
                    self._idle = 0
                    return self._evaluated(begun)
                self.waiting[begun.trial.number] = begun
                self._idle += known
                self.is_over |= self.n_trials is None and self._idle > PATIENCE

    def _evaluated(self, begun: _Begun) -> _Item:
        self.mine[begun.trial.number] = begun
        return _Item(begun.trial.number, begun.candidate)

    def _begun(self, candidate: Candidate, repeated: int | None) -> _Begun:
        """A new trial in the storage."""
        trial = self.history.study.ask()
        trial.set_user_attr(CANDIDATE, candidate.name)
        if self.place.folder is not None:
            trial.set_user_attr(WORKER, self.place.worker)
        if repeated is not None:
            trial.set_user_attr(REPEATS, repeated)
            del self.history.lost[repeated]
        self.history.running[trial.number] = candidate
        return _Begun(trial, candidate)

    def _end_abandoned(self) -> None:
        """End the trials whose process has died: with their values if it died while they were put
        in the storage, else as lost."""
        abandoned = {
            trial.number
            for trial in self.history.read()
            if trial.number not in self.mine
            and trial.number not in self.waiting
            and not self.place.is_at_work(trial.user_attrs.get(WORKER))
        }
        if not abandoned:
            return
        # Read again: between the first reading and its death a process may have ended its trial.
        for trial in self.history.read():
            if trial.number in abandoned:
                self._tell(trial.number, trial.user_attrs.get(OUTCOME, {}).get("values"))
        self.history.read()

    def _settled(self) -> _Item | None:
        """Give trials that wait the values that are there; one whose work nobody does any more is
        evaluated here."""
        ended = False
        for number, begun in list(self.waiting.items()):
            known = self.history.results.get(self.history.work(begun.candidate))
            if known is not None:
                del self.waiting[number]
                outcome = {**known.user_attrs[OUTCOME], "seconds": 0.0, "same_as": known.number}
                self._end(begun, outcome)
                ended = True
            elif not self.history.is_run(begun.candidate, self.waiting):
                return self._evaluated(self.waiting.pop(number))
        if ended:
            self.history.read()
        return None

    def _is_affordable(self, candidate: Candidate) -> bool:
        """Whether an evaluation is within the budget.

        Raises:
            ConfigurationError: not even one is.
            DataError: a table does not have the candidate.
        """
        groups = self.evaluator.groups.values()
        for source, _ in groups:
            source.check(candidate)
        if self.time_budget is None:
            return True
        seconds = sum(source.cost(candidate, of).seconds or 0.0 for source, of in groups)
        if seconds > self.time_budget:
            raise ConfigurationError(
                f"time_budget={self.time_budget:g}: one evaluation takes {seconds:.3g} s; give more"
            )
        self.is_over |= self.history.spent + seconds > self.time_budget
        return not self.is_over

    def _record(self, number: int, outcomes: Sequence[Outcome]) -> None:
        """Put what became of a trial in the storage."""
        found = {name: value for outcome in outcomes for name, value in outcome.values.items()}
        asked = [score.name for score in self.history.scores]
        errors = {name: found[name].standard_error for name in asked if name in found}
        known = {name: error for name, error in errors.items() if error is not None}
        messages = [one.message for one in outcomes if one.message]
        messages += [reason for one in outcomes for reason in one.degenerate.values()]
        has_all = all(name in found for name in asked)
        outcome = {
            "status": next((one.status for one in outcomes if one.status != OK), OK),
            "seconds": round(sum(one.seconds for one in outcomes), 4),
            "values": [found[name].value for name in asked] if has_all else None,
            **({"errors": known} if known else {}),
            **({"message": messages[0]} if messages else {}),
        }
        self._end(self.mine.pop(number), outcome)

    def _end(self, begun: _Begun, outcome: Mapping[str, Any]) -> None:
        begun.trial.set_user_attr(OUTCOME, dict(outcome))
        self._tell(begun.trial, outcome["values"])

    def _tell(self, trial: optuna.Trial | int, values: Sequence[float] | None) -> None:
        state = FAIL if values is None else COMPLETE
        self.history.study.tell(trial, values, state=state)
