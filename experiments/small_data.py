"""The 14-layer convolutional NTK with a global average pool on few images of CIFAR-10.

Arora et al. 2020 (Harnessing the power of infinitely wide deep nets on small-data tasks, section 5)
trained it on balanced subsets of CIFAR-10 and published the accuracies below, means over draws of
the subset. Here each draw is nested: its smaller subsets are the beginning of its larger ones.

    python experiments/small_data.py                  # n = 10, 20, 40: about 20 idle minutes
    python experiments/small_data.py --size medium    # to n = 160, ten draws: for an accelerator
    python experiments/small_data.py --size full      # all n, 20 draws, all test images
    python experiments/small_data.py --size quick     # 8×8 pixels, to see it work; records nothing

``--n``: the published numbers of training images up to this one. An interrupted run goes on from
the stores in ``runs/small-data-*``. Needs CIFAR-10 in the folder
``KERNAS_DATA``. The interval of a mean over draws is ``± sqrt(a² + b²)``: ``a`` is Student's over
the draws, ``b`` the binomial error of the test images, which all draws share.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from benchmarks.measuring import environment, report
from comparing import (
    LEVEL,
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
from scipy.stats import norm, t

import kernas.kernels as kk
from kernas.errors import ConfigurationError

PUBLISHED = {
    10: 15.33,
    20: 18.79,
    40: 21.34,
    80: 25.48,
    160: 30.48,
    320: 36.57,
    640: 42.63,
    1280: 48.86,
}
"""Test accuracy in percent by number of training images."""

CONVENTION, DEPTH = kk.CONVENTIONS["arora2019"], 14


@dataclass(frozen=True)
class Setting:
    """What is run."""

    side: int
    sizes: tuple[int, ...]
    draws: int
    n_test: int


FULL = Setting(32, tuple(PUBLISHED), 20, 10_000)
SETTINGS: dict[Size, Setting] = {
    "quick": Setting(8, (10, 20), 2, 100),
    "small": Setting(32, (10, 20, 40), 3, 1_000),
    "medium": Setting(32, (10, 20, 40, 80, 160), 10, 2_000),
    "full": FULL,
}


KERNEL = kk.NeuralKernel(CONVENTION.network(DEPTH, kk.GlobalAvgPool(), channels=3), get="ntk")


def run(setting: Setting, folder: Path) -> dict[str, Any]:
    """Accuracies of all draws and sizes, beside the published ones."""
    train, test = kk.load("cifar10", image_size=setting.side, standardize=False)
    train, test = train.standardized(by=train), test.standardized(by=train)
    test = test.subset(min(setting.n_test, len(test)))
    accuracies: dict[int, list[float]] = {n: [] for n in setting.sizes}
    jitters: dict[int, list[float]] = {n: [] for n in setting.sizes}
    for draw in range(setting.draws):
        drawn = train.subset(max(setting.sizes), seed=draw)
        gram, cross = (store["ntk"] for store in matrices(KERNEL, drawn, test, folder / str(draw)))
        for n in setting.sizes:
            targets = CONVENTION.targets(drawn.y[:n], train.n_classes)
            found, jitter = predictions(gram[:n, :n], cross[:, :n], targets, CONVENTION.ridge)
            accuracies[n].append(100 * float(np.mean(np.argmax(found, axis=1) == test.y)))
            jitters[n].append(jitter)
    return {
        "setting": {**asdict(setting), "n_test": len(test)},
        "convention": CONVENTION.record(),
        "depth": DEPTH,
        "sizes": {
            n: {
                "accuracies": values,
                "jitters": jitters[n],
                **(ours := interval(values, len(test))),
                "published": PUBLISHED[n],
                "published_inside": ours["low"] <= PUBLISHED[n] <= ours["high"],
            }
            for n, values in accuracies.items()
        },
        "pairs_a_second": measured_rate(folder),
    }


def interval(values: list[float], n_test: int) -> dict[str, float]:
    """Mean of accuracies in percent over draws, with its 95% interval."""
    mean = float(np.mean(values))
    over_draws = 0.0
    if len(values) > 1:
        quantile = float(t.ppf((1 + LEVEL) / 2, len(values) - 1))
        over_draws = quantile * float(np.std(values, ddof=1)) / len(values) ** 0.5
    of_images = float(norm.ppf((1 + LEVEL) / 2)) * (mean * (100 - mean) / n_test) ** 0.5
    half = (over_draws**2 + of_images**2) ** 0.5
    return {"value": mean, "low": mean - half, "high": mean + half}


def draw_figure(result: dict[str, Any], path: Path) -> None:
    """Ours with intervals and the published accuracies, by number of training images."""
    figure, axes = axes_of("training images", "test accuracy (%)")
    numbers, accuracies = list(PUBLISHED), list(PUBLISHED.values())
    axes.plot(numbers, accuracies, "o-", color="#c8553d", label="published")
    label = f"kernas, {result['setting']['draws']} draws, 95%"
    sizes = result["sizes"]
    error_bars(axes, list(sizes), list(sizes.values()), color="#2a6f97", label=label)
    axes.set_xscale("log")
    axes.set_xticks(numbers, list(map(str, numbers)))
    axes.minorticks_off()
    saved(figure, axes, path)


def setting_of(size: Size, n: int | None) -> Setting:
    """The setting of a size, or with the published numbers of images up to another.

    Raises:
        ConfigurationError: none is as small.
    """
    setting = SETTINGS[size]
    if n is None:
        return setting
    sizes = tuple(number for number in PUBLISHED if number <= n)
    if not sizes:
        raise ConfigurationError(f"--n {n}: expected {min(PUBLISHED)} or more")
    return replace(setting, sizes=sizes)


def main(options: Options) -> None:
    """Run, print one JSON line, keep it and the figure."""
    setting = setting_of(options.size, options.n)
    largest = max(setting.sizes)
    plan = KERNEL.plan((setting.side, setting.side, 3))
    announce({"a draw": predicted_costs(plan, largest, setting.n_test)}, times=setting.draws)
    result = run(setting, RUNS / f"small-data-{setting.side}-{largest}-{setting.n_test}")
    full_draws = predicted_costs(KERNEL.plan((32, 32, 3)), max(FULL.sizes), FULL.n_test)
    result["full_setting"] = {"draws": FULL.draws, "each_draw": full_draws}
    result |= options.asked() | environment()
    path = options.record(__file__)
    report(result, path)
    if path is not None:
        draw_figure(result, path.with_suffix(".png"))


if __name__ == "__main__":
    command(Options, main)
