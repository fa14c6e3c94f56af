"""Kernel machines: coefficients of the training images, trained on a hinge or a logistic loss."""

from __future__ import annotations

import time
import warnings
from collections.abc import Mapping
from typing import Any, Literal, get_args

import jax
import numpy as np
from scipy.special import expit
from sklearn.base import ClassifierMixin
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.svm import SVC
from sklearn.utils.metaestimators import available_if

from kernas.errors import ConfigurationError, DocumentError

from ..interface import Get, KernelFunction, check_finite
from ..regression import NotConvergedError, decompose
from .base import Dtype, ImageEstimator
from .classifier import classes_of, without_objects

MachineLoss = Literal["hinge", "logistic"]

HINGE_TOLERANCE = 1e-6
"""Of margins, at which libsvm ends."""

NEWTON_TOLERANCE = 1e-12
"""Of the gradient of the mean logistic loss, at which Newton's method ends."""

STEPS = 1000
"""Most Newton steps of the logistic machine; a handful is usual."""


class KernelMachine(ClassifierMixin, ImageEstimator):
    r"""Classes by a kernel machine: a sum over training images, its coefficients trained.

    Of two classes, with labels y in {−1, 1} (1 the second of ``classes_``),

    ``f(x) = Σ_i a_i y_i K(x_i, x) + b``,  class ``1[f(x) > 0]``,  ``a_i >= 0``,

    minimises ``½ ‖f − b‖² + C Σ_i w_i ℓ(y_i f(x_i))``, the norm that of the kernel's space, b free.
    ``"hinge"``: ``ℓ(m) = max(0, 1 − m)``, a support vector machine. Its optimum has
    ``0 <= a_i <= C w_i`` and ``Σ_i a_i y_i = 0``, and ``a_i = 0`` where ``y_i f(x_i) > 1``,
    ``a_i = C w_i`` where it is below 1 (Karush, Kuhn and Tucker).
    ``"logistic"``: ``ℓ(m) = log(1 + exp(−m))``. Its optimum has ``a_i = C w_i σ(−y_i f(x_i))``,
    σ the logistic function, and ``Σ_i a_i y_i = 0``; all ``a_i`` are positive.

    Printed with a term ``b_i`` inside the sum, ``Σ_i (a_i y_i K(x_i, x) + b_i)``, the machine is
    the same: the ``b_i`` do not depend on x and amount to the one ``b = Σ_i b_i``.

    Of more classes there is one machine each, of that class against the rest; the class is that of
    the largest f.

    Args:
        kernel: as for :class:`KernelClassifier`.
        loss: ``"hinge"`` or ``"logistic"``.
        C: > 0, what errors cost. It multiplies the kernel as it is: a kernel that is s times
            larger gives the same machine at ``C / s``, which the mean of the diagonal suggests.
        get: ``"nngp"`` or ``"ntk"``; ``None`` for the kernel's own choice.
        dtype: as for :class:`KernelClassifier`. The logistic machine is trained in float64; libsvm,
            which trains the other, rounds the kernel to float32.
        n_reference: likewise.
        reference_seed: chooses them.

    Attributes:
        classes_: the labels, in order, shape ``(classes,)``.
        signs_: ``y_i``, shape ``(n, machines)``; one machine of two classes, else one a class.
        dual_coef_: ``a_i y_i``, shape ``(n, machines)``.
        intercept_: b, shape ``(machines,)``.
        diagnostics_: ``violation``, by how much the conditions of the optimum are missed at most
            (margins, or ``a_i / C w_i``), ``kernel_seconds``, ``solve_seconds``, ``device`` and
            ``dtype`` of the kernel.
        kernel_, n_features_in_: as for :class:`KernelClassifier`.

    An image of weight 0 is as one that was not given, and has no row. The hinge loss is minimised
    by scikit-learn's ``SVC`` (libsvm), the logistic one by its ``LogisticRegression`` on the
    features ``V λ^{1/2}`` of the kernel ``K = V diag(λ) Vᵀ``.

    Reference:
        Schölkopf and Smola, Learning with Kernels, 2001, chapter 7 (the dual, equations 7.35 to
        7.40) and theorem 4.2 (the representer theorem).

    >>> from sklearn.datasets import load_digits
    >>> x, y = load_digits(return_X_y=True)
    >>> machine = KernelMachine(C=10.0).fit(x[:200], y[:200])
    >>> machine.score(x[200:400], y[200:400]) > 0.9, machine.coefficients_.shape
    (True, (200, 10))
    """

    classes_: np.ndarray
    loss: MachineLoss

    def __init__(
        self,
        kernel: KernelFunction | None = None,
        *,
        loss: MachineLoss = "hinge",
        C: float = 1.0,
        get: Get | None = None,
        dtype: Dtype | None = None,
        n_reference: int = 32,
        reference_seed: int = 0,
    ) -> None:
        self.kernel = kernel
        self.loss = loss
        self.C = C
        self.get = get
        self.dtype = dtype
        self.n_reference = n_reference
        self.reference_seed = reference_seed

    def check_options(self) -> None:
        """Refuse a loss or costs that are out of range; needs no images.

        Raises:
            ConfigurationError: the message has what was given.
        """
        if self.loss not in get_args(MachineLoss):
            raise ConfigurationError(f"loss={self.loss!r}: expected 'hinge' or 'logistic'")
        number = isinstance(self.C, int | float | np.number) and not isinstance(self.C, bool)
        if not number or not 0 < self.C < float("inf"):
            raise ConfigurationError(f"C={self.C!r}: expected a finite number > 0")

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> KernelMachine:
        """Fit to images and labels.

        Args:
            X: images.
            y: labels, shape ``(n,)``.
            sample_weight: how often each image counts, >= 0, shape ``(n,)``; ``None`` for 1 each.

        Raises:
            ConfigurationError: an option is out of its range.
            DataError: images, labels or weights are not usable, or there is one class only.
            NotConvergedError: the optimum was not reached, as where C is very large.
        """
        self.check_options()
        x, labels, repeats = self._examples(X, y, sample_weight)
        self.classes_, indices = classes_of(labels)
        machines = [1] if len(self.classes_) == 2 else range(len(self.classes_))
        self.signs_ = np.where(indices[:, None] == np.array(machines), 1.0, -1.0)
        start = time.perf_counter()
        with self.precision():
            self.kernel_ = self._bound(self._given_kernel(x), x)
            K = self.kernel_(x, get=self.get)
            check_finite(K)
            self._keep(x)
        computed = time.perf_counter()
        gram, costs = np.asarray(K, np.float64), self.C * repeats
        if self.loss == "hinge":
            found = [_hinge(gram, signs, costs) for signs in self.signs_.T]
        else:
            features = _features(gram)
            found = [_logistic(features, signs, costs) for signs in self.signs_.T]
        coefficients = np.stack([a for a, _ in found], axis=1)
        self.intercept_ = np.array([b for _, b in found])
        self.dual_coef_ = coefficients * self.signs_
        margins = self.signs_ * (gram @ self.dual_coef_ + self.intercept_)
        violations = _violations(self.loss, coefficients / costs[:, None], margins)
        device = jax.devices()[0]
        self.diagnostics_ = {
            "violation": float(violations.max()),
            "kernel_seconds": computed - start,
            "solve_seconds": time.perf_counter() - computed,
            "device": f"{device.platform} ({device.device_kind})",
            "dtype": str(K.dtype),
        }
        return self

    @property
    def coefficients_(self) -> np.ndarray:
        """``a_i >= 0``, shape ``(n, machines)``; those of support vectors are above 0."""
        return self.dual_coef_ * self.signs_

    def values(self, X: Any) -> np.ndarray:
        """``f(x)`` of every machine, shape ``(m, machines)``."""
        kernels, _ = self._cross(X)
        return np.asarray(kernels, np.float64) @ self.dual_coef_ + self.intercept_

    def decision_function(self, X: Any) -> np.ndarray:
        """``f(x)``, shape ``(m,)`` of two classes, else ``(m, classes)``."""
        values = self.values(X)
        return values[:, 0] if len(self.classes_) == 2 else values

    def predict(self, X: Any) -> np.ndarray:
        """The class ``1[f(x) > 0]``, or that of the largest ``f(x)``; shape ``(m,)``."""
        values = self.decision_function(X)
        chosen = np.argmax(values, axis=1) if values.ndim == 2 else (values > 0).astype(int)
        return self.classes_[chosen]

    @available_if(lambda machine: machine.loss == "logistic")
    def predict_proba(self, X: Any) -> np.ndarray:
        """Of two classes ``σ(−f(x))`` and ``σ(f(x))``; of more those of all machines by their sum.

        Shape ``(m, classes)``; there is none with ``loss="hinge"``.
        """
        chances = expit(self.values(X))
        if len(self.classes_) == 2:
            return np.hstack([1 - chances, chances])
        return chances / chances.sum(axis=1, keepdims=True)

    # --- a model's folder ------------------------------------------------------------------------

    def fitted_arrays(self) -> dict[str, np.ndarray]:
        """What ``fit`` found, as arrays: for :func:`save_model`."""
        return {
            "x": self._x,
            "coefficients": self.coefficients_,
            "signs": self.signs_,
            "intercept": self.intercept_,
            "classes": without_objects(self.classes_),
        }

    def fitted_values(self) -> dict[str, Any]:
        """What ``fit`` found, as JSON values."""
        return {"diagnostics": self.diagnostics_, "n_features_in": self.n_features_in_}

    def restore(
        self,
        kernel: KernelFunction,
        arrays: Mapping[str, np.ndarray],
        values: Mapping[str, Any],
    ) -> None:
        """Take up what another machine's ``fit`` found: for :func:`load_model`.

        Args:
            kernel: bound, if it has to be.
            arrays: of :meth:`fitted_arrays`.
            values: of :meth:`fitted_values`.

        Raises:
            DocumentError: there are not as many machines as the classes need.
        """
        classes, machines = len(arrays["classes"]), len(arrays["intercept"])
        if classes < 2 or machines != (1 if classes == 2 else classes):
            raise DocumentError(f"it has {machines} machines for {classes} classes")
        self.kernel_ = kernel
        self._keep(arrays["x"])
        self.signs_, self.intercept_ = arrays["signs"], arrays["intercept"]
        self.dual_coef_ = arrays["coefficients"] * self.signs_
        self.classes_ = arrays["classes"]
        self.diagnostics_ = dict(values["diagnostics"])
        self.n_features_in_ = values["n_features_in"]


