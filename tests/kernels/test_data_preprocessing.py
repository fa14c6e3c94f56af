"""Resizing by area and standardisation."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kernas.errors import ConfigurationError, DataError
from kernas.kernels.data import area_resize, fit_standardization
from kernas.kernels.data.preprocessing import to_float


def resize_by_repetition(x: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Each pixel repeated until the new grid divides the old one, then block means."""
    n, height, width, channels = x.shape
    fine = x.repeat(size[0], axis=1).repeat(size[1], axis=2)
    blocks = fine.reshape(n, size[0], height, size[1], width, channels)
    return blocks.mean(axis=(2, 4))


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 9), st.integers(1, 9), st.data())
def test_area_resize_equals_means_over_a_common_refinement(height, width, data):
    size = (data.draw(st.integers(1, height)), data.draw(st.integers(1, width)))
    x = np.random.default_rng(height * 10 + width).normal(size=(2, height, width, 3))
    resized = area_resize(x, size)
    assert resized.shape == (2, *size, 3)
    np.testing.assert_allclose(resized, resize_by_repetition(x, size), atol=1e-13)
    np.testing.assert_allclose(resized.mean(axis=(1, 2)), x.mean(axis=(1, 2)), atol=1e-13)


def test_area_resize_of_a_ramp_by_hand():
    x = np.array([0.0, 3.0, 6.0]).reshape(1, 1, 3, 1)
    # The first of two new pixels covers pixel 0 and half of pixel 1.
    np.testing.assert_allclose(area_resize(x, (1, 2))[0, 0, :, 0], [1.0, 5.0], atol=1e-15)
    np.testing.assert_array_equal(area_resize(x, (1, 3)), x)


@pytest.mark.parametrize("size", [(5, 4), (4, 5), (0, 2), (2, -1)])
def test_area_resize_refuses_larger_and_empty_sizes(size):
    with pytest.raises(ConfigurationError, match="image_size"):
        area_resize(np.zeros((1, 4, 4, 1)), size)


def test_area_resize_refuses_vectors():
    with pytest.raises(DataError, match="height, width, channels"):
        area_resize(np.zeros((3, 4)), (2, 2))


def test_standardisation_of_images_is_per_channel():
    x = np.random.default_rng(0).normal([1, 2, 3], [1, 5, 0.1], size=(7, 4, 4, 3))
    z = fit_standardization(x).apply(x)
    np.testing.assert_allclose(z.mean(axis=(0, 1, 2)), 0, atol=1e-12)
    np.testing.assert_allclose(z.std(axis=(0, 1, 2)), 1, atol=1e-12)


def test_standardisation_of_vectors_is_per_feature_and_uses_training_statistics():
    rng = np.random.default_rng(1)
    train, test = rng.normal(size=(20, 3)), rng.normal(size=(5, 3))
    fitted = fit_standardization(train)
    np.testing.assert_allclose(fitted.apply(test), (test - train.mean(0)) / train.std(0))


@pytest.mark.parametrize("dtype", [np.int8, np.int16, np.int32, bool])
def test_standardisation_of_whole_numbers_of_any_size(dtype):
    """The range of a type may be more than its largest number."""
    low, high = (0, 1) if dtype is bool else (np.iinfo(dtype).min, np.iinfo(dtype).max)
    x = np.array([[low], [high], [high]], dtype)
    found = fit_standardization(x).apply(x)
    np.testing.assert_allclose(found[:, 0], [-(2**0.5), 0.5**0.5, 0.5**0.5], rtol=1e-12)


def test_constant_features_become_zero_even_after_inexact_resizing():
    rng = np.random.default_rng(2)
    x = np.stack([np.full((6, 7, 7), 0.1), rng.normal(size=(6, 7, 7))], axis=-1)
    resized = area_resize(x, (3, 3))
    fitted = fit_standardization(resized)
    assert fitted.std[0] == 0 < fitted.std[1]
    assert not fitted.apply(resized)[..., 0].any()
    assert not fitted.apply(resized + 1.0)[..., 0].any()


def test_bytes_are_scaled_into_the_unit_interval_and_floats_are_kept():
    np.testing.assert_array_equal(to_float(np.array([0, 51, 255], np.uint8)), [0, 0.2, 1])
    np.testing.assert_array_equal(to_float(np.array([0, 51.5])), [0, 51.5])
