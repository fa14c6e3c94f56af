"""Class-balanced subsets and splits."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kernas.errors import ConfigurationError, DataError
from kernas.kernels.data import Dataset
from kernas.kernels.data.subsets import balanced_order, proportional_split

COUNTS = st.lists(st.integers(1, 12), min_size=2, max_size=6)


def labels_of(counts: list[int], seed: int = 0) -> np.ndarray:
    labels = np.repeat(np.arange(len(counts)), counts)
    return np.random.default_rng(seed).permutation(labels)


def dataset_of(counts: list[int]) -> Dataset:
    y = labels_of(counts)
    x = np.arange(len(y), dtype=np.float32)[:, None]
    return Dataset(x, y, tuple("abcdef"[: len(counts)]), "toy")


@settings(max_examples=60, deadline=None)
@given(COUNTS, st.integers(0, 5))
def test_order_is_a_permutation_whose_beginnings_are_balanced(counts, seed):
    labels = labels_of(counts)
    order = balanced_order(labels, seed)
    assert sorted(order) == list(range(len(labels)))
    for n in range(1, len(labels) + 1):
        taken = np.bincount(labels[order[:n]], minlength=len(counts))
        # Every class that is not used up stands within one of the largest.
        assert all(t == c or t >= taken.max() - 1 for t, c in zip(taken, counts, strict=True))


@settings(max_examples=60, deadline=None)
@given(COUNTS, st.integers(0, 20), st.integers(0, 5))
def test_proportional_split_is_a_partition_with_each_class_in_proportion(counts, twentieths, seed):
    labels = labels_of(counts)
    share = Fraction(twentieths, 20)
    first, second = proportional_split(labels, share, seed)
    assert len(first) == round(share * len(labels))
    assert sorted(np.concatenate([first, second])) == list(range(len(labels)))
    taken = np.bincount(labels[first], minlength=len(counts))
    assert np.all(np.abs(taken - np.array(counts) * twentieths / 20) < 1)


@settings(max_examples=60, deadline=None)
@given(COUNTS, st.integers(0, 20), st.integers(0, 5))
def test_a_class_is_left_in_the_second_part_where_it_can_be(counts, twentieths, seed):
    labels, share = labels_of(counts), Fraction(twentieths, 20)
    plain = proportional_split(labels, share, seed)
    first, second = proportional_split(labels, share, seed, leave_one=True)
    assert len(first) == len(plain[0])
    assert sorted(np.concatenate([first, second])) == list(range(len(labels)))
    there = np.bincount(labels[second], minlength=len(counts)) > 0
    assert there.all() or len(second) < len(counts)
    if len(np.unique(labels[plain[1]])) == len(counts):
        np.testing.assert_array_equal(first, plain[0])
        np.testing.assert_array_equal(second, plain[1])


@settings(max_examples=60, deadline=None)
@given(st.integers(2, 6), st.integers(2, 40), st.floats(0.1, 0.9), st.integers(0, 5))
def test_split_of_a_balanced_set_is_balanced(n_classes, n, fraction, seed):
    counts = np.bincount(np.arange(max(n, n_classes)) % n_classes)
    whole = dataset_of(list(counts))
    if not 0 < round(fraction * len(whole)) < len(whole):
        with pytest.raises(ConfigurationError, match="leaves images in both parts"):
            whole.split(fraction, seed)
        return
    for part in whole.split(fraction, seed):
        assert np.ptp(np.bincount(part.y, minlength=n_classes)) <= 1


def test_split_is_disjoint_and_covers_all():
    whole = dataset_of([10, 11, 10])
    first, second = whole.split(0.5, seed=3)
    assert (len(first), len(second)) == (16, 15)
    assert sorted(np.concatenate([first.x, second.x])[:, 0]) == list(range(31))
    # Images keep their labels.
    label_of = dict(zip(whole.x[:, 0], whole.y, strict=True))
    assert all(label_of[v] == y for v, y in zip(first.x[:, 0], first.y, strict=True))
    assert first.info["steps"] == [{"split": 0.5, "seed": 3, "part": 0}]


def test_split_keeps_rare_classes_in_both_parts():
    first, second = dataset_of([100, 10]).split(0.5)
    assert list(np.bincount(first.y)) == [50, 5]
    assert list(np.bincount(second.y)) == [50, 5]


def test_subsets_are_nested_and_depend_on_the_seed():
    whole = dataset_of([20, 20, 20])
    small, large = whole.subset(10, seed=1), whole.subset(31, seed=1)
    np.testing.assert_array_equal(large.x[:10], small.x)
    assert np.ptp(np.bincount(large.y)) <= 1
    assert whole.subset(10, seed=2).fingerprint != small.fingerprint
    assert whole.subset(10, seed=1).fingerprint == small.fingerprint


def test_unequal_classes_are_filled_evenly_from_the_others():
    assert list(np.bincount(dataset_of([2, 20, 20]).subset(20).y)) == [2, 9, 9]


@pytest.mark.parametrize("fraction", [0, 1, -0.5, 1.5, float("nan"), "half", 1e-9])
def test_split_refuses_fractions_that_leave_a_part_empty(fraction):
    with pytest.raises(ConfigurationError, match="fraction="):
        dataset_of([3, 3]).split(fraction)


@pytest.mark.parametrize("n", [0, 7, -1, 2.0, True])
def test_subset_refuses_impossible_sizes(n):
    with pytest.raises(ConfigurationError, match="n="):
        dataset_of([3, 3]).subset(n)


def test_standardized_by_a_part_uses_that_part_alone():
    rng = np.random.default_rng(0)
    data = Dataset(rng.normal(3, 2, (40, 4, 4, 2)), np.arange(40) % 2, ("a", "b"), "noise")
    fit, validation = data.split(0.5)
    fit, validation = fit.standardized(fit), validation.standardized(fit)
    np.testing.assert_allclose(fit.x.mean(axis=(0, 1, 2)), 0, atol=1e-6)
    np.testing.assert_allclose(fit.x.std(axis=(0, 1, 2)), 1, atol=1e-6)
    assert np.abs(validation.x.mean(axis=(0, 1, 2))).max() > 1e-3
    with pytest.raises(DataError, match="expected equal numbers"):
        Dataset(np.ones((4, 3)), np.arange(4) % 2, ("a", "b"), "v").standardized(fit)


def test_a_data_set_shows_itself_in_a_line():
    x, y, classes = np.zeros((1200, 8, 8, 3)), np.arange(1200) % 2, ("a", "b")
    data = Dataset(x, y, classes, "toy", {"source": "a" * 1000})
    line = "Dataset(toy: 1,200 images of 8×8×3, 2 classes, not standardised)"
    assert repr(data) == str(data) == line
    assert repr(data.standardized(data).subset(4)) == (
        "Dataset(toy: 4 images of 8×8×3, 2 classes, standardised)"
    )
    one = Dataset(np.ones((1, 5)), np.zeros(1, int), ("a",), "a\nb")
    assert repr(one) == r"Dataset(a\nb: 1 vector of 5 features, 1 class, not standardised)"
    long = Dataset(x, y, classes, "n" * 1000)
    assert repr(long).startswith(f"Dataset({'n' * 59}…: 1,200 images")
