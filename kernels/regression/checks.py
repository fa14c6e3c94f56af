"""Gram matrices and cross blocks are checked here, and nowhere else, before regression."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float64
from numpy.typing import ArrayLike

from kernas.errors import ConfigurationError, DataError

from .errors import DegenerateKernelError
from .shapes import Square

ROUNDINGS = 8
"""Roundings that an entry of a kernel may carry."""

CONSTANT_TOLERANCE = 1e-6
"""A kernel whose entries spread less than this, relative to the largest, is constant.

About eight roundings of float32, in which Gram matrices are computed: what such a kernel says
beyond its constant is rounding. The same bound holds for float64, so that a candidate's status does
not depend on the precision.
"""

SYMMETRY_TOLERANCE = 1e-5
"""Asymmetry that float32 rounding explains, relative to the largest entry."""


def check_gram(K: ArrayLike) -> Square:
    """The Gram matrix in float64, made exactly symmetric.

    Args:
        K: kernel of the training images with themselves, shape ``(n, n)``, n >= 2.

    Returns:
        ``(K + Kᵀ)/2`` in float64.

    Raises:
        DataError: not a square, real, symmetric matrix.
        DegenerateKernelError: an entry is not finite, all are zero, or all are equal up to
            ``CONSTANT_TOLERANCE``.
    """
    matrix = _finite_matrix(K, "the training Gram matrix")
    n = matrix.shape[0]
    if matrix.shape != (n, n) or n < 2:
        raise DataError(
            f"the training Gram matrix has shape {matrix.shape}: expected (n, n) with n >= 2; "
            "evaluate kernel(x_train)"
        )
    largest = float(np.abs(matrix).max())
    if largest == 0.0:
        raise DegenerateKernelError("the kernel is zero: no input reaches the network's output")
    asymmetry = float(np.abs(matrix - matrix.T).max())
    if asymmetry > SYMMETRY_TOLERANCE * largest:
        raise DataError(
            f"the training Gram matrix is not symmetric: entries differ by {asymmetry:.3g} from "
            f"their mirror images, the largest entry is {largest:.3g}; evaluate kernel(x_train)"
        )
    spread = float(matrix.max() - matrix.min())
    if spread <= CONSTANT_TOLERANCE * largest:
        raise DegenerateKernelError(
            f"the kernel is constant: all entries are {matrix[0, 0]:.6g} up to {spread:.3g}, "
            "so it cannot tell images apart"
        )
    if np.trace(matrix) <= 0.0:
        raise DegenerateKernelError(
            f"the kernel's mean diagonal is {np.trace(matrix) / n:.3g}: a covariance has a "
            "positive one"
        )
    return (matrix + matrix.T) / 2


def check_cross(K_cross: ArrayLike, n: int) -> Float64[np.ndarray, "m {n}"]:
    """The block between ``m`` other images and the ``n`` training images, in float64.

    Raises:
        DataError: the shape is not ``(m, n)`` with m >= 1, or the entries are not real.
        DegenerateKernelError: an entry is not finite.
    """
    block = _finite_matrix(K_cross, "the cross block")
    if block.shape[1] != n or block.shape[0] < 1:
        raise DataError(
            f"the cross block has shape {block.shape}: expected (m, {n}), one row for each other "
            "image and one column for each training image; evaluate kernel(x_other, x_train)"
        )
    return block


def precision_of(K: ArrayLike) -> np.dtype:
    """The dtype in which K was computed; float64 of integers."""
    dtype = np.asarray(K).dtype
    return dtype if dtype.kind == "f" else np.dtype(np.float64)


def rounding_of(matrix: Square, computed_in: np.dtype) -> float:
    """``8 ε ‖K‖_F``, ε of the dtype that K was computed in: how far that may move eigenvalues."""
    return ROUNDINGS * float(np.finfo(computed_in).eps) * float(np.linalg.norm(matrix))


def check_ridge(ridge: float) -> float:
    """The relative ridge λ >= 0 as a float.

    Raises:
        ConfigurationError: not a finite number >= 0.
    """
    try:
        value = float(ridge)
    except (TypeError, ValueError):
        value = float("nan")
    if not 0.0 <= value < float("inf"):
        raise ConfigurationError(
            f"ridge={ridge!r}: expected a finite number >= 0, relative to the mean diagonal of the "
            "training Gram matrix, such as 1e-2"
        )
    return value


def check_targets(Y: ArrayLike, n: int) -> Float64[np.ndarray, "{n} C"]:
    """Targets of n images in float64.

    Raises:
        DataError: not finite numbers of shape ``(n, C)``.
    """
    targets = np.asarray(Y, dtype=np.float64)
    if targets.ndim != 2 or targets.shape[0] != n or not np.isfinite(targets).all():
        raise DataError(
            f"targets of shape {targets.shape} for a Gram matrix of {n} images: expected finite "
            f"numbers of shape ({n}, C); make them with centred_one_hot(labels, n_classes)"
        )
    return targets


def _finite_matrix(array: ArrayLike, what: str) -> Float64[np.ndarray, "rows columns"]:
    matrix = np.asarray(array)
    if matrix.ndim != 2 or matrix.dtype.kind not in "fiu":
        raise DataError(
            f"{what} is an array of shape {matrix.shape} and dtype {matrix.dtype}: expected a "
            "matrix of real numbers"
        )
    matrix = matrix.astype(np.float64)
    bad = np.argwhere(~np.isfinite(matrix))
    if len(bad):
        i, j = (int(k) for k in bad[0])
        raise DegenerateKernelError(
            f"the kernel is not finite: {what} has {len(bad)} such entries, the first is "
            f"{matrix[i, j]} at ({i}, {j})"
        )
    return matrix


def check_diagonal(values: ArrayLike, m: int) -> Float64[np.ndarray, " {m}"]:
    diagonal = np.asarray(values, np.float64)
    if diagonal.shape != (m,) or not np.isfinite(diagonal).all():
        raise DataError(
            f"K_diagonal has shape {diagonal.shape}: expected {m} finite numbers, the kernel of "
            "each image with itself"
        )
    return diagonal
