"""What is computed once per image: variances, and covariances with the reference images' means.

Both phases walk the program once, instruction by instruction, on up to two blocks of pairs: every
image with itself (its variances), and, if a centred ``Normalize`` needs it, every reference image
with every image (its covariance with the channels' means). They interleave, since the variances of
a layer need the means of the layer before.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import jax.numpy as jnp
import numpy as np
from jax import Array

from kernas.errors import ConfigurationError

from ..covariance.activations import check_accuracy, has_closed_form
from ..covariance.normalization import inverse_variance
from ..program.ops import DualOp, MeanOp, MomentOp, Program, ScaleOp, VarianceOp
from .blocks import blocks
from .instructions import (
    Block,
    Moment,
    Record,
    Side,
    execute,
    grand_mean,
    pixel_variances,
    reference_means,
)

DEFAULT_BIND_BYTES = 4 * 2**30
"""Default bound on the bytes of the block in which the reference images meet each other."""


@dataclass(frozen=True)
class Images:
    """Images with what a tile needs of each: records, and the kernel with itself.

    Attributes:
        pixels: ``[n, h, w, channels]``.
        records: per image, by instruction.
        self_moment: ``K(x, x)`` and ``Θ(x, x)``, ``[n]``.
    """

    pixels: Array
    records: dict[int, Record]
    self_moment: Moment

    def __len__(self) -> int:
        return len(self.pixels)

    def take(self, indices: np.ndarray) -> Side:
        """Some of the images, as one side of a block."""
        chosen = jnp.asarray(indices)
        records = {i: record.map(lambda r: r[..., chosen]) for i, record in self.records.items()}
        return Side(self.pixels[chosen], records)


@dataclass(frozen=True)
class Statistics:
    """What ``Normalize`` needs of the reference images: the state of a bound kernel.

    Attributes:
        reference: the reference images with their records.
        scales: ``1 / (v − m)`` of each normalised node.
        grand_means: covariance of the reference means with themselves, ``K`` and ``Θ``.
        tangent: whether the tangent kernel's means were recorded too.
    """

    reference: Images
    scales: dict[int, Array]
    grand_means: dict[int, Record]
    tangent: bool


def pair_bytes(program: Program, *, records: bool, tangent: bool) -> int:
    """Most bytes of moments alive at once for one pair, by walking the program."""
    item = jnp.dtype(jnp.result_type(float)).itemsize * (2 if tangent else 1)
    alive: dict[int, int] = {}
    most = 0
    for index, last_reads in program.schedule(records=records):
        op = program.ops[index]
        if isinstance(op, MomentOp):
            alive[index] = item * math.prod(op.left) * math.prod(op.right)
        most = max(most, sum(alive.values()))
        for value in last_reads:
            del alive[value]
    return most


def as_pixels(x: np.ndarray) -> Array:
    """Images or vectors as ``[n, h, w, channels]`` in the precision that JAX computes in."""
    pixels = jnp.asarray(x, jnp.result_type(float))
    return pixels[:, None, None, :] if pixels.ndim == 2 else pixels


def bind(program: Program, reference: np.ndarray, *, max_bytes: int, tangent: bool) -> Statistics:
    """Record the statistics of the reference images, all of their pairs in one block.

    Raises:
        ConfigurationError: the block does not fit into ``max_bytes``.
        ArchitectureError: a nonlinearity's series is not exact enough at these variances.
    """
    per_pair = pair_bytes(program, records=True, tangent=tangent)
    images = len(reference)
    pairs = images**2 if program.meets_reference else images
    if pairs * per_pair > max_bytes:
        fitting = max_bytes // per_pair
        fitting = math.isqrt(fitting) if program.meets_reference else fitting
        raise ConfigurationError(
            f"n_reference={images} images of {program.image_shape} need {pairs * per_pair} bytes "
            f"to be met with each other, the bound is bind_bytes={max_bytes}; bind with "
            f"n_reference={fitting} or fewer, smaller images, or a larger bind_bytes"
        )
    pixels = as_pixels(reference)
    records: dict[int, Record] = {}
    scales: dict[int, Array] = {}
    grand_means: dict[int, Record] = {}
    side = Side(pixels, records)
    alone = Block(side, side, True, scales, grand_means, tangent)
    met = Block(side, side, False, scales, grand_means, tangent)
    self_moment = _walk(program, alone, met if program.meets_reference else None, binding=True)
    _check_series(program, records)
    return Statistics(Images(pixels, records, self_moment), scales, grand_means, tangent)


def prepare(
    program: Program,
    x: np.ndarray,
    statistics: Statistics | None,
    *,
    chunk: int,
    tangent: bool,
) -> Images:
    """Compute the records of images, ``chunk`` at a time; the last chunk is filled up.

    Args:
        program: the lowered network.
        x: images ``(n, h, w, channels)`` or vectors ``(n, features)``.
        statistics: of the bound kernel, ``None`` if the program needs none.
        chunk: images at a time.
        tangent: whether the tangent kernel is wanted.

    Raises:
        ArchitectureError: a nonlinearity's series is not exact enough at these variances.
    """
    pixels = as_pixels(x)
    parts: list[tuple[dict[int, Record], Moment]] = []
    scales = {} if statistics is None else statistics.scales
    grand_means = {} if statistics is None else statistics.grand_means
    for block in blocks(len(pixels), chunk):
        records: dict[int, Record] = {}
        side = Side(pixels[block.filled], records)
        met = None
        if statistics is not None and program.meets_reference:
            reference = Side(statistics.reference.pixels, statistics.reference.records)
            met = Block(reference, side, False, scales, grand_means, tangent)
        alone = Block(side, side, True, scales, grand_means, tangent)
        parts.append((records, _walk(program, alone, met, binding=False)))
    records = {i: _join([part[0][i] for part in parts], len(pixels)) for i in parts[0][0]}
    _check_series(program, records)
    return Images(pixels, records, _join([part[1] for part in parts], len(pixels)))


def _check_series(program: Program, records: dict[int, Record]) -> None:
    """Refuse nonlinearities whose series does not converge at the images' variances."""
    for op in program.ops:
        if not isinstance(op, DualOp) or has_closed_form(op.left_activation, op.right_activation):
            continue
        largest = max(float(jnp.max(records[value].K)) for value in op.records)
        check_accuracy(op.left_activation, op.right_activation, largest)


