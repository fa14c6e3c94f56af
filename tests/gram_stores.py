"""What the tests of Gram stores in shards and in object stores share."""

from pathlib import Path

import numpy as np

import kernas.kernels as kk

NETWORK = kk.serial(kk.Dense(W_std=1.5, b_std=0.1), kk.Relu(), kk.Dense())
SIDE = 6


def images(n: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(n, 5))


def contents(path: Path) -> dict[str, bytes]:
    """All files but those of locks."""
    return {
        file.relative_to(path).as_posix(): file.read_bytes()
        for file in path.rglob("*")
        if file.is_file() and "locks" not in file.parts
    }
