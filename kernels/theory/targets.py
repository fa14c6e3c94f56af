"""The power of a target function in the levels of a symmetric set: its squared coefficients.

The targets of :class:`kernas.kernels.data.SyntheticSet` have one mode each, and need none of this:
``{k: 1.0}`` is ``target(k)``.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from jaxtyping import Float64
from numpy.typing import ArrayLike

from kernas.errors import DataError

from ..data.checks import check_integer
from ..data.synthetic import n_harmonics, zonal_polynomial
from .generalization import PerLevel
from .spectra import sphere_angles

SPAN = 1e-6
"""The part of a target's mean square that may lie outside of the modes."""


def circle_power(values: ArrayLike) -> PerLevel:
    """``Σ_i v_i²`` over the waves of each frequency 0 … ⌊M/2⌋, shape ``(M//2 + 1,)``.

    The sum is the mean square of the values.

    Args:
        values: at the points of :func:`kernas.kernels.circle`, in their order, shape ``(M,)``.

    Raises:
        DataError: not a vector of two or more finite numbers.

    >>> import kernas.kernels as kk
    >>> circle_power(3 * kk.circle(6).target(2)).round(6)
    array([0., 0., 9., 0.])
    """
    f = _values(values)
    frequencies = np.arange(len(f) // 2 + 1)
    twice = np.where((frequencies == 0) | (2 * frequencies == len(f)), 1, 2)
    return twice * np.abs(np.fft.rfft(f) / len(f)) ** 2


def hypercube_power(values: ArrayLike) -> PerLevel:
    """``Σ_S v_S²`` over the sets S of each size 0 … d, shape ``(d + 1,)``.

    ``v_S = E f(x) ∏_{i ∈ S} x_i``: the Walsh transform, which is a Fourier transform of length two
    along each coordinate. The sum is the mean square of the values.

    Args:
        values: at the corners of :func:`kernas.kernels.hypercube`, in their order, ``(2^d,)``.

    Raises:
        DataError: not a vector of finite numbers, or not 2, 4, 8, … of them.

    >>> import kernas.kernels as kk
    >>> cube = kk.hypercube(3)
    >>> majority = np.sign(cube.x.sum(axis=1))
    >>> hypercube_power(majority).round(6)
    array([0.  , 0.75, 0.  , 0.25])
    """
    f = _values(values)
    d = len(f).bit_length() - 1
    if len(f) != 2**d:
        raise DataError(
            f"{len(f)} values: expected one for each corner of a cube, 2, 4, 8, … of them"
        )
    coefficients = np.fft.fftn(f.reshape((2,) * d)).real.ravel() / len(f)
    return np.bincount(np.bitwise_count(np.arange(len(f))), weights=coefficients**2)


def hypersphere_power(
    function: Callable[[np.ndarray], ArrayLike], d: int, n_degrees: int = 100
) -> PerLevel:
    """``v_k²`` of each degree 0 … K−1 of a function of the first coordinate, shape ``(K,)``.

    ``v_k = √N(d, k) E f(x_1) P_k(x_1)``, the mean over the sphere ``S^d`` by quadrature: of the
    modes of a degree, the zonal one alone has the function.

    Args:
        function: of ``x_1`` in [−1, 1], from ``(m,)`` to ``(m,)``.
        d: dimension of the sphere, >= 1.
        n_degrees: K >= 1.

    Raises:
        ConfigurationError: a number out of range.
        DataError: more than a millionth of the mean square lies beyond degree K − 1.

    >>> hypersphere_power(lambda t: t**2, d=2, n_degrees=4).round(6)  # 1/3 + (2/3) P_2
    array([0.111111, 0.      , 0.088889, 0.      ])
    """
    d, K = check_integer(d, "d", 1), check_integer(n_degrees, "n_degrees", 1)
    angles, weights = sphere_angles(d, K)
    t = np.cos(angles)
    f = _values(function(t))
    power = np.array(
        [
            n_harmonics(d, k) * float(weights @ (f * zonal_polynomial(d, k, t))) ** 2
            for k in range(K)
        ]
    )
    whole = float(weights @ f**2)
    if power.sum() < (1 - SPAN) * whole:
        raise DataError(
            f"degrees below {K} have {power.sum() / whole:.6f} of the target's mean square: "
            "expected a target in their span; use more degrees or a smoother one"
        )
    return power


def _values(values: ArrayLike) -> Float64[np.ndarray, " m"]:
    f = np.asarray(values, dtype=np.float64)
    if f.ndim != 1 or len(f) < 2 or not np.isfinite(f).all():
        raise DataError(
            f"target values of shape {f.shape}: expected a vector of two or more finite numbers"
        )
    return f
