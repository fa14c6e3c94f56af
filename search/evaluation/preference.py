"""A cheap score as what a strategy prefers by."""

from __future__ import annotations

from dataclasses import dataclass, field

from ..scores import Score
from ..spaces import Candidate
from .evaluator import Evaluator


@dataclass
class ScorePreference:
    """A score as a function of candidates: equal work is done once, and nothing is kept.

    Attributes:
        score: whose.
        known: work → value, the larger the better.
    """

    score: Score
    known: dict[str, float | None] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._evaluator = Evaluator.of([self.score])

    @property
    def name(self) -> str:
        """The score's."""
        return self.score.name

    def __call__(self, candidate: Candidate) -> float | None:
        """The value, the larger the better; ``None`` of who fails or is degenerate."""
        (item,) = self._evaluator.items(candidate)
        if item.work not in self.known:
            self._evaluator = self._evaluator.prepared([candidate])
            value = self._evaluator.begin(item)().values.get(self.score.name)
            sign = 1.0 if self.score.higher_is_better else -1.0
            self.known[item.work] = None if value is None else sign * value.value
        return self.known[item.work]


def preference(score: Score) -> ScorePreference:
    """What a strategy prefers by: mutants of an evolution, or the first of many (:class:`WarmUp`).

    Args:
        score: a cheap one, such as a proxy or a kernel score of few images.

    >>> import kernas.search as ks
    >>> prefer = ks.preference(ks.CountScore("params", (32, 32, 3), 10))
    >>> cells = ks.space_from_text("macro").sample(2)
    >>> (prefer(cells[0]) > prefer(cells[1])) == (prefer(cells[1]) < prefer(cells[0]))
    True
    """
    return ScorePreference(score)
