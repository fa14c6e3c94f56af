"""Metrics of a spectrum, and normalised kernels, against dense formulas in NumPy."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kernas.errors import ConfigurationError
from kernas.kernels.regression import (
    METRICS,
    NORMALIZATIONS,
    DegenerateKernelError,
    Normalization,
    NotPositiveDefiniteError,
    Weights,
    centred_one_hot,
    decompose,
    effective_rank,
    gcv_residuals,
    log_centred_trace,
    log_determinant,
    score_each,
    score_gram,
)
from kernas.kernels.regression.normalization import centred

C = 3
SPECTRAL = ("trace", "logdet", "effective_rank", "gcv", "descent")
TRAINING = tuple(name for name, metric in METRICS.items() if not metric.needs_validation)


def features(n, rank, seed=0):
    """Of n images whose kernel has this rank, with different lengths and a common direction."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, rank)) + 0.5
    return x * rng.uniform(0.3, 3.0, size=(n, 1))


def labels_of(n, seed=0):
    return np.random.default_rng(seed).permutation(np.arange(n) % C)


def scores_of(K, y, ridge, metrics=SPECTRAL, normalization: Normalization = "raw", **others: Any):
    found = score_gram(
        K,
        y,
        ridge=ridge,
        metrics=metrics,
        n_classes=C,
        normalization=normalization,
        **others,
    )
    return {name: score.value for name, score in found.items()}


def normalized_reference(K, normalization):
    n = len(K)
    if normalization == "cosine":
        return np.array(
            [[K[i, j] / np.sqrt(K[i, i] * K[j, j]) for j in range(n)] for i in range(n)]
        )
    if normalization == "centred":
        H = np.eye(n) - np.ones((n, n)) / n
        return H @ K @ H
    return K


def reference(K, y, ridge):
    n = len(K)
    H = np.eye(n) - np.ones((n, n)) / n
    Y = np.eye(C)[y] - 1 / C
    scale = np.trace(K) / n
    inverse = np.linalg.inv(K + ridge * scale * np.eye(n))
    smoother = K @ inverse
    sign, logdet = np.linalg.slogdet(K / scale + ridge * np.eye(n))
    assert sign == 1
    singular = np.linalg.svd(K, compute_uv=False)
    shares = singular[singular > 0] / singular.sum()
    kare = (np.trace(Y.T @ inverse @ inverse @ Y) / n) / (np.trace(inverse) / n) ** 2
    if ridge:
        residuals = (np.eye(n) - smoother) @ Y
        golub = (np.sum(residuals**2) / n) / (np.trace(np.eye(n) - smoother) / n) ** 2
        assert kare == pytest.approx(golub, rel=1e-8)
    return {
        "trace": np.log(np.trace(H @ K @ H) / n),
        "logdet": logdet / n,
        "effective_rank": np.exp(-np.sum(shares * np.log(shares))),
        "gcv": kare,
        "descent": descent(K, Y),
    }


def descent(K, Y):
    """Gradient descent step by step."""
    function = np.zeros_like(Y)
    rate = 1 / np.linalg.norm(K, 2)
    for _ in range(100):
        function = function - rate * K @ (function - Y)
    return np.sum((function - Y) ** 2) / len(Y)


@settings(max_examples=60, deadline=None)
@given(
    n=st.integers(6, 40),
    share=st.floats(0.1, 2.0),
    ridge=st.sampled_from([1e-3, 1e-2, 1.0, 30.0]),
    normalization=st.sampled_from(NORMALIZATIONS),
    seed=st.integers(0, 1000),
)
def test_metrics_of_random_kernels_of_any_rank(n, share, ridge, normalization, seed):
    x, y = features(n, max(2, int(share * n)), seed), labels_of(n, seed)
    expected = reference(normalized_reference(x @ x.T, normalization), y, ridge)
    found = scores_of(x @ x.T, y, ridge, normalization=normalization)
    assert found == pytest.approx(expected, rel=1e-8, abs=1e-8)


