"""A space's parameters as lists of options, for strategies that choose among them, and one of them
that is climbed."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from kernas.errors import ConfigurationError

from ..spaces import Candidate, Space
from ..spaces.abilities import Distributed, Distribution, LogRange, place, require

BINS = 8
"""Equal parts that a range is cut into; the middle of each is an option."""


@dataclass(frozen=True)
class Options:
    """The parameters of a space, each with finitely many options.

    Attributes:
        space: whose.
        of: parameter → its options, in the space's order.
    """

    space: Space
    of: Mapping[str, Sequence[Any]]

    @classmethod
    def in_space(cls, space: Space) -> Options:
        """Lists as they are, ranges by the middles of ``BINS`` equal parts.

        Raises:
            ConfigurationError: the space is not ``Distributed``.
        """
        distributions = require(space, Distributed).distributions()
        return cls(space, {name: _options(given) for name, given in distributions.items()})

    @property
    def sizes(self) -> tuple[int, ...]:
        """How many options each parameter has."""
        return tuple(map(len, self.of.values()))

    def candidate(self, chosen: Sequence[int]) -> Candidate:
        """That of an option of each parameter."""
        values = {
            name: options[number]
            for (name, options), number in zip(self.of.items(), chosen, strict=True)
        }
        return require(self.space, Distributed).candidate_of(values)

    def chosen(self, candidate: Candidate) -> tuple[int, ...]:
        """The option of each parameter, for a range the part that the number is in."""
        able = require(self.space, Distributed)
        values, distributions = able.values_of(candidate), able.distributions()
        return tuple(_number(values[name], distributions[name]) for name in self.of)


Rest = tuple[tuple[str, Any], ...]
"""The values of a candidate's other parameters."""


@dataclass(frozen=True)
class Ladder:
    """A parameter of a space that makes a candidate cost more, and say more.

    Attributes:
        space: whose.
        fidelity: the parameter.
        levels: its values, the least first.
    """

    space: Space
    fidelity: str
    levels: Sequence[float]

    @classmethod
    def of(cls, space: Space, fidelity: str) -> Ladder:
        """That of a list of two numbers or more.

        Raises:
            ConfigurationError: the space has no such parameter.
        """
        of: Any = require(space, Distributed).distributions().get(fidelity)
        numbers = isinstance(of, list) and all(isinstance(one, int | float) for one in of)
        if not numbers or len(of) < 2:
            raise ConfigurationError(
                f"space {space.name!r} has no parameter {fidelity!r} of two numbers or more, which "
                f"is climbed here: {space.name} @ {fidelity}=1|3|9 has one"
            )
        return cls(space, fidelity, sorted(of))

    def candidate(self, rest: Rest, level: int) -> Candidate:
        """That of the other values at a level, a place in ``levels``."""
        values = {**dict(rest), self.fidelity: self.levels[level]}
        return require(self.space, Distributed).candidate_of(values)

    def place(self, candidate: Candidate) -> tuple[int, Rest]:
        """The level of a candidate, and its other values."""
        values = dict(require(self.space, Distributed).values_of(candidate))
        level = self.levels.index(values.pop(self.fidelity))
        return level, tuple(values.items())


def _options(given: Distribution) -> list[Any]:
    if isinstance(given, list):
        return given
    middles = [(part + 0.5) / BINS for part in range(BINS)]
    if isinstance(given, LogRange):
        return [given.low ** (1 - u) * given.high**u for u in middles]
    low, high = given
    return [low + u * (high - low) for u in middles]


def _number(value: Any, given: Distribution) -> int:
    if isinstance(given, list):
        return given.index(value)
    return min(max(math.floor(place(value, given) * BINS), 0), BINS - 1)
