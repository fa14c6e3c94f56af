"""The ranking study's confirmation: what was chosen, judged on cells and images that nothing saw.

``ranking_study/protocol.md`` says what is reported; ``ranking_study/choice.json`` what was chosen.

    python experiments/ranking_confirmation.py                 # hours on two cores, in pieces
    python experiments/ranking_confirmation.py --size quick    # 12 cells; records nothing

``--n``: cells. The same command goes on: ``ranking_study/confirmation-PIECE.csv`` have the values
of 250 cells each by every score, as far as they are finished, ``ranking_study/trained.csv`` the
accuracies of the first hundred after training, alone and with what they inherit from supernets; the
rest is in ``runs/ranking_confirmation``. The record, ``ranking_confirmation.json``, has for all
cells, for those without branches that nothing reads, for the better half, and for those that were
trained: of each score Spearman's and Kendall's correlation with the accuracy after 200 epochs,
nDCG, the share found of the best tenth and the regret of the first, with 95% intervals, and its
lead over ``params``, the best proxy and 12 epochs of training, from the same resamples. ``metrics``
has Spearman's of every kernel score at three settings, ``residuals`` what scores miss by operation.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import digits_truth
import numpy as np
import proxies_published
from benchmarks.measuring import environment, report
from pieces import Columns, Pieces
from ranking_settings import (
    CONFIRMATION,
    COUNTS,
    SECONDS,
    KernelSetting,
    counts_of,
    direction_of,
    images_of_proxies,
    proxies_of,
    proxies_on,
    ranked,
    values_of,
)
from ranking_study import HERE, TRUTH, cells_of
from running import RUNS, Options, Size, command
from scipy.stats import rankdata, spearmanr
from trainings import trained

import kernas.kernels as kk
import kernas.search as ks
from kernas.errors import DataError
from kernas.files import write_whole
from kernas.search.ranking.statistics import STATISTICS, Agreements, agreements, spearman
from kernas.search.report.panels import (
    ACCENT,
    DEGENERATE_POINT,
    POINT,
    empty_figure,
    plain,
    to_png,
)
from kernas.search.scores.base import oriented
from kernas.search.scores.proxies import PROXIES
from kernas.search.training.supernet import Sampling

PIECE = 250
TRAINED = 100
EPOCHS = "12 epochs"
"""The benchmark's own validation accuracy after so many."""

TRAINING = "trained"
SHARED: dict[str, Sampling] = {"shared weights": "uniform", "shared weights, fair": "fair"}
"""Accuracies with inherited weights, and how the paths of their supernets are drawn."""

SHARED_STEPS = 4000
"""Of a supernet; with fair paths each takes a gradient of every operation."""

OPERATIONS = ("none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3")

SINGLE = ("default", "validation_accuracy", "kernel", "shipped", "validation")
TOGETHER = ("kernels", "counts_and_kernels", "everything", "fast", "best")
"""What was chosen: one score, or several whose log-ranks are added."""

EVERY_METRIC = (
    KernelSetting(),
    KernelSetting(center=True),
    KernelSetting(n=50, n_validation=200),
)
"""Settings of which every score is in the record: both forms, and that of the command line."""

SHOWN_KERNELS = 12
"""Further scores of the chosen settings in the record, the best ones."""


@dataclass(frozen=True)
class Setting:
    """How many cells are ranked, and how many of them trained."""

    cells: int
    trained: int
    shared_steps: int = SHARED_STEPS
    side_of_proxies: int = proxies_published.CHEAP.side


SETTINGS: dict[Size, Setting] = {
    "quick": Setting(12, 2, 60, 8),
    "small": Setting(1000, TRAINED),
    "medium": Setting(1000, 1000),
    "full": Setting(1000, 1000),
}


