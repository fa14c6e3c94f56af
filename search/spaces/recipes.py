"""Spaces that choose how a candidate is trained: alone, or together with its network."""

from __future__ import annotations

import math
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from kernas.errors import ArchitectureError, ConfigurationError
from kernas.kernels import Architecture

from .abilities import (
    Crossing,
    Distributed,
    Distribution,
    Encoded,
    Enumerable,
    LogRange,
    Mutable,
    Neighbouring,
    Reciped,
    Slotted,
    chosen_recipe,
    has,
    place,
    require,
)
from .base import (
    PATIENCE,
    Candidate,
    Family,
    Picture,
    Space,
    check_sample_size,
    distinct,
    genotype_of,
)
from .choices import SHUFFLED, ChoiceSpace

BETWEEN = " @ "
"""What stands in a name between the network's and the recipe's."""

CHOSEN = ("learning_rate", "batch_size", "epochs")
"""What a recipe may choose."""

RANGE, EITHER = "..", "|"
"""Between the ends of a range, and between the values of a list, in a text."""

WALKED = (Mutable, Neighbouring, Crossing, Encoded, Distributed)
"""Abilities that recipes have by themselves, where there is one network alone."""


@dataclass(frozen=True)
class RecipeSpace(Space):
    """Candidates of another space, each with a learning rate, a batch size and epochs of its own.

    A candidate is called ``CELL @ learning_rate=0.05,batch_size=32``, and is the pair of the other
    space's genotype and of these values. Whatever trains takes them in place of those of its recipe
    (:class:`kernas.search.TrainScore`, :func:`kernas.search.train`); what is not given here is as
    there. Candidates of one network have one kernel, which is computed once.

    The space can do what the other one can, with recipes that are drawn, mutated, crossed and
    encoded beside the networks: a mutation changes the one or the other with equal odds, a code has
    one number more for each value, its place on a logarithmic scale. A range has no end of values,
    with which a space is neither ``Enumerable`` nor ``Neighbouring``. To search recipes alone, give
    an ``ArchitectureList`` of one network. As a text it is that of the other space with what is
    chosen behind: ``nasbench201:cells=1 @ learning_rate=0.01..0.3,batch_size=32|64``.

    Args:
        space: of the networks.
        learning_rate: a range ``(low, high)`` with 0 < low < high, drawn so that its logarithm is
            uniform, or a list of rates > 0.
        batch_size: a list of images of a step, each >= 2.
        epochs: a list of passes over the images, each >= 1; they take the place of a recipe's
            ``steps`` too.

    Raises:
        ConfigurationError: nothing is given to choose among, a value is out of its range, or the
            other space has a choice of the same name.

    >>> from kernas.search import NasBench201
    >>> space = RecipeSpace(NasBench201(1), learning_rate=(0.01, 0.3), batch_size=[32, 64])
    >>> cell = "|none~0|+|none~0|none~1|+|skip_connect~0|none~1|none~2|"
    >>> space.recipe(space.candidate(f"{cell} @ learning_rate=0.05,batch_size=32"))
    {'learning_rate': 0.05, 'batch_size': 32}
    """

    space: Space
    learning_rate: tuple[float, float] | list[float] | None = None
    batch_size: list[int] | None = None
    epochs: list[int] | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.space, Space):
            raise ConfigurationError(
                f"space={self.space!r:.60}: expected a space, for example NasBench201(), or an "
                "ArchitectureList of one network"
            )
        if isinstance(self.learning_rate, tuple):
            object.__setattr__(self, "learning_rate", _log_range(self.learning_rate))
        _check_list("learning_rate", self.learning_rate, (int, float), 0, "(0.01, 0.3)")
        _check_list("batch_size", self.batch_size, (int,), 1, "[32, 64]")
        _check_list("epochs", self.epochs, (int,), 0, "[5, 10]")
        if not self._choices:
            raise ConfigurationError(
                "no recipe to choose: expected learning_rate, batch_size or epochs, for example "
                "learning_rate=(0.01, 0.3)"
            )
        _ = self.recipes  # which refuses a list that has a value twice
        other = self.space
        named = require(other, Distributed).distributions() if has(other, Distributed) else ()
        taken = set(named) & set(self._choices)
        if taken:
            raise ConfigurationError(
                f"{min(taken)} is a choice of the space {self.space.name!r} already; leave it out "
                "here, or give that one another name"
            )

    def __hash__(self) -> int:
        return hash((self.space, self.recipes))

    @property
    def name(self) -> str:
        """The other space's name, and what is chosen beside its networks."""
        return f"{self.space.name}{BETWEEN}{','.join(self._choices)}"

    @property
    def _choices(self) -> dict[str, Any]:
        """What is given to choose among, by name."""
        own = {name: getattr(self, name) for name in CHOSEN}
        return {name: of for name, of in own.items() if of is not None}

    @cached_property
    def recipes(self) -> ChoiceSpace:
        """The values as tuples of a space; it has no networks."""
        return ChoiceSpace(_no_network, self._choices, name=self.name)

    def settings(self) -> dict[str, Any]:
        """The name, the other space's settings, and what is chosen among."""
        own = self.recipes.settings()["choices"]
        return {"name": self.name, "space": self.space.settings(), **own}

    def candidate(self, given: Any) -> Candidate:
        """The candidate of a name ``CELL @ learning_rate=0.05,batch_size=32``, or of a pair: a
        genotype or a name of the other space, and the values in any form that a ``ChoiceSpace``
        takes.

        Raises:
            ArchitectureError: it is neither, or a value is not among those to choose.
        """
        pair: Any = given
        if isinstance(given, str):
            network, found, recipe = given.rpartition(BETWEEN)
            pair = (network, recipe) if found else None
        if not isinstance(pair, tuple) or len(pair) != 2:
            wanted = ",".join(f"{name}=…" for name in self._choices)
            raise ArchitectureError(
                f"{given!r:.120} is none of the space {self.name!r}: expected a candidate of "
                f"{self.space.name} and its recipe, NETWORK{BETWEEN}{wanted}"
            )
        return self._joined(self.space.candidate(pair[0]), self.recipes.candidate(pair[1]))

    def architecture(self, genotype: tuple[Any, Any]) -> Architecture:
        """The network, whatever it is trained by."""
        return self.space.architecture(genotype[0])

    def recipe(self, candidate: Candidate) -> Mapping[str, Any]:
        """The values of a candidate by their names."""
        own = self.recipes.values(genotype_of(self, candidate)[1])
        return {**chosen_recipe(self._network(candidate)), **own}

    def draw(self, rng: random.Random) -> Candidate:
        """A network that the other space draws, and a recipe of it."""
        draw = getattr(self.space, "draw", None)
        network = draw(rng) if draw else self.space.sample(1, seed=rng.getrandbits(32))[0]
        return self._joined(network, self.recipes.draw(rng))

    def sample(self, n: int, seed: int = 0) -> list[Candidate]:
        """Candidates drawn independently, no two of them the same network with the same recipe.

        Args:
            n: how many, >= 1.
            seed: fixes the order; ``sample(m)`` begins with ``sample(n)`` for n < m.

        Raises:
            ConfigurationError: n < 1, or more than there are different ones.
        """
        rng = random.Random(seed)
        total = self.size() if has(self, Enumerable) else None
        check_sample_size(n, total)
        if total is None or total > SHUFFLED:
            drawn = iter(lambda: self.draw(rng), None)
            return distinct(drawn, n, key=_identity, patience=PATIENCE)
        shuffled = list(self.enumerate())
        rng.shuffle(shuffled)
        return distinct(shuffled, n, key=_identity)

    def cover(self, image_shape: Sequence[int]) -> Sequence[Architecture]:
        """That of the other space."""
        return self.space.cover(image_shape)

    def family(self, genotype: tuple[Any, Any]) -> Family:
        """That of the network."""
        return self.space.family(genotype[0])

    def check_shape(self, image_shape: Sequence[int]) -> None:
        """Refuse what the other space refuses.

        Raises:
            ConfigurationError, DataError: as there.
        """
        self.space.check_shape(image_shape)

    def pictures(self, genotype: tuple[Any, Any]) -> list[Picture]:
        """Those of the other space's candidate."""
        return self.space.pictures(genotype[0])

    def refuses_kernels(self) -> str | None:
        """What the other space says."""
        return self.space.refuses_kernels()

    def with_only(self, genotype: tuple[Any, Any]) -> RecipeSpace:
        """With what the other space is without all other networks."""
        return replace(self, space=self.space.with_only(genotype[0]))

    def refuses(self, ability: type) -> str | None:
        """What the other space lacks, and what a range cannot do."""
        if ability is Reciped:
            return None
        if not has(self.space, ability) and not (self._is_one and ability in WALKED):
            return f"the space {self.space.name!r} of its networks is not"
        if ability in (Enumerable, Neighbouring):
            return self.recipes.refuses(Enumerable)
        return None

    def enumerate(self) -> Iterator[Candidate]:
        """Every network with every recipe, the recipe varying fastest.

        Raises:
            ConfigurationError: the other space is not ``Enumerable``, or a choice is a range.
        """
        networks = require(self.space, Enumerable)
        self.recipes.size()
        return (
            self._joined(network, recipe)
            for network in networks.enumerate()
            for recipe in self.recipes.enumerate()
        )

    def size(self) -> int:
        """Networks times recipes.

        Raises:
            ConfigurationError: as :meth:`enumerate`.
        """
        return require(self.space, Enumerable).size() * self.recipes.size()

    def mutate(self, candidate: Candidate, rng: random.Random) -> Candidate:
        """Another network with the same recipe, or the same network with another value of it.

        Raises:
            ConfigurationError: there is no other.
        """
        network, recipe = self._parts(candidate)
        choices = self.recipes.choices.values()
        is_fixed = all(isinstance(of, list) and len(of) == 1 for of in choices)
        if is_fixed or not (self._is_one or rng.random() < 0.5):
            return self._joined(require(self.space, Mutable).mutate(network, rng), recipe)
        return self._joined(network, self.recipes.mutate(recipe, rng))

    def neighbours(self, candidate: Candidate) -> list[Candidate]:
        """The network's neighbours with the same recipe, and itself with each that differs in a
        value.

        Raises:
            ConfigurationError: the other space is not ``Neighbouring``.
        """
        network, recipe = self._parts(candidate)
        near: list[Candidate] = []
        if not self._is_one:
            near = require(self.space, Neighbouring).neighbours(network)
        return [
            *(self._joined(other, recipe) for other in near),
            *(self._joined(network, other) for other in self.recipes.neighbours(recipe)),
        ]

    def crossover(self, first: Candidate, second: Candidate, rng: random.Random) -> Candidate:
        """A child of both networks, with every value of the recipe from one of the two."""
        (network, recipe), (other, its) = self._parts(first), self._parts(second)
        if not self._is_one:
            network = require(self.space, Crossing).crossover(network, other, rng)
        return self._joined(network, self.recipes.crossover(recipe, its, rng))

    def encode(self, candidate: Candidate) -> np.ndarray:
        """The network's code, and each value between 0, the least, and 1, the largest, on a
        logarithmic scale."""
        network, recipe = self._parts(candidate)
        pairs = zip(recipe.genotype, self.recipes.choices.values(), strict=True)
        own = [_place(value, of) for value, of in pairs]
        code = [] if self._is_one else require(self.space, Encoded).encode(network)
        return np.clip([*code, *own], 0.0, 1.0)

    def distributions(self) -> dict[str, Distribution]:
        """Those of the other space, and what is chosen here."""
        own = self.recipes.distributions()
        return own if self._is_one else {**require(self.space, Distributed).distributions(), **own}

    def candidate_of(self, values: Mapping[str, Any]) -> Candidate:
        """The candidate of one value for each name.

        Raises:
            ArchitectureError: a name or a value is not among the distributions.
        """
        if self._is_one:
            (network,) = self.space.sample(1)
            return self._joined(network, self.recipes.candidate_of(values))
        own = {name: value for name, value in values.items() if name in self._choices}
        other = {name: value for name, value in values.items() if name not in own}
        network = require(self.space, Distributed).candidate_of(other)
        return self._joined(network, self.recipes.candidate_of(own))

    def values_of(self, candidate: Candidate) -> dict[str, Any]:
        """The network's and the recipe's."""
        network, recipe = self._parts(candidate)
        own = self.recipes.values_of(recipe)
        return own if self._is_one else require(self.space, Distributed).values_of(network) | own

    def template(self, candidate: Candidate) -> Architecture:
        """That of the network."""
        return require(self.space, Slotted).template(self._network(candidate))

    def slots(self, candidate: Candidate) -> tuple[int, ...]:
        """Those of the network."""
        return require(self.space, Slotted).slots(self._network(candidate))

    @property
    def _is_one(self) -> bool:
        """Whether there is one network alone."""
        return has(self.space, Enumerable) and require(self.space, Enumerable).size() == 1

    def _network(self, candidate: Candidate) -> Candidate:
        """The other space's candidate of a candidate."""
        return self.space.candidate(genotype_of(self, candidate)[0])

    def _parts(self, candidate: Candidate) -> tuple[Candidate, Candidate]:
        """The other space's candidate, and the recipe's."""
        return self._network(candidate), self.recipes.candidate(candidate.genotype[1])

    def _joined(self, network: Candidate, recipe: Candidate) -> Candidate:
        genotype = network.genotype, recipe.genotype
        return Candidate(self, genotype, f"{network.name}{BETWEEN}{recipe.name}")


