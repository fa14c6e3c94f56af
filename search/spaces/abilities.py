"""What a space may be able to do beyond drawing candidates; a strategy asks for what it needs.

An ability is a protocol: a space has it if it has its methods. ``require(space, Mutable)`` refuses
the others by name.
"""

from __future__ import annotations

import random
from collections.abc import Hashable, Iterator, Mapping
from typing import Any, Protocol, TypeVar, cast, runtime_checkable

import numpy as np

from kernas.errors import ConfigurationError
from kernas.kernels import Architecture

from .base import Candidate, Space

Distribution = list[Hashable] | tuple[float, float]
"""A list of choices, or a range ``(low, high)`` of which numbers are drawn uniformly."""


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


ABILITIES = (Enumerable, Mutable, Neighbouring, Crossing, Encoded, Distributed, Slotted)

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