def main(options: Options) -> None:
    """Compute what is missing, report and draw."""
    setting = SETTINGS[options.size]
    quick = options.size == "quick"
    names = cells_of("confirmation")[: options.n or setting.cells]
    choice = SAMPLE_CHOICE if quick else the_choice()
    folder = RUNS / f"ranking_confirmation-{options.size}"
    columns: Columns = {}
    for number, start in enumerate(range(0, len(names), PIECE)):
        part = names[start : start + PIECE]
        table = None if quick else HERE / f"confirmation-{number}.csv"
        of_part = measured(part, choice, setting, Pieces(table, part), folder / str(number))
        columns = {name: columns.get(name, []) + values for name, values in of_part.items()}
    few = names[: setting.trained]
    table = None if quick else HERE / "trained.csv"
    accuracies = trainings(few, setting.shared_steps, Pieces(table, few), folder / "trained")
    truth, epochs = ks.load_truth(TRUTH), ks.load_truth(TRUTH, "val12_cifar10")
    accuracy = np.array([truth[name] for name in names])
    scores: Columns = {**columns, EPOCHS: [epochs[name] for name in names]}
    record = {
        **options.asked(),
        "cells": len(names),
        "choice": choice,
        "seconds_a_cell": seconds_of(columns | accuracies),
        **{
            name: judged(scores, mask, accuracy, choice)
            for name, mask in subsets(names, accuracy).items()
        },
        "metrics": metrics(scores, accuracy),
        "residuals": residuals(scores, names, accuracy, choice),
        "of_trained_cells": judged(
            {name: values[: len(few)] for name, values in scores.items()} | accuracies,
            np.ones(len(few), bool),
            accuracy[: len(few)],
            choice,
        ),
        **environment(),
    }
    path = options.record(__file__)
    report(record, path)
    if path is not None:
        write_whole(path.with_suffix(".png"), drawing(record))


def the_choice() -> dict[str, Any]:
    """What ``ranking_study.py --stage choice`` recorded.

    Raises:
        DataError: nothing was chosen yet.
    """
    path = HERE / "choice.json"
    if not path.exists():
        raise DataError(f"{path} is missing: run ranking_study.py --stage choice first")
    chosen = json.loads(path.read_text(encoding="utf-8"))
    return {name: chosen[name] for name in (*SINGLE, *TOGETHER)}


def _single(column: str, **setting: Any) -> dict[str, Any]:
    return {"score": column, "setting": asdict(KernelSetting(**setting))}


SAMPLE_CHOICE: dict[str, Any] = {
    **{name: _single("ntk:loo_error 0.01", n=20, n_validation=20) for name in SINGLE},
    **{
        name: {"scores": [_single("nngp:gcv 0.01", n=20, n_validation=20),
                          {"score": "params", "setting": None}]}
        for name in TOGETHER
    },
}  # fmt: skip
"""To see the script work."""


