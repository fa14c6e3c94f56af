"""Do exact kernels rank? Settings are chosen on some cells and images, and judged on others.

``ranking_study/protocol.md`` says what is compared, how it is chosen and what is reported, and was
committed before anything was run; ``ranking_study/cells/`` has the cells.

    python experiments/ranking_study.py --stage development    # hours on two cores, in pieces
    python experiments/ranking_study.py --stage crossing       # the best settings together
    python experiments/ranking_study.py --stage seconds        # minutes, on an idle machine
    python experiments/ranking_study.py --stage choice         # seconds, from what all recorded
    python experiments/ranking_study.py --size quick           # 6 cells, 20 images; records nothing

``--n``: the first so many settings of the stage. The same command goes on: what is finished stands
in ``ranking_study/development.csv``, a piece for each setting: the ranks of the cells, the best
last, by every score; what is not in ``runs/ranking_study``. ``development.json`` beside it has
Spearman's correlation with the accuracy for the best of these columns, by setting, and seconds a
cell as they were on the way, ``seconds.csv`` those of an idle machine, and ``choice.json`` what was
chosen. ``ranking_confirmation.py`` judges it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from benchmarks.measuring import environment, report
from pieces import Columns, Pieces
from proxies_published import CHEAP
from ranking_settings import (
    COUNTS,
    DEVELOPMENT,
    DRAWS,
    FEW,
    RIDGES,
    SECONDS,
    KernelSetting,
    counts_of,
    crossed,
    direction_of,
    images_of_proxies,
    metric_of,
    one_at_a_time,
    proxies_of,
    proxies_on,
    sampled_on,
    source_of,
    values_of,
)
from running import RUNS, Options, Size, command
from scipy.stats import rankdata

import kernas.search as ks
from kernas.kernels.regression import METRICS
from kernas.search.scores.base import oriented
from kernas.search.scores.proxies import PROXIES

Stage = Literal["development", "crossing", "seconds", "choice"]

HERE = Path(__file__).parent / "ranking_study"
TRUTH = "nasbench201"
SHOWN = 25
"""Columns of a setting in the record, the best ones."""

FAST = 0.6
"""Seconds a cell of the default score, on two cores after compilation."""

SLOW = 9.0
"""Of any score that is chosen."""

NEARLY = 0.01
"""By how much a correlation may be less than the best, for a cheaper score to be taken."""

GAIN = 0.005
"""Least gain for which a combination takes one more score."""

TIMED = 13
"""Cells by which the seconds of a setting are measured; the first of them compiles."""

UNSEEN = ("validation_accuracy", "validation_error", "loo_accuracy", "loo_error")
"""Metrics that judge kernel regression on labels that it has not seen."""

SHIPPED = KernelSetting(n=50, n_validation=200)
"""That of the command line: of those with validation images within ``FAST`` the one in which the
validation accuracy ranks best."""

SHOWN_FIRST = {
    "shipped": "ntk_standard:validation_error@centred 0.01",
    "validation": "ntk_standard:validation_accuracy@centred 0.01",
}
"""What ranks there unless something else is asked for, and what stands beside it, of one matrix."""

EVERYWHERE = [
    one for one in one_at_a_time() if not one.center and one.cells >= 150 and one.n_validation == 0
]
"""Settings of the form of normalisation that the command line has, of all cells."""

RIDGE = f" {RIDGES[0]:g}"
"""What columns at the ridge of the command line end in."""


@dataclass(frozen=True)
class Setting:
    """How many cells and settings."""

    cells: int
    kernels: tuple[KernelSetting, ...]


SETTINGS: dict[Size, Setting] = {
    "quick": Setting(6, (KernelSetting(n=20, n_validation=20),)),
    "small": Setting(150, tuple(one_at_a_time())),
    "medium": Setting(150, tuple(one_at_a_time())),
    "full": Setting(150, tuple(one_at_a_time())),
}


@dataclass(frozen=True, kw_only=True)
class StudyOptions(Options):
    """What is run."""

    stage: Stage = "development"
    """A stage of the protocol."""


def main(options: StudyOptions) -> None:
    """Compute what is missing of the stage, and report."""
    setting = SETTINGS[options.size]
    quick = options.size == "quick"
    names = cells_of("development")[: setting.cells]
    pieces = Pieces(None if quick else HERE / "development.csv", names)
    truth = ks.load_truth(TRUTH)
    accuracy = np.array([truth[name] for name in names])
    if options.stage == "choice":
        report(chosen(names, pieces, accuracy) | environment(), HERE / "choice.json")
        return
    kernels = list(setting.kernels)
    if options.stage == "seconds":
        of_draws = every_draw(kernels, names, pieces, accuracy)
        report({"seconds_a_cell": timed(of_draws, names), **environment()}, None)
        return
    if options.stage == "crossing":
        kernels = crossing(kernels, names, pieces, accuracy)
    columns = {str(one): ranks_of(one, names, pieces) for one in kernels[: options.n]}
    others(names, pieces, quick=quick)
    if options.stage == "development" and options.n is None:
        columns["control"] = control(setting.kernels[0], names, pieces, quick=quick)
    rows = {name: judged(of, accuracy) for name, of in columns.items()}
    record = {**options.asked(), "cells": len(names), "settings": rows, **environment()}
    report(record, None if quick else HERE / f"{options.stage}.json")


def cells_of(stage: str) -> list[str]:
    """The cells of a stage."""
    return (HERE / "cells" / f"{stage}.txt").read_text(encoding="utf-8").split()


def ranks_of(setting: KernelSetting, names: Sequence[str], pieces: Pieces) -> Columns:
    """By score and ridge the ranks of the cells, and what all kernels of a cell took."""
    folder = RUNS / "ranking_study" / str(setting).replace(" ", "-")

    def ranked() -> Columns:
        columns = values_of(setting, names, DEVELOPMENT, folder)
        known = {name: values[: setting.cells] for name, values in columns.items()}
        rest: list[float | None] = [None] * len(names[setting.cells :])
        return {name: values + rest for name, values in in_ranks(known).items()}

    return pieces.get(str(setting), setting.key(DEVELOPMENT), ranked)


def ranks(values: Sequence[float | None], higher_is_better: bool) -> list[float | None]:
    """From 1 for the worst, ties in the mean."""
    return [float(rank) for rank in rankdata(oriented(values, higher_is_better))]


def others(names: Sequence[str], pieces: Pieces, *, quick: bool) -> Columns:
    """The ranks by counts and by every proxy at the cheap protocol, and the seconds of a cell."""
    fit = images_of_proxies(DEVELOPMENT, 8 if quick else CHEAP.side)
    folder = None if quick else RUNS / "ranking_study" / "proxies"
    key = proxies_of(fit)[0].source.key

    def counted() -> Columns:
        return in_ranks(counts_of(names))

    def probed() -> Columns:
        return in_ranks(proxies_on(fit, names, folder))

    return pieces.get("counts", "", counted) | pieces.get("proxies", key, probed)


def control(
    setting: KernelSetting, names: Sequence[str], pieces: Pieces, *, quick: bool
) -> Columns:
    """The ranks of a few cells by kernels of networks of finite width."""
    few = names[: 3 if quick else FEW]
    folder = None if quick else RUNS / "ranking_study" / "control"
    rest: list[float | None] = [None] * (len(names) - len(few))

    def sampled() -> Columns:
        found = in_ranks(sampled_on(setting, few, DEVELOPMENT, folder))
        return {name: values + rest for name, values in found.items()}

    return pieces.get("control", setting.key(DEVELOPMENT), sampled)


def in_ranks(columns: Columns) -> Columns:
    """Of all candidates that have a column, the best last; seconds as they are."""
    return {
        name: values if name.startswith(SECONDS) else ranks(values, direction_of(name))
        for name, values in columns.items()
    }


def correlations(columns: Columns, accuracy: np.ndarray) -> dict[str, float]:
    """Spearman's of each column of ranks with the accuracies of its cells."""
    known = np.array([value is not None for value in next(iter(columns.values()))])
    truth = rankdata(accuracy[known])
    found: dict[str, float] = {}
    for name, values in columns.items():
        if not name.startswith(SECONDS):
            one = np.array(values)[known].astype(np.float64)
            found[name] = float(np.corrcoef(one, truth)[0, 1]) if np.ptp(one) > 0 else 0.0
    return found


