"""What a ranking will take, said before anything of it is computed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from kernas.errors import KernasError
from kernas.quantities import duration

from ..evaluation import Evaluator, Item
from ..runs.outcome import Outcome, Place
from ..scores import Cost
from ..scores.base import longest
from ..spaces import Candidate

MOST_PLANNED = 200
"""Networks that are planned; of more, so many stand for all."""


@dataclass(frozen=True)
class RankingEstimate:
    """What a ranking will take.

    Attributes:
        candidates: in the ranking.
        networks: different ones among those that are still to be evaluated.
        done: different networks that an earlier session has evaluated.
        pairs: of images, in all of these networks together; what fails takes none.
        seconds: on this machine, compilation apart; ``None`` if it is not known.
        compile_seconds: of programs, at most: what is in the cache takes a part of it.
    """

    candidates: int
    networks: int
    done: int
    pairs: int
    seconds: float | None
    compile_seconds: float

    @property
    def most_seconds(self) -> float:
        """Time with compilation, as far as it is known."""
        return (self.seconds or 0.0) + self.compile_seconds

    def __str__(self) -> str:
        done = f", {self.done:,} more are done" if self.done else ""
        if not self.networks:
            return f"{self.candidates:,} candidates: all are evaluated already"
        each = round(self.pairs / self.networks)
        head = (
            f"{self.candidates:,} candidates ({self.networks:,} different networks{done}) × "
            f"{each:,} pairs"
        )
        if self.seconds is None:
            return f"{head}: how long they take is not known"
        return (
            f"{head}: about {duration(self.seconds)} on this machine, and up to "
            f"{duration(self.compile_seconds)} of compilation, less if programs are in the cache"
        )


def estimate_candidates(
    candidates: Sequence[Candidate],
    evaluator: Evaluator,
    items: Mapping[Place, Item],
    *,
    done: Mapping[Place, Outcome] = MappingProxyType({}),
) -> RankingEstimate:
    """What the evaluation of some candidates will take.

    Nothing of the candidates is computed. A short measurement of the device may come first, once.

    Args:
        candidates: of the ranking.
        evaluator: of its scores.
        items: every different piece of their work.
        done: the outcomes of earlier sessions.
    """
    networks: dict[str, list[Item]] = {}
    for item in items.values():
        if not evaluator.is_done(item, done):
            networks.setdefault(item.candidate.key, []).append(item)
    different = len({candidate.key for candidate in candidates})
    missing = list(networks.values())
    step = -(-len(missing) // MOST_PLANNED) if missing else 1
    planned = [sum((_cost(item, evaluator) for item in items), Cost()) for items in missing[::step]]
    total = sum(planned, Cost())
    more = len(missing) / max(1, len(planned))
    named = Counter(name for cost in planned for name in cost.programs)
    # What only one network names is of its own, and as many as networks are compiled.
    compiling = sum(
        seconds * (more if named[name] == 1 else 1.0)
        for name, seconds in longest(*(cost.programs for cost in planned)).items()
    )
    return RankingEstimate(
        len(candidates),
        len(missing),
        different - len(missing),
        round(more * total.pairs),
        None if total.seconds is None else more * total.seconds,
        compiling,
    )


def _cost(item: Item, evaluator: Evaluator) -> Cost:
    source, scores = evaluator.groups[item.source]
    try:
        return source.cost(item.candidate, scores)
    except KernasError:  # its row will say why
        return Cost()
