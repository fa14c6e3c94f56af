"""The truth of hard digits: cells of NAS-Bench-201, trained on ``digits_hard`` from three seeds.

Each stage trains cells of its own. The settings were chosen on the cells of ``development`` alone,
and ``confirmation`` says what they give on others before the thousand are trained. What is finished
is kept in ``runs/digits_truth-STAGE-PIECE``; the same command goes on.

    python experiments/digits_truth.py --stage development     # 40 cells
    python experiments/digits_truth.py --stage confirmation    # 60 other cells
    python experiments/digits_truth.py --stage truth           # 1,000 cells, hours on two cores
    python experiments/digits_truth.py --stage sample          # 10 of the thousand, compared again

``--size`` multiplies the number of cells, ``--n`` takes the first so many. ``truth`` writes
``search/truth/digits_hard.csv`` and ``.json``, which are in the package, after each piece, and
trains no cell that stands there already. ``confirmation`` and ``truth`` record, beside this script:

- ``agreement``: mean Spearman correlation between the accuracies of two seeds, of all cells and of
  the better half by the mean of the seeds: no ranking can be expected to agree better with one
  training. ``agreement_of_mean``: that of the mean of the seeds with another such mean
  (Spearman-Brown, from the correlation of two);
- ``cifar10``: Spearman correlation of the mean accuracy with the published accuracy on CIFAR-10
  after 200 epochs, where ``nasbench201.npz`` is at hand;
- ``accuracy``: least, quartiles and largest of the mean accuracies.
"""

from __future__ import annotations

import csv
import io
import json
import sys
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any, Literal

import numpy as np
from benchmarks.measuring import environment, report
from running import RUNS, Options, Size, command
from scipy.stats import rankdata
from trainings import trained

import kernas.kernels as kk
import kernas.search as ks
from kernas.comparison import first_difference
from kernas.errors import DataError
from kernas.files import write_whole
from kernas.search.training import TrainingSettings
from kernas.search.truth import shipped

Stage = Literal["development", "confirmation", "truth", "sample"]

SPACE = "nasbench201:cells=1,reduction=pool"
DATASET = "digits_hard"
RECIPE = TrainingSettings(width=8, learning_rate=0.1, weight_decay=5e-4, batch_size=50, steps=200)
"""With the noise of ``digits_hard``, chosen on the development cells among a few. Agreement of two
seeds, in the better half, and with CIFAR-10 after 200 epochs:

===============================  ====  ====  ====
noise 0.3, rate 0.1              0.93  0.73  0.81
noise 0.3, rate 0.05             0.96  0.78  0.71
noise 0.5, rate 0.05             0.92  0.68  0.70
noise 0.2, rate 0.05 (33 cells)  0.91  0.52  0.83
noise 0.2, rate 0.1 (33 cells)   0.92  0.49  0.83
===============================  ====  ====  ====

(Standard errors of such correlations of 40 cells are some 0.02, 0.1 and 0.06.)
"""
SEEDS = 3
CELLS: dict[Stage, tuple[int, int]] = {
    "development": (40, 1),
    "confirmation": (60, 3),
    "truth": (1000, 0),
    "sample": (10, 0),
}
"""How many cells a stage trains, and the seed that draws them; no stage has another's."""

SETTINGS: dict[Size, float] = {"quick": 0.1, "small": 1, "medium": 2, "full": 5}
"""What these numbers of cells are multiplied by; all 5,044 different networks are "full"."""

PIECE = 100
"""Cells of one run."""

COLUMNS = [f"{shipped.MEAN}_{seed}" for seed in range(SEEDS)]
TABLE = shipped.FOLDER / f"{DATASET}.csv"


@dataclass(frozen=True, kw_only=True)
class TruthOptions(Options):
    """Which cells are trained."""

    stage: Stage = "confirmation"
    """What they are trained for."""


def main(options: TruthOptions) -> None:
    """Train the cells of a stage that are not trained yet, and report on them."""
    count = options.n or round(SETTINGS[options.size] * CELLS[options.stage][0])
    cells = cells_of(options.stage, count)
    is_truth = options.stage == "truth" and options.size != "quick"
    rows = table() if is_truth else {}
    for start in range(0, len(cells), PIECE):
        piece = [cell for cell in cells[start : start + PIECE] if cell.name not in rows]
        rows |= rows_of(piece, RUNS / f"digits_truth-{options.stage}-{start}")
        if is_truth:
            write_table(rows)
    if options.stage == "sample":
        report(compared(rows), None)
        return
    record = {"stage": options.stage, **protocol(), **summary(rows), **environment()}
    path = None
    if options.size != "quick" and options.stage != "development":
        path = Path(__file__).with_name(f"digits_truth_{options.stage}.json")
    report(record, path)


