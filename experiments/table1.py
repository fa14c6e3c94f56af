"""Table 1 of Li et al. 2019 (Enhanced convolutional neural tangent kernels), ours beside it.

For each data set, preprocessing and flip one pass over the pairs of images gives both kernels of
all depths ``L`` and windows ``c`` of the local average pool. ``L``, ``c`` and the ridge are chosen
on validation images; the test images are met once, by what was chosen. The published numbers are
those of the best ``(L, c)`` on the test images.

    python experiments/table1.py             # 200 small images: about 25 idle minutes
    python experiments/table1.py --full      # all images, as published: for a cluster
    python experiments/table1.py --costs     # what the full setting takes; computes nothing
    python experiments/table1.py --quick     # to see it work; records nothing

An interrupted run goes on from the stores in ``runs/table1-*``, and ends with the same numbers.
Needs CIFAR-10 and Fashion-MNIST in the folder ``KERNAS_DATA``.
"""

from __future__ import annotations

import json
import sys
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import tyro
from benchmarks.measuring import environment, report
from comparing import (
    RUNS,
    chosen,
    matrices,
    measured_rate,
    predicted_costs,
    saved,
)
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

import kernas.kernels as kk
from kernas.kernels.data import Dataset

RESULT = Path(__file__).with_suffix(".json")
DEPTHS = (5, 8, 11, 14)
CONVENTION = kk.CONVENTIONS["li2019"]
PATCH = 6
"""Pixels of a patch's side."""

KERNELS = {"ntk": "CNTK", "nngp": "CNN-GP"}


@dataclass(frozen=True)
class Row:
    """A row of the published table: its best ``(L, c)`` and test accuracy in percent."""

    dataset: str
    kernel: str
    patches: bool
    flip: bool
    depth: int
    window: int
    accuracy: float


PUBLISHED = (
    Row("cifar10", "ntk", False, False, 5, 12, 80.11),
    Row("cifar10", "ntk", False, True, 8, 16, 81.40),
    Row("cifar10", "nngp", False, False, 8, 16, 80.78),
    Row("cifar10", "nngp", False, True, 8, 16, 82.20),
    Row("cifar10", "ntk", True, False, 5, 16, 86.77),
    Row("cifar10", "ntk", True, True, 5, 16, 88.36),
    Row("cifar10", "nngp", True, False, 5, 16, 87.28),
    Row("cifar10", "nngp", True, True, 8, 12, 88.92),
    Row("fashion_mnist", "ntk", False, False, 5, 4, 93.76),
    Row("fashion_mnist", "ntk", False, True, 5, 4, 94.07),
    Row("fashion_mnist", "nngp", False, False, 11, 4, 93.63),
    Row("fashion_mnist", "nngp", False, True, 8, 4, 93.79),
)
PASSES = tuple(dict.fromkeys((row.dataset, row.patches, row.flip) for row in PUBLISHED))
"""Data set, whether its images are patch features, and flip."""


@dataclass(frozen=True)
class Setting:
    """What is run.

    Attributes:
        sides: pixels of the images of a data set; where they are patch features, these are taken
            of the stored images and pooled.
        n_fit: training images of a data set that are regressed on before the choice.
        n_filters, pool: of the patch features.
        steps: windows of the local average pool from 0 to the side of the image.
    """

    sides: dict[str, int]
    n_fit: dict[str, int]
    n_validation: int
    n_test: int
    depths: tuple[int, ...] = DEPTHS
    steps: int = 8
    n_filters: int = 2048
    pool: int = 1
    seed: int = 0


DATASETS = "cifar10", "fashion_mnist"


def by_dataset(cifar10: int, fashion_mnist: int) -> dict[str, int]:
    """A number for each data set."""
    return dict(zip(DATASETS, (cifar10, fashion_mnist), strict=True))


FULL = Setting(by_dataset(32, 28), by_dataset(45_000, 55_000), 5_000, 10_000)
SMALL = Setting(by_dataset(16, 14), by_dataset(140, 140), 60, 200, n_filters=256, pool=2)
QUICK = Setting(by_dataset(8, 7), by_dataset(40, 40), 20, 40, (3, 4), steps=2, n_filters=16, pool=4)


def images(setting: Setting, dataset: str, patches: bool) -> tuple[Dataset, Dataset]:
    """Training images, the fitted ones first, and test images."""
    size = None if patches else setting.sides[dataset]
    n_fit = setting.n_fit[dataset]
    everything, test = kk.load(dataset, image_size=size, standardize=False)
    train = everything.subset(n_fit + setting.n_validation, setting.seed)
    test = test.subset(setting.n_test, setting.seed)
    if not patches:
        fitted = everything.subset(n_fit, setting.seed)  # with which train begins
        return train.standardized(by=fitted), test.standardized(by=fitted)
    features = kk.PatchFeatures(setting.n_filters, PATCH, pool=setting.pool, seed=setting.seed).fit(
        train.x[:n_fit]
    )
    info = {"patches": features.get_params()}
    changed = [
        replace(part, x=features.transform(part.x), info={**part.info, **info})
        for part in (train, test)
    ]
    return changed[0], changed[1]


def table_of(
    setting: Setting, shape: tuple[int, ...], flip: bool
) -> kk.KernelTable[tuple[int, int]]:
    """All depths and windows for images of a shape."""
    side = shape[0]
    windows = sorted({round(step * side / setting.steps) for step in range(setting.steps + 1)})
    networks = {
        (depth, c): CONVENTION.network(depth, kk.LocalAvgPool(c), channels=shape[-1])
        for depth in setting.depths
        for c in windows
    }
    return kk.KernelTable(networks, augment=kk.Flip() if flip else ())


