"""Numbers of a kernel's spectrum."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float64
from scipy.special import entr

from .normalization import normalized
from .ridge import Spectrum
from .shapes import Square, Targets


def log_centred_trace(gram: Float64[np.ndarray, "n n"]) -> float:
    """``log((1/n) tr HKH)`` with ``H = I − 11ᵀ/n``: the logarithm of the images' variance.

    ``(1/n) tr HKH`` is the mean squared distance of the images from their mean in feature space.
    It grows like a power of the network's gain, and so like an exponential of its depth; the
    logarithm has the same order, and numbers that can be read, drawn and averaged. No ridge
    enters. It follows the kernel's scale: it grows by log c when K is multiplied by c.

    Args:
        gram: training Gram matrix, symmetric, shape ``(n, n)``.

    Raises:
        DegenerateKernelError: the kernel is zero after centring.

    References:
        Shawe-Taylor and Cristianini, Kernel Methods for Pattern Analysis, 2004, section 5.1.
    """
    moved: Square = normalized(gram, "centred")
    return float(np.log(np.trace(moved) / len(moved)))


def log_determinant(spectrum: Spectrum, ridge: float) -> float:
    """``(1/n) log det(K/s + λI)`` with s the mean diagonal of K: ``(1/n) Σ_i log((w_i + ρ)/s)``.

    At most ``log(1 + λ)``, where all images are orthogonal and of one length. It does not change
    when K is multiplied by a number.

    Args:
        spectrum: of the training Gram matrix.
        ridge: λ >= 0, relative to the mean diagonal of K.

    Raises:
        ConfigurationError: the ridge is negative or not finite.
        NotPositiveDefiniteError: ``K + ρI`` is not positive definite.

    References:
        Mellor et al., Neural Architecture Search without Training, 2021, section 3, where K is
        that of a network's binary codes.
    """
    return float(np.mean(np.log(spectrum.shifted(ridge) / spectrum.scale)))


def effective_rank(spectrum: Spectrum) -> float:
    """``exp(−Σ_i p_i log p_i)`` with ``p_i = w_i / Σ_j w_j``, between 1 and n.

    The number of equal eigenvalues that have the same entropy. Eigenvalues below zero, which are
    rounding, count as zero. No ridge enters.

    References:
        Roy and Vetterli, The effective rank: a measure of effective dimensionality, 2007,
        section 2.
    """
    values = np.maximum(spectrum.values, 0.0)
    return float(np.exp(np.sum(entr(values / values.sum()))))


DESCENT_STEPS = 100
"""Of gradient descent after which the residuals are looked at."""


def descent_residuals(
    spectrum: Spectrum, Y: Targets, steps: int = DESCENT_STEPS
) -> Float64[np.ndarray, "{spectrum.n} C"]:
    """What gradient descent on the squared error has left after some steps, from a zero function.

    ``r_t = (I − K/w_max)^t Y``: training of the linearised network at the largest rate at which no
    direction overshoots, with w_max the largest eigenvalue of the tangent kernel K; fast where the
    labels lie along its first eigenvectors. No ridge enters, and it does not change when K is
    multiplied by a number.

    Args:
        spectrum: of the training Gram matrix.
        Y: targets, shape ``(n, C)``.
        steps: t >= 0.

    Returns:
        Shape ``(n, C)``.

    References:
        Arora, Du, Hu, Li and Wang, Fine-grained analysis of optimization and generalization for
        overparameterized two-layer neural networks, 2019, theorem 4.1.
    """
    left = (1 - np.maximum(spectrum.values, 0.0) / spectrum.values[-1]) ** steps
    return spectrum.vectors @ (left[:, None] * (spectrum.vectors.T @ Y))
