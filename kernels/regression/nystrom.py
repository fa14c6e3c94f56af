"""Ridge regression on landmarks, for more images than an exact solution can hold."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float64
from numpy.typing import ArrayLike
from scipy.linalg import eigh

from .checks import (
    check_cross,
    check_gram,
    check_ridge,
    check_targets,
    precision_of,
    rounding_of,
)
from .errors import NotPositiveDefiniteError


@dataclass(frozen=True)
class LandmarkRegression:
    """A regression that reads the kernel with m landmarks only, made by :func:`nystrom`.

    Attributes:
        coefficients: β, shape ``(m, C)``; the prediction is ``K(x, landmarks) β``.
        rank: directions of the landmarks that were kept, at most m.
        rho: the absolute ridge.
    """

    coefficients: Float64[np.ndarray, "m C"] = field(repr=False)
    rank: int
    rho: float

    def predict(self, K_cross: ArrayLike) -> Float64[np.ndarray, "k C"]:
        """Predictions ``(k, C)`` from the kernel of k images with the landmarks, ``(k, m)``.

        Raises:
            DataError: the shape does not fit.
            DegenerateKernelError: an entry is not finite.
        """
        return check_cross(K_cross, len(self.coefficients)) @ self.coefficients


def nystrom(
    K_landmarks: ArrayLike, K_train: ArrayLike, Y: ArrayLike, ridge: float
) -> LandmarkRegression:
    """Ridge regression with the kernel ``K_xm K_mm⁺ K_mx'`` of m landmarks.

    Its features are ``Φ(x) = K(x, landmarks) U w^{-1/2}``, with ``K_mm = U diag(w) Uᵀ`` without the
    eigenvalues that are rounding (below ``8 ε ‖K_mm‖_F``), and its coefficients
    ``(ΦᵀΦ + ρI)⁻¹ Φᵀ Y``. Landmarks that are all n images give the exact regression.

    Args:
        K_landmarks: ``K_mm``, shape ``(m, m)``.
        K_train: of the training images with the landmarks, shape ``(n, m)``.
        Y: targets, shape ``(n, C)``.
        ridge: λ >= 0, relative to the mean diagonal of ``K_mm``.

    Raises:
        ConfigurationError: the ridge is negative or not finite.
        DataError: shapes do not fit.
        DegenerateKernelError: the kernel is zero, constant or not finite.
        NotPositiveDefiniteError: ``ΦᵀΦ + ρI`` has no inverse in float64, as without a ridge where
            there are fewer images than directions.

    Reference:
        Williams and Seeger, Using the Nyström Method to Speed Up Kernel Machines, NeurIPS 2000;
        Rasmussen and Williams 2006, section 8.3.2 (subset of regressors).
    """
    gram = check_gram(K_landmarks)
    train = check_cross(K_train, len(gram))
    targets = check_targets(Y, len(train))
    rho = check_ridge(ridge) * float(np.mean(np.diag(gram)))
    values, vectors = eigh(gram)
    kept = values > rounding_of(gram, precision_of(K_landmarks))
    to_features = vectors[:, kept] / np.sqrt(values[kept])
    features = train @ to_features
    shifted, directions = eigh(features.T @ features)
    shifted += rho
    if shifted[0] <= len(shifted) * np.finfo(np.float64).eps * shifted[-1]:
        fewer = ", or fewer landmarks than images" if len(gram) >= len(train) else ""
        raise NotPositiveDefiniteError(
            f"ridge={ridge} with {len(train)} images and {len(shifted)} directions of the "
            f"landmarks: the least eigenvalue of ΦᵀΦ + ρI is {shifted[0]:.1e}, the largest "
            f"{shifted[-1]:.1e}; use a larger ridge{fewer}"
        )
    weights = directions @ ((directions.T @ (features.T @ targets)) / shifted[:, None])
    return LandmarkRegression(to_features @ weights, int(kept.sum()), rho)
