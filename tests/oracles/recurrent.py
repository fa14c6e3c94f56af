"""The kernels of a recurrent network in loops, its expectations by quadrature."""

from __future__ import annotations

import numpy as np
from oracles.gaussian_moments import dual_moments

from kernas.kernels import RecurrentKernel


def recurrent(kernel: RecurrentKernel, x1: np.ndarray, x2: np.ndarray) -> tuple[float, float]:
    """NNGP and NTK of two signals ``(length, channels)``: all pairs of steps, by the definition."""
    length, channels = x1.shape
    a, b = variances(kernel, x1), variances(kernel, x2)
    K, T = np.zeros((length, length)), np.zeros((length, length))
    for t in range(length):
        for s in range(length):
            C = kernel.input_std**2 * x1[t] @ x2[s] / channels + kernel.b_std**2
            D = C
            if t > 0 and s > 0:
                C += kernel.W_std**2 * K[t - 1, s - 1]
                D = C + kernel.W_std**2 * T[t - 1, s - 1]
            K[t, s], slope = moments(kernel, C, a[t], b[s])
            T[t, s] = slope * D
    scale = kernel.output_std**2
    if kernel.readout == "last":
        return scale * K[-1, -1], scale * (K[-1, -1] + T[-1, -1])
    return scale * K.mean(), scale * (K.mean() + T.mean())


def variances(kernel: RecurrentKernel, x: np.ndarray) -> list[float]:
    """Of each step of a signal."""
    found: list[float] = []
    for t, at in enumerate(x):
        own = kernel.input_std**2 * at @ at / len(at) + kernel.b_std**2
        if t > 0:
            own += kernel.W_std**2 * moments(kernel, found[-1], found[-1], found[-1])[0]
        found.append(own)
    return found


def moments(kernel: RecurrentKernel, k: float, a: float, b: float) -> tuple[float, float]:
    """``E[φ(u) φ(v)]`` and ``E[φ'(u) φ'(v)]``."""
    phi = kernel.activation
    both = dual_moments(phi, phi, np.array([k]), np.array([a]), np.array([b]))
    return float(both[0][0]), float(both[1][0])
