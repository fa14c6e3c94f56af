"""`PathKernel`: a network trained by gradient flow, written as a sum over its training images."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from kernas.errors import ConfigurationError, DataError, DegenerateKernelError

from ..gram.identity import fingerprint
from ..interface import check_equal_shapes, checked_images
from .blocks import Blocks
from .trajectory import GradientPath


@dataclass(frozen=True, eq=False)
class PathKernel:
    r"""The path kernel between m queries x and the n images ``x_i`` of a training, and its weights.

    Along gradient flow of ``L = Σ_i ℓ(y_i, f(x_i)) / n`` outputs move as the tangent kernel
    ``K_t(x, x') = ⟨∇_θ f_t(x), ∇_θ f_t(x')⟩`` says, ``df_t(x)/dt = −Σ_i L'_i(t) K_t(x, x_i)`` with
    ``L'_i = ∂L/∂f(x_i)``. Integrated over ``[0, T]``,

    ``f_T(x) = Σ_i a_i(x) K^p(x, x_i) + b(x)``,  ``K^p(x, x_i) = ∫ K_t(x, x_i) dt``,

    ``a_i(x) = −∫ L'_i(t) K_t(x, x_i) dt / ∫ K_t(x, x_i) dt``,  ``b(x) = f_0(x)``.

    A kernel machine has weights and a bias that are the same for all x. These depend on x: the
    mean of ``−L'_i`` is weighted by the tangent kernel with x. So the sum holds for every trained
    network, and is no kernel machine, unless ``K_t`` does not move. Then
    ``a_i = −(1/T) ∫ L'_i(t) dt`` for all x, as in the limit of infinite width: see
    :meth:`of_constant`. Where ``K_t(x, x_i)`` changes its sign along the path, ``a_i(x)`` is no
    mean and may be of any size.

    Attributes:
        kernel: ``K^p(x, x_i)``, shape ``(m, n)``; in units of ``K_t`` times time.
        contributions: ``−∫ L'_i(t) K_t(x, x_i) dt``, what image i adds to the output, ``(m, n)``.
        offset: ``b = f_0(x)``, outputs before training, shape ``(m,)``.
        trained: ``f_T(x)`` of the network itself, shape ``(m,)``.
        mean_weights: ``−(1/T) ∫ L'_i(t) dt``, shape ``(n,)``.
        first: ``K_0(x, x_i)``, shape ``(m, n)``.
        last: ``K_T(x, x_i)``.
        time: T.

    Reference:
        Domingos 2020, arXiv 2012.00152, theorem 1 and definitions 1 and 2.
    """

    kernel: np.ndarray
    contributions: np.ndarray
    offset: np.ndarray
    trained: np.ndarray
    mean_weights: np.ndarray
    first: np.ndarray
    last: np.ndarray
    time: float

    @classmethod
    def along(
        cls, path: GradientPath, x: Any, *, store: str | os.PathLike[str] | None = None
    ) -> PathKernel:
        """Integrate along a path, by the quadrature that belongs to its integrator.

        The sum reproduces the trained outputs up to an error that falls as ``(T/S) ** order``: of
        order 1 with ``"euler"`` (left rule), 2 with ``"heun"`` (trapezoidal rule) and 4 with
        ``"rk4"`` (Simpson's rule), where activations are smooth.

        Args:
            path: of :func:`gradient_path`, with all its states.
            x: m queries, of the shape of the training images, which may be among them.
            store: folder for the integrals over each block of the path: the same call goes on where
                an interrupted one ended. ``None`` for memory.

        Raises:
            ConfigurationError: the path did not keep its states, or is none.
            DataError: the queries are not usable, or of another shape.
            RunFolderError: the store is of another path or other queries, damaged, or cannot be
                written.
        """
        if not isinstance(path, GradientPath):
            raise ConfigurationError(
                f"path={path!r:.80}: expected a GradientPath, which gradient_path(…) returns"
            )
        blocks_of_path = path.states()
        queries = np.asarray(checked_images(x, "x"), np.float64)
        check_equal_shapes(queries.shape[1:], path.x.shape[1:])
        shape = (len(queries), len(path.y))
        identity = {"format": "kernas.path_kernel", "version": 1, "path": path.identity}
        identity["x"] = {"n": len(queries), "sha256": fingerprint(queries)}
        stored = Blocks.of(store, identity)
        weights, slopes = path.quadrature, path.loss_slopes
        kernel, contributions = np.zeros(shape), np.zeros(shape)
        for number, (begin, states) in enumerate(blocks_of_path):
            found = stored.get(number, {"kernel": shape, "contributions": shape})
            if found is None:
                found = {"kernel": np.zeros(shape), "contributions": np.zeros(shape)}
                for step, vector in enumerate(states, begin):
                    if weights[step] == 0:  # the last of the left rule
                        continue
                    K = weights[step] * path.tangent_kernel(vector, queries)
                    found["kernel"] += K
                    found["contributions"] -= slopes[step] * K
                stored.put(number, found)
            kernel += found["kernel"]
            contributions += found["contributions"]
        first, last = path.start, path.trained
        return cls(
            kernel,
            contributions,
            offset=path.evaluate(first, queries),
            trained=path.evaluate(last, queries),
            mean_weights=-(weights @ slopes) / path.time,
            first=path.tangent_kernel(first, queries),
            last=path.tangent_kernel(last, queries),
            time=path.time,
        )

    @property
    def weights(self) -> np.ndarray:
        """``a_i(x)``, shape ``(m, n)``; 0 where both integrals are.

        Raises:
            kernas.errors.DegenerateKernelError: ``K^p(x, x_i)`` is 0 and what image i contributes
                is not, so that no weight makes one of the other.
        """
        vanishes = self.kernel == 0
        if (wrong := np.argwhere(vanishes & (self.contributions != 0))).size:
            raise DegenerateKernelError(
                f"the path kernel of query {wrong[0][0]} and image {wrong[0][1]} is 0, and its "
                "contribution is not: expected a kernel without such zeros; read contributions"
            )
        return np.divide(
            self.contributions, self.kernel, out=np.zeros_like(self.kernel), where=~vanishes
        )

    @property
    def predictions(self) -> np.ndarray:
        """``Σ_i a_i(x) K^p(x, x_i) + b(x)``, shape ``(m,)``: :attr:`trained`, but for the
        integration."""
        return (self.weights * self.kernel).sum(axis=1) + self.offset

    @property
    def movement(self) -> float:
        """``‖K_T − K_0‖ / ‖K_0‖`` of all pairs of queries and training images (Frobenius)."""
        return float(np.linalg.norm(self.last - self.first) / np.linalg.norm(self.first))

    def of_constant(self, K: ArrayLike) -> np.ndarray:
        """``f_0(x) + Σ_i a_i T K(x, x_i)``, ``a_i`` the :attr:`mean_weights`, shape ``(m,)``.

        What the sum would be if the tangent kernel were K all the time: a kernel machine, beside
        the start ``f_0``. With the NTK of the limit it tends to the trained outputs as the width
        grows.

        Args:
            K: such as ``NeuralKernel(path.architecture, "ntk")(x, path.x)``, shape ``(m, n)``.

        Raises:
            DataError: it has another shape.
        """
        matrix = np.asarray(K, np.float64)
        if matrix.shape != self.kernel.shape:
            raise DataError(
                f"K has shape {matrix.shape}: expected {self.kernel.shape}, queries by training "
                "images"
            )
        return self.offset + self.time * matrix @ self.mean_weights
