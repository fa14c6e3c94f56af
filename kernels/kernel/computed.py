"""What kernels of one network and of several say of how they are computed."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Self

from ..architecture import Architecture
from ..engine import Blocking, KernelPlan, WayName
from .computation import Computation


def identity_of_network(network: Architecture) -> dict[str, Any]:
    """A network in the identity of its kernel, as JSON values."""
    return {"hash": network.hash, **json.loads(network.to_json())}


class ComputedKernel(ABC):
    """Kernels that a backend computes, frozen dataclasses with a field ``blocking``."""

    @property
    @abstractmethod
    def _computation(self) -> Computation:
        """The networks, and what is decided of their computation."""

    @property
    @abstractmethod
    def _tangent(self) -> bool:
        """Whether the tangent kernel is the kernel's own choice."""

    @property
    def packages(self) -> tuple[str, ...]:
        """Packages beside JAX and NumPy whose versions may move the last digits of a result."""
        return self._computation.backend.packages

    def with_blocking(self, blocking: Blocking) -> Self:
        """The same kernel, its work cut as said."""
        changed: Any = self
        return replace(changed, blocking=blocking)

    def way(self, image_shape: Sequence[int]) -> WayName:
        """The way in which the own engine computes the networks unless :attr:`blocking` says
        otherwise; measures nothing.

        Args:
            image_shape: ``(height, width, channels)`` or ``(features,)``.

        Returns:
            ``"planes"``, ``"whole"`` or ``"stream"``.

        Raises:
            ArchitectureError: a network does not fit the images.
        """
        return self._computation.way(image_shape)

    def plan(self, image_shape: Sequence[int]) -> KernelPlan:
        """What will be computed for a pair of images, and what it costs; computes nothing.

        Args:
            image_shape: ``(height, width, channels)`` or ``(features,)``.

        Raises:
            ConfigurationError: another backend computes the kernel, or not even one pair fits into
                ``tile_bytes``.
            ArchitectureError: the network does not fit the images.
        """
        return self._computation.plan(image_shape, self._tangent)

    def pair_bytes(self, image_shape: Sequence[int]) -> int:
        """Bytes of intermediate results that a pair of images takes at most.

        Raises:
            ConfigurationError, ArchitectureError: as for :meth:`plan`.
        """
        return self._computation.pair_bytes(image_shape, self._tangent)

    def settings(self, image_shape: Sequence[int]) -> dict[str, Any]:
        """What decides the last digits of a result, for a record beside it.

        Args:
            image_shape: ``(height, width, channels)`` or ``(features,)``.

        Returns:
            ``backend``; ``dtype``; ``tile_bytes``; of neural-tangents ``tile_side``, of the own
            engine ``blocking``, ``tile_rows``, ``tile_columns`` and ``record_chunk``: the most
            images on the sides of a tile and in a chunk of records.
        """
        return self._computation.settings(image_shape, self._tangent)
