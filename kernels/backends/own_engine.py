"""The engine of this package as a backend."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import asdict, dataclass
from typing import Any

import jax.numpy as jnp
import numpy as np

from ..architecture import Architecture
from ..engine import (
    Execution,
    Images,
    KernelPlan,
    Matrix,
    Request,
    Statistics,
    TileShape,
    bind,
    compile_ahead,
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
        return bind(_execution(work), reference, max_bytes=max_bytes)

    def prepare(self, work: Work, x: np.ndarray) -> Images:
        return prepare(_execution(work), x, work.statistics, tile=_tile(work))

    def grams(self, work: Work, requests: Sequence[Request]) -> list[list[Matrix]]:
        return grams(_execution(work), requests, work.statistics, tile=_tile(work))

    def shares(self, work: Work) -> bool:
        return _execution(work).shared is not None

    def compile(self, work: Work, *, n_reference: int, n_images: int) -> Future[None]:
        execution = _execution(work)
        tile = tile_shape(execution, work.tile_bytes, n_reference)
        return compile_ahead(execution, tile, n_reference=n_reference, n_images=n_images)

    def plan(self, work: Work, *, evaluations: int) -> KernelPlan:
        execution, tile = _execution(work), _tile(work)
        return kernel_plan(
            execution.program,
            execution.blocking,
            tile,
            with_tangent=execution.with_tangent,
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
            "blocking": asdict(_execution(work).blocking),
            "tile_rows": tile.rows,
            "tile_columns": tile.columns,
            "record_chunk": tile.chunk,
        }


def _execution(work: Work) -> Execution:
    blocking = resolved(work.program, work.blocking, with_tangent=work.tangent)
    return Execution(work.program, blocking, work.tangent, work.programs)


def _tile(work: Work) -> TileShape:
    n_reference = 0 if work.statistics is None else len(work.statistics.reference)
    return tile_shape(_execution(work), work.tile_bytes, n_reference)
