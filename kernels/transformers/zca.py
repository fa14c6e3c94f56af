"""ZCA whitening of whole images."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from ..data.checks import check_number
from .base import ShapeKeeper
from .whitening import Whitening, fit_whitening


class ZCA(ShapeKeeper):
    """Regularised ZCA whitening of images as vectors of all their pixels and channels.

    ``x' = (x − μ) W`` with ``W = U (Λ + ε λ̄ I)^(−1/2) Uᵀ``, where μ is the mean training image,
    ``U Λ Uᵀ`` the covariance of the d pixels over the n training images (divided by n) and
    ``λ̄ = tr(Λ)/d`` its mean eigenvalue. The covariance of the training images becomes
    ``U Λ/(Λ + ε λ̄) Uᵀ``: the identity for ε → 0. The units of the pixels do not matter.

    With n <= d the images have no variance in some directions, which are divided by ``√(ε λ̄)``: a
    small ε blows up there what other images have. It takes ``O(n d min(n, d))`` operations and the
    memory of ``d·min(n, d)`` numbers.

    Images have shape ``(n, features)``, ``(n, height, width)`` or
    ``(n, height, width, channels)``, and so has the result: float64 for float64, otherwise float32.

    Args:
        regularization: ε >= 0, relative to the mean eigenvalue, to be chosen by validation: the
            fewer the images, the larger. 0 needs training images that vary in every direction.

    Attributes:
        whitening_: the fitted :class:`Whitening`, with ``mean``, ``directions`` and
            ``eigenvalues``.

    Others as for :class:`ImageTransformer`.

    Reference:
        Lee et al., Finite Versus Infinite Neural Networks: an Empirical Study, NeurIPS 2020,
        section 3.10. Programs that followed it first take off each image's mean and divide it by
        its norm, and leave directions beyond the n-th as they are; neither is done here.

    >>> x = np.random.default_rng(0).normal(size=(200, 2, 2)) @ np.array([[1.0, 3.0], [0.0, 1.0]])
    >>> white = ZCA(regularization=0).fit_transform(x)
    >>> np.allclose(np.cov(white.reshape(200, 4).T, bias=True), np.eye(4))
    True
    """

    fitted: ClassVar = "whitening_"
    whitening_: Whitening

    def __init__(self, regularization: float = 1.0) -> None:
        self.regularization = regularization

    def fit(self, X: Any, y: Any = None) -> ZCA:
        """Fit to at least two training images; ``y`` is not read.

        Raises:
            ConfigurationError: the regularisation is negative, or 0 with training images that do
                not vary in every direction.
            DataError: the images are not usable, or all equal.
        """
        epsilon = check_number(self.regularization, "regularization")
        images = self._training_images(X, n_min=2)
        vectors = images.reshape(len(images), -1).astype(np.float64)
        self.whitening_ = fit_whitening(vectors, epsilon, "the training images")
        return self

    def _transformed(self, images: np.ndarray) -> np.ndarray:
        return self.whitening_.apply(images.reshape(len(images), -1))
