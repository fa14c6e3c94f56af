"""A moment as one array: ``K``, or ``K + iΘ``.

Both kernels of a pair travel as the real and the imaginary part of complex numbers. Linear
instructions then act on both at once, and XLA, whose loops have one result, computes both in one
loop instead of finding the nonlinearity's angle once for each.
"""

from __future__ import annotations

import jax.numpy as jnp
from jax import Array, lax
from jaxtyping import Float, Inexact

Moment = Inexact[Array, "*shape"]
"""``K``, or ``K + iΘ``, of one shape in all of a signature."""

Part = Float[Array, "*shape"]
"""``K`` or ``Θ``."""

Numbers = Float[Array, "..."]
"""Real numbers that are broadcast against a moment."""

Moments = Inexact[Array, "..."]
"""Moments that are broadcast against each other, or are moved along an axis."""


def covariance(moment: Moment) -> Part:
    """``K``."""
    return lax.real(moment) if jnp.iscomplexobj(moment) else moment


def tangent(moment: Moment) -> Part | None:
    """``Θ``; ``None`` where it is zero, or not asked for."""
    return lax.imag(moment) if jnp.iscomplexobj(moment) else None


def moment(K: Part, T: Part | None) -> Moment:
    """The moment of two kernels."""
    return K if T is None else lax.complex(K, T)
