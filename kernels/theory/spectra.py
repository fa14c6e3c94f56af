"""Eigenvalues of a kernel on sets whose symmetry gives the eigenfunctions.

A kernel acts on functions of its inputs, ``(T f)(x) = E_x'[k(x, x') f(x')]``. On a circle of
equally spaced points, on the corners of a cube and on a sphere, the eigenfunctions of every kernel
that respects the symmetry are known: waves, parities, spherical harmonics. Its eigenvalues then
follow from the kernel of one point with a few others.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import jax
import numpy as np
from scipy.special import roots_legendre

from kernas.errors import ConfigurationError, DataError

from ..data.checks import check_integer, check_number
from ..data.synthetic import circle, n_harmonics, zonal_polynomial
from ..regression.errors import DegenerateKernelError, NotPositiveDefiniteError

ASYMMETRY = 1e-6
"""How far the kernel may differ between pairs that the symmetry makes equal, relative to its
largest value: rounding of the derivative of arccos is 1e-8 a nonlinearity."""

ROUNDINGS = 64
"""Roundings of the kernel's value that an eigenvalue may carry; nearer to zero it is zero."""

MOST_CUBE = 60
"""Dimensions of a cube: with more, eigenvalues are smaller than the rounding of the kernel."""

Kernel = Callable[[np.ndarray, np.ndarray], Any]
"""A kernel of vectors: a :class:`~kernas.kernels.NeuralKernel`, or any function of two arrays
``(n1, features)`` and ``(n2, features)`` that returns a matrix ``(n1, n2)``."""


@dataclass(frozen=True, eq=False)
class KernelSpectrum:
    """Eigenvalues ``λ_k`` of a kernel under a distribution of its inputs, each with multiplicity.

    A *level* is the set of eigenfunctions, the modes, that the symmetry of the inputs gives one
    eigenvalue: the waves of a frequency, the parities of so many bits, the harmonics of a degree.
    Eigenfunctions are orthonormal under the mean over inputs, so that ``E k(x, x) = Σ_k m_k λ_k``.

    Args:
        levels: what each level is called: its frequency or degree, shape ``(levels,)``.
        values: eigenvalues ``λ_k >= 0``, shape ``(levels,)``.
        multiplicities: numbers ``m_k >= 1`` of modes, shape ``(levels,)``.
        points: M, if the inputs are M points and no more; ``None`` of a continuum.
        tail: the part of ``E k(x, x)`` in modes that are not listed, >= 0. Each is too small to be
            learned, and all together act as so much ridge.
        correlation: of each level's modes between an input and its perturbation of a size, where
            the set has one (:meth:`correlations`).

    Raises:
        DataError: shapes differ, numbers are not finite, or there are more modes than points.
        NotPositiveDefiniteError: an eigenvalue is negative.
        kernas.errors.DegenerateKernelError: all eigenvalues are zero.
    """

    levels: np.ndarray
    values: np.ndarray = field(repr=False)
    multiplicities: np.ndarray = field(repr=False)
    points: int | None = None
    tail: float = 0.0
    correlation: Callable[[float], np.ndarray] | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        for name in ("levels", "values", "multiplicities"):
            array = np.array(getattr(self, name), np.int64 if name == "levels" else np.float64)
            array.setflags(write=False)
            object.__setattr__(self, name, array)
        shapes = {self.levels.shape, self.values.shape, self.multiplicities.shape}
        if len(shapes) > 1 or self.levels.ndim != 1 or not len(self.levels):
            raise DataError(
                f"levels, values and multiplicities of shapes {self.levels.shape}, "
                f"{self.values.shape} and {self.multiplicities.shape}: expected three vectors of "
                "one length"
            )
        if not (np.isfinite(self.values).all() and np.isfinite(self.multiplicities).all()):
            raise DataError("eigenvalues or multiplicities are not finite: expected numbers")
        if self.values.min() < 0:
            wrong = int(np.argmin(self.values))
            raise NotPositiveDefiniteError(
                f"the eigenvalue of level {self.levels[wrong]} is {self.values[wrong]:.3g}: "
                "expected numbers >= 0; a covariance has no negative eigenvalue"
            )
        if self.multiplicities.min() < 1:
            raise DataError(
                f"a multiplicity is {self.multiplicities.min():g}: expected at least one mode for "
                "each eigenvalue"
            )
        if self.values.max() == 0:
            raise DegenerateKernelError("all eigenvalues are zero: the kernel learns nothing")
        modes = self.multiplicities.sum()
        if self.points is not None and modes > self.points:
            raise DataError(
                f"{modes:g} modes of {self.points} points: expected at most one for each point"
            )
        check_number(self.tail, "tail")

    @property
    def trace(self) -> float:
        """``E k(x, x) = Σ_k m_k λ_k`` and the tail: the unit of the ridge."""
        return float(self.multiplicities @ self.values) + self.tail

    @property
    def rank(self) -> float:
        """Number of modes that the kernel can learn, whose eigenvalue is not zero."""
        return math.inf if self.tail else float(self.multiplicities[self.values > 0].sum())

    def correlations(self, size: float) -> np.ndarray:
        """``E[φ(x) φ(x')]`` of each level's modes, ``x'`` being x perturbed, shape ``(levels,)``.

        Args:
            size: of the perturbation: the angle in radians by which a point of a circle or of a
                sphere is moved (on a sphere in a random direction), or the probability with which
                each coordinate of a corner changes its sign.

        Raises:
            ConfigurationError: the inputs have no such perturbation.
        """
        if self.correlation is None:
            raise ConfigurationError(
                "a spectrum without perturbations: expected one of circle_spectrum, "
                "hypercube_spectrum or hypersphere_spectrum"
            )
        return self.correlation(check_number(size, "size"))


