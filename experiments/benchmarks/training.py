"""Seconds of a training step: cells by the program that they share, and each by one of its own.

Trains the first cells of a sample by the template's programs, then the first of them once more as a
network without slots, whose program is compiled for it alone; both with the same recipe, images and
seeds. Compilation is told apart: it is the first call's time beyond that of the second.

    python experiments/benchmarks/training.py          # 8 cells, 12×12 pixels, 200 steps
    python experiments/benchmarks/training.py --quick  # 2 cells, 8×8, 50 steps; writes nothing
"""

from __future__ import annotations

import statistics
import time
from pathlib import Path
from typing import Any

import tyro
from measuring import environment, report

import kernas.kernels as kk
import kernas.search as ks
from kernas.kernels.engine import compilations
from kernas.search.training import TrainingSettings, train

RESULT = Path(__file__).with_suffix(".json")
FULL, QUICK = (8, 12, 200), (2, 8, 50)
"""Cells, side of the images in pixels, steps."""

N_TRAIN, N_TEST, SEEDS = 1000, 500, 3


def measure(cells: int, side: int, steps: int) -> dict[str, Any]:
    """Times of all trainings."""
    fit, test = kk.load("digits", n_train=N_TRAIN, n_test=N_TEST, image_size=side, seed=0)
    space = ks.NasBench201(cells_per_stage=1)
    recipe = TrainingSettings(width=8, steps=steps)
    candidates = space.sample(cells, seed=0)

    def timed(given: Any) -> tuple[float, int]:
        begun, before = time.perf_counter(), compilations().count
        train(given, fit, test, recipe, seeds=SEEDS)
        return time.perf_counter() - begun, compilations().count - before

    first = timed(candidates[0])
    shared = [timed(candidate) for candidate in candidates]
    own = timed(candidates[0].architecture)
    again = timed(candidates[0].architecture)
    seconds = [taken for taken, _ in shared]
    return {
        "cells": cells,
        "image_size": side,
        "steps": steps,
        "seeds": SEEDS,
        "width": recipe.width,
        "batch_size": recipe.batch_size,
        "shared": {
            "seconds_a_cell": {"median": statistics.median(seconds), "all": seconds},
            "milliseconds_a_step": 1e3 * statistics.median(seconds) / steps,
            "first": seconds[0],
            "seconds_of_compilation": first[0] - seconds[0],
            "compilations": first[1] + sum(count for _, count in shared),
        },
        "own_program": {
            "seconds_of_the_first_cell": again[0],
            "milliseconds_a_step": 1e3 * again[0] / steps,
            "seconds_of_compilation": own[0] - again[0],
            "compilations": own[1] + again[1],
        },
        **environment(),
    }


def main(quick: bool = False) -> None:
    """Measure, print one JSON line, keep it.

    Args:
        quick: few cells and steps, to see it work; writes nothing.
    """
    report(measure(*(QUICK if quick else FULL)), None if quick else RESULT)


if __name__ == "__main__":
    tyro.cli(main)
