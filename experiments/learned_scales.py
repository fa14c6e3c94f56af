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

import json
import sys
import time
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np
from running import Options, command

import kernas.kernels as kk
from kernas.files import write_whole

RIDGE, N_IMAGES, N_OTHER = 1e-2, 120, 1000
CRITICAL = 2**0.5


@dataclass(frozen=True, kw_only=True)
class LearnedScales(Options):
    """Options of this experiment."""


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


def main(options: LearnedScales) -> None:
    quick = options.size == "quick"
    n_train = options.n or (60 if quick else 300)
    n_other = 200 if quick else N_OTHER
    steps, seeds = (3, 1) if quick else (20, 3)
    start = time.perf_counter()
    rows: list[dict[str, Any]] = []
    for seed in range(seeds):
        name = "cifar10" if options.size != "quick" else "digits"
        size: dict[str, Any] = {} if quick else {"image_size": 8}
        fit, rest = kk.load(name, n_train=n_train, n_test=2 * n_other, seed=seed, **size)
        development, held_out = rest.split(0.5, seed=seed)
        for label, network in networks().items():
            row: dict[str, Any] = {"network": label, "seed": seed, "forms": {}}
            row["own"] = accuracies(network, fit, [development, held_out])
            for objective in ("evidence", "loo_error"):
                fitted = kk.fit_scales(
                    network, fit.x, fit.y, objective, ridge=RIDGE, steps=steps, n_images=N_IMAGES
                )
                row["forms"][objective] = {
                    "accuracy": accuracies(fitted.architecture, fit, [development, held_out]),
                    "objective": [float(fitted.path[0]), float(fitted.path[fitted.best])],
                    "scales": fitted.scales,
                }
            rows.append(row)
            print(label, seed, f"{time.perf_counter() - start:.0f} s", file=sys.stderr)
    result = {
        "experiment": "learned_scales",
        **options.asked(),
        "device": jax.devices()[0].device_kind,
        "versions": {"jax": jax.__version__, "numpy": np.__version__},
        "settings": {
            "ridge": RIDGE, "n_train": n_train, "n_images": N_IMAGES, "steps": steps,
            "seeds": seeds, "n_development": n_other, "n_held_out": n_other,
        },
        "summary": {label: summary(rows, label) for label in networks()},
        "rows": rows,
        "seconds": time.perf_counter() - start,
    }  # fmt: skip
    text = json.dumps(result)
    print(text)
    record = options.record(__file__)
    if record is not None:
        record.parent.mkdir(exist_ok=True)
        write_whole(record, f"{json.dumps(result, indent=1)}\n".encode())


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
    command(LearnedScales, main)
