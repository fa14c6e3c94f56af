"""Which pairs of pixels a moment holds, one axis of the images at a time.

A moment ``K[p, q]`` is needed at some displacements ``d = q − p`` only, and a convolution of stride
1 moves both pixels together, so it never leaves a displacement. An :class:`Axis` therefore keeps
its pairs by displacement: *slots* of ``(p, (p + d) mod M)`` for every ``p``. With a modulus ``M``
that is larger than the axis, a slot holds the diagonals ``d`` and ``d − M`` one after the other,
and between them stand pairs whose right pixel is outside the image: the zeros that a window at the
edge reads. So all ``2H − 1`` displacements of an axis fit into ``H + r`` slots, ``r`` being the
reach of a window. The pairs of an image are the product of the pairs of its two axes.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np

from ..architecture.layers import AvgPool, Conv, GlobalAvgPool
from ..architecture.pools import pooling_divisor
from ..architecture.windows import output_size, stride_of, tap_offsets

OUTSIDE = -1


def scale(left: int, right: int) -> int:
    """How many pixels of the right image one of the left image stands for.

    More than one while a pool of some stride has been taken on the left side only.
    """
    return max(1, round(right / left)) if left > 1 else 1


@dataclass(frozen=True)
class Axis:
    """The pairs of pixels that a moment holds along one axis.

    Attributes:
        left: pixels of the left image.
        right: pixels of the right image.
        modulus: ``M``, at least ``right``.
        diagonals: the displacements ``q − s p`` that are needed, in order, ``s`` being the
            :func:`scale` of the two images.
    """

    left: int
    right: int
    modulus: int
    diagonals: tuple[int, ...]

    @cached_property
    def slots(self) -> tuple[int, ...]:
        """Displacements modulo ``M``, in order: ``i`` holds ``(p, (s p + slots[i]) mod M)``."""
        return tuple(sorted({d % self.modulus for d in self.diagonals}))

    @property
    def copies(self) -> int:
        """How often a side of ``M`` pixels is put beside itself, so that every slot's right pixels,
        ``slots[i] + s p``, are there in order."""
        farthest = self.modulus - 1 + scale(self.left, self.right) * (self.left - 1)
        return farthest // self.modulus + 1

    @property
    def length(self) -> int:
        """Pairs in all slots, those outside included."""
        return len(self.slots) * self.left

    @cached_property
    def partners(self) -> np.ndarray:
        """``q`` of each pair, ``(slots, left)``; :data:`OUTSIDE` where the right image ends."""
        q = (self._moved + np.array(self.slots, int)[:, None]) % self.modulus
        return np.where(q < self.right, q, OUTSIDE)

    @cached_property
    def valid(self) -> np.ndarray:
        """Which pairs are needed, ``(slots, left)``: those of :attr:`diagonals`."""
        displacement = self.partners - self._moved
        return np.isin(displacement, self.diagonals) & (self.partners != OUTSIDE)

    @property
    def _moved(self) -> np.ndarray:
        return scale(self.left, self.right) * np.arange(self.left)

    def position(self, p: np.ndarray, q: np.ndarray) -> np.ndarray:
        """Where pairs stand among :attr:`length`; :data:`OUTSIDE` for those that are not held."""
        displacement = q - scale(self.left, self.right) * p
        inside = (p != OUTSIDE) & (q != OUTSIDE) & np.isin(displacement, self.diagonals)
        slot = np.searchsorted(self.slots, displacement % self.modulus)
        return np.where(inside, slot * self.left + p, OUTSIDE)

    def within(self, other: Axis) -> tuple[int, ...]:
        """The slots of another axis of the same modulus that hold these slots."""
        return tuple(other.slots.index(slot) for slot in self.slots)


@dataclass(frozen=True)
class AxisMap:
    """What a linear instruction does along an axis.

    ``y[p, q] = weight[p, q] · Σ_k x[left[k, p], right[k, q]]``.

    Attributes:
        left: for each tap the pixel that it reads for each left output, ``(taps, outputs)``.
        right: likewise for right outputs.
        weight: of each output pair, ``(left outputs, right outputs)``.
        before: sizes of the left and right image that it reads.
    """

    left: np.ndarray
    right: np.ndarray
    weight: np.ndarray
    before: tuple[int, int]

    def reads(self, diagonals: Iterable[int]) -> set[int]:
        """Displacements that some output pair at one of ``diagonals`` reads."""
        wanted = np.isin(self._displacements(), list(diagonals))
        p, q = self.left[:, :, None], self.right[:, None, :]
        read = wanted & (p != OUTSIDE) & (q != OUTSIDE)
        return set(np.unique((q - scale(*self.before) * p)[read]).tolist())

    def pulled_back(self, weights: np.ndarray) -> np.ndarray:
        """The functional ``Σ weights · y`` as one of ``x``: the weights of its pairs."""
        pulled = np.zeros(self.before)
        p, q = np.broadcast_arrays(self.left[:, :, None], self.right[:, None, :])
        read = (p != OUTSIDE) & (q != OUTSIDE)
        share = np.broadcast_to(weights * self.weight, p.shape)
        np.add.at(pulled, (p[read], q[read]), share[read])
        return pulled

    def gathers(self, source: Axis, out: Axis) -> tuple[np.ndarray, np.ndarray]:
        """For every tap the position that each output pair reads, and the outputs' weights."""
        p = np.broadcast_to(np.arange(out.left), out.partners.shape).ravel()
        q = out.partners.ravel()
        valid = out.valid.ravel()
        read = np.stack(
            [
                source.position(
                    np.where(valid, left[p], OUTSIDE), np.where(valid, right[q], OUTSIDE)
                )
                for left, right in zip(self.left, self.right, strict=True)
            ]
        )
        return read, np.where(valid, self.weight[p, q], 0)

    def _displacements(self) -> np.ndarray:
        outputs = self.weight.shape
        return np.arange(outputs[1]) - scale(*outputs) * np.arange(outputs[0])[:, None]


