"""A user's own space: a function from named choices to a network."""

from __future__ import annotations

import keyword
import math
import random
from abc import abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property
from typing import Any

from kernas.errors import ArchitectureError, ConfigurationError
from kernas.kernels import Architecture

from .abilities import Distribution, LogRange
from .base import PATIENCE, Candidate, check_sample_size, distinct, in_a_line, shape_given
from .sampled_cover import cover_by_draws
from .tuples import TupleSpace, label

SHUFFLED = 2**14
"""A space of no more tuples is sampled by a random order of all of them."""

Cover = Sequence[Architecture] | Callable[[tuple[int, ...]], Sequence[Architecture]]


class BuiltSpace(TupleSpace):
    """A space of tuples whose networks a function of the choices builds."""

    @abstractmethod
    def built(self, values: dict[str, Any]) -> Architecture:
        """The network of one value for each choice."""

    def architecture(self, genotype: tuple[Any, ...]) -> Architecture:
        """The network of a genotype.

        Raises:
            ArchitectureError: it cannot be built; whatever was raised is in the message.
        """
        name = self.name_of(genotype)
        try:
            network = self.built(self.values(genotype))
        except Exception as error:
            raise ArchitectureError(f"{name}: {in_a_line(error)}") from error
        if not isinstance(network, Architecture):
            raise ArchitectureError(
                f"{name}: build returned {network!r:.80}, expected an Architecture, for example "
                "serial(Flatten(), Dense())"
            )
        return network

    def sample(self, n: int, seed: int = 0) -> list[Candidate]:
        """Candidates drawn uniformly without repeats of one network.

        Those that cannot be built are candidates too, whose rows say why.

        Args:
            n: how many, >= 1.
            seed: fixes the order; ``sample(m)`` begins with ``sample(n)`` for n < m.

        Raises:
            ConfigurationError: n < 1, or more than there are different networks.
        """
        rng = random.Random(seed)
        endless = any(isinstance(of, tuple) for of in self.choices.values())
        check_sample_size(n, None if endless else self.size())
        if endless or self.size() > SHUFFLED:
            drawn = iter(lambda: self.draw(rng), None)
            return distinct(drawn, n, patience=PATIENCE)
        shuffled = list(self.enumerate())
        rng.shuffle(shuffled)
        return distinct(shuffled, n)

    def cover(self, image_shape: Sequence[int]) -> Sequence[Architecture]:
        """Networks drawn until 1,000 draws need no new operation, gains left out."""
        return cover_by_draws(self, shape_given(image_shape))

    def check_shape(self, image_shape: Sequence[int]) -> None:
        """Refuse what is no shape; a network that does not fit says so in its row.

        Raises:
            ConfigurationError: it is none.
        """
        shape_given(image_shape)


