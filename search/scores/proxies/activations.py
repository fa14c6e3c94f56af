"""Proxies that are read from which units are active, and from how features move.

The code of an image has a bit for every unit of every activation φ: whether its output is above
φ(0); for ReLU, whether its input is positive. N is their number.
"""

from __future__ import annotations

import numpy as np

from .probed import ByLayer, Perturbed, Probed, UnscoredError, logarithm

NO_ACTIVATION = "the network has no activation, and so its images have no codes"

CONSTANT = "they do not depend on the images"


def naswot(probed: Probed) -> float:
    """``log |det K|`` with ``K_ij = N − d_H(c_i, c_j)``, d_H the Hamming distance of two images'
    codes: Mellor et al. 2021, section 3, equation 2."""
    units, distances = _distances(probed)
    return _log_determinant(units - distances)[1]


def naswot_euclidean(probed: Probed) -> float:
    """The same with ``K_ij = N − √d_H(c_i, c_j)``, the Euclidean distance of codes: the survey's
    section 6.2."""
    units, distances = _distances(probed)
    return _log_determinant(units - np.sqrt(distances))[1]


def naswot_printed(probed: Probed) -> float:
    """``log |det(N I − C Cᵀ)|`` with ``⟨c_i, c_j⟩`` where a distance is meant: the survey's section
    6.2 as printed. The determinant may be negative (:func:`naswot_printed_sign`)."""
    return _log_determinant(_printed(probed))[1]


def naswot_printed_sign(probed: Probed) -> float:
    """The sign of ``det(N I − C Cᵀ)``, 1 or −1."""
    return _log_determinant(_printed(probed))[0]


def swap(probed: Probed) -> float:
    """The number of different columns of codes: of units, by the images for which they are active.
    Peng et al. 2024, SWAP-NAS, definition 3.2."""
    patterns = np.unique(np.packbits(_codes(probed), axis=0), axis=1)
    return float(patterns.shape[1])


def linear_regions(probed: Probed) -> float:
    """The number of different codes of many small images, in the network whose widths are their
    relative ones: Chen, Gong and Wang 2021, TE-NAS, section 3.1.2. A code stands for a region of
    images in which a network of ReLU is linear. The images are random parts, of the least side that
    the network takes, at least 3, of random ones; its code takes them from one channel, from three
    batches, and leaves out the stem."""
    if probed.regions is None:
        raise UnscoredError("the network takes no smaller images than those that are given")
    if not probed.regions:
        raise UnscoredError(NO_ACTIVATION)
    codes = _together(probed.regions)
    return float(len(np.unique(np.packbits(codes, axis=1), axis=0)))


def zen(probed: Probed) -> float:
    """``log mean_i ‖f(x_i) − f(x_i + ε x'_i)‖ + Σ_l ½ log mean_c σ²_lc``, where x, x' and weights
    are standard normal, f are the features that the readout reads, and σ² the variances over the
    batch x of what each normalisation reads: Lin et al. 2021, Zen-NAS, algorithm 1 and equation 3.
    Residual connections stay, which the algorithm takes out, and normalisations that read nothing
    but zero are left out.
    """
    distance = np.linalg.norm(_difference(probed), axis=1).mean()
    scales = [float(np.mean(variances)) for variances in _moved(probed).variances.values()]
    lit = sum(float(np.log(scale)) for scale in scales if scale > 0) / 2
    return logarithm(float(distance), "the movement of the features", CONSTANT) + lit


def zen_of_code(probed: Probed) -> float:
    """The same as its code has it: ``Σ |f(x) − f(x + ε x')|`` in place of the norm, and the running
    averages of the variances after both batches, which begin at 1 and keep 0.9 of what they were.
    """
    distance = np.abs(_difference(probed)).sum(axis=1).mean()
    scales = sum(float(np.log(np.mean(s))) for s in _moved(probed).averages.values()) / 2
    return logarithm(float(distance), "the movement of the features", CONSTANT) + scales


def _codes(probed: Probed) -> np.ndarray:
    """``(n, N)`` of booleans."""
    if not probed.codes:
        raise UnscoredError(NO_ACTIVATION)
    return _together(probed.codes)


def _together(codes: ByLayer) -> np.ndarray:
    """Of all layers, ``(n, N)``."""
    return np.concatenate([np.asarray(c).reshape(len(c), -1) for c in codes.values()], axis=1)


def _inner(probed: Probed) -> tuple[int, np.ndarray]:
    """The number of units, and ``⟨c_i, c_j⟩``."""
    codes = _codes(probed).astype(np.float32)  # whole numbers below 2²⁴ are exact
    return codes.shape[1], (codes @ codes.T).astype(np.float64)


def _distances(probed: Probed) -> tuple[int, np.ndarray]:
    """The number of units, and the Hamming distances."""
    units, inner = _inner(probed)
    active = np.diag(inner)
    return units, active[:, None] + active[None] - 2 * inner


def _printed(probed: Probed) -> np.ndarray:
    units, inner = _inner(probed)
    return units * np.eye(len(inner)) - inner


def _log_determinant(kernel: np.ndarray) -> tuple[float, float]:
    """Sign, and logarithm of the magnitude."""
    sign, logarithm = np.linalg.slogdet(kernel)
    if sign == 0:
        raise UnscoredError(
            "the determinant of the codes' kernel is zero: two images have equal codes"
        )
    return float(sign), float(logarithm)


def _moved(probed: Probed) -> Perturbed:
    if probed.perturbed is None:
        raise UnscoredError("the readout reads the images themselves, and there are no features")
    return probed.perturbed


def _difference(probed: Probed) -> np.ndarray:
    moved = _moved(probed)
    difference = np.asarray(moved.features, np.float64) - np.asarray(moved.moved, np.float64)
    return difference.reshape(len(difference), -1)
