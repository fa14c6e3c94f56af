"""What the comparisons with published accuracies share: matrices, regression, intervals, costs."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from running import foretell
from scipy.stats import binomtest

import kernas.kernels as kk
from kernas.errors import ConfigurationError
from kernas.files import write_whole
from kernas.kernels.conventions import Convention
from kernas.kernels.data import Dataset
from kernas.kernels.engine import KernelPlan
from kernas.kernels.gram.identity import StorableKernel
from kernas.kernels.regression import factorise

LEVEL = 0.95
"""Of all intervals."""

HERE = "this machine, predicted by the plan"

ACCELERATORS = Path(__file__).parent / "benchmarks" / "accelerators.json"

Matrices = tuple[kk.GramStore, kk.GramStore]
"""Of the training images, and of the test images with them."""


def matrices(kernel: StorableKernel, train: Dataset, test: Dataset, folder: Path) -> Matrices:
    """Both matrices in stores; only what is missing is computed, with a bar.

    What that takes is said before, from a few pairs that are timed. ``rate.json`` in the folder has
    the pairs and seconds of every run that computed some and was not interrupted.
    """
    parts = {"train": (train, None), "test": (test, train)}
    estimates = {
        name: kk.estimate_gram(kernel, *images, store=folder / name)
        for name, images in parts.items()
    }
    for name, estimate in estimates.items():
        print(f"{folder / name}: {estimate}", file=sys.stderr, flush=True)
    found = []
    for name, images in parts.items():
        missing = estimates[name].pairs
        start = time.perf_counter()
        found.append(kk.compute_gram(kernel, *images, store=folder / name, progress=True))
        if missing:
            log = folder / "rate.json"
            runs = json.loads(log.read_text()) if log.exists() else []
            runs.append({"pairs": missing, "seconds": time.perf_counter() - start})
            write_whole(log, json.dumps(runs).encode())
    return found[0], found[1]


def measured_rate(folder: Path) -> float | None:
    """Pairs a second over all runs that computed matrices in a folder; the bar's time included."""
    runs = [run for log in folder.rglob("rate.json") for run in json.loads(log.read_text())]
    seconds = sum(run["seconds"] for run in runs)
    return sum(run["pairs"] for run in runs) / seconds if seconds else None


def predictions(
    gram: np.ndarray, cross: np.ndarray, targets: np.ndarray, ridge: float
) -> tuple[np.ndarray, float]:
    """``K_cross (K + ρ I)⁻¹ Y`` with ρ relative to the mean diagonal, and the absolute jitter."""
    factor = factorise(gram, ridge)
    return cross @ factor.solve(targets), factor.jitter


def two_classes(dataset: Dataset, pair: tuple[int, int], n: int) -> tuple[np.ndarray, np.ndarray]:
    """The first n images of two classes, and their labels, −1 of the first class, 1 of the other.

    Raises:
        ConfigurationError: there are fewer.
    """
    chosen = np.flatnonzero(np.isin(dataset.y, pair))
    if len(chosen) < n:
        raise ConfigurationError(
            f"{n} images of the classes {pair}: expected at most the {len(chosen)} there are"
        )
    return dataset.x[chosen[:n]], np.where(dataset.y[chosen[:n]] == pair[1], 1, -1)


def accuracy(predicted: np.ndarray, labels: np.ndarray) -> dict[str, Any]:
    """Share of images whose largest prediction is of their class, with Wilson's 95% interval."""
    return proportion(int(np.sum(np.argmax(predicted, axis=1) == labels)), len(labels))


RIDGES = (1e-4, 1e-3, 1e-2, 1e-1, 1.0)
"""Relative to the mean diagonal; one is chosen on the validation images."""