def _identity(candidate: Candidate) -> str:
    """The network and the recipe."""
    return f"{candidate.key}{BETWEEN}{candidate.genotype[1]}"


def _place(value: float, of: Any) -> float:
    """Where a value is between the least of a choice and its largest; 0 where that is the same."""
    ends = LogRange(min(of), max(of))
    return place(value, ends) if ends.low < ends.high else 0.0


def _no_network(**values: Any) -> Architecture:
    raise ArchitectureError(f"{values!r:.80} is a recipe, which has no network")


def recipe_space(space: Space, text: str) -> RecipeSpace:
    """The space of ``learning_rate=0.01..0.3,batch_size=32|64,epochs=1|3|9`` over another.

    Args:
        space: of the networks.
        text: a range as ``low..high``, a list with ``|`` between its values.

    Raises:
        ConfigurationError: a name is none of a recipe, or a value no number.

    >>> from kernas.search import NasBench201
    >>> recipe_space(NasBench201(1), "epochs=1|3|9").epochs
    [1, 3, 9]
    """
    values: dict[str, Any] = {}
    for part in text.split(","):
        name, _, given = (piece.strip() for piece in part.partition("="))
        if name not in CHOSEN or name in values or not given:
            raise ConfigurationError(
                f"recipe {text!r}: expected each of {', '.join(CHOSEN)} once at most, with its "
                "values, for example learning_rate=0.01..0.3,epochs=1|3|9"
            )
        if RANGE in given:
            values[name] = tuple(_number(end, text) for end in given.split(RANGE))
        else:
            values[name] = [_number(one, text) for one in given.split(EITHER)]
    return RecipeSpace(space, **values)