def judged(columns: Columns, accuracy: np.ndarray) -> dict[str, Any]:
    """The best columns of a setting, and the seconds of a cell."""
    found = sorted(correlations(columns, accuracy).items(), key=lambda item: -item[1])
    return {
        "seconds_a_cell": {
            name.removeprefix(f"{SECONDS} "): round(median(columns[name]), 3)
            for name in columns
            if name.startswith(SECONDS)
        },
        "spearman": {name: round(value, 4) for name, value in found[:SHOWN]},
    }


def median(seconds: Sequence[float | None]) -> float:
    """Over the cells that have a value."""
    return float(np.median([value for value in seconds if value is not None]))


def best_settings(
    kernels: Sequence[KernelSetting],
    names: Sequence[str],
    pieces: Pieces,
    accuracy: np.ndarray,
    number: int,
) -> list[KernelSetting]:
    """Those whose best score is best, of all cells, the first draw and no validation images."""

    def best(setting: KernelSetting) -> float:
        return max(correlations(ranks_of(setting, names, pieces), accuracy).values())

    whole = [
        one
        for one in kernels
        if one.draw == 0 and one.cells >= len(names) and one.n_validation == 0
    ]
    return sorted(whole, key=best, reverse=True)[:number]


def crossing(
    kernels: Sequence[KernelSetting], names: Sequence[str], pieces: Pieces, accuracy: np.ndarray
) -> list[KernelSetting]:
    """The three best settings crossed, and the best of those with every draw."""
    together = crossed(best_settings(kernels, names, pieces, accuracy, 3))
    (best,) = best_settings(together, names, pieces, accuracy, 1)
    return [*together, *(replace(best, draw=draw) for draw in DRAWS[1:])]


