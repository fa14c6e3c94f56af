"""The engine of this package as a backend."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import jax.numpy as jnp
import numpy as np

from ..architecture import Architecture
from ..engine import (
    Blocking,
    Images,
    KernelPlan,
    Matrix,
    Request,
    Statistics,
    TileShape,
    bind,
    grams,
    kernel_plan,
    prepare,
    resolved,
    tile_shape,
)
from .base import Work


@dataclass(frozen=True)
class OwnEngine:
    """Computes every network that lowers."""

    name = "kernas"
    packages = ()

    def require(self) -> None:
        """Nothing that the package does not depend on."""

    def check(self, network: Architecture, image_shape: tuple[int, ...]) -> None:
        """Refuse nothing: lowering did."""

    def bind(self, work: Work, reference: np.ndarray, *, max_bytes: int) -> Statistics:
        return bind(
            work.program,
            reference,
            blocking=_blocking(work),
            max_bytes=max_bytes,
            with_tangent=work.tangent,
        )

    def prepare(self, work: Work, x: np.ndarray) -> Images:
        return prepare(
            work.program, x, work.statistics, tile=_tile(work), with_tangent=work.tangent
        )

    def grams(self, work: Work, requests: Sequence[Request]) -> list[list[Matrix]]:
        return grams(
            work.program, requests, work.statistics, tile=_tile(work), with_tangent=work.tangent
        )

    def plan(self, work: Work, *, evaluations: int) -> KernelPlan:
        return kernel_plan(
            work.program,
            _blocking(work),
            _tile(work),
            with_tangent=work.tangent,
            evaluations=evaluations,
        )

    def pair_bytes(self, work: Work) -> int:
        return _tile(work).pair_bytes

    def settings(self, work: Work) -> dict[str, Any]:
        """``blocking``, and the most images on the sides of a tile and in a chunk of records."""
        tile = _tile(work)
        return {
            "backend": self.name,
            "dtype": str(jnp.result_type(float)),
            "tile_bytes": work.tile_bytes,
            "blocking": asdict(_blocking(work)),
            "tile_rows": tile.rows,
            "tile_columns": tile.columns,
            "record_chunk": tile.chunk,
        }


def _blocking(work: Work) -> Blocking:
    return resolved(work.program, work.blocking, with_tangent=work.tangent)


def _tile(work: Work) -> TileShape:
    return tile_shape(
        work.program,
        work.tile_bytes,
        0 if work.statistics is None else len(work.statistics.reference),
        blocking=_blocking(work),
        with_tangent=work.tangent,
    )
