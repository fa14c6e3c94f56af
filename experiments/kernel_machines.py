"""Kernel machines beside ridge regression: which loss, with the same kernels and images.

CIFAR-10 at a few pixels, in three problems: its first two classes, airplanes and automobiles; cats
and dogs, a pair that is hard at any size; and all ten classes, each machine against the rest. For
every draw of training images the kernels are computed once. Each method chooses its one number,
ridge or C, of as many on the last third of the training images, is fitted to all of them then, and
meets the test images once. C is in units of the inverse mean diagonal of the kernel.

    python experiments/kernel_machines.py                  # minutes on 2 cores
    python experiments/kernel_machines.py --size medium    # 16×16 pixels, more images and draws
    python experiments/kernel_machines.py --size full      # 32×32 pixels
    python experiments/kernel_machines.py --size quick     # to see it work; writes nothing

``--n`` is the number of training images of each problem. Needs CIFAR-10 in the folder
``KERNAS_DATA``. Intervals of 95%: of accuracies those of draws and of test images together; of the
differences from ridge regression, which are paired, Student's over draws. ``support`` is the share
of coefficients that are not 0.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from benchmarks.measuring import environment, report
from comparing import LEVEL, two_classes
from matplotlib.figure import Figure
from results import table, within
from running import Options, Size, command
from scipy.stats import t
from small_data import interval
from tqdm import tqdm

import kernas.kernels as kk
from kernas.kernels.data import Dataset

HE = 2**0.5
PROBLEMS: dict[str, tuple[int, int] | None] = {
    "airplanes or automobiles": (0, 1),
    "cats or dogs": (3, 5),
    "ten classes": None,
}
"""The two classes of each, ``None`` for all ten."""

GRID = tuple(10.0**power for power in range(-4, 3))
"""Of ridges, and of C from the largest on: 1e4 to 1e-2."""


@dataclass(frozen=True)
class Setting:
    """What is run.

    Attributes:
        n_train: training images of each problem, of which a third validates.
        n_test: test images of each problem.
    """

    side: int
    n_train: int
    n_test: int
    draws: int


SETTINGS: dict[Size, Setting] = {
    "quick": Setting(4, 30, 20, 2),
    "small": Setting(8, 240, 400, 6),
    "medium": Setting(16, 1000, 400, 10),
    "full": Setting(32, 2000, 400, 10),
}

NETWORKS = {
    "fully connected": kk.serial(
        kk.Flatten(), *[kk.Dense(W_std=HE, b_std=0.1), kk.Relu()] * 2, kk.Dense()
    ),
    "convolutional": kk.serial(
        *[kk.Conv(3, W_std=HE), kk.Relu()] * 2, kk.AvgPool(2), kk.Flatten(), kk.Dense()
    ),
}


@dataclass(frozen=True)
class LookedUp:
    """The kernel of numbered images: rows and columns of a matrix."""

    matrix: np.ndarray

    @property
    def needs_bind(self) -> bool:
        """Never."""
        return False

    def __call__(self, x1: Any, x2: Any = None, get: Any = None) -> np.ndarray:
        """The kernel of images ``(n, 1)`` that are their numbers."""
        rows, columns = (np.asarray(x)[:, 0].astype(int) for x in (x1, x1 if x2 is None else x2))
        return self.matrix[np.ix_(rows, columns)]


def methods(K: LookedUp, scale: float) -> dict[str, Callable[[float], Any]]:
    """An estimator by its number, for every method; the larger, the smoother.

    Args:
        K: the kernel.
        scale: the mean of its diagonal.
    """
    return {
        "ridge": lambda ridge: kk.KernelClassifier(K, ridge=ridge),
        "hinge": lambda ridge: kk.KernelMachine(K, loss="hinge", C=1 / (ridge * scale)),
        "logistic": lambda ridge: kk.KernelMachine(K, loss="logistic", C=1 / (ridge * scale)),
    }


def measured(matrix: np.ndarray, y: np.ndarray, n_train: int) -> dict[str, dict[str, float]]:
    """For every method its choice, accuracy on the test images in percent, and support.

    Args:
        matrix: the kernel of training images, then test images.
        y: their labels.
        n_train: how many are training images.
    """
    numbers = np.arange(len(y), dtype=np.float32)[:, None]
    n_fit = n_train - n_train // 3
    fit, validation = slice(0, n_fit), slice(n_fit, n_train)
    train, test = slice(0, n_train), slice(n_train, None)
    scale = float(np.trace(matrix[train, train]) / n_train)
    found = {}
    for name, make in methods(LookedUp(matrix), scale).items():
        scores = [
            make(number).fit(numbers[fit], y[fit]).score(numbers[validation], y[validation])
            for number in GRID
        ]
        chosen = GRID[int(np.argmax(scores))]
        model = make(chosen).fit(numbers[train], y[train])
        found[name] = {
            "chosen": chosen,
            "validation": 100 * max(scores),
            "accuracy": 100 * float(model.score(numbers[test], y[test])),
            "support": float(np.mean(model.dual_coef_ != 0)),
        }
    return found


def images_of(
    pair: tuple[int, int] | None, train: Dataset, test: Dataset, setting: Setting
) -> tuple[np.ndarray, np.ndarray, int]:
    """Training images, then test images, their labels, and the number of training images."""
    if pair is not None:
        parts = [two_classes(train, pair, setting.n_train), two_classes(test, pair, setting.n_test)]
    else:
        some = train.subset(setting.n_train), test.subset(setting.n_test)
        parts = [(part.x, part.y) for part in some]
    x, y = (np.concatenate(side) for side in zip(*parts, strict=True))
    return x, y, len(parts[0][1])


def summary(draws: list[dict[str, dict[str, float]]], n_test: int) -> dict[str, Any]:
    """Means over draws with intervals, and differences from ridge regression."""
    found = {}
    for name in draws[0]:
        accuracies = [draw[name]["accuracy"] for draw in draws]
        gains = [draw[name]["accuracy"] - draw["ridge"]["accuracy"] for draw in draws]
        found[name] = {
            "accuracy": interval(accuracies, n_test),
            "more_than_ridge": paired(gains),
            "support": float(np.mean([draw[name]["support"] for draw in draws])),
            "chosen": [draw[name]["chosen"] for draw in draws],
        }
    return found


def paired(gains: list[float]) -> dict[str, float]:
    """The mean of differences with Student's interval."""
    mean, n = float(np.mean(gains)), len(gains)
    half = float(t.ppf((1 + LEVEL) / 2, n - 1) * np.std(gains, ddof=1) / n**0.5)
    return {"value": mean, "low": mean - half, "high": mean + half}