def every_draw(
    kernels: Sequence[KernelSetting], names: Sequence[str], pieces: Pieces, accuracy: np.ndarray
) -> dict[KernelSetting, list[Columns]]:
    """The settings that have all draws, and the columns of each.

    Of one that has validation images the other scores are those of the setting without.
    """
    every = dict.fromkeys([*kernels, *crossing(kernels, names, pieces, accuracy)])
    found: dict[KernelSetting, list[Columns]] = {}
    for setting in dict.fromkeys(replace(one, draw=0) for one in every):
        draws = [replace(setting, draw=draw) for draw in DRAWS]
        if all(one in every for one in draws):
            found[setting] = [ranks_of(one, names, pieces) for one in draws]
    for setting, of_draws in list(found.items()):
        plain = replace(setting, n_validation=0)
        if plain in every and plain not in found:
            found[plain] = [_without_validation(columns) for columns in of_draws]
    return found


def _without_validation(columns: Columns) -> Columns:
    return {
        name: values
        for name, values in columns.items()
        if name.startswith(SECONDS) or not METRICS[metric_of(name)].needs_validation
    }


def timed(settings: Iterable[KernelSetting], names: Sequence[str]) -> dict[str, dict[str, float]]:
    """Of every setting the median seconds of a cell by parameterisation."""
    few = names[:TIMED]
    table = Pieces(HERE / "seconds.csv", few)
    found: dict[str, dict[str, float]] = {}
    for setting in settings:
        folder = RUNS / "ranking_study" / f"seconds-{str(setting).replace(' ', '-')}"

        def measured(setting: KernelSetting = setting, folder: Path = folder) -> Columns:
            columns = values_of(setting, few, DEVELOPMENT, folder)
            return {name: of for name, of in columns.items() if name.startswith(SECONDS)}

        columns = table.get(str(setting), setting.key(DEVELOPMENT), measured)
        found[str(setting)] = {
            name.removeprefix(f"{SECONDS} "): median(values) for name, values in columns.items()
        }
    return found


@dataclass(frozen=True, eq=False)
class Known:
    """One score at one setting, on the development cells.

    Attributes:
        setting: whose.
        column: the score and its ridge.
        ranks: ``(draws, cells)``.
        spearman: mean over draws.
        source: what comes together.
        seconds: of a cell, for all of the source.
    """

    setting: KernelSetting | None
    column: str
    ranks: np.ndarray
    spearman: float
    source: str
    seconds: float

    def described(self) -> dict[str, Any]:
        """As JSON values."""
        return {
            "score": self.column,
            "setting": None if self.setting is None else asdict(self.setting),
            "spearman": round(self.spearman, 4),
            "seconds_a_cell": round(self.seconds, 3),
        }


def chosen(names: Sequence[str], pieces: Pieces, accuracy: np.ndarray) -> dict[str, Any]:
    """What the protocol chooses from what the other stages recorded."""
    columns = every_draw(list(one_at_a_time()), names, pieces, accuracy)
    seconds = timed(columns, names)
    known = [
        one
        for setting, of_draws in columns.items()
        for one in known_of(setting, of_draws, accuracy, seconds[str(setting)])
    ]
    rest = others(names, pieces, quick=False)
    counts = [single(name, rest, accuracy, 0.0) for name in COUNTS[:2]]
    proxies = [single(name, rest, accuracy, median(rest[SECONDS])) for name in PROXIES]
    unseen = [one for one in known if metric_of(one.column) in UNSEEN and one.seconds <= FAST]
    validation = [one for one in unseen if metric_of(one.column) == "validation_accuracy"]
    slow = [one for one in known if one.seconds <= SLOW]
    return {
        "default": cheapest(unseen).described(),
        "validation_accuracy": cheapest(validation).described(),
        "kernel": cheapest(slow).described(),
        "kernels": combined(slow, [], 3, accuracy),
        "counts_and_kernels": combined(slow, counts, 3, accuracy),
        "everything": combined([*slow, *proxies], counts, 6, accuracy),
        **presets_of(names, pieces, accuracy, known),
    }


