"""Building, storing and solving a Gram matrix: where the time goes, and what memory it takes.

The NTK of a fully-connected network (two hidden layers of ReLU) on Fashion-MNIST in float64, into a
store of tiles, then ridge regression on the labels by conjugate gradients that read the store, and
by a Cholesky factor of the whole matrix in memory.

    python experiments/benchmarks/stored_gram.py            # some minutes on 2 idle cores
    python experiments/benchmarks/stored_gram.py --quick    # 300 images; writes nothing

Needs Fashion-MNIST in the folder ``KERNAS_DATA``. Seconds are of one call each. ``peak_bytes`` are
resident bytes beyond those before the call, and ``of_matrix`` their ratio to the bytes of the
matrix. ``kernel_seconds`` is what the same tiles took without a store, ``difference`` the greatest
between the two solutions' predictions at the training images.

A small matrix is built and solved first, so that imports and the programs of whole tiles are in the
baseline. The side of the tiles divides all sizes but the last one: its tiles at the edge are
smaller, and the programs that compile for them are in its seconds and its peak.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import jax
import numpy as np
import tyro
from measuring import SEED, environment, peak_live_bytes, report, timed

import kernas.kernels as kk
from kernas.kernels.gram.request import requested
from kernas.kernels.regression import Solution, centred_one_hot, conjugate_gradients, factorise

RESULT = Path(__file__).with_suffix(".json")

SIZES, QUICK_SIZES = (1000, 2000, 4000, 8000, 1050), (300,)
TILE_SIDE = 125
TILE_BYTES = 4 * 2**20
RIDGE, TOLERANCE = 1e-2, 1e-6

HIDDEN = [kk.Dense(W_std=2**0.5, b_std=0.1), kk.Relu()]
KERNEL = kk.NeuralKernel(kk.serial(*HIDDEN, *HIDDEN, kk.Dense()), tile_bytes=TILE_BYTES)


class Measured:
    """A call's seconds, its peak and its result, in turn."""

    def __init__(self, call: Any) -> None:
        self.result: Any = None
        self.seconds = 0.0

        def timing() -> None:
            self.seconds, self.result = timed(call)

        self.peak = peak_live_bytes(timing)

    def record(self, matrix_bytes: int) -> dict[str, Any]:
        """Seconds and memory."""
        of_matrix = None if self.peak is None else self.peak / matrix_bytes
        return {"seconds": self.seconds, "peak_bytes": self.peak, "of_matrix": of_matrix}


def kernel_alone(x: np.ndarray, store: Path) -> None:
    """Every tile of a store's matrix, computed and dropped."""
    request = requested(KERNEL, x, None, store, TILE_SIDE)
    for tile in kk.GramStore(store).grid():
        request.computed(tile)


def measure(x: np.ndarray, Y: np.ndarray, folder: Path) -> dict[str, Any]:
    """One size."""
    n, path = len(x), folder / str(len(x))
    matrix_bytes = 8 * n**2
    build = Measured(lambda: kk.compute_gram(KERNEL, x, store=path, tile_side=TILE_SIDE))
    store: kk.GramStore = build.result
    alone, _ = timed(lambda: kernel_alone(x, path))
    iterative = Measured(
        lambda: conjugate_gradients(store.gram("ntk"), Y, RIDGE, tolerance=TOLERANCE)
    )
    solution: Solution = iterative.result
    reading, whole = timed(lambda: store["ntk"])
    exact = Measured(lambda: factorise(whole, RIDGE).solve(Y))
    difference = np.max(np.abs(whole @ (solution.value - exact.result)))
    return {
        "n": n,
        "matrix_bytes": matrix_bytes,
        "store_bytes": sum(file.stat().st_size for file in path.rglob("*") if file.is_file()),
        "build": build.record(matrix_bytes) | {"kernel_seconds": alone},
        "conjugate_gradients": iterative.record(matrix_bytes)
        | {"steps": solution.steps, "rank": solution.rank, "residual": solution.residual},
        "read_whole_seconds": reading,
        "cholesky": exact.record(matrix_bytes),
        "difference": float(difference),
    }


def main(quick: bool = False) -> None:
    """Measure, print one JSON line, keep it.

    Args:
        quick: few images, to see it work; writes nothing.
    """
    sizes = QUICK_SIZES if quick else SIZES
    train, _ = kk.load("fashion_mnist", n_train=max(sizes), n_test=1, seed=SEED)
    x = train.x.reshape(len(train), -1)
    Y = centred_one_hot(train.y, train.n_classes)
    with tempfile.TemporaryDirectory() as path, jax.enable_x64(True):
        measure(x[: 2 * TILE_SIDE], Y[: 2 * TILE_SIDE], Path(path))  # compiles
        results = [measure(x[:n], Y[:n], Path(path)) for n in sizes]
    result = {
        "dataset": "fashion_mnist",
        "dtype": "float64",
        "tile_side": TILE_SIDE,
        "tile_bytes": TILE_BYTES,
        "ridge": RIDGE,
        "tolerance": TOLERANCE,
        "sizes": results,
    }
    result |= environment()
    report(result, None if quick else RESULT)


if __name__ == "__main__":
    tyro.cli(main)