def as_text(result: dict[str, Any]) -> str:
    """A Markdown table of accuracies, and of differences from ridge regression."""
    rows = [
        [f"{problem}, {label}", name, within(row["accuracy"]), gain, f"{100 * row['support']:.0f}%"]
        for problem, networks in result["problems"].items()
        for label, found in networks.items()
        for name, row in found.items()
        for gain in ["" if name == "ridge" else within(row["more_than_ridge"]).replace("-", "−")]
    ]
    return table(["images, network", "loss", "accuracy, %", "more than ridge", "a > 0"], rows)


COLORS = {"ridge": "#2a6f97", "hinge": "#c8553d", "logistic": "#6a994e"}


def figure(result: dict[str, Any]) -> Figure:
    """Accuracies with intervals, a panel a problem."""
    drawn = Figure(figsize=(11.4, 3.6), layout="constrained")
    panels = drawn.subplots(1, len(PROBLEMS))
    for axes, problem in zip(panels, PROBLEMS, strict=True):
        for place, (name, color) in enumerate(COLORS.items()):
            rows = [result["problems"][problem][label][name]["accuracy"] for label in NETWORKS]
            at = np.arange(len(rows)) + 0.15 * (place - 1)
            values = np.array([row["value"] for row in rows])
            low, high = (np.array([abs(row[end] - row["value"]) for row in rows])
                         for end in ("low", "high"))  # fmt: skip
            axes.errorbar(at, values, [low, high], fmt="o", color=color, capsize=3, label=name)
        axes.set_xticks(range(len(NETWORKS)), list(NETWORKS))
        axes.set(title=problem, ylabel="test accuracy (%)", xlim=(-0.5, len(NETWORKS) - 0.5))
        axes.grid(axis="y", color="#d9dee3", linewidth=0.8)
        axes.spines[["top", "right"]].set_visible(False)
    drawn.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=3,
                 frameon=False)  # fmt: skip
    return drawn


def run(setting: Setting) -> dict[str, Any]:
    """All draws of every problem."""
    found: dict[str, dict[str, list[Any]]] = {p: {n: [] for n in NETWORKS} for p in PROBLEMS}
    n_test = {}
    for draw in tqdm(range(setting.draws), "draws"):
        train, test = kk.load("cifar10", image_size=setting.side, seed=draw)
        for problem, pair in PROBLEMS.items():
            x, y, n_train = images_of(pair, train, test, setting)
            n_test[problem] = len(y) - n_train
            for label, network in NETWORKS.items():
                matrix = np.asarray(kk.NeuralKernel(network, "ntk")(x), np.float64)
                found[problem][label].append(measured(matrix, y, n_train))
    return {
        "problems": {
            problem: {label: summary(draws, n_test[problem]) for label, draws in of.items()}
            for problem, of in found.items()
        },
        "n_test": n_test,
        "draws": found,
    }


def main(options: Options) -> None:
    """Measure, print one JSON line, keep it with its figure."""
    setting = SETTINGS[options.size]
    setting = replace(setting, n_train=options.n or setting.n_train)
    print(f"{setting.draws} draws, {len(GRID)} numbers for each method", file=sys.stderr)
    result = {
        "setting": asdict(setting),
        "classes": PROBLEMS,
        **run(setting),
        **options.asked(),
        **environment(),
    }
    path = options.record(__file__)
    report(result, path)
    if path is not None:
        figure(result).savefig(path.with_suffix(".png"), dpi=120)


if __name__ == "__main__":
    command(Options, main)
