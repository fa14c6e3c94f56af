"""What do ENAS and DARTS find on digits? Their first proposals trained alone, beside random cells.

Both train weights that all cells of ``nasbench201:cells=1,reduction=pool`` share, on one half of
the training images of ``digits_hard``, and judge by the other. Of each seed the first proposal, and
the best by training alone of the first few, are trained by the protocol of the shipped truth: all
training images, three networks, judged on the test images. Random search of as many candidates is
that of the truth's own cells, which were trained so; its mean is exact over all draws.

    python experiments/shared_searches.py                 # half an hour on two cores
    python experiments/shared_searches.py --size quick    # a seed of 50 steps; records nothing

``--n``: seeds. What is finished is kept in ``runs/shared_searches-SIZE``; the same command goes on.

Published beside it, on NAS-Bench-201 and CIFAR-10 (Dong and Yang 2020, table 5; three runs):
DARTS of the first and of the second order end at cells of skip connections with a test accuracy of
54.30%, ENAS at 54.30% too, and random search at 93.70%.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from benchmarks.measuring import environment, report
from running import RUNS, Options, Size, command, foretell
from search_strategies import interval
from trainings import trained

import kernas.kernels as kk
import kernas.search as ks
from kernas.files import write_whole
from kernas.search.report.panels import ACCENT, POINT, empty_figure, plain, to_png
from kernas.search.strategies.base import search

SPACE = "nasbench201:cells=1,reduction=pool"
DATASET = "digits_hard"
RECIPE = ks.TrainingSettings(width=8, learning_rate=0.1, batch_size=50, steps=200)
"""Of the truth."""

SECONDS = {"enas": 0.035, "darts": 0.06, "darts:order=2": 0.13}
"""Of a step, on two cores."""

PUBLISHED = {"darts": 54.30, "enas": 54.30, "random": 93.70,
             "source": "Dong and Yang 2020, NAS-Bench-201, table 5, CIFAR-10"}  # fmt: skip


@dataclass(frozen=True)
class Setting:
    """Seeds, steps of the shared weights, and proposals that are trained."""

    seeds: int
    steps: int
    proposals: int


SETTINGS: dict[Size, Setting] = {
    "quick": Setting(1, 50, 2),
    "small": Setting(5, 1500, 10),
    "medium": Setting(20, 10_000, 20),
    "full": Setting(20, 50_000, 50),
}


def main(options: Options) -> None:
    """Search, train, report and draw."""
    setting = SETTINGS[options.size]
    setting = replace(setting, seeds=options.n or setting.seeds)
    folder = RUNS / f"shared_searches-{options.size}"
    fit, test = kk.load(DATASET)
    first, second = fit.split(0.5, seed=0)
    steps = sum(SECONDS.values()) * setting.steps
    foretell(
        setting.seeds * (steps + len(SECONDS) * setting.proposals * 2.0),
        f"{setting.seeds} seeds of {', '.join(SECONDS)}, {setting.steps} steps each",
    )
    found: dict[str, Any] = {}
    for text in SECONDS:
        strategy = ks.strategy_from_text(text, images=lambda: (first, second))
        assert isinstance(strategy, ks.Enas | ks.Darts)
        strategy = replace(strategy, steps=setting.steps, progress=True)
        place = folder / text.replace(":", "-")
        runs = [proposals_of(strategy, setting, seed, place) for seed in range(setting.seeds)]
        score = ks.TrainScore(fit, test, RECIPE, seeds=3)
        space = ks.space_from_text(SPACE)
        names = list(dict.fromkeys(name for run in runs for name in run["proposals"]))
        cells = [space.candidate(name) for name in names]
        accuracies = trained(cells, score, place / "alone").accuracies.mean(axis=0)
        by_name = dict(zip(names, accuracies.tolist(), strict=True))
        found[text] = [
            {**run, "accuracies": [by_name[n] for n in run["proposals"]]} for run in runs
        ]
    truth = np.array(sorted(ks.load_truth(DATASET).values()))
    record = {
        **options.asked(),
        "space": SPACE,
        "dataset": DATASET,
        "setting": {"steps": setting.steps, "proposals": setting.proposals},
        "random": {
            "first": float(truth.mean()),
            "best": best_of_random(truth, setting.proposals),
            "deviation": float(truth.std()),
            "cells": len(truth),
        },
        "searches": {text: judged(runs, truth, setting) for text, runs in found.items()},
        "published": PUBLISHED,
        **environment(),
    }
    path = options.record(__file__)
    report(record, path)
    if path is not None:
        write_whole(path.with_suffix(".png"), drawing(found, truth))


def proposals_of(
    strategy: ks.Enas | ks.Darts, setting: Setting, seed: int, folder: Path
) -> dict[str, Any]:
    """The first different cells that a seed proposes, and seconds; read if they are there."""
    path = folder / f"{seed}.json"
    if not path.exists():
        begun = time.perf_counter()
        own = replace(strategy, folder=folder / str(seed))
        trials = search(own, ks.space_from_text(SPACE), lambda one: 0.0, 200, seed)
        names = list(dict.fromkeys(trial.candidate.name for trial in trials))
        found = {"proposals": names[: setting.proposals], "seconds": time.perf_counter() - begun}
        write_whole(path, json.dumps(found).encode())
    return json.loads(path.read_text())


def best_of_random(truth: np.ndarray, n: int) -> float:
    """The mean of the largest of ``n`` draws without replacement, over all of them.

    Args:
        truth: sorted values.
        n: drawn.
    """
    size = len(truth)
    below = np.ones(size)  # the share of draws of which the largest is at most each value
    for place in range(size):
        taken = [(place + 1 - i) / (size - i) for i in range(n)]
        below[place] = np.prod(taken) if place + 1 >= n else 0.0
    return float((np.diff(below, prepend=0.0) * truth).sum())


def judged(runs: Sequence[Mapping[str, Any]], truth: np.ndarray, setting: Setting) -> Any:
    """The first proposal and the best of the trained ones, less what random search has of each."""
    first = np.array([run["accuracies"][0] for run in runs])
    best = np.array([max(run["accuracies"]) for run in runs])
    return {
        "cells": [run["proposals"][0] for run in runs],
        "first": of_seeds(first),
        "first_less_random": of_seeds(first - truth.mean()),
        "first_stands_above": float(np.mean([(truth < value).mean() for value in first])),
        "best": of_seeds(best),
        "best_less_random": of_seeds(best - best_of_random(truth, setting.proposals)),
        "seconds": round(float(np.median([run["seconds"] for run in runs])), 1),
    }


def of_seeds(values: np.ndarray) -> Any:
    """The mean with its interval, which one seed has not."""
    return interval(values) if len(values) > 1 else {"mean": float(values[0])}


def drawing(found: Mapping[str, Sequence[Mapping[str, Any]]], truth: np.ndarray) -> bytes:
    """Every proposal that was trained, the first ones large, beside the truth's cells."""
    figure = empty_figure(8, 4)
    axes = figure.subplots()
    plain(axes)
    axes.violinplot([truth], positions=[0], showextrema=False, showmedians=True)
    for place, runs in enumerate(found.values(), start=1):
        for seed, run in enumerate(runs):
            x = place + 0.12 * (seed - (len(runs) - 1) / 2)
            axes.scatter([x] * len(run["accuracies"]), run["accuracies"], s=10, color=POINT)
            axes.scatter([x], run["accuracies"][:1], s=45, color=ACCENT)
    axes.set_xticks(range(len(found) + 1), ["1,000 random cells", *found])
    axes.set_ylabel("accuracy trained alone")
    axes.set_title("The first proposal of each seed (large), and the next ones", loc="left")
    return to_png(figure)


if __name__ == "__main__":
    command(Options, main)
