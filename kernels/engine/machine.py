"""The machine that runs streams: a loop over rows of numbers that chooses what each row computes.

Registers of a bank stand side by side in one array that a loop carries. An operation returns its
result and the loop writes it: returned with the whole array, XLA would copy the array.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from functools import partial
from itertools import count
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from ..covariance.activations import Dual, stein_slopes
from ..covariance.grids import (
    beside_left,
    beside_right,
    diagonal,
    left_mean,
    pool_mean,
    scaled,
    window_mean,
)
from ..covariance.images import (
    UNROLLED_CHANNELS,
    channels_of,
    image_moment,
    pixel_variances,
    product_moment,
)
from ..covariance.moments import covariance, moment, tangent
from ..covariance.normalization import center_moment, inverse_variance, layer_scale
from ..covariance.weights import weight_moment
from ..program.ops import (
    DualOp,
    FlattenOp,
    ImageOp,
    LayerNormOp,
    MomentOp,
    NormalizeOp,
    Pixels,
    PoolOp,
    SteinOp,
    TapOp,
    WeightOp,
    ZeroOp,
)
from ..program.streams import (
    ADDED,
    DIAGONAL,
    GAINS,
    MEAN,
    ONE,
    OPERATION,
    RECORDS,
    SCALE,
    SCALE_MEAN,
    SOURCE,
    TARGET,
    TIMES,
    VARIANCE,
    Bank,
    Encoded,
    Grid,
    InstructionSet,
    Operation,
)
from .planes import COMPILER_OPTIONS
from .programs import compiled

AnyArray = Any
"""Of NumPy on the host, of JAX on a device."""

Rooms = dict[Any, AnyArray]
"""Records of a kind by their pixels, ``[places, h, w, images]``."""


class Table(NamedTuple):
    """Images with their records, one for each index of the last axis.

    Attributes:
        pixels: ``[channels, h, w, images]``.
        variances: records of variances.
        means: records of covariances with the reference images' mean.
    """

    pixels: AnyArray
    variances: Rooms
    means: Rooms


class Shared(NamedTuple):
    """What ``Normalize`` takes from the reference images.

    Attributes:
        scales: ``1 / (v − m)``, ``[places]``.
        grand_means: covariance of the reference means with themselves, by the means' pixels,
            ``[places]``.
    """

    scales: AnyArray
    grand_means: dict[Any, AnyArray]


class _Side(NamedTuple):
    """One side of a block of pairs: some images of a table, one for each lane."""

    pixels: Array
    variance: Callable[[Pixels, Array], Array]
    mean: Callable[[Pixels, Array], Array]


Read = Callable[[Grid, Array], Array]
"""Of a grid and a number, the register."""


class _Machine:
    """The operations of a set, on blocks of pairs."""

    def __init__(self, instructions: InstructionSet, real: Any, with_tangent: bool) -> None:
        self.instructions = instructions
        self.real = jnp.dtype(real)
        self.with_tangent = with_tangent
        self.dtype = jnp.result_type(self.real, jnp.complex64) if with_tangent else self.real
        self.numbers = {bank.grid: number for number, bank in enumerate(instructions.banks)}

    def registers(self, *blocks: int, lanes: int) -> tuple[Array, ...]:
        """An array of registers for each bank, ``[registers, *blocks, h, h', w, w', lanes]``."""
        return tuple(
            jnp.zeros((bank.registers, *blocks, h, h2, w, w2, lanes), self.dtype)
            for bank in self.instructions.banks
            for (h, w), (h2, w2) in (bank.grid,)
        )

    def result(
        self, bank: Bank, row: Array, factors: Array, read: Read, sides: Any, shared: Shared
    ) -> Array:
        """What a row writes into its register, by the operation that it names."""
        (h, w), (h2, w2) = bank.grid
        shape = (h, h2, w, w2, sides[0].pixels.shape[-1])

        def run(operation: Operation) -> Array:
            x = None if operation.source is None else read(operation.source, row[SOURCE])
            x = self._chained(operation, x, row, factors, sides, shared)
            x = jnp.broadcast_to(x, shape).astype(self.dtype)
            # In the loop that makes x: a pass of its own would take as long as a window's.
            held = read(bank.grid, row[TARGET])
            return scaled(x, factors[TIMES]) + jnp.where(row[ADDED] > 0, held, 0)

        branches = [partial(run, operation) for operation in bank.operations]
        return lax.switch(row[OPERATION], branches) if len(branches) > 1 else branches[0]()

    def variances(
        self, bank: Bank, x: Array, row: Array, factors: Array, own: Table, shared: Shared
    ) -> Array:
        """Variances of what a row makes of a moment, from those of the moment, ``[h, w, images]``.

        Pixels with themselves are images of one pixel, ``h · w`` times as many.
        """

        def records(kind: Rooms) -> Callable[[Pixels, Array], Array]:
            return lambda of, place: kind[of][place].reshape(1, 1, -1)

        side = _Side(x.reshape(-1), records(own.variances), records(own.means))

        def run(operation: Operation) -> Array:
            of_pixels = x.reshape(1, 1, 1, 1, -1)
            made = self._chained(operation, of_pixels, row, factors, (side, side), shared)
            return covariance(made).reshape(x.shape)

        made = [partial(run, operation) for operation in bank.diagonals]
        return lax.switch(row[DIAGONAL], [lambda: covariance(x), *made])

    def _chained(
        self,
        operation: Operation,
        x: Array | None,
        row: Array,
        factors: Array,
        sides: Any,
        shared: Shared,
    ) -> Array:
        """A chain of instructions, which take the records that the row names, and its gains, in
        order."""
        places = (row[RECORDS + n] for n in range(len(operation.rooms)))
        records = zip(operation.rooms, places, strict=True)
        gains = (factors[place] for place in count(GAINS))
        for op in operation.chain:
            x = self._applied(op, x, records, gains, sides, shared)
        assert x is not None
        return x

    def _applied(
        self,
        op: MomentOp,
        x: Any,
        records: Iterator[Any],
        gains: Iterator[Array],
        sides: Any,
        shared: Shared,
    ) -> Array:
        left, right = sides
        match op:
            case ImageOp(flat=True):
                features = math.prod(left.pixels.shape[:3])
                product = jnp.sum(left.pixels * right.pixels, axis=(0, 1, 2)) / features
                return product[None, None, None, None]
            case ImageOp():
                if len(left.pixels) > UNROLLED_CHANNELS:
                    return _products(left.pixels, right.pixels)
                own, other = channels_of(left.pixels), channels_of(right.pixels)
                return image_moment(
                    jax.tree.map(beside_left, own), jax.tree.map(beside_right, other)
                )
            case ZeroOp():
                return jnp.zeros((1, 1, 1, 1, 1), self.real)
            case TapOp():
                (h, h2, w, w2) = x.shape[:4]
                return window_mean(op.window, x, (h, w), (h2, w2))
            case WeightOp():
                scale, shift = next(gains), next(gains)
                own = (next(gains), next(gains)) if op.rated else None
                return weight_moment(
                    x, scale, shift, own, trainable=op.trainable, with_tangent=self.with_tangent
                )
            case DualOp():
                dual = Dual(op.left_activation, op.right_activation)
                variances = [side.variance(*next(records)) for side in sides]
                pixels = dual.of_pixels(*variances)
                K, slope = dual.of_pairs(covariance(x), pixels, (beside_left, beside_right))
                T = tangent(x)
                return moment(K, None if T is None else T * slope)
            case SteinOp():
                variance = sides[op.side].variance(*next(records))
                of_K, of_T = map(_beside(op.side), stein_slopes(op.activation, variance))
                T = tangent(x)
                return moment(covariance(x) * of_K, None if T is None else T * of_T)
            case LayerNormOp():
                variance = sides[op.side].variance(*next(records))
                return scaled(x, _beside(op.side)(layer_scale(variance, op.eps)))
            case PoolOp():
                return pool_mean(op.layer, x, op.side)
            case FlattenOp():
                return jnp.mean(diagonal(x), axis=(0, 1))[None, None, None, None]
            case NormalizeOp():
                return self._normalized(op, x, records, sides, shared)
        raise TypeError(f"not an instruction of a stream: {op}")

    def _normalized(
        self, op: NormalizeOp, x: Array, records: Iterator[Any], sides: Any, shared: Shared
    ) -> Array:
        """A moment over the scales, without the means; a record of place 0 changes nothing."""
        factor = jnp.ones((), self.real)
        for scale in (op.left_scale, op.right_scale):
            if scale is not None:
                _, place = next(records)
                factor = factor * jnp.where(place > 0, jnp.sqrt(shared.scales[place]), 1)
        means: list[Array | None] = [None, None]
        grand = None
        for side, mean in enumerate((op.left_mean, op.right_mean)):
            if mean is not None:
                pixels, place = next(records)
                of_images = jnp.where(place > 0, sides[side].mean(pixels, place), 0)
                means[side] = _beside(side)(of_images)
                grand = jnp.where(place > 0, shared.grand_means[pixels][place], 0)
        if any(mean is None for mean in means):
            grand = None
        return scaled(center_moment(x, means[0], means[1], grand), factor)


def _products(left: Array, right: Array) -> Array:
    """The moment of images ``[channels, h, w, lanes]`` of many channels."""
    variances = pixel_variances(left), pixel_variances(right)
    own, other = (jnp.moveaxis(pixels, (3, 0), (0, 3)) for pixels in (left, right))
    return jnp.transpose(product_moment(own, other, variances, paired=True), (1, 3, 2, 4, 0))


def _beside(side: int) -> Callable[[Array], Array]:
    return beside_left if side == 0 else beside_right


def _images(table: Table, indices: Array) -> Table:
    """Some images of a table, in memory."""
    taken = jax.tree.map(lambda x: jnp.take(x, indices, axis=-1, mode="clip"), table)
    return lax.optimization_barrier(taken)


@partial(
    compiled,
    static_argnames=("instructions", "with_tangent"),
    compiler_options=COMPILER_OPTIONS,
)
def run_pairs(
    instructions: InstructionSet,
    encoded: Encoded,
    table: Table,
    shared: Shared,
    left: Array,
    right: Array,
    blocks: Array,
    *,
    with_tangent: bool,
) -> Array:
    """The kernel of pairs of images.

    Args:
        instructions: what is compiled.
        encoded: the stream.
        table: images with all records that the stream reads.
        shared: of ``Normalize``.
        left: indices of left images, ``(most blocks, lanes)``.
        right: indices of right images.
        blocks: how many of the blocks to run.
        with_tangent: whether ``Θ`` is wanted.

    Returns:
        ``(most blocks, lanes)``, real or ``K + iΘ``.
    """
    machine = _Machine(instructions, table.pixels.dtype, with_tangent)
    most, lanes = left.shape

    def block(number: Array, carried: Any) -> Any:
        banks, outputs = carried
        sides = []
        for indices in (left, right):
            own = _images(table, indices[number])
            sides.append(
                _Side(
                    own.pixels,
                    lambda pixels, place, own=own: own.variances[pixels][place],
                    lambda pixels, place, own=own: own.means[pixels][place],
                )
            )
        for index, bank in enumerate(instructions.banks):

            def step(
                i: Array,
                own: Array,
                index: int = index,
                bank: Bank = bank,
                finished: tuple[Array, ...] = banks,
            ) -> Array:
                def read(grid: Grid, register: Array) -> Array:
                    at = machine.numbers[grid]
                    return (own if at == index else finished[at])[register]

                row, factors = encoded.rows[index][i], encoded.factors[index][i]
                value = machine.result(bank, row, factors, read, sides, shared)
                return lax.dynamic_update_index_in_dim(own, value, row[TARGET], 0)

            done = lax.fori_loop(0, encoded.counts[index], step, banks[index])
            banks = (*banks[:index], done, *banks[index + 1 :])
        output = banks[machine.numbers[ONE]][encoded.output, 0, 0, 0, 0]
        return banks, lax.dynamic_update_index_in_dim(outputs, output, number, 0)

    start = machine.registers(lanes=lanes), jnp.zeros((most, lanes), machine.dtype)
    return lax.fori_loop(0, blocks, block, start)[1]


class Meetings(NamedTuple):
    """The pairs by which a part of the images is recorded, one for each lane.

    Attributes:
        left: the left image, counted through the reference images and on through the part,
            ``(blocks, lanes)``.
        right: the right image, of the part.
        alone: for each image of the part the lane in which it meets itself.
        met: for each reference image and each image of the part the lane in which they meet; if
            some lanes stand for both orders of their two images, the number of lanes more for one
            in which they meet the other way round.
    """

    left: AnyArray
    right: AnyArray
    alone: AnyArray
    met: AnyArray


@partial(
    compiled,
    static_argnames=("instructions", "mirrored", "with_tangent"),
    compiler_options=COMPILER_OPTIONS,
)
def run_records(
    instructions: InstructionSet,
    encoded: Encoded,
    images: Table,
    reference: Table,
    shared: Shared,
    pairs: Meetings,
    parts: Array,
    binding: Array,
    *,
    mirrored: bool,
    with_tangent: bool,
) -> tuple[Table, Shared, Array]:
    """The records of images, part by part, and the kernel of the pairs on the way.

    Args:
        instructions: what is compiled.
        encoded: the stream, one that records.
        images: those whose records are computed, with room for these: parts of ``len(alone)``.
        reference: the reference images with their records, perhaps none.
        shared: of ``Normalize``; filled in if ``binding``.
        pairs: of each part.
        parts: how many of the parts to run.
        binding: whether the images are one part and the reference images, whose statistics are
            recorded.
        mirrored: whether some lanes stand for both orders of their two images.
        with_tangent: whether ``Θ`` is wanted.

    Returns:
        The images with their records; what ``Normalize`` takes from the reference images; the
        kernel in every lane, ``(most parts, all lanes)``.
    """
    machine = _Machine(instructions, images.pixels.dtype, with_tangent)
    blocks, lanes = pairs.left.shape
    size = len(pairs.alone)
    most = images.pixels.shape[-1] // size

    def part(number: Array, carried: Any) -> Any:
        images, shared, banks, outputs = carried
        start = number * size
        own = jax.tree.map(lambda x: lax.dynamic_slice_in_dim(x, start, size, axis=-1), images)
        own, shared, banks = _recorded(
            machine, encoded, own, reference, shared, pairs, banks, binding, mirrored
        )
        output = banks[machine.numbers[ONE]][encoded.output].reshape(-1)
        images = jax.tree.map(
            lambda x, y: lax.dynamic_update_slice_in_dim(x, y, start, axis=-1), images, own
        )
        return images, shared, banks, lax.dynamic_update_index_in_dim(outputs, output, number, 0)

    outputs = jnp.zeros((most, blocks * lanes), machine.dtype)
    carried = images, shared, machine.registers(blocks, lanes=lanes), outputs
    images, shared, _, outputs = lax.fori_loop(0, parts, part, carried)
    return images, shared, outputs


def _recorded(
    machine: _Machine,
    encoded: Encoded,
    images: Table,
    reference: Table,
    shared: Shared,
    pairs: Meetings,
    banks: tuple[Array, ...],
    binding: Array,
    mirrored: bool,
) -> tuple[Table, Shared, tuple[Array, ...]]:
    """The records of some images, row by row over all blocks, and all registers at the end."""
    left, right = pairs.left, pairs.right
    blocks, lanes = left.shape
    pixels = [
        _images(table, indices).pixels
        for table, indices in (
            (_joined(reference, images), left.reshape(-1)),
            (images, right.reshape(-1)),
        )
    ]
    state = images, shared

    def mean(value: Array) -> Array:
        both = [left_mean(value)]
        if mirrored:
            both.append(left_mean(jnp.transpose(value, (1, 0, 3, 2, 4))))
        return jnp.concatenate(both, axis=-1)

    for index, bank in enumerate(machine.instructions.banks):
        (h, w), (h2, w2) = bank.grid

        def step(
            i: Array,
            carried: Any,
            index: int = index,
            bank: Bank = bank,
            finished: tuple[Array, ...] = banks,
            records_variance: bool = (h, w) == (h2, w2) and (h, w) in images.variances,
            # Of mirrored pairs only moments of a node with itself have means.
            records_mean: bool = (h2, w2) in images.means and (not mirrored or (h, w) == (h2, w2)),
        ) -> Any:
            registers, (own, shared) = carried
            row, factors = encoded.rows[index][i], encoded.factors[index][i]

            def block(number: Array, inner: Any) -> Any:
                registers, means = inner
                sides = _recorded_sides(own, reference, pixels, left[number], right[number], number)

                def read(grid: Grid, register: Array) -> Array:
                    at = machine.numbers[grid]
                    return (registers if at == index else finished[at])[register, number]

                value = machine.result(bank, row, factors, read, sides, shared)
                start = row[TARGET], number.astype(row.dtype), *[jnp.zeros((), row.dtype)] * 5
                registers = lax.dynamic_update_slice(registers, value[None, None], start)
                if records_mean:
                    found = lax.cond(row[MEAN] > 0, mean, lambda x: jnp.zeros_like(mean(x)), value)
                    means = lax.dynamic_update_index_in_dim(means, found, number, 0)
                return registers, means

            (h, w), (h2, w2) = bank.grid
            wide = 2 * lanes if mirrored else lanes
            inner = (
                registers,
                jnp.zeros((blocks, h2, w2, wide) if records_mean else (), machine.dtype),
            )
            written = jnp.where(row[DIAGONAL] == 0, blocks, 0)
            registers, means = lax.fori_loop(0, written, block, inner)
            if records_mean:
                x = jnp.mean(jnp.take(_flat(means, lanes), pairs.met, axis=-1), axis=-2)
                own, shared = _with_mean(own, shared, (h2, w2), row, x, binding)
            if records_variance:
                x = _with_themselves(registers, row[TARGET], pairs.alone, lanes)
                x = machine.variances(bank, x, row, factors, own, shared)
                own, shared = _with_variance(own, shared, (h, w), row, x, binding)
            return registers, (own, shared)

        done, state = lax.fori_loop(0, encoded.counts[index], step, (banks[index], state))
        banks = (*banks[:index], done, *banks[index + 1 :])
    return state[0], state[1], banks


def _with_themselves(registers: Array, register: Array, alone: Array, lanes: int) -> Array:
    """Equal pixels of images with themselves, ``[h, w, images]``, of a register of all blocks."""
    rows, columns = (np.arange(registers.shape[axis]) for axis in (2, 4))
    p, q = rows[:, None, None], columns[:, None]
    return registers[register, alone // lanes, p, p, q, q, alone % lanes]


def _flat(x: Array, lanes: int) -> Array:
    """``[blocks, h, w, parts · lanes]`` as ``[h, w, parts · all lanes]``."""
    blocks, h, w, _ = x.shape
    x = x.reshape(blocks, h, w, -1, lanes)
    return jnp.transpose(x, (1, 2, 3, 0, 4)).reshape(h, w, -1)


def _joined(first: Table, second: Table) -> Table:
    return jax.tree.map(lambda x, y: jnp.concatenate([x, y], axis=-1), first, second)


def _recorded_sides(
    own: Table,
    reference: Table,
    pixels: list[Array],
    left: Array,
    right: Array,
    number: Array,
) -> list[_Side]:
    """The sides of a block while the records of the images are still growing."""
    lanes = left.shape[0]

    def kept(kind: int, at: int) -> Callable[[Pixels, Array], Array]:
        def records(of: Pixels, place: Array) -> Array:
            found = own[kind][of][place]
            if at == 0:
                found = jnp.concatenate([reference[kind][of][place], found], axis=-1)
            return jnp.take(found, (left, right)[at], axis=-1)

        return records

    return [
        _Side(
            lax.dynamic_slice_in_dim(pixels[at], number * lanes, lanes, axis=-1),
            kept(1, at),
            kept(2, at),
        )
        for at in (0, 1)
    ]


def _with_mean(
    own: Table, shared: Shared, pixels: Pixels, row: Array, mean: Array, binding: Array
) -> tuple[Table, Shared]:
    place = row[MEAN]
    means = own.means | {pixels: own.means[pixels].at[place].set(mean)}
    known = shared.grand_means[pixels]
    grand = jnp.where(binding, jnp.mean(mean), known[place])
    grand_means = shared.grand_means | {pixels: known.at[place].set(grand)}
    return own._replace(means=means), shared._replace(grand_means=grand_means)


def _with_variance(
    own: Table, shared: Shared, pixels: Pixels, row: Array, variance: Array, binding: Array
) -> tuple[Table, Shared]:
    place = row[VARIANCE]
    variances = own.variances | {pixels: own.variances[pixels].at[place].set(variance)}
    second = jnp.mean(variance)
    mean = jnp.zeros_like(second)
    if pixels in shared.grand_means:
        known = covariance(shared.grand_means[pixels])[row[SCALE_MEAN]]
        mean = jnp.where(row[SCALE_MEAN] > 0, known, mean)
    scale = jnp.where(binding, inverse_variance(second, mean), shared.scales[row[SCALE]])
    scales = shared.scales.at[row[SCALE]].set(scale)
    return own._replace(variances=variances), shared._replace(scales=scales)
