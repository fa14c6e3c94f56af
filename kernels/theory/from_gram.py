"""Learning curves from a Gram matrix and targets alone, without the distribution of the inputs."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import root_scalar

from kernas.errors import ConfigurationError

from ..data.checks import check_integer
from ..regression.checks import check_targets
from ..regression.errors import NotPositiveDefiniteError
from ..regression.ridge import Spectrum, decompose, gcv_residuals
from ..regression.selection import RIDGES
from ..regression.shapes import PerImage
from .generalization import PerLevel
from .spectra import KernelSpectrum

NORMAL_95 = 1.959963984540054
"""Standard errors to each side of a 95% interval."""


def gram_spectrum(K: ArrayLike, Y: ArrayLike) -> tuple[KernelSpectrum, PerLevel]:
    """The spectrum of a kernel on N points and the power of targets in it, as if these were all.

    With the eigenvalues ``w_i`` and eigenvectors ``u_i`` of the matrix: ``λ_i = w_i / N`` and
    ``v_i² = Σ_c (u_iᵀ Y_c)² / N``. These are exact where inputs are drawn from the N points.

    Where the N points are themselves drawn, they are biased, and what :func:`eigenlearning` makes
    of them is *too good*: the largest eigenvalues come out too large and the smallest too small,
    and the targets, noise and all, are functions that a kernel of rank N can learn entirely. At n
    close to N without ridge the error comes out as zero. Read it at n well below N, or use
    :func:`predicted_curve`, which does not have this bias.

    Args:
        K: kernel of the points with themselves, shape ``(N, N)``.
        Y: targets, shape ``(N, C)``.

    Returns:
        The spectrum, largest eigenvalue first, and the power of each mode, shape ``(N,)``.

    Raises:
        DataError: K is not a symmetric matrix of real numbers, or Y has not N rows.
        kernas.errors.DegenerateKernelError: K is zero, constant or not finite.
        NotPositiveDefiniteError: an eigenvalue is negative by more than rounding of K explains.

    References:
        Simon et al., arXiv 2110.03922, section on image data; Koltchinskii and Giné, Random
        matrix approximation of spectra of integral operators, Bernoulli 6, 2000.
    """
    spectrum = decompose(K)
    targets = check_targets(Y, spectrum.n)
    values = _positive(spectrum)
    power = np.sum((spectrum.vectors.T @ targets) ** 2, axis=1) / spectrum.n
    n = spectrum.n
    modes = KernelSpectrum(np.arange(n), values[::-1] / n, np.ones(n), points=n)
    return modes, power[::-1].copy()


@dataclass(frozen=True)
class PredictedPoint:
    """The squared error that is predicted for a training on so many images.

    Attributes:
        n: images of the training.
        ridge: relative to the kernel's mean diagonal.
        error: mean over other images of the squared distance from their target, summed over
            outputs.
        low, high: its 95% interval, from the spread of the residuals over the images of the
            matrix. It leaves out how far the prediction itself is off.
    """

    n: int
    ridge: float
    error: float
    low: float
    high: float


def predicted_curve(
    K: ArrayLike | Spectrum, Y: ArrayLike, ridge: float, sizes: Iterable[int]
) -> list[PredictedPoint]:
    """Test errors of regressions on other numbers of images, from one matrix of N images.

    The effective ridge κ alone decides what is learned (:func:`eigenlearning`). So n images at the
    absolute ridge δ learn what the N images learn at another ridge ``δ_N``, the one that gives the
    same κ. For the N images ``κ = 1 / tr A⁻¹`` with ``A = K + δ_N I``, and therefore

    ``(δ_N − δ) tr A⁻¹ = N − n``,

    of which one ``δ_N`` is the solution. At it the error for N images is that of generalised
    cross-validation, ``E_N = N ‖A⁻¹Y‖² / (tr A⁻¹)²`` (:func:`gcv_residuals`), the overfitting
    coefficient is ``N tr A⁻² / (tr A⁻¹)²``, and replaced by that of n images,

    ``E_n = n / (n − N + (tr A⁻¹)² / tr A⁻²) · ‖A⁻¹Y‖² / tr A⁻²``.

    For n = N it is generalised cross-validation. For n > N the ridge ``δ_N`` is less than δ, and
    the largest n has ``δ_N = 0``: beyond, images would be learned that the matrix shows no trace
    of, and no number is given.

    Noise of targets is in the error. Unlike the estimate by :func:`gram_spectrum`, it is unbiased
    as far as the theory goes: it takes the images for drawn from a distribution, not for all
    there are.

    Args:
        K: kernel of the images with themselves, shape ``(N, N)``, or its eigendecomposition.
        Y: targets, shape ``(N, C)``, such as :func:`centred_one_hot` makes.
        ridge: λ >= 0, relative to the mean diagonal of K.
        sizes: n >= 1, in any order, at most :func:`largest_size`.

    Returns:
        A point for each size, the smallest first.

    Raises:
        ConfigurationError: the ridge is negative, a size is out of range, or the images have
            weights.
        DataError: K is not a symmetric matrix of real numbers, or Y has not N rows.
        kernas.errors.DegenerateKernelError: K is zero, constant or not finite.
        NotPositiveDefiniteError: K has a negative eigenvalue, or no ridge where it needs one.

    References:
        Jacot et al., Kernel alignment risk estimator, 2020, arXiv 2006.09796, theorems 5 and 6,
        for n = N; Simon et al., arXiv 2110.03922, section 4; that fewer images are as more at a
        larger ridge: Du, Patil and Kuchibhotla, Subsample ridge ensembles, 2023, arXiv 2304.13016.
    """
    spectrum = K if isinstance(K, Spectrum) else decompose(K)
    targets = check_targets(Y, spectrum.n)
    delta = spectrum.rho(ridge)
    chosen = sorted({check_integer(size, "size", 1) for size in sizes})
    most = largest_size(spectrum, ridge)
    if chosen and chosen[-1] > most:
        raise ConfigurationError(
            f"size {chosen[-1]}: the matrix of {spectrum.n} images tells of at most {most} at "
            f"ridge={ridge:g}; use fewer, or a larger ridge"
        )
    points: list[PredictedPoint] = []
    for n in chosen:
        equal = _equal_ridge(spectrum, n, delta) / spectrum.scale
        inverse = 1 / spectrum.shifted(equal)
        modes = float(np.sum(inverse) ** 2 / np.sum(inverse**2))  # N / E_0 of the N images
        squares = np.sum(gcv_residuals(spectrum, targets, equal) ** 2, axis=1)
        squares *= n / (n - spectrum.n + modes) * modes / spectrum.n
        error = float(np.mean(squares))
        half = NORMAL_95 * float(np.std(squares, ddof=1)) / math.sqrt(spectrum.n)
        points.append(PredictedPoint(n, float(ridge), error, max(error - half, 0.0), error + half))
    return points


def extrapolate(K: ArrayLike | Spectrum, Y: ArrayLike, ridge: float, n: int) -> PredictedPoint:
    """The test error of a regression on n images, more than the matrix has, at a ridge that tells.

    It is :func:`predicted_curve` at the ridge asked for, or, where the matrix does not tell of so
    many images then, at the least of ``RIDGES`` above at which it does. A regression on n images
    that chooses among these ridges may do better, for the larger ridge is taken for what it tells.

    Args:
        K: kernel of the images with themselves, shape ``(N, N)``, or its eigendecomposition.
        Y: targets, shape ``(N, C)``.
        ridge: λ >= 0, relative to the mean diagonal of K.
        n: number of images, up to 10 N, of which the largest ridge always tells.

    Raises:
        ConfigurationError: there are more images than the matrix tells of at any of these ridges.
        DataError, NotPositiveDefiniteError: as :func:`predicted_curve`, which has other errors too.
    """
    spectrum = K if isinstance(K, Spectrum) else decompose(K)
    larger = [ridge, *(one for one in RIDGES if one > ridge)]
    telling = (one for one in larger if largest_size(spectrum, one) >= n)
    return predicted_curve(spectrum, Y, next(telling, larger[-1]), [n])[0]


def largest_size(K: ArrayLike | Spectrum, ridge: float) -> int:
    """The largest training that a matrix of N images tells of, ``N + δ tr K⁻¹`` images.

    Eigenvalues below the rounding of K count as that rounding. Without ridge it is N.

    Args:
        K: kernel of the images with themselves, shape ``(N, N)``, or its eigendecomposition.
        ridge: λ >= 0, relative to the mean diagonal of K.

    Raises:
        ConfigurationError, DataError, NotPositiveDefiniteError: as :func:`predicted_curve`, which
            has other errors too.
    """
    spectrum = K if isinstance(K, Spectrum) else decompose(K)
    delta = spectrum.rho(ridge)
    least = min(spectrum.rounding, delta)
    if delta <= least:  # no ridge, or none that rounding does not hide
        return spectrum.n
    return int(spectrum.n + (delta - least) * np.sum(1 / (_positive(spectrum) + least)))


def _equal_ridge(spectrum: Spectrum, n: int, delta: float) -> float:
    """``δ_N``, at which the N images learn what n images learn at the ridge δ."""
    N, values = spectrum.n, _positive(spectrum)
    if n == N:
        return delta

    def missing(log_ridge: float) -> float:
        ridge = math.exp(log_ridge)
        return (ridge - delta) * float(np.sum(1 / (values + ridge))) - (N - n)

    # For n < N: κ is at most the mean of w + δ_N, over N.
    high = delta if n > N else (delta * N + (N - n) * float(np.mean(values))) / n
    low = min(spectrum.rounding, delta) if n > N else max(spectrum.rounding, delta)
    if n < N and missing(math.log(low)) > 0:
        raise NotPositiveDefiniteError(
            f"{n} images determine all that a kernel of this rank can learn at so small a ridge; "
            f"use a ridge of {1e-6 + 2 * low / spectrum.scale:.1e} or more"
        )
    bracket = (math.log(low), math.log(high) + 1e-9)
    return math.exp(root_scalar(missing, bracket=bracket, xtol=1e-14).root)


def _positive(spectrum: Spectrum) -> PerImage:
    """Eigenvalues of a covariance: those that rounding moved below zero are zero."""
    if spectrum.values[0] < -spectrum.rounding:
        raise NotPositiveDefiniteError(
            f"the smallest eigenvalue of K is {spectrum.values[0]:.3g}, of which rounding explains "
            f"{-spectrum.rounding:.1g}: expected a covariance; look for wrong entries"
        )
    return np.maximum(spectrum.values, 0.0)
