"""A moment as one array: ``K``, or ``K + iΘ``.

Both kernels of a pair travel as the real and the imaginary part of complex numbers. Linear
instructions then act on both at once, and XLA, whose loops have one result, computes both in one
loop instead of finding the nonlinearity's angle once for each.
"""

from __future__ import annotations

import jax.numpy as jnp
from jax import Array, lax


def covariance(moment: Array) -> Array:
    """``K``."""
    return lax.real(moment) if jnp.iscomplexobj(moment) else moment


def tangent(moment: Array) -> Array | None:
    """``Θ``; ``None`` where it is zero, or not asked for."""
    return lax.imag(moment) if jnp.iscomplexobj(moment) else None


def moment(K: Array, T: Array | None) -> Array:
    """The moment of two kernels."""
    return K if T is None else lax.complex(K, T)
