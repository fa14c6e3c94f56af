"""Table 1 of Li et al. 2019 (Enhanced convolutional neural tangent kernels), ours beside it.

For each data set, preprocessing and flip one pass over the pairs of images gives both kernels of
all depths ``L`` and windows ``c = 4 γ`` of the local average pool, in pixels of the images at hand.
``L``, ``c`` and the ridge are chosen on validation images; the test images are met once, by what
was chosen. The published numbers are those of the best ``(L, c)`` on the test images.

    python experiments/table1.py                  # 200 small images: about 25 idle minutes
    python experiments/table1.py --n 60           # fewer of them: five minutes
    python experiments/table1.py --size medium    # 2,000 images of full size: for an accelerator
    python experiments/table1.py --size full      # all images, as published: for a cluster
    python experiments/table1.py --size full --costs    # what that takes; computes nothing
    python experiments/table1.py --size quick     # to see it work; records nothing

``--n``: training images, those that validate among them. An interrupted run goes on from the stores
in ``runs/table1-*``, and ends with the same numbers. Needs CIFAR-10 and Fashion-MNIST in the folder
``KERNAS_DATA``.
"""

from __future__ import annotations

import json
import sys
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from benchmarks.measuring import environment, report
from comparing import (
    announce,
    chosen,
    matrices,
    measured_rate,
    predicted_costs,
    saved,
)
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from running import RUNS, Options, Size, command, divided

import kernas.kernels as kk
from kernas.kernels.data import Dataset

DEPTHS = (5, 8, 11, 14)
CONVENTION = kk.CONVENTIONS["li2019"]
PATCH = 6
"""Pixels of a patch's side."""

WINDOWS = tuple(4 * gamma for gamma in range(9))
"""``c = 4 γ`` of the published ablation, in pixels at every side."""

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
    """

    sides: dict[str, int]
    n_fit: dict[str, int]
    n_validation: int
    n_test: int
    depths: tuple[int, ...] = DEPTHS
    n_filters: int = 2048
    pool: int = 1
    seed: int = 0


DATASETS = "cifar10", "fashion_mnist"


def by_dataset(cifar10: int, fashion_mnist: int) -> dict[str, int]:
    """A number for each data set."""
    return dict(zip(DATASETS, (cifar10, fashion_mnist), strict=True))


FULL = Setting(by_dataset(32, 28), by_dataset(45_000, 55_000), 5_000, 10_000)
SMALL = Setting(by_dataset(16, 14), by_dataset(140, 140), 60, 200, n_filters=256, pool=2)
MEDIUM = Setting(by_dataset(32, 28), by_dataset(1_400, 1_400), 600, 1_000)
QUICK = Setting(by_dataset(8, 7), by_dataset(40, 40), 20, 40, (3, 4), n_filters=16, pool=4)
SETTINGS: dict[Size, Setting] = {"quick": QUICK, "small": SMALL, "medium": MEDIUM, "full": FULL}


def setting_of(size: Size, n: int | None) -> Setting:
    """The setting of a size, or with another number of training images."""
    setting = SETTINGS[size]
    if n is None:
        return setting
    n_fit, n_validation = divided(n, setting.n_fit["cifar10"], setting.n_validation)
    return replace(setting, n_fit=by_dataset(n_fit, n_fit), n_validation=n_validation)


def windows_of(side: int) -> tuple[int, ...]:
    """The windows ``c`` for images of a side, up to the first that sees all of them.

    From ``c = side - 1`` on every window holds the whole image, and the kernel is that of a global
    average pool times ``(side / (2c + 1))⁴``, which a relative ridge does not see. So the first
    such ``c`` stands for all that are larger.
    """
    return tuple(c for before, c in zip((-1, *WINDOWS), WINDOWS, strict=False) if before < side - 1)


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
    networks = {
        (depth, c): CONVENTION.network(depth, kk.LocalAvgPool(c), channels=shape[-1])
        for depth in setting.depths
        for c in windows_of(shape[0])
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
                    "windows": windows_of(train.input_shape[0]),
                    "n": len(train),
                    "depth": depth,
                    "window": window,
                    **best,
                    "published": asdict(published),
                }
            )
        rows[-1]["pairs_a_second"] = rows[-2]["pairs_a_second"] = measured_rate(folder / name)
    return {"setting": asdict(setting), "convention": CONVENTION.record(), "rows": rows}


def costs_of(setting: Setting) -> dict[str, Any]:
    """What each pass of a setting takes, by the plan."""
    found = {}
    for dataset, patches, flip in PASSES:
        side, channels = setting.sides[dataset], 3 if dataset == "cifar10" else 1
        if patches:  # of the stored images
            side = (FULL.sides[dataset] - PATCH + 1) // setting.pool
            channels = 2 * setting.n_filters
        shape = (side, side, channels)
        plan = table_of(setting, shape, flip).plan(shape)
        name = f"{dataset}, {'patches' if patches else 'pixels'}, {'flip' if flip else 'plain'}"
        n_train = setting.n_fit[dataset] + setting.n_validation
        found[name] = predicted_costs(plan, n_train, setting.n_test)
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


@dataclass(frozen=True, kw_only=True)
class Table1(Options):
    """Table 1 of Li et al. 2019, ours beside it."""

    costs: bool = False
    """Only say what it takes."""


def main(options: Table1) -> None:
    """Run, print the table on stderr and one JSON line, keep it and the figure."""
    setting = setting_of(options.size, options.n)
    costs = costs_of(setting)
    if options.costs:
        print(json.dumps(costs, indent=1))
        return
    announce(costs)
    result = run(setting, RUNS / f"table1-{setting.sides['cifar10']}-{setting.n_fit['cifar10']}")
    print(as_text(result), file=sys.stderr)
    path = options.record(__file__)
    report(result | {"full_setting": costs_of(FULL)} | options.asked() | environment(), path)
    if path is not None:
        draw(result, path.with_suffix(".png"))


if __name__ == "__main__":
    command(Table1, main)
