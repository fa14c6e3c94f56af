"""`KernelTable`: the kernels of several networks from one pass over the pairs."""

from __future__ import annotations

import re
from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar, cast

import numpy as np

from kernas.errors import ArchitectureError, ConfigurationError

from ..architecture import Architecture, Normalize
from ..augmentation import Augmentation, checked_augment, identity_of_augment
from ..backends import BACKENDS, BackendName, check_backend
from ..engine import DEFAULT_TILE_BYTES, Blocking
from ..interface import Get, Kernels, check_bytes, checked_get, names_of, wanted
from .computation import Computation
from .computed import ComputedKernel, identity_of_network
from .prepared import Inputs, PreparedImages

Key = TypeVar("Key", bound=Hashable)

FILE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]*")


@dataclass(frozen=True, eq=False)
class KernelTable(ComputedKernel, Generic[Key]):
    """Kernels of networks that have layers in common, each common layer computed once.

    Depths are prefixes of one chain, and every readout is a weighting of the same moment: a local
    average pool of radius ``c`` weighs the pairs of pixels along each axis by
    ``#{i : |i − p| <= c and |i − q| <= c} / (side (2c + 1)²)`` (Li et al. 2019, section 4.2). So
    the layers of all depths and windows are computed once; ``docs/engine.md`` has the times::

        body = [Conv(3, W_std=2**0.5), Relu()]
        networks = {
            (depth, c): serial(*body * depth, LocalAvgPool(c), Dense())
            for depth in (5, 8, 11, 14)
            for c in (0, 4, 8)
        }
        kernels = KernelTable(networks)(x)
        kernels[5, 4].ntk

    Args:
        networks: by any key. They need not be alike; what is equal up to some layer is shared.
        get: the kernels that are wanted.
        tile_bytes: bound on the bytes of intermediate results that are held at a time.
        backend: ``"kernas"``, or ``"neural-tangents"``, which shares no layers: it computes one
            network after the other, and refuses what :class:`NeuralKernel` does with it.
        blocking: how the own engine cuts its work; by default chosen from a short measurement.
        augment: :class:`Flip`, :class:`Translate` or a tuple of both, of every network.

    Raises:
        ConfigurationError: there are no networks, or ``get``, ``tile_bytes``, ``backend`` or
            ``augment`` is not usable.
        MissingDependencyError: the backend is not installed.
        ArchitectureError: a network normalises over a batch.
    """

    networks: Mapping[Key, Architecture]
    get: Get | tuple[Get, ...] = ("nngp", "ntk")
    tile_bytes: int = DEFAULT_TILE_BYTES
    backend: BackendName = "kernas"
    blocking: Blocking | None = None
    augment: Augmentation | tuple[Augmentation, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "get", names_of(checked_get(self.get)))
        check_bytes(self.tile_bytes, "tile_bytes")
        check_backend(self.backend)
        object.__setattr__(self, "augment", checked_augment(self.augment))
        object.__setattr__(self, "networks", dict(self.networks))
        if not self.networks:
            raise ConfigurationError("networks={}: expected at least one architecture")
        for key, network in self.networks.items():
            if not isinstance(network, Architecture):
                raise ConfigurationError(
                    f"networks[{key!r}] is {network!r}: expected an Architecture, serial(...)"
                )
            if any(isinstance(node.layer, Normalize) for node in network.nodes):
                raise ArchitectureError(
                    f"networks[{key!r}] normalises over a batch: its kernel needs reference "
                    "images; use NeuralKernel(architecture).bind(x_train)"
                )

    @property
    def names(self) -> tuple[str, ...]:
        """What a Gram store calls the kernels: a network's label, a slash, and the kernel.

        A label is the key, the parts of a tuple joined by hyphens: ``5-4/ntk``.

        Raises:
            ConfigurationError: a label is not unique, or cannot be the name of a file.
        """
        return tuple(f"{label}/{name}" for label in self._labels() for name in self.get)

    def prepare(self, x: np.ndarray) -> PreparedImages:
        """Do once what the kernels need of each image, for images that stand in several calls.

        Args:
            x: ``(n, height, width, channels)`` or ``(n, features)``.

        Raises:
            DataError: the images have NaN or the wrong number of axes.
            ArchitectureError: a network does not fit the images.
            KernelRangeError: as for a call.
        """
        return self._computation.prepare(x, self._tangent)

    def __call__(self, x1: Inputs, x2: Inputs | None = None) -> dict[Key, Kernels]:
        """The kernels of all pairs.

        Args:
            x1: ``(n1, height, width, channels)`` or ``(n1, features)``, or prepared images.
            x2: ``(n2, …)``; ``None`` for ``x1`` itself, of which one triangle is computed.

        Returns:
            For each key both kernels ``(n1, n2)``, ``None`` for one that was not asked for.

        Raises:
            DataError: the images have NaN, their shapes differ, or they were prepared by another
                kernel.
            ArchitectureError: a network does not fit the images.
            KernelRangeError: a kernel overflows, or is zero where its network is not; the message
                names the network and its layer.
        """
        (matrices,) = self._computation.matrices([(x1, x2)], self._tangent)
        kernels = (cast(Kernels, wanted(self.get, K, T)) for K, T in matrices)
        return dict(zip(self.networks, kernels, strict=True))

    def named(self, x1: Inputs, x2: Inputs | None = None) -> dict[str, np.ndarray]:
        """The kernels of all pairs by :attr:`names`, as a Gram store keeps them."""
        found = self(x1, x2).values()
        matrices = [getattr(kernels, name) for kernels in found for name in self.get]
        return dict(zip(self.names, matrices, strict=True))

    def identity(self) -> dict[str, Any]:
        """Which functions of images these are, as JSON values; beside it, :meth:`settings`.

        Raises:
            ConfigurationError: as for :attr:`names`.
        """
        networks = zip(self._labels(), self.networks.values(), strict=True)
        return {
            "kernels": list(self.names),
            "architectures": {label: identity_of_network(network) for label, network in networks},
            "bound": None,
            **identity_of_augment(self.augment),
        }

    @property
    def _tangent(self) -> bool:
        return "ntk" in self.get

    def _labels(self) -> list[str]:
        labels = [
            "-".join(map(str, key)) if isinstance(key, tuple) else str(key) for key in self.networks
        ]
        for number, label in enumerate(labels):
            if not FILE_NAME.fullmatch(label) or label in labels[:number]:
                raise ConfigurationError(
                    f"networks have the label {label!r}, made of its key: expected different ones "
                    "of letters, digits, '.', '_', '+' and '-', which files are named by"
                )
        return labels

    @property
    def _computation(self) -> Computation:
        return Computation(
            cast(Mapping[Hashable | None, Architecture], self.networks),
            BACKENDS[self.backend],
            self.tile_bytes,
            self.blocking,
            checked_augment(self.augment),
        )