def chosen(
    stores: Matrices,
    names: Sequence[str],
    convention: Convention,
    train: Dataset,
    test: Dataset,
    n_fit: int,
) -> dict[str, Any]:
    """The best of several kernels and ridges on validation images, and its accuracy on the test's.

    The first ``n_fit`` training images are regressed on, the others validate: the largest
    accuracy, of equal ones the least squared error. What is chosen is then fitted to all training
    images and meets the test images once.

    Args:
        stores: of :func:`matrices`.
        names: of the kernels in them.
        convention: whose targets are used.
        train: the images of the training matrix.
        test: the others.
        n_fit: images that are regressed on before the choice.

    Returns:
        ``name``, ``ridge``, its ``validation`` and ``test`` accuracy with intervals, and ``grid``:
        for every name its best ridge and validation accuracy.
    """
    targets = convention.targets(train.y, train.n_classes)
    fit, rest = slice(None, n_fit), slice(n_fit, None)
    grid: dict[str, dict[str, Any]] = {}
    ranks: dict[str, tuple[float, float]] = {}
    for name in names:
        gram = stores[0][name]
        for ridge in RIDGES:
            found, _ = predictions(gram[fit, fit], gram[rest, fit], targets[fit], ridge)
            reached = accuracy(found, train.y[rest])
            rank = reached["value"], -float(np.mean((found - targets[rest]) ** 2))
            if name not in ranks or rank > ranks[name]:
                ranks[name], grid[name] = rank, {"ridge": ridge, "validation": reached}
    best = max(ranks, key=lambda name: ranks[name])
    found, jitter = predictions(stores[0][best], stores[1][best], targets, grid[best]["ridge"])
    return {
        "name": best,
        **grid[best],
        "jitter": jitter,
        "test": accuracy(found, test.y),
        "grid": {name: {"ridge": g["ridge"], **g["validation"]} for name, g in grid.items()},
    }


def proportion(hits: int, of: int) -> dict[str, Any]:
    """A share in percent with Wilson's 95% interval (Wilson 1927)."""
    interval = binomtest(hits, of).proportion_ci(LEVEL, "wilson")
    return {"value": 100 * hits / of, "low": 100 * interval.low, "high": 100 * interval.high}


def predicted_costs(plan: KernelPlan, n_train: int, n_test: int) -> dict[str, Any]:
    """Pairs of both matrices, and pairs a second and hours by device, none of them measured here.

    This machine: from the short measurement that the plan makes of it. Accelerators: from the time
    that the compiled program's operations and bytes allow at best, scaled by the operations of a
    pair (``benchmarks/accelerators.py``): nobody has run it there.
    """
    pairs = n_train * (n_train + 1) // 2 + n_train * n_test
    rates = {HERE: 1 / plan.seconds}
    for platform in json.loads(ACCELERATORS.read_text())["platforms"].values():
        bounds = [
            (lanes["operations_a_pair"], lanes["estimate_not_measured"]["ms_a_pair"])
            for lanes in platform["lanes"]
            if "estimate_not_measured" in lanes
        ]
        if bounds:
            operations_a_second = max(operations / ms * 1e3 for operations, ms in bounds)
            name = f"{platform['compiled_for']}, at best by its roofline"
            rates[name] = operations_a_second / plan.operations
    return {
        "pairs": pairs,
        "operations_a_pair": plan.operations,
        "devices": {
            name: {"pairs_a_second": rate, "hours": pairs / rate / 3600}
            for name, rate in rates.items()
        },
    }


def announce(costs: dict[str, dict[str, Any]], times: int = 1) -> None:
    """Say before the work what each pass takes, and all of them ``times`` times."""
    total: float | None = 0.0
    for name, cost in costs.items():
        found = cost["devices"].get(HERE)
        seconds = None if found is None else 3600 * found["hours"]
        foretell(seconds, f"{name}, {cost['pairs']:,} pairs, by the plan")
        total = None if seconds is None or total is None else total + seconds
    if len(costs) * times > 1:
        foretell(None if total is None else times * total, f"{times * len(costs)} passes in all")


def axes_of(x: str, y: str) -> tuple[Figure, Axes]:
    """An empty figure of one panel with the names of its axes."""
    figure = Figure(figsize=(5.6, 3.8), layout="constrained")
    axes = figure.subplots()
    axes.set(xlabel=x, ylabel=y)
    return figure, axes


def error_bars(
    axes: Axes, x: Sequence[float], rows: Sequence[dict[str, Any]], *, color: str, label: str
) -> None:
    """Values with their intervals, ``value``, ``low`` and ``high`` of each row."""
    low, high = ([abs(row["value"] - row[end]) for row in rows] for end in ("low", "high"))
    values = [row["value"] for row in rows]
    axes.errorbar(x, values, yerr=[low, high], fmt="s-", color=color, capsize=3, label=label)


def saved(figure: Figure, axes: Axes, path: Path) -> None:
    """Write a figure, with a grid, and below it the legend of a panel."""
    axes.grid(color="#d9dee3", linewidth=0.6)
    lines = axes.get_legend_handles_labels()
    figure.legend(*lines, loc="outside lower center", ncols=4, frameon=False, fontsize="small")
    figure.savefig(path, dpi=110, metadata={"Software": "kernas"})
