"""What a ranking costs: fidelity against seconds, and a kernel against training.

    python experiments/ranking_costs.py                 # 20 minutes of two idle cores
    python experiments/ranking_costs.py --size quick    # 20 and 40 images; records nothing

``--n``: the most images. It reads what the ranking study recorded (``ranking_confirmation.json``,
``ranking_study/development.csv``) and measures what stands beside it on one machine:

``scores``
    of every score of the confirmation Spearman's correlation with the accuracy after 200 epochs,
    and seconds and floating-point operations a cell after compilation. What was chosen has the
    seconds that were recorded when it was, and other kernels those of their whole setting in the
    confirmation, one process a core; each proxy is timed by itself, on a few cells at the cheap
    protocol; a supernet's training is divided by its cells.
``images``
    one kernel regression of the middle cell (by operations) with ever more images, RMS form, 8×8
    pixels; and the correlations of the scores in ``CURVES`` on development cells, as many as were
    computed, and on those that all numbers of images share.
``trainings``
    seconds of the middle cell's training, predicted from timed steps: the recipe of the shipped
    truth, and the benchmark's own network for 12 and 200 epochs of 25,000 images. What a training
    buys is known from the confirmation: accuracies after 200 steps on its hundred cells, the
    benchmark's own after 12 epochs on all.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import digits_truth
import numpy as np
import ranking_confirmation as confirmation
from benchmarks.measuring import environment, report, timed
from pieces import Columns, Pieces
from proxies_published import CHEAP
from ranking_settings import (
    COUNTS,
    DEVELOPMENT,
    KERNELS,
    RIDGES,
    SECONDS,
    KernelSetting,
    images_of_proxies,
    metric_of,
    proxies_of,
    ranked,
    source_of,
)
from ranking_study import HERE, TRUTH, cells_of
from running import Options, Size, command, foretell

import kernas.kernels as kk
import kernas.search as ks
from kernas.errors import DataError
from kernas.files import write_whole
from kernas.kernels.architecture.counts import count
from kernas.kernels.finite.network import Parameterization
from kernas.kernels.regression import METRICS
from kernas.search.ranking.statistics import agreement
from kernas.search.report.panels import ACCENT, DEGENERATE_POINT, POINT, empty_figure, plain, to_png
from kernas.search.scores.proxies import PROXIES
from kernas.search.scores.proxies.cost import operations_of
from kernas.search.scores.proxies.source import needs_of
from kernas.search.training import TrainingSettings, estimate_training
from kernas.search.training.regimes import BACKWARD

CURVES = ("ntk_standard:loo_accuracy@centred 0.01", "ntk:evidence@cosine 0.01")
"""The score that the study chose as the default, and one that reads no labels it has not seen."""

TIMED = 6
"""Cells by which a proxy is timed, the first of them compiles; and those whose operations count."""

FEW, REPEATED = 800, 2
"""Images of a kernel that is timed more than once, and how often."""

BENCHMARK = TrainingSettings(
    width=16, learning_rate=0.1, weight_decay=5e-4, batch_size=256, epochs=12, augment=True
)
"""As NAS-Bench-201 trains (Dong and Yang 2020, table 2); 200 epochs of it are the truth."""

NAMED = (*confirmation.SINGLE, *confirmation.TOGETHER)
"""Scores of kernels that have a name of their own."""

LEAST_SHOWN = 0.55
"""Correlation of a score that is drawn."""

BENCHMARK_IMAGES = 25_000
EPOCHS = (12, 200)


@dataclass(frozen=True)
class Setting:
    """How many images, and the proxies that are timed."""

    images: tuple[int, ...]
    proxies: tuple[str, ...] = tuple(PROXIES)
    cells_a_stage: int = 5


SETTINGS: dict[Size, Setting] = {
    "quick": Setting((20, 40), ("naswot", "synflow"), 1),
    "small": Setting((50, 100, 200, 400, 800, 1600, 5000)),
    "medium": Setting((50, 200, 800, 3200, 5000)),
    "full": Setting((50, 200, 800, 3200, 5000)),
}


def main(options: Options) -> None:
    """Measure, read, report and draw."""
    setting = SETTINGS[options.size]
    numbers = [n for n in setting.images if options.n is None or n <= options.n]
    judged = recorded()
    cells = [KernelSetting().space.candidate(name) for name in cells_of("development")]
    middle = sorted(cells, key=operations_in_a_pair)[len(cells) // 2]
    record = {
        **options.asked(),
        "middle_cell": middle.name,
        "scores": scores(judged, setting.proxies),
        "images": images(numbers, middle),
        "trainings": trainings(middle.name, setting.cells_a_stage, judged),
        **environment(),
    }
    path = options.record(__file__)
    report(record, path)
    if path is not None:
        write_whole(path.with_suffix(".png"), drawing(record))


def recorded() -> dict[str, Any]:
    """What the confirmation found.

    Raises:
        DataError: it has not been recorded.
    """
    path = Path(confirmation.__file__).with_suffix(".json")
    if not path.exists():
        raise DataError(f"{path} is missing: run ranking_confirmation.py first")
    return json.loads(path.read_text(encoding="utf-8"))


def operations_in_a_pair(cell: ks.Candidate, parameterization: Parameterization = "ntk") -> int:
    """Of the kernels that come together, for a pair of images of 8×8 pixels."""
    plain = KernelSetting()
    kernel = kk.NeuralKernel(cell.architecture, get=KERNELS[parameterization])
    return kernel.plan((plain.side, plain.side, 3)).operations


def scores(judged: Mapping[str, Any], timed_proxies: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Of every score of the confirmation its correlation, seconds and operations."""
    names = cells_of("confirmation")[:TIMED]
    taken = {**judged["seconds_a_cell"], **dict.fromkeys(COUNTS, 0.0)}
    operations = {
        **operations_of_kernels(judged["choice"], names),
        **dict.fromkeys(COUNTS, 0.0),
        **trained_operations(names),
    }
    of_proxies = proxies(timed_proxies, names)
    taken |= {name: found["seconds"] for name, found in of_proxies.items()}
    operations |= {name: found["operations"] for name, found in of_proxies.items()}
    correlations = {
        name: row["spearman"]
        for subset in ("of_trained_cells", "all")
        for name, row in judged[subset]["scores"].items()
    }
    found: dict[str, dict[str, Any]] = {}
    for name, spearman in correlations.items():
        chosen, sources = judged["choice"].get(name), needs_for(name, judged["choice"])
        known = operations if chosen else taken
        if all(source in known for source in sources):
            seconds = (
                seconds_of_choice(chosen, taken)
                if chosen
                else sum(taken[source] for source in sources)
            )
            found[name] = {
                "spearman": spearman,
                "seconds": seconds,
                "operations": sum(operations[source] for source in sources),
            }
    return found


