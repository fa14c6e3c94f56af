"""The analytic kernels against random networks of finite width.

Per case and kernel one statistic: the mean over draws of ``t = Σ_ij A_ij K_ij`` with fixed ``A``,
extrapolated from two widths. If ``E t_w = t_∞ + b/w + O(1/w²)``, then
``r = 2·mean(t_2w) − mean(t_w)`` has no term in 1/w; equivalently the bias at ``2w`` must be half of
that at ``w``. A kernel is rejected if ``|r − t_∞|`` exceeds the normal quantile of all cases
together (Bonferroni) times the standard error of ``r``.
"""

from __future__ import annotations

from dataclasses import dataclass

import jax
import numpy as np
import pytest
from oracles.finite_width import FiniteNetwork, Normalization, sampled_sums
from oracles.limit_networks import CASES, CHOSEN, HE
from oracles.numpy_kernel import normalize_scales, oracle
from scipy.stats import norm
from selection import ordinary

from kernas.kernels.architecture.combinators import parallel, serial
from kernas.kernels.architecture.graph import Architecture
from kernas.kernels.architecture.layers import (
    AvgPool,
    Conv,
    Dense,
    Flatten,
    Layer,
    LayerNorm,
    LocalAvgPool,
    MaxPool,
    Normalize,
    Relu,
)

WIDTH = 16
FAMILY_ERROR = 1e-3
QUANTILE = float(norm.isf(FAMILY_ERROR / 2 / (2 * len(CASES) + 1)))
"""Two-sided, for the two kernels of every case and the test of the bias."""


@dataclass(frozen=True)
class Statistic:
    """Means of ``t`` at widths ``w`` and ``2w`` with their standard errors, of one kernel."""

    mean: np.ndarray
    error: np.ndarray
    weights: np.ndarray

    def deviation(self, kernel: np.ndarray) -> float:
        """``(r − t_∞)`` in standard errors of ``r``."""
        r = 2 * self.mean[1] - self.mean[0]
        error = np.hypot(2 * self.error[1], self.error[0])
        return float((r - (self.weights * kernel).sum()) / error)

    def bias(self, kernel: np.ndarray) -> np.ndarray:
        """Distance from ``t_∞`` at both widths, in standard errors of each."""
        return (self.mean - (self.weights * kernel).sum()) / self.error


def statistics(
    architecture: Architecture,
    x: np.ndarray,
    reference: np.ndarray | None,
    *,
    draws: tuple[int, int],
    seeds: tuple[int, int],
    weights: np.ndarray | None = None,
    normalize: Normalization = "limit",
) -> list[Statistic]:
    """Those of NNGP and NTK, from draws at ``WIDTH`` and at twice that."""
    A = np.random.default_rng(0).uniform(0.5, 1.5, (len(x),) * 2) if weights is None else weights
    widths = (WIDTH, 2 * WIDTH)
    sums = [
        sampled_sums(architecture, x, reference, width, n, seed, A, normalize)
        for width, n, seed in zip(widths, draws, seeds, strict=True)
    ]
    means, errors = (np.stack(part, axis=1) for part in zip(*sums, strict=True))
    return [Statistic(*both, A) for both in zip(means, errors, strict=True)]


def inputs(case: str) -> tuple[Architecture, np.ndarray, np.ndarray | None]:
    """The case's network, two inputs, and reference images if it normalises."""
    rng = np.random.default_rng(7)
    architecture = CASES[case]()
    if isinstance(architecture.nodes[1].layer, Dense):
        return architecture, rng.normal(size=(2, 5)), None
    if any(isinstance(node.layer, Normalize) for node in architecture.nodes):
        return architecture, rng.normal(size=(2, 3, 3, 3)), rng.normal(size=(4, 3, 3, 3))
    return architecture, rng.normal(size=(2, 4, 4, 3)), None


def normalized_vectors(depth: int) -> tuple[Architecture, np.ndarray, np.ndarray]:
    """A fully-connected network with centred Normalize, two inputs and twelve reference vectors."""
    rng = np.random.default_rng(7)
    architecture = serial(*[Dense(W_std=HE), Normalize(), Relu()] * depth, Dense())
    return architecture, rng.normal(size=(2, 5)), rng.normal(size=(12, 5))


