"""What a search space offers, and the candidates that it hands out."""

from __future__ import annotations

import hashlib
import random
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, fields, is_dataclass
from functools import cached_property
from typing import Any, Protocol

from kernas.errors import ArchitectureError, ConfigurationError, DataError, KernasError
from kernas.kernels import Architecture
from kernas.kernels.architecture.drawing import Box, side_by_side, svg
from kernas.kernels.data.checks import inputs_of

PATIENCE = 10_000
"""Draws in a row that bring no other network before a space is taken for exhausted."""


class Family(Protocol):
    """Candidates that share what is compiled: a space, or a part of one.

    A value that can be compared, hashed and pickled.
    """

    def cover(self, image_shape: Sequence[int]) -> Sequence[Architecture]:
        """Few networks whose operations are all that any of the candidates needs; see
        :meth:`Space.cover`."""
        ...


Picture = tuple[str, list[Box]]
"""A title, and the boxes of a drawing."""


class Space(ABC):
    """A set of architectures, each of them one *genotype* of the space's own kind.

    A genotype is any hashable value, such as a tuple of operations; its *name* is a text of one
    line from which :meth:`candidate` makes it again. What else a space can do (enumerate, mutate,
    encode …) is one of the protocols in :mod:`kernas.search.spaces.abilities`. A dataclass whose
    fields are numbers and texts can be written as ``name:field=value`` (:attr:`text`).
    ``kernas.search.testing.SpaceTests`` checks what is asked for here.
    """

    @property
    @abstractmethod
    def name(self) -> str:
        """The name in records, and of known spaces on the command line."""

    @abstractmethod
    def candidate(self, given: Any, /) -> Candidate:
        """The candidate of a name or of a genotype; it is checked at once and built later.

        Raises:
            ArchitectureError: it is neither.
        """

    @abstractmethod
    def architecture(self, genotype: Any, /) -> Architecture:
        """The whole network of a genotype."""

    @abstractmethod
    def sample(self, n: int, seed: int = 0) -> list[Candidate]:
        """``n`` candidates, no two of them the same network; where the space is ``Reciped``, no two
        the same network with the same recipe.

        Args:
            n: how many, >= 1.
            seed: equal seeds give equal candidates; ``sample(m)`` begins with ``sample(n)`` for
                n < m.

        Raises:
            ConfigurationError: n < 1, or more than there are different networks.
        """

    @abstractmethod
    def cover(self, image_shape: Sequence[int]) -> Sequence[Architecture]:
        """Few networks whose operations are all that any candidate needs on such images.

        Programs that are compiled for them serve every candidate (``SharedPrograms``).

        Args:
            image_shape: ``(height, width, channels)`` or ``(features,)``.
        """

    def family(self, genotype: Any, /) -> Family:
        """Whose cover a candidate's programs are compiled for: by default that of the whole space.

        A space of so many operations that compiling all of them would take minutes has a family
        for each kind of candidate, and only those that are used are compiled. Equal for genotypes
        of equal networks.
        """
        return self

    @abstractmethod
    def check_shape(self, image_shape: Sequence[int]) -> None:
        """Refuse images or tables that the space's networks cannot take.

        Args:
            image_shape: ``(height, width, channels)`` or ``(features,)``, without the batch.

        Raises:
            ConfigurationError, DataError: in one line, with a shape that it takes.
        """

    def settings(self) -> dict[str, Any]:
        """What identifies the space in the records of a run, as JSON values."""
        own = fields(self) if is_dataclass(self) else ()
        return {"name": self.name, **{field.name: getattr(self, field.name) for field in own}}

    @property
    def text(self) -> str:
        """What :func:`space_from_text` makes the space of again: its name, and the fields that
        are not as by default; or ``module:attribute`` of a user's own."""
        from .registry import text_of

        return text_of(self)

    @property
    def whole(self) -> Space:
        """Whose candidates it hands out: its own, unless it is a part of another space."""
        return self

    def recognises(self, text: str) -> bool:
        """Whether a text is meant as a candidate's name, and not as that of a file."""
        try:
            self.candidate(text)
        except KernasError:
            return False
        return True

    def with_only(self, genotype: Any) -> Space:
        """What a candidate takes along to another process: this space, or one that equals it and
        holds no more than its own network is made of."""
        return self

    def pictures(self, genotype: Any) -> list[Picture]:
        """A candidate's cells as its papers draw them: titles, and boxes with what each
        reads; none of a space whose candidates are no cells."""
        return []

    def refuses_kernels(self) -> str | None:
        """Why exact kernels do not order its candidates, as where these differ in widths alone;
        ``None`` where they do."""
        return None

    def refuses(self, ability: type) -> str | None:
        """Why this space lacks an ability that others of its class have; ``None`` if it has it."""
        return None


