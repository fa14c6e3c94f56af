"""The moment of images of many channels: one matrix product for a block, laid out in planes."""

from __future__ import annotations

from functools import partial

import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from ..covariance.images import pixel_variances, product_moment
from ..program.axes import OUTSIDE, Axis
from ..program.planning import AxisPair
from .planes import COMPILER_OPTIONS
from .programs import compiled


@partial(compiled, static_argnames=("axes", "paired"), compiler_options=COMPILER_OPTIONS)
def run_products(
    axes: AxisPair,
    left: Array,
    right: Array,
    variances: tuple[Array | None, Array | None],
    *,
    paired: bool,
) -> Array:
    """The products of the images of a block at the pairs of pixels of a moment.

    Args:
        axes: the pairs of the moment.
        left: images ``[n, h, w, channels]``.
        right: likewise.
        variances: of the pixels of both, ``[h, w, n]``, ``None`` where no nonlinearity reads the
            moment; those of images with themselves are made here.
        paired: image ``i`` with image ``i``, instead of all of left with all of right.

    Returns:
        ``[rows, columns, *pairs]``, zero at pairs that are outside.
    """
    if paired:
        own = pixel_variances(jnp.moveaxis(left, (3, 0), (0, 3)))
        variances = own, own
    K = product_moment(left, right, variances, paired=paired)
    (rows, rows2, in_rows), (columns, columns2, in_columns) = map(_pixels, axes)
    p = rows[:, None] * axes[1].left + columns
    q = rows2[:, None] * axes[1].right + columns2
    inside = in_rows[:, None, None, None] & in_columns[:, None, None]
    sizes = axes[0].left * axes[1].left, axes[0].right * axes[1].right
    if paired:
        x = K.reshape(len(K), *sizes).at[:, p, q].get(mode="promise_in_bounds")
        x = jnp.moveaxis(x, 0, -1)[..., None, :]
    else:
        x = K.reshape(len(left), sizes[0], len(right), sizes[1])
        x = x.at[:, p, :, q].get(mode="promise_in_bounds")
    return jnp.where(inside, x, 0)


def _pixels(axis: Axis) -> tuple[Array, Array, Array]:
    """Along an axis the left and the right pixel of each pair, and whether it is inside."""
    p = np.tile(np.arange(axis.left), len(axis.slots))
    q = axis.partners.ravel()
    # The barrier keeps XLA from making constants of all pairs while it compiles.
    return lax.optimization_barrier(tuple(map(jnp.asarray, (p, np.maximum(q, 0), q != OUTSIDE))))