class ChoiceSpace(BuiltSpace):
    """A space of your own: choices by name, and a function that builds a network of them.

    A list holds the values of a choice, which may be anything hashable whose texts differ: numbers,
    texts, layers, functions. A pair of floats, ``(0.5, 2.0)``, is a range of which numbers are
    drawn uniformly, ``LogRange(0.01, 1.0)`` one of which their logarithms are. The space can do all
    that :mod:`kernas.search.spaces.abilities` names, and be enumerated if it has no range.

    Args:
        build: a function from the choices, as keyword arguments, to an ``Architecture``. What it
            raises becomes the row of the candidate. In a module, and not within another function,
            candidates can be sent to other processes, and ``--space module:attribute`` finds it.
        choices: see above.
        name: in records.
        cover: networks, or a function of ``image_shape`` that gives them, whose operations are all
            that candidates need; ``None`` draws them when they are asked for.

    Raises:
        ConfigurationError: a choice is no list and no range, or two of its values are equal.

    >>> from kernas.kernels import Dense, Flatten, Relu, serial
    >>> def build(depth, W_std):
    ...     return serial(Flatten(), *[Dense(W_std=W_std), Relu()] * depth, Dense())
    >>> space = ChoiceSpace(build, {"depth": [1, 2, 3], "W_std": (1.0, 2.0)})
    >>> space.candidate("depth=2,W_std=1.5").architecture
    <Architecture 7 nodes, 3 weight layers>
    """

    def __init__(
        self,
        build: Callable[..., Architecture],
        choices: Mapping[str, Iterable[Any]],
        *,
        name: str = "choices",
        cover: Cover | None = None,
    ) -> None:
        if not callable(build):
            raise ConfigurationError(
                f"build={build!r:.60}: expected a function from choices to an Architecture"
            )
        if not isinstance(name, str) or not name.isprintable() or not name:
            raise ConfigurationError(f"name={name!r:.60}: expected a text of one line")
        if not isinstance(choices, Mapping) or not choices:
            raise ConfigurationError(
                f'choices={choices!r:.60}: expected lists by name, for example {{"depth": [2, 4]}}'
            )
        self.build = build
        self._choices = _checked_texts({key: _checked(key, of) for key, of in choices.items()})
        self._name = name
        self._cover = cover if cover is None or callable(cover) else tuple(cover)

    @property
    def name(self) -> str:
        """The name in records."""
        return self._name

    @property
    def choices(self) -> dict[str, Distribution]:
        """By name, a list of values or a range."""
        return self._choices

    @cached_property
    def _identity(self) -> tuple[Any, ...]:
        choices = tuple((key, type(of), *of) for key, of in self._choices.items())
        return self.build, choices, self._name, self._cover

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, ChoiceSpace) or type(self) is not type(other):
            return False  # a subclass may have another template, or mutate otherwise
        return self._identity == other._identity

    def __hash__(self) -> int:
        return hash(self._identity)

    def __repr__(self) -> str:
        return f"<ChoiceSpace {self.name!r}: {', '.join(self._choices)}>"

    def built(self, values: dict[str, Any]) -> Architecture:
        """What ``build`` makes of one value for each choice."""
        return self.build(**values)

    def settings(self) -> dict[str, Any]:
        """The name, the choices, and where the function comes from."""
        shown = {key: _shown(of) for key, of in self._choices.items()}
        where = (getattr(self.build, part, "?") for part in ("__module__", "__qualname__"))
        return {"name": self.name, "choices": shown, "build": ":".join(where)}

    def recognises(self, text: str) -> bool:
        """Whether a text begins like a candidate's name, ``choice=…``."""
        return text.strip().startswith(f"{next(iter(self._choices))}=")

    def cover(self, image_shape: Sequence[int]) -> Sequence[Architecture]:
        """The networks that were given, or networks drawn until 1,000 draws need nothing new."""
        if self._cover is None:
            return super().cover(image_shape)
        return self._cover(shape_given(image_shape)) if callable(self._cover) else self._cover


def _shown(of: Distribution) -> Any:
    """A choice as JSON values."""
    if isinstance(of, LogRange):
        return {"log": list(of)}
    return list(of) if isinstance(of, tuple) else [label(value) for value in of]


def _checked(key: str, of: Any) -> Distribution:
    """A choice, which is a list of different values or a range.

    Raises:
        ConfigurationError: it is neither.
    """
    if not isinstance(key, str) or not key.isidentifier() or keyword.iskeyword(key):
        raise ConfigurationError(f"choice {key!r:.60}: expected the name of an argument of build")
    if isinstance(of, list) and of:
        try:
            different = len(set(of)) == len(of) == len(set(map(label, of)))
        except TypeError:
            raise ConfigurationError(
                f"{key}={of!r:.80}: expected hashable values; write lists as tuples"
            ) from None
        if not different:
            raise ConfigurationError(
                f"{key}={of!r:.80}: two values are equal or have the same text; give each once, "
                "and layers of equal texts by names that build looks up"
            )
        return list(of)
    if (
        isinstance(of, tuple)
        and len(of) == 2
        and all(isinstance(end, float) and math.isfinite(end) for end in of)
        and of[0] < of[1]
        and (of[0] > 0 or not isinstance(of, LogRange))
    ):
        return of
    raise ConfigurationError(
        f"{key}={of!r:.80}: expected a list of values, [1, 2], or a range of floats, (0.5, 2.0), "
        "or LogRange(0.5, 2.0) of floats > 0"
    )


def _checked_texts(choices: dict[str, Distribution]) -> dict[str, Distribution]:
    """Choices whose values' texts can be told apart in a name.

    Raises:
        ConfigurationError: a text holds the beginning of another choice, or no line.
    """
    for key, of in choices.items():
        for value in of if isinstance(of, list) else ():
            text = label(value)
            if not text.isprintable() or any(f"{other}=" in text for other in choices):
                raise ConfigurationError(
                    f"{key}={text!r:.80}: expected a text of one line without "
                    f"{' or '.join(f'{other}=' for other in choices)}; give a name in its place, "
                    "and have build look it up"
                )
    return choices
