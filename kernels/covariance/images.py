"""The first moment: products of the images themselves."""

from __future__ import annotations

import jax.numpy as jnp
from jax import Array, lax

UNROLLED_CHANNELS = 16
"""Up to so many channels the sum is written out, so that equal pixels give equal numbers."""


def image_moment(left: Array, right: Array, *, paired: bool) -> Array:
    """``K[p, q] = x[p] · x'[q] / C``.

    Args:
        left: images ``[n, h, w, channels]``.
        right: images ``[n', h', w', channels]``.
        paired: image ``i`` only with image ``i`` (then ``n = n'``), instead of all with all.

    Returns:
        ``[h, w, h', w', n, n']``, or ``[h, w, h', w', n]`` if paired.
    """
    channels = left.shape[-1]
    x = jnp.transpose(left, (3, 1, 2, 0))[:, :, :, None, None, :]
    y = jnp.transpose(right, (3, 1, 2, 0))[:, None, None, :, :, :]
    if not paired:
        x, y = x[..., :, None], y[..., None, :]
    if channels <= UNROLLED_CHANNELS:
        return sum((x[c] * y[c] for c in range(1, channels)), x[0] * y[0]) / channels
    if paired:
        return jnp.sum(x * y, axis=0) / channels
    product = lax.dot_general(
        left, right, (((3,), (3,)), ((), ())), precision=lax.Precision.HIGHEST
    )
    return jnp.transpose(product, (1, 2, 4, 5, 0, 3)) / channels
