"""Does it help to learn the scales of a network by the evidence, or by leave-one-out?

    python experiments/learned_scales.py              # CIFAR-10 at 8×8 pixels, two cores, minutes
    python experiments/learned_scales.py --size quick # to see it work; records nothing

For each network and each draw of images, scales are learned from training images alone, by either
objective. Which of the two to use for a network is chosen by the accuracy on development images;
what is reported is the accuracy on held-out images, which chose nothing, of the network as it is
and of the one with learned scales. ``n``: training images. One JSON line is printed, and kept
beside this script.
"""

from __future__ import annotations

import sys
import time
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from benchmarks.measuring import environment, report
from running import Options, Size, command

import kernas.kernels as kk

RIDGE = 1e-2
CRITICAL = 2**0.5


@dataclass(frozen=True)
class Setting:
    """Of which images scales are learned, and of how many they are judged.

    Attributes:
        n_train: of the regression.
        n_images: of them, by which scales are learned.
        n_other: of development, and as many held out.
        steps: of Adam.
        seeds: draws of images.
    """

    dataset: str
    image_size: int | None
    n_train: int
    n_images: int
    n_other: int
    steps: int
    seeds: int


SETTINGS: dict[Size, Setting] = {
    "quick": Setting("digits", None, 60, 40, 200, 3, 1),
    "small": Setting("cifar10", 8, 300, 120, 1000, 20, 3),
    "medium": Setting("cifar10", 16, 1000, 256, 1000, 40, 5),
    "full": Setting("cifar10", 32, 4000, 256, 1000, 40, 10),
}


def networks() -> dict[str, kk.Architecture]:
    """As one would begin with: critical weights, hardly a bias."""
    relu = [kk.Dense(W_std=CRITICAL, b_std=0.1), kk.Relu()]
    erf = [kk.Dense(W_std=CRITICAL, b_std=0.1), kk.Erf()]
    conv = [kk.Conv(3, W_std=CRITICAL, b_std=0.1), kk.Relu()]
    return {
        "dense, relu": kk.serial(kk.Flatten(), *relu * 2, kk.Dense()),
        "dense, erf": kk.serial(kk.Flatten(), *erf * 2, kk.Dense()),
        "conv, relu, flatten": kk.serial(*conv, kk.Flatten(), *relu, kk.Dense()),
    }


def accuracies(network: kk.Architecture, fit: Any, others: list[Any]) -> list[float]:
    """Of the NNGP regression on the training images, for each set of other images."""
    model = kk.KernelClassifier(kk.NeuralKernel(network, "nngp"), ridge=RIDGE).fit(fit.x, fit.y)
    return [float(model.score(one.x, one.y)) for one in others]


def main(options: Options) -> None:
    """Learn, compare and report."""
    setting = SETTINGS[options.size]
    n_train = options.n or setting.n_train
    start = time.perf_counter()
    rows: list[dict[str, Any]] = []
    for seed in range(setting.seeds):
        fit, rest = kk.load(
            setting.dataset,
            n_train=n_train,
            n_test=2 * setting.n_other,
            image_size=setting.image_size,
            seed=seed,
        )
        development, held_out = rest.split(0.5, seed=seed)
        for label, network in networks().items():
            rows.append({"network": label, "seed": seed, "forms": {},
                         "own": accuracies(network, fit, [development, held_out])})  # fmt: skip
            for objective in ("evidence", "loo_error"):
                fitted = kk.fit_scales(
                    *(network, fit.x, fit.y, objective),
                    ridge=RIDGE,
                    steps=setting.steps,
                    n_images=setting.n_images,
                )
                rows[-1]["forms"][objective] = {
                    "accuracy": accuracies(fitted.architecture, fit, [development, held_out]),
                    "objective": [float(fitted.path[0]), float(fitted.path[fitted.best])],
                    "scales": fitted.scales,
                }
            print(label, seed, f"{time.perf_counter() - start:.0f} s", file=sys.stderr)
    record = {
        **options.asked(),
        "settings": {"ridge": RIDGE, **asdict(setting), "n_train": n_train},
        "summary": {label: summary(rows, label) for label in networks()},
        "rows": rows,
        "seconds": round(time.perf_counter() - start, 1),
        **environment(),
    }
    report(record, options.record(__file__))


def summary(rows: list[dict[str, Any]], label: str) -> dict[str, Any]:
    """The form that is best on development images, and what it does on held-out ones."""
    own = [row for row in rows if row["network"] == label]
    forms = list(own[0]["forms"])
    development = {f: np.mean([row["forms"][f]["accuracy"][0] for row in own]) for f in forms}
    chosen = max(forms, key=lambda form: development[form])
    gains = [row["forms"][chosen]["accuracy"][1] - row["own"][1] for row in own]
    return {
        "chosen_on_development": chosen,
        "held_out_own": float(np.mean([row["own"][1] for row in own])),
        "held_out_learned": float(np.mean([row["forms"][chosen]["accuracy"][1] for row in own])),
        "gain": float(np.mean(gains)),
        "gain_of_each_seed": gains,
    }


if __name__ == "__main__":
    command(Options, main)
