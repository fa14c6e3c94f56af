"""Regression, with the uncertainty of the Gaussian process or of the trained ensemble."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

import numpy as np
from sklearn.base import RegressorMixin

from kernas.errors import ConfigurationError
from kernas.execution import Executor

from ..interface import Get, KernelFunction, Kernels
from ..regression import (
    Posterior,
    Weights,
    converged_posterior,
    decompose,
    ensemble_posterior,
    factorise,
    gp_posterior,
)
from .base import Dtype, KernelEstimator, Ridge, Scales, Solver, StorePath, diagonal


class KernelRegressor(RegressorMixin, KernelEstimator):
    """Real targets by kernel regression with an infinitely wide network.

    The mean of the targets, weighted as they are, is taken off and added again. With
    ``get="nngp"`` the prediction is the posterior of the Gaussian process that the random network
    is; with ``get="ntk"`` the mean and the standard deviation of networks that are trained from
    random weights, for a time ``time`` or until convergence.

    Args:
        kernel: as for :class:`KernelClassifier`.
        get: ``"nngp"`` or ``"ntk"``; ``None`` for the kernel's own choice.
        ridge: as for :class:`KernelClassifier`.
        time: with ``get="ntk"``, how long networks are trained, in units in which the slowest
            direction of the loss ``‖f − Y‖² / 2nC`` falls by the factor ``exp(−t w / nC)``, w its
            eigenvalue of the NTK; with weights the loss is ``Σ_i w_i ‖f_i − Y_i‖² / 2NC``, ``N =
            Σ_i w_i``. ``None`` for convergence.
        dtype: as for :class:`KernelClassifier`.
        n_reference: likewise.
        reference_seed: chooses them.
        solver: as for :class:`KernelClassifier`; ``"cg"`` gives the mean at convergence only.
        store: as for :class:`KernelClassifier`.
        verbose: likewise.
        scales: likewise.
        executor: likewise.

    Attributes:
        offset_: weighted mean of the training targets, shape ``(C,)``.

    Others as for :class:`KernelEstimator`; ``loo_`` holds targets without the offset, and is that
    of training until convergence.

    Reference:
        Lee et al., ICLR 2018, section 2.2, and NeurIPS 2019, section 2.4.
    """

    def __init__(
        self,
        kernel: KernelFunction | None = None,
        *,
        get: Get | None = None,
        ridge: Ridge = 1e-4,
        time: float | None = None,
        dtype: Dtype | None = None,
        n_reference: int = 32,
        reference_seed: int = 0,
        solver: Solver = "cholesky",
        store: StorePath | None = None,
        verbose: bool = False,
        scales: Scales | None = None,
        executor: Executor | None = None,
    ) -> None:
        super().__init__(
            kernel,
            get=get,
            ridge=ridge,
            dtype=dtype,
            n_reference=n_reference,
            reference_seed=reference_seed,
            solver=solver,
            store=store,
            verbose=verbose,
            scales=scales,
            executor=executor,
        )
        self.time = time

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> KernelRegressor:
        """Fit to images and targets.

        Args:
            X: images.
            y: targets, ``(n,)`` or ``(n, C)``.
            sample_weight: how often each image counts, >= 0, shape ``(n,)``; ``None`` for 1 each.

        Raises:
            ConfigurationError: an option is out of its range.
            DataError: images, targets or weights are not usable.
            NotPositiveDefiniteError: the kernel is not positive semi-definite beyond rounding.
        """
        self.check_options()
        if self.time is not None and (self.get != "ntk" or not 0 <= self.time < float("inf")):
            raise ConfigurationError(
                f"time={self.time!r} with get={self.get!r}: expected a number >= 0 with get='ntk', "
                "or None for training until convergence"
            )
        if self.time is not None and self.solver == "cg":
            raise ConfigurationError(
                f"time={self.time!r} with solver='cg': expected None, training until convergence; "
                "a time needs all eigenvalues"
            )
        x, targets, repeats = self._examples(X, y, sample_weight, multi_output=True, y_numeric=True)
        targets = np.asarray(targets, np.float64)
        self._flat = targets.ndim == 1
        targets = targets[:, None] if self._flat else targets
        self.offset_ = np.average(targets, axis=0, weights=repeats)
        self._targets = targets - self.offset_
        self._regress(x, self._targets, Weights(repeats, np.ones(len(repeats))))
        self._tangent = None
        return self

    def fitted_arrays(self) -> dict[str, np.ndarray]:
        """With the targets, the weights, and the Gram matrices if they are in memory."""
        found = {**super().fitted_arrays(), "targets": self._targets, "offset": self.offset_}
        if self._weights is not None:
            found["sample_weight"] = self._weights.repeats
        if self.solver == "cg":
            return found
        if isinstance(self._gram, Kernels):
            pairs = [(f"gram_{name}", getattr(self._gram, name)) for name in ("nngp", "ntk")]
            return {**found, **{name: gram for name, gram in pairs if gram is not None}}
        return {**found, "gram": cast(np.ndarray, self._gram)}

    def fitted_values(self) -> dict[str, Any]:
        """With the form of the targets."""
        return {**super().fitted_values(), "flat": self._flat}

    def restore(
        self,
        kernel: KernelFunction,
        arrays: Mapping[str, np.ndarray],
        values: Mapping[str, Any],
    ) -> None:
        """With the targets; the matrix is factorised again, for deviations."""
        super().restore(kernel, arrays, values)
        self._targets, self.offset_, self._flat = (
            arrays["targets"],
            arrays["offset"],
            values["flat"],
        )
        self._tangent = self._weights = None
        if "sample_weight" in arrays:
            repeats = arrays["sample_weight"]
            self._weights = Weights(repeats, np.ones(len(repeats)))
        if self.solver == "cholesky":
            self._gram = (
                arrays["gram"]
                if "gram" in arrays
                else Kernels(arrays.get("gram_nngp"), arrays.get("gram_ntk"))
            )
            self._factor = factorise(
                self._matrix(self._gram),
                self.ridge_,
                self._weights,
                jitter=self.diagnostics_["jitter"],
            )

    def predict(self, X: Any, return_std: bool = False) -> Any:
        """The mean, and the standard deviation if it is asked for.

        Args:
            X: images.
            return_std: whether to return the deviation as well: of the network's value, without
                noise. With ``get="ntk"`` it needs the NNGP too, which ``fit`` then has computed.

        Returns:
            ``(n,)`` or ``(n, C)`` as the targets were, and the deviation, ``(n,)``.
        """
        kernels, images = self._cross(X)
        if self.time is None and not return_std:
            return self._shaped(self._matrix(kernels) @ self.dual_coef_)
        posterior = self._posterior(kernels, images)
        mean = self._shaped(posterior.mean)
        return (mean, posterior.deviation) if return_std else mean

    def __sklearn_tags__(self) -> Any:
        """Several targets are taken as well."""
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags

    def _names(self) -> Get | tuple[Get, ...] | None:
        both: tuple[Get, ...] = ("nngp", "ntk")
        return both if self.get == "ntk" else self.get

    def _shaped(self, values: np.ndarray) -> np.ndarray:
        values = values + self.offset_
        return values[:, 0] if self._flat else values

    def _posterior(self, kernels: Any, images: np.ndarray) -> Posterior:
        if self.get is None:
            raise ConfigurationError(
                "return_std with get=None: say whose deviation, get='nngp' for the Gaussian "
                "process, get='ntk' for trained networks"
            )
        if self.solver == "cg":
            raise ConfigurationError(
                "return_std after solver='cg', which has no inverse; fit with solver='cholesky'"
            )
        with self.precision():
            variances = diagonal(self.kernel_, images, "nngp")
        if self.get == "nngp":
            return gp_posterior(self._factor, self._targets, self._matrix(kernels), variances)
        gram, cross = cast(Kernels, self._gram), cast(Kernels, kernels)
        of_images: Any = {
            "T_cross": cross.ntk,
            "K": gram.nngp,
            "K_cross": cross.nngp,
            "K_diagonal": variances,
        }
        if self.time is None:
            return converged_posterior(self._factor, self._targets, **of_images)
        if self._tangent is None:
            self._tangent = decompose(gram.ntk, self._weights)
        return ensemble_posterior(
            self._tangent, self._targets, self.ridge_, time=self.time, **of_images
        )
