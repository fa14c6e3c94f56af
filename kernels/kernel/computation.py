"""How the kernels of one network or of several come about: the way from images to matrices."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from kernas.errors import ConfigurationError

from ..architecture import Architecture
from ..augmentation import Augmentation, Augmented, augmented, views_of
from ..backends import Backend, Work
from ..engine import (
    Blocking,
    KernelPlan,
    Matrix,
    SharedPrograms,
    Statistics,
    WayName,
    way_of,
)
from ..finite_values import RangeCheck
from ..interface import check_equal_shapes, checked_images
from ..program import Program, lower, lower_together
from .prepared import Inputs, PreparedImages, request_of
from .reference import Bound, statistics_for

Shape = tuple[int, ...]


@lru_cache(maxsize=256)
def _lowered(networks: tuple[Architecture, ...], image_shape: Shape) -> Program:
    if len(networks) == 1:
        return lower(networks[0], image_shape)
    return lower_together(networks, image_shape)


@dataclass(frozen=True, eq=False)
class Computation:
    """Networks, and what is decided of the computation of their kernels.

    Attributes:
        networks: by what messages call them; ``None`` for the only one.
        backend: what computes them.
        tile_bytes: bound on the bytes of intermediate results.
        blocking: how the user has the work cut.
        augment: transformations that the kernels are means over.
        bound: the reference images, if there are any.
        programs: what is compiled for several networks, if it is given.
    """

    networks: Mapping[Hashable | None, Architecture]
    backend: Backend
    tile_bytes: int
    blocking: Blocking | None
    augment: tuple[Augmentation, ...]
    bound: Bound | None = None
    programs: SharedPrograms | None = None

    def program(self, image_shape: Shape) -> Program:
        """The networks lowered together, once the backend is known to express each.

        Raises:
            DataError: vectors cannot be augmented.
            ArchitectureError: a network does not fit the images, allows no such augmentation, or
                cannot be expressed.
        """
        networks = self._computed(image_shape)
        program = _lowered(networks, image_shape)
        for network in networks:
            self.backend.check(network, image_shape)
        return program

    def bind(
        self, x: np.ndarray, *, n_reference: int, seed: int, max_bytes: int, tangent: bool
    ) -> Bound:
        """Reference images, drawn without repetition, and their statistics.

        Raises:
            ConfigurationError: ``n_reference`` is not positive, or does not fit.
            KernelRangeError: the statistics overflow or vanish.
        """
        if not isinstance(n_reference, int) or n_reference < 1:
            raise ConfigurationError(
                f"n_reference={n_reference!r}: expected a positive number of images"
            )
        x = checked_images(x, "x_train")
        shape = x.shape[1:]
        program = self.program(shape)
        x = x.reshape(len(x), *program.image_shape)
        chosen = np.random.default_rng(seed).permutation(len(x))[:n_reference]
        reference = x[np.sort(chosen)]
        if not program.needs_reference:
            return Bound(None, reference, seed)
        work = self._work(program, None, tangent)
        statistics = self.backend.bind(work, reference, max_bytes=max_bytes)
        self._range(shape, tangent).bound(program, reference, statistics)
        return Bound(statistics, reference, seed)

    def compile(
        self,
        image_shape: Sequence[int],
        n_train: int,
        n_test: int,
        *,
        n_reference: int,
        tangent: bool,
    ) -> Future[None]:
        """Begin to compile what will be run; see :meth:`NeuralKernel.compile`."""
        work = self._planned(image_shape, tangent)
        how = self._augmented(work.program.image_shape)
        views = how[0].views
        n_images = n_train * views + n_test * (views if any(one.both for one in how) else 1)
        bound = min(n_reference, n_train) if work.program.needs_reference else 0
        return self.backend.compile(work, n_reference=bound, n_images=n_images)

    def prepare(self, x: np.ndarray, tangent: bool) -> PreparedImages:
        """Do what is needed of each image by itself.

        Raises:
            UnboundKernelError, DataError, ArchitectureError, KernelRangeError: as for a call of
                :class:`NeuralKernel`.
        """
        x = checked_images(x, "x")
        shape = x.shape[1:]
        work, check = self._ready(shape, tangent), self._range(shape, tangent)
        x = x.reshape(len(x), *work.program.image_shape)
        views = tuple(views_of(x, self._augmented(shape)[0].views))
        prepared = tuple(self.backend.prepare(work, view) for view in views)
        for view, images in zip(views, prepared, strict=True):
            check.images(work.program, view, images, work.statistics)
        return PreparedImages(prepared, work, self.backend)

    def matrices(
        self, requests: Sequence[tuple[Inputs, Inputs | None]], tangent: bool
    ) -> list[list[Matrix]]:
        """For each pair of sets of images ``K`` and ``Θ`` of every network.

        Args:
            requests: images of the rows and of the columns; ``None`` for the rows' own.
            tangent: whether ``Θ`` is wanted.

        Raises:
            UnboundKernelError, DataError, ArchitectureError, KernelRangeError: as for a call of
                :class:`NeuralKernel`.
        """

        def made(x: Inputs) -> PreparedImages:
            return x if isinstance(x, PreparedImages) else self.prepare(x, tangent)

        prepared = [(made(x1), None if x2 is None else made(x2)) for x1, x2 in requests]
        shape = prepared[0][0].image_shape
        sides = [side for pair in prepared for side in pair if side is not None]
        for side in sides:
            check_equal_shapes(shape, side.image_shape)
        work, how = self._ready(shape, tangent), self._augmented(shape)
        for side in sides:
            side.check_fit(self.backend, work, views=how[0].views)
        both = any(one.both for one in how)
        asked = [request_of(left, right, both=both) for left, right in prepared]
        found, check = self.backend.grams(work, asked), self._range(shape, tangent)
        for request, of_networks in zip(asked, found, strict=True):
            check.matrices(request, of_networks, work.statistics)
        return found

    def plan(self, image_shape: Sequence[int], tangent: bool) -> KernelPlan:
        """What would be computed for a pair of images; see :meth:`NeuralKernel.plan`."""
        work = self._planned(image_shape, tangent)
        evaluations = max(one.evaluations for one in self._augmented(work.program.image_shape))
        return self.backend.plan(work, evaluations=evaluations)

    def way(self, image_shape: Sequence[int]) -> WayName:
        """The way that is chosen for the networks; see :meth:`ComputedKernel.way`."""
        return way_of(self.program(tuple(image_shape)))

    def shares(self, image_shape: Sequence[int], tangent: bool) -> bool:
        """Whether the programs are those of several networks; see :meth:`NeuralKernel.shares`."""
        return self.backend.shares(self._planned(image_shape, tangent))

    def pair_bytes(self, image_shape: Sequence[int], tangent: bool) -> int:
        """Bytes of intermediate results for a pair of images."""
        return self.backend.pair_bytes(self._planned(image_shape, tangent))

    def settings(self, image_shape: Sequence[int], tangent: bool) -> dict[str, Any]:
        """What decides the last digits of a result; see :meth:`NeuralKernel.settings`."""
        return self.backend.settings(self._planned(image_shape, tangent))

    def _augmented(self, image_shape: Shape) -> list[Augmented]:
        """How the means over transformed images are computed."""
        return [augmented(one, self.augment, image_shape) for one in self.networks.values()]

    def _computed(self, image_shape: Shape) -> tuple[Architecture, ...]:
        """The networks as they are computed."""
        return tuple(one.architecture for one in self._augmented(image_shape))

    def _work(self, program: Program, statistics: Statistics | None, tangent: bool) -> Work:
        return Work(
            self._computed(program.image_shape),
            program,
            statistics,
            tangent,
            self.tile_bytes,
            self.blocking,
            self.programs,
        )

    def _ready(self, image_shape: Shape, tangent: bool) -> Work:
        """Work that can be done: with the statistics that it needs."""
        program = self.program(image_shape)
        statistics = statistics_for(program, self.bound, tangent=tangent)
        return self._work(program, statistics, tangent)

    def _planned(self, image_shape: Sequence[int], tangent: bool) -> Work:
        """Work that is looked at only: statistics may be missing still."""
        statistics = None if self.bound is None else self.bound.statistics
        return self._work(self.program(tuple(image_shape)), statistics, tangent)

    def _range(self, image_shape: Shape, tangent: bool) -> RangeCheck:
        networks = dict(zip(self.networks, self._computed(image_shape), strict=True))
        return RangeCheck(networks, image_shape, tangent)
