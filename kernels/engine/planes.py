"""Execution of local instructions, plane by plane or on all planes at once.

A plane is one slot of the rows and one of the columns (``program/axes.py``). A run of layers on a
block of pairs of one plane is small enough to stay in cache, so a fused step goes through all its
instructions on one plane before it turns to the next. Every value that a window reads is in memory
before (an optimisation barrier): fused into one loop, XLA would recompute a nonlinearity for each
tap of the window after it.

The right image's quantities are wanted at ``q = (p + d) mod M``. For one plane that is a window of
the array, twice beside itself, that starts at ``d``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from ..covariance.activations import Dual, stein_slopes
from ..covariance.activations.correlation import root
from ..covariance.images import channels_of, image_moment, vector_moment
from ..covariance.moments import covariance, moment, tangent
from ..covariance.normalization import center_moment, layer_scale
from ..covariance.pools import weighed
from ..covariance.sums import weighted_sum
from ..covariance.weights import (
    NONE,
    ROW,
    Border,
    border_of,
    surrounded,
    tap_mean,
    weight_moment,
    wrapped,
)
from ..program.axes import OUTSIDE, Axis, scale
from ..program.ops import (
    DualOp,
    ImageOp,
    LayerNormOp,
    MomentOp,
    NormalizeOp,
    SteinOp,
    SumOp,
    TapOp,
    WeightOp,
    ZeroOp,
)
from ..program.planning import LocalBody
from .programs import compiled

COMPILER_OPTIONS = {"xla_cpu_prefer_vector_width": 512}
"""As wide as the processor has it: a fifth faster than XLA's default where AVX-512 exists."""


class Side(NamedTuple):
    """The images on one side of a block.

    Attributes:
        images: ``[n, h, w, channels]``.
        records: by number, ``[h, w, n]``, real or ``K + iΘ``.
    """

    images: Array
    records: dict[int, Array]


class Constants(NamedTuple):
    """What ``Normalize`` takes from the reference images, by record.

    Attributes:
        scales: ``1 / (v − m)``.
        grand_means: covariance of the reference means with themselves, of both kernels.
    """

    scales: dict[int, Array]
    grand_means: dict[int, Array]


Gains = tuple[Array, ...]
"""σ_w², σ_b², η_w σ_w² and η_b σ_b² of a weight layer."""

Weights = tuple[np.ndarray, np.ndarray]
"""Of a readout: of the pairs of the rows ``(slots, h)`` and of the columns ``(slots', w)``."""


@partial(
    compiled,
    static_argnames=("body", "paired", "with_tangent", "by_plane"),
    compiler_options=COMPILER_OPTIONS,
)
def run_local(
    body: LocalBody,
    inputs: Sequence[Array],
    left: Side,
    right: Side,
    constants: Constants,
    weights: Sequence[Weights],
    gains: Gains | None = None,
    *,
    paired: bool,
    with_tangent: bool,
    by_plane: bool,
) -> tuple[list[Array], list[Array]]:
    """Run local instructions on a block of pairs.

    Args:
        body: the instructions.
        inputs: moments that they read, ``[rows, columns, *pairs]``, over the body's ``inputs``.
        left: images of the block with their records, by the body's numbers.
        right: likewise.
        constants: of ``Normalize``, by the body's numbers.
        weights: of each readout.
        gains: of a body that is differentiated, whose only instruction has them if it is a weight
            layer; ``None`` for the instructions' own.
        paired: image ``i`` with image ``i``, instead of all of left with all of right.
        with_tangent: whether ``Θ`` is wanted.
        by_plane: one plane after the other, instead of all at once.

    Returns:
        The body's outputs ``[rows, columns, *pairs]``, and its readouts ``[1, 1, *pairs]``.
    """
    sides = tuple(
        Side(
            _lanes(jnp.moveaxis(side.images, (3, 0), (0, 3)), number, paired),
            {i: _lanes(record, number, paired) for i, record in side.records.items()},
        )
        for number, side in enumerate((left, right))
    )
    block = _Block(body, sides, constants, paired, with_tangent, gains)
    return block.by_plane(inputs, weights) if by_plane else block.at_once(inputs, weights)


