"""A Gaussian process on the codes of candidates, by which values of others are predicted."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from scipy.spatial.distance import pdist

MOST_COMPARED = 300
"""Codes whose distances are looked at."""


def fitted_process(codes: np.ndarray, values: np.ndarray, seed: int) -> Any:
    """A process with the kernel ``σ² exp(−‖u − v‖² / (2 ℓ²)) + noise``, its numbers by maximum
    likelihood, from the median distance of codes on; ``predict(codes, return_std=True)`` gives
    means and deviations.

    Args:
        codes: ``(n, d)``; it takes the cube of n.
        values: ``(n,)``.
        seed: of the fit.
    """
    from sklearn.exceptions import ConvergenceWarning  # takes a second to import
    from sklearn.gaussian_process import GaussianProcessRegressor
    from sklearn.gaussian_process.kernels import RBF, ConstantKernel, WhiteKernel

    length = float(np.clip(np.median(pdist(codes[:MOST_COMPARED])), 0.1, 100.0))
    kernel = ConstantKernel(1.0) * RBF(length, (0.1, 100.0)) + WhiteKernel(0.1, (1e-6, 1.0))
    model = GaussianProcessRegressor(kernel, normalize_y=True, random_state=seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # a number at its bound is no fault
        return model.fit(codes, values)
