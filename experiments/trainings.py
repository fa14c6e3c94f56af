"""What experiments that train candidates share: all of them in a run folder, and its numbers."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

import kernas.search as ks
from kernas.errors import DataError
from kernas.search.runs.folder import RunFolder

WORKERS = 2


class Trainings(NamedTuple):
    """Accuracies ``(seeds, candidates)``, and the seconds of each candidate's seeds together."""

    accuracies: np.ndarray
    seconds: np.ndarray


def trained(candidates: Sequence[ks.Candidate], score: ks.TrainScore, output: Path) -> Trainings:
    """Train candidates; what a run folder has of them is not trained again.

    Raises:
        DataError: one has no accuracy.
    """
    executor = ks.Processes(WORKERS)
    ks.rank(list(candidates), score, output=output, resume=output.exists(), executor=executor)
    kept = {outcome.work: outcome for outcome in RunFolder(output).outcomes().values()}
    outcomes = [kept[score.source.work_key(candidate)] for candidate in candidates]
    for candidate, outcome in zip(candidates, outcomes, strict=True):
        if not outcome.values:
            raise DataError(f"{candidate.name} has no accuracy: {outcome.message}")
    accuracies = [
        [outcome.values[f"{score.name}:{seed}"].value for outcome in outcomes]
        for seed in range(score.seeds)
    ]
    return Trainings(np.array(accuracies), np.array([outcome.seconds for outcome in outcomes]))
