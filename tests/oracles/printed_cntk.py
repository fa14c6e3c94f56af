"""The CNTK recursion as a survey prints it (R. Wu, section 5.3), in float64 NumPy.

Written from the printed lines, index by index: tensors over two pixels, loops over images' pixels,
the expectations of a bivariate normal distribution for ReLU with ``c_σ = 2``. ``D`` is the window
of ``q × q`` pixels around each of two pixels; of the pairs in it the trace takes those of equal
place, and there are none outside the image. In one place they cannot be followed: the variances in
``Λ`` are printed as ``Σ(x, x')`` too, which is no covariance; they are those of each image here.
"""

from __future__ import annotations

from typing import Literal

import numpy as np

Reads = Literal["patch", "pixel", "image"]
Q, C_SIGMA = 3, 2.0
RADIUS = Q // 2


def printed_cntk(
    x: np.ndarray,
    z: np.ndarray,
    depth: int,
    *,
    pool: bool = False,
    reads: Reads = "image",
    covariance: bool = False,
) -> float:
    """``tr Θ^(L)(x, z)`` of two images ``(P, Q, C)``.

    Args:
        depth: ``L``.
        pool: ``1/(P²Q²) Σ`` over all pairs of pixels (section 5.4) in place of the trace.
        reads: where the trace of equation 4 runs: over the whole image, as it stands there; over
            the window ``D``, as in the lines below it; or over one pixel.
        covariance: ``Σ^(L)`` in place of ``Θ^(L)``: ``Σ_FC`` or ``Σ_GAP`` of section 5.4.
    """
    pairs = {"xx": (x, x), "xz": (x, z), "zz": (z, z)}
    S = {name: _input(a, b, reads) for name, (a, b) in pairs.items()}
    T = S["xz"]
    for layer in range(1, depth + 1):
        own = {name: np.einsum("ijij->ij", S[name * 2]) for name in "xz"}
        moments = {
            name: _moments(S[name], own[name[0]], own[name[1]]) for name in ("xx", "xz", "zz")
        }
        K, dot = moments["xz"]
        S = {name: _traces(both[0]) for name, both in moments.items()}
        T = _traces(dot * T + K) if layer < depth else dot * T + K
    last = S["xz"] if covariance else T
    return float(last.mean() if pool else np.einsum("ijij->", last))


def _input(x: np.ndarray, z: np.ndarray, reads: Reads) -> np.ndarray:
    """Equation 4: ``Σ^(0)``."""
    products = np.tensordot(x, z, (2, 2))
    if reads == "image":
        return np.full(products.shape, np.einsum("ijij->", products))
    return _traces(products) if reads == "patch" else products


def _moments(S: np.ndarray, left: np.ndarray, right: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """``c_σ/q² E[σ(u)σ(v)]`` and ``c_σ/q² E[σ'(u)σ'(v)]`` (Cho and Saul 2009)."""
    size = np.sqrt(left[:, :, None, None] * right)
    angle = np.arccos(np.clip(S / size, -1, 1))
    K = size * (np.sin(angle) + (np.pi - angle) * np.cos(angle)) / (2 * np.pi)
    return C_SIGMA / Q**2 * K, C_SIGMA / Q**2 * (np.pi - angle) / (2 * np.pi)


def _traces(M: np.ndarray) -> np.ndarray:
    """``tr([M]_D)`` for every pair of pixels."""
    height, width = M.shape[:2]
    result = np.zeros_like(M)
    for place in np.ndindex(M.shape):
        i, j, k, m = place
        for a in range(-RADIUS, RADIUS + 1):
            for b in range(-RADIUS, RADIUS + 1):
                rows, columns = (i + a, k + a), (j + b, m + b)
                if min(rows + columns) >= 0 and max(rows) < height and max(columns) < width:
                    result[place] += M[rows[0], columns[0], rows[1], columns[1]]
    return result
