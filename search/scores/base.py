"""What a score is: a named number of an architecture, drawn from a source that scores share."""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol, cast

from kernas.errors import ConfigurationError
from kernas.kernels import Architecture
from kernas.kernels.regression import ScoreValue


@dataclass(frozen=True)
class Evaluation:
    """The scores of one architecture.

    Attributes:
        values: score name → value; a score that the architecture is degenerate for is missing.
        degenerate: score name → why its kernel says nothing (zero, constant, not finite).
        settings: what the computation chose by itself, for the records (tile sizes, dtype).
    """

    values: Mapping[str, ScoreValue]
    degenerate: Mapping[str, str] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Cost:
    """What scores of one architecture will take.

    Attributes:
        pairs: of images whose kernel is computed.
        seconds: on this machine, compilation apart; ``None`` if it is not known.
        programs: what has to be compiled for it unless it is in the cache, each with its seconds;
            what several architectures name is compiled once for all of them.
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


class Source(Hashable, Protocol):
    """Where scores come from. Scores with equal sources are evaluated together, once."""

    def cost(self, architecture: Architecture, scores: Sequence[Any]) -> Cost:
        """What :meth:`begin` with the same arguments and its host's part will take.

        Computes nothing of the architecture; a short measurement of the device may come first.
        """
        ...

    def expect(self, architectures: Iterable[Architecture]) -> None:
        """Called once before a ranking with all of its architectures, to prepare what they share.

        Changes no result.
        """
        ...

    def begin(self, architecture: Architecture, scores: Sequence[Any]) -> Callable[[], Evaluation]:
        """Do the device's part for the given scores of an architecture, all of this source.

        Returns:
            The host's part, which a ranking calls in another thread while it begins the next
            architecture: no JAX in it.
        """
        ...


class Score(Protocol):
    """A named number of an architecture. :class:`KernelScore` is an example."""

    @property
    def name(self) -> str:
        """The name on the command line and in records, for example ``nngp:loo_error``."""
        ...

    @property
    def higher_is_better(self) -> bool:
        """Whether a larger value promises a better architecture."""
        ...

    @property
    def source(self) -> Source:
        """Where the score comes from."""
        ...

    def settings(self) -> dict[str, Any]:
        """What identifies the score in the records of a run, as JSON values."""
        ...


def check_scores(scores: Sequence[Score]) -> None:
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


def evaluate_scores(architecture: Architecture, scores: Sequence[Score]) -> Evaluation:
    """All scores of one architecture, each source evaluated once.

    A value that is not finite counts as degenerate; an error that is not finite as not known.
    """
    return begin_scores(architecture, scores)()


def begin_scores(architecture: Architecture, scores: Sequence[Score]) -> Callable[[], Evaluation]:
    """The device's part of :func:`evaluate_scores`; what is returned does the host's."""
    begun = [source.begin(architecture, members) for source, members in by_source(scores)]
    return lambda: joined(finish() for finish in begun)


def cost_of_scores(architecture: Architecture, scores: Sequence[Score]) -> Cost:
    """What :func:`evaluate_scores` will take."""
    costs = [source.cost(architecture, members) for source, members in by_source(scores)]
    return sum(costs, Cost())


def by_source(scores: Iterable[Score]) -> list[tuple[Source, list[Score]]]:
    """The scores that are evaluated together, with their source."""
    groups: dict[Source, list[Score]] = {}
    for score in scores:
        groups.setdefault(score.source, []).append(score)
    return list(groups.items())


def joined(evaluations: Iterable[Evaluation]) -> Evaluation:
    """Evaluations of different scores of one architecture as one; nothing in it is not finite."""
    values: dict[str, ScoreValue] = {}
    degenerate: dict[str, str] = {}
    settings: dict[str, Any] = {}
    for evaluation in evaluations:
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
    return Evaluation(values, degenerate, settings)
