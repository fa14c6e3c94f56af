"""How well a kernel does from how many images, by the leave-one-out labels of parts of its matrix.

The blocks of a training Gram matrix on the diagonal are those of trainings on fewer images; no
kernel is computed for them.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from kernas.errors import ConfigurationError, DataError

from .cholesky import factorise
from .targets import centred_one_hot, check_class_indices

LEAST = 4
"""Images of each class in the smallest training."""


@dataclass(frozen=True)
class LearningPoint:
    """The accuracy of trainings on so many images.

    Attributes:
        n: images of a training.
        accuracy: the share of images whose label the regression on the others of their block gives.
        low, high: its 95% interval by Wilson, over the images of all blocks.
        images: of all blocks.
    """

    n: int
    accuracy: float
    low: float
    high: float
    images: int

    @staticmethod
    def of(n: int, right: int, images: int) -> LearningPoint:
        """That of trainings on ``n`` images that are right about so many of ``images``."""
        from scipy.stats import binomtest  # which takes half a second to load

        interval = binomtest(right, images).proportion_ci(method="wilson")
        return LearningPoint(n, right / images, interval.low, interval.high, images)


def learning_curve(
    K: ArrayLike, labels: ArrayLike, ridge: float, sizes: Iterable[int] | None = None
) -> list[LearningPoint]:
    """Leave-one-out accuracy of ridge regression on parts of the images.

    For each size m, K is cut into ⌊n/m⌋ blocks on its diagonal, ``K[im:(i+1)m, im:(i+1)m]``. In
    each, ``f_{−i}(x_i)`` is the prediction at image i of the regression on the m − 1 others, and
    the label given is that of its largest component.

    Args:
        K: kernel of the training images with themselves, ``(n, n)``; images whose classes take
            turns, as :func:`kernas.kernels.load` orders them, are balanced in every block.
        labels: class indices, ``(n,)``.
        ridge: λ >= 0, relative to the mean diagonal of each block.
        sizes: m, from 2 to n; by default n, n/2, n/4 … down to 4 images of each class.

    Returns:
        A point for each size, the smallest first.

    Raises:
        ConfigurationError: a size is not from 2 to n, or the ridge is negative or not finite.
        DataError, NotPositiveDefiniteError: as :func:`factorise`.
    """
    gram = np.asarray(K)  # in its own precision, which says what rounding explains
    n = len(gram)
    if gram.shape != (n, n):
        raise DataError(f"the Gram matrix has shape {gram.shape}: expected (n, n)")
    classes = max(int(np.max(labels)) + 1, 2)
    y = check_class_indices(labels, classes, "labels")
    if len(y) != n:
        raise DataError(f"{len(y)} labels of {n} images: expected one each")
    chosen = halves(n, classes) if sizes is None else sorted(set(sizes))
    for size in chosen:
        if not 2 <= size <= n:
            raise ConfigurationError(f"size {size}: expected from 2 to {n} images")
    found: list[LearningPoint] = []
    for size in chosen:
        right = total = 0
        for start in range(0, n - size + 1, size):
            part = slice(start, start + size)
            Y = centred_one_hot(y[part], classes)
            predicted = Y - factorise(gram[part, part], ridge).loo_residuals(Y)
            right += int(np.sum(np.argmax(predicted, axis=1) == y[part]))
            total += size
        found.append(LearningPoint.of(size, right, total))
    return found


def halves(n: int, classes: int) -> list[int]:
    """n, n/2, n/4 …, not below 4 images of each class, ascending."""
    sizes = [n]
    while sizes[-1] // 2 >= LEAST * classes:
        sizes.append(sizes[-1] // 2)
    return sizes[::-1]
