"""Regression targets of a classification problem: centred one-hot labels."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float64, Int64
from numpy.typing import ArrayLike

from kernas.errors import DataError

from ..data.checks import check_integer, check_labels


def centred_one_hot(labels: ArrayLike, n_classes: int) -> Float64[np.ndarray, "n {n_classes}"]:
    """One-hot labels minus 1/C, so that the targets of an image sum to zero.

    ``Y[i, c] = [y_i = c] − 1/C``. If all C classes occur the rank of Y is C − 1; if fewer do, it is
    their number.

    Args:
        labels: class indices in ``0 … C−1``, shape ``(n,)``, integers.
        n_classes: number C of classes, >= 2.

    Returns:
        Targets in float64, shape ``(n, C)``.

    Raises:
        ConfigurationError: ``n_classes`` is not an integer >= 2.
        DataError: labels are not integers, not a vector, or out of range.
    """
    y = check_class_indices(labels, n_classes, "labels")
    return (y[:, None] == np.arange(n_classes)) - 1.0 / n_classes


def check_class_indices(labels: ArrayLike, n_classes: int, what: str) -> Int64[np.ndarray, " n"]:
    """Class indices as an int64 vector of values in ``0 … C−1``.

    Raises:
        ConfigurationError: ``n_classes`` is not an integer >= 2.
        DataError: labels are not integers, not a vector, or out of range.
    """
    n_classes = check_integer(n_classes, "n_classes", 2)
    y = check_labels(labels, what)
    wrong = y[(y < 0) | (y >= n_classes)]
    if len(wrong):
        raise DataError(
            f"{what} hold {wrong[0]} with n_classes={n_classes}: expected 0 … {n_classes - 1}; "
            "number the classes from zero"
        )
    return y
