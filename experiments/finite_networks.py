"""Networks of finite width beside the kernels of ``arora2019.py`` and ``fashion_mnist.py``.

The same architectures with all layers trained, on the same training images (of Fashion-MNIST those
that the kernels are fitted to and validated on), judged on the same test images: Adam with a cosine
schedule, several seeds. Nothing was tuned: the rate is Adam's usual one, and so many steps fit the
images of all but the networks with a global pool, as ``train_accuracy`` says.

    python experiments/finite_networks.py                # half an hour on two cores
    python experiments/finite_networks.py --size quick   # 8×8 and 7×7 pixels; records nothing

``--n``: steps. What is trained is kept in ``runs/finite_networks-SIZE``; the same command goes on.
Needs CIFAR-10 and Fashion-MNIST in the folder ``KERNAS_DATA``.

Published with all 50,000 images of CIFAR-10: 77.43% of CNTK-GAP and 83.30% of the trained network
with a global pool, CNN-GAP (Arora et al. 2019, section 6, table 1).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import arora2019
import fashion_mnist
import numpy as np
from benchmarks.measuring import environment, report
from comparing import proportion
from running import RUNS, Options, Size, command

import kernas.kernels as kk
from kernas.kernels.data import Dataset
from kernas.search.training import TrainingSettings, train

PUBLISHED = {"CNTK-GAP": 77.43, "CNN-GAP": 83.30}


@dataclass(frozen=True)
class Setting:
    """How large a run is: widths and steps of the two experiments, and seeds."""

    widths: tuple[int, int]
    steps: int
    seeds: int
    of: Size


SETTINGS: dict[Size, Setting] = {
    "quick": Setting((4, 4), 10, 1, "quick"),
    "small": Setting((24, 32), 300, 2, "small"),
    "medium": Setting((64, 64), 2000, 3, "medium"),
    "full": Setting((256, 128), 20_000, 3, "full"),
}


def main(options: Options) -> None:
    """Train all networks, print one JSON line and keep it."""
    setting = SETTINGS[options.size]
    if options.n is not None:
        setting = replace(setting, steps=options.n)
    folder = RUNS / f"finite_networks-{options.size}-{setting.steps}"
    result = {
        "arora2019": by_depth(setting, folder),
        "fashion_mnist": by_readout(setting, folder),
        "published": PUBLISHED,
    }
    report(result | options.asked() | environment(), options.record(__file__))


def by_depth(setting: Setting, folder: Path) -> list[dict[str, Any]]:
    """The networks of ``arora2019.py``, first and last layer trained too."""
    of = arora2019.SETTINGS[setting.of]
    train_set, test = arora2019.images(of)
    convention = replace(arora2019.CONVENTION, trains_first=True, trains_last=True)
    return [
        {"depth": depth, "readout": name}
        | trained(
            *(convention.network(depth, readout, channels=3), train_set, test),
            *(setting, setting.widths[0], folder / f"arora2019-{depth}-{name}"),
        )
        for depth in arora2019.PUBLISHED
        for name, readout in arora2019.READOUTS.items()
    ]


def by_readout(setting: Setting, folder: Path) -> list[dict[str, Any]]:
    """The networks of ``fashion_mnist.py``, without mirror images."""
    of = fashion_mnist.SETTINGS[setting.of]
    train_set, test = fashion_mnist.images(of)
    return [
        {"readout": name}
        | trained(
            *(fashion_mnist.CONVENTION.network(fashion_mnist.DEPTH, readout, channels=1),),
            *(train_set, test, setting, setting.widths[1], folder / f"fashion_mnist-{name}"),
        )
        for name, readout in fashion_mnist.readouts_of(of).items()
    ]


def trained(
    network: kk.Architecture,
    train_set: Dataset,
    test: Dataset,
    setting: Setting,
    width: int,
    folder: Path,
) -> dict[str, Any]:
    """The mean accuracy over seeds in per cent, with the interval of the test images."""
    recipe = TrainingSettings(
        width=width,
        optimizer="adam",
        learning_rate=1e-3,
        batch_size=min(50, len(train_set)),
        steps=setting.steps,
    )
    found = train(
        network, train_set, test, recipe, seeds=setting.seeds, folder=folder, progress=True
    )
    mean = float(np.mean(found.test_accuracy))
    return {
        "settings": recipe.settings(),
        "parameters": found.parameters,
        "seeds": (100 * found.test_accuracy).round(2).tolist(),
        "train_accuracy": float(100 * found.train_accuracy.mean()),
        "test": proportion(round(mean * len(test)), len(test)),
        "seconds": round(found.seconds, 1),
    }


if __name__ == "__main__":
    command(Options, main)
