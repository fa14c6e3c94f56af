"""Kernel ridge regression in float64: one eigendecomposition serves every ridge and every score.

Throughout, ``K = V diag(w) Vᵀ`` is the training Gram matrix and ``A = K + ρI`` with the absolute
ridge ``ρ = ridge · mean(diag K)``. ρ is a number fixed by all n training images before anything is
left out: the leave-one-out formulas are those of refits at the same ρ. With weights of the images,
``S K S`` stands in place of K, and ``ρ = ridge · Σ_i w_i K_ii / Σ_i w_i``
(:mod:`kernas.kernels.regression.weights`).

A Gram matrix computed in float32 has eigenvalues that rounding moved, some below zero. They are
kept as they are, so that every result is that of the matrix given; what is asked is that A be
positive definite.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float64
from numpy.typing import ArrayLike
from scipy.linalg import eigh
from scipy.special import gammaln

from kernas.errors import ConfigurationError, DataError

from .checks import (
    check_cross,
    check_gram,
    check_ridge,
    check_targets,
    precision_of,
    rounding_of,
)
from .errors import DegenerateKernelError, NotPositiveDefiniteError
from .normalization import centred
from .shapes import PerImage, Predictions, Square
from .weights import Weights, times_roots, weighted_gram


@dataclass(frozen=True, eq=False)
class Spectrum:
    """Eigendecomposition of a training Gram matrix, made by :func:`decompose`.

    Attributes:
        values: eigenvalues w in ascending order, shape ``(n,)``.
        vectors: eigenvectors V in the columns, shape ``(n, n)``.
        scale: mean of the diagonal of K, the unit of the ridge.
        weights: of the images, if they have any.
        rounding: how far rounding of K may have moved an eigenvalue.
    """

    values: PerImage = field(repr=False)
    vectors: Square = field(repr=False)
    scale: float
    weights: Weights | None = field(default=None, repr=False)
    rounding: float = 0.0

    @property
    def n(self) -> int:
        """Number of training images."""
        return len(self.values)

    def rho(self, ridge: float) -> float:
        """The absolute ridge ``ρ = ridge · mean(diag K)``."""
        return check_ridge(ridge) * self.scale

    def shifted(self, ridge: float) -> Float64[np.ndarray, " {self.n}"]:
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

    def trained(self, ridge: float, time: float) -> Float64[np.ndarray, " {self.n}"]:
        """``(1 − exp(−t v)) / v`` of the eigenvalues ``v = w + ρ`` of A, shape ``(n,)``.

        It is what gradient flow for a time t makes of ``1/v``, and tends to t where v tends to
        zero: a singular kernel has it as well. Eigenvalues below zero that are rounding are zero.

        Args:
            ridge: λ >= 0, relative to the mean diagonal of K.
            time: t >= 0, finite.

        Raises:
            ConfigurationError: the ridge is negative or not finite.
            NotPositiveDefiniteError: an eigenvalue of A is below zero by more than rounding.
        """
        values = self.values + self.rho(ridge)
        if values[0] < -self.rounding:
            need = -2 * self.values[0] / self.scale
            raise NotPositiveDefiniteError(
                f"K + ρI is not positive semi-definite at ridge={ridge:g}: the smallest eigenvalue "
                f"of K is {self.values[0]:.3g}, of which rounding explains {-self.rounding:.1g}; "
                f"look for wrong entries, or use a ridge of {need:.1e} or more"
            )
        return flowed(np.maximum(values, 0.0), time)


def flowed(values: PerImage, time: float) -> PerImage:
    """``(1 − exp(−t v)) / v`` of v >= 0: how far gradient flow has come after a time t >= 0.

    It tends to t where v tends to zero. At t = ∞ it is ``1/v``, and 0 where v is 0.
    """
    if np.isinf(time):
        return np.divide(1.0, values, out=np.zeros_like(values), where=values > 0)
    with np.errstate(over="ignore"):
        exponents = values * time
    rates = np.full_like(values, time)
    some = exponents > np.finfo(np.float64).tiny
    rates[some] = -np.expm1(-exponents[some]) / values[some]
    return rates


def decompose(K: ArrayLike, weights: Weights | None = None) -> Spectrum:
    """Eigendecomposition ``K = V diag(w) Vᵀ`` of a training Gram matrix, with weights of ``S K S``.

    Args:
        K: kernel of the training images with themselves, shape ``(n, n)``.
        weights: of the images; ``None`` where all count alike.

    Returns:
        The :class:`Spectrum` that the functions of this module read, for any ridge.

    Raises:
        DataError: K is not a symmetric matrix of real numbers, or has not one weight for each row.
        DegenerateKernelError: K is zero, constant or not finite.
    """
    gram, scale = weighted_gram(check_gram(K), weights)
    values, vectors = eigh(gram)
    return Spectrum(values, vectors, scale, weights, rounding_of(gram, precision_of(K)))


def solve(spectrum: Spectrum, Y: ArrayLike, ridge: float) -> Float64[np.ndarray, "{spectrum.n} C"]:
    """``A⁻¹ Y = V diag(1/(w + ρ)) Vᵀ Y``, with weights ``S A⁻¹ S Y``.

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
    return times_roots(_solved(spectrum, Y, ridge), spectrum.weights)


