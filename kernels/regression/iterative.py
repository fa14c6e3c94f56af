"""Ridge regression by conjugate gradients, for Gram matrices that need not fit into memory.

``A α = Y`` with ``A = K + ρI`` is solved for all columns of Y at once. Every step is one product
with K, whose tiles others may read and multiply; the preconditioner ``L Lᵀ + ρI`` has a partial
Cholesky factor of K with pivots, made once from ``rank`` columns.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float, Float64
from numpy.typing import ArrayLike
from scipy.linalg import cho_factor, cho_solve
from scipy.sparse.linalg import LinearOperator, cg

from kernas.errors import ConfigurationError

from .checks import check_gram, check_ridge, check_targets
from .errors import DegenerateKernelError, NotConvergedError
from .shapes import PerImage, Targets
from .weights import Weights, check_count, times_roots

Vectors = Float64[np.ndarray, "n C"]

Column = Float[np.ndarray, " n"]
"""A number for each image, in the precision of the kernel."""


@runtime_checkable
class Gram(Protocol):
    """A Gram matrix K that is read in parts."""

    def __len__(self) -> int:
        """The number n of images."""
        ...

    def times(self, V: Vectors) -> Vectors:
        """``K V`` in float64, shape ``(n, C)``."""
        ...

    def diagonal(self) -> Column:
        """``K(x, x)`` of each image, shape ``(n,)``."""
        ...

    def column(self, index: int) -> Column:
        """The kernel of all images with one, shape ``(n,)``."""
        ...

    def session(self) -> AbstractContextManager[object]:
        """What surrounds readings that belong together, so that who multiplies may stay."""
        ...


@dataclass(frozen=True)
class WholeGram:
    """A Gram matrix in memory.

    Args:
        K: shape ``(n, n)``.
    """

    K: Float[np.ndarray, "n n"] = field(repr=False)

    def __len__(self) -> int:
        return len(self.K)

    def times(self, V: Vectors) -> Vectors:
        """``K V``."""
        return np.asarray(self.K @ V, np.float64)

    def diagonal(self) -> Column:
        """``K(x, x)`` of each image."""
        return np.diag(self.K)

    def column(self, index: int) -> Column:
        """One column."""
        return self.K[:, index]

    def session(self) -> AbstractContextManager[object]:
        """Nothing."""
        return nullcontext()


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

    def times(self, V: Vectors) -> Vectors:
        """``S K S V``."""
        roots = self.weights.roots[:, None]
        return roots * self.gram.times(roots * V)

    def diagonal(self) -> Column:
        """``w K(x, x)`` of each image."""
        return self.weights.values * self.gram.diagonal()

    def column(self, index: int) -> Column:
        """One column, weighted."""
        return self.weights.roots * self.gram.column(index) * self.weights.roots[index]

    def session(self) -> AbstractContextManager[object]:
        """That of K."""
        return self.gram.session()


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
        gram: a matrix ``(n, n)``, or one that is read in parts, as ``GramStore.gram`` gives it.
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
    parts = gram_of(gram)
    targets = check_targets(Y, len(parts))
    with parts.session():
        system = system_of(parts, ridge, weights, tolerance, rank, max_steps)
        found = system.solve(times_roots(targets, weights))
    return replace(found, value=times_roots(found.value, weights))


def gram_of(gram: Gram | ArrayLike) -> Gram:
    """A matrix, if it is one, in parts.

    Raises:
        DataError: it is not square and symmetric.
        DegenerateKernelError: it is not finite.
    """
    return gram if isinstance(gram, Gram) else WholeGram(check_gram(gram))


@dataclass(frozen=True)
class System:
    """``A = S K S + ρI`` with its preconditioner, made by :func:`system_of`.

    Attributes:
        gram: ``S K S``.
        ridge: λ.
        rho: ρ.
        factor: L with ``L Lᵀ ≈ S K S``, shape ``(n, rank)``.
        is_full: whether more columns would make a better preconditioner.
        tolerance: of the relative residual.
        max_steps: after so many a solution is given up.
    """

    gram: Gram
    ridge: float
    rho: float
    factor: Float64[np.ndarray, "n rank"]
    is_full: bool
    tolerance: float
    max_steps: int

    def solve(self, targets: Targets) -> Solution:
        """``A⁻¹`` times targets ``(n, C)``, all columns as one vector.

        Raises:
            NotConvergedError: the tolerance was not reached.
        """
        rank, size = self.factor.shape[1], float(np.linalg.norm(targets))
        if size == 0:
            return Solution(np.zeros_like(targets), 0.0, 0, rank, self.rho)
        found, steps = _solved(self, targets, 0.5 * self.tolerance * size)
        residual = float(np.linalg.norm(product(self.gram, found, self.rho) - targets)) / size
        if not residual <= self.tolerance:
            ways = [f"a larger ridge than {self.ridge:g}"]
            ways += [] if self.is_full else [f"a larger rank than {rank}"]
            ways += [f"more steps than {self.max_steps}"] if steps >= self.max_steps else []
            raise NotConvergedError(
                f"conjugate gradients reached a residual of {residual:.2e} in {steps} steps, not "
                f"{self.tolerance:.1e}; use {' or '.join(ways)}"
            )
        return Solution(found, residual, steps, rank, self.rho)

    def precondition(self, V: Vectors) -> Vectors:
        """``(L Lᵀ + ρI)⁻¹ V = (V − L (LᵀL + ρI)⁻¹ Lᵀ V) / ρ``."""
        return (V - self.factor @ cho_solve(self._inner, self.factor.T @ V)) / self.rho

    def preconditioner_diagonal(self) -> PerImage:
        """That of ``(L Lᵀ + ρI)⁻¹``, shape ``(n,)``."""
        solved = cho_solve(self._inner, self.factor.T).T
        return (1 - np.sum(self.factor * solved, axis=1)) / self.rho

    @cached_property
    def _inner(self) -> tuple[np.ndarray, bool]:
        L = self.factor
        return cho_factor(L.T @ L + self.rho * np.eye(L.shape[1]))


def system_of(
    gram: Gram,
    ridge: float,
    weights: Weights | None,
    tolerance: float,
    rank: int,
    max_steps: int,
) -> System:
    """A with its preconditioner; the arguments are those of :func:`conjugate_gradients`.

    Raises:
        ConfigurationError: an option is out of its range.
        DataError: there is not one weight for each image.
        DegenerateKernelError: the kernel is not finite.
    """
    if check_ridge(ridge) == 0 or not tolerance > 0 or rank < 0 or max_steps < 1:
        raise ConfigurationError(
            f"ridge={ridge!r}, tolerance={tolerance!r}, rank={rank!r}, max_steps={max_steps!r}: "
            "expected a ridge and a tolerance > 0, a rank >= 0 and at least one step"
        )
    diagonal = gram.diagonal()
    if not np.isfinite(diagonal).all() or diagonal.mean() <= 0:
        raise DegenerateKernelError("the kernel's diagonal is zero or not finite")
    precision, scale = float(np.finfo(diagonal.dtype).eps), float(diagonal.mean())
    if weights is not None:
        gram = WeightedGram(gram, weights)
        diagonal = gram.diagonal()
        scale = float(diagonal.sum()) / weights.total
    rho = ridge * scale
    # What is wrong with K is said before the columns are read.
    product(gram, np.ones((len(gram), 1)), rho)
    rank = min(rank, len(gram))
    factor = _partial_cholesky(gram, diagonal, rank, precision)
    is_full = factor.shape[1] < rank or rank == len(gram)
    return System(gram, ridge, rho, factor, is_full, tolerance, max_steps)


def product(gram: Gram, V: Float[np.ndarray, "n C"], rho: float) -> Targets:
    """``(K + ρI) V``, in float64.

    Raises:
        DegenerateKernelError: it is not finite, as where the kernel has entries that are not.
    """
    V = np.asarray(V, np.float64)
    result = gram.times(V) + rho * V
    wrong = ~np.isfinite(result).all(axis=1)
    if wrong.any():
        raise DegenerateKernelError(f"the kernel is not finite in row {int(np.argmax(wrong))}")
    return result


def _solved(system: System, targets: Targets, atol: float) -> tuple[Targets, int]:
    """The solution and its steps, until the norm of what is left is ``atol``.

    It is a little less than is asked for: the residual is computed anew in the end.
    """
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
        operator(lambda V: product(system.gram, V, system.rho)),
        targets.ravel(),
        rtol=0.0,
        atol=atol,
        maxiter=system.max_steps,
        M=operator(system.precondition),
        callback=count,
    )
    return found.reshape(targets.shape), steps


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