def needs_for(name: str, choice: Mapping[str, Any]) -> list[str]:
    """What has to be computed for a score of the confirmation, as its record names it."""
    columns = [name]
    if name in choice:
        columns = [confirmation.column_of(part) for part in confirmation.parts_of(choice[name])]
    return list(dict.fromkeys(map(need_of, columns)))


def seconds_of_choice(chosen: Mapping[str, Any], taken: Mapping[str, float]) -> float:
    """As they were when it was chosen; of proxies, which came all together then, what one takes."""
    proxies_in_it = [part for part in confirmation.parts_of(chosen) if part["score"] in PROXIES]
    together = max((part["seconds_a_cell"] for part in proxies_in_it), default=0.0)
    alone = sum(taken[part["score"]] for part in proxies_in_it)
    return chosen["seconds_a_cell"] - together + alone


def need_of(column: str) -> str:
    """What gives a column: a setting and the parameterisation of its kernel, or the score alone."""
    setting, separator, score = column.partition(" | ")
    if not separator:
        return column
    if not METRICS[metric_of(score)].needs_validation:
        setting = setting.partition(" n_validation=")[0]
    return f"{setting} {source_of(score)}"


def operations_of_kernels(choice: Mapping[str, Any], names: Sequence[str]) -> dict[str, float]:
    """By setting and parameterisation, of the middle one of some cells."""
    chosen = set(confirmation.kernels_in(choice))
    settings = chosen | {replace(one, n_validation=0) for one in chosen}
    found: dict[str, float] = {}
    for setting in settings:
        for parameterization in KERNELS:
            given = setting.images(DEVELOPMENT)
            of = setting.scores(given, parameterization, RIDGES[0], Path("nowhere"))
            each = []
            for cell in map(setting.space.candidate, names):
                kernel = kk.NeuralKernel(cell.architecture, get=KERNELS[parameterization])
                pair = kernel.plan(given[0].input_shape).operations
                each.append(pair * of[0].source.cost(cell, of).pairs)
            found[f"{setting} {parameterization}"] = float(np.median(each))
    return found


