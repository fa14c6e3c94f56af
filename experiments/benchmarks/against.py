"""The NTK of a convolutional network: kernas, neural-tangents and the fused C loop in one run.

Milliseconds a pair of 32×32 CIFAR-10 images for five convolutions under three heads:
``GlobalAvgPool``, ``LocalAvgPool(4)`` and ``Flatten``. The programs take turns in every repetition,
each with as many images as it needs to be at its best, or as can be waited for; a time is that of
the whole call, from images to the matrix. kernas and neural-tangents use every core they find, the
C loop (``fused_loop.py``, the first head only) one.

    python experiments/benchmarks/against.py            # ten minutes on 2 idle cores
    python experiments/benchmarks/against.py --quick    # small images; writes nothing

Needs CIFAR-10 in the folder ``KERNAS_DATA``, neural-tangents and a C compiler. Of each head:

- ``median_ms``, ``least_ms``, ``greatest_ms``: a pair, over the repetitions;
- ``ratio_to_kernas``: of the medians;
- ``compile_seconds``: what the first call took beyond the median;
- ``peak_bytes``: the most that a process of its own held, that calls this program alone, resident
  or on the accelerator, and ``idle_bytes`` before the first call, images and libraries loaded;
- ``difference_to_kernas``: greatest relative difference of the pairs both computed.
"""

from __future__ import annotations

import json
import math
import statistics
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from typing import Annotated, Any

import numpy as np
import tyro
from fused_loop import fused_loop, operations
from measuring import (
    alternating,
    cifar10,
    device_peak,
    environment,
    network,
    per_pair,
    record_of,
    report,
    timed,
)

import kernas.kernels as kk
from kernas.kernels.architecture import Layer

HEADS: dict[str, Layer] = {
    "GlobalAvgPool": kk.GlobalAvgPool(),
    "LocalAvgPool(4)": kk.LocalAvgPool(4),
    "Flatten": kk.Flatten(),
}
ALONE = "program and head: only the memory of this process that calls them"

NEURAL_TANGENTS_BYTES = 2**31
"""Lets it take all images of a call at once, with which it is fastest."""


@dataclass(frozen=True)
class Size:
    """Images, layers, and how many images on each side every program takes."""

    side: int
    depth: int
    repetitions: int
    images: dict[str, dict[str, tuple[int, int]]]


FULL = Size(
    side=32,
    depth=5,
    repetitions=7,
    images={
        "GlobalAvgPool": {"kernas": (32, 32), "neural-tangents": (4, 4), "C loop": (4, 32)},
        "LocalAvgPool(4)": {"kernas": (32, 32), "neural-tangents": (2, 2)},
        "Flatten": {"kernas": (32, 32), "neural-tangents": (32, 32)},
    },
)
QUICK = Size(
    side=8,
    depth=2,
    repetitions=2,
    images={
        "GlobalAvgPool": {"kernas": (4, 16), "neural-tangents": (2, 2), "C loop": (4, 16)},
        "LocalAvgPool(4)": {"kernas": (4, 4), "neural-tangents": (2, 2)},
        "Flatten": {"kernas": (8, 8), "neural-tangents": (8, 8)},
    },
)


def program(name: str, head: str, size: Size) -> Callable[[], np.ndarray]:
    """A call of one program, its images ready; all programs begin with the same images."""
    rows, columns = np.max(list(size.images[head].values()), axis=0)
    x = cifar10(rows + columns, size.side)
    left, right = size.images[head][name]
    x1, x2 = x[:left], x[rows : rows + right]
    if name == "C loop":
        return lambda: fused_loop(x1, x2, size.depth).ntk
    architecture = network(size.depth, HEADS[head])
    if name == "kernas":
        ours = kk.NeuralKernel(architecture)
        return lambda: ours(x1, x2)
    assert name == "neural-tangents"
    kernel = kk.NeuralKernel(architecture, backend=name, tile_bytes=NEURAL_TANGENTS_BYTES)
    return lambda: kernel(x1, x2)


def memory(name: str, head: str, quick: bool) -> dict[str, int]:
    """Bytes of a process of its own that calls one program twice."""
    command = [sys.executable, __file__, "--alone", name, head, *(["--quick"] if quick else [])]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"{name} with {head} alone: {done.stderr.strip()}")
    return json.loads(done.stdout.splitlines()[-1])


def resident(name: str, head: str, size: Size) -> dict[str, int]:
    """What :func:`memory` reads: held before the first call, and the most after two."""
    call = program(name, head, size)
    idle = device_peak()
    for _ in range(2):
        call()
    return {"idle_bytes": idle, "peak_bytes": device_peak()}


def compare(head: str, size: Size, quick: bool) -> dict[str, Any]:
    """All programs under one head."""
    names = list(size.images[head])
    calls = {name: program(name, head, size) for name in names}
    found: dict[str, Any] = {name: memory(name, head, quick) for name in names}
    first = {name: timed(call) for name, call in calls.items()}
    seconds = alternating(calls, size.repetitions)
    times = {name: per_pair(seconds[name], math.prod(size.images[head][name])) for name in names}
    ours = first["kernas"][1]
    for name in names:
        took, kernel = first[name]
        both = tuple(slice(min(n)) for n in zip(kernel.shape, ours.shape, strict=True))
        found[name] |= times[name] | {
            "images": list(size.images[head][name]),
            "compile_seconds": round(took - statistics.median(seconds[name]), 2),
            "ratio_to_kernas": times[name]["median_ms"] / times["kernas"]["median_ms"],
            "difference_to_kernas": float(np.max(np.abs(kernel[both] / ours[both] - 1))),
        }
        if name == "C loop":
            flop = operations(size.side, size.side, 3, size.depth, "lanes")
            found[name]["gflop_per_second"] = flop / times[name]["median_ms"] / 1e6
    return found


def main(
    quick: bool = False, alone: Annotated[tuple[str, str] | None, tyro.conf.arg(help=ALONE)] = None
) -> None:
    """Measure, print one JSON line, keep it.

    Args:
        quick: small images and few repetitions, to see it work; writes nothing.
    """
    size = QUICK if quick else FULL
    if alone is not None:
        print(json.dumps(resident(*alone, size)))
        return
    result: dict[str, Any] = {
        "images": {"dataset": "cifar10", "side": size.side},
        "kernel": "ntk",
        "depth": size.depth,
        "repetitions": size.repetitions,
        "heads": {head: compare(head, size, quick) for head in HEADS},
    }
    result |= environment()
    result["versions"]["neural-tangents"] = version("neural-tangents")
    report(result, None if quick else record_of(__file__))


if __name__ == "__main__":
    tyro.cli(main)