def cells_of(stage: Stage, n: int) -> list[ks.Candidate]:
    """Cells of different networks; none of those that an earlier stage trained."""
    space = ks.space_from_text(SPACE)
    _, seed = CELLS[stage]
    if stage in ("truth", "sample"):
        return space.sample(n, seed=seed)
    taken = {cell.key for cell in space.sample(CELLS["truth"][0], seed=CELLS["truth"][1])}
    if stage == "confirmation":
        taken |= {cell.key for cell in cells_of("development", CELLS["development"][0])}
    drawn = (cell for cell in space.sample(10 * n, seed=seed) if cell.key not in taken)
    return [cell for cell, _ in zip(drawn, range(n), strict=False)]


def rows_of(cells: list[ks.Candidate], output: Path) -> dict[str, dict[str, float]]:
    """Of each cell by its name the accuracy of each seed, and the seconds."""
    if not cells:
        return {}
    found = trained(cells, ks.TrainScore(*kk.load(DATASET), recipe=RECIPE, seeds=SEEDS), output)
    return {
        cell.name: dict(zip(COLUMNS, accuracies, strict=True)) | {"seconds": seconds}
        for cell, accuracies, seconds in zip(
            cells, found.accuracies.T.tolist(), found.seconds.tolist(), strict=True
        )
    }


def protocol() -> dict[str, Any]:
    """How the table is measured."""
    train_set, test_set = kk.load(DATASET)
    return {
        "space": SPACE,
        "dataset": DATASET,
        "images": {"train": len(train_set), "test": len(test_set)},
        "fingerprints": {"train": train_set.fingerprint, "test": test_set.fingerprint},
        "settings": RECIPE.settings(),
        "seeds": SEEDS,
    }


def table() -> dict[str, dict[str, float]]:
    """The rows of the table so far.

    Raises:
        DataError: they were measured in another way.
    """
    if not TABLE.exists():
        return {}
    stored = shipped.protocol(DATASET)
    difference = first_difference({name: stored.get(name) for name in protocol()}, protocol())
    if difference is not None:
        name, was, now = difference
        raise DataError(
            f"{TABLE} was measured with {name} of {was}, here {now}: delete it and its .json to "
            "measure anew"
        )
    with TABLE.open(newline="", encoding="utf-8") as file:
        return {
            row.pop(shipped.NAME_COLUMN): {key: float(value) for key, value in row.items()}
            for row in csv.DictReader(file)
        }


def write_table(rows: dict[str, dict[str, float]]) -> None:
    """The table, and what it is."""
    text = io.StringIO()
    written = csv.writer(text, lineterminator="\n")
    written.writerow([shipped.NAME_COLUMN, *COLUMNS, "seconds"])
    for name, row in rows.items():
        accuracies = (f"{row[column]:.4f}" for column in COLUMNS)
        written.writerow([name, *accuracies, f"{row['seconds']:.1f}"])
    write_whole(TABLE, text.getvalue().encode())
    agreement = summary(rows)["agreement"]
    how = json.dumps(protocol() | {"cells": len(rows), "agreement": agreement}, indent=1) + "\n"
    write_whole(TABLE.with_suffix(".json"), how.encode())


def summary(rows: dict[str, dict[str, float]]) -> dict[str, Any]:
    """What the record says of the accuracies of some cells."""
    accuracies = np.array([[row[column] for column in COLUMNS] for row in rows.values()])
    means = accuracies.mean(axis=1)
    better = means >= np.median(means)
    pairs = list(combinations(range(SEEDS), 2))
    agreement = {
        name: float(np.mean([rho(part[:, i], part[:, j]) for i, j in pairs]))
        for name, part in (("all", accuracies), ("better half", accuracies[better]))
    }
    return {
        "cells": len(rows),
        "agreement": agreement,
        "agreement_of_mean": {
            name: SEEDS * r / (1 + (SEEDS - 1) * r) for name, r in agreement.items()
        },
        "cifar10": with_cifar10(list(rows), means, better),
        "accuracy": np.quantile(means, (0, 0.25, 0.5, 0.75, 1)).round(4).tolist(),
        "seconds_a_cell": float(np.median([row["seconds"] for row in rows.values()])),
    }


def with_cifar10(
    names: list[str], means: np.ndarray, better: np.ndarray
) -> dict[str, float] | None:
    """The correlation with the published accuracies."""
    try:
        published = ks.load_truth("nasbench201")
    except DataError as error:
        print(error, file=sys.stderr)
        return None
    values = np.array([published[name] for name in names])
    return {"all": rho(means, values), "better half": rho(means[better], values[better])}


def rho(first: np.ndarray, second: np.ndarray) -> float:
    """Spearman's."""
    return float(np.corrcoef(rankdata(first), rankdata(second))[0, 1])


def compared(rows: dict[str, dict[str, float]]) -> dict[str, Any]:
    """How far cells that were trained again are from the table."""
    there = table()
    differences = [
        abs(row[column] - there[name][column]) for name, row in rows.items() for column in COLUMNS
    ]
    return {"stage": "sample", "cells": len(rows), "largest_difference": max(differences)}


if __name__ == "__main__":
    command(TruthOptions, main)
