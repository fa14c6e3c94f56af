"""What a strategy is: a function of what became of its proposals.

A strategy proposes one candidate after the other. All that it knows is the history of trials, so
that whoever keeps trials can stop and go on at any time, in any process; randomness comes from a
seed and the number of the proposal. It may fold the history as it grows (:class:`Course`), and the
fold equals the replay (``kernas.search.testing.StrategyTests``).
"""

from __future__ import annotations

import random
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import count, islice
from typing import Literal

from kernas.errors import ConfigurationError

from ..spaces import Candidate, Space
from ..spaces.abilities import Distributed, drawn, has, require

Status = Literal["complete", "failed"]

Evaluate = Callable[[Candidate], float | None]
"""The value of a candidate, the larger the better; ``None`` of one that has none."""


@dataclass(frozen=True)
class Trial:
    """What became of one proposal.

    Attributes:
        number: of the proposal, from 0.
        candidate: that was proposed.
        value: the larger the better; ``None`` of one that failed.
        others: values of further objectives, the larger the better, for strategies that have them.
    """

    number: int
    candidate: Candidate
    value: float | None
    others: tuple[float, ...] = ()

    @property
    def status(self) -> Status:
        """Whether it has a value."""
        return "failed" if self.value is None else "complete"


class Course(ABC):
    """A strategy on its way through a space: what it has made of the trials so far."""

    @abstractmethod
    def tell(self, trial: Trial) -> None:
        """Take note of a trial that has ended; trials are told in the order in which they end."""

    @abstractmethod
    def propose(self, rng: random.Random, running: Sequence[Candidate] = ()) -> Candidate:
        """The next candidate.

        Args:
            rng: of this proposal alone (:func:`rng_of`).
            running: proposals that have not ended yet.

        Raises:
            ExhaustedError: there is nothing left to propose.
        """


class ExhaustedError(Exception):
    """A strategy has nothing left to propose."""


class Strategy(ABC):
    """How to search; a frozen dataclass whose fields are its settings."""

    @property
    @abstractmethod
    def name(self) -> str:
        """The name on the command line and in records."""

    @property
    def abilities(self) -> tuple[type, ...]:
        """What it asks of the spaces that it searches; nothing by default."""
        return ()

    @property
    def objectives(self) -> int:
        """How many values of a candidate it heeds at most; one by default."""
        return 1

    def begin(self, space: Space, seed: int = 0) -> Course:
        """Its way through a space, before the first trial.

        Args:
            space: with the abilities that it asks for.
            seed: of all of its randomness.

        Raises:
            ConfigurationError: the space lacks one; the message names it.
        """
        for ability in self.abilities:
            require(space, ability)
        return self.course(space, seed)

    @abstractmethod
    def course(self, space: Space, seed: int) -> Course:
        """That of :meth:`begin`, on a space that has the abilities."""

    def propose(
        self,
        space: Space,
        history: Iterable[Trial],
        seed: int = 0,
        running: Sequence[Candidate] = (),
    ) -> Candidate:
        """The candidate that follows a history: a function of its arguments.

        Args:
            space: that is searched.
            history: trials in the order in which they ended.
            seed: of all randomness.
            running: proposals that have not ended yet.
        """
        course = self.begin(space, seed)
        told = 0
        for trial in history:
            course.tell(trial)
            told += 1
        return course.propose(rng_of(seed, told + len(running)), running)


def check_least(value: int, name: str, least: int = 1) -> None:
    """Refuse a setting that is too small.

    Raises:
        ConfigurationError: it is no integer >= ``least``.
    """
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise ConfigurationError(f"{name}={value!r}: expected an integer >= {least}")


def rng_of(seed: int, number: int, purpose: str = "proposal") -> random.Random:
    """The randomness of a proposal, or of what follows from a trial."""
    return random.Random(f"{purpose} {number} of {seed}")


def random_candidate(space: Space, rng: random.Random) -> Candidate:
    """A candidate of independent values, each as its distribution says; of a space without
    distributions one of its own drawing."""
    if has(space, Distributed):
        able = require(space, Distributed)
        values = {name: drawn(of, rng) for name, of in able.distributions().items()}
        return able.candidate_of(values)
    (candidate,) = space.sample(1, seed=rng.randrange(2**31))
    return candidate


def searched(
    strategy: Strategy, space: Space, evaluate: Evaluate, seed: int = 0
) -> Iterator[Trial]:
    """Trials one after the other, as long as the strategy proposes any; see :func:`search`."""
    course = strategy.begin(space, seed)
    known: dict[str, float | None] = {}
    for number in count():
        try:
            candidate = course.propose(rng_of(seed, number))
        except ExhaustedError:
            return
        if candidate.name not in known:
            known[candidate.name] = evaluate(candidate)
        trial = Trial(number, candidate, known[candidate.name])
        course.tell(trial)
        yield trial


def search(
    strategy: Strategy, space: Space, evaluate: Evaluate, n_trials: int, seed: int = 0
) -> list[Trial]:
    """Propose and evaluate in turns, in this process and without keeping anything.

    A candidate that comes again is not evaluated again.

    Args:
        strategy: that proposes.
        space: that is searched.
        evaluate: the value of a candidate, the larger the better.
        n_trials: at most so many, >= 1; fewer where the strategy has nothing left.
        seed: of all randomness.

    Raises:
        ConfigurationError: ``n_trials`` is below 1, or the space lacks an ability.
    """
    check_least(n_trials, "n_trials")
    return list(islice(searched(strategy, space, evaluate, seed), n_trials))
