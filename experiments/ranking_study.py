"""Do exact kernels rank? Settings are chosen on some cells and images, and judged on others.

``ranking_study/protocol.md`` says what is compared, how it is chosen and what is reported, and was
committed before anything was run; ``ranking_study/cells/`` has the cells.

    python experiments/ranking_study.py --stage development    # hours on two cores, in pieces
    python experiments/ranking_study.py --size quick           # 6 cells, 20 images; records nothing

``--n``: the first so many settings of the stage. The same command goes on: what is finished stands
in ``ranking_study/development.csv``, the ranks of the cells by every score of every setting, a
piece for each; what is not in ``runs/ranking_study``. ``ranking_study/development.json`` has
Spearman's correlation with the accuracy for each of these columns, by setting, and seconds a cell.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, replace
from itertools import product
from pathlib import Path
from typing import Any, Literal

import numpy as np
from benchmarks.measuring import environment, report
from pieces import Columns, Pieces
from running import RUNS, Options, Size, command, foretell
from scipy.stats import rankdata

import kernas.kernels as kk
import kernas.search as ks
from kernas.kernels.finite.network import Parameterization
from kernas.kernels.regression import METRICS, NORMALIZATIONS
from kernas.search.ranking.statistics import spearman
from kernas.search.scores.base import oriented
from kernas.search.scores.kernel_source import KernelName
from kernas.search.spaces.nasbench201 import PYTORCH_GAIN

Stage = Literal["development"]

HERE = Path(__file__).parent / "ranking_study"
DATASET, TRUTH = "cifar10", "nasbench201"
RIDGES = (1e-2, 1e-3)
WITHOUT_RIDGE = ("alignment", "descent", "trace", "effective_rank")
KERNELS: tuple[tuple[KernelName, Parameterization], ...] = (
    ("nngp", "ntk"),
    ("ntk", "ntk"),
    ("ntk", "standard"),
)
"""What is got, and its parameterisation."""


@dataclass(frozen=True)
class KernelSetting:
    """Networks, images and how many cells.

    Attributes:
        center: whether normalisations subtract the mean.
        side: of the images.
        n: images of the regression.
        n_validation: beside them.
        cells_a_stage: of the skeleton.
        gain: of the shortcut in a reduction.
        readout: of the skeleton.
        flip: whether mirror images are in the kernel.
        draw: of the images.
        of: the first so many cells.
    """

    center: bool = False
    side: int = 8
    n: int = 200
    n_validation: int = 200
    cells_a_stage: int = 1
    gain: float = PYTORCH_GAIN
    readout: str = "gap"
    flip: bool = False
    draw: int = 0
    of: int = 150

    def __str__(self) -> str:
        plain = KernelSetting()
        values = ((f.name, getattr(self, f.name)) for f in fields(self)[1:])
        changed = [f"{name}={v:.4g}" if isinstance(v, float) else f"{name}={v}"
                   for name, v in values if v != getattr(plain, name)]  # fmt: skip
        return " ".join(["centred" if self.center else "rms", *changed])

    @property
    def space(self) -> ks.NasBench201:
        """The networks."""
        return ks.NasBench201(
            self.cells_a_stage,
            center=self.center,
            shortcut_W_std=self.gain,
            readout=self.readout,
        )


def one_at_a_time() -> Iterator[KernelSetting]:
    """Both base settings, and of each every other value of one factor."""
    for base in (KernelSetting(), KernelSetting(center=True)):
        yield base
        for draw in (1, 2):
            yield replace(base, draw=draw)
        for gain in (1.0, 2**0.5):
            yield replace(base, gain=gain)
        yield replace(base, side=16, n=100, n_validation=100)
        for n in (50, 100, 400):
            yield replace(base, n=n)
        yield replace(base, cells_a_stage=3)
        for readout in ("flatten", "lap:1"):
            yield replace(base, readout=readout)
        yield replace(base, flip=True)
        yield replace(base, side=32, n=50, n_validation=50, of=30)
        yield replace(base, cells_a_stage=5)
    yield KernelSetting(n=800)


SETTINGS: dict[Size, tuple[KernelSetting, ...]] = {
    "quick": (KernelSetting(n=20, n_validation=20, of=6),),
    "small": tuple(one_at_a_time()),
    "medium": tuple(one_at_a_time()),
    "full": tuple(one_at_a_time()),
}


@dataclass(frozen=True, kw_only=True)
class StudyOptions(Options):
    """What is run."""

    stage: Stage = "development"
    """A stage of the protocol."""


def main(options: StudyOptions) -> None:
    """Compute what is missing of the stage, and report."""
    settings = SETTINGS[options.size][: options.n]
    quick = options.size == "quick"
    names = cells_of("development")
    pieces = Pieces(None if quick else HERE / "development.csv", names)
    truth = ks.load_truth(TRUTH)
    accuracy = [truth[name] for name in names]
    rows = {
        str(setting): judged(ranks_of(setting, names, pieces), accuracy) for setting in settings
    }
    record = {**options.asked(), "cells": len(names), "settings": rows, **environment()}
    report(record, None if quick else HERE / "development.json")


def cells_of(stage: str) -> list[str]:
    """The cells of a stage."""
    return (HERE / "cells" / f"{stage}.txt").read_text(encoding="utf-8").split()


def images_of(setting: KernelSetting, half: int) -> tuple[kk.Dataset, kk.Dataset]:
    """Those of the regression and of the validation, from one half of the data."""
    images, _ = kk.load(DATASET, n_test=1, image_size=setting.side, seed=0)
    fit, validation = images.split(0.5, seed=0)[half].split(0.5, seed=0)
    return (
        fit.subset(setting.n, seed=setting.draw),
        validation.subset(setting.n_validation, seed=setting.draw),
    )


def scores_of(
    setting: KernelSetting, images: tuple[kk.Dataset, kk.Dataset], ridge: float, grams: Path
) -> list[ks.KernelScore]:
    """Every metric of every kernel at a ridge; those that read none at the first alone."""
    found: list[ks.KernelScore] = []
    for (get, parameterization), normalization in product(KERNELS, NORMALIZATIONS):
        for name, metric in METRICS.items():
            if normalization not in metric.normalizations:
                continue
            if ridge != RIDGES[0] and name in WITHOUT_RIDGE:
                continue
            score = ks.KernelScore(
                *images,
                get=get,
                metric=name,
                ridge=ridge,
                grams=grams,
                augment=(kk.Flip(),) if setting.flip else (),
                normalization=normalization,
                parameterization=parameterization,
            )
            found.append(score)
    return found


def ranks_of(setting: KernelSetting, names: Sequence[str], pieces: Pieces) -> Columns:
    """By score and ridge the ranks of the cells, the best last, and ``seconds``."""
    images = images_of(setting, half=0)
    folder = RUNS / "ranking_study" / str(setting).replace(" ", "-")
    grams = folder / "grams"
    cells = [setting.space.candidate(name) for name in names[: setting.of]]
    by_ridge = {ridge: scores_of(setting, images, ridge, grams) for ridge in RIDGES}

    def ranked() -> Columns:
        sources = {score.source for score in by_ridge[RIDGES[0]]}
        costs = [s.cost(cell, by_ridge[RIDGES[0]]) for s in sources for cell in cells]
        foretell(sum(cost.seconds or 0.0 for cost in costs), f"{setting}, {len(cells)} cells")
        columns: Columns = {}
        rest: list[float | None] = [None] * (len(names) - len(cells))
        for ridge, scores in by_ridge.items():
            ranking = ks.rank(cells, scores, output=folder / f"{ridge:g}", resume=True)
            rows = {row.name: row for row in ranking}
            of_cells = [rows[cell.name] for cell in cells]
            for score in scores:
                values = [
                    row.values[score.name].value if score.name in row.values else None
                    for row in of_cells
                ]
                ranks = rankdata(oriented(values, score.higher_is_better))
                columns[f"{score.name} {ridge:g}"] = [*map(float, ranks), *rest]
            if ridge == RIDGES[0]:
                columns["seconds"] = [*(row.seconds for row in of_cells), *rest]
        return columns

    found = pieces.get(str(setting), by_ridge[RIDGES[0]][0].source.key, ranked)
    shutil.rmtree(folder, ignore_errors=True)
    return found


def judged(columns: Columns, accuracy: Sequence[float]) -> dict[str, Any]:
    """Spearman's correlation of each column with the accuracies of its cells, the best first."""
    known = [place for place, value in enumerate(columns["seconds"]) if value is not None]
    truth = [accuracy[place] for place in known]
    found = {
        name: round(spearman(truth, [values[place] for place in known]), 4)
        for name, values in columns.items()
        if name != "seconds"
    }
    seconds = [columns["seconds"][place] for place in known]
    return {
        "cells": len(known),
        "seconds_a_cell": round(float(np.median(np.array(seconds, np.float64))), 3),
        "spearman": dict(sorted(found.items(), key=lambda item: -item[1])),
    }


if __name__ == "__main__":
    command(StudyOptions, main)
