"""The ridge that training images choose among several, from one eigendecomposition."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from kernas.errors import ConfigurationError

from .checks import check_ridge, check_targets
from .errors import NotPositiveDefiniteError
from .ridge import Spectrum, log_evidence, loo_residuals

Criterion = Literal["loo", "evidence"]

RIDGES = tuple(float(ridge) for ridge in 10.0 ** np.arange(-8, 1.5, 0.5))
"""Ridges that are tried where no others are given."""


def choose_ridge(
    spectrum: Spectrum,
    Y: ArrayLike,
    ridges: Sequence[float] = RIDGES,
    criterion: Criterion = "loo",
) -> tuple[float, dict[float, float]]:
    """The best of several ridges on the training images.

    Args:
        spectrum: of the training Gram matrix.
        Y: targets, shape ``(n, C)``.
        ridges: those that are tried, relative to the mean diagonal.
        criterion: ``"loo"``, the mean squared leave-one-out residual, weighted where images are,
            the smaller the better; or ``"evidence"``, the log marginal likelihood
            (:func:`log_evidence`), the larger.

    Returns:
        The ridge, and the criterion of each that can be used: those that leave A without a positive
        definite form are passed over.

    Raises:
        ConfigurationError: no ridge, a negative one, or an unknown criterion.
        DataError: Y has not n rows.
        NotPositiveDefiniteError: none can be used.
    """
    if criterion not in ("loo", "evidence"):
        raise ConfigurationError(f"criterion={criterion!r}: expected 'loo' or 'evidence'")
    tried = [check_ridge(ridge) for ridge in ridges]
    if not tried:
        raise ConfigurationError("no ridge given: expected numbers >= 0, for example [1e-4, 1e-2]")
    targets = check_targets(Y, spectrum.n)
    of_images = None if spectrum.weights is None else spectrum.weights.values
    values: dict[float, float] = {}
    refused: NotPositiveDefiniteError | None = None
    for ridge in tried:
        try:
            if criterion == "loo":
                errors = np.sum(loo_residuals(spectrum, targets, ridge) ** 2, axis=1)
                values[ridge] = float(np.average(errors, weights=of_images))
            else:
                values[ridge] = log_evidence(spectrum, targets, ridge)
        except NotPositiveDefiniteError as error:
            refused = error
    if not values:
        assert refused is not None
        raise refused
    best = min if criterion == "loo" else max
    return best(values, key=lambda ridge: values[ridge]), values
