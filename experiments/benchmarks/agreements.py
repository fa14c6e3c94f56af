"""Seconds for the agreement of many scores with the truth, and their bootstrap intervals.

    python experiments/benchmarks/agreements.py            # a minute on 2 idle cores
    python experiments/benchmarks/agreements.py --quick    # few candidates; writes nothing

Scores are the truth with normal noise of growing size, every third one rounded so that it ties.
``seconds`` are those of all scores and resamples together; ``one_by_one_seconds`` those of SciPy
and scikit-learn, one score and one resample after the other, from a hundredth of them.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import tyro
from measuring import SEED, environment, report, timed
from scipy import stats
from sklearn.metrics import ndcg_score

import kernas.search as ks

RESULT = Path(__file__).with_suffix(".json")

SCORES, CANDIDATES, RESAMPLES = 15, 1000, 1000
SHARE = 100


def one_by_one(truth: np.ndarray, scores: dict[str, list[float]], resamples: int) -> None:
    """Spearman, Kendall and nDCG of each resample by the libraries."""
    generator = np.random.default_rng(SEED)
    for _ in range(resamples):
        chosen = generator.integers(0, len(truth), len(truth))
        gain = (stats.rankdata(truth[chosen]) - 1) / (len(truth) - 1)
        for values in scores.values():
            score = np.array(values)[chosen]
            stats.spearmanr(truth[chosen], score)
            stats.kendalltau(truth[chosen], score)
            ndcg_score(gain[None], stats.rankdata(score)[None])


def main(quick: bool = False) -> None:
    """Measure, print one JSON line, keep it.

    Args:
        quick: few candidates, to see it work; writes nothing.
    """
    n = CANDIDATES // 10 if quick else CANDIDATES
    generator = np.random.default_rng(SEED)
    truth = generator.normal(size=n)
    scores: dict[str, list[float]] = {}
    for number in range(SCORES):
        score = truth + 0.2 * (number + 1) * generator.normal(size=n)
        scores[f"score {number}"] = (np.round(score) if number % 3 == 0 else score).tolist()
    seconds = [
        timed(lambda: ks.agreements(truth, scores, n_resamples=RESAMPLES))[0] for _ in range(3)
    ]
    libraries, _ = timed(lambda: one_by_one(truth, scores, RESAMPLES // SHARE))
    result: dict[str, Any] = {
        "scores": SCORES,
        "candidates": n,
        "resamples": RESAMPLES,
        "seconds": sorted(seconds)[1],
        "one_by_one_seconds": SHARE * libraries,
    }
    report(result | environment(), None if quick else RESULT)


if __name__ == "__main__":
    tyro.cli(main)
