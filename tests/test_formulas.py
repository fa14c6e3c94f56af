"""What ``docs/formulas.md`` says of printed formulas, by calculation; and that it names what is."""

import itertools
import math
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats

import kernas.kernels as kk
from kernas.kernels.augmentation import views_of

ROOT = Path(__file__).resolve().parents[1]
TEXT = (ROOT / "docs" / "formulas.md").read_text(encoding="utf-8")
CODES = np.random.default_rng(0).integers(0, 2, (6, 40))
"""Activation patterns of six images: 40 units, on or off."""


def test_bags_and_maps_of_edges_are_counted():
    bags = list(itertools.combinations_with_replacement(range(5), 6))
    assert len(bags) == math.comb(5 + 6 - 1, 6) == 210
    assert 6 * 5 == 30
    cells = 4
    places = list(itertools.combinations(range(cells), 2))
    maps = set(itertools.product((0, 1), repeat=len(places)))
    assert len(maps) == 2 ** (cells * (cells - 1) // 2) < 2 ** (cells**2)


def test_points_of_a_circle_are_pairs():
    angles = 2 * np.pi * np.arange(1, 9) / 8
    np.testing.assert_allclose(kk.circle(8).x, np.stack([np.cos(angles), np.sin(angles)], axis=1))


def test_the_printed_covariance_of_two_pixels_is_none():
    """At nine of ten pairs of pixels it has a negative eigenvalue."""
    x, z = np.random.default_rng(0).standard_normal((2, 3, 4, 2))
    S = np.tensordot(x, z, (2, 2)).reshape(12, 12)
    printed = [
        np.array([[S[p, p], S[p, q]], [S[q, p], S[q, q]]])
        for p, q in itertools.product(range(12), repeat=2)
    ]
    low = np.array([np.linalg.eigvalsh((both + both.T) / 2)[0] for both in printed])
    assert 0.85 < np.mean(low < -1e-12) < 0.95
    X, Z, cross = (np.tensordot(a, b, (2, 2)).reshape(12, 12) for a, b in ((x, x), (z, z), (x, z)))
    right = [
        np.array([[X[p, p], cross[p, q]], [cross[p, q], Z[q, q]]])
        for p, q in itertools.product(range(12), repeat=2)
    ]
    assert min(np.linalg.eigvalsh(both)[0] for both in right) > -1e-12


def test_hamming_distance_is_no_inner_product():
    distances = (CODES[:, None] != CODES[None]).sum(axis=-1)
    inner, size = CODES @ CODES.T, CODES.sum(axis=1)
    assert np.array_equal(distances, size[:, None] + size - 2 * inner)
    assert not np.array_equal(distances, inner)
    euclidean = np.linalg.norm(CODES[:, None] - CODES[None], axis=-1)
    np.testing.assert_allclose(euclidean, np.sqrt(distances))
    units = CODES.shape[1]
    kernel = units - distances
    assert np.array_equal(kernel, inner + (1 - CODES) @ (1 - CODES).T)
    assert np.linalg.eigvalsh(kernel)[0] > -1e-9
    printed = units * np.eye(len(CODES)) - distances
    assert np.array_equal(kernel - printed, units * (1 - np.eye(len(CODES))))
    assert abs(np.linalg.slogdet(kernel)[1] - np.linalg.slogdet(printed)[1]) > 0.1


def test_spearman_with_ties():
    x, y = np.array([1, 1, 2]), np.array([1, 2, 3])
    ranks = stats.rankdata(x), stats.rankdata(y)
    squares = float(((ranks[0] - ranks[1]) ** 2).sum())
    assert 1 - 6 * squares / (3 * (3**2 - 1)) == pytest.approx(0.875)
    rho = np.corrcoef(*ranks)[0, 1]
    found: Any = stats.spearmanr(x, y)
    assert rho == pytest.approx(found.statistic)
    assert rho == pytest.approx(0.866, abs=5e-4)


def test_the_sign_of_the_path_kernel():
    """Two weights, squared loss, small steps: ``y - y_0 = -Σ ∫ L' K dt``."""
    rng = np.random.default_rng(0)
    X, targets, query = rng.standard_normal((3, 2)), rng.standard_normal(3), np.array([0.3, -1.0])
    w, step = rng.standard_normal(2), 1e-3

    def gradient(w, x):
        return x * np.cos(x @ w)[..., None]

    start, predicted = np.sin(query @ w), 0.0
    for _ in range(2_000):
        slopes = np.sin(X @ w) - targets
        predicted -= step * slopes @ gradient(w, X) @ gradient(w, query)
        w = w - step * slopes @ gradient(w, X)
    assert abs(np.sin(query @ w) - start) > 0.1
    assert np.sin(query @ w) - start == pytest.approx(predicted, rel=1e-2)


def test_the_flip_exchanges_left_and_right():
    x = np.zeros((1, 2, 3, 1), np.float32)
    x[0, 0, 0] = 1
    _, mirrored = views_of(x, 2)
    assert np.argwhere(mirrored[..., 0]).tolist() == [[0, 0, 2]]


def test_halving_channels_and_side_takes_a_quarter_each():
    def flops(channels, side, epochs, samples):
        return channels**2 * side**2 * 9 * epochs * samples

    whole = flops(64, 32, 100, 1000)
    for a, b, d, g in itertools.product((0, 1), repeat=4):
        reduced = flops(64 >> a, 32 >> b, 100 // 2**d, 1000 // 2**g)
        assert reduced * 2 ** (2 * a + 2 * b + d + g) == whole


def test_what_the_page_names_is_there():
    paths = set(re.findall(r"`((?:kernels|search|tests|experiments)/[\w/.]+)`", TEXT))
    assert len(paths) > 8
    missing = [path for path in paths if not (ROOT / path).exists()]
    assert not missing
    for name in re.findall(r"`kk\.(\w+)", TEXT):
        assert hasattr(kk, name)
    for name in re.findall(r'CONVENTIONS\["(\w+)"\]', TEXT):
        assert name in kk.CONVENTIONS