def run(setting: Setting, folder: Path) -> dict[str, Any]:
    """All rows of the table, ours beside the published."""
    rows = []
    for dataset, patches, flip in PASSES:
        train, test = images(setting, dataset, patches)
        table = table_of(setting, train.input_shape, flip)
        name = f"{dataset}-{'patches' if patches else 'pixels'}-{'flip' if flip else 'plain'}"
        stores = matrices(table, train, test, folder / name)
        for kernel in KERNELS:
            names = [one for one in table.names if one.endswith(f"/{kernel}")]
            best = chosen(stores, names, CONVENTION, train, test, setting.n_fit[dataset])
            depth, window = map(int, best.pop("name").split("/")[0].split("-"))
            (published,) = (
                row
                for row in PUBLISHED
                if (row.dataset, row.patches, row.flip, row.kernel)
                == (dataset, patches, flip, kernel)
            )
            rows.append(
                {
                    "dataset": dataset,
                    "kernel": kernel,
                    "patches": patches,
                    "flip": flip,
                    "image_shape": train.input_shape,
                    "n": len(train),
                    "depth": depth,
                    "window": window,
                    **best,
                    "published": asdict(published),
                }
            )
        rows[-1]["pairs_a_second"] = rows[-2]["pairs_a_second"] = measured_rate(folder / name)
    return {"setting": asdict(setting), "convention": CONVENTION.record(), "rows": rows}


def full_costs() -> dict[str, Any]:
    """What each pass of the full setting takes, by the plan."""
    found = {}
    for dataset, patches, flip in PASSES:
        side, channels = FULL.sides[dataset], 3 if dataset == "cifar10" else 1
        if patches:
            side, channels = side - PATCH + 1, 2 * FULL.n_filters
        shape = (side, side, channels)
        plan = table_of(FULL, shape, flip).plan(shape)
        name = f"{dataset}, {'patches' if patches else 'pixels'}, {'flip' if flip else 'plain'}"
        found[name] = predicted_costs(plan, FULL.n_fit[dataset] + FULL.n_validation, FULL.n_test)
    return found


def as_text(result: dict[str, Any]) -> str:
    """The table as Markdown, ours beside the published."""
    setting = result["setting"]
    lines = [
        f"Of our n training images {setting['n_validation']} chose L, c and the ridge; "
        f"{setting['n_test']} test images; seed {setting['seed']}; intervals of 95%.",
        "",
        "| data set | kernel | patches | flip | published (L, c) | published | ours (L, c), ridge "
        "| n | ours |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for row in result["rows"]:
        published, test = row["published"], row["test"]
        lines.append(
            f"| {row['dataset']} | {KERNELS[row['kernel']]} | {_yes(row['patches'])} | "
            f"{_yes(row['flip'])} | ({published['depth']}, {published['window']}) | "
            f"{published['accuracy']:.2f} | ({row['depth']}, {row['window']}), {row['ridge']:g} | "
            f"{row['n']:,} | {test['value']:.1f} [{test['low']:.1f}, {test['high']:.1f}] |"
        )
    return "\n".join(lines)


def _yes(flag: bool) -> str:
    return "yes" if flag else "no"


def draw(result: dict[str, Any], path: Path) -> None:
    """Validation accuracy by window, a panel a pass, a line a depth and kernel."""
    figure = Figure(figsize=(11, 3.4 * 2), layout="constrained")
    panels = figure.subplots(2, len(PASSES) // 2, sharey="row").ravel()
    for axes, (dataset, patches, flip) in zip(panels, PASSES, strict=True):
        for row in result["rows"]:
            if (row["dataset"], row["patches"], row["flip"]) != (dataset, patches, flip):
                continue
            style = "-" if row["kernel"] == "ntk" else "--"
            for number, depth in enumerate(result["setting"]["depths"]):
                points = [
                    (int(name.split("/")[0].split("-")[1]), found["value"])
                    for name, found in row["grid"].items()
                    if name.startswith(f"{depth}-")
                ]
                label = f"{KERNELS[row['kernel']]}, L = {depth}"
                axes.plot(
                    *zip(*points, strict=True), style, color=f"C{number}", label=label, marker="."
                )
        what = f"{dataset}{', patches' if patches else ''}{', flip' if flip else ''}"
        axes.set(title=what, xlabel="window c")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.grid(color="#d9dee3", linewidth=0.6)
    panels[0].set_ylabel("validation accuracy (%)")
    saved(figure, panels[0], path)


def main(full: bool = False, costs: bool = False, quick: bool = False) -> None:
    """Run, print the table on stderr and one JSON line, keep it and the figure.

    Args:
        full: as published.
        costs: only what the full setting takes.
        quick: small images, few of them; records nothing.
    """
    if costs:
        print(json.dumps(full_costs(), indent=1))
        return
    setting = FULL if full else QUICK if quick else SMALL
    name = f"table1-{setting.sides['cifar10']}-{setting.n_fit['cifar10']}"
    result = run(setting, RUNS / name)
    print(as_text(result), file=sys.stderr)
    result = result | {"full_setting": full_costs()} | environment()
    report(result, None if quick else RESULT)
    if not quick:
        draw(result, RESULT.with_suffix(".png"))


if __name__ == "__main__":
    tyro.cli(main)
