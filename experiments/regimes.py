"""How well does reduced training rank? Cells under a grid of regimes, against the full training.

60 cells of ``nasbench201:cells=1,reduction=pool`` on CIFAR-10. The full training has 16 channels,
16×16 pixels, 12 epochs on 3,000 images, three seeds: two are the target, and the first is compared
with them as one of every regime is (``ks.Regime``, in the notation of Zhou et al. 2020, EcoNAS:
c channels, r resolution, e epochs, s samples), so that no regime has a seed in common with what it
is compared with. All are judged on the same 2,000 test images, resized as the training images are.

    python experiments/regimes.py                 # at most 3 hours on two cores, in pieces
    python experiments/regimes.py --size quick    # 4 cells, 3 regimes, 200 images; records nothing

``--n``: cells. The same command goes on: ``regimes.csv`` has the accuracies of the regimes that are
finished, ``runs/regimes-SIZE`` what is not.
The record has of each regime: Spearman's correlation with the target by the printed formula
(equation 8 of the survey, ranks as they come where values tie) and with ties as the standard has
them, with a 95% interval; how much less that is than the full training's own, and the regret in
accuracy, both from the same resamples; the share of operations by the indices and by what was
rounded and sampled; and the share of seconds that those predict beside the measured one.

Published beside it: EcoNAS's regime (c4 r4 s0, a quarter of the epochs) reaches about 0.61 on
NAS-Bench-201; the benchmark's validation accuracy after 12 epochs stands at 0.77 against its final
test accuracy, on all 15,625 cells (``nasbench201.npz``).
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from benchmarks.measuring import environment, report
from pieces import Columns, Pieces
from running import RUNS, Options, Size, command, foretell
from trainings import WORKERS, Trainings, trained

import kernas.kernels as kk
import kernas.search as ks
from kernas.files import write_whole
from kernas.search.ranking.statistics import agreements
from kernas.search.report.panels import DEGENERATE_POINT, empty_figure, plain, to_png
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
FULL_SEEDS = 3
"""The first is a regime like any other, the others are the target."""

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


FACTORS = ("channels", "resolution", "epochs", "samples")
TOGETHER = "together"


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
    target = whole.accuracies[1:].mean(axis=0)
    one_seed = float(np.median(whole.seconds)) / FULL_SEEDS
    operations = operations_of(cells, trainings[0])
    names = [str(regime) for regime in regimes]
    accuracies = {name: of.accuracies[0] for name, of in zip(names, found, strict=True)}
    agreed = agreements(target, {name: list(values) for name, values in accuracies.items()})
    rows = {
        name: {
            "spearman": asdict(agreed[name].spearman),
            "spearman_as_printed": as_printed(accuracies[name], target),
            "less_than_full": asdict(agreed.difference(names[0], name)),
            "regret": asdict(agreed[name].regret),
            "channels": training.recipe.width,
            "side": training.side,
            "epochs": training.recipe.epochs,
            "images": training.images,
            "mean_accuracy": float(accuracies[name].mean()),
            "share_of_operations": {
                "by the indices": regime.share_of_operations(setting.full),
                "as rounded": operations_of(cells, training) / operations,
            },
            "share_of_seconds": float(np.median(of.seconds)) / len(of.accuracies) / one_seed,
        }
        for name, regime, training, of in zip(names, regimes, trainings, found, strict=True)
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


def as_printed(values: np.ndarray, target: np.ndarray) -> float:
    """Spearman's correlation by equation 8 of the survey, ``1 − 6 Σ d² / (n (n² − 1))``."""
    one, other = (np.argsort(np.argsort(v, kind="stable")) for v in (values, target))
    n = len(values)
    return 1 - 6 * float(((one - other) ** 2).sum()) / (n * (n**2 - 1))


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
    seconds = (shares + FULL_SEEDS - 1) * alone / WORKERS
    foretell(seconds, f"{len(cells)} cells, {WORKERS} at a time, {estimate}")


def changed(regime: str) -> list[str]:
    """The parts of a regime's name that reduce something, or ask for more."""
    return [part for part in regime.split() if part[1:] != "0"]


def drawing(record: dict[str, Any]) -> bytes:
    """Correlation against the measured share of seconds; a line for each factor alone."""
    figure = empty_figure(9, 5.5)
    axes = figure.subplots()
    plain(axes)
    rows = record["regimes"]
    full, *others = rows
    axes.axhline(rows[full]["spearman"]["value"], color=DEGENERATE_POINT, linestyle="--")
    groups = {factor: [full] for factor in FACTORS} | {TOGETHER: []}
    for name in others:
        parts = changed(name)
        alone = next(factor for factor in FACTORS if factor[0] == parts[0][0])
        groups[alone if len(parts) == 1 else TOGETHER].append(name)
    for place, (group, names) in enumerate(groups.items()):
        ordered = sorted(names, key=lambda name: rows[name]["share_of_seconds"])
        x = [rows[name]["share_of_seconds"] for name in ordered]
        values = [rows[name]["spearman"] for name in ordered]
        y = [value["value"] for value in values]
        error = [
            [v["value"] - v["low"] for v in values],
            [v["high"] - v["value"] for v in values],
        ]
        style = "none" if group == TOGETHER else "-"
        axes.errorbar(x, y, yerr=error, fmt="o", linestyle=style, color=f"C{place}", label=group,
                      elinewidth=0.7)  # fmt: skip
        above = group in ("epochs", TOGETHER)
        for name, at, value in zip(ordered, x, values, strict=True):
            short = " ".join(changed(name)) or "full"
            end = value["high"] if above else value["low"]
            if name != full or above:
                axes.annotate(short, (at, end), color=f"C{place}", ha="center",
                              xytext=(0, 4 if above else -11), textcoords="offset points",
                              size=8)  # fmt: skip
    axes.legend(frameon=False, loc="lower right")
    axes.set(xscale="log", xlabel="seconds, as a share of the full training's",
             ylabel="Spearman with two other seeds of the full training")  # fmt: skip
    return to_png(figure)


if __name__ == "__main__":
    command(Options, main)
