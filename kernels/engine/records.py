"""What is computed once per image: variances, and covariances with the reference images' means.

Both phases run up to two plans side by side: of every image with itself, which has its variances at
displacement 0, and, if a centred ``Normalize`` needs it, of every reference image with every image,
for its covariance with the channels' means. They interleave, since the variances of a layer need
the means of the layer before.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jax import Array

from kernas.errors import ConfigurationError

from ..covariance.activations import check_accuracy, has_closed_form
from ..covariance.moments import covariance
from ..covariance.normalization import inverse_variance
from ..program.ops import DualOp, ImageOp, MeanOp, Program, ScaleOp, VarianceOp
from ..program.planning import (
    LocalStep,
    RecordStep,
    Step,
    has_many_channels,
    plan_means,
    plan_variances,
)
from .blocks import blocks
from .memory import pair_bytes, recorded_image_bytes, recorded_series_bytes
from .planes import Constants, Side
from .programs import compiled, make_room
from .steps import Block, run_step

DEFAULT_BIND_BYTES = 4 * 2**30
"""Default bound on the bytes of the block in which the reference images meet each other."""


@dataclass(frozen=True)
class Met:
    """Kernels that came out while records were made, real or ``K + iΘ``.

    Attributes:
        alone: of each image with itself, ``[n]``.
        reference: of each reference image with each image, ``[r, n]``; ``[0, n]`` where the
            records need none.
    """

    alone: np.ndarray
    reference: np.ndarray


@dataclass(frozen=True)
class Images:
    """Images with what a tile needs of each: its records.

    Attributes:
        pixels: ``[n, h, w, channels]``.
        records: per image, by instruction.
        met: kernels of these images that are known already, if any.
    """

    pixels: Array | np.ndarray
    records: Mapping[int, Array | np.ndarray]
    met: Met | None = None

    def __len__(self) -> int:
        return len(self.pixels)

    def __reduce__(self) -> Any:
        """Pickled as NumPy arrays: JAX's would come back in the precision that is on then."""
        records = {index: np.asarray(record) for index, record in self.records.items()}
        return Images, (np.asarray(self.pixels), records, self.met)

    @property
    def nbytes(self) -> int:
        """Bytes of the images and of their records."""
        met = () if self.met is None else (self.met.alone, self.met.reference)
        return sum(part.nbytes for part in (self.pixels, *self.records.values(), *met))

    @property
    def side(self) -> Side:
        """All images as one side of a block."""
        records = {index: jnp.asarray(record) for index, record in self.records.items()}
        return Side(jnp.asarray(self.pixels), records)


class Request(NamedTuple):
    """A matrix that is wanted: the mean over the views of its rows and of its columns.

    Views are images that stand for others, such as their mirror images.

    Attributes:
        rows: the views of the images of its rows.
        columns: likewise of its columns.
        symmetric: the columns are the rows, so that one triangle of pairs is enough.
    """

    rows: tuple[Images, ...]
    columns: tuple[Images, ...]
    symmetric: bool

    @property
    def shape(self) -> tuple[int, int]:
        """Of the matrix."""
        return len(self.rows[0]), len(self.columns[0])

    @property
    def meetings(self) -> list[tuple[Images, Images]]:
        """The views that meet."""
        return [(left, right) for left in self.rows for right in self.columns]


Matrix = tuple[np.ndarray, np.ndarray | None]
"""``K`` and, if it is wanted, ``Θ``."""


@dataclass(frozen=True)
class Statistics:
    """What ``Normalize`` needs of the reference images: the state of a bound kernel.

    Attributes:
        reference: the reference images with their records.
        constants: of each normalised node.
        with_tangent: whether the tangent kernel's means were recorded too.
    """

    reference: Images
    constants: Constants
    with_tangent: bool

    def __reduce__(self) -> Any:
        """Pickled as NumPy arrays, as images are."""
        constants = Constants._make(
            {index: np.asarray(value) for index, value in part.items()} for part in self.constants
        )
        return Statistics, (self.reference, constants, self.with_tangent)


Watch = Callable[[int, Any], None]

