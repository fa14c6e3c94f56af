"""Is synflow the most robust proxy, more than reduced training? Two data sets, three measures.

Abdelfattah et al. 2021 (section 4) call it so. On CIFAR-10: the cells of ``proxies_published.py``
with the proxies that it computes at the published protocol, judged by the benchmark's test accuracy
after 200 epochs; reduced training is the benchmark's validation accuracy after 12. On
``digits_hard``: cells of the truth that ships, proxies of batches as at the cheap protocol; reduced
training has a quarter of the steps.

    python experiments/synflow.py                 # some minutes beside proxies_published.csv
    python experiments/synflow.py --size quick    # 12 cells, few pixels; records nothing

``--n``: cells. What is finished is kept in ``synflow.csv`` and ``proxies_published.csv``; the same
command goes on. The record has, for each data set and of Spearman's and Kendall's correlation and
the share found of the best tenth, each score's value and interval, and ``behind``: synflow's value
less that of every other, with the 95% interval from the same resamples. ``beaten`` names those of
which that lies wholly below 0, ``beats`` those of which it lies wholly above.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import digits_truth
import numpy as np
import proxies_published
from benchmarks.measuring import environment, report
from pieces import Columns, Pieces
from proxies_published import AS_PUBLISHED, CHEAP, Protocol
from running import RUNS, Options, Size, command
from trainings import trained

import kernas.kernels as kk
import kernas.search as ks
from kernas.files import write_whole
from kernas.search.ranking.statistics import Agreements, Interval, agreements
from kernas.search.report.panels import (
    DEGENERATE_POINT,
    POINT,
    empty_figure,
    plain,
    to_png,
)
from kernas.search.scores.proxies import PROXIES

NAME, TRAINING = "synflow", "reduced training"
MEASURES = ("spearman", "kendall", "precision")
CELL_SEED = 9


@dataclass(frozen=True)
class Setting:
    """How large a run is."""

    cells: int
    on_cifar10: Protocol


SETTINGS: dict[Size, Setting] = {
    "quick": Setting(12, Protocol(1, 8, 16)),
    "small": Setting(200, AS_PUBLISHED),
    "medium": Setting(1000, AS_PUBLISHED),
    "full": Setting(1000, AS_PUBLISHED),
}


def main(options: Options) -> None:
    """Compute what is missing, compare, report and draw."""
    setting = SETTINGS[options.size]
    n = options.n or setting.cells
    path = options.record(__file__)
    record = {
        **options.asked(),
        "cells": n,
        "cifar10": compared(*on_cifar10(n, setting.on_cifar10, options)),
        "digits_hard": compared(*on_digits(n, path, options.size)),
        **environment(),
    }
    report(record, path)
    if path is not None:
        write_whole(path.with_suffix(".png"), drawing(record))


def on_cifar10(n: int, protocol: Protocol, options: Options) -> tuple[np.ndarray, Columns]:
    """The truth, and the scores."""
    table = proxies_published.published_table()
    chosen, names = proxies_published.covered_cells(table, n)
    space = ks.NasBench201(protocol.cells_a_stage)
    record = options.record(proxies_published.__file__)
    scores = proxies_published.computed(
        [space.candidate(name) for name in names],
        protocol,
        0,
        Pieces(record and record.with_suffix(".csv"), names),
        RUNS / f"proxies_published-{options.size}",
        "published",
    )
    del scores["seconds"]
    return table["test_cifar10"][chosen], scores | {TRAINING: table["val12_cifar10"][chosen]}


def on_digits(n: int, path: Path | None, size: Size) -> tuple[np.ndarray, Columns]:
    """The same of the shipped truth."""
    truth = ks.load_truth(digits_truth.DATASET)
    names = [str(name) for name in np.random.default_rng(CELL_SEED).permutation(list(truth))[:n]]
    space = ks.space_from_text(digits_truth.SPACE)
    cells = [space.candidate(name) for name in names]
    fit, test = kk.load(digits_truth.DATASET)
    pieces = Pieces(path and path.with_suffix(".csv"), names)
    proxies = [
        ks.ProxyScore(
            *(fit.subset(2 * CHEAP.batch, seed=0), name, proxies_published.WIDTH),
            *(CHEAP.batch, 1, 0, proxies_published.W_STD),
        )
        for name in proxies_published.PUBLISHED
    ]
    recipe = replace(digits_truth.RECIPE, steps=(digits_truth.RECIPE.steps or 0) // 4)
    training = ks.TrainScore(fit, test, recipe, seeds=1)
    folder = RUNS / f"synflow-{size}"

    def ranked() -> Columns:
        rows = {
            row.name: row for row in ks.rank(cells, proxies, output=folder / "proxies", resume=True)
        }
        return {
            score.name: [
                row.values[score.name].value if score.name in row.values else None
                for row in (rows[name] for name in names)
            ]
            for score in proxies
        }

    def accuracies() -> Columns:
        return {TRAINING: trained(cells, training, folder / "trained").accuracies[0].tolist()}

    scores = pieces.get("proxies", proxies[0].source.key, ranked)
    scores |= pieces.get("training", training.source.key, accuracies)
    return np.array([truth[name] for name in names]), scores


def compared(truth: np.ndarray, scores: Mapping[str, Sequence[float | None]]) -> dict[str, Any]:
    """One data set: every score by every measure, and synflow less the others."""
    directions = {name: name == TRAINING or PROXIES[name].higher_is_better for name in scores}
    agreed = agreements(truth, scores, higher_is_better=directions)
    return {measure: by_measure(agreed, measure) for measure in MEASURES}


def by_measure(agreed: Agreements, measure: str) -> dict[str, Any]:
    """The scores, best first."""
    values: dict[str, Interval] = {name: getattr(agreed[name], measure) for name in agreed}
    behind = {name: agreed.difference(NAME, name, measure) for name in agreed if name != NAME}
    order = sorted(values, key=lambda name: -values[name].value)
    return {
        "scores": {name: asdict(values[name]) for name in order},
        "behind": {name: asdict(behind[name]) for name in order if name != NAME},
        "beaten": [name for name in order if name != NAME and behind[name].high < 0],
        "beats": [name for name in order if name != NAME and behind[name].low > 0],
    }


def drawing(record: dict[str, Any]) -> bytes:
    """Synflow's lead over every other score, a panel for each data set and measure."""
    figure = empty_figure(11, 7)
    panels = figure.subplots(2, len(MEASURES), squeeze=False)
    for row, data in zip(panels, ("cifar10", "digits_hard"), strict=True):
        for axes, measure in zip(row, MEASURES, strict=True):
            plain(axes)
            leads = record[data][measure]["behind"]
            for place, lead in enumerate(leads.values()):
                color = DEGENERATE_POINT if lead["low"] <= 0 <= lead["high"] else POINT
                axes.plot([lead["low"], lead["high"]], [place, place], color=color)
                axes.plot(lead["value"], place, "o", color=color)
            axes.axvline(0, color=DEGENERATE_POINT, linewidth=0.8)
            axes.set_yticks(range(len(leads)), list(leads), size=7)
            axes.invert_yaxis()
            axes.set_title(f"{data}, {measure}", size=9)
    for axes in panels[-1]:
        axes.set(xlabel="synflow less the other")
    return to_png(figure)


if __name__ == "__main__":
    command(Options, main)
