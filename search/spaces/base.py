"""What a search space offers, and the candidates that it hands out."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Protocol

from kernas.kernels import Architecture

from .cell_strings import Cell


@dataclass(frozen=True)
class Candidate:
    """A named architecture, built when it is first asked for.

    Args:
        name: the cell string, a file's stem, or any other name that is unique in a ranking.
        build: makes the architecture; called at most once.
    """

    name: str
    build: Callable[[], Architecture] = field(repr=False, compare=False)

    @cached_property
    def architecture(self) -> Architecture:
        """The architecture that the name stands for."""
        return self.build()


def repeated_name(candidates: Iterable[Candidate]) -> str | None:
    """The first name that stands twice among candidates."""
    names: set[str] = set()
    for candidate in candidates:
        if candidate.name in names:
            return candidate.name
        names.add(candidate.name)
    return None


class Space(Protocol):
    """A set of architectures, each with a text name (a cell string).

    A cell is given by its string, or in another form that the space takes for it.
    ``parse`` and ``format`` are inverse to each other: names ↔ the space's own tuples of
    operations. :class:`NasBench201` is an example.
    """

    @property
    def name(self) -> str:
        """The name on the command line and in records."""
        ...

    def parse(self, cell: Cell) -> tuple[str, ...]:
        """The operations that a cell stands for."""
        ...

    def format(self, operations: tuple[str, ...]) -> str:
        """The cell string of operations."""
        ...

    def enumerate(self) -> Iterator[str]:
        """Every cell string, in a fixed order."""
        ...

    def sample(self, n: int, seed: int = 0) -> list[Candidate]:
        """``n`` candidates, no two of them the same architecture."""
        ...

    def canonical(self, cell: Cell) -> str:
        """The space's own name for the class of cells that ``cell`` belongs to."""
        ...

    def architecture(self, cell: Cell) -> Architecture:
        """The whole network that is built of a cell."""
        ...

    def candidate(self, cell: Cell) -> Candidate:
        """A cell as a candidate; it is checked at once, the network is built later."""
        ...

    def check_image_size(self, size: int) -> None:
        """Refuse square images of a side that the space's reductions cannot shrink."""
        ...

    def settings(self) -> dict[str, Any]:
        """What identifies the space in the records of a run."""
        ...
