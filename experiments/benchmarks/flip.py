"""What mirror images cost: a table of kernels with ``augment=Flip()`` against the same without.

Depths 5 and 8 times windows 0, 4, …, 16 of ``LocalAvgPool``, NNGP and NTK, on 16×16 pixels, a
Gram matrix and a rectangular one, in turns.

    python experiments/benchmarks/flip.py            # a minute on 2 idle cores
    python experiments/benchmarks/flip.py --quick    # small images; writes nothing

Needs CIFAR-10 in the folder ``KERNAS_DATA``. ``ratio`` is that of the medians, with over without;
``planned`` that of the plans' operations.
"""

from __future__ import annotations

import statistics
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import tyro
from measuring import alternating, cifar10, environment, network, per_pair, report

import kernas.kernels as kk

RESULT = Path(__file__).with_suffix(".json")


@dataclass(frozen=True)
class Size:
    """Images and the table."""

    side: int
    images: int
    depths: tuple[int, ...]
    windows: tuple[int, ...]
    repetitions: int


FULL = Size(16, 32, (5, 8), (0, 4, 8, 12, 16), 7)
QUICK = Size(8, 6, (2, 3), (0, 4), 2)


def measure(size: Size) -> dict[str, Any]:
    """Both tables in turns."""
    x = cifar10(2 * size.images, size.side)
    x1, x2 = x[: size.images], x[size.images :]
    networks = {
        (depth, window): network(depth, kk.LocalAvgPool(window))
        for depth in size.depths
        for window in size.windows
    }
    tables = {
        "without": kk.KernelTable(networks),
        "flip": kk.KernelTable(networks, augment=kk.Flip()),
    }
    plans = {name: table.plan(x.shape[1:]) for name, table in tables.items()}
    result: dict[str, Any] = {
        "size": asdict(size),
        "kernels": 2 * len(networks),
        "planned": plans["flip"].operations / plans["without"].operations,
    }
    for what, pairs, call in (
        ("gram", size.images * (size.images + 1) // 2, lambda table: table(x1)),
        ("cross", size.images**2, lambda table: table(x1, x2)),
    ):
        calls = {name: lambda table=table, call=call: call(table) for name, table in tables.items()}
        for compile_first in calls.values():
            compile_first()
        seconds = alternating(calls, size.repetitions)
        medians = {name: statistics.median(values) for name, values in seconds.items()}
        result[what] = {
            "ratio": medians["flip"] / medians["without"],
            **{name: per_pair(values, pairs) for name, values in seconds.items()},
        }
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