@dataclass(frozen=True)
class Candidate:
    """One of a space's networks, built when it is first asked for.

    Args:
        space: that it belongs to.
        genotype: what the space builds the network of; hashable.
        name: the cell string, a file's name, or any other that is unique in a ranking.
    """

    space: Space
    genotype: Any
    name: str

    def __repr__(self) -> str:
        return f"<Candidate {self.name} of {self.space.name}>"

    def __reduce__(self) -> tuple[type[Candidate], tuple[Space, Any, str]]:
        space = self.space.with_only(self.genotype)
        return Candidate, (space, self.genotype, self.name)  # without what was built

    @cached_property
    def _built(self) -> Architecture | ArchitectureError:
        """The network, or why there is none: a space of the user's may raise anything."""
        try:
            built = self.space.architecture(self.genotype)
        except ArchitectureError as error:
            return error
        except Exception as error:
            return ArchitectureError(
                f"{self.name}: {in_a_line(error)}; expected the space {self.space.name!r} to build "
                "a network of it"
            )
        if isinstance(built, Architecture):
            return built
        return ArchitectureError(
            f"{self.name}: the space {self.space.name!r} built {built!r:.80}, expected an "
            "Architecture, for example serial(Flatten(), Dense())"
        )

    def svg(self) -> str | None:
        """The picture of its cells, or of the whole network where it has none, as an SVG document;
        ``None`` if that is too large.

        Raises:
            ArchitectureError: as :attr:`architecture`, where the network is drawn.
        """
        cells = self.space.pictures(self.genotype)
        return side_by_side(cells) if cells else svg(self.architecture.nodes)

    def _repr_svg_(self) -> str | None:
        """What notebooks show."""
        return self.svg()

    @property
    def architecture(self) -> Architecture:
        """The network that the genotype stands for.

        Raises:
            ArchitectureError: it cannot be built; whatever the space raised is in the message.
        """
        if isinstance(self._built, ArchitectureError):
            raise self._built
        return self._built

    @property
    def failure(self) -> ArchitectureError | None:
        """Why there is no network, if there is none."""
        return self._built if isinstance(self._built, ArchitectureError) else None

    @property
    def family(self) -> Family:
        """The candidates that share its programs; see :meth:`Space.family`."""
        return self.space.family(self.genotype)

    @cached_property
    def key(self) -> str:
        """Equal for candidates whose kernels are computed once: the hash of the network.

        Of one that cannot be built it is a digest of its name, so that each has a row.
        """
        if self.failure is None:
            return self.architecture.hash
        return hashlib.sha256(f"no network\t{self.space.name}\t{self.name}".encode()).hexdigest()


def in_a_line(error: Exception) -> str:
    """What an error of any kind says, its line breaks as spaces."""
    return " ".join(f"{type(error).__name__}: {error}".split())


def repeated_name(candidates: Iterable[Candidate]) -> str | None:
    """The first name that stands twice among candidates."""
    names: set[str] = set()
    for candidate in candidates:
        if candidate.name in names:
            return candidate.name
        names.add(candidate.name)
    return None


def genotype_of(space: Space, candidate: Candidate) -> Any:
    """The genotype of one of the space's candidates.

    Raises:
        ConfigurationError: it belongs to another space.
    """
    if candidate.space != space:
        raise ConfigurationError(
            f"{candidate.name} belongs to the space {candidate.space.text}, expected one of "
            f"{space.text}; make it with space.candidate(…)"
        )
    return candidate.genotype


def random_neighbour(
    space: Space, neighbours: Sequence[Candidate], rng: random.Random
) -> Candidate:
    """One of a candidate's neighbours, drawn uniformly.

    Raises:
        ConfigurationError: there is none.
    """
    if not neighbours:
        raise ConfigurationError(f"space {space.text!r} has one candidate, which has no other")
    return rng.choice(neighbours)


def check_sample_size(n: int, total: int | None = None, of: str = "candidates") -> None:
    """Refuse a number of candidates that cannot be drawn.

    Raises:
        ConfigurationError: n < 1, or more than ``total``.
    """
    if isinstance(n, bool) or not isinstance(n, int) or n < 1 or (total is not None and n > total):
        expected = "an integer >= 1" if total is None else f"1 to {total}"
        raise ConfigurationError(
            f"sample of n={n} {of}: expected {expected}, and no more than there are different "
            "networks"
        )


def distinct(
    candidates: Iterable[Candidate],
    n: int,
    *,
    key: Callable[[Candidate], str] = lambda candidate: candidate.key,
    patience: int | None = None,
    of: str = "candidates",
) -> list[Candidate]:
    """The first ``n`` candidates of different networks.

    Args:
        candidates: in the order in which they are tried.
        n: how many, >= 1.
        key: what equal networks share.
        patience: how many in a row that were seen before end the search; ``None`` for no end.
        of: what messages call them.

    Raises:
        ConfigurationError: there are fewer.
    """
    found: dict[str, Candidate] = {}
    missed = 0
    for candidate in candidates:
        size = len(found)
        found.setdefault(key(candidate), candidate)
        missed = 0 if len(found) > size else missed + 1
        if len(found) == n:
            return list(found.values())
        if patience is not None and missed >= patience:
            break
    raise ConfigurationError(
        f"sample of n={n} {of}: the space has only {len(found)} different networks; ask for at "
        "most as many"
    )


def shape_given(image_shape: Sequence[int]) -> tuple[int, ...]:
    """A shape of images, of signals or of a table's rows.

    Raises:
        ConfigurationError: it is none.
    """
    try:
        shape = tuple(int(n) for n in image_shape)
    except (TypeError, ValueError, OverflowError):
        shape = ()
    if len(shape) not in (1, 2, 3) or min(shape) < 1:
        raise ConfigurationError(
            f"image shape {image_shape!r:.80}: expected (height, width, channels), (length, "
            "channels) or (features,), without the batch axis"
        )
    return shape


def pixels_given(image_shape: Sequence[int], who: str) -> tuple[int, ...]:
    """A shape of images, ``(height, width, channels)``.

    Args:
        image_shape: that is given.
        who: needs pixels.

    Raises:
        ConfigurationError: it is no shape.
        DataError: it is that of a table's rows, or of signals.
    """
    shape = shape_given(image_shape)
    if len(shape) < 3:
        raise DataError(f"{inputs_of(shape)}: {who} need images (height, width, channels)")
    return shape