def presets_of(
    names: Sequence[str],
    pieces: Pieces,
    accuracy: np.ndarray,
    known: Sequence[Known],
) -> dict[str, Any]:
    """What the command line has names for, at its setting and ridge.

    Combinations are those whose least correlation is best, over the settings in ``EVERYWHERE``, so
    that none depends on what a setting does to a kernel's scale. They need no validation images.
    """
    shipped = [one for one in known if one.setting == SHIPPED and one.column.endswith(RIDGE)]
    seconds = {
        one.source: one.seconds for one in known if one.setting == replace(SHIPPED, n_validation=0)
    }
    of_settings = [ranks_of(one, names, pieces) for one in EVERYWHERE]
    by_setting = [correlations(columns, accuracy) for columns in of_settings]
    pool = [
        Known(
            SHIPPED,
            column,
            np.array([columns[column] for columns in of_settings], np.float64),
            min(found[column] for found in by_setting),
            source_of(column),
            seconds[source_of(column)],
        )
        for column in by_setting[0]
        if column.endswith(RIDGE)
    ]
    rest = others(names, pieces, quick=False)
    rows = len(EVERYWHERE)
    counts = [single(name, rest, accuracy, 0.0, rows) for name in COUNTS[:2]]
    of_one = [
        combined([one for one in pool if one.source == source], counts, 3, accuracy, np.min)
        for source in seconds
    ]
    return {
        **{
            name: next(one for one in shipped if one.column == column).described()
            for name, column in SHOWN_FIRST.items()
        },
        "fast": max(of_one, key=lambda one: one["spearman"]),
        "best": combined(pool, counts, 6, accuracy, np.min),
    }


def known_of(
    setting: KernelSetting,
    of_draws: Sequence[Columns],
    accuracy: np.ndarray,
    seconds: Mapping[str, float],
) -> list[Known]:
    """Every score of a setting, and the seconds of its source."""
    by_draw = [correlations(columns, accuracy) for columns in of_draws]
    return [
        Known(
            setting,
            column,
            np.array([columns[column] for columns in of_draws], np.float64),
            float(np.mean([found[column] for found in by_draw])),
            source_of(column),
            seconds[source_of(column)],
        )
        for column in by_draw[0]
    ]


def single(
    name: str, columns: Columns, accuracy: np.ndarray, seconds: float, rows: int = len(DRAWS)
) -> Known:
    """A score that has no draws and no settings."""
    ranks = np.array([columns[name]] * rows, np.float64)
    spearman = correlations({name: columns[name]}, accuracy)[name]
    return Known(None, name, ranks, spearman, "proxies" if seconds else "counts", seconds)


def cheapest(of: Sequence[Known]) -> Known:
    """Of those nearly as good as the best the cheapest, and of equal ones the best."""
    best = max(one.spearman for one in of)
    return min(
        (one for one in of if one.spearman >= best - NEARLY),
        key=lambda one: (one.seconds, -one.spearman),
    )


def combined(
    pool: Sequence[Known],
    start: Sequence[Known],
    most: int,
    accuracy: np.ndarray,
    summary: Callable[[Sequence[float]], float] = np.mean,
) -> dict[str, Any]:
    """Log-ranks added: to ``start`` the score that helps most, as long as one does.

    ``summary`` makes one number of the correlations of draws, or of settings.
    """
    cells = len(accuracy)
    truth = rankdata(accuracy)
    logs = {id(one): np.log(one.ranks / cells) for one in (*pool, *start)}

    def correlation(sums: np.ndarray) -> float:
        return float(summary([np.corrcoef(rankdata(row), truth)[0, 1] for row in sums]))

    taken = list(start)
    total = sum((logs[id(one)] for one in taken), np.zeros((len(pool[0].ranks), cells)))
    value = correlation(total) if taken else 0.0
    while len(taken) - len(start) < most:
        left = [one for one in pool if one not in taken]
        found = {id(one): correlation(total + logs[id(one)]) for one in left}
        best = max(left, key=lambda one: found[id(one)])
        if found[id(best)] < value + GAIN:
            break
        taken, total, value = [*taken, best], total + logs[id(best)], found[id(best)]
    sources = {(one.setting, one.source): one.seconds for one in taken}
    return {
        "scores": [one.described() for one in taken],
        "spearman": round(value, 4),
        "seconds_a_cell": round(sum(sources.values()), 3),
    }


if __name__ == "__main__":
    command(StudyOptions, main)
