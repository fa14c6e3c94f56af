"""Scores of a kernel on a classification problem, by the names that rankings use.

Every score but the two of validation reads training images only. All are computed from the kernel
as it is, from its cosines or from the centred kernel
(:mod:`kernas.kernels.regression.normalization`). Standard errors are those of a mean over images,
``std/√n``: how the score would vary with other images scored by the same regression. They leave out
that other training images would give another regression. Scores that are no mean over images have
none.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from jaxtyping import Int64, Integer
from numpy.typing import ArrayLike

from kernas.errors import ConfigurationError, DataError

from .checks import check_cross, check_gram, check_ridge
from .errors import DegenerateKernelError, NotPositiveDefiniteError
from .normalization import (
    NORMALIZATIONS,
    Normalization,
    check_normalization,
    normalized,
    normalized_cross,
)
from .ridge import (
    Spectrum,
    centred_alignment,
    condition_number,
    decompose,
    gcv_residuals,
    log_evidence,
    loo_predictions,
    predict,
)
from .shapes import CrossBlock, PerImage, Predictions, Square, Targets
from .spectral import descent_residuals, effective_rank, log_centred_trace, log_determinant
from .targets import centred_one_hot, check_class_indices

Meaningless = DegenerateKernelError | NotPositiveDefiniteError
"""What a kernel without a score raises."""


@dataclass(frozen=True)
class ScoreValue:
    """A score and, where it is a mean over images, the standard error of that mean."""

    value: float
    standard_error: float | None = None


@dataclass(frozen=True, eq=False)
class Problem:
    """One Gram matrix with its labels at one ridge: what a metric reads.

    Attributes:
        gram: training Gram matrix in float64, normalised, shape ``(n, n)``.
        labels: of the training images, shape ``(n,)``.
        ridge: relative ridge λ.
        n_classes: number C of classes.
        cross: kernel of the validation with the training images, shape ``(m, n)``, if any.
        validation_labels: shape ``(m,)``, if any.
    """

    gram: Square = field(repr=False)
    labels: Int64[np.ndarray, " n"] = field(repr=False)
    ridge: float
    n_classes: int
    cross: CrossBlock | None = field(default=None, repr=False)
    validation_labels: Int64[np.ndarray, " m"] | None = field(default=None, repr=False)

    @cached_property
    def spectrum(self) -> Spectrum:
        """The one eigendecomposition that all metrics share."""
        return decompose(self.gram)

    @cached_property
    def targets(self) -> Targets:
        """Centred one-hot training labels, shape ``(n, C)``."""
        return centred_one_hot(self.labels, self.n_classes)

    @cached_property
    def loo(self) -> Targets:
        """Leave-one-out predictions, shape ``(n, C)``."""
        return loo_predictions(self.spectrum, self.targets, self.ridge)

    @cached_property
    def validation(self) -> tuple[Predictions, Int64[np.ndarray, " m"]]:
        """Predictions of the validation images, shape ``(m, C)``, and their labels."""
        if self.cross is None or self.validation_labels is None:
            raise ConfigurationError(
                "a validation score needs validation images; give K_validation and y_validation"
            )
        prediction = predict(self.spectrum, self.cross, self.targets, self.ridge)
        return prediction, self.validation_labels


@dataclass(frozen=True)
class Metric:
    """A named score.

    Attributes:
        name: as in ``nngp:NAME``.
        text: what it is, in a few words.
        higher_is_better: the direction in which candidates are ranked.
        needs_validation: whether it reads validation images; the others read none.
        compute: the score of a :class:`Problem`.
        reference: where its formula is from.
        normalizations: of the kernel that it can be computed from.
    """

    name: str
    text: str
    higher_is_better: bool
    needs_validation: bool
    compute: Callable[[Problem], ScoreValue] = field(repr=False)
    reference: str
    normalizations: tuple[Normalization, ...] = NORMALIZATIONS

    def check(self, normalization: str) -> None:
        """Refuse a normalisation that it cannot be computed from.

        Raises:
            ConfigurationError: there is none of this name, or the metric reads lengths of
                validation images.
        """
        if check_normalization(normalization) not in self.normalizations:
            raise ConfigurationError(
                f"metric {self.name!r} of the {normalization} kernel needs the kernel of each "
                "validation image with itself, which is not computed; use 'loo_error' or 'gcv', "
                "or 'validation_accuracy', which does without"
            )


def mean_accuracy(prediction: Predictions, labels: Integer[np.ndarray, " m"]) -> ScoreValue:
    """Share of images whose largest prediction is their class, in [0, 1].

    Of equal largest predictions the class of the lowest index counts.
    """
    return _mean_over_images((np.argmax(prediction, axis=1) == labels).astype(np.float64))


def mean_squared_error(prediction: Predictions, labels: Integer[np.ndarray, " m"]) -> ScoreValue:
    """Mean over images of the squared distance from the centred one-hot target.

    ``(1/n) Σ_i Σ_c (f_ic − y_ic)²``, summed over the classes: predicting nothing, f = 0, has
    ``1 − 1/C``.
    """
    targets = centred_one_hot(labels, prediction.shape[1])
    return _mean_over_images(np.sum((prediction - targets) ** 2, axis=1))


def _mean_over_images(values: PerImage) -> ScoreValue:
    n = len(values)
    error = float(np.std(values, ddof=1) / np.sqrt(n)) if n > 1 else None
    return ScoreValue(float(np.mean(values)), error)


def _validation_accuracy(problem: Problem) -> ScoreValue:
    return mean_accuracy(*problem.validation)


def _validation_error(problem: Problem) -> ScoreValue:
    return mean_squared_error(*problem.validation)


def _loo_accuracy(problem: Problem) -> ScoreValue:
    return mean_accuracy(problem.loo, problem.labels)


def _loo_error(problem: Problem) -> ScoreValue:
    return mean_squared_error(problem.loo, problem.labels)


def _gcv(problem: Problem) -> ScoreValue:
    residuals = gcv_residuals(problem.spectrum, problem.targets, problem.ridge)
    return _mean_over_images(np.sum(residuals**2, axis=1))


def _descent(problem: Problem) -> ScoreValue:
    residuals = descent_residuals(problem.spectrum, problem.targets)
    return _mean_over_images(np.sum(residuals**2, axis=1))


def _evidence(problem: Problem) -> ScoreValue:
    return ScoreValue(log_evidence(problem.spectrum, problem.targets, problem.ridge))


def _alignment(problem: Problem) -> ScoreValue:
    return ScoreValue(centred_alignment(problem.gram, problem.targets))


def _condition(problem: Problem) -> ScoreValue:
    return ScoreValue(condition_number(problem.spectrum, problem.ridge))


def _trace(problem: Problem) -> ScoreValue:
    return ScoreValue(log_centred_trace(problem.gram))


def _logdet(problem: Problem) -> ScoreValue:
    return ScoreValue(log_determinant(problem.spectrum, problem.ridge))


def _effective_rank(problem: Problem) -> ScoreValue:
    return ScoreValue(effective_rank(problem.spectrum))


METRICS: dict[str, Metric] = {
    metric.name: metric
    for metric in (
        Metric(
            "validation_accuracy",
            "share of other images that it predicts right",
            True,
            True,
            _validation_accuracy,
            "Arora et al. 2019, section 6",
        ),
        Metric(
            "validation_error",
            "mean squared error on other images",
            False,
            True,
            _validation_error,
            "Lee et al. 2018, section 3",
            ("raw", "centred"),
        ),
        Metric(
            "loo_accuracy",
            "share of images that it predicts right from the others",
            True,
            False,
            _loo_accuracy,
            "Rasmussen and Williams 2006, section 5.4.2",
        ),
        Metric(
            "loo_error",
            "mean squared error on each image, predicted from the others",
            False,
            False,
            _loo_error,
            "Rasmussen and Williams 2006, section 5.4.2",
        ),
        Metric(
            "gcv",
            "generalised cross-validation, the kernel alignment risk estimator",
            False,
            False,
            _gcv,
            "Golub et al. 1979, section 1; Jacot et al. 2020",
        ),
        Metric(
            "descent",
            "mean squared error on the images after 100 steps of gradient descent",
            False,
            False,
            _descent,
            "Arora et al. 2019, Fine-grained analysis, theorem 4.1",
        ),
        Metric(
            "evidence",
            "log marginal likelihood of the labels",
            True,
            False,
            _evidence,
            "Rasmussen and Williams 2006, section 5.4.1",
        ),
        Metric(
            "alignment",
            "centred alignment of the kernel with the labels",
            True,
            False,
            _alignment,
            "Cortes et al. 2012, section 2",
        ),
        Metric(
            "condition",
            "condition number of the regularised kernel",
            False,
            False,
            _condition,
            "Chen et al. 2021, TE-NAS, section 3.1.1",
        ),
        Metric(
            "trace",
            "logarithm of the images' variance in feature space, without labels",
            False,
            False,
            _trace,
            "Shawe-Taylor and Cristianini 2004, section 5.1",
        ),
        Metric(
            "logdet",
            "log determinant of the regularised kernel by images, without labels",
            True,
            False,
            _logdet,
            "Mellor et al. 2021, section 3",
        ),
        Metric(
            "effective_rank",
            "exponential of the entropy of the eigenvalues, without labels",
            True,
            False,
            _effective_rank,
            "Roy and Vetterli 2007, section 2",
        ),
    )
}
"""Every score of a kernel by its name."""


def resolve_metrics(
    names: Sequence[str], *, validation: bool = True, normalization: Normalization = "raw"
) -> tuple[Metric, ...]:
    """The metrics of these names, refused before anything is computed if one cannot be.

    Args:
        names: one or more keys of ``METRICS``.
        validation: whether validation images will be there.
        normalization: of the kernel that they will be computed from.

    Raises:
        ConfigurationError: no name, an unknown one, one that needs validation images, or one that
            this normalisation does not allow.
    """
    if isinstance(names, str) or not names:
        raise ConfigurationError(
            f"metrics={names!r}: expected a list of one or more of {', '.join(METRICS)}"
        )
    for name in names:
        if name not in METRICS:
            raise ConfigurationError(
                f"unknown metric {name!r}: expected one of {', '.join(METRICS)}"
            )
        if METRICS[name].needs_validation and not validation:
            raise ConfigurationError(
                f"metric {name!r} needs validation images; give K_validation and y_validation, or "
                "use a metric of training images such as 'loo_accuracy'"
            )
        METRICS[name].check(normalization)
    return tuple(METRICS[name] for name in names)


def score_gram(
    K_train: ArrayLike,
    y_train: ArrayLike,
    *,
    ridge: float,
    metrics: Sequence[str],
    n_classes: int,
    K_validation: ArrayLike | None = None,
    y_validation: ArrayLike | None = None,
    normalization: Normalization = "raw",
) -> dict[str, ScoreValue]:
    """Scores of one kernel, from one eigendecomposition in float64.

    Args:
        K_train: Gram matrix of the training images, shape ``(n, n)``.
        y_train: their class indices in ``0 … C−1``, shape ``(n,)``, two classes at least.
        ridge: λ >= 0; the absolute ridge is ``ρ = λ · mean(diag K_train)``, of the normalised
            kernel.
        metrics: names, keys of ``METRICS``.
        n_classes: number C of classes.
        K_validation: kernel of the validation with the training images, shape ``(m, n)``.
        y_validation: class indices of the validation images, shape ``(m,)``.
        normalization: ``"raw"``, ``"cosine"`` or ``"centred"``: what is made of the kernel first,
            see :func:`kernas.kernels.regression.normalization.normalized`.

    Returns:
        A :class:`ScoreValue` for each name, in the order of ``metrics``.

    Raises:
        ConfigurationError: an unknown metric, one that lacks its validation images or cannot be
            computed from such a kernel, a bad ridge.
        DataError: shapes or labels do not fit.
        DegenerateKernelError: the kernel is zero, constant or not finite, before or after it is
            normalised, or an image has no length to divide by.
        NotPositiveDefiniteError: ``K_train + ρI`` is not positive definite.
    """
    scored = score_each(
        K_train,
        y_train,
        ridge=ridge,
        metrics=metrics,
        n_classes=n_classes,
        K_validation=K_validation,
        y_validation=y_validation,
        normalization=normalization,
    )
    values: dict[str, ScoreValue] = {}
    for name, found in scored.items():
        if isinstance(found, Exception):
            raise found
        values[name] = found
    return values


def score_each(
    K_train: ArrayLike,
    y_train: ArrayLike,
    *,
    ridge: float,
    metrics: Sequence[str],
    n_classes: int,
    K_validation: ArrayLike | None = None,
    y_validation: ArrayLike | None = None,
    normalization: Normalization = "raw",
) -> dict[str, ScoreValue | Meaningless]:
    """The same, with the error itself in the place of a score that the kernel does not have.

    Args:
        K_train, y_train, ridge, metrics, n_classes, K_validation, y_validation, normalization: as
            there.

    Raises:
        ConfigurationError, DataError: as there.
    """
    if (K_validation is None) != (y_validation is None):
        raise ConfigurationError("give K_validation and y_validation together, or neither")
    validation = K_validation is not None
    chosen = resolve_metrics(metrics, validation=validation, normalization=normalization)
    try:
        given = check_gram(K_train)
        gram = normalized(given, normalization)
    except DegenerateKernelError as error:
        return {metric.name: error for metric in chosen}
    labels = _labels(y_train, len(gram), n_classes, "training")
    if len(np.unique(labels)) < 2:
        raise DataError(
            f"all {len(gram)} training labels are {labels[0]}: expected at least 2 classes"
        )
    cross = validation_labels = infinite = None
    if K_validation is not None and y_validation is not None:
        try:
            cross = normalized_cross(check_cross(K_validation, len(gram)), given, normalization)
        except DegenerateKernelError as error:
            infinite = error
        else:
            validation_labels = _labels(y_validation, len(cross), n_classes, "validation")
    problem = Problem(gram, labels, check_ridge(ridge), n_classes, cross, validation_labels)
    scored: dict[str, ScoreValue | Meaningless] = {}
    for metric in chosen:
        try:
            if metric.needs_validation and infinite is not None:
                raise infinite
            scored[metric.name] = metric.compute(problem)
        except (DegenerateKernelError, NotPositiveDefiniteError) as error:
            scored[metric.name] = error
    return scored


def _labels(y: ArrayLike, n: int, n_classes: int, part: str) -> Int64[np.ndarray, " {n}"]:
    labels = check_class_indices(y, n_classes, f"{part} labels")
    if len(labels) != n:
        raise DataError(
            f"{len(labels)} {part} labels for {n} {part} images of the kernel: expected one each"
        )
    return labels
