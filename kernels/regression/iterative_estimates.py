"""What conjugate gradients can say beyond a prediction: a posterior, and leave-one-out residuals.

Both need ``A⁻¹`` in places, ``A = K + ρI``, with weights ``A = S K S + ρI``. A posterior needs it
between the columns of few other images, which are solved like targets; leave-one-out residuals need
its diagonal, which is estimated from random vectors.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike

from kernas.errors import ConfigurationError

from .checks import check_cross, check_diagonal, check_targets
from .iterative import Gram, System, gram_of, product, system_of
from .posterior import Posterior
from .shapes import PerImage, Targets
from .weights import Weights, times_roots


def iterative_posterior(
    gram: Gram | ArrayLike,
    Y: ArrayLike,
    K_cross: ArrayLike,
    K_diagonal: ArrayLike,
    ridge: float,
    *,
    weights: Weights | None = None,
    tolerance: float = 1e-6,
    rank: int = 100,
    max_steps: int = 1000,
) -> Posterior:
    """The posterior of :func:`gp_posterior`, for a matrix that is read in parts.

    Each of the m images is a further column beside the targets, for which every tile is read once a
    step: give some hundreds at a time. The variance is never too small: with x for ``A⁻¹ k`` it is
    ``K_xx − 2 kᵀx + xᵀA x``, which exceeds the exact one by ``rᵀA⁻¹r``, r what is left of k.

    Args:
        gram: K of the n images, a matrix or in parts.
        Y: targets, shape ``(n, C)``.
        K_cross: ``K_x``, shape ``(m, n)``.
        K_diagonal: ``K(x, x)`` of the m images, shape ``(m,)``.
        ridge: λ > 0, relative to the mean diagonal of K, with weights to its weighted mean.
        weights: of the images; ``None`` where all count alike.
        tolerance: of the relative residual, > 0, of targets and columns each scaled to the same
            norm.
        rank, max_steps: as for :func:`conjugate_gradients`.

    Raises:
        ConfigurationError, DataError, DegenerateKernelError, NotConvergedError: as there.
    """
    parts = gram_of(gram)
    targets = check_targets(Y, len(parts))
    cross = check_cross(K_cross, len(parts))
    diagonal = check_diagonal(K_diagonal, len(cross))
    with parts.session():
        system = system_of(parts, ridge, weights, tolerance, rank, max_steps)
        columns = times_roots(cross.T, weights)
        solution, solved = _solved_together(system, times_roots(targets, weights), columns)
        again = product(system.gram, solved, system.rho)
    explained = np.sum(solved * (2 * columns - again), axis=0)
    return Posterior(columns.T @ solution, np.maximum(diagonal - explained, 0.0))


@dataclass(frozen=True)
class LooEstimate:
    """What :func:`iterative_loo` found.

    Attributes:
        residuals: target minus prediction of each image by all others, shape ``(n, C)``.
        deviation: the standard error of the estimate of each ``[A⁻¹]_ii`` relative to it, shape
            ``(n,)``: without weights that of the residuals, to first order.
    """

    residuals: Targets = field(repr=False)
    deviation: PerImage = field(repr=False)


def iterative_loo(
    gram: Gram | ArrayLike,
    Y: ArrayLike,
    ridge: float,
    *,
    weights: Weights | None = None,
    probes: int = 32,
    seed: int = 0,
    tolerance: float = 1e-6,
    rank: int = 100,
    max_steps: int = 1000,
) -> LooEstimate:
    """Leave-one-out residuals ``[A⁻¹Y]_i / [A⁻¹]_ii``, with the diagonal of ``A⁻¹`` estimated.

    With P the preconditioner, whose inverse has a known diagonal, and z of independent signs,
    ``[A⁻¹]_ii = [P⁻¹]_ii + E[z_i ((A⁻¹ − P⁻¹) z)_i]``: the better P, the less is left to chance.
    What no A allows is cut off: ``1 / A_ii <= [A⁻¹]_ii <= 1 / ρ``.

    Args:
        gram: K, a matrix or in parts.
        Y: targets, shape ``(n, C)``.
        ridge: λ > 0, relative to the mean diagonal of K, with weights to its weighted mean.
        weights: of the images; ``None`` where all count alike.
        probes: vectors z, >= 2, each a further column beside the targets; the standard error falls
            as their root.
        seed: of the vectors.
        tolerance: of the relative residual, > 0, of targets and probes each scaled to the same
            norm.
        rank, max_steps: as for :func:`conjugate_gradients`.

    Raises:
        ConfigurationError: there are fewer than two probes, or an option is out of its range.
        DataError, DegenerateKernelError, NotConvergedError: as for :func:`conjugate_gradients`.

    Reference:
        Bekas, Kokiopoulou, Saad, An estimator for the diagonal of a matrix, 2007, equation 4;
        Rasmussen and Williams, Gaussian Processes for Machine Learning, 2006, equation 5.12.
    """
    if isinstance(probes, bool) or not isinstance(probes, int) or probes < 2:
        raise ConfigurationError(f"probes={probes!r}: expected an integer >= 2")
    parts = gram_of(gram)
    targets = check_targets(Y, len(parts))
    signs = np.random.default_rng(seed).choice([-1.0, 1.0], (len(parts), probes))
    with parts.session():
        system = system_of(parts, ridge, weights, tolerance, rank, max_steps)
        solution, solved = _solved_together(system, times_roots(targets, weights), signs)
        shifted = system.gram.diagonal() + system.rho
    chances = signs * (solved - system.precondition(signs))
    inverse = system.preconditioner_diagonal() + chances.mean(axis=1)
    inverse = np.clip(inverse, 1 / shifted, 1 / system.rho)
    error = chances.std(axis=1, ddof=1) / np.sqrt(probes)
    if weights is None:
        residuals = solution / inverse[:, None]
    else:
        residuals = weights.loo_residuals(solution, inverse, system.rho)
    return LooEstimate(residuals, error / inverse)


def _solved_together(system: System, *groups: np.ndarray) -> list[np.ndarray]:
    """``A⁻¹`` times each of some groups of columns, from the same readings of the matrix.

    Raises:
        NotConvergedError: the tolerance was not reached.
    """
    norms = [float(np.linalg.norm(group)) or 1.0 for group in groups]
    found = system.solve(np.hstack([g / norm for g, norm in zip(groups, norms, strict=True)]))
    ends = np.cumsum([group.shape[1] for group in groups])[:-1]
    parts = np.split(found.value, ends, axis=1)
    return [part * norm for part, norm in zip(parts, norms, strict=True)]