@pytest.mark.parametrize("normalization", ["raw", "cosine"])
def test_metrics_without_ridge(normalization):
    x, y = features(20, 60), labels_of(20)
    expected = reference(normalized_reference(x @ x.T, normalization), y, 0.0)
    found = scores_of(x @ x.T, y, 0.0, normalization=normalization)
    assert found == pytest.approx(expected, rel=1e-8)


def test_without_ridge_a_singular_kernel_has_a_trace_and_an_effective_rank_only():
    x, y = features(20, 60), labels_of(20)
    for name in ("logdet", "gcv"):
        with pytest.raises(NotPositiveDefiniteError, match="use a ridge of"):
            scores_of(x @ x.T, y, 0.0, (name,), "centred")
    found = scores_of(x @ x.T, y, 0.0, ("trace", "effective_rank"), "centred")
    expected = normalized_reference(x @ x.T, "centred")
    assert found["trace"] == pytest.approx(np.log(np.trace(expected) / 20))
    assert 1 < found["effective_rank"] < 19


def test_values_that_are_known():
    orthogonal = decompose(5 * np.eye(8))
    assert effective_rank(orthogonal) == pytest.approx(8)
    assert log_determinant(orthogonal, 0.5) == pytest.approx(np.log(1.5))
    signs = np.outer([1.0, 1, -1, -1], [1, 1, -1, -1])
    assert effective_rank(decompose(signs)) == pytest.approx(1)
    assert log_centred_trace(np.exp(3) * signs) == pytest.approx(3)


def test_generalised_is_leave_one_out_where_all_images_are_alike():
    i = np.arange(12)
    K = np.exp(np.cos(2 * np.pi * (i[:, None] - i) / 12))  # circulant
    found = score_gram(K, labels_of(12), ridge=0.1, metrics=("gcv", "loo_error"), n_classes=C)
    assert found["gcv"].value == pytest.approx(found["loo_error"].value, rel=1e-10)
    assert found["gcv"].standard_error == pytest.approx(found["loo_error"].standard_error)


def test_generalised_cross_validation_refuses_weights():
    x = features(9, 9)
    weighted = decompose(x @ x.T, Weights(np.arange(1.0, 10.0), np.ones(9)))
    with pytest.raises(ConfigurationError, match="use loo_residuals"):
        gcv_residuals(weighted, centred_one_hot(labels_of(9), C), 0.1)


@pytest.mark.parametrize("normalization", NORMALIZATIONS)
def test_every_metric_of_a_normalised_kernel_is_that_of_the_kernel_it_becomes(normalization):
    x, y = features(30, 12), labels_of(30)
    K = x @ x.T
    expected = scores_of(normalized_reference(K, normalization), y, 0.1, TRAINING)
    found = scores_of(K, y, 0.1, TRAINING, normalization)
    assert found == pytest.approx(expected, rel=1e-8)


def test_validation_images_are_centred_by_the_training_images():
    x, y = features(50, 6), labels_of(50)
    x, others, y, of_others = x[:30], x[30:], y[:30], y[30:]
    names = ("validation_accuracy", "validation_error")
    moved, of_moved = x - x.mean(axis=0), others - x.mean(axis=0)
    expected = scores_of(
        moved @ moved.T,
        y,
        0.1,
        names,
        K_validation=of_moved @ moved.T,
        y_validation=of_others,
    )
    found = scores_of(
        x @ x.T, y, 0.1, names, "centred", K_validation=others @ x.T, y_validation=of_others
    )
    assert found == pytest.approx(expected, rel=1e-8)


def test_accuracy_of_cosines_needs_no_length_of_validation_images():
    x, y = features(50, 6), labels_of(50)
    lengths = np.linalg.norm(x, axis=1, keepdims=True)
    u = x / lengths
    names = ("validation_accuracy",)
    expected = scores_of(
        u[:30] @ u[:30].T, y[:30], 0.1, names, K_validation=u[30:] @ u[:30].T, y_validation=y[30:]
    )
    found = scores_of(
        x[:30] @ x[:30].T,
        y[:30],
        0.1,
        names,
        "cosine",
        K_validation=x[30:] @ x[:30].T,
        y_validation=y[30:],
    )
    assert found == expected
    assert 0 < found["validation_accuracy"] < 1


