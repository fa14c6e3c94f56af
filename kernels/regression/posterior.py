"""What an infinitely wide network predicts, with its uncertainty.

Targets are ``Y`` (n, C). ``K`` is the NNGP, ``Θ`` the NTK; no index: training images with
themselves; ``x``: other images with the training images, ``(m, n)``. Weights of the images, if they
have any, are those of the factor or the decomposition, ``S = W^{1/2}``; without, ``S = I``.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.linalg import solve_triangular

from kernas.errors import ConfigurationError, DataError

from .checks import check_cross, check_diagonal, check_gram, check_targets
from .cholesky import Factor
from .ridge import Spectrum
from .shapes import CrossBlock, PerOther, Predictions, Targets
from .weights import times_roots


@dataclass(frozen=True)
class Posterior:
    """A prediction at m images.

    Attributes:
        mean: shape ``(m, C)``.
        variance: of every output, shape ``(m,)``: outputs are alike and independent. Of the
            network's value, without noise.
    """

    mean: Predictions
    variance: PerOther

    @property
    def deviation(self) -> PerOther:
        """The standard deviation, shape ``(m,)``."""
        return np.sqrt(self.variance)


def gp_posterior(
    factor: Factor, Y: ArrayLike, K_cross: ArrayLike, K_diagonal: ArrayLike
) -> Posterior:
    """Posterior of the Gaussian process with the NNGP as prior and noise of variance ρ.

    ``μ = K_x A⁻¹ Y``, ``σ² = K_xx − K_x A⁻¹ K_xᵀ`` with ``A = K + ρI``: what Bayesian inference
    gives for the infinitely wide network. With weights ``A = K + ρ W⁻¹``: noise of variance
    ``ρ/w_i`` at image i.

    Args:
        factor: of A.
        Y: targets, shape ``(n, C)``.
        K_cross: ``K_x``, shape ``(m, n)``.
        K_diagonal: ``K(x, x)`` of the m images, shape ``(m,)``.

    Raises:
        DataError: shapes do not fit.
        DegenerateKernelError: a kernel is not finite.

    Reference:
        Lee et al., Deep Neural Networks as Gaussian Processes, ICLR 2018, equations 8 and 9.
    """
    cross = check_cross(K_cross, len(factor.lower))
    diagonal = check_diagonal(K_diagonal, len(cross))
    columns = times_roots(cross.T, factor.weights)
    explained = np.sum(solve_triangular(factor.lower, columns, lower=True) ** 2, axis=0)
    return Posterior(cross @ factor.solve(Y), np.maximum(diagonal - explained, 0.0))


def converged_posterior(
    factor: Factor,
    Y: ArrayLike,
    *,
    T_cross: ArrayLike,
    K: ArrayLike,
    K_cross: ArrayLike,
    K_diagonal: ArrayLike,
) -> Posterior:
    """:func:`ensemble_posterior` at convergence, from the factor that dual coefficients are from.

    ``B = Θ_x (Θ + (ρ + j) W⁻¹)⁻¹`` with the jitter j of the factor, so that the mean is that of
    ``Θ_x factor.solve(Y)``.

    Args:
        factor: of Θ.
        Y: targets, shape ``(n, C)``.
        T_cross: ``Θ_x``, shape ``(m, n)``.
        K: NNGP of the training images, shape ``(n, n)``.
        K_cross: NNGP of the others with them, ``(m, n)``.
        K_diagonal: NNGP of each of the others with itself, ``(m,)``.

    Raises:
        DataError: shapes do not fit.
        DegenerateKernelError: a kernel is not finite.
    """
    n = len(factor.lower)
    targets, tangents = check_targets(Y, n), check_cross(T_cross, n)
    return _posterior(factor.solve(tangents.T).T, targets, K, K_cross, K_diagonal)


def ensemble_posterior(
    tangent: Spectrum,
    Y: ArrayLike,
    ridge: float,
    *,
    T_cross: ArrayLike,
    K: ArrayLike,
    K_cross: ArrayLike,
    K_diagonal: ArrayLike,
    time: float | None = None,
) -> Posterior:
    """Mean and variance of infinitely wide networks trained from random weights.

    Gradient flow of all weights on the loss ``‖f − Y‖² / 2nC`` for a time t, plus ``ρ/2nC`` times
    the squared distance of the weights from where they began, which is the ridge. With
    ``A = Θ + ρI`` and ``M = A⁻¹ (I − exp(−t A / nC))``, ``B = Θ_x M``:

    ``μ = B Y``, ``σ² = K_xx + B K Bᵀ − 2 B K_xᵀ``.

    At t = ∞, without a ridge, it interpolates; it is no posterior of a Gaussian process. A finite
    time needs no inverse: ``(1 − exp(−v t / nC)) / v`` tends to ``t/nC`` where an eigenvalue v of A
    tends to zero. With weights the loss is ``Σ_i w_i ‖f_i − Y_i‖² / 2NC``, ``N = Σ_i w_i``,
    ``A = S Θ S + ρI`` and ``B = Θ_x S M S``.

    Args:
        tangent: eigendecomposition of Θ.
        Y: targets, shape ``(n, C)``.
        ridge: λ >= 0, relative to the mean diagonal of Θ.
        T_cross: ``Θ_x``, shape ``(m, n)``.
        K: NNGP of the training images, shape ``(n, n)``.
        K_cross: NNGP of the others with them, ``(m, n)``.
        K_diagonal: NNGP of each of the others with itself, ``(m,)``.
        time: t >= 0; ``None`` for convergence.

    Raises:
        ConfigurationError: the time is negative, or the ridge.
        DataError: shapes do not fit.
        NotPositiveDefiniteError: A is not positive definite at convergence, or below zero by more
            than rounding at a finite time.

    Reference:
        Lee et al., Wide Neural Networks of Any Depth Evolve as Linear Models Under Gradient
        Descent, NeurIPS 2019, equations 14 to 16.
    """
    if time is not None and not 0 <= time < float("inf"):
        raise ConfigurationError(
            f"time={time!r}: expected a number >= 0, or None for training until convergence"
        )
    targets = check_targets(Y, tangent.n)
    n = tangent.n if tangent.weights is None else tangent.weights.total
    if time is None:
        rates = 1 / tangent.shifted(ridge)
    else:
        rates = tangent.trained(ridge, time / (n * targets.shape[1]))
    tangents = times_roots(check_cross(T_cross, tangent.n).T, tangent.weights).T
    B = ((tangents @ tangent.vectors) * rates) @ tangent.vectors.T
    B = times_roots(B.T, tangent.weights).T
    return _posterior(B, targets, K, K_cross, K_diagonal)


def _posterior(
    B: CrossBlock, targets: Targets, K: ArrayLike, K_cross: ArrayLike, K_diagonal: ArrayLike
) -> Posterior:
    """``μ = B Y``, ``σ² = K_xx + B K Bᵀ − 2 B K_xᵀ``."""
    gram, n = check_gram(K), len(targets)
    if len(gram) != n:
        raise DataError(f"K of {len(gram)} images and Θ of {n}: expected the same images")
    cross = check_cross(K_cross, n)
    diagonal = check_diagonal(K_diagonal, len(cross))
    if B.shape != cross.shape:
        raise DataError(f"Θ_x of {len(B)} images and K_x of {len(cross)}: expected the same images")
    variance = diagonal + np.sum((B @ gram - 2 * cross) * B, axis=1)
    return Posterior(B @ targets, np.maximum(variance, 0.0))