MEETING = (
    "skip beside pool",
    "one convolution twice",
    "relus of two branches",
    "weights beside relu",
    "relu beside erf",
    "cosine beside softplus",
    "sign and bell beside weights",
    "LayerNorm beside its input",
    "Concat that meets again",
)
"""Cases whose branches are correlated."""


def measure(case: str, draws: int) -> list[Statistic]:
    """The statistics of NNGP and NTK, from twice as many draws at twice the width."""
    seed = 2 * list(CASES).index(case)
    return statistics(*inputs(case), draws=(draws, 2 * draws), seeds=(seed + 1, seed + 2))


def check(case: str, draws: int) -> None:
    """The kernels pass; those of independent branches do not, where branches are correlated."""
    architecture, x, reference = inputs(case)
    found = measure(case, draws)
    kernels = oracle(architecture, x, reference=reference)
    for name, statistic, kernel in zip(("nngp", "ntk"), found, kernels, strict=True):
        deviation = statistic.deviation(kernel)
        assert abs(deviation) < QUANTILE, f"{name}: {deviation:.1f} standard errors"
    if case in MEETING:
        wrong = oracle(architecture, x, branches="independent")
        for name, statistic, kernel in zip(("nngp", "ntk"), found, wrong, strict=True):
            assert abs(statistic.deviation(kernel)) > QUANTILE, f"{name}: accepted"


@pytest.mark.oracle("finite networks", networks=lambda case: CASES[case]())
@pytest.mark.parametrize("case", ordinary(CHOSEN, of=CASES))
def test_kernels_are_the_limit_of_finite_networks(case: str) -> None:
    check(case, draws=1000)


@pytest.mark.slow
@pytest.mark.oracle("finite networks", networks=lambda case: CASES[case]())
@pytest.mark.parametrize("case", CASES)
def test_kernels_are_the_limit_of_finite_networks_more_draws(case: str) -> None:
    check(case, draws=20_000)


def test_kernels_of_signals_are_the_limit_of_finite_networks() -> None:
    first = Conv((3,), W_std=HE, b_std=0.3, dilation=2, padding=((1, 2),))
    pool = AvgPool((3,), padding="SAME")
    second = Conv((2,), W_std=HE, stride=2)
    network = serial(first, Relu(), pool, second, Relu(), LocalAvgPool((1,)), Dense())
    x = np.random.default_rng(7).normal(size=(2, 6, 3))
    found = statistics(network, x, None, draws=(1000, 2000), seeds=(101, 102))
    for statistic, kernel in zip(found, oracle(network, x), strict=True):
        assert abs(statistic.deviation(kernel)) < QUANTILE


def test_every_correlation_of_branches_is_among_the_cases() -> None:
    assert set(MEETING) <= set(CASES)


def test_relus_of_independent_branches_at_a_correlation_of_three_tenths() -> None:
    """``E[(φ(n₁) + φ(n₂)) (φ(n₁′) + φ(n₂′))]``, n₁ and n₂ independent, unit variances."""
    x = 2**0.5 * np.array([[1, 0], [0.3, 0.91**0.5]])
    branch = serial(Dense(), Relu())
    architecture = serial(parallel(branch, branch), Dense())
    (exact, _), (wrong, _) = (
        oracle(architecture, x),
        oracle(architecture, x, branches="independent"),
    )
    assert (exact[0, 1], wrong[0, 1]) == (
        pytest.approx(0.8011, abs=1e-4),
        pytest.approx(0.4827, abs=1e-4),
    )
    assert exact[0, 1] - wrong[0, 1] == pytest.approx(1 / np.pi, rel=1e-12)
    means, errors = sampled_sums(architecture, x, None, WIDTH, 4000, 0, np.diag([1.0], 1))
    assert abs(means[0] - exact[0, 1]) < QUANTILE * errors[0]
    assert abs(means[0] - wrong[0, 1]) > QUANTILE * errors[0]