def circle_spectrum(kernel: Kernel, n_points: int) -> KernelSpectrum:
    """Eigenvalues on M equally spaced points of the unit circle, by frequency 0 … ⌊M/2⌋.

    The matrix of all pairs is circulant, its eigenvectors are waves, and
    ``λ_k = (1/M) Σ_j k(x_0, x_j) cos(2πkj/M)``; sine and cosine of a frequency share it.

    Args:
        kernel: one that depends on the angle between points, such as that of a network of
            ``Dense`` layers; it is evaluated at 2 M pairs, in float64.
        n_points: M >= 2, as in :func:`kernas.kernels.circle`.

    Raises:
        ConfigurationError: the kernel does not have this symmetry, or M is too small.
        NotPositiveDefiniteError: an eigenvalue is negative by more than rounding.

    Reference:
        Simon, Dickens, Karkada and DeWeese, The eigenlearning framework, arXiv 2110.03922,
        appendix on experiments, discretised unit circle.

    >>> circle_spectrum(lambda x, y: (1 + x @ y.T) ** 2, 8).values.round(6)
    array([1.5 , 1.  , 0.25, 0.  , 0.  ])
    """
    M = check_integer(n_points, "n_points", 2)
    x = circle(M).x
    row = _row(kernel, x[0], x)
    shift = M // 3
    _check_symmetry(row, _row(kernel, x[shift], np.roll(x, -shift, axis=0)), "the circle's turns")
    levels = np.arange(M // 2 + 1)
    values = np.fft.rfft(row).real / M
    multiplicities = np.where((levels == 0) | (2 * levels == M), 1, 2)
    return KernelSpectrum(
        levels,
        _settled(values, row[0]),
        multiplicities,
        points=M,
        correlation=lambda angle: np.cos(levels * angle),
    )


def hypercube_spectrum(kernel: Kernel, d: int) -> KernelSpectrum:
    """Eigenvalues on the ``2^d`` corners of ``{−1, 1}^d``, by the degree 0 … d of parities.

    With ``k_t`` the kernel of two corners that differ in t coordinates, and ``ϰ_k(t)`` Krawtchouk's
    polynomial, the sum of all parities of degree k of a corner with t signs,

    ``λ_k = 2^{−d} Σ_t C(d, t) k_t ϰ_k(t) / C(d, k)``, of multiplicity ``C(d, k)``.

    Args:
        kernel: one that depends on the number of different coordinates only, such as that of a
            network of ``Dense`` layers; it is evaluated at 2 (d + 1) pairs, in float64.
        d: dimension, 1 … 60.

    Raises:
        ConfigurationError: the kernel does not have this symmetry, or d is out of range.
        NotPositiveDefiniteError: an eigenvalue is negative by more than rounding.

    Reference:
        Simon et al., arXiv 2110.03922, section on the parity problem; Yang and Salman, A
        fine-grained spectral perspective on neural networks, arXiv 1907.10599, section 3.

    >>> hypercube_spectrum(lambda x, y: (1 + x @ y.T) ** 2, 3).values.round(6)
    array([4., 2., 2., 0.])
    """
    d = check_integer(d, "d", 1)
    if d > MOST_CUBE:
        raise ConfigurationError(
            f"d={d}: expected at most {MOST_CUBE}, beyond which rounding hides the eigenvalues"
        )
    rng = np.random.default_rng(0)
    flips = np.where(np.arange(d) < np.arange(d + 1)[:, None], -1.0, 1.0)
    row = _row(kernel, np.ones(d), flips)
    corner, order = rng.choice([-1.0, 1.0], d), rng.permutation(d)
    _check_symmetry(row, _row(kernel, corner, corner * flips[:, order]), "the cube's symmetries")
    sizes = np.array([math.comb(d, t) for t in range(d + 1)], np.float64)
    weighted = sizes / 2.0**d * row
    values = np.array([weighted @ _krawtchouk(d, k) / sizes[k] for k in range(d + 1)])
    return KernelSpectrum(
        np.arange(d + 1),
        _settled(values, row[0]),
        sizes,
        points=2**d,
        correlation=lambda p: (1 - 2 * p) ** np.arange(d + 1.0),
    )


def hypersphere_spectrum(kernel: Kernel, d: int, n_degrees: int = 100) -> KernelSpectrum:
    """Eigenvalues on the unit sphere ``S^d``, by the degree 0 … K−1 of harmonics.

    Funk and Hecke: with ``k(cos θ)`` the kernel of two points at the angle θ and ``P_k``
    Gegenbauer's polynomial of order (d−1)/2, ``P_k(1) = 1``,

    ``λ_k = ∫ k(cos θ) P_k(cos θ) sin^{d−1}θ dθ / ∫ sin^{d−1}θ dθ``, θ from 0 to π,

    of multiplicity ``N(d, k)``. Kernels of networks are smooth in θ, also where they are not in
    cos θ, so Gauss and Legendre's rule in θ finds the integrals to rounding. What the kernel's
    diagonal has beyond degree K − 1 is the tail.

    Args:
        kernel: one that depends on the angle only, such as that of a network of ``Dense`` layers;
            it is evaluated at some 4 K pairs, in float64.
        d: dimension of the sphere, >= 1.
        n_degrees: K >= 1.

    Raises:
        ConfigurationError: the kernel does not have this symmetry, or a number is out of range.
        NotPositiveDefiniteError: an eigenvalue is negative by more than rounding.

    Reference:
        Simon et al., arXiv 2110.03922, appendix on experiments, hypersphere; Bach, Breaking the
        curse of dimensionality with convex neural networks, JMLR 18, 2017, appendix D.

    >>> hypersphere_spectrum(lambda x, y: (1 + x @ y.T) ** 2, 2, n_degrees=4).values.round(6)
    array([1.333333, 0.666667, 0.133333, 0.      ])
    """
    d, K = check_integer(d, "d", 1), check_integer(n_degrees, "n_degrees", 1)
    angles, weights = sphere_angles(d, K)
    axes = np.eye(2, d + 1)
    rotation = np.linalg.qr(np.random.default_rng(0).normal(size=(d + 1, d + 1)))[0]
    points = np.cos(angles)[:, None] * axes[0] + np.sin(angles)[:, None] * axes[1]
    points = np.vstack([axes[:1], points])
    row = _row(kernel, axes[0], points)
    _check_symmetry(row, _row(kernel, axes[0] @ rotation, points @ rotation), "rotations")
    degrees = np.arange(K)
    polynomials = np.array([zonal_polynomial(d, k, np.cos(angles)) for k in range(K)])
    multiplicities = np.array([n_harmonics(d, k) for k in range(K)], np.float64)
    values = _settled(polynomials @ (weights * row[1:]), row[0])
    tail = row[0] - float(multiplicities @ values)
    return KernelSpectrum(
        degrees,
        values,
        multiplicities,
        tail=tail if tail > ROUNDINGS * np.finfo(float).eps * multiplicities.max() * row[0] else 0,
        correlation=lambda angle: np.array(
            [float(zonal_polynomial(d, k, np.cos(angle))) for k in range(K)]
        ),
    )


def sphere_angles(d: int, n_degrees: int) -> tuple[np.ndarray, np.ndarray]:
    """Nodes θ in (0, π) and weights of the mean over ``S^d`` of functions of the angle."""
    nodes, weights = roots_legendre(4 * n_degrees + 64)
    angles = np.pi * (nodes + 1) / 2
    weights = weights * np.sin(angles) ** (d - 1)
    return angles, weights / weights.sum()


def _krawtchouk(d: int, k: int) -> np.ndarray:
    """``ϰ_k(t) = Σ_j (−1)^j C(t, j) C(d−t, k−j)`` for t = 0 … d, in whole numbers before floats."""
    return np.array(
        [
            sum((-1) ** j * math.comb(t, j) * math.comb(d - t, k - j) for j in range(k + 1))
            for t in range(d + 1)
        ],
        np.float64,
    )


def _row(kernel: Kernel, x: np.ndarray, others: np.ndarray) -> np.ndarray:
    """The kernel of one point with others, in float64, shape ``(n,)``."""
    with jax.enable_x64(True):
        found = np.asarray(kernel(x[None], others))
    if found.shape != (1, len(others)) or not np.isfinite(found).all():
        raise ConfigurationError(
            f"the kernel of 1 with {len(others)} points is an array of shape {found.shape}: "
            'expected a matrix of finite numbers, as NeuralKernel(architecture, get="ntk") gives'
        )
    return found[0].astype(np.float64)


def _check_symmetry(row: np.ndarray, other: np.ndarray, symmetry: str) -> None:
    """Refuse a kernel that differs between pairs which the symmetry takes to each other."""
    differs = float(np.abs(row - other).max())
    if differs > ASYMMETRY * float(np.abs(row).max()):
        raise ConfigurationError(
            f"the kernel changes by {differs:.3g} under {symmetry}: expected one that depends on "
            "the angle between inputs alone, of Dense layers for instance; for others use "
            "gram_spectrum of the matrix of all points"
        )


def _settled(values: np.ndarray, diagonal: float) -> np.ndarray:
    """Eigenvalues without what rounding leaves of those that are zero."""
    bound = ROUNDINGS * float(np.finfo(np.float64).eps) * abs(diagonal)
    return np.where(np.abs(values) <= bound, 0.0, values)
