"""Kernel regression on CIFAR-10 after each preprocessing, and the patches' statistics there.

Accuracy of :class:`KernelClassifier` with its own kernel and the ridge by leave-one-out, on 500
training and 500 test images of 32×32 pixels, for several class-balanced draws of them. Writes
beside this script, for every preprocessing, the accuracies, their mean and its standard error over
the draws, and the processor's seconds of one fit and prediction; and, of 100,000 random 6×6 patches
of bytes, what the regularisers of published programs are in the units of ``PatchFeatures``.

    python experiments/patch_features.py                  # two minutes on 2 cores
    python experiments/patch_features.py --size medium    # 2,000 images, five draws
    python experiments/patch_features.py --size full      # all images: for a large machine
    python experiments/patch_features.py --size quick     # to see it work; records nothing

``--n``: training images, and test images. Needs ``cifar10_10k_2k.npz`` or the published files in
the folder ``KERNAS_DATA``.
"""

from __future__ import annotations

import sys
import time
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from benchmarks.measuring import environment, report
from running import Options, Size, command, foretell
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


@dataclass(frozen=True)
class Setting:
    """Images of either part, draws of them, and patches that the statistics are of."""

    n_train: int
    n_test: int
    draws: int
    patches: int = 100_000


SETTINGS: dict[Size, Setting] = {
    "quick": Setting(50, 50, 2, 1_000),
    "small": Setting(500, 500, 3),
    "medium": Setting(2_000, 2_000, 5),
    "full": Setting(50_000, 10_000, 1),
}
PREPROCESSINGS: dict[str, Any] = {
    "standardised pixels": [],
    "ZCA, regularization 1": [kk.ZCA(1.0)],
    "ZCA, regularization 10": [kk.ZCA(10.0)],
    "256 filters, quadrants": [kk.PatchFeatures(pool=14, pool_stride=13)],
}


def accuracy(setting: Setting, steps: list[Any], seed: int) -> tuple[float, float]:
    """Of one draw of images, and the processor's seconds that it took."""
    train, test = kk.load("cifar10", n_train=setting.n_train, n_test=setting.n_test, seed=seed)
    start = time.process_time()
    model = make_pipeline(*steps, kk.KernelClassifier(ridge="loo")).fit(train.x, train.y)
    return float(model.score(test.x, test.y)), time.process_time() - start


def patch_statistics(n: int) -> dict[str, float]:
    """Mean variance of patches, and mean eigenvalue once 10 is added to the variances."""
    x = read_source("cifar10").x
    drawn = draw_patches(x, Windows((6, 6)), n, np.random.default_rng(0))
    patches = without_brightness(drawn)
    mean_variance = float(variances(patches).mean())
    mean_eigenvalue = float(without_contrast(patches, 10.0).var(axis=0).mean())
    return {
        "mean_variance": mean_variance,
        "relative_contrast_regularization": 10 / mean_variance,
        "mean_eigenvalue": mean_eigenvalue,
        "relative_whitening_regularization": 0.1 / mean_eigenvalue,
    }


def measured(setting: Setting) -> dict[str, Any]:
    """Accuracies after every preprocessing, and the patches' statistics."""
    rows = {}
    for name, steps in PREPROCESSINGS.items():
        found = []
        for seed in range(setting.draws):
            found.append(accuracy(setting, steps, seed))
            if not rows and seed == 0:
                fits = setting.draws * len(PREPROCESSINGS)
                foretell(found[0][1] * fits, "the processor's time of the first of all fits")
        accuracies = [value for value, _ in found]
        error = None
        if setting.draws > 1:
            error = float(np.std(accuracies, ddof=1) / setting.draws**0.5)
        rows[name] = {
            "accuracies": accuracies,
            "mean": float(np.mean(accuracies)),
            "standard_error": error,
            "cpu_seconds": float(np.median([seconds for _, seconds in found])),
        }
        print(name, rows[name], file=sys.stderr, flush=True)
    return {
        "images": {"dataset": "cifar10", **asdict(setting)},
        "accuracy": rows,
        "patches_of_bytes": patch_statistics(setting.patches),
    }


def main(options: Options) -> None:
    """Measure and record."""
    setting = SETTINGS[options.size]
    if options.n is not None:
        setting = replace(setting, n_train=options.n, n_test=options.n)
    report(measured(setting) | options.asked() | environment(), options.record(__file__))


if __name__ == "__main__":
    command(Options, main)
