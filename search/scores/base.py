"""What a score is: a named number of a candidate, drawn from a source that scores share."""

from __future__ import annotations

import hashlib
import json
import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Self, cast

import numpy as np

from kernas.errors import ConfigurationError
from kernas.kernels import Architecture
from kernas.kernels.regression import ScoreValue

from ..spaces import ArchitectureList, Candidate, Family, Space

if TYPE_CHECKING:
    from .combined import Combined


@dataclass(frozen=True)
class Evaluation:
    """What a source finds of a candidate.

    Attributes:
        values: score name → value; a score that the candidate is degenerate for is missing. There
            may be more of them than were asked for, where they cost next to nothing: a run that
            asks for these later finds them.
        degenerate: score name → why its kernel says nothing (zero, constant, not finite).
        settings: what the computation chose by itself, for the records (tile sizes, dtype).
        seconds: what it would have taken, of one that was looked up; else what it takes is counted.
    """

    values: Mapping[str, ScoreValue]
    degenerate: Mapping[str, str] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)
    seconds: float | None = None


@dataclass(frozen=True)
class Cost:
    """What scores of one candidate will take.

    Attributes:
        pairs: of images whose kernel is computed.
        seconds: on this machine, compilation apart; ``None`` if it is not known.
        programs: what has to be compiled for it unless it is in the cache, each with its seconds;
            what several candidates name is compiled once for all of them.
    """

    pairs: int = 0
    seconds: float | None = 0.0
    programs: Mapping[Hashable, float] = field(default_factory=dict)

    def __add__(self, other: Cost) -> Cost:
        """One after the other."""
        known = self.seconds is not None and other.seconds is not None
        return Cost(
            self.pairs + other.pairs,
            cast(float, self.seconds) + cast(float, other.seconds) if known else None,
            longest(self.programs, other.programs),
        )


def longest(*programs: Mapping[Hashable, float]) -> dict[Hashable, float]:
    """Programs with the longest time that is given for each."""
    found: dict[Hashable, float] = {}
    for some in programs:
        for name, seconds in some.items():
            found[name] = max(seconds, found.get(name, 0.0))
    return found


class Source(ABC):
    """Where scores come from. Scores with equal sources are evaluated together, once a candidate.

    Sources are equal whose settings are, and can be pickled: worker processes have their copies.
    They do not change: what prepares one, or lets it go on with a run, returns another that equals
    it. A dataclass has ``eq=False``, or else is equal where all of its fields are.
    ``kernas.search.testing.ScoreTests`` checks what is asked for here.
    """

    @property
    @abstractmethod
    def name(self) -> str:
        """What messages and records call its kind, for example ``kernel``."""

    @abstractmethod
    def settings(self) -> dict[str, Any]:
        """What identifies it in the records of a run, as JSON values: equal settings, equal values
        of every candidate."""

    @abstractmethod
    def begin(self, candidate: Candidate, scores: Sequence[Any]) -> Callable[[], Evaluation]:
        """Do the device's part for the given scores of a candidate, all of this source.

        Returns:
            The host's part, which a ranking calls in another thread while it begins the next
            candidate: no JAX in it.

        Raises:
            DivergenceError: what was computed leaves the finite numbers, and would again.
            Exception: whatever else is the candidate's row, and is tried again by a later run.
        """

    @property
    def key(self) -> str:
        """A digest of its name and settings: equal for equal sources, in every process."""
        identity = json.dumps([self.name, self.settings()], sort_keys=True, default=str)
        return hashlib.sha256(identity.encode()).hexdigest()[:16]

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and self.key == cast(Source, other).key

    def __hash__(self) -> int:
        return hash(self.key)

    def work_key(self, candidate: Candidate) -> str:
        """Equal for candidates that are evaluated once: by default the hash of the network."""
        return candidate.key

    def prepare(self, families: Sequence[Family], scores: Sequence[Any]) -> Self:
        """This source, ready for all candidates of a run, before the first one is begun.

        Changes no value. What an earlier call has prepared stays.

        Args:
            families: those to which the candidates belong.
            scores: that are going to be asked for, all of this source.
        """
        return self

    def resumed(self, settings: Iterable[Mapping[str, Any]]) -> Self:
        """This source as a run has used it, by the settings of the evaluations that it recorded."""
        return self

    def check_space(self, space: Space) -> None:
        """Refuse a space whose candidates it cannot order, before any work.

        Raises:
            ConfigurationError: the message says why.
        """
        return

    def check(self, candidate: Candidate) -> None:
        """Refuse a candidate that cannot have a value whatever is tried; most have one, and what
        :meth:`begin` raises is theirs alone.

        Raises:
            DataError: a table does not have it.
        """
        return

    def cost(self, candidate: Candidate, scores: Sequence[Any]) -> Cost:
        """What :meth:`begin` with the same arguments and its host's part will take.

        Computes nothing of the candidate; a short measurement of the device may come first.
        """
        return Cost(seconds=None)


