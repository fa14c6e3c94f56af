"""How time and memory of an exact kernel grow: with side, depth, window and number of pairs.

The NTK of convolutions of 3×3 on CIFAR-10 images, 5 layers under ``GlobalAvgPool`` at 32×32 but for
what is varied. Theory counts, of a pair, the pairs of pixels whose covariance the head needs, in
every layer:

- ``side`` n: n⁴ of them;
- ``depth``: proportional to it;
- ``window`` c of ``LocalAvgPool``: proportional to the displacements it needs, ``(2 min(2c, n − 1)
  + 1)²``, against which it is drawn;
- ``pairs``: proportional to their number (all pairs together, the others per pair).

All points of a series take turns. ``exponent`` is the least-squares slope of log time or log memory
against the logarithm; ``exponent_of_upper_half`` that of the larger half of the points, where what
every call costs weighs less. Memory is ``peak_live_bytes`` of one call, compiled before, beyond
what was held; tiles bound it, so that theory predicts no exponent.

    python experiments/benchmarks/growth.py            # ten minutes on 2 idle cores
    python experiments/benchmarks/growth.py --quick    # few and small points; writes nothing

Needs CIFAR-10 in the folder ``KERNAS_DATA``.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tyro
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter, ScalarFormatter
from measuring import alternating, cifar10, environment, network, peak_live_bytes, per_pair, report
from tqdm import tqdm

import kernas.kernels as kk
from kernas.kernels.architecture import Layer

RESULT = Path(__file__).with_suffix(".json")
FIGURE = Path(__file__).with_suffix(".png")
COLORS = ("#2a6f97", "#c8553d")


@dataclass(frozen=True)
class Size:
    """The points of every series, and what stays fixed in the others."""

    sides: tuple[int, ...]
    depths: tuple[int, ...]
    windows: tuple[int, ...]
    blocks: tuple[int, ...]
    side: int
    depth: int
    images: int
    repetitions: int


FULL = Size(
    sides=(8, 12, 16, 20, 24, 28, 32),
    depths=(2, 4, 6, 8, 10, 12, 14),
    windows=(0, 1, 2, 4, 8, 12, 16),
    blocks=(2, 4, 8, 16, 32),
    side=32,
    depth=5,
    images=16,
    repetitions=5,
)
QUICK = Size((4, 6, 8), (1, 2, 3), (0, 1, 2), (2, 4, 8), 8, 2, 4, 2)


@dataclass(frozen=True)
class Point:
    """One network on ``images × images`` pairs; ``at`` is what its time is drawn against."""

    value: int
    at: int
    side: int
    depth: int
    head: Layer
    images: int


def displacements(window: int, side: int) -> int:
    """How many displacements ``LocalAvgPool(window)`` needs."""
    return (2 * min(2 * window, side - 1) + 1) ** 2


def series(size: Size) -> dict[str, list[Point]]:
    """The points of each series."""
    side, depth, images, whole = size.side, size.depth, size.images, kk.GlobalAvgPool()
    return {
        "side": [Point(n, n, n, depth, whole, images) for n in size.sides],
        "depth": [Point(n, n, side, n, whole, images) for n in size.depths],
        "window": [
            Point(c, displacements(c, side), side, depth, kk.LocalAvgPool(c), images)
            for c in size.windows
        ],
        "pairs": [Point(n * n, n * n, side, depth, whole, n) for n in size.blocks],
    }


PREDICTED = {"side": 4, "depth": 1, "window": 1, "pairs": 1}
LABELS = {
    "side": "image side",
    "depth": "layers",
    "window": "displacements of the window",
    "pairs": "pairs",
}


def exponents(at: np.ndarray, values: np.ndarray) -> dict[str, float | None]:
    """Slopes of log ``values``, of all points and of the larger half; ``None`` if one is 0."""
    half = len(at) // 2
    both = {"exponent": slice(None), "exponent_of_upper_half": slice(half, None)}
    if np.any(values <= 0):
        return dict.fromkeys(both, None)
    return {
        name: float(np.polyfit(np.log(at[part]), np.log(values[part]), 1)[0])
        for name, part in both.items()
    }


def measure(name: str, points: list[Point], repetitions: int) -> dict[str, Any]:
    """Time and memory of a series, and their exponents."""
    calls, memory = {}, {}
    for point in tqdm(points, name):
        kernel = kk.NeuralKernel(network(point.depth, point.head))
        x = cifar10(2 * point.images, point.side)

        def call(kernel: kk.NeuralKernel = kernel, x: np.ndarray = x) -> np.ndarray:
            return kernel(x[: len(x) // 2], x[len(x) // 2 :])

        call()
        memory[point.value] = peak_live_bytes(call)
        calls[point.value] = call
    seconds = alternating(calls, repetitions)
    found = []
    for point in points:
        # The time of all pairs where their number is what varies, else of one.
        pairs = 1 if name == "pairs" else point.images**2
        times = per_pair(seconds[point.value], pairs)
        shape = {"value": point.value, "at": point.at, "images": [point.images] * 2}
        found.append(shape | times | {"peak_live_bytes": memory[point.value]})
    at = np.array([point.at for point in points], float)
    times = np.array([one["median_ms"] for one in found])
    held = [one["peak_live_bytes"] for one in found]
    result: dict[str, Any] = {"predicted": PREDICTED[name], "time": exponents(at, times)}
    if None not in held:
        result["memory"] = exponents(at, np.array(held, float))
    return result | {"points": found}


def figure(result: dict[str, Any]) -> Figure:
    """Time above, memory below, log-log, with the predicted slope through the largest point."""
    drawn = Figure(figsize=(13, 5.6), layout="constrained")
    panels = drawn.subplots(2, len(PREDICTED), sharex="col")
    for column, (name, one) in enumerate(result["series"].items()):
        at = np.array([point["at"] for point in one["points"]], float)
        times = np.array([point["median_ms"] for point in one["points"]])
        upper, lower = panels[0, column], panels[1, column]
        line = times[-1] * (at / at[-1]) ** one["predicted"]
        upper.plot(at, line, "--", color="#495057", label=f"slope {one['predicted']}")
        draw(upper, at, times, one["time"], COLORS[0])
        if "memory" in one:
            held = np.array([point["peak_live_bytes"] for point in one["points"]]) / 2**20
            draw(lower, at, held, one["memory"], COLORS[1])
        lower.set_xlabel(LABELS[name])
        upper.set_title("all pairs" if name == "pairs" else "per pair", fontsize=10)
        if name != "window":
            lower.set_xticks(at)
            lower.xaxis.set_major_formatter(ScalarFormatter())
            lower.xaxis.set_minor_formatter(NullFormatter())
    panels[0, 0].set_ylabel("time, ms")
    panels[1, 0].set_ylabel("peak live memory, MiB")
    return drawn


def draw(
    axes: Axes, at: np.ndarray, values: np.ndarray, fitted: dict[str, float | None], color: str
) -> None:
    """One series with its fitted exponents."""
    pair = (fitted["exponent"], fitted["exponent_of_upper_half"])
    text = ", ".join("none" if e is None else f"{e:.2f}" for e in pair).replace("-", "−")
    axes.plot(at, values, "o-", color=color, markersize=5, label=f"fitted {text} (upper half)")
    axes.set(xscale="log", yscale="log")
    axes.grid(color="#d9dee3", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, fontsize=8)


def summary(result: dict[str, Any]) -> str:
    """Fitted beside predicted exponents, a line a series."""
    lines = []
    for name, one in result["series"].items():
        time = one["time"]
        fitted = f"{time['exponent']:.2f}, upper half {time['exponent_of_upper_half']:.2f}"
        lines.append(f"time against {LABELS[name]}: {fitted}, predicted {one['predicted']}")
    return "\n".join(lines)


def main(quick: bool = False) -> None:
    """Measure, print one JSON line and the exponents, keep the line with its figure.

    Args:
        quick: few and small points, to see it work; writes nothing.
    """
    size = QUICK if quick else FULL
    result: dict[str, Any] = {
        "images": {"dataset": "cifar10", "side": size.side},
        "kernel": "ntk",
        "depth": size.depth,
        "repetitions": size.repetitions,
        "series": {
            name: measure(name, points, size.repetitions) for name, points in series(size).items()
        },
    }
    result |= environment()
    drawn = figure(result)
    report(result, None if quick else RESULT)
    print(summary(result))
    if not quick:
        drawn.savefig(FIGURE, dpi=130)


if __name__ == "__main__":
    tyro.cli(main)
