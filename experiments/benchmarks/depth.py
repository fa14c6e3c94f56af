"""What a network of many layers takes before its kernel is computed, and to compile it.

Residual networks of 3×3 convolutions, two a block, without normalisation and with a centred one
before every ReLU, under ``GlobalAvgPool`` on images of 8×8 pixels. Seconds and the most megabytes
that Python holds (``tracemalloc``, measured in a run of its own), of each step by itself: building,
JSON and back, hash, lowering, explanation, plan. ``first_call`` is the first kernel of two images
by the whole, tracing and compilation included, for the depths where it is affordable: XLA gets one
program for each kind of instruction there, whatever the depth.

    python experiments/benchmarks/depth.py            # minutes on 2 idle cores
    python experiments/benchmarks/depth.py --quick    # a small depth; writes nothing
"""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tyro
from measuring import HE, environment, report, timed

import kernas.kernels as kk
from kernas.kernels.engine import Blocking
from kernas.kernels.program import lower

RESULT = Path(__file__).with_suffix(".json")
IMAGE = (8, 8, 3)


@dataclass(frozen=True)
class Size:
    """Numbers of weight layers: of what is measured, and of what is computed as well."""

    layers: tuple[int, ...]
    computed: tuple[int, ...]


FULL = Size((110, 250, 500, 1000), (110,))
QUICK = Size((20,), (20,))
NORMS: dict[str, tuple[kk.Normalize, ...]] = {"plain": (), "normalised": (kk.Normalize(),)}


def residual_network(layers: int, norm: tuple[kk.Normalize, ...]) -> kk.Architecture:
    """``layers`` weight layers: a convolution, blocks of two, the dense readout."""
    half = (*norm, kk.Relu(), kk.Conv(3, W_std=HE))
    block = kk.residual(kk.serial(*half, *half))
    ends = (*norm, kk.Relu(), kk.GlobalAvgPool(), kk.Dense())
    return kk.serial(kk.Conv(3), *[block] * ((layers - 2) // 2), *ends)


def steps_of(layers: int, norm: tuple[kk.Normalize, ...]) -> dict[str, Callable[[], Any]]:
    """The steps, each on a network that is new to every cache."""

    def on_new(step: Callable[[kk.Architecture], Any]) -> Callable[[], Any]:
        network = residual_network(layers, norm)
        return lambda: step(network)

    def plan(network: kk.Architecture) -> Any:
        return kk.NeuralKernel(network, blocking=Blocking("planes")).plan(IMAGE)

    return {
        "build": lambda: residual_network(layers, norm),
        "json": on_new(lambda network: kk.Architecture.from_json(network.to_json())),
        "hash": on_new(lambda network: network.hash),
        "lower": on_new(lambda network: lower(network, IMAGE)),
        "explain": on_new(lambda network: str(kk.explain(network, IMAGE))),
        "plan": on_new(plan),
    }


def megabytes(step: Callable[[], Any]) -> float:
    """The most that Python holds during a step, beyond what it held before."""
    tracemalloc.start()
    step()
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return most / 1e6


def first_call(layers: int, norm: tuple[kk.Normalize, ...]) -> float:
    """Seconds of the first kernel of two images."""
    x = np.random.default_rng(0).normal(size=(2, *IMAGE))
    kernel = kk.NeuralKernel(residual_network(layers, norm), blocking=Blocking("whole"))
    return timed(lambda: kernel.bind(x)(x))[0]


def measure(layers: int, name: str, *, computed: bool) -> dict[str, Any]:
    """One network: its steps, and its first kernel if that is affordable."""
    norm = NORMS[name]
    seconds = {step: timed(call)[0] for step, call in steps_of(layers, norm).items()}
    # The plan is remembered by its network, so that the other run has another one.
    most = {step: megabytes(call) for step, call in steps_of(layers + 2, norm).items()}
    found: dict[str, Any] = {
        "network": name,
        "layers": layers,
        "seconds": {step: round(value, 4) for step, value in seconds.items()},
        "peak_megabytes": {step: round(value, 2) for step, value in most.items()},
    }
    if computed:
        found["first_call_seconds"] = round(first_call(layers, norm), 2)
    return found


def main(quick: bool = False) -> None:
    """Measure, print one JSON line, keep it.

    Args:
        quick: a small depth, to see it work; writes nothing.
    """
    size = QUICK if quick else FULL
    networks = [
        measure(layers, name, computed=layers in size.computed)
        for name in NORMS
        for layers in size.layers
    ]
    result = {"image_shape": IMAGE, "networks": networks} | environment()
    report(result, None if quick else RESULT)


if __name__ == "__main__":
    tyro.cli(main)
