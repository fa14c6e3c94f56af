"""What a local average pool, a global one and none reach on Fashion-MNIST, with and without flips.

Images of 14×14 pixels, five convolutions, both kernels; the three readouts come from one pass.
``finite_networks.py`` trains the networks beside them.

    python experiments/fashion_mnist.py                  # 600 images: about 9 idle minutes
    python experiments/fashion_mnist.py --size medium    # 6,000 of 28×28: for an accelerator
    python experiments/fashion_mnist.py --size full      # all images of 28×28: for a cluster
    python experiments/fashion_mnist.py --size quick     # 7×7, to see it work; records nothing

``--n``: training images, those that validate among them. An interrupted run goes on from the stores
in ``runs/fashion-mnist-*``. Needs Fashion-MNIST in the folder ``KERNAS_DATA``. The ridge is chosen
on validation images, for each kernel by itself.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from benchmarks.measuring import environment, report
from comparing import (
    announce,
    axes_of,
    chosen,
    error_bars,
    matrices,
    measured_rate,
    predicted_costs,
    saved,
)
from running import RUNS, Options, Size, command, divided

import kernas.kernels as kk
from kernas.kernels.architecture import Layer

CONVENTION = kk.CONVENTIONS["kernas"]
DEPTH = 5


@dataclass(frozen=True)
class Setting:
    """What is run; ``window`` is that of the local average pool."""

    side: int
    window: int
    n_fit: int
    n_validation: int
    n_test: int
    seed: int = 0


FULL = Setting(28, 4, 55_000, 5_000, 10_000)
SETTINGS: dict[Size, Setting] = {
    "quick": Setting(7, 1, 40, 20, 40),
    "small": Setting(14, 2, 500, 100, 500),
    "medium": Setting(28, 4, 5_000, 1_000, 2_000),
    "full": FULL,
}


def readouts_of(setting: Setting) -> dict[str, Layer]:
    """The three readouts by name."""
    return {
        "Flatten": kk.Flatten(),
        f"LAP{setting.window}": kk.LocalAvgPool(setting.window),
        "GAP": kk.GlobalAvgPool(),
    }


def table_of(setting: Setting, flip: bool) -> kk.KernelTable[str]:
    """The kernels of all readouts."""
    networks = {
        name: CONVENTION.network(DEPTH, readout, channels=1)
        for name, readout in readouts_of(setting).items()
    }
    return kk.KernelTable(networks, augment=kk.Flip() if flip else ())


def images(setting: Setting) -> tuple[kk.Dataset, kk.Dataset]:
    """To regress on, those that validate at the end; and to test with."""
    everything, test = kk.load("fashion_mnist", image_size=setting.side, standardize=False)
    fitted = everything.subset(setting.n_fit, setting.seed)
    train = everything.subset(setting.n_fit + setting.n_validation, setting.seed)  # begins with it
    test = test.subset(setting.n_test, setting.seed)
    return train.standardized(by=fitted), test.standardized(by=fitted)


def run(setting: Setting, folder: Path) -> dict[str, Any]:
    """Test accuracy of every readout and kernel, without and with flips."""
    train, test = images(setting)
    rows = []
    for flip in (False, True):
        table = table_of(setting, flip)
        stores = matrices(table, train, test, folder / ("flip" if flip else "plain"))
        for name in table.names:
            best = chosen(stores, [name], CONVENTION, train, test, setting.n_fit)
            readout, kernel = name.split("/")
            row = {"readout": readout, "kernel": kernel, "flip": flip}
            kept = {key: best[key] for key in ("ridge", "jitter", "validation", "test")}
            rows.append(row | kept)
    return {
        "setting": asdict(setting),
        "convention": CONVENTION.record(),
        "depth": DEPTH,
        "rows": rows,
        "pairs_a_second": {name: measured_rate(folder / name) for name in ("plain", "flip")},
        "full_setting": costs_of(FULL),
    }


def costs_of(setting: Setting) -> dict[str, Any]:
    """What both passes of a setting take, by the plan."""
    return {
        name: predicted_costs(
            table_of(setting, flip).plan((setting.side, setting.side, 1)),
            setting.n_fit + setting.n_validation,
            setting.n_test,
        )
        for name, flip in (("plain", False), ("flip", True))
    }


def draw(result: dict[str, Any], path: Path) -> None:
    """Test accuracies by readout."""
    figure, axes = axes_of("readout", "test accuracy (%)")
    readouts = list(dict.fromkeys(row["readout"] for row in result["rows"]))
    for number, (kernel, flip) in enumerate(
        (kernel, flip) for kernel in ("nngp", "ntk") for flip in (False, True)
    ):
        rows = [
            row["test"] for row in result["rows"] if (row["kernel"], row["flip"]) == (kernel, flip)
        ]
        places = [i + 0.08 * (number - 1.5) for i in range(len(readouts))]
        label = f"{kernel.upper()}{', flip' if flip else ''}"
        error_bars(axes, places, rows, color=f"C{number}", label=label)
    axes.set_xticks(range(len(readouts)), readouts)
    saved(figure, axes, path)


def main(options: Options) -> None:
    """Run, print one JSON line, keep it and the figure."""
    setting = SETTINGS[options.size]
    if options.n is not None:
        n_fit, n_validation = divided(options.n, setting.n_fit, setting.n_validation)
        setting = replace(setting, n_fit=n_fit, n_validation=n_validation)
    announce(costs_of(setting))
    result = run(setting, RUNS / f"fashion-mnist-{setting.side}-{setting.n_fit}")
    path = options.record(__file__)
    report(result | options.asked() | environment(), path)
    if path is not None:
        draw(result, path.with_suffix(".png"))


if __name__ == "__main__":
    command(Options, main)
