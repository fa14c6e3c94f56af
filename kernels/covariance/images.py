"""The first moment: products of the images themselves."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array, lax
from jaxtyping import Float

from .activations.correlation import tied
from .moments import Numbers

HIGHEST = lax.Precision.HIGHEST

Channels = Sequence[Numbers] | Numbers
"""Of images, each by itself or along the first axis."""

UNROLLED_CHANNELS = 16
"""Up to so many channels their sum is written out, in the loop of what reads it."""

SUMMED_CHANNELS = 64
"""Of more, so many are summed at a time: thousands one after the other lose a digit of float32."""

ROUNDING = 4
"""Products of equal pixels are within so many ``ε √C`` of their size, however they are summed."""


def channels_of(images: Float[Array, "channels h w *images"]) -> Channels:
    """Few channels one by one, many as they are: ``[channels, h, w, *pairs]``."""
    return list(images) if len(images) <= UNROLLED_CHANNELS else images


def image_moment(left: Channels, right: Channels) -> Numbers:
    """``K[p, q] = x[p] · x'[q] / C``, the channels of both broadcast against each other.

    Equal pixels give equal numbers wherever they stand.
    """
    if isinstance(left, Array) and isinstance(right, Array):
        return _summed_products(left, right) / len(left)
    products = [x * y for x, y in zip(left, right, strict=True)]
    return reduce(jnp.add, products) * (1 / len(left))


@jax.custom_jvp
def _summed_products(left: Array, right: Array) -> Array:
    """The sum over channels, of some at a time."""
    channels = len(left)

    def part(number: Array | int) -> Array:
        start = number * SUMMED_CHANNELS
        stop = jnp.minimum(start + SUMMED_CHANNELS, channels)
        first = left[start] * right[start]
        return lax.fori_loop(start + 1, stop, lambda c, total: total + left[c] * right[c], first)

    parts = -(-channels // SUMMED_CHANNELS)
    return lax.fori_loop(1, parts, lambda number, total: total + part(number), part(0))


@_summed_products.defjvp
def _summed_derivative(primals: Any, tangents: Any) -> Any:
    """A sum that can be turned around, which a loop of a length that varies cannot."""
    (left, right), (of_left, of_right) = primals, tangents
    return _summed_products(left, right), jnp.sum(of_left * right + left * of_right, axis=0)


def pixel_variances(images: Float[Array, "channels h w n"]) -> Float[Array, "h w n"]:
    """``K(x, x)[p, p]`` of images ``[channels, h, w, n]``: ``[h, w, n]``."""
    channels = channels_of(images)
    return image_moment(channels, channels)


def product_moment(
    left: Float[Array, "n h w C"],
    right: Float[Array, "m h_right w_right C"],
    variances: tuple[
        Float[Array, "h w n"] | None,
        Float[Array, "h_right w_right m"] | None,
    ],
    *,
    paired: bool,
) -> Float[Array, "n h w ... h_right w_right"]:
    """``K[p, q] = x[p] · x'[q] / C`` of all pairs of pixels, one matrix product.

    A matrix product sums in an order of its own, which depends on where a pixel stands. So what it
    gives for equal pixels, whose correlation must be 1, is replaced by their variance: pixels are
    taken for equal if their variances are, and their product is the variance up to rounding.

    Args:
        left: images ``[n, h, w, C]``.
        right: images ``[n', h', w', C]``.
        variances: of their pixels (:func:`pixel_variances`), ``[h, w, n]`` and ``[h', w', n']``;
            ``None`` where no nonlinearity reads the moment, and ``ρ`` need not be exact.
        paired: image ``i`` with image ``i``, instead of all of left with all of right.

    Returns:
        ``[n, h, w, n', h', w']``; if paired ``[n, h, w, h', w']``.
    """
    channels = left.shape[-1]
    batch = ((0,), (0,)) if paired else ((), ())
    K = lax.dot_general(left, right, (((3,), (3,)), batch), precision=HIGHEST) / channels
    own, other = variances
    if own is None or other is None:
        return K
    own, other = jnp.moveaxis(own, -1, 0), jnp.moveaxis(other, -1, 0)
    own = own.reshape(*own.shape, *[1] * (K.ndim - own.ndim))
    other = other[:, None, None] if paired else other
    rounding = ROUNDING * channels**0.5 * float(jnp.finfo(K.dtype).eps)
    equal = (own == other) & (jnp.abs(K - own) <= rounding * own)
    return tied(jnp.where(equal, own, K), K)


def vector_moment(left: Float[Array, "n C"], right: Float[Array, "m C"]) -> Float[Array, "n m"]:
    """``K = x · x' / C`` of all pairs of vectors: ``[n, C]`` and ``[n', C]`` to ``[n, n']``."""
    product = lax.dot_general(left, right, (((1,), (1,)), ((), ())), precision=HIGHEST)
    return product / left.shape[-1]
