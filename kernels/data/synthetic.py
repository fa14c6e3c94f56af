"""Circle, hypercube and hypersphere with their eigenfunctions: regression with known difficulty.

A kernel that respects the symmetry of one of these sets (a fully-connected network's does) has
these functions as eigenfunctions, so that they are learnt in a known order. Simon, Dickens and
DeWeese, "Neural Tangent Kernel Eigenvalues Accurately Predict Generalization", arXiv:2110.03922.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
from scipy.special import eval_jacobi

from kernas.errors import ConfigurationError

from .checks import check_integer

MOST_CUBE_DIMENSIONS = 20

LARGEST = 1e300


@dataclass(frozen=True, eq=False)
class SyntheticSet:
    """Points of a symmetric set, and the target functions that belong to it.

    Attributes:
        name: of the set.
        x: float64, read-only, shape ``(n, features)``; all points have the same norm.
    """

    name: str
    x: np.ndarray = field(repr=False)
    function: Callable[[np.ndarray, int | Sequence[int]], np.ndarray] = field(repr=False)

    def __post_init__(self) -> None:
        self.x.setflags(write=False)

    def __len__(self) -> int:
        return len(self.x)

    def target(self, k: int | Sequence[int]) -> np.ndarray:
        """Values of a target function at the points, float64, shape ``(n,)``.

        Args:
            k: which function; its meaning and range are said where the set is made. The higher,
                the harder to learn.

        Raises:
            ConfigurationError: k names no function of this set.
        """
        return self.function(self.x, k)


def circle(n_points: int) -> SyntheticSet:
    """Points ``(cos θ_j, sin θ_j)``, ``θ_j = 2πj/n``, j = 1 … n, of the unit circle.

    ``target(k)`` is 1 for k = 0, ``√2 cos(kθ)`` for k > 0 and ``√2 sin(|k|θ)`` for k < 0, and
    ``cos(kθ) = ±1`` for k = n/2: orthonormal under the mean over the points. ``−n/2 < k ≤ n/2``,
    since the points do not tell higher frequencies from lower ones.

    Args:
        n_points: n ≥ 1.

    Returns:
        Points of shape ``(n, 2)`` and their target functions.

    Raises:
        ConfigurationError: n is no positive integer.

    >>> points = circle(8)
    >>> points.x.shape
    (8, 2)
    >>> points.target(1).round(3)
    array([ 1.   ,  0.   , -1.   , -1.414, -1.   , -0.   ,  1.   ,  1.414])
    """
    n = check_integer(n_points, "n_points", 1)
    angles = 2 * np.pi * np.arange(1, n + 1) / n

    def wave(x: np.ndarray, k: int | Sequence[int]) -> np.ndarray:
        frequency = abs(check_integer(k, "k", -((n - 1) // 2)))
        if frequency > n // 2:
            raise ConfigurationError(
                f"k={k} on a circle of {n} points, which do not tell it from a lower frequency; "
                f"use {-((n - 1) // 2)} … {n // 2}"
            )
        # Whole turns are taken off as integers, so that symmetric points have symmetric values.
        turns = frequency * np.arange(1, n + 1) % n
        values = (np.sin if k != frequency else np.cos)(2 * np.pi * turns / n)
        return values if 2 * frequency in (0, n) else np.sqrt(2) * values

    return SyntheticSet("circle", np.stack([np.cos(angles), np.sin(angles)], axis=1), wave)


def hypercube(d: int) -> SyntheticSet:
    """The ``2^d`` corners of ``{−1, 1}^d``.

    ``target(S)`` is the parity ``∏_{i ∈ S} x_i`` of a set S of coordinates, given by their numbers
    0 … d−1; ``target(k)`` with an integer k, 0 … d, that of the first k coordinates (1 for k = 0).
    Values are ±1, and the parities of different sets are orthonormal under the mean over the
    corners.

    Args:
        d: dimension, 1 … 20.

    Returns:
        Points of shape ``(2^d, d)`` and their target functions.

    Raises:
        ConfigurationError: d is no integer in this range.

    >>> corners = hypercube(2)
    >>> corners.x
    array([[-1., -1.],
           [-1.,  1.],
           [ 1., -1.],
           [ 1.,  1.]])
    >>> corners.target([0, 1])
    array([ 1., -1., -1.,  1.])
    """
    d = check_integer(d, "d", 1)
    if d > MOST_CUBE_DIMENSIONS:
        raise ConfigurationError(
            f"d={d}: the cube has 2^{d} corners; expected at most {MOST_CUBE_DIMENSIONS}"
        )
    bits = np.arange(2**d)[:, None] >> np.arange(d)[::-1] & 1

    def parity(x: np.ndarray, k: int | Sequence[int]) -> np.ndarray:
        if isinstance(k, Sequence):
            coordinates = [check_integer(i, "coordinate of the parity", 0) for i in k]
        else:
            coordinates = list(range(check_integer(k, "k", 0)))
        if len(set(coordinates)) < len(coordinates) or max(coordinates, default=0) >= d:
            raise ConfigurationError(
                f"k={k} on a hypercube of {d} dimensions: expected an integer 0 … {d}, or "
                f"different coordinates out of 0 … {d - 1}"
            )
        return x[:, coordinates].prod(axis=1)

    return SyntheticSet("hypercube", 2.0 * bits - 1, parity)


def hypersphere(n_points: int, d: int, seed: int = 0) -> SyntheticSet:
    """Points drawn uniformly from the unit sphere ``S^d = {x ∈ R^(d+1) : |x| = 1}``.

    ``target(k)`` is the hyperspherical harmonic of degree k, 0, 1, …, that depends on the first
    coordinate only: ``√N(d, k) · P_k(x_1)``, P_k the Gegenbauer polynomial of order (d−1)/2 with
    ``P_k(1) = 1`` (Chebyshev's for d = 1, Legendre's for d = 2), and ``N(d, k) = C(k+d, d) −
    C(k+d−2, d)`` the number of harmonics of degree k. These are orthonormal under the mean over the
    sphere; over n points, up to an error of order 1/√n.

    Args:
        n_points: n ≥ 1.
        d: dimension of the sphere, ≥ 1.
        seed: of the draw, ≥ 0; with one seed, fewer points are the beginning of more.

    Returns:
        Points of shape ``(n, d + 1)`` and their target functions.

    Raises:
        ConfigurationError: a number out of range; from ``target``, a degree at which float64
            overflows.

    >>> points = hypersphere(1000, 2)
    >>> points.x.shape
    (1000, 3)
    >>> bool(np.allclose(points.target(1), np.sqrt(3) * points.x[:, 0]))
    True
    """
    n, d = check_integer(n_points, "n_points", 1), check_integer(d, "d", 1)
    normal = np.random.default_rng(check_integer(seed, "seed", 0)).normal(size=(n, d + 1))

    def zonal(x: np.ndarray, k: int | Sequence[int]) -> np.ndarray:
        degree = check_integer(k, "k", 0)
        harmonic = zonal_polynomial(d, degree, x[:, 0])  # refuses what no float64 holds
        return math.sqrt(n_harmonics(d, degree)) * harmonic

    return SyntheticSet(
        "hypersphere", normal / np.linalg.norm(normal, axis=1, keepdims=True), zonal
    )


def n_harmonics(d: int, degree: int) -> int:
    """The number ``N(d, k) = C(k+d, d) − C(k+d−2, d)`` of harmonics of degree k on ``S^d``."""
    k = degree
    return math.comb(k + d, d) - (math.comb(k + d - 2, d) if k > 1 else 0)


def zonal_polynomial(d: int, degree: int, t: np.ndarray) -> np.ndarray:
    """Gegenbauer's polynomial ``P_k(t)`` of order (d−1)/2 with ``P_k(1) = 1``, at −1 ≤ t ≤ 1.

    Raises:
        ConfigurationError: a degree at which float64 overflows.
    """
    # Gegenbauer's polynomials are Jacobi's of equal exponents, which include the circle's.
    alpha = (d - 2) / 2
    at_pole = float(eval_jacobi(degree, alpha, alpha, 1.0))
    if not max(n_harmonics(d, degree), at_pole) < LARGEST:
        raise ConfigurationError(
            f"k={degree} on a sphere of dimension {d}: the harmonic is beyond float64; use a "
            "lower k"
        )
    return eval_jacobi(degree, alpha, alpha, t) / at_pole
