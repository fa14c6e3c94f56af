"""A score that is measured without training a candidate: its accuracy with weights it shares."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from kernas.errors import DivergenceError
from kernas.kernels import Dataset
from kernas.kernels.regression import ScoreValue

from ..spaces import Candidate
from .base import Evaluation, Score, Source
from .trained import check_validation, training_key

if TYPE_CHECKING:
    from ..training import Supernet

NAME = "shared_accuracy"


@dataclass(frozen=True, eq=False)
class SharedSource(Source):
    """Evaluates paths of a supernet; its fields are those of :class:`SharedWeightScore`."""

    supernet: Supernet
    validation: Dataset

    @property
    def name(self) -> str:
        """``shared weights``."""
        return "shared weights"

    def settings(self) -> dict[str, Any]:
        """How the supernet was trained, its fingerprint and the data's."""
        return {
            **self.supernet.recipe.settings(),
            "space": self.supernet.space.settings(),
            "sampling": self.supernet.sampling,
            "sets": self.supernet.sets,
            "seed": self.supernet.seed,
            "supernet": self.supernet.fingerprint,
            "validation": self.validation.fingerprint,
        }

    def work_key(self, candidate: Candidate) -> str:
        """Of the network as it is built and of the slots that it fills."""
        return training_key(candidate)

    def begin(self, candidate: Candidate, scores: Sequence[Score]) -> Callable[[], Evaluation]:
        """Evaluates; nothing is left for the host.

        Raises:
            DivergenceError: the supernet diverged.
        """
        accuracy = self.supernet.accuracy(candidate, self.validation)
        if math.isnan(accuracy):
            raise DivergenceError(
                "the supernet diverged; train another with a learning_rate below "
                f"{self.supernet.recipe.learning_rate:g}"
            )
        return partial(Evaluation, {NAME: ScoreValue(accuracy)})


@dataclass(frozen=True, eq=False)
class SharedWeightScore(Score):
    """The validation accuracy of a candidate with the weights that it inherits from a supernet.

    Args:
        supernet: of :func:`kernas.search.train_supernet`; of the candidates' space.
        validation: labelled images that it was not trained on.

    Raises:
        ConfigurationError: there are no validation images.

    References:
        Pham et al. 2018, ENAS, section 2; Guo et al. 2020, Single path one-shot, section 3.
    """

    supernet: Supernet
    validation: Dataset | None

    def __post_init__(self) -> None:
        check_validation(NAME, self.validation, "SharedWeightScore(supernet, validation)")

    @property
    def name(self) -> str:
        """``shared_accuracy``."""
        return NAME

    @property
    def higher_is_better(self) -> bool:
        """True."""
        return True

    @property
    def source(self) -> SharedSource:
        """What evaluates."""
        assert self.validation is not None
        return SharedSource(self.supernet, self.validation)
