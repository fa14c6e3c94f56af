"""What computes kernels: what a backend is asked for, and what it has to do."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from ..architecture import Architecture
from ..engine import (
    Blocking,
    Images,
    KernelPlan,
    Matrix,
    Request,
    SharedPrograms,
    Statistics,
)
from ..program import Program


@dataclass(frozen=True, eq=False)
class Work:
    """Networks on images of one shape.

    Attributes:
        networks: as they are computed; an augmentation may have changed their readouts.
        program: all of them lowered together.
        statistics: of the reference images; ``None`` if no network normalises over a batch, or if
            the kernel is not bound yet.
        tangent: whether the tangent kernel is wanted.
        tile_bytes: bound on the bytes of intermediate results.
        blocking: how the user has the work cut; ``None`` leaves it to the backend.
        programs: what is compiled for several networks; a backend without such programs ignores
            it.
    """

    networks: tuple[Architecture, ...]
    program: Program
    statistics: Statistics | None
    tangent: bool
    tile_bytes: int
    blocking: Blocking | None
    programs: SharedPrograms | None = None


class Backend(Protocol):
    """A library that computes kernels of networks. Each is entered in ``BACKENDS``."""

    @property
    def name(self) -> str:
        """What users and records call it."""
        ...

    @property
    def packages(self) -> tuple[str, ...]:
        """What decides its results beside JAX and NumPy, for records of versions."""
        ...

    def require(self) -> None:
        """Import what it needs.

        Raises:
            MissingDependencyError: it is not installed; the message has the line that installs it.
        """
        ...

    def check(self, network: Architecture, image_shape: tuple[int, ...]) -> None:
        """Refuse a network, one that lowers, that it would compute wrongly or not at all.

        Raises:
            ArchitectureError: the message names the layers, and the way out.
        """
        ...

    def bind(self, work: Work, reference: np.ndarray, *, max_bytes: int) -> Statistics:
        """The statistics of reference images, for networks that normalise over a batch.

        Raises:
            ConfigurationError: the pairs of the images do not fit into ``max_bytes``.
        """
        ...

    def prepare(self, work: Work, x: np.ndarray) -> Images:
        """What is needed of each image by itself, computed once."""
        ...

    def grams(self, work: Work, requests: Sequence[Request]) -> list[list[Matrix]]:
        """For each request ``K`` and ``Θ`` of every network.

        Args:
            work: the networks.
            requests: of images that :meth:`prepare` made, for equal work.
        """
        ...

    def shares(self, work: Work) -> bool:
        """Whether it computes the work by the programs of several networks that the work names."""
        ...

    def compile(self, work: Work, *, n_reference: int, n_images: int) -> Future[None]:
        """Compile ahead what it can for so many reference images, and images in a call.

        Returns:
            At once; its ``result`` waits for the end, and raises what a compilation raised.
        """
        ...

    def plan(self, work: Work, *, evaluations: int) -> KernelPlan:
        """What would be computed for a pair of images, each evaluation of several alike.

        Raises:
            ConfigurationError: it does not tell, or not even one pair fits into ``tile_bytes``.
        """
        ...

    def pair_bytes(self, work: Work) -> int:
        """Bytes of intermediate results for a pair of images."""
        ...

    def settings(self, work: Work) -> dict[str, Any]:
        """What decides the last digits of a result, as JSON values."""
        ...
