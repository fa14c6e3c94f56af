"""What a local average pool, a global one and none reach on Fashion-MNIST, with and without flips.

Images of 14×14 pixels, five convolutions, both kernels; the three readouts come from one pass. The
last column of the table in ``docs/results.md`` is for the finite network of the same architecture.

    python experiments/fashion_mnist.py            # 600 images: about 9 idle minutes
    python experiments/fashion_mnist.py --full     # all images of 28×28 pixels: for a cluster
    python experiments/fashion_mnist.py --quick    # 7×7 pixels, to see it work; records nothing

An interrupted run goes on from the stores in ``runs/fashion-mnist-*``. Needs Fashion-MNIST in the
folder ``KERNAS_DATA``. The ridge is chosen on validation images, for each kernel by itself.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import tyro
from benchmarks.measuring import environment, report
from comparing import (
    RUNS,
    axes_of,
    chosen,
    error_bars,
    matrices,
    measured_rate,
    predicted_costs,
    saved,
)

import kernas.kernels as kk

RESULT = Path(__file__).with_suffix(".json")
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
SMALL = Setting(14, 2, 500, 100, 500)
QUICK = Setting(7, 1, 40, 20, 40)


def table_of(setting: Setting, flip: bool) -> kk.KernelTable[str]:
    """The three readouts."""
    readouts = {
        "Flatten": kk.Flatten(),
        f"LAP{setting.window}": kk.LocalAvgPool(setting.window),
        "GAP": kk.GlobalAvgPool(),
    }
    networks = {
        name: CONVENTION.network(DEPTH, readout, channels=1) for name, readout in readouts.items()
    }
    return kk.KernelTable(networks, augment=kk.Flip() if flip else ())


def run(setting: Setting, folder: Path) -> dict[str, Any]:
    """Test accuracy of every readout and kernel, without and with flips."""
    everything, test = kk.load("fashion_mnist", image_size=setting.side, standardize=False)
    fitted = everything.subset(setting.n_fit, setting.seed)
    train = everything.subset(setting.n_fit + setting.n_validation, setting.seed)  # begins with it
    train = train.standardized(by=fitted)
    test = test.subset(setting.n_test, setting.seed).standardized(by=fitted)
    rows = []
    for flip in (False, True):
        table = table_of(setting, flip)
        stores = matrices(table, train, test, folder / ("flip" if flip else "plain"))
        for name in table.names:
            best = chosen(stores, [name], CONVENTION, train, test, setting.n_fit)
            readout, kernel = name.split("/")
            row = {"readout": readout, "kernel": kernel, "flip": flip, "finite": None}
            kept = {key: best[key] for key in ("ridge", "jitter", "validation", "test")}
            rows.append(row | kept)
    return {
        "setting": asdict(setting),
        "convention": CONVENTION.record(),
        "depth": DEPTH,
        "rows": rows,
        "pairs_a_second": {name: measured_rate(folder / name) for name in ("plain", "flip")},
        "full_setting": {
            name: predicted_costs(
                table_of(FULL, flip).plan((FULL.side, FULL.side, 1)),
                FULL.n_fit + FULL.n_validation,
                FULL.n_test,
            )
            for name, flip in (("plain", False), ("flip", True))
        },
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


def main(full: bool = False, quick: bool = False) -> None:
    """Run, print one JSON line, keep it and the figure.

    Args:
        full: all images, at their own size.
        quick: small images, few of them; records nothing.
    """
    setting = FULL if full else QUICK if quick else SMALL
    result = run(setting, RUNS / f"fashion-mnist-{setting.side}-{setting.n_fit}")
    report(result | environment(), None if quick else RESULT)
    if not quick:
        draw(result, RESULT.with_suffix(".png"))


if __name__ == "__main__":
    tyro.cli(main)
