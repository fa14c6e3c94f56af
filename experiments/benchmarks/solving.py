"""Conjugate gradients over a store: this process, two, and workers of Ray; time by phase, memory.

The NTK of a fully-connected network (two hidden layers of ReLU) on Fashion-MNIST in float32, in a
store of tiles. Of each executor: the steps and the residual, seconds of the parts (the diagonal and
the columns of the preconditioner, which the driver reads; the products, which the workers compute),
and the most memory of its own that the driver holds beyond what it held once a small matrix was
solved, over the bytes of the whole matrix; apart from it the pages of Ray's object store that it
has touched, which all processes of a node share. Seconds are of one solution each, in a session
that solved a small matrix before; the store is read from the disk's cache. On Linux.

    python experiments/benchmarks/solving.py            # some 15 minutes on 2 idle cores
    python experiments/benchmarks/solving.py --quick    # 300 images; writes nothing

Needs Fashion-MNIST in the folder ``KERNAS_DATA``, and ``kernas[ray]``.
"""

from __future__ import annotations

import ctypes
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import tyro
from measuring import SEED, environment, record_of, report, timed

import kernas.kernels as kk
import kernas.search as ks
from kernas.kernels.regression import Gram, Solution, centred_one_hot, conjugate_gradients

SIZES, QUICK_SIZES = (8_000, 20_000), (300,)
TILE_SIDE = 250
RIDGE, TOLERANCE, RANK = 1e-2, 1e-6, 100

HIDDEN = [kk.Dense(W_std=2**0.5, b_std=0.1), kk.Relu()]
KERNEL = kk.NeuralKernel(kk.serial(*HIDDEN, *HIDDEN, kk.Dense()), get="ntk")

HELD = {"own": "RssAnon", "shared": "RssShmem"}

EXECUTORS: dict[str, Callable[[], ks.Executor]] = {
    "alone": ks.Local,
    "processes": lambda: ks.Processes(2),
    "ray": ks.RayExecutor,
}


@dataclass
class Timed:
    """A matrix in parts that says where the time goes.

    Attributes:
        gram: the matrix.
        seconds: by phase.
    """

    gram: Gram
    seconds: dict[str, float] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.gram)

    def times(self, V: np.ndarray) -> np.ndarray:
        """``K V``; the first one apart, with which workers begin."""
        return self._timed("products" if "first_product" in self.seconds else "first_product",
                           lambda: self.gram.times(V))  # fmt: skip

    def diagonal(self) -> np.ndarray:
        """``K(x, x)``."""
        return self._timed("diagonal", self.gram.diagonal)

    def column(self, index: int) -> np.ndarray:
        """One column."""
        return self._timed("columns", lambda: self.gram.column(index))

    def session(self) -> AbstractContextManager[object]:
        """That of the matrix."""
        return self.gram.session()

    def _timed(self, phase: str, call: Callable[[], np.ndarray]) -> np.ndarray:
        start = time.perf_counter()
        result = call()
        self.seconds[phase] = self.seconds.get(phase, 0.0) + time.perf_counter() - start
        return result


class Watched:
    """The most that this process holds while something runs, beyond what it held before: memory of
    its own, and pages that it shares with others, as those of Ray's object store. Linux says."""

    def __enter__(self) -> Watched:
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
        if trim is not None:  # what earlier solutions left free is not held
            trim(0)
        self._before = self._most = _held()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._ended.wait(0.01):
            self._most = {name: max(held, self._most[name]) for name, held in _held().items()}

    def of_matrix(self, matrix_bytes: int) -> dict[str, Any]:
        """Bytes, and their ratio to those of the matrix."""
        found = {name: most - self._before[name] for name, most in self._most.items()}
        ratios = {f"{name}_of_matrix": round(of / matrix_bytes, 4) for name, of in found.items()}
        return {f"{name}_bytes": of for name, of in found.items()} | ratios


def _held() -> dict[str, int]:
    lines = Path("/proc/self/status").read_text().splitlines()
    sizes = {line.split(":")[0]: line.split()[1] for line in lines if line.startswith("Rss")}
    return {name: 1024 * int(sizes[key]) for name, key in HELD.items()}


def solved(
    store: kk.GramStore, small: kk.GramStore, Y: np.ndarray, executor: ks.Executor
) -> dict[str, Any]:
    """One solution, and what it took; a small one before it has made connections and buffers."""
    parts = Timed(store.gram("ntk", executor=executor))
    with executor.session():
        few = Y[: small.shape[0]]
        conjugate_gradients(small.gram("ntk", executor=executor), few, RIDGE, rank=RANK)
        with Watched() as watched:
            seconds, solution = timed(
                lambda: conjugate_gradients(parts, Y, RIDGE, tolerance=TOLERANCE, rank=RANK)
            )
    assert isinstance(solution, Solution)
    phases = {name: round(value, 3) for name, value in parts.seconds.items()}
    return {
        "steps": solution.steps,
        "residual": solution.residual,
        "seconds": round(seconds, 3),
        "phases": phases | {"rest": round(seconds - sum(phases.values()), 3)},
        **watched.of_matrix(store.dtype.itemsize * len(Y) ** 2),
        "norm": float(np.linalg.norm(solution.value)),
    }


def measured(x: np.ndarray, Y: np.ndarray, small: kk.GramStore, folder: Path) -> dict[str, Any]:
    """One size, with every executor."""
    fill, store = timed(
        lambda: kk.compute_gram(
            KERNEL, x, store=folder / str(len(x)), tile_side=TILE_SIDE, progress=True
        )
    )
    for _ in store.tiles("ntk"):
        pass  # they are in the disk's cache from here on, for everybody
    return {
        "n": len(x),
        "fill_seconds": round(fill, 2),
        "store_bytes": sum(file.stat().st_size for file in store.path.rglob("*") if file.is_file()),
        **{name: solved(store, small, Y, of()) for name, of in EXECUTORS.items()},
    }


def main(quick: bool = False) -> None:
    """Measure, print one JSON line and write it beside this script.

    Args:
        quick: few images, to see it work; writes nothing.
    """
    sizes = QUICK_SIZES if quick else SIZES
    train, _ = kk.load("fashion_mnist", n_train=max(sizes), n_test=1, seed=SEED)
    x = train.x.reshape(len(train), -1)
    Y = centred_one_hot(train.y, train.n_classes)
    with tempfile.TemporaryDirectory() as path:
        few = x[: 2 * TILE_SIDE]
        small = kk.compute_gram(KERNEL, few, store=Path(path) / "few", tile_side=TILE_SIDE)
        results = [measured(x[:n], Y[:n], small, Path(path)) for n in sizes]
    record = {
        "dataset": "fashion_mnist",
        "tile_side": TILE_SIDE,
        "ridge": RIDGE,
        "tolerance": TOLERANCE,
        "rank": RANK,
        "sizes": results,
        **environment(),
    }
    report(record, None if quick else record_of(__file__))


if __name__ == "__main__":
    tyro.cli(main)