def proxies(chosen: Sequence[str], names: Sequence[str]) -> dict[str, dict[str, float]]:
    """Of each proxy by itself, at the cheap protocol: medians over cells."""
    fit = images_of_proxies(DEVELOPMENT)
    space = ks.NasBench201(CHEAP.cells_a_stage)
    cells = list(map(space.candidate, names))
    found: dict[str, dict[str, float]] = {}
    for score in proxies_of(fit):
        if score.proxy in chosen:
            seconds = ranked(cells, [score], None)[SECONDS][1:]
            each = [
                score.repeats
                * operations_of(
                    cell.architecture,
                    needs_of([score]),
                    fit.input_shape,
                    n_classes=fit.n_classes,
                    width=score.width,
                    batch_size=score.batch_size,
                )
                for cell in cells
            ]
            found[score.name] = {
                "seconds": float(np.median(np.array(seconds, np.float64))),
                "operations": float(np.median(each)),
            }
    return found


def trained_operations(names: Sequence[str]) -> dict[str, float]:
    """Of trainings by the recipe of the shipped truth, and of the benchmark's 12 epochs."""
    recipe = digits_truth.RECIPE
    plain = ks.space_from_text(digits_truth.SPACE)
    a_step = recipe.batch_size * in_training(plain, names, 16, recipe.width)
    shared = a_step * confirmation.SHARED_STEPS / confirmation.TRAINED
    benchmark = in_training(ks.NasBench201(), names, 32, BENCHMARK.width)
    return {
        confirmation.TRAINING: a_step * (recipe.steps or 0),
        "shared weights": shared,
        "shared weights, fair": shared * len(confirmation.OPERATIONS),
        confirmation.EPOCHS: BENCHMARK.epochs * BENCHMARK_IMAGES * benchmark,
    }


def in_training(space: ks.Space, names: Sequence[str], side: int, width: int) -> float:
    """Floating-point operations of an image in a step of training, the median over cells."""
    cells = map(space.candidate, names)
    each = [
        2
        * (1 + BACKWARD)
        * count(cell.architecture, (side, side, 3), width=width, outputs=10).flops
        for cell in cells
    ]
    return float(np.median(each))


def images(numbers: Sequence[int], middle: ks.Candidate) -> dict[str, Any]:
    """Seconds of the middle cell by number of images, and what each buys on development cells."""
    pieces = Pieces(HERE / "development.csv", cells_of("development"))
    truth = ks.load_truth(TRUTH)
    accuracy = np.array([truth[name] for name in pieces.rows])
    columns = {n: development(n, pieces) for n in numbers}
    known = {n: has_values(of) for n, of in columns.items() if of}
    shared = np.all(list(known.values()), axis=0) if known else None
    found: dict[str, Any] = {}
    for n in numbers:
        score = middle_score(n)
        cost = score.source.cost(middle, [score])
        foretell(cost.seconds, f"one cell, {n} images")
        found[str(n)] = {
            "seconds": seconds_of(middle, score),
            "operations": float(operations_in_a_pair(middle, "standard") * cost.pairs),
            "cells": int(known[n].sum()) if n in known else 0,
            "spearman": correlations(columns[n], known.get(n), accuracy),
            "spearman_on_shared_cells": correlations(columns[n], shared, accuracy),
        }
    return {"shared_cells": 0 if shared is None else int(shared.sum()), **found}


def middle_score(n: int) -> ks.KernelScore:
    """The score that is timed, on so many images."""
    setting = KernelSetting(n=n)
    fit, _ = kk.load(setting.dataset, n_train=n, n_test=1, image_size=setting.side, seed=0)
    (score, *_) = setting.scores((fit, None), "standard", RIDGES[0], Path())
    return replace(score, grams=None, metric="loo_accuracy", normalization="centred")


def seconds_of(cell: ks.Candidate, score: ks.KernelScore) -> float:
    """Of the kernel and the regression; of few images twice, since the first call may compile."""
    times = REPEATED if len(score.fit) <= FEW else 1
    return min(timed(lambda: ks.evaluate_scores(cell, [score]))[0] for _ in range(times))


def development(n: int, pieces: Pieces) -> Columns:
    """The ranks of the development cells by kernels of so many images, if they were computed."""
    for cells in (KernelSetting.cells, 50, 30):
        setting = KernelSetting(n=n, cells=cells)
        if str(setting) in pieces:
            return pieces.get(str(setting), setting.key(DEVELOPMENT), dict)
    return {}


def has_values(columns: Columns) -> np.ndarray:
    """Which cells were computed."""
    return np.array([value is not None for value in columns[CURVES[0]]])


