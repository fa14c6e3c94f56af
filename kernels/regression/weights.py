"""Training images that count more or less: ``Σ_i w_i |f(x_i) − y_i|² + ρ ‖f‖²``.

It is least at ``f(x) = Σ_i α_i K(x, x_i)`` with ``(K + ρ W⁻¹) α = Y``, ``W = diag(w)``. With
``S = W^{1/2}`` that is ``α = S A⁻¹ S Y``, ``A = S K S + ρI``: the regression without weights from
the matrix ``S K S`` and the targets ``S Y``. The absolute ridge is ``ρ = ridge · Σ_i w_i K_ii / Σ_i
w_i``, the mean diagonal of a training set in which image i stands ``w_i`` times, so that such a set
gives the same function.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from jaxtyping import Float64

from kernas.errors import DataError

from .shapes import PerImage, Square, Targets


@dataclass(frozen=True, eq=False)
class Weights:
    """``w_i = repeats_i · costs_i`` of the training images.

    The two differ in what is left out with an image: one of its repeats, or all there is of it if
    it counts less than once, and the whole cost of that one.

    Args:
        repeats: how often each image counts, > 0, shape ``(n,)``.
        costs: what its error costs each time, > 0, shape ``(n,)``.

    Raises:
        DataError: not vectors of one length, or not finite numbers > 0.
    """

    repeats: np.ndarray = field(repr=False)
    costs: np.ndarray = field(repr=False)

    def __post_init__(self) -> None:
        for name in ("repeats", "costs"):
            vector = np.asarray(getattr(self, name), np.float64)
            object.__setattr__(self, name, vector)
            if vector.ndim != 1 or not (np.isfinite(vector) & (vector > 0)).all():
                raise DataError(
                    f"{name} of shape {vector.shape}: expected a vector of finite numbers > 0, one "
                    "for each image; leave out images that do not count"
                )
        if len(self.repeats) != len(self.costs):
            raise DataError(
                f"{len(self.repeats)} repeats and {len(self.costs)} costs: expected one of each "
                "for every image"
            )

    def __len__(self) -> int:
        return len(self.repeats)

    @cached_property
    def values(self) -> PerImage:
        """w, shape ``(n,)``."""
        return self.repeats * self.costs

    @cached_property
    def roots(self) -> PerImage:
        """``S = w^{1/2}``, shape ``(n,)``."""
        return np.sqrt(self.values)

    @cached_property
    def total(self) -> float:
        """``Σ_i w_i``."""
        return float(np.sum(self.values))

    def loo_residuals(self, solution: Targets, inverse: PerImage, rho: float) -> Targets:
        """Target minus prediction of each image where the weight ``m_i`` of it is left out.

        ``r_i = s_i [A⁻¹SY]_i / ((w_i − m_i)/ρ + m_i [A⁻¹]_ii)`` with ``m_i`` the cost of one
        repeat, or ``w_i`` if image i counts less than once. It is the residual of the fit,
        ``ρ [A⁻¹SY]_i / s_i``, over one minus the part of itself that a unit of weight ``m_i``
        predicts, ``m_i (1 − ρ [A⁻¹]_ii) / w_i``.

        Args:
            solution: ``A⁻¹ S Y``, shape ``(n, C)``.
            inverse: the diagonal of ``A⁻¹``, shape ``(n,)``.
            rho: ρ >= 0.
        """
        left_out = np.minimum(self.repeats, 1.0) * self.costs
        kept = self.values - left_out
        with np.errstate(divide="ignore", over="ignore"):
            stays = np.divide(kept, rho, out=np.zeros_like(kept), where=kept > 0)
        return (self.roots / (stays + left_out * inverse))[:, None] * solution


def weighted_gram(gram: Square, weights: Weights | None) -> tuple[Square, float]:
    """``S K S`` and ``Σ_i w_i K_ii / Σ_i w_i``, the unit of the ridge.

    Raises:
        DataError: there is not one weight for each image.
    """
    if weights is None:
        return gram, float(np.mean(np.diag(gram)))
    check_count(weights, len(gram))
    matrix = gram * weights.roots[:, None] * weights.roots
    return matrix, float(np.trace(matrix)) / weights.total


def check_count(weights: Weights, n: int) -> None:
    """Refuse weights of another number of images.

    Raises:
        DataError: the message has both numbers.
    """
    if len(weights) != n:
        raise DataError(
            f"{len(weights)} weights for a Gram matrix of {n} images: expected one each"
        )


def times_roots(
    rows: Float64[np.ndarray, "n k"], weights: Weights | None
) -> Float64[np.ndarray, "n k"]:
    """``S`` times a matrix of one row for each image."""
    return rows if weights is None else weights.roots[:, None] * rows
