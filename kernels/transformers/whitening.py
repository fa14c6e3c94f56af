"""Regularised whitening of vectors: the symmetric map that makes their covariance the identity."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.linalg

from kernas.errors import ConfigurationError, DataError


@dataclass(frozen=True, eq=False)
class Whitening:
    """``(x − mean) W`` with ``W = U (Λ + ρ I)^(−1/2) Uᵀ``, ``U Λ Uᵀ`` the covariance.

    The vectors that it was fitted to then have the covariance ``U Λ/(Λ + ρ) Uᵀ``.

    Attributes:
        mean: shape ``(d,)``.
        directions: eigenvectors, the columns of U, shape ``(d, min(n, d))``; in all others the
            covariance is 0.
        eigenvalues: of the covariance, >= 0, shape ``(min(n, d),)``.
        rho: ρ >= 0, in units of the eigenvalues.
    """

    mean: np.ndarray
    directions: np.ndarray
    eigenvalues: np.ndarray
    rho: float

    def apply(self, x: np.ndarray) -> np.ndarray:
        """Whitened vectors in float64, ``(n, d)``."""
        return self.times(x - self.mean)

    def times(self, x: np.ndarray) -> np.ndarray:
        """``x W``, ``(n, d)``, without a matrix of d×d numbers where n < d."""
        scale = 1 / np.sqrt(self.eigenvalues + self.rho)
        if len(scale) == len(self.mean):
            return x @ self.directions * scale @ self.directions.T
        others = 1 / np.sqrt(self.rho)
        return x @ self.directions * (scale - others) @ self.directions.T + others * x


def fit_whitening(x: np.ndarray, regularization: float, what: str) -> Whitening:
    """Whitening with ``ρ = regularization · tr(Λ)/d``, relative to the mean eigenvalue.

    Args:
        x: vectors in float64, shape ``(n, d)``.
        regularization: >= 0; 0 needs a covariance of full rank.
        what: what x is, for messages.

    Raises:
        ConfigurationError: regularization 0 and vectors that do not vary in every direction.
        DataError: all vectors are equal, to 12 digits.
    """
    n, d = x.shape
    mean = x.mean(axis=0)
    deviations = x - mean
    if np.abs(deviations).max() <= 1e-12 * np.abs(x).max():
        raise DataError(f"{what}, {n} in number, are all equal: expected some that differ")
    if regularization == 0:
        _check_rank(min(n - 1, d), d, what)
    if n < d:
        _, singular, transposed = scipy.linalg.svd(deviations, full_matrices=False)
        eigenvalues, directions = singular**2 / n, transposed.T
    else:
        eigenvalues, directions = scipy.linalg.eigh(deviations.T @ deviations / n)
        eigenvalues = np.maximum(eigenvalues, 0.0)
    if regularization == 0:
        rounding = d * np.finfo(np.float64).eps * eigenvalues.max()
        _check_rank(int(np.count_nonzero(eigenvalues > rounding)), d, what)
    return Whitening(mean, directions, eigenvalues, regularization * eigenvalues.sum() / d)


def _check_rank(rank: int, d: int, what: str) -> None:
    if rank < d:
        raise ConfigurationError(
            f"regularization=0, but {what} vary in at most {rank} of {d} directions, and W is "
            "infinite in the others; use a regularization > 0, such as 1"
        )
