"""Kernels where scikit-learn takes one: support vector machines and Gaussian processes."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.gaussian_process.kernels import Kernel

from kernas.errors import ConfigurationError, DataError

from ..interface import Get, KernelFunction, check_finite
from .base import check_one_kernel, diagonal
from .parameters import ReplacedKernel


class SklearnKernel(ReplacedKernel, Kernel):
    """A kernel as scikit-learn calls one: of rows, without hyperparameters to be tuned.

    ``SVC(kernel=SklearnKernel(kernel))`` trains the coefficients and the bias of
    ``f(x) = Σ_i α_i y_i K(x, x_i) + b``, and ``GaussianProcessRegressor(SklearnKernel(kernel))``
    is the posterior of the Gaussian process.

    Args:
        kernel: ``kernel(x1, x2, get)``, bound already if it normalises over a batch.
        image_shape: ``(height, width, channels)``, of which every row is one image; ``None`` for
            vectors.
        get: ``"nngp"`` or ``"ntk"``; ``None`` for the kernel's own choice.

    ``kernel__W_std`` and the other names of :meth:`NeuralKernel.set_params` are parameters too, of
    a kernel that needs no bound: it would lose it.

    Raises:
        ConfigurationError: the kernel needs to be bound first, or is one of two or of several
            networks without a choice.
    """

    get: Get | None

    def __init__(
        self,
        kernel: KernelFunction,
        image_shape: tuple[int, int, int] | None = None,
        get: Get | None = None,
    ) -> None:
        self.kernel = kernel
        self.image_shape = image_shape
        self.get = get
        self._check()

    def set_params(self, **params: Any) -> SklearnKernel:
        """Set parameters, those of the kernel as ``kernel__NAME``.

        Raises:
            ConfigurationError: as for the constructor.
        """
        super().set_params(**params)
        self._check()
        return self

    def _check(self) -> None:
        check_one_kernel(self.kernel, self.get)
        if self.kernel.needs_bind and not getattr(self.kernel, "is_bound", False):
            raise ConfigurationError(
                "this kernel normalises over a batch: give kernel.bind(x_train), or use "
                "KernelClassifier, which binds in fit"
            )

    def __call__(self, X: Any, Y: Any = None, eval_gradient: bool = False) -> Any:
        """The matrix of all pairs of rows; with ``eval_gradient`` and a gradient of no parts."""
        rows, columns = self._images(X), None if Y is None else self._images(Y)
        found = self.kernel(rows, columns, get=self.get)
        check_finite(found)
        matrix = np.asarray(found, np.float64)
        if not eval_gradient:
            return matrix
        return matrix, np.empty((*matrix.shape, 0))

    def diag(self, X: Any) -> Any:
        """The kernel of each row with itself."""
        return diagonal(self.kernel, self._images(X), self.get)

    def is_stationary(self) -> Any:
        """Whether it depends on differences only: it does not."""
        return False

    def _images(self, X: Any) -> np.ndarray:
        x = np.asarray(X)
        if self.image_shape is None:
            return x
        if x.ndim != 2 or x.shape[1] != np.prod(self.image_shape):
            raise DataError(
                f"rows of shape {x.shape} for images of {self.image_shape}: expected "
                f"(n, {int(np.prod(self.image_shape))}); flatten them, x.reshape(len(x), -1)"
            )
        return x.reshape(-1, *self.image_shape)
