"""Which images a step of training sees, and how they are changed: drawn on the host, by seed.

What a step draws depends on its seed and its number only, so that an interrupted training goes on
as if it had not been.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax

ORDERS = 64
"""Epochs of seeds whose draws are kept."""


class Batches(NamedTuple):
    """The draws of some steps, arrays ``(steps, seeds, batch, …)``.

    Attributes:
        images: places of the images in the data set.
        shifts: rows and columns by which they are cropped, ``0 … 2 · margin``.
        flips: whether they are mirrored.
    """

    images: Any
    shifts: Any
    flips: Any


def margin(side: int) -> int:
    """Pixels of padding around an image for its random crops: 4 at 32."""
    return max(1, side // 8)


@lru_cache(maxsize=ORDERS)
def _epoch(seed: int, epoch: int, images: int, size: int, margins: tuple[int, ...]) -> Batches:
    """All batches of one epoch of one seed, ``(steps, batch, …)``."""
    rng = np.random.default_rng([seed, 1, epoch])
    steps = images // size
    order = rng.permutation(images)[: steps * size].astype(np.int32).reshape(steps, size)
    high = [2 * edge + 1 for edge in margins]
    shifts = rng.integers(0, high, (steps, size, len(high)), np.int32)
    return Batches(order, shifts, rng.random((steps, size)) < 0.5)


def batches(
    first: int, count: int, seeds: Sequence[int], images: int, size: int, shape: Sequence[int]
) -> Batches:
    """The draws of ``count`` steps from step ``first`` on.

    Args:
        first: from 0.
        count: how many.
        seeds: of each training.
        images: in the data set.
        size: images of a batch.
        shape: of an image, of a signal or of a table's row; only images are cropped.
    """
    margins = tuple(map(margin, shape[:2])) if len(shape) == 3 else (0, 0)
    each = images // size

    def drawn(step: int, seed: int) -> list[np.ndarray]:
        epoch, place = divmod(step, each)
        return [part[place] for part in _epoch(seed, epoch, images, size, margins)]

    steps = [[drawn(step, seed) for seed in seeds] for step in range(first, first + count)]
    return Batches(*(np.array([[d[part] for d in s] for s in steps]) for part in range(3)))


def augmented(images: Array, shifts: Array, flips: Array) -> Array:
    """Images cropped out of themselves with zeros around, some mirrored left to right.

    Args:
        images: ``(n, height, width, channels)``.
        shifts: ``(n, 2)``; ``margin(side)`` leaves an image where it is.
        flips: ``(n,)``.
    """
    shape = images.shape[1:]
    edges = [(margin(side), margin(side)) for side in shape[:2]]
    padded = jnp.pad(images, ((0, 0), *edges, (0, 0)))

    def cropped(image: Array, shift: Array) -> Array:
        return lax.dynamic_slice(image, (shift[0], shift[1], 0), shape)

    crops = jax.vmap(cropped)(padded, shifts)
    return jnp.where(flips[:, None, None, None], crops[:, :, ::-1], crops)