NO_CONSTANTS = Constants({}, {})
"""Of a program without ``Normalize``."""


@compiled
def take(side: Side, indices: np.ndarray) -> Side:
    """Some of the images of a side."""
    records = {i: record[..., indices] for i, record in side.records.items()}
    return Side(side.images[indices], records)


def record_bytes(program: Program, n_reference: int, *, with_tangent: bool) -> int:
    """Most bytes that one image and its moments take while its records are computed."""
    alone = pair_bytes(plan_variances(program), with_tangent=with_tangent)
    met = pair_bytes(plan_means(program), with_tangent=with_tangent)
    series = recorded_series_bytes(program)
    return recorded_image_bytes(program) + series + alone + n_reference * met


def as_pixels(x: np.ndarray) -> np.ndarray:
    """Images or vectors as ``[n, h, w, channels]`` in the precision that JAX computes in."""
    pixels = np.asarray(x, jnp.result_type(float))
    return pixels[:, None, None, :] if pixels.ndim == 2 else pixels


def check_bind_bytes(
    program: Program, images: int, max_bytes: int, needed: Callable[[int], int]
) -> None:
    """Refuse more reference images than a number of bytes holds.

    Args:
        program: the lowered network.
        images: how many there are.
        max_bytes: the bound.
        needed: of a number of images, the bytes to record them all together.

    Raises:
        ConfigurationError: the message says how many fit.
    """
    if needed(images) <= max_bytes:
        return
    fitting = max(1, bisect_right(range(images), max_bytes, key=needed) - 1)
    raise ConfigurationError(
        f"n_reference={images} images of {program.image_shape} need {needed(images)} bytes "
        f"to be met with each other, the bound is bind_bytes={max_bytes}; bind with "
        f"n_reference={fitting} or fewer, smaller images, or a larger bind_bytes"
    )


def bind(
    program: Program, reference: np.ndarray, *, max_bytes: int, with_tangent: bool
) -> Statistics:
    """Record the statistics of the reference images, all of their pairs in one block.

    Raises:
        ConfigurationError: the block does not fit into ``max_bytes``.
        ArchitectureError: a nonlinearity's series is not exact enough at these variances.
    """
    check_bind_bytes(
        program,
        len(reference),
        max_bytes,
        lambda n: n * record_bytes(program, n, with_tangent=with_tangent),
    )
    make_room()
    pixels = as_pixels(reference)
    records: dict[int, Array] = {}
    constants = Constants({}, {})
    side = Side(jnp.asarray(pixels), records)
    alone = Block(side, side, True, constants, with_tangent)
    met = Block(side, side, False, constants, with_tangent)
    record(program, alone, met, binding=True)
    _check_series(program, records)
    return Statistics(Images(pixels, records), constants, with_tangent)


def prepare(
    program: Program,
    x: np.ndarray,
    statistics: Statistics | None,
    *,
    chunk: int,
    with_tangent: bool,
) -> Images:
    """Compute the records of images, ``chunk`` at a time; the last chunk is filled up.

    Args:
        program: the lowered network.
        x: images ``(n, h, w, channels)`` or vectors ``(n, features)``.
        statistics: of the bound kernel, ``None`` if the program needs none.
        chunk: images at a time.
        with_tangent: whether the tangent kernel is wanted.

    Raises:
        ArchitectureError: a nonlinearity's series is not exact enough at these variances.
    """
    make_room()
    pixels = as_pixels(x)
    constants = NO_CONSTANTS if statistics is None else statistics.constants
    parts: list[dict[int, Array]] = []
    for block in blocks(len(pixels), chunk):
        records: dict[int, Array] = {}
        side = Side(jnp.asarray(pixels[block.filled]), records)
        reference = side
        if statistics is not None:
            reference = statistics.reference.side
        alone = Block(side, side, True, constants, with_tangent)
        met = Block(reference, side, False, constants, with_tangent)
        record(program, alone, met, binding=False)
        parts.append(records)
    records = {
        i: jnp.concatenate([part[i] for part in parts], axis=-1)[..., : len(pixels)]
        for i in parts[0]
    }
    _check_series(program, records)
    return Images(pixels, records)


