"""`KernelTable`: the kernels of several networks from one pass over the pairs."""

from __future__ import annotations

import json
import re
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, ClassVar, Generic, TypeVar, cast

import numpy as np

from kernas.errors import ArchitectureError, ConfigurationError

from .architecture import Architecture, Normalize
from .augmentation import (
    Augmentation,
    Augmented,
    augmented,
    checked_augment,
    identity_of_augment,
    views_of,
)
from .engine import (
    DEFAULT_TILE_BYTES,
    Blocking,
    KernelPlan,
    TileShape,
    grams,
    kernel_plan,
    prepare,
    resolved,
    tile_shape,
)
from .finite_values import RangeCheck
from .interface import (
    Get,
    Kernels,
    check_bytes,
    check_equal_shapes,
    checked_get,
    checked_images,
    names_of,
    wanted,
)
from .kernel import Backend, Inputs, PreparedImages, engine_settings, request_of
from .program import Program, lower_together

Key = TypeVar("Key", bound=Hashable)

FILE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]*")


@lru_cache(maxsize=64)
def _lower(networks: tuple[Architecture, ...], image_shape: tuple[int, ...]) -> Program:
    return lower_together(networks, image_shape)


@dataclass(frozen=True, eq=False)
class KernelTable(Generic[Key]):
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
        blocking: how the engine cuts its work; by default chosen from a short measurement.
        augment: :class:`Flip`, :class:`Translate` or a tuple of both, of every network.

    Raises:
        ConfigurationError: there are no networks, or ``get``, ``tile_bytes`` or ``augment`` is not
            usable.
        ArchitectureError: a network normalises over a batch.
    """

    networks: Mapping[Key, Architecture]
    get: Get | tuple[Get, ...] = ("nngp", "ntk")
    tile_bytes: int = DEFAULT_TILE_BYTES
    blocking: Blocking | None = None
    augment: Augmentation | tuple[Augmentation, ...] = ()

    backend: ClassVar[Backend] = "kernas"

    def __post_init__(self) -> None:
        object.__setattr__(self, "get", names_of(checked_get(self.get)))
        check_bytes(self.tile_bytes, "tile_bytes")
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
    def needs_bind(self) -> bool:
        """Never: networks that normalise over a batch are refused."""
        return False

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
        x = checked_images(x, "x")
        shape = x.shape[1:]
        program, tile = self._program(shape), self._tiles(shape)
        views = tuple(views_of(x, self._augmented(shape)[0].views))
        recorded = tuple(
            prepare(program, view, None, tile=tile, with_tangent=self._tangent) for view in views
        )
        for view, images in zip(views, recorded, strict=True):
            self._range(shape).images(program, view, images, None)
        return PreparedImages(recorded, program, None, self._tangent)

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
        left, right = (
            x if x is None or isinstance(x, PreparedImages) else self.prepare(x) for x in (x1, x2)
        )
        assert left is not None
        if right is not None:
            check_equal_shapes(left._program.image_shape, right._program.image_shape)
        shape = left._program.image_shape
        program, how = self._program(shape), self._augmented(shape)
        for side in (left, right or left):
            side.check_fit(program, None, views=how[0].views, tangent=self._tangent)
        both = any(one.both for one in how)
        requests = [request_of(left, right, both=both)]
        (matrices,) = grams(
            program, requests, None, tile=self._tiles(shape), with_tangent=self._tangent
        )
        self._range(shape).matrices(requests[0], matrices, None)
        kernels = (cast(Kernels, wanted(self.get, K, T)) for K, T in matrices)
        return dict(zip(self.networks, kernels, strict=True))

    def named(self, x1: Inputs, x2: Inputs | None = None) -> dict[str, np.ndarray]:
        """The kernels of all pairs by :attr:`names`, as a Gram store keeps them."""
        found = self(x1, x2).values()
        matrices = [getattr(kernels, name) for kernels in found for name in self.get]
        return dict(zip(self.names, matrices, strict=True))

    def plan(self, image_shape: Sequence[int]) -> KernelPlan:
        """What will be computed for a pair of images, and what it costs; computes nothing.

        Args:
            image_shape: ``(height, width, channels)`` or ``(features,)``.

        Raises:
            ConfigurationError: not even one pair fits into ``tile_bytes``.
            ArchitectureError: a network does not fit the images.
        """
        shape = tuple(image_shape)
        return kernel_plan(
            self._program(shape),
            self._blocking(shape),
            self._tiles(shape),
            with_tangent=self._tangent,
            evaluations=max(one.evaluations for one in self._augmented(shape)),
        )

    def identity(self) -> dict[str, Any]:
        """Which functions of images these are, as JSON values; beside it, :meth:`settings`.

        Raises:
            ConfigurationError: as for :attr:`names`.
        """
        networks = zip(self._labels(), self.networks.values(), strict=True)
        return {
            "kernels": list(self.names),
            "architectures": {
                label: {"hash": network.hash, **json.loads(network.to_json())}
                for label, network in networks
            },
            "bound": None,
            **identity_of_augment(self.augment),
        }

    def settings(self, image_shape: Sequence[int]) -> dict[str, Any]:
        """What decides the last digits of a result: see :meth:`NeuralKernel.settings`."""
        shape = tuple(image_shape)
        return engine_settings(self._blocking(shape), self._tiles(shape), self.tile_bytes)

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

    def _augmented(self, shape: tuple[int, ...]) -> list[Augmented]:
        augment = checked_augment(self.augment)
        return [augmented(network, augment, shape) for network in self.networks.values()]

    def _program(self, shape: tuple[int, ...]) -> Program:
        return _lower(tuple(one.architecture for one in self._augmented(shape)), shape)

    def _range(self, shape: tuple[int, ...]) -> RangeCheck:
        networks = (one.architecture for one in self._augmented(shape))
        return RangeCheck(dict(zip(self.networks, networks, strict=True)), shape, self._tangent)

    def _blocking(self, shape: tuple[int, ...]) -> Blocking:
        return resolved(self._program(shape), self.blocking, with_tangent=self._tangent)

    def _tiles(self, shape: tuple[int, ...]) -> TileShape:
        return tile_shape(
            self._program(shape),
            self.tile_bytes,
            0,
            blocking=self._blocking(shape),
            with_tangent=self._tangent,
        )
