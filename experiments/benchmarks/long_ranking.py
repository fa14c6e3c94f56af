"""A long ranking: does a candidate's time stay what it was, and does memory?

Ranks random NAS-Bench-201 cells on digits as ``kernas rank`` does, into a run folder, and notes
after every candidate what the process holds resident.

    python experiments/benchmarks/long_ranking.py            # ten minutes on 2 idle cores
    python experiments/benchmarks/long_ranking.py --quick    # 60 cells; writes nothing

``growth`` is the resident memory at the end over that after 50 candidates. ``slowing`` is the
median time of the last fifth of the candidates over that of the first, without the first candidate,
which compiles.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

import tyro
from measuring import SEED, Watched, environment, report, resident

import kernas.kernels as kk
import kernas.search as ks
from kernas.kernels.engine import compilations

RESULT = Path(__file__).with_suffix(".json")

CANDIDATES, QUICK_CANDIDATES = 1000, 60
SETTLED = 50
"""Candidates after which memory is to stay what it is."""

EVERY = 50
"""Memory is recorded after so many candidates."""


def measure(count: int) -> dict[str, Any]:
    """Rank ``count`` cells."""
    train, _ = kk.load("digits", n_train=250, n_test=1, image_size=8, seed=SEED)
    fit, validation = train.split(0.2, seed=SEED)
    score = ks.KernelScore(fit, validation)
    candidates = ks.NasBench201(1).sample(count, seed=SEED)
    held: list[int] = []
    moments: list[float] = [time.perf_counter()]
    before = compilations().count

    def seen() -> None:
        held.append(resident())
        moments.append(time.perf_counter())

    with tempfile.TemporaryDirectory() as path:
        ks.rank(candidates, score, output=Path(path) / "run", executor=Watched(seen))
    seconds = [after - before for before, after in pairwise(moments[1:])]
    fifth = len(seconds) // 5
    early, late = statistics.median(seconds[:fifth]), statistics.median(seconds[-fifth:])
    return {
        "candidates": count,
        "first_seconds": moments[1] - moments[0],
        "median_seconds": statistics.median(seconds),
        "first_fifth_seconds": early,
        "last_fifth_seconds": late,
        "slowing": late / early,
        "resident_bytes": {n: held[n - 1] for n in range(EVERY, count + 1, EVERY)},
        "growth": held[-1] / held[SETTLED - 1],
        "compilations": compilations().count - before,
    }


def main(quick: bool = False) -> None:
    """Measure, print one JSON line, keep it.

    Args:
        quick: fewer cells, to see it work; writes nothing.
    """
    result = measure(QUICK_CANDIDATES if quick else CANDIDATES) | environment()
    report(result, None if quick else RESULT)


if __name__ == "__main__":
    tyro.cli(main)
