"""Ridge regression at one ridge from a Cholesky factor in float64, with a jitter that is reported.

Throughout, ``A = K + (ρ + j) I``, ``ρ = ridge · mean(diag K)``. The jitter ``j`` is zero unless
rounding of K keeps ``K + ρI`` from having a factor.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike
from scipy.linalg import cho_solve, cholesky, eigvalsh, get_lapack_funcs, solve_triangular

from .checks import check_gram, check_ridge, check_targets, rounding_of
from .errors import JitterWarning, NotPositiveDefiniteError

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
    """

    lower: np.ndarray = field(repr=False)
    rho: float
    jitter: float
    condition: float

    def solve(self, Y: ArrayLike) -> np.ndarray:
        """Dual coefficients ``A⁻¹ Y`` of targets ``(n, C)``.

        Raises:
            DataError: Y has not n rows.
        """
        return cho_solve((self.lower, True), check_targets(Y, len(self.lower)))

    def inverse_diagonal(self) -> np.ndarray:
        """The diagonal of ``A⁻¹``, shape ``(n,)``."""
        inverse = solve_triangular(self.lower, np.eye(len(self.lower)), lower=True)
        return np.sum(inverse**2, axis=0)

    def log_determinant(self) -> float:
        """``log |A|``."""
        return float(2 * np.sum(np.log(np.diag(self.lower))))

    def loo_residuals(self, Y: ArrayLike) -> np.ndarray:
        """Target minus prediction of each image by all others: ``[A⁻¹Y]_i / [A⁻¹]_ii``.

        Reference:
            Rasmussen and Williams, Gaussian Processes for Machine Learning, 2006, equation 5.12.
        """
        return self.solve(Y) / self.inverse_diagonal()[:, None]


def factorise(K: ArrayLike, ridge: float) -> Factor:
    """The Cholesky factor of ``K + ρI``.

    Where it has none because K was rounded, a jitter is added: the smallest of a ladder that helps.
    It stands in the result, and a :class:`JitterWarning` says it.

    Args:
        K: kernel of the training images with themselves, shape ``(n, n)``, in the precision that
            it was computed in.
        ridge: λ >= 0, relative to the mean diagonal of K.

    Raises:
        ConfigurationError: the ridge is negative or not finite.
        DataError: K is not a symmetric matrix of real numbers.
        DegenerateKernelError: K is zero, constant or not finite.
        NotPositiveDefiniteError: K has a negative eigenvalue that rounding does not explain and the
            ridge does not lift: one below ``−8 ε ‖K‖_F``, ε the precision of K.

    Reference:
        Rasmussen and Williams 2006, algorithm 2.1.
    """
    gram = check_gram(K)
    scale = float(np.mean(np.diag(gram)))
    rho = check_ridge(ridge) * scale
    factor = _factor(gram, rho)
    if factor is not None:
        return Factor(factor, rho, 0.0, _condition(factor, gram, rho))
    given, rounding = np.asarray(K).dtype, rounding_of(K)
    least = float(eigvalsh(gram, subset_by_index=[0, 0])[0])
    need = max(-2 * least, rounding) / scale
    if least < -rounding:
        raise NotPositiveDefiniteError(
            f"K is not positive semi-definite: its smallest eigenvalue is {least:.3g}, and "
            f"rounding in {given} explains {-rounding:.1g} only; ρ is {rho:.3g}. Compute the "
            f"kernel in float64, look for wrong entries, or use a ridge of {need:.1e} or more"
        )
    for jitter in scale * LADDER:
        factor = _factor(gram, rho + jitter)
        if factor is not None:
            warnings.warn(
                f"rounding in {given} left K an eigenvalue of {least:.3g}: a jitter of "
                f"{jitter:.1e} was added to ρ = {rho:.3g}; use a ridge of {need:.1e} or more, or "
                "compute the kernel in float64",
                JitterWarning,
                stacklevel=2,
            )
            return Factor(factor, rho, float(jitter), _condition(factor, gram, rho + jitter))
        if jitter > 2 * rounding:
            break
    raise NotPositiveDefiniteError(
        f"K + ρI has no Cholesky factor: the smallest eigenvalue of K is {least:.3g}, ρ is "
        f"{rho:.3g}; use a ridge of {need:.1e} or more"
    )


def _factor(gram: np.ndarray, shift: float) -> np.ndarray | None:
    """Lower factor of ``gram + shift I``; ``None`` if it is not positive definite."""
    matrix = gram.copy()
    matrix[np.diag_indices_from(matrix)] += shift
    try:
        return cholesky(matrix, lower=True, overwrite_a=True, check_finite=False)
    except np.linalg.LinAlgError:
        return None


def _condition(lower: np.ndarray, gram: np.ndarray, shift: float) -> float:
    columns = np.sum(np.abs(gram), axis=0)
    diagonal = np.diag(gram)
    norm = float(np.max(columns - np.abs(diagonal) + np.abs(diagonal + shift)))
    (pocon,) = get_lapack_funcs(("pocon",), (lower,))
    reciprocal, _ = pocon(lower, norm, uplo="L")
    return float("inf") if reciprocal == 0 else 1 / float(reciprocal)
