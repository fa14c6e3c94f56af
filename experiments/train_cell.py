"""One cell of NAS-Bench-201, trained for 12 epochs: what that takes, said before and measured.

The cell is a residual block, two 3×3 convolutions beside a skip, once in each of the three stages
of the published skeleton with 16 channels; CIFAR-10's first 10,000 training images, 32×32, mirrored
and cropped at random; SGD with Nesterov momentum, rate 0.1 along a cosine, decay 5e-4, batches of
250 (published: 256). One seed.

    python experiments/train_cell.py                 # 12 epochs, some 20 minutes on two cores
    python experiments/train_cell.py --size quick    # an epoch of 16×16 pixels; records nothing

``--n``: training images. The state is kept in ``runs/train_cell-SIZE``; the same command goes on.
``predicted_seconds`` comes from three steps and an evaluation that are timed before
(``estimate_training``), without compilation; ``seconds`` has all of it. The table of the benchmark
has the cell, five times in each stage, at the accuracy ``published`` after 12 epochs on all 25,000
images of its training half.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass

from benchmarks.measuring import environment, report
from running import RUNS, Options, Size, command

import kernas.kernels as kk
import kernas.search as ks
from kernas.errors import DataError
from kernas.files import write_whole
from kernas.search.report.curves import curves_figure
from kernas.search.report.panels import to_png
from kernas.search.training import TrainingSettings, estimate_training, train

CELL = "|nor_conv_3x3~0|+|none~0|nor_conv_3x3~1|+|skip_connect~0|none~1|skip_connect~2|"


@dataclass(frozen=True)
class Setting:
    """How large a run is."""

    images: int
    side: int
    epochs: int
    cells: int


SETTINGS: dict[Size, Setting] = {
    "quick": Setting(500, 16, 1, 1),
    "small": Setting(10_000, 32, 12, 1),
    "medium": Setting(10_000, 32, 12, 5),
    "full": Setting(50_000, 32, 200, 5),
}


def main(options: Options) -> None:
    """Predict, train, report and draw."""
    setting = SETTINGS[options.size]
    n_train = options.n or setting.images
    fit, test = kk.load("cifar10", n_train=n_train, image_size=setting.side, seed=0)
    recipe = TrainingSettings(
        width=16, learning_rate=0.1, batch_size=250, epochs=setting.epochs, augment=True
    )
    cell = ks.NasBench201(cells_per_stage=setting.cells).candidate(CELL)
    estimate = estimate_training(
        *(cell, fit, recipe), seeds=1, n_test=len(test), evaluations=setting.epochs
    )
    print(f"{cell.name}: {estimate}", file=sys.stderr, flush=True)
    number = "" if options.n is None else f"-{options.n}"
    trained = train(
        *(cell, fit, test),
        settings=recipe,
        seeds=1,
        evaluate_every=len(fit) // recipe.batch_size,
        folder=RUNS / f"train_cell-{options.size}{number}",
        progress=True,
    )
    record = {
        **options.asked(),
        "cell": cell.name,
        "cells_a_stage": setting.cells,
        "images": {"train": len(fit), "test": len(test), "side": setting.side},
        "settings": recipe.settings(),
        "parameters": trained.parameters,
        "predicted_seconds": round(estimate.seconds, 1),
        "seconds": round(trained.seconds, 1),
        "measured_over_predicted": trained.seconds / estimate.seconds,
        "test_accuracy_after_epochs": trained.curve[:, 0].round(4).tolist(),
        "train_accuracy": float(trained.train_accuracy[0]),
        "published": published(cell),
        **environment(),
    }
    path = options.record(__file__)
    report(record, path)
    if path is not None:
        write_whole(path.with_suffix(".png"), to_png(curves_figure(trained, cell.name)))


def published(cell: ks.Candidate) -> float | None:
    """The benchmark's validation accuracy after 12 epochs in per cent, where it is at hand."""
    try:
        return ks.load_truth("nasbench201", "val12_cifar10")[cell.name]
    except DataError as error:
        print(error, file=sys.stderr)
        return None


if __name__ == "__main__":
    command(Options, main)