def recipes_text(space: RecipeSpace) -> str:
    """What :func:`recipe_space` reads."""
    parts: list[str] = []
    for name in CHOSEN:
        of = getattr(space, name)
        if of is not None:
            between = RANGE if isinstance(of, tuple) else EITHER
            parts.append(f"{name}={between.join(map(str, of))}")
    return ",".join(parts)


def recipes_of_settings(settings: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments of a :class:`RecipeSpace` that its settings have, beside the other space."""
    found: dict[str, Any] = {}
    for name in CHOSEN:
        of = settings.get(name)
        if isinstance(of, Mapping):
            found[name] = tuple(of["log"])
        elif of is not None:
            found[name] = [_number(str(one), name) for one in of]
    return found


def _number(text: str, whole: str) -> int | float:
    """An integer where the text is one.

    Raises:
        ConfigurationError: it is no number.
    """
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    raise ConfigurationError(f"recipe {whole!r}: expected a number in place of {text.strip()!r}")


def _log_range(given: tuple[Any, ...]) -> LogRange:
    """The range of a pair of numbers.

    Raises:
        ConfigurationError: it is none, or not of numbers > 0.
    """
    if len(given) == 2 and all(_is_number(end, (int, float), 0) for end in given):
        low, high = map(float, given)
        if low < high:
            return LogRange(low, high)
    raise ConfigurationError(
        f"learning_rate={given!r:.60}: expected a range (low, high) with 0 < low < high, for "
        "example (0.01, 0.3), or a list of rates"
    )


def _check_list(name: str, of: Any, kinds: tuple[type, ...], above: int, example: str) -> None:
    """Refuse what is no list of finite numbers above a bound; ranges were checked already."""
    if of is None or isinstance(of, LogRange):
        return
    if not isinstance(of, list) or not of or not all(_is_number(n, kinds, above) for n in of):
        what = "numbers" if float in kinds else "integers"
        raise ConfigurationError(
            f"{name}={of!r:.60}: expected a list of {what} > {above}, for example {example}"
        )


def _is_number(given: Any, kinds: tuple[type, ...], above: int) -> bool:
    return type(given) in kinds and above < given < math.inf
