"""How well does reduced training rank? Cells under a grid of regimes, against the full training.

60 cells of ``nasbench201:cells=1,reduction=pool`` on CIFAR-10. The full training has 16 channels,
16×16 pixels, 12 epochs on 3,000 images, two seeds; every regime (``ks.Regime``, in the notation of
Zhou et al. 2020, EcoNAS: c channels, r resolution, e epochs, s samples) has one. All are judged
on the same 2,000 test images, resized as the training images are.

    python experiments/regimes.py                 # at most 3 hours on two cores, in pieces
    python experiments/regimes.py --size quick    # 4 cells, 3 regimes, 200 images; records nothing

``--n``: cells. The same command goes on: ``regimes.csv`` has the accuracies of the regimes that are
finished, ``runs/regimes-SIZE`` what is not.
The record has of each regime: Spearman's correlation with the mean of the full training's seeds by
the printed formula (equation 8 of the survey, ranks as they come where values tie) and with ties as
the standard has them, with a 95% interval; the share of operations by the indices and by what was
rounded and sampled; and the share of seconds that those predict beside the measured one. The two
seeds of the full training agree at ``ceiling``.

Published beside it: EcoNAS's regime (c4 r4 s0, a quarter of the epochs) reaches about 0.61 on
NAS-Bench-201; the benchmark's validation accuracy after 12 epochs stands at 0.77 against its final
test accuracy, on all 15,625 cells (``nasbench201.npz``).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from benchmarks.measuring import environment, report
from pieces import Columns, Pieces
from running import RUNS, Options, Size, command, foretell
from trainings import Trainings, trained

import kernas.kernels as kk
import kernas.search as ks
from kernas.files import write_whole
from kernas.search.ranking.statistics import agreement, spearman
from kernas.search.report.panels import DEGENERATE_POINT, POINT, empty_figure, plain, to_png
from kernas.search.training import (
    FullTraining,
    ReducedTraining,
    Regime,
    TrainingSettings,
    estimate_training,
)

SPACE = "nasbench201:cells=1,reduction=pool"
DATASET, CHANNELS, CLASSES, N_TEST = "cifar10", 3, 10, 2000
CELL_SEED = 11

FULL = FullTraining(
    TrainingSettings(width=16, learning_rate=0.1, batch_size=50, epochs=12), side=16, images=3000
)
FULL_SEEDS = 2

GRID = (
    *(Regime(channels=index) for index in (1, 2, 4)),
    *(Regime(resolution=index) for index in (1, 2, 4)),
    *(Regime(epochs=index) for index in (1, 2, 3)),
    *(Regime(samples=index) for index in (1, 2, 3)),
    Regime(epochs=-1),
    Regime(channels=2, epochs=1),
    Regime(channels=2, resolution=2),
    Regime(channels=1, resolution=1, epochs=1, samples=1),
    Regime(channels=4, resolution=4, epochs=2),
)
"""Each factor alone at three levels, twice the epochs, and some together, the last EcoNAS's."""


@dataclass(frozen=True)
class Setting:
    """How large a run is."""

    cells: int
    full: FullTraining
    grid: tuple[Regime, ...]


SETTINGS: dict[Size, Setting] = {
    "quick": Setting(4, replace(FULL, images=200), (GRID[1], GRID[4], GRID[10])),
    "small": Setting(60, FULL, GRID),
    "medium": Setting(300, replace(FULL, images=8000), GRID),
    "full": Setting(1000, FullTraining(replace(FULL.recipe, epochs=200), 32, 50_000), GRID),
}