def parts_of(chosen: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The scores of one choice."""
    return chosen.get("scores", [chosen])


def column_of(part: Mapping[str, Any]) -> str:
    """A score at its setting."""
    if part["setting"] is None:
        return part["score"]
    return f"{KernelSetting(**part['setting'])} | {part['score']}"


def kernels_in(choice: Mapping[str, Any]) -> dict[KernelSetting, set[str]]:
    """Settings, those of few images first, and which columns of theirs were chosen."""
    found: dict[KernelSetting, set[str]] = {}
    for part in (part for chosen in choice.values() for part in parts_of(chosen)):
        if part["setting"] is not None:
            found.setdefault(KernelSetting(**part["setting"]), set()).add(part["score"])
    return dict(sorted(found.items(), key=lambda item: (item[0].n, str(item[0]))))


def measured(
    names: Sequence[str],
    choice: Mapping[str, Any],
    setting: Setting,
    pieces: Pieces,
    folder: Path,
) -> Columns:
    """Every score of some cells: of the chosen settings, the proxies and the counts."""
    columns: Columns = dict(pieces.get("counts", "", lambda: counts_of(names)))
    fit = images_of_proxies(CONFIRMATION, setting.side_of_proxies)
    key = proxies_of(fit)[0].source.key
    of_proxies = pieces.get("proxies", key, lambda: proxies_on(fit, names, folder / "proxies"))
    columns |= {("proxies | " if n == SECONDS else "") + n: v for n, v in of_proxies.items()}
    for one in sorted(kernels_in(choice), key=str):
        place = folder / str(one).replace(" ", "-")

        def kernel(one: KernelSetting = one, place: Path = place) -> Columns:
            return values_of(one, names, CONFIRMATION, place)

        found = pieces.get(str(one), one.key(CONFIRMATION), kernel)
        columns |= {f"{one} | {name}": values for name, values in found.items()}
    return columns


def trainings(names: Sequence[str], steps: int, pieces: Pieces, folder: Path) -> Columns:
    """The accuracy of cells on CIFAR-10 after training by the recipe of the shipped truth, and with
    the weights that they inherit from supernets, which take more steps; and seconds a cell."""
    fit, test = kk.load("cifar10", n_train=1000, n_test=1000, image_size=16, seed=0)
    score = ks.TrainScore(fit, test, digits_truth.RECIPE, seeds=1)
    space = ks.space_from_text(digits_truth.SPACE)
    cells = [space.candidate(name) for name in names]

    def alone() -> Columns:
        found = trained(cells, score, folder)
        return {TRAINING: found.accuracies[0].tolist(), SECONDS: found.seconds.tolist()}

    def inherited(sampling: Sampling) -> Columns:
        recipe = replace(digits_truth.RECIPE, steps=steps)
        place = folder.with_name(f"supernet-{sampling}")
        supernet = ks.train_supernet(
            space, fit, recipe, sampling=sampling, folder=place, progress=True
        )
        judge = ks.SharedWeightScore(supernet, test)
        found = ranked(cells, [judge], None)
        share = supernet.reached.seconds / len(cells)
        return {
            TRAINING: found[judge.name],
            SECONDS: [share + (value or 0.0) for value in found[SECONDS]],
        }

    key = score.source.key
    parts = {TRAINING: (key, alone)} | {
        name: (f"{key} {steps}", partial(inherited, sampling)) for name, sampling in SHARED.items()
    }
    columns: Columns = {}
    for name, (its_key, compute) in parts.items():
        found = pieces.get(name, its_key, compute)
        columns |= {name: found[TRAINING], f"{name} | {SECONDS}": found[SECONDS]}
    return columns


def subsets(names: Sequence[str], accuracy: np.ndarray) -> dict[str, np.ndarray]:
    """Which cells are judged together."""
    table = proxies_published.published_table()
    covered = np.isfinite(table["proxies_cifar10"]).all(axis=1)
    places = {name.decode(): place for place, name in enumerate(table["arch_str"])}
    return {
        "all": np.ones(len(names), bool),
        "covered": np.array([covered[places[name]] for name in names]),
        "better_half": accuracy >= np.median(accuracy),
    }


def judged(
    columns: Columns, mask: np.ndarray, accuracy: np.ndarray, choice: Mapping[str, Any]
) -> dict[str, Any]:
    """Scores of some cells beside each other, the best first."""
    known = {
        name: [value for value, is_in in zip(values, mask, strict=True) if is_in]
        for name, values in columns.items()
        if not name.rpartition(" | ")[2].startswith(SECONDS)
    }
    directions = {name: is_higher_better(name) for name in known}
    together = {
        name: ks.Combined({column_of(part): 1.0 for part in parts_of(choice[name])})
        for name in TOGETHER
        if name in choice and len(parts_of(choice[name])) > 1
    }
    named = {name: column_of(choice[name]) for name in SINGLE}
    scores = {name: known[column] for name, column in named.items()}
    scores |= {
        name: list(map(float, combined.values(known, directions)))
        for name, combined in together.items()
    }
    higher = {name: directions[column] for name, column in named.items()}
    shown = [name for name in known if " | " not in name]
    kernels = [name for name in known if " | " in name]
    best = agreements(accuracy[mask], {k: known[k] for k in kernels}, higher_is_better=directions,
                      n_resamples=1).best_first()[:SHOWN_KERNELS]  # fmt: skip
    scores |= {name: known[name] for name in (*shown, *best)}
    higher |= {name: directions[name] for name in (*shown, *best)}
    agreed = agreements(accuracy[mask], scores, higher_is_better=higher)
    proxy = next((name for name in agreed.best_first() if name in PROXIES), None)
    return {
        "cells": int(mask.sum()),
        "best_proxy": proxy,
        "scores": {name: row_of(agreed, name, proxy) for name in agreed.best_first()},
    }


def metrics(columns: Columns, accuracy: np.ndarray) -> dict[str, dict[str, float]]:
    """By some settings Spearman's correlation of every score of its kernels, the best first."""
    found: dict[str, dict[str, float]] = {}
    for setting in map(str, EVERY_METRIC):
        head = f"{setting} | "
        of: dict[str, float] = {}
        for name, values in columns.items():
            column = name.removeprefix(head)
            if column != name and not column.startswith(SECONDS):
                value = correlation(name, values, accuracy)
                if not np.isnan(value):  # of a constant column
                    of[column] = round(value, 3)
        found[setting] = dict(sorted(of.items(), key=lambda item: -item[1]))
    return found


def correlation(name: str, values: Sequence[float | None], accuracy: np.ndarray) -> float:
    """Spearman's of a column in its direction."""
    return spearman(values, list(accuracy), higher_is_better=(is_higher_better(name), True))


def residuals(
    columns: Columns, names: Sequence[str], accuracy: np.ndarray, choice: Mapping[str, Any]
) -> dict[str, dict[str, float]]:
    """What chosen scores miss: of each Spearman's correlation of (rank by the accuracy − rank by
    the score) with the number of edges of an operation; above 0 where cells with more of it are
    better than the score says."""
    directions = {name: is_higher_better(name) for name in columns if SECONDS not in name}
    counts = {
        operation: np.array([name.count(f"|{operation}~") for name in names])
        for operation in OPERATIONS
    }
    truth = rankdata(accuracy)
    scores: dict[str, np.ndarray] = {}
    for name in ("default", "kernel", COUNTS[0], "synflow"):
        column = column_of(choice[name]) if name in choice else name
        scores[name] = rankdata(oriented(columns[column], directions[column]))
    combined = ks.Combined(
        {column_of(part): 1.0 for part in parts_of(choice["counts_and_kernels"])}
    )
    scores["counts_and_kernels"] = rankdata(combined.values(columns, directions))
    return {
        name: {
            operation: round(float(spearmanr(truth - ranks, of).statistic), 4)  # pyright: ignore
            for operation, of in counts.items()
        }
        for name, ranks in scores.items()
    }


def is_higher_better(name: str) -> bool:
    """The direction of a column."""
    if name in (EPOCHS, TRAINING, *SHARED):
        return True
    return direction_of(name.rpartition(" | ")[2])


def row_of(agreed: Agreements, name: str, proxy: str | None) -> dict[str, Any]:
    """The statistics of a score, and its leads."""
    found: dict[str, Any] = {
        statistic: asdict(getattr(agreed[name], statistic)) for statistic in STATISTICS
    }
    for other in (COUNTS[0], proxy, EPOCHS):
        if other in agreed and other != name:
            found[f"lead over {other}"] = asdict(agreed.difference(name, str(other)))
    return found


def seconds_of(columns: Columns) -> dict[str, float]:
    """What all scores of a source take for a cell, medians."""
    return {
        name.replace(f" | {SECONDS}", ""): float(np.median(np.array(values, np.float64)))
        for name, values in columns.items()
        if name.rpartition(" | ")[2].startswith(SECONDS)
    }


def drawing(record: Mapping[str, Any]) -> bytes:
    """Spearman's of what was chosen, proxies and counts; all cells and the better half."""
    scores = [name for name in record["all"]["scores"] if " | " not in name]
    kinds = {
        "kernels, alone or with counts": (POINT, (*SINGLE, *TOGETHER)),
        "12 epochs of training": (ACCENT, (EPOCHS,)),
        "counts and proxies": (DEGENERATE_POINT, (*COUNTS, *PROXIES)),
    }
    figure = empty_figure(9, 0.24 * len(scores) + 1)
    panels = figure.subplots(1, 2, sharey=True)
    for axes, subset in zip(panels, ("all", "better_half"), strict=True):
        plain(axes)
        for kind, (color, names) in kinds.items():
            for name in names:
                value, place = record[subset]["scores"][name]["spearman"], scores.index(name)
                axes.plot([value["low"], value["high"]], [place, place], color=color)
                axes.plot(value["value"], place, "o", color=color, label=kind)
                kind = None
        axes.set(xlabel="Spearman", title=subset.replace("_", " "))
    panels[0].set_yticks(range(len(scores)), scores, size=7)
    panels[0].invert_yaxis()
    panels[0].legend(frameon=False, fontsize=8, loc="lower right")
    return to_png(figure)


if __name__ == "__main__":
    command(Options, main)