def _join(chunks: Sequence[Moment], length: int) -> Moment:
    K = jnp.concatenate([chunk.K for chunk in chunks], axis=-1)[..., :length]
    tangents = [chunk.T for chunk in chunks if chunk.T is not None]
    return Moment(K, jnp.concatenate(tangents, axis=-1)[..., :length] if tangents else None)


def _walk(program: Program, alone: Block, met: Block | None, *, binding: bool) -> Moment:
    """Fill in the records of ``alone``'s images; return their kernel with themselves.

    Args:
        alone: every image with itself.
        met: every reference image, left, with every image; ``None`` if no mean needs it.
        binding: the images are the reference images, whose statistics are recorded as well.
    """
    records = alone.left.records
    own: dict[int, Moment] = {}
    shared: dict[int, Moment] = {}
    output: Moment | None = None
    for index, last_reads in program.schedule(records=True):
        op = program.ops[index]
        match op:
            case VarianceOp():
                records[index] = pixel_variances(own[op.source])
            case MeanOp():
                records[index] = reference_means(shared[op.source])
                if binding:
                    alone.grand_means[index] = grand_mean(records[index])
            case ScaleOp():
                if binding:
                    second = jnp.mean(pixel_variances(own[op.source]).K)
                    mean = jnp.zeros_like(second)
                    if op.mean is not None:
                        mean = alone.grand_means[op.mean].K
                    alone.scales[index] = inverse_variance(second, mean)
            case MomentOp():
                own[index] = execute(op, own, alone)
                if met is not None:
                    shared[index] = execute(op, shared, met)
        if index == program.output:
            output = own[index]
        for value in last_reads:
            own.pop(value)
            shared.pop(value, None)
    if output is None:  # the network is zero everywhere
        return Moment(jnp.zeros(len(alone.left.images), alone.left.images.dtype), None)
    return output.map(lambda part: part[0, 0, 0, 0])
