"""Synthetic sets by name: labels against closed forms, and what is no such name."""

import numpy as np
import pytest

import kernas.kernels as kk
from kernas.errors import ConfigurationError, DataError
from kernas.kernels.data import location
from kernas.kernels.data.known import read_source
from kernas.kernels.data.named_sets import NAMED_SETS


def raw(text):
    source = read_source(text)
    return source.x, source.y


@pytest.mark.parametrize("d", [1, 2, 4])
def test_classes_of_the_sphere_are_signs_of_its_harmonics(d):
    """Up to a positive factor, P_1 = t and P_2 = ((d + 1) t² − 1) / d in every dimension."""
    for degree, sign in ((1, lambda t: t), (2, lambda t: (d + 1) * t**2 - 1)):
        x, y = raw(f"hypersphere:d={d},degree={degree},n=300,seed=3")
        np.testing.assert_array_equal(x, kk.hypersphere(300, d, seed=3).x)
        np.testing.assert_array_equal(y, sign(x[:, 0]) > 0)


def test_the_third_degree_on_the_sphere_in_space_is_legendres():
    x, y = raw("hypersphere:d=2,degree=3,n=300")
    np.testing.assert_array_equal(y, 5 * x[:, 0] ** 3 - 3 * x[:, 0] > 0)


def test_classes_of_the_circle_are_half_turns_and_zero_is_positive():
    x, y = raw("circle:degree=1,n=8")
    np.testing.assert_array_equal(y, x[:, 0] > -1e-9)
    assert y.tolist() == [1, 1, 0, 0, 0, 1, 1, 1]
    x, y = raw("circle:degree=3,n=101")
    np.testing.assert_array_equal(y, np.cos(3 * np.arctan2(x[:, 1], x[:, 0])) > 0)


def test_classes_of_the_cube_are_parities():
    x, y = raw("hypercube:d=5,degree=3")
    assert x.shape == (32, 5)
    np.testing.assert_array_equal(y, x[:, :3].prod(axis=1) > 0)


def test_the_fingerprint_tells_all_fields_apart():
    texts = ["d=4,degree=2,n=90", "d=3,degree=2,n=90", "d=4,degree=3,n=90", "d=4,degree=2,n=91"]
    texts.append("d=4,degree=2,n=90,seed=1")
    found = {kk.load(f"hypersphere:{text}", n_train=60)[0].fingerprint for text in texts}
    found.add(kk.load(f"hypersphere:{texts[0]}", n_train=60, seed=1)[0].fingerprint)
    assert len(found) == len(texts) + 1
    again = kk.load("hypersphere: n = 90, degree=2", n_train=60)[0]  # d=4 by default
    assert again.fingerprint == kk.load(f"hypersphere:{texts[0]}", n_train=60)[0].fingerprint


def test_points_are_divided_by_the_seed():
    train, test = kk.load("hypersphere:n=100", n_train=70, n_test=30, standardize=False)
    points = kk.hypersphere(100, 4).x.astype(np.float32)
    together = np.concatenate([train.x, test.x])
    np.testing.assert_array_equal(np.unique(together, axis=0), np.unique(points, axis=0))
    assert train.classes == ("negative", "positive")
    assert train.info["source"] == "hypersphere:d=4,degree=2,n=100,seed=0"
    assert kk.load("hypersphere:n=100", n_train=10)[0].x.shape == (10, 5)


def test_every_spelling_has_one_location():
    assert location(" circle : n=8 ") == location("circle:degree=2,n=8") == "circle:degree=2,n=8"
    assert {location(name).partition(":")[0] for name in NAMED_SETS} == set(NAMED_SETS)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("hypershere:d=4", "unknown data set 'hypershere:d=4', did you mean 'hypersphere'"),
        ("hypersphere:degre=4", "unknown field 'degre', did you mean 'degree'"),
        ("hypersphere:d=four", "d=four: expected an integer"),
        ("hypersphere:d=0", "'hypersphere:d=0': d=0: expected an integer >= 1"),
        ("hypersphere:n=0", "n=0: expected an integer >= 1"),
        ("hypersphere:seed=-1", "seed=-1"),
        ("hypersphere:degree=0", "degree=0: expected an integer >= 1"),
        ("hypersphere:degree=1001", "degree=1001: expected at most 1000"),
        ("hypersphere:d=5000,degree=900", "k=900 on a sphere of dimension 5000.*lower k"),
        ("circle:degree=5,n=8", "on a circle of 8 points.* use -3 … 4"),
        ("hypercube:d=21", "expected at most 20"),
        ("hypercube:d=3,degree=4", "on a hypercube of 3 dimensions"),
        ("circle:n", "n has no value; write n=value once"),
    ],
)
def test_what_is_no_set_is_one_line(text, message):
    with pytest.raises(ConfigurationError, match=message) as refused:
        kk.load(text)
    assert "\n" not in str(refused.value)


def test_points_of_one_class_are_refused():
    with pytest.raises(DataError, match="expected at least two classes"):
        kk.load("hypersphere:n=1")


@pytest.mark.parametrize("options", [{"image_size": 4}, {"largest_side": 8, "resize": "crop"}])
def test_vectors_are_not_resized(options):
    with pytest.raises(ConfigurationError, match=r"for vectors of 5 features.* leave .* out"):
        kk.load("hypersphere", **options)
