"""Small helpers of the makers of damaged files."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import numpy as np

from .mutations import mutate_bytes

T = TypeVar("T")


def pick(rng: np.random.Generator, choices: Sequence[T]) -> T:
    """One of several things, as they are and not as NumPy would convert them."""
    return choices[int(rng.integers(len(choices)))]


def perhaps_damaged(rng: np.random.Generator, content: bytes, share: float = 0.4) -> bytes:
    """The bytes, damaged without knowledge of their form in a share of the cases."""
    return mutate_bytes(rng, content) if rng.random() < share else content
