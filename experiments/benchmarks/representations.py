"""How moments are best kept at each size of images: planes, grids of any lanes, dense matrices.

    python experiments/benchmarks/representations.py            # half an hour on 2 idle cores
    python experiments/benchmarks/representations.py --quick    # 8×8 pixels; writes nothing

Needs CIFAR-10 in the folder ``KERNAS_DATA``. Two questions, in milliseconds a pair of images:

- ``networks``: NNGP and NTK of NAS-Bench-201 cells, their images prepared, in every way that the
  engine has: ``planes`` by displacement, the same ``whole``, and ``stream``s, which keep grids
  ``[h, h', w, w', pairs]``, with several numbers of pairs a block. Each is called once before;
  ``compile_seconds`` is what that took beyond the median. Ways in turns.
- ``windows``: one thing alone, the sum over the window of a 3×3 convolution of ``K + iΘ``, by
  shifted grids and by dense matrices: along the rows of both images it is a matrix on the pairs of
  rows, and the same along the columns. One block after the other on one thread.

``chosen`` is what the engine takes by itself.
"""

from __future__ import annotations

import json
import statistics
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import tyro
from jax import Array, lax
from measuring import SEED, alternating, cifar10, environment, report, timed

import kernas.kernels as kk
from kernas.kernels.covariance.grids import window_mean
from kernas.kernels.engine import Blocking
from kernas.kernels.engine.planes import COMPILER_OPTIONS
from kernas.search import NasBench201

RESULT = Path(__file__).with_suffix(".json")

IMAGES = {8: 48, 16: 16, 32: 5}
"""Images of the Gram matrix by their side."""

LANES = {8: (1, 4, 16, 32), 16: (1, 4, 16), 32: (1, 4)}
CELLS, REPETITIONS = 2, 5
WINDOW = kk.Conv(3)
BLOCKS = {8: 400, 16: 24, 32: 2}
"""Sums of a window in a call, by the images' side, times 16 lanes."""


def networks(side: int) -> dict[str, Any]:
    """Both kernels of cells in every way."""
    x = cifar10(IMAGES[side], side)
    pairs = len(x) * (len(x) + 1) // 2
    cells = NasBench201(1, center=False).sample(CELLS, seed=SEED)
    ways = {f"stream, {lanes}": Blocking("stream", lanes) for lanes in LANES[side]}
    ways |= {"planes": Blocking("planes", 16), "whole": Blocking("whole")}
    found: dict[str, list[float]] = {name: [] for name in ways}
    compiling: dict[str, list[float]] = {name: [] for name in ways}
    chosen = set[str]()
    for cell in cells:
        kernels = {
            name: kk.NeuralKernel(cell.architecture, get=("nngp", "ntk"), blocking=blocking).bind(x)
            for name, blocking in (*ways.items(), ("chosen", None))
        }
        own = kernels.pop("chosen").settings(x.shape[1:])
        chosen.add(json.dumps(own["blocking"]))
        images = {name: kernel.prepare(x) for name, kernel in kernels.items()}
        calls = {
            name: (lambda kernel=kernel, images=images[name]: kernel(images))
            for name, kernel in kernels.items()
        }
        first = {name: timed(call)[0] for name, call in calls.items()}
        for name, seconds in alternating(calls, REPETITIONS).items():
            found[name] += seconds
            compiling[name].append(first[name] - statistics.median(seconds))
    return {
        "pairs": pairs,
        "chosen": [json.loads(blocking) for blocking in sorted(chosen)],
        **{
            name: {
                **asdict(ways[name]),
                "median_ms": 1e3 * statistics.median(seconds) / pairs,
                "compile_seconds": round(statistics.median(compiling[name]), 2),
            }
            for name, seconds in found.items()
        },
    }


def along_an_axis(side: int) -> np.ndarray:
    """The window on pairs of rows, ``(rows of both images, rows of both images)``."""
    moved = [np.eye(side, k=tap) for tap in (-1, 0, 1)]
    return np.mean([np.kron(shift, shift) for shift in moved], axis=0)


def windows(side: int) -> dict[str, Any]:
    """The sum over a window, by shifted grids and by dense matrices, on one thread."""
    matrix = jnp.asarray(along_an_axis(side), jnp.float32)

    def dense(x: Array) -> Array:
        lanes = x.shape[-1]
        parts = []
        for part in (lax.real(x), lax.imag(x)):
            rows = matrix @ part.reshape(side**2, -1)
            columns = jnp.moveaxis(rows.reshape(side**2, side**2, lanes), 1, 0)
            both = matrix @ columns.reshape(side**2, -1)
            parts.append(jnp.moveaxis(both.reshape(side**2, side**2, lanes), 1, 0))
        return lax.complex(*parts).reshape(x.shape)

    def grid(x: Array) -> Array:
        return window_mean(WINDOW, x, (side, side), (side, side))

    result: dict[str, Any] = {}
    for lanes in LANES[side]:
        repeated = max(1, BLOCKS[side] * 16 // lanes)
        x = np.random.default_rng(SEED).random((side, side, side, side, lanes), np.float32)
        x = jnp.asarray(x + 1j * x[::-1])
        calls: dict[str, Callable[[], Any]] = {}
        values: dict[str, np.ndarray] = {}
        for name, function in (("grid", grid), ("dense", dense)):
            once = jax.jit(function, compiler_options=COMPILER_OPTIONS)
            values[name] = np.asarray(once(x))

            def loop(x: Array, function: Any = function, repeated: int = repeated) -> Array:
                return lax.fori_loop(0, repeated, lambda _, y: function(y), x)

            many = jax.jit(loop, compiler_options=COMPILER_OPTIONS)
            calls[name] = lambda many=many, x=x: jax.block_until_ready(many(x))
            calls[name]()
        difference = np.max(np.abs(values["grid"] - values["dense"])) / np.max(
            np.abs(values["grid"])
        )
        seconds = alternating(calls, REPETITIONS)
        result[str(lanes)] = {"difference": float(difference)} | {
            f"{name}_ms": 1e3 * statistics.median(times) / (repeated * lanes)
            for name, times in seconds.items()
        }
    return result


def main(quick: bool = False) -> None:
    """Measure, print one JSON line, keep it.

    Args:
        quick: the smallest images, to see it work; writes nothing.
    """
    sides = [8] if quick else list(IMAGES)
    result: dict[str, Any] = {"dataset": "cifar10", "cells": CELLS, "repetitions": REPETITIONS}
    result["windows"] = {side: windows(side) for side in sides}
    result["networks"] = {side: networks(side) for side in sides}
    result |= environment()
    report(result, None if quick else RESULT)


if __name__ == "__main__":
    tyro.cli(main)