class Score(ABC):
    """A named number of a candidate. :class:`KernelScore` is an example."""

    @property
    @abstractmethod
    def name(self) -> str:
        """The name on the command line and in records, for example ``nngp:loo_error``."""

    @property
    @abstractmethod
    def higher_is_better(self) -> bool:
        """Whether a larger value promises a better candidate."""

    @property
    @abstractmethod
    def source(self) -> Source:
        """Where the score comes from."""


def check_seed(seed: Any) -> None:
    """Refuse what is no seed.

    Raises:
        ConfigurationError: it is no integer >= 0.
    """
    if isinstance(seed, bool) or not isinstance(seed, int) or seed < 0:
        raise ConfigurationError(f"seed={seed!r}: expected an integer >= 0")


def check_scores(scores: Sequence[Any]) -> None:
    """Refuse an empty list of scores, and two scores of one name.

    Raises:
        ConfigurationError: the message names the score.
    """
    if not scores:
        raise ConfigurationError("no score given: expected at least one, e.g. KernelScore(fit)")
    names = [score.name for score in scores]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ConfigurationError(f"score {twice[0]!r} is given twice; give every score once")


def evaluate_scores(
    candidate: Candidate | Architecture, scores: Sequence[Score | Combined]
) -> Evaluation:
    """All scores of one candidate, each source evaluated once.

    A value that is not finite counts as degenerate; an error that is not finite as not known.

    Raises:
        ConfigurationError: one is a combination of ranks, which one candidate alone has not, or
            does not order the candidates of this one's space.
    """
    one, asked = as_candidate(candidate), [score.name for score in scores]
    sources = by_source(scores)
    for source, _ in sources:
        source.check_space(one.space)
    begun = [source.begin(one, members) for source, members in sources]
    found = joined(finish() for finish in begun)
    return Evaluation(
        {name: found.values[name] for name in asked if name in found.values},
        {name: found.degenerate[name] for name in asked if name in found.degenerate},
        found.settings,
    )


def as_candidate(given: Candidate | Architecture) -> Candidate:
    """A network as a candidate named by its hash, where it is none yet."""
    if isinstance(given, Candidate):
        return given
    return ArchitectureList({given.hash: given}).candidate(given.hash)


def by_source(scores: Iterable[Score | Combined]) -> list[tuple[Source, list[Score]]]:
    """The scores that are evaluated together, with their source.

    Raises:
        ConfigurationError: one is a combination of ranks.
    """
    groups: dict[Source, list[Score]] = {}
    for score in scores:
        if not isinstance(score, Score):
            raise ConfigurationError(
                f"{score.name} combines ranks, which one candidate alone has not: give it to rank, "
                "or its within(values of a sample, scores)"
            )
        groups.setdefault(score.source, []).append(score)
    return list(groups.items())


def oriented(values: Sequence[float | None], higher_is_better: bool) -> np.ndarray:
    """Values of which larger is better; ``None``, of who is degenerate, is below everything."""
    sign = 1.0 if higher_is_better else -1.0
    return np.array([-np.inf if v is None else sign * v for v in values], dtype=np.float64)


def joined(evaluations: Iterable[Evaluation]) -> Evaluation:
    """Evaluations of different scores of one candidate as one; nothing in it is not finite."""
    values: dict[str, ScoreValue] = {}
    degenerate: dict[str, str] = {}
    settings: dict[str, Any] = {}
    seconds: float | None = None
    for evaluation in evaluations:
        if evaluation.seconds is not None:
            seconds = (seconds or 0.0) + evaluation.seconds
        degenerate.update(evaluation.degenerate)
        settings.update(evaluation.settings)
        for name, value in evaluation.values.items():
            error = value.standard_error
            if error is not None and not math.isfinite(error):
                value = replace(value, standard_error=None)
            if math.isfinite(value.value):
                values[name] = value
            else:
                degenerate[name] = f"the score is {value.value}"
    return Evaluation(values, degenerate, settings, seconds)
