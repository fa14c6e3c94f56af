"""What is chosen on validation images, the intervals, and what a full setting costs."""

from typing import Any

import comparing
import numpy as np
import pytest
import small_data
import table1

import kernas.kernels as kk
from kernas.kernels.conventions import Convention
from kernas.kernels.data import Dataset


def dataset(y):
    y = np.asarray(y)
    return Dataset(np.ones((len(y), 2)), y, ("a", "b"), "made")


def test_the_choice_is_made_on_validation_images_and_fitted_to_all():
    """A kernel that knows the classes beats one of noise, whatever the test labels are."""
    y, z = np.arange(20) % 2, np.arange(6) % 2
    signs, other = 2.0 * y - 1, 2.0 * z - 1
    rng = np.random.default_rng(0)
    noise = rng.standard_normal((20, 30))
    gram = {"good": np.outer(signs, signs) + np.eye(20), "bad": noise @ noise.T}
    cross = {"good": np.outer(other, signs), "bad": rng.standard_normal((6, 20))}
    stores: Any = (gram, cross)
    for labels, accuracy in ((z, 100), (1 - z, 0)):
        best = comparing.chosen(
            stores, ["bad", "good"], Convention(), dataset(y), dataset(labels), 12
        )
        assert best["name"] == "good"
        assert best["validation"]["value"] == 100
        assert best["test"]["value"] == accuracy
        assert set(best["grid"]) == {"good", "bad"}
        assert best["grid"]["bad"]["value"] < 100
    targets = Convention().targets(y, 2)
    expected, _ = comparing.predictions(gram["good"], cross["good"], targets, best["ridge"])
    assert np.all(expected.argmax(axis=1) == z)


def test_wilson_interval():
    """Brown, Cai and DasGupta 2001, section 3.1.1: centre and half width in closed form."""
    hits, n, z = 30, 200, 1.959963984540054
    p = hits / n
    centre = (p + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z / (1 + z**2 / n) * np.sqrt(p * (1 - p) / n + z**2 / (4 * n**2))
    found = comparing.proportion(hits, n)
    np.testing.assert_allclose(
        [found[key] for key in ("value", "low", "high")],
        [15.0, 100 * (centre - half), 100 * (centre + half)],
    )


def test_the_interval_over_draws_has_both_errors():
    one = small_data.interval([20.0], 1000)
    np.testing.assert_allclose(one["high"] - 20, 1.96 * np.sqrt(20 * 80 / 1000), rtol=1e-3)
    several = small_data.interval([18.0, 20.0, 22.0], 10**9)
    np.testing.assert_allclose(several["high"] - 20, 4.3027 * 2 / np.sqrt(3), rtol=1e-3)


def test_costs_count_the_pairs_of_both_matrices():
    plan = kk.NeuralKernel(kk.serial(kk.Conv(3), kk.Relu(), kk.GlobalAvgPool())).plan((8, 8, 3))
    found = comparing.predicted_costs(plan, 100, 50)
    assert found["pairs"] == 100 * 101 // 2 + 100 * 50
    for cost in found["devices"].values():
        np.testing.assert_allclose(cost["hours"], found["pairs"] / cost["pairs_a_second"] / 3600)
    assert any("H100" in name for name in found["devices"])


@pytest.mark.parametrize("flip", [False, True])
def test_a_table_has_every_depth_and_windows_up_to_the_image(flip):
    table = table1.table_of(table1.SMALL, (16, 16, 3), flip)
    assert list(table.networks) == [(d, c) for d in table1.DEPTHS for c in (0, 4, 8, 12, 16)]
    assert bool(table.augment) == flip
    assert len(table1.PASSES) * 2 == len(table1.PUBLISHED)
    assert table1.FULL.sides == {"cifar10": 32, "fashion_mnist": 28}
    sizes = {name: n + table1.FULL.n_validation for name, n in table1.FULL.n_fit.items()}
    assert sizes == {"cifar10": 50_000, "fashion_mnist": 60_000}
