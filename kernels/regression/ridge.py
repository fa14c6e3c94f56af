"""Kernel ridge regression in float64: one eigendecomposition serves every ridge and every score.

Throughout, ``K = V diag(w) Vᵀ`` is the training Gram matrix and ``A = K + ρI`` with the absolute
ridge ``ρ = ridge · mean(diag K)``. ρ is a number fixed by all n training images before anything is
left out: the leave-one-out formulas are those of refits at the same ρ.

A Gram matrix computed in float32 has eigenvalues that rounding moved, some below zero. They are
kept as they are, so that every result is that of the matrix given; what is asked is that A be
positive definite.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike
from scipy.linalg import eigh
from scipy.special import gammaln

from kernas.errors import DataError

from .checks import check_cross, check_gram, check_ridge, check_targets
from .errors import DegenerateKernelError, NotPositiveDefiniteError


@dataclass(frozen=True, eq=False)
class Spectrum:
    """Eigendecomposition of a training Gram matrix, made by :func:`decompose`.

    Attributes:
        values: eigenvalues w in ascending order, shape ``(n,)``.
        vectors: eigenvectors V in the columns, shape ``(n, n)``.
        scale: mean of the diagonal of K, the unit of the ridge.
    """

    values: np.ndarray = field(repr=False)
    vectors: np.ndarray = field(repr=False)
    scale: float

    @property
    def n(self) -> int:
        """Number of training images."""
        return len(self.values)

    def rho(self, ridge: float) -> float:
        """The absolute ridge ``ρ = ridge · mean(diag K)``."""
        return check_ridge(ridge) * self.scale

    def shifted(self, ridge: float) -> np.ndarray:
        """Eigenvalues ``w + ρ`` of A, shape ``(n,)``, all positive.

        Raises:
            ConfigurationError: the ridge is negative or not finite.
            NotPositiveDefiniteError: the smallest eigenvalue is not above the rounding error of
                the largest, ``n · 2.2e-16 · max(w + ρ)``.
        """
        values = self.values + self.rho(ridge)
        if values[0] <= self.n * np.finfo(np.float64).eps * values[-1]:
            need = (1e-6 * values[-1] - self.values[0]) / self.scale
            raise NotPositiveDefiniteError(
                f"K + ρI is not positive definite at ridge={ridge:g}: the smallest eigenvalue of K "
                f"is {self.values[0]:.3g}, ρ is {self.rho(ridge):.3g}; use a ridge of "
                f"{need:.1e} or more"
            )
        return values


def decompose(K: ArrayLike) -> Spectrum:
    """Eigendecomposition ``K = V diag(w) Vᵀ`` of a training Gram matrix.

    Args:
        K: kernel of the training images with themselves, shape ``(n, n)``.

    Returns:
        The :class:`Spectrum` that the functions of this module read, for any ridge.

    Raises:
        DataError: K is not a symmetric matrix of real numbers.
        DegenerateKernelError: K is zero, constant or not finite.
    """
    gram = check_gram(K)
    values, vectors = eigh(gram)
    return Spectrum(values, vectors, float(np.mean(np.diag(gram))))


def solve(spectrum: Spectrum, Y: ArrayLike, ridge: float) -> np.ndarray:
    """``A⁻¹ Y = V diag(1/(w + ρ)) Vᵀ Y``.

    Args:
        spectrum: of the training Gram matrix.
        Y: targets, shape ``(n, C)``.
        ridge: λ >= 0, relative to the mean diagonal of K.

    Returns:
        Dual coefficients, shape ``(n, C)``.

    Raises:
        DataError: Y has not n rows.
        ConfigurationError: the ridge is negative or not finite.
        NotPositiveDefiniteError: A is not positive definite.
    """
    targets = check_targets(Y, spectrum.n)
    shifted = spectrum.shifted(ridge)
    return spectrum.vectors @ ((spectrum.vectors.T @ targets) / shifted[:, None])


def predict(spectrum: Spectrum, K_cross: ArrayLike, Y: ArrayLike, ridge: float) -> np.ndarray:
    """Predictions ``K_cross A⁻¹ Y`` for other images.

    Args:
        spectrum: of the training Gram matrix.
        K_cross: kernel of m other images with the training images, shape ``(m, n)``.
        Y: targets of the training images, shape ``(n, C)``.
        ridge: λ >= 0, relative to the mean diagonal of K.

    Returns:
        Shape ``(m, C)``.

    Raises:
        DataError: a shape does not fit.
        ConfigurationError: the ridge is negative or not finite.
        DegenerateKernelError: ``K_cross`` is not finite.
        NotPositiveDefiniteError: A is not positive definite.

    Reference:
        Rasmussen and Williams, Gaussian Processes for Machine Learning, 2006, equation 2.25.
    """
    return check_cross(K_cross, spectrum.n) @ solve(spectrum, Y, ridge)


def loo_residuals(spectrum: Spectrum, Y: ArrayLike, ridge: float) -> np.ndarray:
    """Target minus prediction of each image by the regression on all the others.

    ``r_i = [A⁻¹Y]_i / [A⁻¹]_ii``, exactly the residuals of n refits without image i at the same
    absolute ρ (and with the same statistics of the kernel, which is not evaluated anew).

    Args:
        spectrum: of the training Gram matrix.
        Y: targets, shape ``(n, C)``.
        ridge: λ >= 0, relative to the mean diagonal of K.

    Returns:
        Shape ``(n, C)``.

    Raises:
        DataError: Y has not n rows.
        ConfigurationError: the ridge is negative or not finite.
        NotPositiveDefiniteError: A is not positive definite.

    Reference:
        Rasmussen and Williams 2006, equation 5.12.
    """
    inverse_diagonal = (spectrum.vectors**2) @ (1.0 / spectrum.shifted(ridge))
    return solve(spectrum, Y, ridge) / inverse_diagonal[:, None]


def loo_predictions(spectrum: Spectrum, Y: ArrayLike, ridge: float) -> np.ndarray:
    """Prediction of each training image by all the others, ``Y − r``: see :func:`loo_residuals`."""
    return check_targets(Y, spectrum.n) - loo_residuals(spectrum, Y, ridge)


def log_evidence(spectrum: Spectrum, Y: ArrayLike, ridge: float) -> float:
    """Log marginal likelihood of the targets, the kernel's scale integrated out.

    Let ``Y = Z Qᵀ`` with Q of r orthonormal columns, r the rank of Y (C − 1 for centred one-hot
    labels of C classes): the r columns of Z are independent draws of N(0, sA) with one scale s.
    Integrated over s with the prior ds/s,

    ``log p = −½ r (n log(π t) + log|A|) + log Γ(nr/2)``,  ``t = tr(ZᵀA⁻¹Z) = tr(YᵀA⁻¹Y)``.

    It does not change when K is multiplied by a number, because ρ follows.

    Args:
        spectrum: of the training Gram matrix.
        Y: targets, shape ``(n, C)``, not all zero.
        ridge: λ >= 0, relative to the mean diagonal of K.

    Returns:
        Natural logarithm of the density of Z, for all n images together.

    Raises:
        DataError: Y has not n rows, or is zero.
        ConfigurationError: the ridge is negative or not finite.
        NotPositiveDefiniteError: A is not positive definite.

    Reference:
        Rasmussen and Williams 2006, equation 2.30, for one draw at a known scale.
    """
    targets = check_targets(Y, spectrum.n)
    rank = int(np.linalg.matrix_rank(targets))
    if rank == 0:
        raise DataError("the targets are zero: expected labels of at least two classes")
    shifted = spectrum.shifted(ridge)
    quadratic = float(np.sum((spectrum.vectors.T @ targets) ** 2 / shifted[:, None]))
    log_determinant = float(np.sum(np.log(shifted)))
    n = spectrum.n
    return float(
        -0.5 * rank * (n * np.log(np.pi * quadratic) + log_determinant) + gammaln(n * rank / 2)
    )


def condition_number(spectrum: Spectrum, ridge: float) -> float:
    """``(w_max + ρ)/(w_min + ρ)``, the condition number of A in the spectral norm, >= 1.

    Raises:
        ConfigurationError: the ridge is negative or not finite.
        NotPositiveDefiniteError: A is not positive definite.
    """
    shifted = spectrum.shifted(ridge)
    return float(shifted[-1] / shifted[0])


def centred_alignment(K: ArrayLike, Y: ArrayLike) -> float:
    """Cosine between the centred kernel and the centred kernel of the targets.

    ``⟨HKH, HYYᵀH⟩ / (‖HKH‖ ‖HYYᵀH‖)`` with ``H = I − 11ᵀ/n`` and Frobenius products.

    Args:
        K: training Gram matrix, shape ``(n, n)``.
        Y: targets, shape ``(n, C)``.

    Returns:
        A number in [0, 1] for a positive semi-definite K; no ridge enters.

    Raises:
        DataError: K is not a symmetric matrix, Y has not n rows, or all its rows are equal.
        DegenerateKernelError: K is zero, constant, zero after centring, or not finite.

    Reference:
        Cortes, Mohri, Rostamizadeh, Algorithms for Learning Kernels Based on Centered Alignment,
        JMLR 13, 2012, definition 4.
    """
    gram = check_gram(K)
    targets = check_targets(Y, len(gram))
    centred_targets = targets - targets.mean(axis=0)
    target_norm = float(np.linalg.norm(centred_targets.T @ centred_targets))
    if target_norm == 0.0:
        raise DataError("all targets are equal: expected labels of at least two classes")
    means = gram.mean(axis=0)
    centred = gram - means[:, None] - means[None, :] + means.mean()
    norm = float(np.linalg.norm(centred))
    if norm <= 1e-12 * float(np.linalg.norm(gram)):
        raise DegenerateKernelError("the kernel is zero after centring: it says nothing of images")
    inner = float(np.sum(centred_targets * (centred @ centred_targets)))
    return inner / (norm * target_norm)
