"""A whole table of kernels in one pass, against its deepest kernel alone.

Depths 5, 8, 11, 14 times windows 0, 4, …, 32 of ``LocalAvgPool``, NNGP and NTK: 72 kernels. They
are prefixes of one chain and weightings of the same second moments, so that ``KernelTable``
computes them together; beside it, in turns, the NTK of depth 14 under ``GlobalAvgPool`` alone.

    python experiments/benchmarks/table.py            # a few minutes on 2 idle cores
    python experiments/benchmarks/table.py --quick    # small images; writes nothing

Needs CIFAR-10 in the folder ``KERNAS_DATA``. ``ratio`` is that of the medians, table over alone;
``ratio_to_every_kernel`` is over as many times the deepest as the table has kernels.
``compile_seconds`` is what the first call took beyond the median. With a window as large as the
image the table has the deepest kernel up to a factor; ``difference`` is the greatest relative one
after that factor.
"""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tyro
from measuring import alternating, cifar10, environment, network, per_pair, report, timed

import kernas.kernels as kk

RESULT = Path(__file__).with_suffix(".json")


@dataclass(frozen=True)
class Size:
    """Images, their number on each side, and the table."""

    side: int
    rows: int
    columns: int
    depths: tuple[int, ...]
    windows: tuple[int, ...]
    repetitions: int


FULL = Size(32, 16, 16, (5, 8, 11, 14), tuple(range(0, 33, 4)), 7)
QUICK = Size(8, 4, 4, (2, 3), (0, 4, 8), 2)


def measure(size: Size) -> dict[str, Any]:
    """The table and the deepest kernel in turns."""
    x = cifar10(size.rows + size.columns, size.side)
    x1, x2 = x[: size.rows], x[size.rows :]
    table = {
        (depth, window): network(depth, kk.LocalAvgPool(window))
        for depth in size.depths
        for window in size.windows
    }
    deepest = kk.NeuralKernel(network(max(size.depths), kk.GlobalAvgPool()))
    calls = {
        "table": lambda: kk.KernelTable(table)(x1, x2),
        "alone": lambda: deepest(x1, x2),
    }
    first = {name: timed(call) for name, call in calls.items()}
    seconds = alternating(calls, size.repetitions)
    median = {name: statistics.median(values) for name, values in seconds.items()}
    kernels = 2 * len(table)
    largest = max(size.windows)
    # Up to this factor, the mean over windows that cover the image is the mean over the image.
    factor = (size.side / (2 * largest + 1)) ** 4
    covered = first["table"][1][max(size.depths), largest].ntk
    difference = np.max(np.abs(covered / (factor * first["alone"][1]) - 1))
    result: dict[str, Any] = {
        "images": {"dataset": "cifar10", "side": size.side},
        "depths": size.depths,
        "windows": size.windows,
        "kernels": kernels,
        "pairs": size.rows * size.columns,
        "repetitions": size.repetitions,
        "ratio": median["table"] / median["alone"],
        "ratio_to_every_kernel": median["table"] / median["alone"] / kernels,
        "difference": float(difference),
    }
    for name, values in seconds.items():
        compiling = round(first[name][0] - median[name], 2)
        result[name] = per_pair(values, size.rows * size.columns) | {"compile_seconds": compiling}
    return result | environment()


def main(quick: bool = False) -> None:
    """Measure, print one JSON line, keep it.

    Args:
        quick: small images and a small table, to see it work; writes nothing.
    """
    result = measure(QUICK if quick else FULL)
    report(result, None if quick else RESULT)


if __name__ == "__main__":
    tyro.cli(main)
