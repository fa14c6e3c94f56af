"""Spaces whose genotypes are tuples: one value for each of some named choices.

All abilities follow from the choices. A choice is a list of hashable values, or a range
``(low, high)`` of floats, which may be a :class:`LogRange`.
"""

from __future__ import annotations

import itertools
import math
import random
from abc import abstractmethod
from collections.abc import Hashable, Iterator, Mapping
from typing import Any

import numpy as np

from kernas.errors import ArchitectureError, ConfigurationError

from .abilities import Distribution, Enumerable, drawn, place
from .base import Candidate, Space, genotype_of

Genotype = tuple[Any, ...]
PLAIN = (str, int, float, bool, type(None))
"""What samplers of other packages take as a choice; other values go by their labels."""


class TupleSpace(Space):
    """A space of tuples, one value for each of :attr:`choices`, in their order."""

    @property
    @abstractmethod
    def choices(self) -> Mapping[str, Distribution]:
        """By name, a list of values or a range."""

    def candidate(self, given: Any) -> Candidate:
        """The candidate of a name ``depth=2,width=1.5``, of a mapping, or of a tuple of values.

        Raises:
            ArchitectureError: a choice is missing or unknown, or has no such value.
        """
        if isinstance(given, str):
            given = self._split(given)
        if isinstance(given, Mapping):
            given = self._in_order(given)
        if not isinstance(given, tuple) or len(given) != len(self.choices):
            raise ArchitectureError(
                f"{given!r:.120} is none of the space {self.name!r}: expected one value for each "
                f"of {', '.join(self.choices)}"
            )
        pairs = zip(self.choices, given, strict=True)
        genotype = tuple(self._value(name, value) for name, value in pairs)
        return Candidate(self, genotype, self.name_of(genotype))

    def name_of(self, genotype: Genotype) -> str:
        """The text of a genotype."""
        pairs = zip(self.choices, genotype, strict=True)
        return ",".join(f"{name}={label(value)}" for name, value in pairs)

    def values(self, genotype: Genotype) -> dict[str, Any]:
        """A genotype's values by name."""
        return dict(zip(self.choices, genotype, strict=True))

    def draw(self, rng: random.Random) -> Candidate:
        """A candidate, each of its values drawn from its choice."""
        return self.candidate(tuple(drawn(of, rng) for of in self.choices.values()))

    def refuses(self, ability: type) -> str | None:
        """Why it cannot be enumerated, if it cannot."""
        endless = [name for name, of in self.choices.items() if isinstance(of, tuple)]
        if ability is not Enumerable or not endless:
            return None
        return (
            f"{endless[0]} is a range and has no end of values; give a list of values in its place"
        )

    def size(self) -> int:
        """How many tuples there are.

        Raises:
            ConfigurationError: a choice is a range.
        """
        reason = self.refuses(Enumerable)
        if reason is not None:
            raise ConfigurationError(f"space {self.name!r} is not Enumerable: {reason}")
        return math.prod(len(of) for of in self.choices.values())

    def enumerate(self) -> Iterator[Candidate]:
        """Every tuple, the last choice varying fastest.

        Raises:
            ConfigurationError: a choice is a range.
        """
        self.size()
        return map(self.candidate, itertools.product(*self.choices.values()))

    def mutate(self, candidate: Candidate, rng: random.Random) -> Candidate:
        """Another value of one choice, drawn uniformly among those that have another.

        Raises:
            ConfigurationError: no choice has another.
        """
        genotype = genotype_of(self, candidate)
        free = [
            (index, of)
            for index, of in enumerate_(self.choices.values())
            if isinstance(of, tuple) or len(of) > 1
        ]
        if not free:
            raise ConfigurationError(f"space {self.name!r} has one candidate, which has no other")
        index, of = rng.choice(free)
        value = genotype[index]
        while value == genotype[index]:
            value = drawn(of, rng)
        return self.candidate((*genotype[:index], value, *genotype[index + 1 :]))

    def neighbours(self, candidate: Candidate) -> list[Candidate]:
        """All tuples that differ in one listed choice; values of ranges stay as they are."""
        genotype = genotype_of(self, candidate)
        return [
            self.candidate((*genotype[:index], value, *genotype[index + 1 :]))
            for index, of in enumerate_(self.choices.values())
            if isinstance(of, list)
            for value in of
            if value != genotype[index]
        ]

    def crossover(self, first: Candidate, second: Candidate, rng: random.Random) -> Candidate:
        """Every value from one of two candidates, drawn evenly."""
        pairs = zip(genotype_of(self, first), genotype_of(self, second), strict=True)
        return self.candidate(tuple(rng.choice(pair) for pair in pairs))

    def encode(self, candidate: Candidate) -> np.ndarray:
        """One-hot of every listed choice; a number of a range between 0, low, and 1, high."""
        parts: list[float] = []
        for value, of in zip(genotype_of(self, candidate), self.choices.values(), strict=True):
            if isinstance(of, tuple):
                parts.append(place(value, of))
            else:
                parts += [float(value == known) for known in of]
        return np.array(parts)

    def distributions(self) -> dict[str, Distribution]:
        """The choices; values that are no numbers, texts, booleans or ``None`` by their text."""
        return {
            name: of
            if isinstance(of, tuple)
            else [value if isinstance(value, PLAIN) else label(value) for value in of]
            for name, of in self.choices.items()
        }

    def candidate_of(self, values: Mapping[str, Any]) -> Candidate:
        """The candidate of one value for each choice.

        Raises:
            ArchitectureError: a choice is missing or unknown, or has no such value.
        """
        return self.candidate(self._in_order(values))

    def values_of(self, candidate: Candidate) -> dict[str, Any]:
        """Its values, as :meth:`distributions` names them."""
        values = self.values(genotype_of(self, candidate))
        return {
            name: value if isinstance(value, PLAIN) else label(value)
            for name, value in values.items()
        }

    def _split(self, text: str) -> dict[str, str]:
        """The texts of values by name; each ends where the next name begins."""
        values: dict[str, str] = {}
        rest = text.strip()
        for name in reversed(list(self.choices)):
            before, found, value = rest.rpartition(f"{name}=")
            before = before.rstrip()
            if not found or (before and not before.endswith(",")):
                raise ArchitectureError(
                    f"{text!r:.120} is none of the space {self.name!r}: expected "
                    f"{','.join(f'{known}=…' for known in self.choices)}"
                )
            values[name], rest = value.strip(), before.removesuffix(",").rstrip()
        if rest:
            raise ArchitectureError(
                f"{text!r:.120} begins with {rest!r:.40}: the space {self.name!r} has the choices "
                f"{', '.join(self.choices)}"
            )
        return values

    def _in_order(self, values: Mapping[str, Any]) -> Genotype:
        for problem, names in (
            ("lacks", [name for name in self.choices if name not in values]),
            ("has the unknown", [name for name in values if name not in self.choices]),
        ):
            if names:
                raise ArchitectureError(
                    f"{dict(values)!r:.120} {problem} {names[0]!r}: expected one value for each of "
                    f"{', '.join(self.choices)}"
                )
        return tuple(values[name] for name in self.choices)

    def _value(self, name: str, given: Any) -> Any:
        """The value of a choice that is meant by itself or by its text."""
        of = self.choices[name]
        if isinstance(of, list):
            for known in of:
                if type(known) is type(given) and known == given:
                    return known
            for known in of:
                if label(known) == given or (known == given and not isinstance(given, str)):
                    return known
            shown = ", ".join(map(label, of))
        else:
            try:
                number = float(given)
            except (TypeError, ValueError):
                number = math.nan
            if of[0] <= number <= of[1]:
                return number
            shown = f"a number from {of[0]:g} to {of[1]:g}"
        raise ArchitectureError(
            f"{name}={given!r:.60} is no value of the space {self.name!r}: expected "
            f"{'one of ' if isinstance(of, list) else ''}{shown}"
        )


enumerate_ = enumerate  # inside the class the name is that of its method


def label(value: Hashable) -> str:
    """The text of a value in a candidate's name: of a function its name."""
    if isinstance(value, PLAIN):
        return str(value)
    return str(getattr(value, "__name__", value))
