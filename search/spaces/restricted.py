"""Some of a space's candidates as a space: those of a table of measured values, for instance."""

from __future__ import annotations

import hashlib
import random
from collections import defaultdict
from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import combinations
from typing import Any

import numpy as np

from kernas.errors import ArchitectureError, ConfigurationError
from kernas.kernels import Architecture

from .abilities import Distributed, Encoded, has, require
from .base import Candidate, Family, Picture, Space, check_sample_size, distinct

RADIUS = 2
"""Parts in which neighbours differ at most: those of a few candidates among many are rare at 1."""


@dataclass(frozen=True)
class RestrictedSpace(Space):
    """Candidates of another space, and no others, so that strategies search among them.

    Neighbours differ in at most two of the other space's parameters, mutation goes to any of them
    (or, from a candidate that has none, anywhere), and values that no candidate has are those of
    the nearest one that differs in the fewest parameters, the first of equals. Candidates belong to
    the other space, with all that is compiled for it.

    Args:
        space: ``Distributed``, whose parameters are lists of choices.
        names: of the candidates, one or more.

    Raises:
        ArchitectureError: a name is none of the other space's.
        ConfigurationError: there are none, or the space has no such parameters.

    >>> from kernas.search import NasBench201
    >>> space = RestrictedSpace(NasBench201(1), [NasBench201(1).candidate(n).name for n in (5, 9)])
    >>> space.size()
    2
    """

    space: Space
    names: Sequence[str] = field(repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "names", tuple(dict.fromkeys(self.names)))
        if not self.names:
            raise ConfigurationError("no candidates are left: expected the names of one or more")
        distributions = require(self.space, Distributed).distributions()
        ranges = [name for name, of in distributions.items() if not isinstance(of, list)]
        if ranges:
            raise ConfigurationError(
                f"space {self.space.name!r} cannot be restricted: {ranges[0]} is a range, expected "
                "lists of choices"
            )

    @property
    def name(self) -> str:
        """How many of what."""
        return f"{len(self.names)} of {self.space.name}"

    @property
    def whole(self) -> Space:
        """The other space, whose truths, programs and trainings are for these candidates too."""
        return self.space.whole

    def settings(self) -> dict[str, Any]:
        """The other space's, how many candidates, and a digest of their names."""
        digest = hashlib.sha256("\n".join(sorted(self.names)).encode()).hexdigest()[:16]
        return {
            "name": self.name,
            "of": self.space.settings(),
            "candidates": len(self.names),
            "names": digest,
        }

    @cached_property
    def _values(self) -> dict[tuple[Hashable, ...], Candidate]:
        """The values of each candidate's parameters."""
        able = require(self.space, Distributed)
        members = map(self.space.candidate, self.names)
        return {tuple(able.values_of(one).values()): one for one in members}

    @cached_property
    def _near(self) -> Mapping[Hashable, list[tuple[Hashable, ...]]]:
        """Values of which ``RADIUS`` are left out → the candidates that have the others."""
        found: dict[Hashable, list[tuple[Hashable, ...]]] = defaultdict(list)
        for values in self._values:
            for key in _left_out(values):
                found[key].append(values)
        return found

    def _values_of(self, candidate: Candidate) -> tuple[Hashable, ...]:
        return tuple(require(self.space, Distributed).values_of(candidate).values())

    def candidate(self, given: Any, /) -> Candidate:
        """As the other space makes it.

        Raises:
            ArchitectureError: it is none of these candidates.
        """
        candidate = self.space.candidate(given)
        if self._values_of(candidate) not in self._values:
            raise ArchitectureError(f"{candidate.name} is none of the {self.name}")
        return candidate

    def architecture(self, genotype: Any, /) -> Architecture:
        """As the other space builds it."""
        return self.space.architecture(genotype)

    def sample(self, n: int, seed: int = 0) -> list[Candidate]:
        """``n`` of them, no two the same network."""
        check_sample_size(n)
        names = list(self.names)
        random.Random(seed).shuffle(names)
        return distinct(map(self.space.candidate, names), n, of=f"candidates in {self.name}")

    def cover(self, image_shape: Sequence[int]) -> Sequence[Architecture]:
        """The other space's."""
        return self.space.cover(image_shape)

    def family(self, genotype: Any, /) -> Family:
        """The other space's."""
        return self.space.family(genotype)

    def check_shape(self, image_shape: Sequence[int]) -> None:
        """As the other space does."""
        self.space.check_shape(image_shape)

    def pictures(self, genotype: Any) -> list[Picture]:
        """The other space's."""
        return self.space.pictures(genotype)

    def refuses_kernels(self) -> str | None:
        """What the other space says."""
        return self.space.refuses_kernels()

    def refuses(self, ability: type) -> str | None:
        """An encoding is the other space's."""
        if ability is Encoded and not has(self.space, Encoded):
            return f"{self.space.name} has none"
        return None

    def enumerate(self) -> Iterator[Candidate]:
        """All, in the order given."""
        yield from self._values.values()

    def size(self) -> int:
        """How many."""
        return len(self._values)

    def neighbours(self, candidate: Candidate) -> list[Candidate]:
        """Those that differ in one or two parameters, in the order given."""
        own = self._values_of(candidate)
        near = {values for key in _left_out(own) for values in self._near.get(key, ())}
        return [one for values, one in self._values.items() if values in near and values != own]

    def mutate(self, candidate: Candidate, rng: random.Random) -> Candidate:
        """A neighbour; of a candidate that has none, any other."""
        near = self.neighbours(candidate)
        if not near:
            own = self._values_of(candidate)
            near = [one for values, one in self._values.items() if values != own] or [candidate]
        return rng.choice(near)

    def encode(self, candidate: Candidate) -> np.ndarray:
        """The other space's code."""
        return require(self.space, Encoded).encode(candidate)

    def distributions(self) -> dict[str, Any]:
        """The other space's."""
        return require(self.space, Distributed).distributions()

    def values_of(self, candidate: Candidate) -> dict[str, Any]:
        """The other space's."""
        return require(self.space, Distributed).values_of(candidate)

    def candidate_of(self, values: Mapping[str, Any]) -> Candidate:
        """The nearest candidate that there is."""
        asked = require(self.space, Distributed).candidate_of(values)
        own = self._values_of(asked)
        if own in self._values:
            return self._values[own]
        near = {other for key in _left_out(own) for other in self._near.get(key, ())}
        among = [other for other in self._values if other in near] or self._values
        return self._values[min(among, key=lambda other: _distance(own, other))]


def _left_out(values: tuple[Hashable, ...]) -> Iterator[Hashable]:
    for places in combinations(range(len(values)), min(RADIUS, len(values))):
        yield places, tuple(value for at, value in enumerate(values) if at not in places)


def _distance(one: Sequence[Hashable], other: Sequence[Hashable]) -> int:
    return sum(a != b for a, b in zip(one, other, strict=True))