def _check_series(program: Program, records: Mapping[int, Array]) -> None:
    """Refuse nonlinearities whose series does not converge at the images' variances."""
    for op in program.ops:
        if not isinstance(op, DualOp) or has_closed_form(op.left_activation, op.right_activation):
            continue
        found = [largest_of_images(records[value]) for value in op.records if value in records]
        largest = np.concatenate(found)
        used = largest[largest > 0]
        # Variances that are no numbers are refused with the layer that made them so.
        if len(used) and np.isfinite(used).all():
            smallest, largest = float(used.min()), float(used.max())
            check_accuracy(op.left_activation, op.right_activation, smallest, largest)


def largest_of_images(record: Array | np.ndarray) -> np.ndarray:
    """The largest variance of each image, ``[n]``; NaN where one is NaN."""
    if isinstance(record, np.ndarray):
        return record.max(axis=tuple(range(record.ndim - 1)))
    return np.asarray(_largest(record))


@compiled
def _largest(record: Array) -> Array:
    return jnp.max(record, axis=tuple(range(record.ndim - 1)))


def record(
    program: Program, alone: Block, met: Block, *, binding: bool, watch: Watch | None = None
) -> None:
    """Fill in the records of ``alone``'s images.

    Of images of many channels, the variances of their own pixels are recorded as well, under the
    number of their products: matrix products find equal pixels by them.

    Args:
        program: the lowered network.
        alone: every image with itself.
        met: every reference image, left, with every image.
        binding: the images are the reference images, whose statistics are recorded as well.
        watch: called with the number and the value of each instruction, in their order.
    """
    constants = alone.constants
    records = alone.left.records
    own: dict[int, Array] = {}
    shared: dict[int, Array] = {}
    walks = (plan_variances(program), own, alone), (plan_means(program), shared, met)
    steps = [
        (_number(step), walk, step, last_reads)
        for walk in (0, 1)
        for step, last_reads in zip(walks[walk][0].steps, walks[walk][0].last_reads, strict=True)
    ]
    for index, walk, step, last_reads in sorted(steps, key=lambda part: part[:2]):
        op, (plan, values, block) = program.ops[index], walks[walk]
        if not isinstance(step, RecordStep):
            run_step(plan, step, values, block)
            if block.paired and isinstance(op, ImageOp) and has_many_channels(program, op):
                records[index] = _pixel_variances(values[index], op.left)
        else:
            value = values[step.source]
            pixels = tuple(axis.left for axis in plan.axes[step.source])
            match op:
                case VarianceOp():
                    records[index] = _pixel_variances(value, pixels)
                case MeanOp():
                    # One left pixel: behind the right image's pixels may stand pairs outside.
                    height, width = (axis.right for axis in plan.axes[step.source])
                    records[index] = _reference_means(value[:height, :width])
                    if binding:
                        constants.grand_means[index] = jnp.mean(records[index])
                case ScaleOp() if binding:
                    second = jnp.mean(_pixel_variances(value, pixels))
                    mean = jnp.zeros_like(second)
                    if op.mean is not None:
                        mean = covariance(constants.grand_means[op.mean])
                    constants.scales[index] = inverse_variance(second, mean)
        if watch is not None:
            recorded = records.get(index, constants.scales.get(index))
            watch(index, recorded if isinstance(step, RecordStep) else values[index])
        for value in last_reads:
            del values[value]


def _number(step: Step) -> int:
    """The instruction of a step that holds only one."""
    if isinstance(step, LocalStep):
        (index,) = step.defines + step.readouts
        return index
    return step.defines


@partial(compiled, static_argnames=("pixels",))
def _pixel_variances(x: Array, pixels: tuple[int, int]) -> Array:
    """``K(x, x)[p, p]`` of images with themselves, whose displacement 0 comes first."""
    return covariance(x)[: pixels[0], : pixels[1], 0]


@compiled
def _reference_means(x: Array) -> Array:
    """Mean over reference images of ``[h', w', r, n]``: ``[h', w', n]``."""
    return jnp.mean(x, axis=2)
