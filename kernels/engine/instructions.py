"""One compiled function per kind of instruction, shared by all programs.

Programs are interpreted: every instruction is a call of a function that XLA compiled once for its
layer, its pixels and its block of pairs. So a thousand candidates of one space share a few dozen
small compilations, and a layer's output is in memory before the next stencil reads it (fused into
one loop, XLA would recompute the nonlinearity for each of the stencil's taps).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from ..architecture.activations import Activation
from ..architecture.layers import AvgPool, GlobalAvgPool, WeightLayer
from ..covariance.activations import dual, stein_slopes
from ..covariance.images import image_moment
from ..covariance.normalization import center_moment, layer_scale, reference_mean
from ..covariance.pools import flatten_moment, pool_side
from ..covariance.sums import weighted_sum
from ..covariance.weights import weight_moment
from ..program.ops import (
    DualOp,
    FlattenOp,
    ImageOp,
    LayerNormOp,
    MomentOp,
    NormalizeOp,
    PoolOp,
    SteinOp,
    SumOp,
    WeightOp,
    ZeroOp,
)


class Moment(NamedTuple):
    """``K`` and ``Θ`` of a block of pairs; ``T`` is ``None`` where it is zero or not asked for."""

    K: Array
    T: Array | None

    def map(self, function: Callable[[Array], Array]) -> Moment:
        """The same function of both."""
        return Moment(function(self.K), None if self.T is None else function(self.T))


Record = Moment
"""Per image: arrays ``[h, w, n]`` (a mean over reference images has a ``T`` of its own)."""


@dataclass(frozen=True)
class Side:
    """The images on one side of a block, with their records by instruction.

    ``records`` may still be growing: while records are computed, a block reads those before it.
    """

    images: Array
    records: dict[int, Record]


@dataclass(frozen=True)
class Block:
    """The pairs of a block: all of left × right, or image ``i`` with image ``i`` (``paired``).

    Attributes:
        scales: ``1 / (v − m)`` by instruction.
        grand_means: covariance of the reference means with themselves, by instruction.
        tangent: whether ``Θ`` is wanted.
    """

    left: Side
    right: Side
    paired: bool
    scales: dict[int, Array]
    grand_means: dict[int, Record]
    tangent: bool


def execute(op: MomentOp, values: dict[int, Moment], block: Block) -> Moment:
    """Run one instruction on a block of pairs."""
    left, right = block.left.records, block.right.records
    match op:
        case ImageOp():
            K = _image(block.left.images, block.right.images, paired=block.paired, flat=op.flat)
            return Moment(K, None)
        case ZeroOp():
            pairs = (len(block.left.images),)
            pairs += () if block.paired else (len(block.right.images),)
            return Moment(jnp.zeros((*op.left, *op.right, *pairs), block.left.images.dtype), None)
        case WeightOp():
            return _weight(values[op.source], layer=op.layer, tangent=block.tangent)
        case DualOp():
            return _dual(
                values[op.source],
                left[op.left_variance].K,
                right[op.right_variance].K,
                activations=(op.left_activation, op.right_activation),
                paired=block.paired,
            )
        case SteinOp():
            variance = (left, right)[op.side][op.variance].K
            return _stein(
                values[op.source],
                variance,
                activation=op.activation,
                side=op.side,
                paired=block.paired,
            )
        case LayerNormOp():
            variance = (left, right)[op.side][op.variance].K
            return _layer_norm(
                values[op.source], variance, op.eps, side=op.side, paired=block.paired
            )
        case PoolOp():
            return _pool(values[op.source], layer=op.layer, side=op.side)
        case FlattenOp():
            return _flatten(values[op.source])
        case SumOp():
            times = tuple(t for _, t in op.terms)
            return _sum([values[value] for value in op.reads], times=times)
        case NormalizeOp():
            return _normalize(
                values[op.source],
                None if op.left_mean is None else left[op.left_mean],
                None if op.right_mean is None else right[op.right_mean],
                _grand_mean(op, block),
                None if op.left_scale is None else block.scales[op.left_scale],
                None if op.right_scale is None else block.scales[op.right_scale],
                paired=block.paired,
            )
    raise TypeError(f"no such instruction: {op}")


def _grand_mean(op: NormalizeOp, block: Block) -> Record | None:
    both = op.left_mean is not None and op.right_mean is not None
    return block.grand_means[op.right_mean] if both and op.right_mean is not None else None


def _beside(record: Array, side: int, paired: bool) -> Array:
    """A record ``[h, w, n]`` broadcast against a moment ``[h, w, h', w', *pairs]``."""
    if side == 0:
        record = record[:, :, None, None]
        return record if paired else record[..., None]
    record = record[None, None]
    return record if paired else record[..., None, :]


@partial(jax.jit, static_argnames=("paired", "flat"))
def _image(left: Array, right: Array, *, paired: bool, flat: bool) -> Array:
    if flat:
        left, right = (x.reshape(len(x), 1, 1, -1) for x in (left, right))
    return image_moment(left, right, paired=paired)


@partial(jax.jit, static_argnames=("layer", "tangent"))
def _weight(x: Moment, *, layer: WeightLayer, tangent: bool) -> Moment:
    K, T = weight_moment(layer, *x)
    return Moment(K, T if tangent else None)


@partial(jax.jit, static_argnames=("activations", "paired"))
def _dual(
    x: Moment, a: Array, b: Array, *, activations: tuple[Activation, Activation], paired: bool
) -> Moment:
    formula = dual(*activations)
    K, derivative = formula(x.K, _beside(a, 0, paired), _beside(b, 1, paired))
    return Moment(K, None if x.T is None else x.T * derivative)


@partial(jax.jit, static_argnames=("activation", "side", "paired"))
def _stein(
    x: Moment, variance: Array, *, activation: Activation, side: int, paired: bool
) -> Moment:
    slopes = [_beside(part, side, paired) for part in stein_slopes(activation, variance)]
    return Moment(x.K * slopes[0], None if x.T is None else x.T * slopes[1])


@partial(jax.jit, static_argnames=("side", "paired"))
def _layer_norm(x: Moment, variance: Array, eps: float, *, side: int, paired: bool) -> Moment:
    scale = _beside(layer_scale(variance, eps), side, paired)
    return x.map(lambda v: v * scale)


@partial(jax.jit, static_argnames=("layer", "side"))
def _pool(x: Moment, *, layer: AvgPool | GlobalAvgPool, side: int) -> Moment:
    return x.map(lambda v: pool_side(layer, v, side))


@jax.jit
def _flatten(x: Moment) -> Moment:
    return x.map(flatten_moment)


@partial(jax.jit, static_argnames=("times",))
def _sum(terms: list[Moment], *, times: tuple[float, ...]) -> Moment:
    K = weighted_sum([term.K for term in terms], times)
    tangents = [(x.T, t) for x, t in zip(terms, times, strict=True) if x.T is not None]
    return Moment(K, weighted_sum(*zip(*tangents, strict=True)) if tangents else None)


@partial(jax.jit, static_argnames=("paired",))
def _normalize(
    x: Moment,
    left_mean: Record | None,
    right_mean: Record | None,
    grand_mean: Record | None,
    left_scale: Array | None,
    right_scale: Array | None,
    *,
    paired: bool,
) -> Moment:
    factor = jnp.ones((), x.K.dtype)
    for scale in (left_scale, right_scale):
        if scale is not None:
            factor = factor * jnp.sqrt(scale)

    def project(part: Array | None, name: str) -> Array | None:
        if part is None:
            return None
        of = [None if m is None else getattr(m, name) for m in (left_mean, right_mean)]
        left = None if of[0] is None else _beside(of[0], 0, paired)
        right = None if of[1] is None else _beside(of[1], 1, paired)
        grand = None if grand_mean is None else getattr(grand_mean, name)
        return factor * center_moment(part, left, right, grand)

    K = project(x.K, "K")
    assert K is not None
    return Moment(K, project(x.T, "T"))


@jax.jit
def pixel_variances(x: Moment) -> Record:
    """``K(x, x)[p, p]`` of a paired block, ``[h, w, n]``."""
    return Record(jnp.einsum("hwhwn->hwn", x.K), None)


@jax.jit
def reference_means(x: Moment) -> Record:
    """Mean over reference images, left, and their pixels: ``[h', w', n]``."""
    return x.map(reference_mean)


@jax.jit
def grand_mean(x: Record) -> Record:
    """Mean of a record over images and pixels, a scalar for ``K`` and for ``Θ``."""
    return x.map(jnp.mean)
