"""Normalisation over a batch by the statistics of reference images, and over channels.

The wide limit of batch normalisation: with ``ā`` the mean of a channel over reference images and
pixels, ``v`` its mean second moment and ``m`` that of ``ā``, the layer computes
``(a − ā) / sqrt(v − m)`` (centred) or ``a / sqrt(v)``. Layer normalisation divides by
``sqrt(K(x, x) + eps)``. Given these numbers both are linear, so they act on each side of a moment
by itself.
"""

from __future__ import annotations

import jax.numpy as jnp
from jax import Array
from jaxtyping import Float

from .moments import Moments


def inverse_variance(
    second_moment: Float[Array, "*channels"], squared_mean: Float[Array, "*channels"]
) -> Float[Array, "*channels"]:
    """``1 / (v − m)``, and 0 where the channel does not vary beyond rounding.

    NaN where ``v`` overflowed, so that it is seen in what is normalised.
    """
    variance = second_moment - squared_mean
    threshold = 64 * jnp.finfo(second_moment.dtype).eps * second_moment
    varies = variance > threshold
    otherwise = jnp.where(jnp.isfinite(second_moment), 0, jnp.nan)
    return jnp.where(varies, 1 / jnp.where(varies, variance, 1), otherwise)


def center_moment(
    x: Moments,
    left_mean: Moments | None,
    right_mean: Moments | None,
    grand_mean: Moments | None,
) -> Moments:
    """``x[p, q] − u'[q] − u[p] + m``: subtract the reference mean on either side, or on both.

    Args:
        x: a moment.
        left_mean: covariance of the left pixel with the right side's mean, to be subtracted where
            the *right* side is centred; broadcast against ``x``.
        right_mean: covariance of the right pixel with the left side's mean, subtracted where the
            *left* side is centred; broadcast against ``x``.
        grand_mean: covariance of the two means, added back where both sides are centred.
    """
    if left_mean is not None:
        x = x - left_mean
    if right_mean is not None:
        x = x - right_mean
    return x if grand_mean is None else x + grand_mean


def layer_scale(variance: Float[Array, "*pixels"], eps: float) -> Float[Array, "*pixels"]:
    """``1 / sqrt(v + eps)``, by which layer normalisation multiplies its side.

    ``K[p, q] ← K[p, q] / sqrt((v[p] + eps)(v'[q] + eps))`` with ``v[p] = K(x, x)[p, p]``, or its
    mean over pixels, and the mean over the channels of all parts of a concatenation. The mean over
    channels and the derivative of the variance both vanish with the width, so ``Θ`` is scaled
    alike (Ba et al. 2016, section 3).

    Args:
        variance: ``[h, w, n]``, or ``[1, 1, n]`` over all pixels.
        eps: added to it.
    """
    return 1 / jnp.sqrt(variance + jnp.asarray(eps, variance.dtype))
