"""Scores that are counted: parameters, operations, depth, convolutions of the finite network."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

from kernas.errors import ConfigurationError
from kernas.kernels.architecture.counts import count
from kernas.kernels.regression import ScoreValue

from ..spaces import Candidate
from .base import Cost, Evaluation, Score, Source

COUNTS: Mapping[str, str] = {
    "params": "number of trained parameters",
    "flops": "operations of one image's forward pass",
    "depth": "weight layers on the longest way through the network",
    "n_conv": "number of convolutions",
}
"""What is counted, and what it is in a few words."""

DEFAULT_WIDTH = 16
"""Channels of the published networks of cells, after their first convolution."""

COUNT_SECONDS = 0.02
"""Of a candidate: its network is built and walked through once."""


@dataclass(frozen=True)
class CountSource(Source):
    """What is counted of a finite network, see :func:`kernas.kernels.architecture.counts.count`.

    Args:
        image_shape: ``(height, width, channels)`` or ``(features,)``.
        n_classes: channels of the last layer, where it is a ``Dense``.
        width: channels of a weight layer of relative width 1.
    """

    image_shape: tuple[int, ...]
    n_classes: int
    width: int = DEFAULT_WIDTH

    @property
    def name(self) -> str:
        """``counts``."""
        return "counts"

    def settings(self) -> dict[str, Any]:
        """Its fields."""
        return {**asdict(self), "image_shape": list(self.image_shape)}

    def work_key(self, candidate: Candidate) -> str:
        """Of the network as it is built: such as have one kernel may differ in what is counted."""
        if candidate.failure is not None:
            return candidate.key
        return hashlib.sha256(candidate.architecture.to_json().encode()).hexdigest()

    def cost(self, candidate: Candidate, scores: Sequence[Score]) -> Cost:
        """A fraction of a second, no pairs and no programs."""
        return Cost(seconds=COUNT_SECONDS)

    def begin(self, candidate: Candidate, scores: Sequence[Score]) -> Callable[[], Evaluation]:
        """Counts everything, whatever was asked for."""
        found = asdict(
            count(
                candidate.architecture,
                self.image_shape,
                width=self.width,
                outputs=self.n_classes,
            )
        )
        values = {name: ScoreValue(float(found[name])) for name in COUNTS}
        return partial(Evaluation, values)


@dataclass(frozen=True)
class CountScore(Score):
    """One of the numbers that are counted; more promises a better network.

    Args:
        count: ``params``, ``flops``, ``depth`` or ``n_conv``.
        image_shape: ``(height, width, channels)`` or ``(features,)``, without the batch.
        n_classes: channels of the last layer, where it is a ``Dense``.
        width: channels of a weight layer of relative width 1.

    Raises:
        ConfigurationError: there is no such number.
    """

    count: str
    image_shape: tuple[int, ...]
    n_classes: int
    width: int = DEFAULT_WIDTH

    def __post_init__(self) -> None:
        if self.count not in COUNTS:
            raise ConfigurationError(f"count={self.count!r}: expected one of {', '.join(COUNTS)}")

    @property
    def name(self) -> str:
        """That of what is counted."""
        return self.count

    @property
    def higher_is_better(self) -> bool:
        """True."""
        return True

    @property
    def source(self) -> CountSource:
        """What all numbers of one network are counted by."""
        return CountSource(tuple(self.image_shape), self.n_classes, self.width)