def _hinge(K: np.ndarray, y: np.ndarray, costs: np.ndarray) -> tuple[np.ndarray, float]:
    """``a`` and b of the support vector machine."""
    machine = SVC(C=1.0, kernel="precomputed", tol=HINGE_TOLERANCE).fit(K, y, sample_weight=costs)
    a = np.zeros(len(y))
    a[machine.support_] = np.abs(machine.dual_coef_[0])
    return a, float(machine.intercept_[0])


def _features(K: np.ndarray) -> np.ndarray:
    """``V λ^{1/2}``, shape ``(n, rank)``, whose products are the kernel ``K = V diag(λ) Vᵀ``."""
    spectrum = decompose(K)
    kept = spectrum.values > spectrum.rounding
    return spectrum.vectors[:, kept] * np.sqrt(spectrum.values[kept])


def _logistic(features: np.ndarray, y: np.ndarray, costs: np.ndarray) -> tuple[np.ndarray, float]:
    """``a`` and b of the logistic machine.

    Raises:
        NotConvergedError: Newton's method did not reach the optimum.
    """
    model = LogisticRegression(
        C=1.0, solver="newton-cholesky", tol=NEWTON_TOLERANCE, max_iter=STEPS
    )
    with warnings.catch_warnings():
        warnings.simplefilter("error", ConvergenceWarning)
        try:
            model.fit(features, y, sample_weight=costs)
        except ConvergenceWarning as error:
            raise NotConvergedError(
                f"the logistic machine is not trained ({str(error).splitlines()[0]}): expected "
                f"costs that leave something to regularise, C is at most {costs.max():.3g}; give "
                "a smaller C"
            ) from None
    return costs * expit(-y * model.decision_function(features)), float(
        np.ravel(model.intercept_)[0]
    )


def _violations(loss: MachineLoss, shares: np.ndarray, margins: np.ndarray) -> np.ndarray:
    """By how much the conditions of the optimum are missed, shape ``(n, machines)``.

    Args:
        loss: its name.
        shares: ``a_i / C w_i``, from 0 to 1.
        margins: ``y_i f(x_i)``.
    """
    if loss == "logistic":
        return np.abs(shares - expit(-margins))
    below, above = np.maximum(1 - margins, 0), np.maximum(margins - 1, 0)
    return np.maximum(np.where(shares < 1, below, 0), np.where(shares > 0, above, 0))
