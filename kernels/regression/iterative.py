"""Ridge regression by conjugate gradients, for Gram matrices that need not fit into memory.

``A α = Y`` with ``A = K + ρI`` is solved for all columns of Y at once. Every step reads each tile
of K once; the preconditioner ``L Lᵀ + ρI`` has a partial Cholesky factor of K with pivots, made
once from ``rank`` columns.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float, Float64
from numpy.typing import ArrayLike
from scipy.linalg import cho_factor, cho_solve
from scipy.sparse.linalg import LinearOperator, cg

from kernas.errors import ConfigurationError

from .checks import check_gram, check_ridge, check_targets
from .errors import DegenerateKernelError, NotConvergedError
from .shapes import Targets
from .weights import Weights, check_count, times_roots

Column = Float[np.ndarray, " n"]
"""A number for each image, in the precision of the kernel."""

Tile = tuple[slice, slice, Float[np.ndarray, "rows columns"]]
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

    def diagonal(self) -> Column:
        """``K(x, x)`` of each image, shape ``(n,)``."""
        ...

    def column(self, index: int) -> Column:
        """The kernel of all images with one, shape ``(n,)``."""
        ...


@dataclass(frozen=True)
class WholeGram:
    """A Gram matrix in memory, read in one part.

    Args:
        K: shape ``(n, n)``.
    """

    K: Float[np.ndarray, "n n"] = field(repr=False)

    def __len__(self) -> int:
        return len(self.K)

    def tiles(self) -> Iterator[Tile]:
        """The whole matrix."""
        whole = slice(0, len(self.K))
        yield whole, whole, self.K

    def diagonal(self) -> Column:
        """``K(x, x)`` of each image."""
        return np.diag(self.K)

    def column(self, index: int) -> Column:
        """One column."""
        return self.K[:, index]


@dataclass(frozen=True)
class WeightedGram:
    """``S K S``, as another matrix is read.

    Args:
        gram: K.
        weights: one for each image.

    Raises:
        DataError: there are more or fewer weights than images.
    """

    gram: Gram = field(repr=False)
    weights: Weights = field(repr=False)

    def __post_init__(self) -> None:
        check_count(self.weights, len(self.gram))

    def __len__(self) -> int:
        return len(self.gram)

    def tiles(self) -> Iterator[Tile]:
        """The same blocks, weighted."""
        roots = self.weights.roots
        for rows, columns, block in self.gram.tiles():
            yield rows, columns, roots[rows, None] * block * roots[columns]

    def diagonal(self) -> Column:
        """``w K(x, x)`` of each image."""
        return self.weights.values * self.gram.diagonal()

    def column(self, index: int) -> Column:
        """One column, weighted."""
        return self.weights.roots * self.gram.column(index) * self.weights.roots[index]


@dataclass(frozen=True)
class Solution:
    """What :func:`conjugate_gradients` found.

    Attributes:
        value: dual coefficients, shape ``(n, C)``: ``A⁻¹ Y``, with weights ``S A⁻¹ S Y``.
        residual: ``‖A β − S Y‖ / ‖S Y‖`` in the Frobenius norm, ``β = A⁻¹ S Y``, computed anew from
            the solution.
        steps: of conjugate gradients.
        rank: columns in the preconditioner.
        rho: the absolute ridge.
    """

    value: Targets = field(repr=False)
    residual: float
    steps: int
    rank: int
    rho: float


def conjugate_gradients(
    gram: Gram | ArrayLike,
    Y: ArrayLike,
    ridge: float,
    *,
    weights: Weights | None = None,
    tolerance: float = 1e-6,
    rank: int = 100,
    max_steps: int = 1000,
) -> Solution:
    """Dual coefficients ``(K + ρI)⁻¹ Y``, with weights ``(K + ρ W⁻¹)⁻¹ Y``, in float64.

    Args:
        gram: a matrix ``(n, n)``, or one that is read in tiles.
        Y: targets, shape ``(n, C)``.
        ridge: λ > 0, relative to the mean diagonal of K, with weights to its weighted mean.
        weights: of the images; ``None`` where all count alike.
        tolerance: of the relative residual, > 0.
        rank: columns of K in the preconditioner, 0 for none; no more are used than K has rank.
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
    targets, diagonal = check_targets(Y, len(parts)), parts.diagonal()
    if not np.isfinite(diagonal).all() or diagonal.mean() <= 0:
        raise DegenerateKernelError("the kernel's diagonal is zero or not finite")
    precision, scale = float(np.finfo(diagonal.dtype).eps), float(diagonal.mean())
    if weights is not None:
        parts, targets = WeightedGram(parts, weights), times_roots(targets, weights)
        diagonal = parts.diagonal()
        scale = float(diagonal.sum()) / weights.total
    rho = ridge * scale
    size = float(np.linalg.norm(targets))
    if size == 0:
        return Solution(np.zeros_like(targets), 0.0, 0, 0, rho)
    product(parts, targets, rho)  # what is wrong with a tile is said here, before the columns
    factor = _partial_cholesky(parts, diagonal, min(rank, len(parts)), precision)
    more = rank == factor.shape[1] < len(parts)
    rank = factor.shape[1]
    found, steps = _solved(parts, targets, rho, factor, tolerance, max_steps)
    residual = float(np.linalg.norm(product(parts, found, rho) - targets)) / size
    if not residual <= tolerance:
        ways = [f"a larger ridge than {ridge:g}"]
        ways += [f"a larger rank than {rank}"] if more else []
        ways += [f"more steps than {max_steps}"] if steps >= max_steps else []
        raise NotConvergedError(
            f"conjugate gradients reached a residual of {residual:.2e} in {steps} steps, not "
            f"{tolerance:.1e}; use {' or '.join(ways)}"
        )
    return Solution(times_roots(found, weights), residual, steps, rank, rho)


