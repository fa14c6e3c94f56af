"""Ridge regression by conjugate gradients, for Gram matrices that need not fit into memory.

``A α = Y`` with ``A = K + ρI`` is solved for all columns of Y at once. Every step reads each tile
of K once; the preconditioner ``L Lᵀ + ρI`` has a partial Cholesky factor of K with pivots, made
once from ``rank`` columns.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import ArrayLike

from kernas.errors import ConfigurationError

from .checks import check_gram, check_ridge, check_targets
from .errors import DegenerateKernelError, NotConvergedError

Tile = tuple[slice, slice, np.ndarray]
"""Rows, columns and the block of K there."""


@runtime_checkable
class Gram(Protocol):
    """A Gram matrix that is read in parts."""

    def __len__(self) -> int:
        """The number n of images."""
        ...

    def tiles(self) -> Iterator[Tile]:
        """Blocks that cover one triangle with the diagonal; each is also its mirror image."""
        ...

    def diagonal(self) -> np.ndarray:
        """``K(x, x)`` of each image, shape ``(n,)``."""
        ...

    def column(self, index: int) -> np.ndarray:
        """The kernel of all images with one, shape ``(n,)``."""
        ...


@dataclass(frozen=True)
class WholeGram:
    """A Gram matrix in memory, read in one part.

    Args:
        K: shape ``(n, n)``.
    """

    K: np.ndarray = field(repr=False)

    def __len__(self) -> int:
        return len(self.K)

    def tiles(self) -> Iterator[Tile]:
        """The whole matrix."""
        whole = slice(0, len(self.K))
        yield whole, whole, self.K

    def diagonal(self) -> np.ndarray:
        """``K(x, x)`` of each image."""
        return np.diag(self.K)

    def column(self, index: int) -> np.ndarray:
        """One column."""
        return self.K[:, index]


@dataclass(frozen=True)
class Solution:
    """What :func:`conjugate_gradients` found.

    Attributes:
        value: dual coefficients ``A⁻¹ Y``, shape ``(n, C)``.
        residual: ``‖A α − Y‖ / ‖Y‖`` in the Frobenius norm, computed anew from the solution.
        steps: of conjugate gradients.
        rank: columns in the preconditioner.
        rho: the absolute ridge.
    """

    value: np.ndarray = field(repr=False)
    residual: float
    steps: int
    rank: int
    rho: float


def conjugate_gradients(
    gram: Gram | ArrayLike,
    Y: ArrayLike,
    ridge: float,
    *,
    tolerance: float = 1e-6,
    rank: int = 100,
    max_steps: int = 1000,
) -> Solution:
    """Dual coefficients ``(K + ρI)⁻¹ Y``, in float64.

    Args:
        gram: a matrix ``(n, n)``, or one that is read in tiles.
        Y: targets, shape ``(n, C)``.
        ridge: λ > 0, relative to the mean diagonal of K.
        tolerance: of the relative residual, > 0.
        rank: columns of K in the preconditioner, 0 for none; at most n are used.
        max_steps: after so many steps the solution is given up.

    Raises:
        ConfigurationError: an option is out of its range.
        DataError: Y has not n rows, or a matrix is not symmetric.
        DegenerateKernelError: the kernel is not finite.
        NotConvergedError: the tolerance was not reached; the message says what was.

    Reference:
        Saad, Iterative Methods for Sparse Linear Systems, 2003, section 9.2; Harbrecht, Peters,
        Schneider, On the low-rank approximation by the pivoted Cholesky decomposition, 2012.
    """
    if check_ridge(ridge) == 0 or not tolerance > 0 or rank < 0 or max_steps < 1:
        raise ConfigurationError(
            f"ridge={ridge!r}, tolerance={tolerance!r}, rank={rank!r}, max_steps={max_steps!r}: "
            "expected a ridge and a tolerance > 0, a rank >= 0 and at least one step"
        )
    parts = gram if isinstance(gram, Gram) else WholeGram(check_gram(gram))
    targets = check_targets(Y, len(parts))
    diagonal = np.asarray(parts.diagonal(), np.float64)
    if not np.isfinite(diagonal).all() or diagonal.mean() <= 0:
        raise DegenerateKernelError("the kernel's diagonal is zero or not finite")
    rho = ridge * float(diagonal.mean())
    size = float(np.linalg.norm(targets))
    if size == 0:
        return Solution(np.zeros_like(targets), 0.0, 0, 0, rho)
    rank = min(rank, len(parts))
    product(parts, targets, rho)  # what is wrong with a tile is said here, not by JAX's runtime
    with jax.enable_x64(True):
        found, steps = _solved(parts, targets, diagonal, rho, tolerance, rank, max_steps)
    residual = float(np.linalg.norm(product(parts, found, rho) - targets)) / size
    if not residual <= tolerance:
        raise NotConvergedError(
            f"conjugate gradients reached a residual of {residual:.2e} in {steps} steps, not "
            f"{tolerance:.1e}; use a larger ridge than {ridge:g}, a larger rank than {rank}, or "
            "more steps"
        )
    return Solution(found, residual, steps, rank, rho)


def product(gram: Gram, V: np.ndarray, rho: float) -> np.ndarray:
    """``(K + ρI) V``, each tile read once, in float64.

    Raises:
        DegenerateKernelError: a tile has entries that are not finite.
    """
    V = np.asarray(V, np.float64)
    result = rho * V
    for rows, columns, block in gram.tiles():
        if not np.isfinite(block).all():
            raise DegenerateKernelError(
                f"the kernel is not finite in rows {rows.start} to {rows.stop} and columns "
                f"{columns.start} to {columns.stop}"
            )
        result[rows] += block @ V[columns]
        if rows != columns:
            result[columns] += block.T @ V[rows]
    return result


def _solved(
    gram: Gram,
    targets: np.ndarray,
    diagonal: np.ndarray,
    rho: float,
    tolerance: float,
    rank: int,
    max_steps: int,
) -> tuple[np.ndarray, int]:
    import lineax as lx  # it takes a second to import

    structure = jax.ShapeDtypeStruct(targets.shape, jnp.float64)

    def operator(function: Any) -> Any:
        return lx.FunctionLinearOperator(function, structure, lx.positive_semidefinite_tag)

    def multiplied(V: jax.Array) -> jax.Array:
        return _on_host(lambda V: product(gram, V, rho), V)

    options: dict[str, Any] = {}
    if rank > 0:
        options["preconditioner"] = operator(_preconditioner(gram, diagonal, rho, rank))
    # A little below what is asked for: the residual is computed anew in the end.
    least = 0.5 * tolerance * float(np.sqrt(np.mean(targets**2)))
    solver = lx.CG(
        rtol=0.0, atol=least, norm=lambda x: jnp.sqrt(jnp.mean(x**2)), max_steps=max_steps
    )
    solution = lx.linear_solve(
        operator(multiplied), jnp.asarray(targets), solver, options=options, throw=False
    )
    return np.asarray(solution.value), int(solution.stats["num_steps"])


def _preconditioner(gram: Gram, diagonal: np.ndarray, rho: float, rank: int) -> Any:
    """``v ↦ (L Lᵀ + ρI)⁻¹ v``, with the factor made here."""
    from matfree import low_rank

    def entry(i: jax.Array, j: jax.Array) -> jax.Array:
        return _on_host(entries, i, j)

    def entries(i: np.ndarray, j: np.ndarray) -> np.ndarray:
        if np.array_equal(i, j):
            return diagonal[i]
        return np.asarray(gram.column(int(j.flat[0])), np.float64)[i]

    factor, _ = low_rank.cholesky_partial_pivot(entry, nrows=len(gram), rank=rank)()
    # Of a matrix of lower rank, the pivots after its rank are rounding, or not finite.
    usable = jnp.isfinite(factor).all(axis=0)
    factor = jnp.where(jnp.cumprod(usable) > 0, factor, 0.0)
    solve = low_rank.preconditioner(lambda factor: (factor, {}))
    return lambda v: solve(v, rho, factor)[0]


def _on_host(function: Any, *arguments: jax.Array) -> jax.Array:
    """A function of NumPy arrays of one shape that returns float64 of that shape.

    Floating numbers go there and back as bits: JAX runs such functions in threads of its own, in
    which they would be rounded to float32 where that is the default.
    """

    def called(*arrays: jax.Array) -> np.ndarray:
        given = (np.asarray(array) for array in arrays)
        found = function(
            *(x.view(np.float64)[..., 0] if x.dtype == np.uint32 else x for x in given)
        )
        return np.asarray(found, np.float64, order="C")[..., None].view(np.uint32)

    bits = [
        jax.lax.bitcast_convert_type(x, jnp.uint32)
        if jnp.issubdtype(x.dtype, jnp.floating)
        else x.astype(jnp.int32)
        for x in arguments
    ]
    shape = jax.ShapeDtypeStruct((*arguments[0].shape, 2), jnp.uint32)
    found = jax.pure_callback(called, shape, *bits, vmap_method="broadcast_all")
    return jax.lax.bitcast_convert_type(found, jnp.float64)
