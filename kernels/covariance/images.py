"""The first moment: products of the images themselves."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce

import jax.numpy as jnp
from jax import Array, lax

UNROLLED_CHANNELS = 16
"""Up to so many channels the sum is written out, so that equal pixels give equal numbers."""


def channels_of(images: Array) -> Sequence[Array] | Array:
    """Few channels one by one, many as they are: ``[channels, h, w, *pairs]``."""
    return list(images) if len(images) <= UNROLLED_CHANNELS else images


def image_moment(left: Sequence[Array] | Array, right: Sequence[Array] | Array) -> Array:
    """``K[p, q] = x[p] · x'[q] / C``, the channels of both broadcast against each other."""
    channels = len(left)
    if isinstance(left, Sequence):
        products = [x * y for x, y in zip(left, right, strict=True)]
        return reduce(jnp.add, products) * (1 / channels)
    first = left[0] * right[0]
    total = lax.fori_loop(1, channels, lambda c, total: total + left[c] * right[c], first)
    return total / channels


def vector_moment(left: Array, right: Array) -> Array:
    """``K = x · x' / C`` of all pairs of vectors: ``[n, C]`` and ``[n', C]`` to ``[n, n']``."""
    product = lax.dot_general(
        left, right, (((1,), (1,)), ((), ())), precision=lax.Precision.HIGHEST
    )
    return product / left.shape[-1]