def product(gram: Gram, V: Float[np.ndarray, "n C"], rho: float) -> Targets:
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
    targets: Targets,
    rho: float,
    factor: Float64[np.ndarray, "n rank"],
    tolerance: float,
    max_steps: int,
) -> tuple[Targets, int]:
    """α and the steps; the columns of Y are solved as one vector."""
    steps = 0

    def operator(function: Callable[[np.ndarray], np.ndarray]) -> LinearOperator:
        return LinearOperator(
            shape=(targets.size, targets.size),
            dtype=np.float64,
            matvec=lambda v: function(v.reshape(targets.shape)).ravel(),  # pyright: ignore[reportCallIssue]
        )

    def count(_: np.ndarray) -> None:
        nonlocal steps
        steps += 1

    found, _ = cg(
        operator(lambda V: product(gram, V, rho)),
        targets.ravel(),
        rtol=0.0,
        # A little below what is asked for: the residual is computed anew in the end.
        atol=0.5 * tolerance * float(np.linalg.norm(targets)),
        maxiter=max_steps,
        M=operator(_preconditioner(factor, rho)),
        callback=count,
    )
    return found.reshape(targets.shape), steps


def _preconditioner(factor: np.ndarray, rho: float) -> Callable[[np.ndarray], np.ndarray]:
    """``V ↦ (L Lᵀ + ρI)⁻¹ V = (V − L (LᵀL + ρI)⁻¹ Lᵀ V) / ρ``."""
    inner = cho_factor(factor.T @ factor + rho * np.eye(factor.shape[1]))
    return lambda V: (V - factor @ cho_solve(inner, factor.T @ V)) / rho


def _partial_cholesky(
    gram: Gram, diagonal: Column, rank: int, precision: float
) -> Float64[np.ndarray, "n _"]:
    """L with ``L Lᵀ ≈ K``, shape ``(n, rank)``, by the greatest pivots.

    It ends with fewer columns where what is left of the diagonal is rounding.
    """
    factor = np.empty((len(gram), rank), order="F")
    left = diagonal.astype(np.float64)
    least = rank * precision * left.max()
    for i in range(rank):
        pivot = int(np.argmax(left))
        if not left[pivot] > least:
            return factor[:, :i]
        column = gram.column(pivot) - factor[:, :i] @ factor[pivot, :i]
        factor[:, i] = column / np.sqrt(left[pivot])
        left -= factor[:, i] ** 2
        left[pivot] = 0.0
    return factor
