"""The convolutional NTK with and without a global average pool, by depth, on CIFAR-10.

Arora et al. 2019 (On exact computation with an infinitely wide neural net, section 6, table 1)
trained CNTK-GAP on 2,000 images with the accuracies below; CNTK-V reads the pixels side by side.
All depths and both readouts come from one pass over the pairs of images.

    python experiments/arora2019.py                  # 100 images: about 28 idle minutes
    python experiments/arora2019.py --size medium    # 500 images: for an accelerator
    python experiments/arora2019.py --size full      # 2,000 training images, all test images
    python experiments/arora2019.py --size quick     # 8×8 pixels, to see it work; records nothing

``--n``: training images. An interrupted run goes on from the stores in ``runs/arora2019-*``. Needs
CIFAR-10 in the folder ``KERNAS_DATA``.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from benchmarks.measuring import environment, report
from comparing import (
    accuracy,
    announce,
    axes_of,
    error_bars,
    matrices,
    measured_rate,
    predicted_costs,
    predictions,
    saved,
)
from running import RUNS, Options, Size, command

import kernas.kernels as kk

PUBLISHED = {3: 49.71, 4: 51.06, 6: 51.73, 11: 51.92, 21: 52.22}
"""Test accuracy in percent of CNTK-GAP with 2,000 training images, by depth."""

CONVENTION = kk.CONVENTIONS["arora2019"]
READOUTS = {"V": kk.Flatten(), "GAP": kk.GlobalAvgPool()}
TABLE = kk.KernelTable(
    {
        (depth, name): CONVENTION.network(depth, readout, channels=3)
        for depth in PUBLISHED
        for name, readout in READOUTS.items()
    },
    get=("ntk",),
)


@dataclass(frozen=True)
class Setting:
    """What is run."""

    side: int
    n_train: int
    n_test: int
    seed: int = 0


FULL = Setting(32, 2000, 10_000)
SETTINGS: dict[Size, Setting] = {
    "quick": Setting(8, 40, 60),
    "small": Setting(32, 100, 200),
    "medium": Setting(32, 500, 1000),
    "full": FULL,
}


def images(setting: Setting) -> tuple[kk.Dataset, kk.Dataset]:
    """To regress on, and to test with."""
    train, test = kk.load("cifar10", image_size=setting.side, standardize=False)
    train, test = train.standardized(by=train), test.standardized(by=train)
    n_test = min(setting.n_test, len(test))
    return train.subset(setting.n_train, setting.seed), test.subset(n_test, setting.seed)


def run(setting: Setting, folder: Path) -> dict[str, Any]:
    """The accuracy of every depth and readout."""
    train, test = images(setting)
    gram, cross = matrices(TABLE, train, test, folder)
    targets = CONVENTION.targets(train.y, train.n_classes)
    rows = []
    for depth, name in TABLE.networks:
        stored = f"{depth}-{name}/ntk"
        found, jitter = predictions(gram[stored], cross[stored], targets, CONVENTION.ridge)
        published = PUBLISHED[depth] if name == "GAP" else None
        row = {"depth": depth, "readout": name, "jitter": jitter, "published": published}
        rows.append(row | accuracy(found, test.y))
    plan = TABLE.plan((FULL.side, FULL.side, 3))
    return {
        "setting": asdict(setting) | {"n_test": len(test)},
        "published_setting": {"n_train": FULL.n_train},
        "convention": CONVENTION.record(),
        "rows": rows,
        "pairs_a_second": measured_rate(folder),
        "full_setting": predicted_costs(plan, FULL.n_train, FULL.n_test),
    }


def draw(result: dict[str, Any], path: Path) -> None:
    """Accuracies by depth, with the published ones of 2,000 images."""
    figure, axes = axes_of("depth (convolutions + 1)", "test accuracy (%)")
    depths = list(PUBLISHED)
    label = f"GAP, published, n = {FULL.n_train:,}"
    axes.plot(depths, list(PUBLISHED.values()), "o-", color="#c8553d", label=label)
    for name, color in (("GAP", "#2a6f97"), ("V", "#8d99ae")):
        rows = [row for row in result["rows"] if row["readout"] == name]
        label = f"{name}, n = {result['setting']['n_train']}, 95%"
        error_bars(axes, depths, rows, color=color, label=label)
    axes.set_xticks(depths, list(map(str, depths)))
    saved(figure, axes, path)


def main(options: Options) -> None:
    """Run, print one JSON line, keep it and the figure."""
    setting = SETTINGS[options.size]
    if options.n is not None:
        setting = replace(setting, n_train=options.n)
    plan = TABLE.plan((setting.side, setting.side, 3))
    announce({"all depths": predicted_costs(plan, setting.n_train, setting.n_test)})
    result = run(setting, RUNS / f"arora2019-{setting.side}-{setting.n_train}-{setting.n_test}")
    path = options.record(__file__)
    report(result | options.asked() | environment(), path)
    if path is not None:
        draw(result, path.with_suffix(".png"))


if __name__ == "__main__":
    command(Options, main)