def _solved(
    spectrum: Spectrum, Y: ArrayLike, ridge: float
) -> Float64[np.ndarray, "{spectrum.n} C"]:
    """``A⁻¹ S Y``."""
    targets = times_roots(check_targets(Y, spectrum.n), spectrum.weights)
    shifted = spectrum.shifted(ridge)
    return spectrum.vectors @ ((spectrum.vectors.T @ targets) / shifted[:, None])


def predict(spectrum: Spectrum, K_cross: ArrayLike, Y: ArrayLike, ridge: float) -> Predictions:
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


def loo_residuals(
    spectrum: Spectrum, Y: ArrayLike, ridge: float
) -> Float64[np.ndarray, "{spectrum.n} C"]:
    """Target minus prediction of each image by the regression on all the others.

    ``r_i = [A⁻¹Y]_i / [A⁻¹]_ii``, exactly the residuals of n refits without image i at the same
    absolute ρ (and with the same statistics of the kernel, which is not evaluated anew). With
    weights one repeat of image i is left out: :meth:`Weights.loo_residuals`.

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
    solution, weights = _solved(spectrum, Y, ridge), spectrum.weights
    if weights is None:
        return solution / inverse_diagonal[:, None]
    return weights.loo_residuals(solution, inverse_diagonal, spectrum.rho(ridge))


def loo_predictions(
    spectrum: Spectrum, Y: ArrayLike, ridge: float
) -> Float64[np.ndarray, "{spectrum.n} C"]:
    """Prediction of each training image by all the others, ``Y − r``: see :func:`loo_residuals`."""
    return check_targets(Y, spectrum.n) - loo_residuals(spectrum, Y, ridge)


def gcv_residuals(
    spectrum: Spectrum, Y: ArrayLike, ridge: float
) -> Float64[np.ndarray, "{spectrum.n} C"]:
    """Residuals of generalised cross-validation, whose mean square estimates the risk.

    ``r = A⁻¹Y / ((1/n) tr A⁻¹)``: those of :func:`loo_residuals` with the mean of the diagonal of
    A⁻¹ in place of each entry, so that they do not depend on the basis of images. With the
    smoother ``B = K A⁻¹``, ``I − B = ρ A⁻¹``, and ρ cancels: the mean square is

    ``(1/n) ‖(I − B)Y‖² / ((1/n) tr(I − B))² = ((1/n) tr YᵀA⁻²Y) / ((1/n) tr A⁻¹)²``,

    which for one output is the kernel alignment risk estimator (KARE) at Jacot's ridge ρ/n. Columns
    of Y are summed. It does not change when K is multiplied by a number, because ρ follows.

    Args:
        spectrum: of the training Gram matrix, without weights.
        Y: targets, shape ``(n, C)``.
        ridge: λ >= 0, relative to the mean diagonal of K.

    Returns:
        Shape ``(n, C)``.

    Raises:
        DataError: Y has not n rows.
        ConfigurationError: the ridge is negative or not finite, or the images have weights.
        NotPositiveDefiniteError: A is not positive definite.

    References:
        Golub, Heath and Wahba, Generalized cross-validation as a method for choosing a good ridge
        parameter, 1979, section 1; Jacot et al., Kernel alignment risk estimator: risk prediction
        from training data, 2020, arXiv 2006.09796.
    """
    if spectrum.weights is not None:
        raise ConfigurationError(
            "generalised cross-validation of weighted images: expected a spectrum without "
            "weights; use loo_residuals"
        )
    solution = solve(spectrum, Y, ridge)
    return solution / np.mean(1.0 / spectrum.shifted(ridge))


def log_evidence(spectrum: Spectrum, Y: ArrayLike, ridge: float) -> float:
    """Log marginal likelihood of the targets, the kernel's scale integrated out.

    Let ``Y = Z Qᵀ`` with Q of r orthonormal columns, r the rank of Y (C − 1 for centred one-hot
    labels of C classes): the r columns of Z are independent draws of N(0, sA) with one scale s.
    Integrated over s with the prior ds/s,

    ``log p = −½ r (n log(π t) + log|A|) + log Γ(nr/2)``,  ``t = tr(ZᵀA⁻¹Z) = tr(YᵀA⁻¹Y)``.

    It does not change when K is multiplied by a number, because ρ follows. With weights it is that
    of a training set in which image i stands ``w_i`` times, ``N = Σ_i w_i`` images in all:

    ``log p = −½ r (N log(π t) + log|A| + (N − n) log ρ) + log Γ(Nr/2)``,  ``t = tr(YᵀS A⁻¹ S Y)``.

    Args:
        spectrum: of the training Gram matrix.
        Y: targets, shape ``(n, C)``, not all zero.
        ridge: λ >= 0, relative to the mean diagonal of K.

    Returns:
        Natural logarithm of the density of Z, for all images together.

    Raises:
        DataError: Y has not n rows, or is zero.
        ConfigurationError: the ridge is negative or not finite.
        NotPositiveDefiniteError: A is not positive definite, or images that are repeated have no
            ridge.

    Reference:
        Rasmussen and Williams 2006, equation 2.30, for one draw at a known scale.
    """
    targets = check_targets(Y, spectrum.n)
    rank = int(np.linalg.matrix_rank(targets))
    if rank == 0:
        raise DataError("the targets are zero: expected labels of at least two classes")
    shifted = spectrum.shifted(ridge)
    targets = times_roots(targets, spectrum.weights)
    quadratic = float(np.sum((spectrum.vectors.T @ targets) ** 2 / shifted[:, None]))
    log_determinant = float(np.sum(np.log(shifted)))
    n = spectrum.n
    if spectrum.weights is not None:
        n, rho = spectrum.weights.total, spectrum.rho(ridge)
        if rho == 0:
            raise NotPositiveDefiniteError(
                "ridge=0 with weights: equal images have a singular kernel; use a ridge > 0"
            )
        log_determinant += (n - spectrum.n) * float(np.log(rho))
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
    moved = centred(gram)
    norm = float(np.linalg.norm(moved))
    if norm <= 1e-12 * float(np.linalg.norm(gram)):
        raise DegenerateKernelError("the kernel is zero after centring: it says nothing of images")
    inner = float(np.sum(centred_targets * (moved @ centred_targets)))
    return inner / (norm * target_norm)
