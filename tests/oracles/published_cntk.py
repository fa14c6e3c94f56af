"""The CNTK of Arora et al. 2019 in float64 NumPy, in the scale of its section 4.3 and of its code.

Written from the paper's recursion and from the constants of the authors' program: second moments
are summed over a 3×3 window and not averaged, the factor ``c_σ / q² = 2 / 9`` stands in the
nonlinearity, the first layer has no factor at all, and a depth counts the last, linear layer.
"""

from __future__ import annotations

import numpy as np


def published_cntk(x: np.ndarray, z: np.ndarray, depth: int, *, pool: bool, fix: bool) -> float:
    """The kernel of two images ``(height, width, channels)``.

    Args:
        depth: convolutions + 1.
        pool: the mean over all pairs of pixels, instead of the trace.
        fix: whether the first and the last layer are untrained.
    """
    pairs = {
        (a, b): np.tensordot(left, right, (2, 2))
        for a, left in ((0, x), (1, z))
        for b, right in ((0, x), (1, z))
    }
    S = {key: _window_sums(value) for key, value in pairs.items()}
    T = np.zeros_like(S[0, 1]) if fix else S[0, 1].copy()
    for layer in range(1, depth):
        own = [np.einsum("ijij->ij", S[a, a]) for a in (0, 1)]
        after, slope = {}, np.zeros(0)
        for (a, b), value in S.items():
            size = np.sqrt(own[a][:, :, None, None] * own[b])
            rho = np.clip(value / size, -1, 1)
            angle = np.pi - np.arccos(rho)
            after[a, b] = size * (rho * angle + np.sqrt(1 - rho**2)) / (9 * np.pi)
            if (a, b) == (0, 1):
                slope = angle / (9 * np.pi)
        T = T * slope + after[0, 1]
        if layer < depth - 1:
            S = {key: _window_sums(value) for key, value in after.items()}
            T = _window_sums(T)
        elif fix:
            T = T - after[0, 1]
    return float(T.mean() if pool else np.einsum("ijij->", T))


def _window_sums(S: np.ndarray) -> np.ndarray:
    """``Σ_k S[p + k, q + k]`` over a 3×3 window, zero beyond the edges."""
    height, width = S.shape[:2]
    padded = np.pad(S, 1)
    return sum(
        (
            padded[i : i + height, j : j + width, i : i + height, j : j + width]
            for i in range(3)
            for j in range(3)
        ),
        start=np.zeros_like(S),
    )
