"""What strategies have in common that train weights which candidates share, and then propose."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from kernas.kernels import Dataset

from ..spaces.abilities import Distributed
from .base import Strategy

if TYPE_CHECKING:
    from ..training import TrainingSettings


@dataclass(frozen=True)
class SharedWeights(Strategy):
    """A strategy that trains weights which candidates share, before it proposes any.

    What becomes of its proposals changes nothing: the search is over before the first.

    Args:
        train_set: images that the weights are trained on.
        validation: images by which candidates are judged meanwhile.
        steps: of the weights, and of what judges them.
        width: of the shared network.
        batch_size: images of a step.
        learning_rate: of the weights, with Nesterov momentum and a cosine schedule.
        folder: where to keep the training every 50 steps; the same search goes on there.
        progress: whether to show a bar on stderr.

    Raises:
        ConfigurationError: of a space, that its candidates have no one template with slots.
    """

    train_set: Dataset
    validation: Dataset
    steps: int = 2000
    width: int = 8
    batch_size: int = 50
    learning_rate: float = 0.05
    folder: str | os.PathLike[str] | None = None
    progress: bool = False

    @property
    def abilities(self) -> tuple[type, ...]:
        """Of the spaces that it searches."""
        return (Distributed,)

    @property
    def recipe(self) -> TrainingSettings:
        """Of the weights."""
        from ..training import TrainingSettings

        return TrainingSettings(
            width=self.width,
            batch_size=self.batch_size,
            steps=self.steps,
            learning_rate=self.learning_rate,
        )
