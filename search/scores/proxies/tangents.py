"""Proxies that are read from the tangent kernel of the network as it is drawn.

``Θ_ij = ⟨∂s_i/∂θ, ∂s_j/∂θ⟩`` with ``s_i`` the sum of the logits of image i and θ all weights (no
biases); the network is in training, so that s_i depends on the other images too.
"""

from __future__ import annotations

import numpy as np

from .probed import Probed, UnscoredError


def ntk_condition(probed: Probed) -> float:
    """``λ_max / λ_min`` of Θ: Chen, Gong and Wang 2021, TE-NAS, section 3.1.1; lower is better."""
    values = np.linalg.eigvalsh(np.asarray(probed.tangent, np.float64))
    least = values[-1] * len(values) * np.finfo(np.float32).eps
    if not values[0] > least:
        raise UnscoredError(
            f"the tangent kernel has the eigenvalues {values[0]:.3g} to {values[-1]:.3g}: it has "
            "no condition number in float32"
        )
    return float(values[-1] / values[0])


def label_gradient_alignment(probed: Probed) -> float:
    """``Σ (Θ − m)(L − l) / (‖Θ − m‖ ‖L − l‖)`` with ``L_ij`` 1 where the labels of i and j are
    equal and -1 elsewhere, m and l the means of all entries: Mok et al. 2022, section 5."""
    tangent = np.asarray(probed.tangent, np.float64)
    labels = np.where(probed.labels[:, None] == probed.labels[None], 1.0, -1.0)
    first, second = tangent - tangent.mean(), labels - labels.mean()
    norms = float(np.linalg.norm(first) * np.linalg.norm(second))
    if norms == 0:
        raise UnscoredError("all entries of the tangent kernel are equal, or all labels")
    return float((first * second).sum()) / norms
