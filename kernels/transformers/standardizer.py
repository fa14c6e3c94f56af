"""Mean 0 and standard deviation 1, per channel or feature."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from ..data.preprocessing import Standardization, fit_standardization
from .base import ShapeKeeper


class Standardizer(ShapeKeeper):
    """``(x − mean)/std`` with mean and standard deviation of the training images.

    Images: per channel, over images and pixels. Vectors: per feature, over the vectors. A channel
    or feature whose training values are all equal becomes 0. :func:`load` does the same to its two
    sets; in a pipeline each fold is standardised by its own training images.

    Images have shape ``(n, features)``, ``(n, height, width)`` or
    ``(n, height, width, channels)``, and so has the result: float64 for float64, otherwise float32.

    Attributes:
        standardization_: the fitted :class:`Standardization`, with ``mean`` and ``std``.

    Others as for :class:`ImageTransformer`.

    >>> x = np.array([[[1.0, 3.0]], [[5.0, 7.0]]])  # two images of 1×2 pixels
    >>> Standardizer().fit_transform(x).mean()
    np.float64(0.0)
    """

    fitted: ClassVar = "standardization_"
    standardization_: Standardization

    def fit(self, X: Any, y: Any = None) -> Standardizer:
        """Fit to training images; ``y`` is not read.

        Raises:
            DataError: the images are not usable.
        """
        self.standardization_ = fit_standardization(self._training_images(X))
        return self

    def _transformed(self, images: np.ndarray) -> np.ndarray:
        return self.standardization_.apply(images)
