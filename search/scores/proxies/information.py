"""Proxies that are read from the Fisher information of a few weights.

The network has no normalisation, as one whose running averages are still 0 and 1.
"""

from __future__ import annotations

import numpy as np
from scipy.special import softmax

from .probed import Probed, UnscoredError, entropy

SMOOTHING = 0.05
"""Share of the classes' probabilities that is spread evenly, of the code of Tybl and Neumann."""

DECILES = np.arange(1, 10) / 10


def vkdnw(probed: Probed) -> float:
    """``ℵ + vkdnw@entropy(…)`` with ℵ the number of layers with weights: Tybl and Neumann 2025,
    VKDNW, section 3.3. The entropy is below log 9, so that it decides between networks of equally
    many layers, and nearly so of others. Its code counts normalisations, too."""
    return len(probed.weights) + vkdnw_entropy(probed)


def vkdnw_entropy(probed: Probed) -> float:
    """``−Σ_k p_k log p_k`` with p_k the k-th decile, k = 1, …, 9, of the eigenvalues of the Fisher
    information ``F = mean_i J_iᵀ (diag q_i − q_i q_iᵀ) J_i`` over the sum of all nine: J_i are the
    derivatives of the logits of image i by the first weight of each layer, and q_i the classes'
    probabilities, a share of 0.05 of them spread evenly. Tybl and Neumann 2025, VKDNW, section 3.2.
    """
    logits, by_layer = probed.information
    probabilities = softmax(np.asarray(logits, np.float64), axis=1)
    probabilities = (1 - SMOOTHING) * probabilities + SMOOTHING / logits.shape[1]
    slopes = np.stack([np.asarray(s, np.float64) for s in by_layer.values()])  # (layers, n, C)
    if not (np.isfinite(probabilities).all() and np.isfinite(slopes).all()):
        raise UnscoredError("the logits or their derivatives are not finite without normalisation")
    means = np.einsum("lnc,nc->ln", slopes, probabilities)
    centred = (slopes - means[..., None]) * np.sqrt(probabilities)
    flat = centred.reshape(len(slopes), -1)
    values = np.maximum(np.linalg.eigvalsh(flat @ flat.T / len(logits)), 0.0)
    deciles = np.quantile(values, DECILES)
    if not deciles.sum() > 0:
        raise UnscoredError("nine of ten eigenvalues of the Fisher information are zero")
    return entropy(deciles)
