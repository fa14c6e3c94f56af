"""Kernel regression on CIFAR-10 after each preprocessing, and the patches' statistics there.

Accuracy of :class:`KernelClassifier` with its own kernel and the ridge by leave-one-out, on 500
training and 500 test images of 32×32 pixels, for several class-balanced draws of them. Writes
beside this script, for every preprocessing, the accuracies, their mean and its standard error over
the draws, and the processor's seconds of one fit and prediction; and, of 100,000 random 6×6 patches
of bytes, what the regularisers of published programs are in the units of ``PatchFeatures``.

    python experiments/patch_features.py    # two minutes on 2 cores

Needs ``cifar10_10k_2k.npz`` or the published files in the folder ``KERNAS_DATA``.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from benchmarks.measuring import environment, report
from sklearn.pipeline import make_pipeline

import kernas.kernels as kk
from kernas.kernels.data.known import read_source
from kernas.kernels.transformers.patches import (
    draw_patches,
    variances,
    without_brightness,
    without_contrast,
)
from kernas.kernels.transformers.windows import Windows

IMAGES, DRAWS = 500, 3
PREPROCESSINGS: dict[str, Any] = {
    "standardised pixels": [],
    "ZCA, regularization 1": [kk.ZCA(1.0)],
    "ZCA, regularization 10": [kk.ZCA(10.0)],
    "256 filters, quadrants": [kk.PatchFeatures(pool=14, pool_stride=13)],
}

RESULT = Path(__file__).with_suffix(".json")


def accuracy(steps: list[Any], seed: int) -> tuple[float, float]:
    """Of one draw of images, and the processor's seconds that it took."""
    train, test = kk.load("cifar10", n_train=IMAGES, n_test=IMAGES, seed=seed)
    start = time.process_time()
    model = make_pipeline(*steps, kk.KernelClassifier(ridge="loo")).fit(train.x, train.y)
    return float(model.score(test.x, test.y)), time.process_time() - start


def patch_statistics() -> dict[str, float]:
    """Mean variance of patches, and mean eigenvalue once 10 is added to the variances."""
    x = read_source("cifar10").x
    drawn = draw_patches(x, Windows((6, 6)), 100_000, np.random.default_rng(0))
    patches = without_brightness(drawn)
    mean_variance = float(variances(patches).mean())
    mean_eigenvalue = float(without_contrast(patches, 10.0).var(axis=0).mean())
    return {
        "mean_variance": mean_variance,
        "relative_contrast_regularization": 10 / mean_variance,
        "mean_eigenvalue": mean_eigenvalue,
        "relative_whitening_regularization": 0.1 / mean_eigenvalue,
    }


def main() -> None:
    """Measure and record."""
    rows = {}
    for name, steps in PREPROCESSINGS.items():
        found = [accuracy(steps, seed) for seed in range(DRAWS)]
        accuracies = [value for value, _ in found]
        rows[name] = {
            "accuracies": accuracies,
            "mean": float(np.mean(accuracies)),
            "standard_error": float(np.std(accuracies, ddof=1) / DRAWS**0.5),
            "cpu_seconds": float(np.median([seconds for _, seconds in found])),
        }
        print(name, rows[name], file=sys.stderr, flush=True)
    result = {
        "images": {"dataset": "cifar10", "n_train": IMAGES, "n_test": IMAGES, "draws": DRAWS},
        "accuracy": rows,
        "patches_of_bytes": patch_statistics(),
        **environment(),
    }
    report(result, RESULT)


if __name__ == "__main__":
    main()
