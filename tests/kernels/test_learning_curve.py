"""Learning curves from one Gram matrix, against refits without each image."""

import numpy as np
import pytest

from kernas.errors import ConfigurationError, DataError
from kernas.kernels.regression import centred_one_hot, learning_curve


def gram_and_labels(n, classes, seed=0):
    rng = np.random.default_rng(seed)
    labels = np.arange(n) % classes
    x = rng.normal(size=(n, 5)) + 1.2 * rng.normal(size=(classes, 5))[labels]
    return x @ x.T + 1.0, labels


def left_out(K, labels, ridge, classes):
    """The share of images whose label the regression on all others gives, one refit each."""
    rho = ridge * np.mean(np.diag(K))
    Y = centred_one_hot(labels, classes)
    right = 0
    for i in range(len(K)):
        rest = np.delete(np.arange(len(K)), i)
        solved = np.linalg.solve(K[np.ix_(rest, rest)] + rho * np.eye(len(rest)), Y[rest])
        right += np.argmax(K[i, rest] @ solved) == labels[i]
    return right / len(K)


def test_each_point_is_the_share_found_by_refits_within_blocks():
    K, labels = gram_and_labels(36, 3)
    points = learning_curve(K, labels, 0.1, sizes=[9, 12, 36])
    assert [point.n for point in points] == [9, 12, 36]
    assert [point.images for point in points] == [36, 36, 36]
    for point in points:
        blocks = [slice(s, s + point.n) for s in range(0, 36, point.n)]
        expected = np.mean([left_out(K[b, b], labels[b], 0.1, 3) for b in blocks])
        assert point.accuracy == pytest.approx(expected, abs=1e-12)
        assert point.low < point.accuracy < point.high


def test_sizes_halve_down_to_a_few_images_of_each_class():
    K, labels = gram_and_labels(50, 3)
    points = learning_curve(K, labels, 0.1)
    assert [(point.n, point.images) for point in points] == [(12, 48), (25, 50), (50, 50)]


def test_bad_sizes_and_labels_are_refused():
    K, labels = gram_and_labels(12, 3)
    for size in (1, 13):
        with pytest.raises(ConfigurationError, match=f"size {size}: expected from 2 to 12"):
            learning_curve(K, labels, 0.1, sizes=[size])
    with pytest.raises(DataError, match="11 labels of 12 images"):
        learning_curve(K, labels[:-1], 0.1)
