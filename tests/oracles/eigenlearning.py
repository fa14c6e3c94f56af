"""Predicted learning from eigenvalues, mode by mode, in loops and by bisection."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

import numpy as np
from scipy.special import roots_jacobi


def effective_ridge(modes: Sequence[float], n: int, delta: float) -> float:
    """κ by halving an interval in which ``Σ λ/(λ+κ) + δ/κ − n`` changes its sign."""
    low, high = 0.0, sum(modes) + delta
    for _ in range(200):
        middle = (low + high) / 2
        if sum(value / (value + middle) for value in modes) + delta / middle > n:
            low = middle
        else:
            high = middle
    return high


def test_error(
    modes: Sequence[float], coefficients: Sequence[float], n: int, delta: float, noise: float
) -> float:
    """``E_0 (Σ (1 − L)² v² + σ²)``."""
    kappa = effective_ridge(modes, n, delta)
    squares = error = 0.0
    for value, coefficient in zip(modes, coefficients, strict=True):
        learnability = value / (value + kappa)
        squares += learnability**2
        error += (1 - learnability) ** 2 * coefficient**2
    return n / (n - squares) * (error + noise)


def parities(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """All products of coordinates of corners ``(n, d)``, in columns, and their numbers of factors.

    The columns are orthonormal under the mean over all corners.
    """
    d = x.shape[1]
    sets = [chosen for k in range(d + 1) for chosen in combinations(range(d), k)]
    columns = [x[:, list(chosen)].prod(axis=1) for chosen in sets]
    return np.stack(columns, axis=1), np.array([len(chosen) for chosen in sets])


def waves(n_points: int) -> tuple[np.ndarray, np.ndarray]:
    """Real waves on equally spaced angles, in columns, and their frequencies, orthonormal."""
    angles = 2 * np.pi * np.arange(1, n_points + 1) / n_points
    columns, frequencies = [np.ones(n_points)], [0]
    for k in range(1, n_points // 2 + 1):
        if 2 * k == n_points:
            columns.append(np.cos(k * angles))
            frequencies.append(k)
        else:
            columns += [2**0.5 * np.cos(k * angles), 2**0.5 * np.sin(k * angles)]
            frequencies += [k, k]
    return np.stack(columns, axis=1), np.array(frequencies)


def learned(gram: np.ndarray, train: np.ndarray, basis: np.ndarray) -> np.ndarray:
    """Learnability of each basis function by ridgeless regression on some points of a finite set.

    Each function is regressed on in turn, and ``L = ⟨φ, φ̂⟩``, the mean over all points.
    """
    inside = gram[np.ix_(train, train)]
    found = []
    for i in range(basis.shape[1]):
        dual = np.linalg.solve(inside, basis[train, i])
        found.append(float(np.mean(basis[:, i] * (gram[:, train] @ dual))))
    return np.array(found)


def linear_interpolation_error(k: int, n: int) -> float:
    """Mean squared error of a wave of frequency k that is interpolated linearly on the circle.

    The wave has mean square 1 and any phase, the n points are uniform. Of n points every gap of
    angle ``h = 2πu`` has ``u`` of the density ``(n − 1)(1 − u)^{n−2}``, and over a gap, with the
    wave's correlation ``cos kx`` at a distance x and the weights ``1 − x/h`` and ``x/h``, the
    squared error is ``h (5 + cos kh) / 3 − 4 (1 − cos kh) / (k² h)``. Where kh is small it is
    ``k⁴ h⁵ / 120``, and the mean ``(2πk)⁴ / ((n + 1)(n + 2)(n + 3)(n + 4))``.
    """
    nodes, weights = roots_jacobi(100, n - 2, 0)
    h = np.pi * (1 + nodes)
    over_gap = h * (5 + np.cos(k * h)) / 3 - 4 * (1 - np.cos(k * h)) / (k**2 * h)
    return float(n / (2 * np.pi) * (weights @ over_gap) / weights.sum())
