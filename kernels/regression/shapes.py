"""Shapes of a regression's arrays, all float64.

n training images, m others, C outputs: the classes.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float64

Square = Float64[np.ndarray, "n n"]
"""The kernel of the training images with themselves, its factor, its eigenvectors in columns."""

CrossBlock = Float64[np.ndarray, "m n"]
"""The kernel of other images with the training images."""

PerImage = Float64[np.ndarray, " n"]
"""A number for each training image, or each eigenvector."""

PerOther = Float64[np.ndarray, " m"]
"""A number for each of the other images."""

Targets = Float64[np.ndarray, "n C"]
"""What is regressed on, and all of its shape: dual coefficients, residuals."""

Predictions = Float64[np.ndarray, "m C"]
"""Of other images."""
