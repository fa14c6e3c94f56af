"""Handwritten digits that come with scikit-learn: as they are, and made hard."""

from __future__ import annotations

import numpy as np

from .checks import check_labels
from .source import Source

CLASSES = tuple(str(digit) for digit in range(10))

TRAINING_DIGITS = 1000
"""The first so many digits of scikit-learn make training images, the others test images."""

TRAINING_COPIES, TEST_COPIES = 5, 2
"""Images that are made of each digit."""

SHIFT = 1
"""Pixels by which a digit is moved at most, along either axis."""

NOISE = 0.3
"""Standard deviation of the noise, where the pen is 1 and paper 0."""

PAPER, PEN = 80, 160
"""The bytes that stand for paper and pen without noise."""

SEED = 201


def read_digits() -> Source:
    """scikit-learn's handwritten digits: 1,797 images of 8×8 grey values, scaled into [0, 1]."""
    x, y = _digits()
    return Source("digits", "scikit-learn load_digits", x, y, class_names=CLASSES)


def read_hard_digits() -> Source:
    """The digits moved by up to a pixel and noisy: 5,000 and 1,594 images of 8×8.

    Five training images are made of each of the first 1,000 digits, and two test images of each of
    the other 797. What is moved out of the image is lost. Shifts and noise are drawn by a generator
    whose numbers NumPy keeps as they are (``RandomState``), and pixels are bytes, so the images are
    the same everywhere.
    """
    x, y = _digits()
    generator = np.random.RandomState(SEED)
    parts: list[np.ndarray] = []
    for chosen, copies in (
        (slice(None, TRAINING_DIGITS), TRAINING_COPIES),
        (slice(TRAINING_DIGITS, None), TEST_COPIES),
    ):
        parts += [_moved(np.tile(x[chosen], (copies, 1, 1, 1)), generator)]
        parts += [np.tile(y[chosen], copies)]
    x_train, y_train, x_test, y_test = parts
    return Source(
        "digits_hard",
        "scikit-learn load_digits, moved and noisy",
        *(x_train, y_train, x_test, y_test),
        class_names=CLASSES,
    )


def _digits() -> tuple[np.ndarray, np.ndarray]:
    from sklearn.datasets import load_digits

    images, labels = load_digits(return_X_y=True)
    return np.asarray(images).reshape(-1, 8, 8, 1) / 16.0, check_labels(labels, "labels of digits")


def _moved(digits: np.ndarray, generator: np.random.RandomState) -> np.ndarray:
    """Bytes of digits ``(n, 8, 8, 1)``, each with a shift and noise of its own."""
    n, height, width, _ = digits.shape
    shifts = generator.randint(0, 2 * SHIFT + 1, (n, 2))
    around = np.pad(digits, ((0, 0), (SHIFT, SHIFT), (SHIFT, SHIFT), (0, 0)))
    rows = shifts[:, 0, None, None] + np.arange(height)[:, None]
    columns = shifts[:, 1, None, None] + np.arange(width)
    images = around[np.arange(n)[:, None, None], rows, columns]
    images += NOISE * generator.standard_normal(images.shape)
    return np.clip(np.rint(PAPER + (PEN - PAPER) * images), 0, 255).astype(np.uint8)