def _lanes(x: Array, side: int, paired: bool) -> Array:
    """``[…, n]`` with two axes of pairs: left images vary along the first, right along the last."""
    return x[..., :, None] if side == 0 and not paired else x[..., None, :]


class _Value(NamedTuple):
    """A moment with a border around the pixels of its planes."""

    array: Array
    border: Border

    @property
    def inside(self) -> Array:
        x = self.array
        for axis, (low, high) in zip((1, 3), self.border, strict=True):
            x = lax.slice_in_dim(x, low, x.shape[axis] - high, axis=axis)
        return x


def _pixels_of(body: LocalBody, value: int) -> tuple[int, int]:
    """The left pixels of a body's value."""
    axes = body.inputs[value] if value < len(body.inputs) else body.axes
    return axes[0].left, axes[1].left


class _Block:
    """A body with what it needs of every image, ready to be put beside pairs of pixels."""

    def __init__(
        self,
        body: LocalBody,
        sides: tuple[Side, ...],
        constants: Constants,
        paired: bool,
        with_tangent: bool,
        gains: Gains | None,
    ) -> None:
        self.body = body
        self.gains = gains
        self.axes = body.axes
        self.left, self.right = sides
        self.constants = constants
        self.paired = paired
        self.with_tangent = with_tangent
        self.pairs = jnp.broadcast_shapes(*(side.images.shape[3:] for side in sides))
        self.dtype = self.left.images.dtype
        self.readers = Counter(value for op in body.ops for value in op.reads)
        self.readers.update(body.readouts)
        self.borders = self._borders()
        self.pixels = [self._of_pixels(op) for op in body.ops]

    def at_once(
        self, inputs: Sequence[Array], weights: Sequence[Weights]
    ) -> tuple[list[Array], list[Array]]:
        """All planes in one array."""
        right = jax.tree.map(self._partnered, [part[1] for part in self.pixels])
        masks = [jnp.asarray(axis.valid, self.dtype) for axis in self.axes]
        read = []
        for x, axes in zip(inputs, self.body.inputs, strict=True):
            x = _planes(x, axes)
            for axis, own, stored in zip((0, 2), self.axes, axes, strict=True):
                slots = own.within(stored)
                if slots != tuple(range(len(stored.slots))):
                    x = jnp.take(x, np.array(slots), axis)
            read.append(x)
        values = self._run(read, right, masks)
        rows, columns = (axis.length for axis in self.axes)
        outputs = [values[v].inside.reshape(rows, columns, *self.pairs) for v in self.body.outputs]
        return outputs, self._readouts(values, weights, None)

    def by_plane(
        self, inputs: Sequence[Array], weights: Sequence[Weights]
    ) -> tuple[list[Array], list[Array]]:
        """One plane after the other, each through all instructions."""
        rows, columns = self.axes
        starts = [jnp.array(axis.slots) for axis in self.axes]
        masks = [jnp.asarray(axis.valid, self.dtype) for axis in self.axes]
        stored = [
            [jnp.array(own.within(axis)) for own, axis in zip(self.axes, axes, strict=True)]
            for axes in self.body.inputs
        ]
        twice = jax.tree.map(self._doubled, [part[1] for part in self.pixels])

        def plane(number: Array, carried: tuple[list[Array], list[Array]]) -> Any:
            slot = (number // len(columns.slots), number % len(columns.slots))
            start = [starts[axis][slot[axis]] for axis in (0, 1)]
            right = jax.tree.map(partial(self._window, start=start), twice)
            mask = [masks[axis][slot[axis]][None] for axis in (0, 1)]
            read = [
                _plane_of(x, axes, [at[axis][slot[axis]] for axis in (0, 1)])
                for x, axes, at in zip(inputs, self.body.inputs, stored, strict=True)
            ]
            values = self._run(read, right, mask)
            outputs, readouts = carried
            outputs = [
                lax.dynamic_update_slice(
                    whole,
                    jnp.broadcast_to(
                        values[v].inside, (1, rows.left, 1, columns.left, *self.pairs)
                    ).astype(whole.dtype),
                    (slot[0], 0, slot[1], 0, *[0] * len(self.pairs)),
                )
                for whole, v in zip(outputs, self.body.outputs, strict=True)
            ]
            added = self._readouts(values, weights, slot)
            return outputs, [a + b for a, b in zip(readouts, added, strict=True)]

        shapes = jax.eval_shape(lambda: self._like(inputs, twice, masks))
        zeros = [
            jnp.zeros(
                (len(rows.slots), rows.left, len(columns.slots), columns.left, *self.pairs),
                like.dtype,
            )
            for like in shapes[0]
        ]
        sums = [jnp.zeros((1, 1, *self.pairs), like.dtype) for like in shapes[1]]
        outputs, readouts = lax.fori_loop(0, self.body.planes, plane, (zeros, sums))
        flat = (rows.length, columns.length, *self.pairs)
        return [output.reshape(flat) for output in outputs], readouts

    def _like(self, inputs: Any, twice: Any, masks: Any) -> Any:
        """Values of the dtypes that a plane's outputs and readouts have."""
        right = jax.tree.map(partial(self._window, start=[0, 0]), twice)
        read = [
            _plane_of(x, axes, [0, 0]) for x, axes in zip(inputs, self.body.inputs, strict=True)
        ]
        values = self._run(read, right, [mask[:1] for mask in masks])
        outputs = [values[v].array for v in self.body.outputs]
        readouts = [values[v].array for v in self.body.readouts]
        return outputs, readouts

    def _of_pixels(self, op: MomentOp) -> tuple[Any, Any]:
        """What an instruction needs of the pixels of the left and of the right images."""
        left, right = self.left.records, self.right.records
        match op:
            case ImageOp(flat=False):
                return channels_of(self.left.images), channels_of(self.right.images)
            case DualOp():
                dual = self._dual(op)
                return dual.of_pixels(left[op.left_variance], right[op.right_variance])
            case SteinOp():
                own = stein_slopes(op.activation, (left, right)[op.side][op.variance])
                return (own, None) if op.side == 0 else (None, own)
            case LayerNormOp():
                own = layer_scale((left, right)[op.side][op.variance], op.eps)
                return (own, None) if op.side == 0 else (None, own)
            case NormalizeOp():
                of = [
                    None if m is None else records[m]
                    for m, records in ((op.left_mean, left), (op.right_mean, right))
                ]
                return of[0], of[1]
        return None, None

    def _run(self, read: list[Array], right: list[Any], masks: Sequence[Array]) -> list[_Value]:
        """All values, over the planes whose right pixels are given."""
        mask = lax.optimization_barrier(
            masks[0][:, :, None, None, None, None] * masks[1][:, :, None, None]
        )
        values = [self._stored(number, value) for number, value in enumerate(read)]
        for op, (left, _), other in zip(self.body.ops, self.pixels, right, strict=True):
            value = self._execute(op, values, left, other, mask)
            values.append(self._stored(len(values), value))
        return values

    def _borders(self) -> dict[int, Border]:
        """The borders of what is read by windows with zero edges, or read out."""
        found: dict[int, Border] = {}
        for value in self.body.readouts:
            found[value] = ROW
        for op in self.body.ops:
            if isinstance(op, TapOp) and op.window.padding != "CIRCULAR":
                border = border_of(op.window, _pixels_of(self.body, op.source))
                known = found.get(op.source, NONE)
                rows, columns = (
                    (max(a[0], b[0]), max(a[1], b[1])) for a, b in zip(border, known, strict=True)
                )
                found[op.source] = rows, columns
        return found

    def _stored(self, number: int, value: Array) -> _Value:
        border = self.borders.get(number)
        if border is not None:
            return _Value(surrounded(value, border), border)
        if self.readers[number] > 1:
            value = lax.optimization_barrier(value)
        return _Value(value, NONE)

    def _execute(
        self, op: MomentOp, values: list[_Value], left: Any, right: Any, mask: Array
    ) -> Array:
        beside: tuple[Callable[[Array], Array], ...] = (_under_left, lambda x: x)
        match op:
            case ImageOp(flat=True):
                return self._vectors()
            case ImageOp():
                return image_moment(jax.tree.map(_under_left, left), right)
            case ZeroOp():
                shape = (*mask.shape[:4], *self.pairs)
                return jnp.zeros(shape, self.dtype)
            case TapOp():
                value, pixels = values[op.source], _pixels_of(self.body, op.source)
                x, border = value
                if op.window.padding == "CIRCULAR":
                    border = border_of(op.window, pixels)
                    x = wrapped(value.inside, border)
                return tap_mean(op.window, x, pixels, border)
            case WeightOp():
                factors = [gain * mask if gain else None for gain in op.gains]
                scale = op.W_std**2 * mask
                if self.gains is not None:
                    factors = [gain * mask for gain in self.gains]
                    scale = factors[0]
                return weight_moment(
                    values[op.source].inside,
                    scale,
                    factors[1],
                    (factors[2], factors[3]) if op.rated else None,
                    trainable=op.trainable,
                    with_tangent=self.with_tangent,
                )
            case DualOp():
                x = values[op.source].inside
                dual = self._dual(op)
                K, slope = dual.of_pairs(covariance(x), (left, right), beside)
                if not op.left_activation.keeps_zero or not op.right_activation.keeps_zero:
                    K = K * mask
                T = tangent(x)
                return moment(K, None if T is None else T * slope)
            case SteinOp():
                x = values[op.source].inside
                slopes = left if op.side == 0 else right
                of_K, of_T = (_under_left(s) if op.side == 0 else s for s in slopes)
                T = tangent(x)
                return moment(covariance(x) * of_K, None if T is None else T * of_T)
            case LayerNormOp():
                return values[op.source].inside * (_under_left(left) if op.side == 0 else right)
            case SumOp():
                times = [t for _, t in op.terms]
                return weighted_sum([values[value].inside for value in op.reads], times)
            case NormalizeOp():
                return self._normalized(op, values[op.source].inside, left, right) * mask
        raise TypeError(f"not a local instruction: {op}")

    def _dual(self, op: DualOp) -> Dual:
        return Dual(op.left_activation, op.right_activation, self.gains is not None)

    def _vectors(self) -> Array:
        """The images as vectors, one pixel each."""
        left, right = (
            side.images.reshape(-1, *side.images.shape[3:]) for side in (self.left, self.right)
        )
        if self.paired:
            product = jnp.sum(left * right, axis=0) / len(left)
        else:
            product = vector_moment(left[:, :, 0].T, right[:, 0].T)
        return product[None, None, None, None]

    def _normalized(self, op: NormalizeOp, x: Array, left: Any, right: Any) -> Array:
        factor = jnp.ones((), self.dtype)
        for record in (op.left_scale, op.right_scale):
            if record is not None:
                factor = factor * root(self.constants.scales[record])
        grand = None
        if op.left_mean is not None and op.right_mean is not None:
            grand = self.constants.grand_means[op.right_mean]
        left = None if left is None else _under_left(left)
        if not jnp.iscomplexobj(x):  # the means of Θ are not those of a moment without Θ
            left, right, grand = (
                None if m is None else covariance(m) for m in (left, right, grand)
            )
        return factor * center_moment(x, left, right, grand)

    def _is_one_for_all(self, x: Array) -> bool:
        """Whether a number of an array over right pixels stands beside all pairs: one of the whole
        image, or of its only pixel where no pair is outside."""
        outside = all(own.right == 1 for own in self.axes) and any(
            own.modulus > 1 for own in self.axes
        )
        return x.shape[-4:-2] == (1, 1) and not outside

    def _partnered(self, x: Array) -> Array:
        """An array over right pixels beside all pairs: ``[…, slots, h, slots', w, *pairs]``."""
        axis = x.ndim - 4
        if self._is_one_for_all(x):
            return x[..., None, :, None, :, :, :]
        for position, own in ((axis + 1, self.axes[1]), (axis, self.axes[0])):
            partners = np.where(own.partners == OUTSIDE, own.right, own.partners)
            x = jnp.take(x, partners, position, mode="fill", fill_value=0)
        return x

    def _doubled(self, x: Array) -> Array:
        """An array over right pixels, filled up with zeros to the moduli and put beside itself,
        twice where both images have as many pixels."""
        axis = x.ndim - 4
        if self._is_one_for_all(x):
            return x
        edges = [(0, 0, 0)] * x.ndim
        for position, own in ((axis, self.axes[0]), (axis + 1, self.axes[1])):
            edges[position] = (0, own.modulus - own.right, 0)
        x = lax.optimization_barrier(lax.pad(x, jnp.zeros((), x.dtype), edges))
        copies = [own.copies for own in self.axes]
        return lax.optimization_barrier(jnp.tile(x, (*copies, 1, 1)))

    def _window(self, x: Array, start: Sequence[Any]) -> Array:
        """What the right pixels ``slot + s p`` of a plane hold, of a doubled array."""
        axis = x.ndim - 4
        if not self._is_one_for_all(x):
            steps = [scale(own.left, own.right) for own in self.axes]
            sizes = [s * (own.left - 1) + 1 for s, own in zip(steps, self.axes, strict=True)]
            begin = [0] * x.ndim
            begin[axis : axis + 2] = start
            x = lax.dynamic_slice(x, begin, (*x.shape[:axis], *sizes, *x.shape[axis + 2 :]))
            if steps != [1, 1]:
                x = x[..., :: steps[0], :: steps[1], :, :]
        return x[..., None, :, None, :, :, :]

    def _readouts(self, values: list[_Value], weights: Sequence[Weights], slot: Any) -> list[Array]:
        """The readouts of all planes, or of one."""
        if not weights:
            return []
        found: list[Array | None] = [None] * len(weights)
        for source in dict.fromkeys(self.body.readouts):
            of = [i for i, v in enumerate(self.body.readouts) if v == source]
            rows, columns = (
                jnp.stack([weights[i][axis] for i in of]).astype(self.dtype) for axis in (0, 1)
            )
            if slot is not None:
                rows, columns = rows[:, slot[0]], columns[:, slot[1]]
            x, border = values[source]
            rows, columns = (
                jnp.pad(part, [(0, 0)] * (part.ndim - 1) + [edge])
                for part, edge in zip((rows, columns), border, strict=True)
            )
            x = x.reshape(x.shape[0] * x.shape[1], x.shape[2] * x.shape[3], *x.shape[4:])
            x = jnp.broadcast_to(x, (*x.shape[:2], *self.pairs))
            read = weighed(x, rows.reshape(len(of), -1), columns.reshape(len(of), -1))
            for i, value in zip(of, read, strict=True):
                found[i] = value[None, None]
        return [value for value in found if value is not None]


def _under_left(x: Array) -> Array:
    """An array over left pixels beside all pairs of pixels."""
    return x[..., None, :, None, :, :, :]


def _planes(x: Array, axes: Sequence[Axis]) -> Array:
    """``[rows, columns, *pairs]`` with an axis for slots and one for pixels in each."""
    rows, columns = axes
    return x.reshape(len(rows.slots), rows.left, len(columns.slots), columns.left, *x.shape[2:])


def _plane_of(x: Array, axes: Sequence[Axis], at: Sequence[Any]) -> Array:
    """One plane of ``[rows, columns, *pairs]``; given axes for its slots, XLA would copy it all."""
    h, w = (axis.left for axis in axes)
    start = (h * at[0], w * at[1], *[0] * (x.ndim - 2))
    return lax.dynamic_slice(x, start, (h, w, *x.shape[2:]))[None, :, None]