def test_error_of_cosines_is_refused_with_what_to_use():
    x, y = features(20, 6), labels_of(20)
    with pytest.raises(ConfigurationError, match="image with itself, which is not computed; use"):
        scores_of(
            x @ x.T,
            y,
            0.1,
            ("validation_error",),
            "cosine",
            K_validation=x @ x.T,
            y_validation=y,
        )


def test_an_unknown_normalisation_is_refused():
    with pytest.raises(ConfigurationError, match="expected one of raw, cosine, centred"):
        METRICS["gcv"].check("centered")


@pytest.mark.parametrize("normalization", NORMALIZATIONS)
def test_only_the_trace_of_kernels_with_lengths_follows_their_scale(normalization):
    x, y = features(30, 12), labels_of(30)
    small = scores_of(x @ x.T, y, 0.1, TRAINING, normalization)
    large = scores_of(1e3 * x @ x.T, y, 0.1, TRAINING, normalization)
    grown = 0.0 if normalization == "cosine" else np.log(1e3)
    assert large.pop("trace") == pytest.approx(small.pop("trace") + grown, rel=1e-10)
    assert large == pytest.approx(small, rel=1e-8)


def test_cosines_know_no_lengths_and_the_centred_kernel_no_constant():
    x, y = features(30, 12), labels_of(30)
    K = x @ x.T
    lengths = np.random.default_rng(1).uniform(0.1, 9, size=30)
    stretched = K * np.outer(lengths, lengths)
    expected = scores_of(K, y, 0.1, TRAINING, "cosine")
    assert scores_of(stretched, y, 0.1, TRAINING, "cosine") == pytest.approx(expected, rel=1e-8)
    expected = scores_of(K, y, 0.1, TRAINING, "centred")
    assert scores_of(K + 7.0, y, 0.1, TRAINING, "centred") == pytest.approx(expected, rel=1e-8)


@pytest.mark.parametrize("normalization", NORMALIZATIONS)
def test_the_order_of_images_does_not_matter(normalization):
    x, y = features(30, 12), labels_of(30)
    order = np.random.default_rng(0).permutation(30)
    expected = scores_of(x @ x.T, y, 0.1, TRAINING, normalization)
    moved = scores_of(x[order] @ x[order].T, y[order], 0.1, TRAINING, normalization)
    assert moved == pytest.approx(expected, rel=1e-8)


def test_an_image_without_length_has_no_cosine():
    x, y = features(20, 6), labels_of(20)
    x[13] = 0
    found = score_each(x @ x.T, y, ridge=0.1, metrics=TRAINING, n_classes=C, normalization="cosine")
    for reason in found.values():
        assert isinstance(reason, DegenerateKernelError)
        assert "training image 13 with itself is 0: expected a positive number" in str(reason)
    assert np.isfinite(list(scores_of(x @ x.T, y, 0.1, TRAINING, "centred").values())).all()


def test_images_of_one_direction_have_constant_cosines():
    x, y = features(20, 1), labels_of(20)
    with pytest.raises(DegenerateKernelError, match="constant: all entries are 1"):
        scores_of(np.abs(x @ x.T), y, 0.1, normalization="cosine")


@pytest.mark.parametrize("normalization", ["raw", "centred"])
def test_a_kernel_that_is_zero_after_centring_has_no_trace(normalization):
    lengths, y = 1 + 1e-5 * np.arange(20), labels_of(20)
    K = np.outer(lengths, lengths)  # which differ, but centred by less than rounding of float32
    assert 0 < np.abs(centred(K)).max() < 1e-6
    with pytest.raises(DegenerateKernelError, match="zero after centring"):
        scores_of(K, y, 0.1, ("trace",), normalization)
