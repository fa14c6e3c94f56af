"""neural-tangents as second backend: Gram matrices of its kernels, in tiles."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from kernas.errors import ConfigurationError

from .._compat import import_neural_tangents
from ..architecture.graph import Architecture
from ..engine import (
    Images,
    KernelPlan,
    Matrix,
    Request,
    Statistics,
    TilesOfRow,
    balanced,
    fill_tiles,
)
from .base import Work
from .stax_network import Moments, Pixels, check_expressible, pair_bytes, pair_kernel


def tile_side(
    architecture: Architecture, image_shape: tuple[int, ...], tile_bytes: int, *, tangent: bool
) -> int:
    """The most images on each side of a tile whose pairs fit into a number of bytes.

    Raises:
        ConfigurationError: not even one pair fits.
    """
    per_pair = pair_bytes(architecture, image_shape, tangent=tangent)
    if tile_bytes < per_pair:
        raise ConfigurationError(
            f"tile_bytes={tile_bytes}: one pair of images of {image_shape} needs {per_pair} bytes "
            "in neural-tangents; give at least that, or use smaller images"
        )
    return math.isqrt(tile_bytes // per_pair)


@lru_cache(maxsize=64)
def _compiled(
    architecture: Architecture, image_shape: tuple[int, ...], tangent: bool
) -> Callable[[Array, Array], Moments]:
    return jax.jit(pair_kernel(architecture, image_shape, tangent=tangent))


@np.errstate(over="ignore", invalid="ignore")
def gram(
    architecture: Architecture,
    x1: np.ndarray,
    x2: np.ndarray | None,
    *,
    side: int,
    tangent: bool,
) -> tuple[np.ndarray, np.ndarray | None]:
    """``K`` and ``Θ`` of all pairs by neural-tangents, in tiles.

    Args:
        architecture: a network that passes :func:`check_expressible`.
        x1: images ``(n, height, width, channels)`` or vectors ``(n, features)``.
        x2: likewise, ``(n', …)``; ``None`` for ``x1`` itself, of which one triangle is computed.
        side: images on each side of a tile; the last tile is filled up with repetitions.
        tangent: whether ``Θ`` is wanted.

    Returns:
        Arrays ``(n, n')``; the second is ``None`` unless ``tangent``.
    """
    columns = x1 if x2 is None else x2
    dtype = jnp.result_type(float)
    kernel = _compiled(architecture, x1.shape[1:], tangent)
    K = np.zeros((len(x1), len(columns)), dtype)
    T = np.zeros_like(K) if tangent else None

    def tiles_of(row: np.ndarray) -> TilesOfRow:
        left = jnp.asarray(x1[row], dtype)
        return lambda col, _: kernel(left, jnp.asarray(columns[col], dtype))

    fill_tiles([K, T], tiles_of, rows=side, columns=side, symmetric=x2 is None)
    return K, T


@dataclass(frozen=True)
class NeuralTangents:
    """Computes networks of layers that it has, whose sums add what is uncorrelated."""

    name = "neural-tangents"
    packages = ("neural-tangents",)

    def require(self) -> None:
        import_neural_tangents()

    def check(self, network: Architecture, image_shape: Pixels) -> None:
        check_expressible(network, image_shape)

    def bind(self, work: Work, reference: np.ndarray, *, max_bytes: int) -> Statistics:
        """Never called: networks that normalise over a batch are refused.

        Raises:
            NotImplementedError: always.
        """
        raise NotImplementedError("neural-tangents takes no statistics over a batch")

    def prepare(self, work: Work, x: np.ndarray) -> Images:
        """The images alone: it has no part that depends on one of them only."""
        return Images(np.asarray(x, jnp.result_type(float)), {})

    def grams(self, work: Work, requests: Sequence[Request]) -> list[list[Matrix]]:
        return [
            [_mean_gram(network, request, work) for network in work.networks]
            for request in requests
        ]

    def shares(self, work: Work) -> bool:
        """Never: its programs are a network's own."""
        return False

    def compile(self, work: Work, *, n_reference: int, n_images: int) -> Future[None]:
        """Nothing: it compiles as it is called."""
        done: Future[None] = Future()
        done.set_result(None)
        return done

    def plan(self, work: Work, *, evaluations: int) -> KernelPlan:
        """Never: it leaves the order of work to XLA.

        Raises:
            ConfigurationError: always.
        """
        raise ConfigurationError(
            f"backend={self.name!r}: plans are the own engine's; use backend='kernas'"
        )

    def pair_bytes(self, work: Work) -> int:
        shape = work.program.image_shape
        return max(pair_bytes(network, shape, tangent=work.tangent) for network in work.networks)

    def settings(self, work: Work) -> dict[str, Any]:
        """``tile_side``, the most images on the sides of a tile."""
        return {
            "backend": self.name,
            "dtype": str(jnp.result_type(float)),
            "tile_bytes": work.tile_bytes,
            "tile_side": min(_side(network, work) for network in work.networks),
        }


def _side(network: Architecture, work: Work) -> int:
    return tile_side(network, work.program.image_shape, work.tile_bytes, tangent=work.tangent)


def _mean_gram(network: Architecture, request: Request, work: Work) -> Matrix:
    """The mean over the views that meet."""
    side = balanced(max(request.shape), _side(network, work))
    found = [
        gram(
            network,
            np.asarray(rows.pixels),
            None if columns is rows else np.asarray(columns.pixels),
            side=side,
            tangent=work.tangent,
        )
        for rows, columns in request.meetings
    ]
    K, T = (
        None if parts[0] is None else np.mean(parts, axis=0, dtype=parts[0].dtype)
        for parts in zip(*found, strict=True)
    )
    assert K is not None
    return K, T
