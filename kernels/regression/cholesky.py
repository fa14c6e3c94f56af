"""Ridge regression at one ridge from a Cholesky factor in float64, with a jitter that is reported.

Throughout, ``A = K + (ρ + j) I``, ``ρ = ridge · mean(diag K)``. The jitter ``j`` is zero unless
rounding of K keeps ``K + ρI`` from having a factor. With weights of the images, ``S K S`` stands in
place of K (:mod:`kernas.kernels.regression.weights`).
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float64
from numpy.typing import ArrayLike
from scipy.linalg import cho_solve, cholesky, eigvalsh, get_lapack_funcs, solve_triangular

from .checks import check_gram, check_ridge, check_targets, precision_of, rounding_of
from .errors import JitterWarning, NotPositiveDefiniteError
from .shapes import Square
from .weights import Weights, times_roots, weighted_gram

LADDER = 10.0 ** np.arange(-14, 0)
"""Jitters that are tried, relative to the mean diagonal, as far as rounding explains them."""


@dataclass(frozen=True, eq=False)
class Factor:
    """Cholesky factor of A, made by :func:`factorise`.

    Attributes:
        lower: L with ``A = L Lᵀ``, shape ``(n, n)``.
        rho: the absolute ridge ρ.
        jitter: j >= 0, absolute; what rounding of K asked for beyond the ridge.
        condition: an estimate of A's condition number in the 1-norm, >= 1.
        weights: of the images, if they have any.
    """

    lower: Square = field(repr=False)
    rho: float
    jitter: float
    condition: float
    weights: Weights | None = field(default=None, repr=False)

    def solve(self, Y: ArrayLike) -> Float64[np.ndarray, "{len(self.lower)} C"]:
        """Dual coefficients of targets ``(n, C)``: ``A⁻¹ Y``, with weights ``S A⁻¹ S Y``.

        Raises:
            DataError: Y has not n rows.
        """
        return times_roots(self._solved(Y), self.weights)

    def inverse_diagonal(self) -> Float64[np.ndarray, " {len(self.lower)}"]:
        """The diagonal of ``A⁻¹``, shape ``(n,)``."""
        inverse = solve_triangular(self.lower, np.eye(len(self.lower)), lower=True)
        return np.sum(inverse**2, axis=0)

    def log_determinant(self) -> float:
        """``log |A|``."""
        return float(2 * np.sum(np.log(np.diag(self.lower))))

    def loo_residuals(self, Y: ArrayLike) -> Float64[np.ndarray, "{len(self.lower)} C"]:
        """Target minus prediction of each image by all others: ``[A⁻¹Y]_i / [A⁻¹]_ii``.

        With weights as :meth:`Weights.loo_residuals`.

        Reference:
            Rasmussen and Williams, Gaussian Processes for Machine Learning, 2006, equation 5.12.
        """
        if self.weights is None:
            return self.solve(Y) / self.inverse_diagonal()[:, None]
        shift = self.rho + self.jitter
        return self.weights.loo_residuals(self._solved(Y), self.inverse_diagonal(), shift)

    def _solved(self, Y: ArrayLike) -> Float64[np.ndarray, "{len(self.lower)} C"]:
        """``A⁻¹ S Y``."""
        targets = times_roots(check_targets(Y, len(self.lower)), self.weights)
        return cho_solve((self.lower, True), targets)


def factorise(
    K: ArrayLike, ridge: float, weights: Weights | None = None, *, jitter: float = 0.0
) -> Factor:
    """The Cholesky factor of ``K + ρI``.

    Where it has none because K was rounded, a jitter is added: the smallest of a ladder that helps.
    It stands in the result, and a :class:`JitterWarning` says it.

    Args:
        K: kernel of the training images with themselves, shape ``(n, n)``, in the precision that
            it was computed in.
        ridge: λ >= 0, relative to the mean diagonal of K, with weights to its weighted mean.
        weights: of the images; ``None`` where all count alike.
        jitter: absolute, the one that an earlier call found for this K: it is tried first.

    Raises:
        ConfigurationError: the ridge is negative or not finite.
        DataError: K is not a symmetric matrix of real numbers, or has not one weight for each row.
        DegenerateKernelError: K is zero, constant or not finite.
        NotPositiveDefiniteError: K has a negative eigenvalue that rounding does not explain and the
            ridge does not lift: one below ``−8 ε ‖K‖_F``, ε the precision of K.

    Reference:
        Rasmussen and Williams 2006, algorithm 2.1.
    """
    gram, scale = weighted_gram(check_gram(K), weights)
    rho = check_ridge(ridge) * scale
    factor = _factor(gram, rho + jitter)
    if factor is not None:
        return Factor(factor, rho, jitter, _condition(factor, gram, rho + jitter), weights)
    given = precision_of(K)
    rounding = rounding_of(gram, given)
    least = float(eigvalsh(gram, subset_by_index=[0, 0])[0])
    # What is advised is more than what failed: rounding may ask for more than its bound here.
    need = max(-2 * least, rounding, 2 * rho) / scale
    single = given != np.float64
    if least < -rounding:
        raise NotPositiveDefiniteError(
            f"K is not positive semi-definite: its smallest eigenvalue is {least:.3g}, and "
            f"rounding in {given} explains {-rounding:.1g} only; ρ is {rho:.3g}. "
            f"{'Compute the kernel in float64, look' if single else 'Look'} for wrong entries, or "
            f"use a ridge of {need:.1e} or more"
        )
    for step in scale * LADDER:
        factor = _factor(gram, rho + step)
        if factor is not None:
            need = max(need, 2 * (rho + step) / scale)
            warnings.warn(
                f"rounding in {given} left K an eigenvalue of {least:.3g}: a jitter of "
                f"{step:.1e} was added to ρ = {rho:.3g}; use a ridge of {need:.1e} or more"
                f"{', or compute the kernel in float64' if single else ''}",
                JitterWarning,
                stacklevel=2,
            )
            return Factor(factor, rho, float(step), _condition(factor, gram, rho + step), weights)
        need = max(need, 2 * (rho + step) / scale)
        if step > 2 * rounding:
            break
    raise NotPositiveDefiniteError(
        f"K + ρI has no Cholesky factor: the smallest eigenvalue of K is {least:.3g}, ρ is "
        f"{rho:.3g}; use a ridge of {need:.1e} or more"
    )


def _factor(gram: Square, shift: float) -> Square | None:
    """Lower factor of ``gram + shift I``; ``None`` if it is not positive definite."""
    matrix = gram.copy()
    matrix[np.diag_indices_from(matrix)] += shift
    try:
        return cholesky(matrix, lower=True, overwrite_a=True, check_finite=False)
    except np.linalg.LinAlgError:
        return None


def _condition(lower: Square, gram: Square, shift: float) -> float:
    columns = np.sum(np.abs(gram), axis=0)
    diagonal = np.diag(gram)
    norm = float(np.max(columns - np.abs(diagonal) + np.abs(diagonal + shift)))
    (pocon,) = get_lapack_funcs(("pocon",), (lower,))
    reciprocal, _ = pocon(lower, norm, uplo="L")
    return float("inf") if reciprocal == 0 else 1 / float(reciprocal)
