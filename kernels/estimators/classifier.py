"""Classification by ridge regression on centred one-hot labels."""

from __future__ import annotations

from collections.abc import Mapping
from numbers import Real
from typing import Any, Literal, cast

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax, softmax
from sklearn.base import ClassifierMixin
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted

from kernas.errors import ConfigurationError, DataError
from kernas.execution import Executor

from ..interface import Get, KernelFunction
from ..regression import Weights, centred_one_hot
from .base import Dtype, KernelEstimator, Ridge, Scales, Solver, StorePath

ClassWeight = Mapping[Any, float] | Literal["balanced"]

_NO_INVERSE = (
    "{} leave-one-out predictions, which solver='cg' does not give; fit with solver='cholesky'"
)


class KernelClassifier(ClassifierMixin, KernelEstimator):
    """Classes by kernel regression with an infinitely wide network.

    The targets are one-hot labels minus 1/C, ``f(x) = K(x, X) (K + ρI)⁻¹ Y``, and the class is that
    of the largest f. Probabilities are ``softmax(f(x) / T)``; the temperature T is the one that
    makes the labels of the training images most likely under their leave-one-out predictions, so
    they come from regression at a distance from the image that they judge.

    Args:
        kernel: ``kernel(x1, x2, get)``, such as :class:`NeuralKernel`; ``None`` for the NTK of a
            fully-connected network with two hidden layers of ReLU. It is bound in ``fit``, so that
            no statistics of other folds reach a prediction.
        get: ``"nngp"`` or ``"ntk"``; ``None`` for the kernel's own choice.
        ridge: λ >= 0, relative to the mean diagonal of the training Gram matrix; or several, of
            which leave-one-out chooses; or ``"loo"`` or ``"evidence"`` to choose among 19 from
            1e-8 to 10. The choice reads training images only.
        class_weight: label → c > 0, by which the weight of its images is multiplied (1 for labels
            that are not in it), or ``"balanced"``, ``c = Σ_i s_i / (C · Σ_{i of the class} s_i)``
            with the sample weights s; ``None`` for 1. It makes errors of a class dear and is no
            repetition: leave-one-out leaves out an image with all that it costs.
        dtype: ``"float32"`` or ``"float64"``, of the kernel; ``None`` for JAX's own, and for
            float64 where no kernel is given. The regression is in float64 always.
        n_reference: images that statistics of ``Normalize`` come from.
        reference_seed: chooses them.
        solver: ``"cholesky"``, or ``"cg"`` for preconditioned conjugate gradients, which read the
            matrix in tiles: with a store it is never in memory as a whole. They need one ridge > 0
            and give neither leave-one-out predictions nor probabilities.
        store: folder or URL of the training matrix, a :class:`GramStore`. ``fit`` computes what it
            lacks, so that an interrupted one goes on; it refuses other images or another kernel.
            ``None`` for memory.
        verbose: whether to show the progress of filling the store on stderr.
        scales: ``"evidence"`` or ``"loo_error"`` to learn the ``W_std`` and ``b_std`` of all layers
            in ``fit`` by :func:`fit_scales`, from at most 256 of the training images, as they are:
            without weights and augmentations, and at ``ridge`` if that is one number > 0, else at
            1e-3. ``None`` for the kernel's own.
        executor: who computes tiles of the store and, with ``"cg"``, multiplies with them, such as
            :class:`kernas.search.RayExecutor`; ``None`` for this process.

    Attributes:
        classes_: the labels, in order, shape ``(C,)``.
        temperature_: T > 0; ``None`` without leave-one-out predictions.

    Others as for :class:`KernelEstimator`. Images have shape ``(n, features)``,
    ``(n, height, width)`` or ``(n, height, width, channels)``.

    Reference:
        Arora et al., On Exact Computation with an Infinitely Wide Neural Net, NeurIPS 2019, section
        6; Guo et al., On Calibration of Modern Neural Networks, ICML 2017, section 4.2, for T.

    >>> from sklearn.datasets import load_digits
    >>> x, y = load_digits(return_X_y=True)
    >>> KernelClassifier(ridge=1e-4).fit(x[:200], y[:200]).score(x[200:400], y[200:400]) > 0.9
    True
    """

    classes_: np.ndarray
    class_weight: ClassWeight | None

    def __init__(
        self,
        kernel: KernelFunction | None = None,
        *,
        get: Get | None = None,
        ridge: Ridge = 1e-4,
        class_weight: ClassWeight | None = None,
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
        self.class_weight = class_weight

    def check_options(self) -> None:
        """Refuse class weights too."""
        super().check_options()
        given = self.class_weight
        if given is None or (isinstance(given, str) and given == "balanced"):
            return
        numbers = given.values() if isinstance(given, Mapping) else [None]
        if not all(isinstance(c, Real) and 0 < c < float("inf") for c in numbers):
            raise ConfigurationError(
                f"class_weight={given!r:.80}: expected a mapping of labels to finite numbers > 0, "
                "'balanced' or None"
            )

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> KernelClassifier:
        """Fit to images and labels.

        Args:
            X: images.
            y: labels, shape ``(n,)``.
            sample_weight: how often each image counts, >= 0, shape ``(n,)``; ``None`` for 1 each.
                To weigh classes, ``class_weight`` serves better.

        Raises:
            ConfigurationError: an option is out of its range.
            DataError: images, labels or weights are not usable, or there is one class only.
            NotPositiveDefiniteError: the kernel is not positive semi-definite beyond rounding.
        """
        self.check_options()
        x, labels, repeats = self._examples(X, y, sample_weight)
        self.classes_, indices = classes_of(labels)
        weights = Weights(repeats, self._costs(indices, repeats))
        self._regress(x, centred_one_hot(indices, len(self.classes_)), weights)
        self.temperature_ = (
            None if self.loo_ is None else _temperature(self.loo_, indices, weights.values)
        )
        return self

    def _targets_of_scales(self, Y: np.ndarray) -> np.ndarray:
        """Labels, of which a balanced part is drawn."""
        return np.argmax(Y, axis=1)

    def _costs(self, indices: np.ndarray, repeats: np.ndarray) -> np.ndarray:
        """What errors of each image cost, shape ``(n,)``, by its class."""
        given = self.class_weight
        if given is None:
            return np.ones(len(indices))
        if isinstance(given, Mapping):
            known = [label in given for label in self.classes_.tolist()]
            unknown = [label for label in given if label not in self.classes_]
            if unknown and not all(known):
                raise DataError(
                    f"class_weight has the label {unknown[0]!r}, which no image has: expected some "
                    f"of {', '.join(map(repr, self.classes_.tolist()[:10]))}"
                )
            costs = np.array([given.get(label, 1.0) for label in self.classes_.tolist()], float)
        else:
            counts = np.bincount(indices, repeats)
            costs = counts.sum() / (len(counts) * counts)
        return costs[indices]

    def fitted_arrays(self) -> dict[str, np.ndarray]:
        """With the classes."""
        return {**super().fitted_arrays(), "classes": without_objects(self.classes_)}

    def fitted_values(self) -> dict[str, Any]:
        """With the temperature."""
        return {**super().fitted_values(), "temperature": self.temperature_}

    def restore(
        self,
        kernel: KernelFunction,
        arrays: Mapping[str, np.ndarray],
        values: Mapping[str, Any],
    ) -> None:
        """With the classes and the temperature."""
        super().restore(kernel, arrays, values)
        self.classes_, self.temperature_ = arrays["classes"], values["temperature"]

    def values(self, X: Any) -> np.ndarray:
        """``f(x)`` of every class, shape ``(n, C)``."""
        kernels, _ = self._cross(X)
        return self._matrix(kernels) @ self.dual_coef_

    def decision_function(self, X: Any) -> np.ndarray:
        """``f(x)``, shape ``(n, C)``; of two classes the difference ``f_1 − f_0``, ``(n,)``."""
        values = self.values(X)
        return values[:, 1] - values[:, 0] if len(self.classes_) == 2 else values

    def predict(self, X: Any) -> np.ndarray:
        """The class of the largest ``f(x)``, shape ``(n,)``."""
        values = self.values(X)
        return self.classes_[np.argmax(values, axis=1)]

    def predict_proba(self, X: Any) -> np.ndarray:
        """``softmax(f(x) / T)``, shape ``(n, C)``, rows that sum to one.

        Raises:
            ConfigurationError: fitted with ``solver="cg"``.
        """
        check_is_fitted(self, "dual_coef_")
        if self.temperature_ is None:
            raise ConfigurationError(_NO_INVERSE.format("probabilities come from"))
        return cast(np.ndarray, self.probabilities(self.values(X)))

    def probabilities(self, values: np.ndarray) -> np.ndarray | None:
        """Those that belong to :meth:`values`; ``None`` without a temperature."""
        return None if self.temperature_ is None else softmax(values / self.temperature_, axis=1)

    @property
    def loo_labels_(self) -> np.ndarray:
        """The class of each training image by the regression on all others, shape ``(n,)``."""
        if self.loo_ is None:
            raise ConfigurationError(_NO_INVERSE.format("these labels are"))
        return self.classes_[np.argmax(self.loo_, axis=1)]


def classes_of(labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The different labels, in order, and of each image the index of its own, shape ``(n,)``.

    Raises:
        DataError: there is one class only.
        ValueError: they are no labels of classes.
    """
    check_classification_targets(labels)
    classes, indices = np.unique(labels, return_inverse=True)
    if len(classes) < 2:
        raise DataError(
            f"all {len(indices)} labels are {classes[0]!r}, one class: expected at least two "
            "classes"
        )
    return classes, indices


def without_objects(labels: np.ndarray) -> np.ndarray:
    """Strings that are Python's as strings that are NumPy's."""
    texts = labels.dtype.hasobject and all(isinstance(label, str) for label in labels)
    return labels.astype(str) if texts else labels


def _temperature(values: np.ndarray, labels: np.ndarray, weights: np.ndarray) -> float:
    """T that minimises the weighted mean of ``−log softmax(f / T)`` at the labels."""
    images = np.arange(len(labels))

    def loss(logarithm: float) -> float:
        likelihoods = log_softmax(values * np.exp(-logarithm), axis=1)[images, labels]
        return -float(np.average(likelihoods, weights=weights))

    found = minimize_scalar(loss, bounds=(np.log(1e-4), np.log(1e4)), method="bounded")
    return float(np.exp(found.x))
