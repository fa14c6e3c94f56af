"""What a space may be able to do beyond drawing candidates; a strategy asks for what it needs.

An ability is a protocol: a space has it if it has its methods. ``require(space, Mutable)`` refuses
the others by name.
"""

from __future__ import annotations

import math
import random
from collections.abc import Hashable, Iterator, Mapping
from typing import Any, NamedTuple, Protocol, TypeVar, cast, runtime_checkable

import numpy as np

from kernas.errors import ConfigurationError
from kernas.kernels import Architecture

from .base import Candidate, Space


class LogRange(NamedTuple):
    """A range of numbers > 0 of which the logarithms are drawn uniformly: ``low^(1-u) high^u``
    with ``u`` uniform in [0, 1].

    Args:
        low: its least number, > 0.
        high: its largest, > low.
    """

    low: float
    high: float


Distribution = list[Hashable] | tuple[float, float]
"""A list of choices, or a range ``(low, high)`` of which numbers are drawn uniformly; a
:class:`LogRange` is a range too, and who suggests numbers asks for it first."""


def drawn(of: Distribution, rng: random.Random) -> Any:
    """A value of a distribution."""
    if isinstance(of, LogRange):
        value = math.exp(rng.uniform(*map(math.log, of)))
        return min(max(value, of.low), of.high)
    return rng.uniform(*of) if isinstance(of, tuple) else rng.choice(of)


def place(value: float, of: tuple[float, float]) -> float:
    """Where a number of a range is between 0, its low end, and 1, its high one."""
    if isinstance(of, LogRange):
        return math.log(value / of.low) / math.log(of.high / of.low)
    return (value - of[0]) / (of[1] - of[0])


@runtime_checkable
class Enumerable(Protocol):
    """A space of finitely many genotypes."""

    def enumerate(self) -> Iterator[Candidate]:
        """Every genotype as a candidate, in a fixed order; several may be the same network."""
        ...

    def size(self) -> int:
        """How many :meth:`enumerate` gives."""
        ...


@runtime_checkable
class Mutable(Protocol):
    """A space in which a candidate has a random neighbour."""

    def mutate(self, candidate: Candidate, rng: random.Random) -> Candidate:
        """A candidate that differs in one part of its genotype."""
        ...


@runtime_checkable
class Neighbouring(Protocol):
    """A space in which a candidate has finitely many neighbours."""

    def neighbours(self, candidate: Candidate) -> list[Candidate]:
        """All that differ in one part; each of them has the candidate among its own."""
        ...


@runtime_checkable
class Crossing(Protocol):
    """A space in which two candidates have children."""

    def crossover(self, first: Candidate, second: Candidate, rng: random.Random) -> Candidate:
        """A candidate each part of which comes from one of two others."""
        ...


@runtime_checkable
class Encoded(Protocol):
    """A space whose candidates are points, for models of scores."""

    def encode(self, candidate: Candidate) -> np.ndarray:
        """A vector of floats in [0, 1], equally long for all candidates of the space."""
        ...


@runtime_checkable
class Distributed(Protocol):
    """A space whose candidates are values of named parameters, for samplers that suggest them."""

    def distributions(self) -> dict[str, Distribution]:
        """By name, a list of choices (numbers, texts, booleans, ``None``) or a range."""
        ...

    def candidate_of(self, values: Mapping[str, Any]) -> Candidate:
        """The candidate of one value for each name.

        Raises:
            ArchitectureError: a name or a value is not among the distributions.
        """
        ...

    def values_of(self, candidate: Candidate) -> dict[str, Any]:
        """Values of which :meth:`candidate_of` makes the candidate again."""
        ...


@runtime_checkable
class Slotted(Protocol):
    """A space whose networks differ in what stands in the slots of few templates.

    ``filled(template(candidate), slots(candidate))`` is the candidate's network, so that one
    compiled program computes the finite networks of all candidates of a template.
    """

    def template(self, candidate: Candidate) -> Architecture:
        """A network with slots (:class:`kernas.kernels.architecture.Slot`)."""
        ...

    def slots(self, candidate: Candidate) -> tuple[int, ...]:
        """The numbers of the branches that fill the slots."""
        ...


@runtime_checkable
class Reciped(Protocol):
    """A space that chooses how its candidates are trained, too.

    One network may belong to several candidates: what trains tells them apart, and all else, such
    as a kernel, is that of the network.
    """

    def recipe(self, candidate: Candidate) -> Mapping[str, Any]:
        """Values by their names in :class:`kernas.search.TrainingSettings`, as JSON values; what it
        does not name is as in the recipe that a training is given."""
        ...


ABILITIES = (Enumerable, Mutable, Neighbouring, Crossing, Encoded, Distributed, Slotted, Reciped)

Ability = TypeVar("Ability")


def has(space: Space, ability: type) -> bool:
    """Whether a space has an ability."""
    return isinstance(space, ability) and space.refuses(ability) is None


def require(space: Space, ability: type[Ability]) -> Ability:
    """The space, if it has an ability.

    Raises:
        ConfigurationError: it has not; the message names both.
    """
    if not isinstance(space, ability):
        able = [known.__name__ for known in ABILITIES if has(space, known)]
        raise ConfigurationError(
            f"space {space.name!r} is not {ability.__name__}, but only {', '.join(able) or 'drawn'}"
            "; choose a strategy that asks for less, or another space"
        )
    reason = space.refuses(ability)
    if reason is not None:
        raise ConfigurationError(f"space {space.name!r} is not {ability.__name__}: {reason}")
    return cast(Ability, space)


def chosen_recipe(candidate: Candidate) -> dict[str, Any]:
    """What a candidate's space chooses of its training: nothing, unless it is :class:`Reciped`."""
    if not has(candidate.space, Reciped):
        return {}
    return dict(require(candidate.space, Reciped).recipe(candidate))
