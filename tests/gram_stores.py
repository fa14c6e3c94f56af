"""What the tests of Gram stores share, in folders, in shards and in objects."""

from pathlib import Path

import numpy as np
import pytest

import kernas.kernels as kk
from kernas.kernels.gram.request import GramRequest

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


def recorded(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    """The places of the tiles that are computed from now on, in order."""
    places: list[tuple[int, int]] = []
    original = GramRequest.computed

    def computed(request, tile):
        places.append((tile.row, tile.column))
        return original(request, tile)

    monkeypatch.setattr(GramRequest, "computed", computed)
    return places
