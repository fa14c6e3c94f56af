"""`kernel_table`: the kernels of several networks from one pass over the pairs."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping
from typing import TypeVar, cast

import numpy as np

from kernas.errors import ArchitectureError, ConfigurationError

from .architecture import Architecture, Normalize
from .engine import (
    DEFAULT_TILE_BYTES,
    Blocking,
    grams,
    prepare,
    resolved,
    tile_shape,
)
from .interface import (
    Get,
    Kernels,
    check_equal_shapes,
    checked_get,
    checked_images,
    names_of,
    wanted,
)
from .program import lower_together

Key = TypeVar("Key", bound=Hashable)


def kernel_table(
    networks: Mapping[Key, Architecture],
    x1: np.ndarray,
    x2: np.ndarray | None = None,
    get: tuple[Get, ...] = ("nngp", "ntk"),
    *,
    tile_bytes: int = DEFAULT_TILE_BYTES,
    blocking: Blocking | None = None,
) -> dict[Key, Kernels]:
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
        kernels = kernel_table(networks, x)
        kernels[5, 4].ntk

    Args:
        networks: by any key. They need not be alike; what is equal up to some layer is shared.
        x1: ``(n1, height, width, channels)`` or ``(n1, features)``.
        x2: ``(n2, …)``; ``None`` for ``x1`` itself, of which one triangle is computed.
        get: the kernels that are wanted.
        tile_bytes: bound on the bytes of intermediate results that are held at a time.
        blocking: how the engine cuts its work; by default chosen from a short measurement.

    Returns:
        For each key both kernels ``(n1, n2)``, ``None`` for one that was not asked for.

    Raises:
        ConfigurationError: there are no networks, or ``get`` or ``tile_bytes`` is not usable.
        ArchitectureError: a network does not fit the images, or normalises over a batch.
        DataError: the images have NaN, or their shapes differ.
    """
    names = names_of(checked_get(tuple(get)))
    if not networks:
        raise ConfigurationError("networks={}: expected at least one architecture")
    for key, network in networks.items():
        if not isinstance(network, Architecture):
            raise ConfigurationError(
                f"networks[{key!r}] is {network!r}: expected an Architecture, serial(...)"
            )
        if any(isinstance(node.layer, Normalize) for node in network.nodes):
            raise ArchitectureError(
                f"networks[{key!r}] normalises over a batch: its kernel needs reference images; "
                "use NeuralKernel(architecture).bind(x_train)"
            )
    left = checked_images(x1, "x1")
    right = None if x2 is None else checked_images(x2, "x2")
    if right is not None:
        check_equal_shapes(left.shape[1:], right.shape[1:])
    program = lower_together(tuple(networks.values()), left.shape[1:])
    with_tangent = "ntk" in names
    chosen = resolved(program, blocking, with_tangent=with_tangent)
    tile = tile_shape(program, tile_bytes, 0, blocking=chosen, with_tangent=with_tangent)
    rows, columns = (
        None if x is None else prepare(program, x, None, tile=tile, with_tangent=with_tangent)
        for x in (left, right)
    )
    assert rows is not None
    request = rows, columns
    (matrices,) = grams(program, [request], None, tile=tile, with_tangent=with_tangent)
    kernels = (wanted(names, K, T) for K, T in matrices)
    return dict(zip(networks, cast("Iterator[Kernels]", kernels), strict=True))
