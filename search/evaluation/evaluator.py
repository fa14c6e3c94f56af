"""From a candidate and a source to an outcome: the task of a ranking."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from itertools import product
from typing import Any

from threadpoolctl import ThreadpoolController

from kernas.errors import DivergenceError, GramStoreError
from kernas.kernels.engine import compilations

from ..runs.outcome import DEGENERATE, DIVERGED, ERROR, OK, Outcome, Place, Status
from ..scores import Evaluation, Score, Source
from ..scores.base import by_source, joined
from ..spaces import Candidate, Family, Space
from ..spaces.base import in_a_line


@dataclass(frozen=True)
class Item:
    """A piece of work: a candidate in one of the sources.

    Attributes:
        candidate: what is evaluated.
        source: the key of the source.
        work: the key of the work in it.
    """

    candidate: Candidate
    source: str
    work: str

    @property
    def place(self) -> Place:
        """The source and the work."""
        return self.source, self.work


@dataclass(frozen=True)
class Evaluator:
    """The sources of some scores, and how a candidate is evaluated in one of them.

    Attributes:
        groups: by the keys of the sources, each with its scores.
        families: that the sources are prepared for.
    """

    groups: dict[str, tuple[Source, tuple[Score, ...]]]
    families: frozenset[Family] = frozenset()

    @classmethod
    def of(cls, scores: Iterable[Score]) -> Evaluator:
        """Of some scores."""
        return cls({source.key: (source, tuple(of)) for source, of in by_source(scores)})

    def check_spaces(self, spaces: Iterable[Space]) -> None:
        """Refuse spaces whose candidates a source cannot order.

        Raises:
            ConfigurationError: the message names the space.
        """
        for space, (source, _) in product(spaces, self.groups.values()):
            source.check_space(space)

    def prepared(self, candidates: Sequence[Candidate]) -> Evaluator:
        """With every source prepared for the families of some candidates too; this one, if it is
        prepared for all of them."""
        families = list(dict.fromkeys(candidate.family for candidate in candidates))
        new = [family for family in families if family not in self.families]
        if not new:
            return self
        return Evaluator(
            {key: (source.prepare(new, of), of) for key, (source, of) in self.groups.items()},
            self.families.union(new),
        )

    def resumed(self, outcomes: Iterable[Outcome]) -> Evaluator:
        """With every source as a run has used it."""
        recorded = list(outcomes)
        return Evaluator(
            {
                key: (source.resumed(o.settings for o in recorded if o.source == key), of)
                for key, (source, of) in self.groups.items()
            },
            self.families,
        )

    def items(self, candidate: Candidate) -> list[Item]:
        """The work of a candidate in every source."""
        return [
            Item(candidate, key, source.work_key(candidate))
            for key, (source, _) in self.groups.items()
        ]

    def is_done(self, item: Item, outcomes: Mapping[Place, Outcome]) -> bool:
        """Whether an outcome answers what an item is evaluated for."""
        _, scores = self.groups[item.source]
        outcome = outcomes.get(item.place)
        return outcome is not None and outcome.answers(score.name for score in scores)

    def begin(self, item: Item) -> Callable[[], Outcome]:
        """The device's part of an item; what is returned makes its outcome.

        Whatever the candidate raises becomes its outcome; a store that cannot be used would fail
        for the next one too.

        Raises:
            GramStoreError: a store cannot be written, or holds something else.
        """
        source, scores = self.groups[item.source]
        compiled, start = compilations().count, time.perf_counter()
        finish: Callable[[], Evaluation] | None = None
        status: Status = OK
        failure = ""
        try:
            finish = source.begin(item.candidate, scores)
        except GramStoreError:
            raise
        except Exception as error:  # one candidate's failure is its row, not the end of the run
            status, failure = _failure(error)
        begun = time.perf_counter() - start
        compiled = compilations().count - compiled

        def outcome() -> Outcome:
            start = time.perf_counter()
            result, found = self._outcome(item, status, failure), None
            if finish is not None:
                try:
                    with _one_thread():
                        found = joined([finish()])
                except Exception as error:  # as above
                    result = self._outcome(item, *_failure(error))
                else:
                    asked = {score.name for score in scores}
                    result = replace(
                        result,
                        status=DEGENERATE if asked & set(found.degenerate) else OK,
                        values=found.values,
                        degenerate=found.degenerate,
                        settings=found.settings,
                    )
            seconds = begun + time.perf_counter() - start
            if found is not None and found.seconds is not None:
                seconds = found.seconds
            return replace(result, seconds=round(seconds, 4), compilations=compiled)

        return outcome

    def failed(self, item: Item, message: str) -> Outcome:
        """The outcome of an item whose process has died."""
        return self._outcome(item, ERROR, message)

    def _outcome(self, item: Item, status: Status, message: str) -> Outcome:
        return Outcome(item.candidate.name, item.work, item.source, status, message=message)


def _failure(error: Exception) -> tuple[Status, str]:
    return (DIVERGED if isinstance(error, DivergenceError) else ERROR), in_a_line(error)


@cache
def _controller() -> ThreadpoolController:
    return ThreadpoolController()


def _one_thread() -> Any:
    """Linear algebra of the host in one thread: its last digits depend on how many there are."""
    return _controller().limit(limits=1)