def tap_map(layer: Conv, axis: int, left: int, right: int) -> AxisMap:
    """Of a convolution: a tap moves both pixels together, and taps have equal weights."""
    taps = _taps(layer, axis, left), _taps(layer, axis, right)
    weight = np.full((taps[0].shape[1], taps[1].shape[1]), 1 / len(taps[0]))
    return AxisMap(*taps, weight, (left, right))


def pool_map(
    layer: AvgPool | GlobalAvgPool, axis: int, left: int, right: int, side: int
) -> AxisMap:
    """Of a pool on one side: its taps move that side's pixel only."""
    size, other = (left, right) if side == 0 else (right, left)
    if isinstance(layer, GlobalAvgPool):
        taps, share = np.arange(size)[:, None], np.array([1 / size])
    else:
        taps = _taps(layer, axis, size)
        share = 1 / pooling_divisor(layer, axis, size)
    still = np.broadcast_to(np.arange(other), (len(taps), other))
    if side == 0:
        weight = np.broadcast_to(share[:, None], (len(share), other))
        return AxisMap(taps, still, weight, (left, right))
    return AxisMap(still, taps, np.broadcast_to(share, (other, len(share))), (left, right))


def flatten_map(left: int) -> AxisMap:
    """Of ``Flatten``: the mean over equal pixels."""
    taps = np.arange(left)[:, None]
    return AxisMap(taps, taps, np.full((1, 1), 1 / left), (left, left))


def _taps(layer: Conv | AvgPool, axis: int, size: int) -> np.ndarray:
    """The pixel under each tap for each output, ``(taps, outputs)``."""
    rows = output_size(type(layer).__name__, layer, axis, size)
    offsets = np.array(tap_offsets(layer, axis, size))
    read = stride_of(layer)[axis] * np.arange(rows) + offsets[:, None]
    if layer.padding == "CIRCULAR":
        return read % size
    return np.where((read >= 0) & (read < size), read, OUTSIDE)


@lru_cache(maxsize=4096)
def shared_modulus(least: int, needed: frozenset[int]) -> int:
    """The modulus from ``least`` on, at most 7 more, that puts displacements into fewest slots."""
    return min(range(least, least + 8), key=lambda m: (len({d % m for d in needed}), m))