def correlations(
    columns: Columns, which: np.ndarray | None, accuracy: np.ndarray
) -> dict[str, dict[str, Any]]:
    """Spearman's of the scores in ``CURVES`` on some cells; of ranks, the best last."""
    if not columns or which is None:
        return {}
    return {
        name: agreement(list(accuracy[which]), of_cells(columns[name], which)).to_dict()["spearman"]
        for name in CURVES
    }


def of_cells(values: Sequence[float | None], which: np.ndarray) -> list[float]:
    """Those of some cells."""
    return np.array(values, np.float64)[which].tolist()


def trainings(name: str, cells_a_stage: int, judged: Mapping[str, Any]) -> dict[str, Any]:
    """Seconds of the middle cell's trainings, predicted, and what is known to be bought by them."""
    shown = judged["of_trained_cells"]["scores"]
    fit, _ = kk.load("cifar10", n_train=1000, n_test=1, image_size=16, seed=0)
    plain = ks.space_from_text(digits_truth.SPACE).candidate(name)
    steps = f"{digits_truth.RECIPE.steps} steps, 16×16, width {digits_truth.RECIPE.width}"
    short = estimate_training(plain, fit, digits_truth.RECIPE, seeds=1)
    found = {
        steps: {
            "seconds": short.seconds,
            "spearman": shown[confirmation.TRAINING]["spearman"],
            "cells": judged["of_trained_cells"]["cells"],
        }
    }
    whole, _ = kk.load("cifar10", n_train=2 * BENCHMARK.batch_size, n_test=1, image_size=32, seed=0)
    cell = ks.NasBench201(cells_a_stage).candidate(name)
    a_step = estimate_training(cell, whole, BENCHMARK, seeds=1).seconds_a_step
    for epochs in EPOCHS:
        of_all = judged["all"]["scores"][confirmation.EPOCHS]["spearman"]
        found[f"{epochs} epochs"] = {
            "seconds": a_step * epochs * (BENCHMARK_IMAGES // BENCHMARK.batch_size),
            "spearman": of_all if epochs == BENCHMARK.epochs else None,
            "cells": judged["all"]["cells"],
        }
    return found


def drawing(record: Mapping[str, Any]) -> bytes:
    """Every score by its seconds; and kernels of ever more images beside trainings."""
    figure = empty_figure(13, 5.5)
    left, right = figure.subplots(1, 2, sharey=True)
    for axes in (left, right):
        plain(axes)
        axes.set(xscale="log", xlabel="seconds a candidate, two cores")
    for name, row in record["scores"].items():
        if " | " not in name and row["spearman"]["value"] > LEAST_SHOWN:
            _mark(left, row, name, POINT if name in NAMED else DEGENERATE_POINT)
    left.set(
        ylabel="Spearman with the accuracy after 200 epochs", title="every score, confirmation"
    )
    for curve, color in zip(CURVES, (POINT, ACCENT), strict=True):
        known = {n: row for n, row in record["images"].items() if n.isdigit() and row["spearman"]}
        rows = [{**row, "spearman": row["spearman"][curve]} for row in known.values()]
        right.plot([row["seconds"] for row in rows], [row["spearman"]["value"] for row in rows],
                   color=color, label=curve)  # fmt: skip
        for n, row in zip(known, rows, strict=True):
            _mark(right, row, n, color)
    for n, row in record["images"].items():
        if n.isdigit() and not row["spearman"]:
            right.axvline(row["seconds"], color=DEGENERATE_POINT, linestyle=":")
            _note(right, row["seconds"], f"n = {n}")
    for name, row in record["trainings"].items():
        if row["spearman"] is None:
            right.axvline(row["seconds"], color=DEGENERATE_POINT, linestyle="--")
            _note(right, row["seconds"], f"{name}: the truth")
        else:
            _mark(right, row, name, DEGENERATE_POINT)
    right.legend(frameon=False, loc="lower right", fontsize=8)
    right.set(title="a kernel of n images (development) against training")
    return to_png(figure)


def _note(axes: Any, x: float, text: str) -> None:
    """Beside a line that has no correlation."""
    axes.annotate(text, (x, 0.98), xycoords=("data", "axes fraction"), size=7, rotation=90,
                  ha="right", va="top")  # fmt: skip


def _mark(axes: Any, row: Mapping[str, Any], name: str, color: str) -> None:
    """A correlation with its interval and its name."""
    value, x = row["spearman"], max(row["seconds"], 1e-3)
    axes.plot([x, x], [value["low"], value["high"]], color=color, alpha=0.4)
    axes.plot(x, value["value"], "o", color=color, markersize=4)
    axes.annotate(name, (x, value["value"]), xytext=(3, 3), textcoords="offset points", size=6)


if __name__ == "__main__":
    command(Options, main)