def test_bias_is_seen_and_halves_with_width() -> None:
    architecture, x, reference = normalized_vectors(2)
    _, ntk = oracle(architecture, x, reference=reference)
    draws, cross = (20_000, 20_000), np.diag([1.0], 1)
    _, statistic = statistics(
        architecture, x, reference, draws=draws, seeds=(WIDTH, 2 * WIDTH), weights=cross
    )
    assert np.all(np.abs(statistic.bias(ntk)) > QUANTILE)
    assert abs(statistic.deviation(ntk)) < QUANTILE


def forward(row: np.ndarray, *layers: Layer) -> list[np.ndarray]:
    """What the layers make of one image of one row of pixels, one after the other."""
    network = FiniteNetwork(serial(*layers, Flatten(), Dense()), row[None, None], WIDTH)
    values = network.forward(network.draw(jax.random.key(0)), {})
    return [np.asarray(value[0]) for value in values[1 : 1 + len(layers)]]


def test_layers_of_finite_networks_on_given_numbers() -> None:
    row = np.array([[-1.0, -5.0], [-2.0, -3.0], [-4.0, -6.0]])
    largest = np.array([[-1, -5], [-1, -3], [-2, -3]])
    padded = MaxPool((1, 2), padding=((0, 0), (1, 0)))
    pooled, own = forward(row, padded, LayerNorm(eps=3.0))
    np.testing.assert_array_equal(pooled, largest)
    deviations = np.array([2, 1, 0.5])
    normed = deviations / np.sqrt(deviations**2 + 3)
    np.testing.assert_allclose(own, np.stack([normed, -normed], 1), rtol=1e-6)
    _, both = forward(row, padded, LayerNorm("channels and pixels", eps=3.0))
    expected = (largest - largest.mean()) / np.sqrt(largest.var() + 3)
    np.testing.assert_allclose(both, expected, rtol=1e-6)
    around, side_by_side = forward(row, MaxPool((1, 3), padding="CIRCULAR"), LocalAvgPool(1))
    np.testing.assert_array_equal(around, [[-1, -3]] * 3)
    np.testing.assert_allclose(side_by_side, np.outer([2, 3, 2], [-1, -3]).ravel() / 9, rtol=1e-6)


@pytest.mark.parametrize("center", [True, False])
def test_batchnorm_uses_each_channels_own_statistics(center: bool) -> None:
    reference = np.random.default_rng(7).normal(0.5, 1.0, size=(5, 3, 3, 2))
    architecture = serial(Conv(3, b_std=0.5), Normalize(center=center), Flatten(), Dense())
    own = FiniteNetwork(architecture, reference, 6, reference, normalize="batchnorm")
    limit = FiniteNetwork(architecture, reference, 6, reference)
    parameters = own.draw(jax.random.key(0))
    scales = normalize_scales(architecture, reference)
    values = np.asarray(own.forward(parameters, {})[2]).reshape(-1, 6)
    np.testing.assert_allclose((values**2).mean(0), 1, rtol=1e-3)
    assert np.allclose(values.mean(0), 0, atol=1e-5) == center
    raw = np.asarray(own.forward(parameters, {})[1]).reshape(-1, 6)
    expected = (raw - raw.mean(0) * center) / scales[2]
    others = np.asarray(limit.forward(parameters, scales)[2]).reshape(-1, 6)
    np.testing.assert_allclose(others, expected, atol=1e-5)
    assert not np.allclose(others.std(0), values.std(0), rtol=0.05)


def test_batchnorm_is_not_the_limit() -> None:
    architecture, x, reference = normalized_vectors(1)
    nngp, _ = oracle(architecture, x, reference=reference)
    own, _ = statistics(
        architecture,
        x,
        reference,
        draws=(1000, 1000),
        seeds=(WIDTH, 2 * WIDTH),
        normalize="batchnorm",
    )
    assert abs(own.deviation(nngp)) > QUANTILE


@pytest.mark.parametrize(
    ("network", "message"),
    [
        (serial(Conv(3), Normalize(), Flatten(), Dense()), "give reference images"),
        (serial(Conv(3), Flatten()), "must end in Dense"),
    ],
)
def test_networks_that_cannot_be_drawn_are_refused(network: Architecture, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        FiniteNetwork(network, np.zeros((1, 4, 4, 1)), WIDTH)
