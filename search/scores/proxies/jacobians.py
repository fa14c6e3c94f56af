"""Proxies that are read from the derivative of the sum of all logits by the images.

J is ``(n, d)``, a row for each image; the network is in training, so that a row also goes through
the statistics of the batch.
"""

from __future__ import annotations

import numpy as np

from .probed import Probed, UnscoredError

SMALL = 1e-5


def jacob_cov(probed: Probed) -> float:
    """``−Σ_i (log(λ_i + k) + 1/(λ_i + k))`` over the eigenvalues of the correlations of J's rows,
    k = 1e-5: Mellor et al. 2020, the first version of NASWOT, section 3; Abdelfattah et al. 2021.
    """
    values = np.linalg.eigvalsh(_correlations(probed.jacobian))
    raised = np.maximum(values, 0.0) + SMALL
    return float(-(np.log(raised) + 1 / raised).sum())


def epe_nas(probed: Probed) -> float:
    """``Σ_c |Σ_ij log(|Σ_c,ij| + k)|`` over the classes, Σ_c the correlations of the rows of a
    class, k = 1e-5. With more than 100 classes, the inner sums are divided by the rows of a class,
    and it is ``Σ_c Σ_c' |s_c − s_c'|`` over the number of classes. Lopes, Alirezazadeh and
    Alexandre 2021, EPE-NAS, section 3.
    """
    many = probed.n_classes > 100
    sums: list[float] = []
    for label in np.unique(probed.labels):
        rows = probed.jacobian[probed.labels == label]
        value = float(np.log(np.abs(_correlations(rows)) + SMALL).sum())
        sums.append(value / len(rows) if many else value)
    if not many:
        return float(np.abs(sums).sum())
    return float(np.abs(np.subtract.outer(sums, sums)).sum()) / len(sums)


def _correlations(rows: np.ndarray) -> np.ndarray:
    """Of rows, ``(n, n)``."""
    rows = np.asarray(rows, np.float64)
    centred = rows - rows.mean(axis=1, keepdims=True)
    norms = np.linalg.norm(centred, axis=1)
    if not np.all(norms > 0):
        raise UnscoredError("the output does not depend on some images")
    centred /= norms[:, None]
    return centred @ centred.T