def main(options: Options) -> None:
    """Train under all regimes, compare, report and draw."""
    setting = SETTINGS[options.size]
    space = ks.space_from_text(SPACE)
    cells = space.sample(options.n or setting.cells, seed=CELL_SEED)
    regimes = [Regime(), *setting.grid]
    trainings = [r.reduced(setting.full, space=space, channels=CHANNELS) for r in regimes]
    folder = RUNS / f"regimes-{options.size}"
    path = options.record(__file__)
    pieces = Pieces(path and path.with_suffix(".csv"), [cell.name for cell in cells])
    predict(cells, trainings)
    found = [
        under(training, cells, 1 if place else FULL_SEEDS, str(regime), pieces, folder)
        for place, (regime, training) in enumerate(zip(regimes, trainings, strict=True))
    ]
    whole = found[0]
    target = whole.accuracies.mean(axis=0)
    one_seed = float(np.median(whole.seconds)) / FULL_SEEDS
    operations = operations_of(cells, trainings[0])
    rows = {
        str(regime): {
            **compared(of.accuracies[0], target),
            "channels": training.recipe.width,
            "side": training.side,
            "epochs": training.recipe.epochs,
            "images": training.images,
            "mean_accuracy": float(of.accuracies.mean()),
            "share_of_operations": {
                "by the indices": regime.share_of_operations(setting.full),
                "as rounded": operations_of(cells, training) / operations,
            },
            "share_of_seconds": float(np.median(of.seconds)) / one_seed,
        }
        for regime, training, of in zip(regimes[1:], trainings[1:], found[1:], strict=True)
    }
    record = {
        **options.asked(),
        "space": SPACE,
        "cells": len(cells),
        "full": {
            "settings": setting.full.recipe.settings(),
            "side": setting.full.side,
            "images": setting.full.images,
            "mean_accuracy": float(target.mean()),
            "seconds_a_cell": one_seed,
        },
        "ceiling": spearman(*map(list, whole.accuracies)),
        "regimes": rows,
        **environment(),
    }
    report(record, path)
    if path is not None:
        write_whole(path.with_suffix(".png"), drawing(record))


def under(
    training: ReducedTraining,
    cells: list[ks.Candidate],
    seeds: int,
    regime: str,
    pieces: Pieces,
    folder: Path,
) -> Trainings:
    """The cells, trained."""
    fit, test = kk.load(
        DATASET, n_train=training.images, n_test=N_TEST, image_size=training.side, seed=0
    )
    score = ks.TrainScore(fit, test, training.recipe, seeds)
    names = [f"accuracy:{seed}" for seed in range(seeds)]

    def train() -> Columns:
        found = trained(cells, score, folder / regime.replace(" ", ""))
        columns = dict(zip(names, found.accuracies.tolist(), strict=True))
        return columns | {"seconds": found.seconds.tolist()}

    columns = pieces.get(regime, score.source.key, train)
    accuracies = np.array([columns[name] for name in names], np.float64)
    return Trainings(accuracies, np.array(columns["seconds"], np.float64))


def compared(values: np.ndarray, target: np.ndarray) -> dict[str, Any]:
    """Spearman's correlation, as printed and as the standard has it."""
    found = agreement(list(target), list(values)).spearman
    ranks = [np.argsort(np.argsort(v, kind="stable")) for v in (values, target)]
    n = len(values)
    printed = 1 - 6 * float(((ranks[0] - ranks[1]) ** 2).sum()) / (n * (n**2 - 1))
    return {
        "spearman": {"value": found.value, "low": found.low, "high": found.high},
        "spearman_as_printed": printed,
    }


def operations_of(cells: list[ks.Candidate], training: ReducedTraining) -> float:
    """Of all cells."""
    return sum(training.operations(cell, CHANNELS, CLASSES) for cell in cells)


def predict(cells: list[ks.Candidate], trainings: list[ReducedTraining]) -> None:
    """Say what everything takes: the full training's steps, timed, and operations for the rest."""
    full = trainings[0]
    fit, _ = kk.load(DATASET, n_train=full.images, n_test=1, image_size=full.side, seed=0)
    middle = sorted(cells, key=lambda cell: full.operations(cell, CHANNELS, CLASSES))[
        len(cells) // 2
    ]
    estimate = estimate_training(middle, fit, full.recipe, seeds=1)
    whole = operations_of(cells, full)
    shares = sum(operations_of(cells, training) / whole for training in trainings)
    alone = estimate.seconds * whole / full.operations(middle, CHANNELS, CLASSES)
    foretell((shares + FULL_SEEDS - 1) * alone, f"{len(cells)} cells one after another, {estimate}")


def drawing(record: dict[str, Any]) -> bytes:
    """Correlation against the measured share of seconds."""
    figure = empty_figure(8, 5)
    axes = figure.subplots()
    plain(axes)
    for name, row in record["regimes"].items():
        value = row["spearman"]
        x = row["share_of_seconds"]
        error = [[value["value"] - value["low"]], [value["high"] - value["value"]]]
        axes.errorbar(x, value["value"], yerr=error, fmt="o", color=POINT, alpha=0.8)
        axes.annotate(name, (x, value["value"]), xytext=(4, 4), textcoords="offset points", size=7)
    label = "two seeds of the full training"
    axes.axhline(record["ceiling"], color=DEGENERATE_POINT, linestyle="--", label=label)
    axes.legend(frameon=False)
    axes.set(xscale="log", xlabel="share of the full training's seconds", ylabel="Spearman")
    return to_png(figure)


if __name__ == "__main__":
    command(Options, main)
