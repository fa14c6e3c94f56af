"""The analytic kernels against random networks of finite width.

Per case and kernel one statistic: the mean over draws of ``t = Σ_ij A_ij K_ij`` with fixed ``A``,
extrapolated from two widths. If ``E t_w = t_∞ + b/w + O(1/w²)``, then
``r = 2·mean(t_2w) − mean(t_w)`` has no term in 1/w; equivalently the bias at ``2w`` must be half of
that at ``w``. A kernel is rejected if ``|r − t_∞|`` exceeds the normal quantile of all cases
together (Bonferroni) times the standard error of ``r``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import jax
import numpy as np
import pytest
from oracles.finite_width import FiniteNetwork, sample_kernels, sample_nngp, sample_ntk
from oracles.numpy_kernel import normalize_scales, oracle
from scipy.stats import norm

from kernas.kernels.architecture.activations import (
    Cos,
    Elementwise,
    Erf,
    Gaussian,
    LeakyRelu,
    Sign,
)
from kernas.kernels.architecture.combinators import GraphBuilder, parallel, residual, serial
from kernas.kernels.architecture.graph import Architecture
from kernas.kernels.architecture.layers import (
    AvgPool,
    Conv,
    Dense,
    Flatten,
    GlobalAvgPool,
    Identity,
    Normalize,
    Relu,
    Sum,
    Zero,
)

WIDTH = 16
FAMILY_ERROR = 1e-3
HE = 2**0.5
SAME_POOL = AvgPool(3, padding="SAME")
AROUND = ((1, 1), (1, 1))


def chain() -> Architecture:
    conv = Conv(3, W_std=HE, b_std=0.3)
    return serial(conv, Relu(), conv, Relu(), GlobalAvgPool(), Dense(b_std=0.5))


def skip_beside_pool() -> Architecture:
    both = parallel(Identity(), SAME_POOL)
    return serial(Conv(3, W_std=HE), both, Relu(), GlobalAvgPool(), Dense())


def strided_residual() -> Architecture:
    branch = serial(Conv(3, 2, AROUND, W_std=HE), Relu(), Conv(3, padding=AROUND, W_std=HE))
    block = residual(branch, serial(AvgPool(2, 2), Conv(1)))
    return serial(Conv(3, W_std=HE), Relu(), block, Relu(), GlobalAvgPool(), Dense())


def conv_and_its_pool(convs: int) -> Architecture:
    """``conv(r) + pool(conv(r))``, with one convolution or with two."""
    builder = GraphBuilder()
    r = builder.add(Relu(), builder.add(Conv(3, W_std=HE), builder.input))
    ends = [builder.add(Conv(3, W_std=HE), r) for _ in range(convs)]
    total = builder.add(Sum(), ends[0], builder.add(AvgPool(3, padding=AROUND), ends[-1]))
    return builder.build(builder.add(serial(Relu(), GlobalAvgPool(), Dense()), total))


def branches_of_relus() -> Architecture:
    branch = serial(Dense(W_std=HE), Relu())
    return serial(parallel(branch, branch), Dense(W_std=HE), Relu(), Dense())


def weights_beside_relu() -> Architecture:
    return serial(
        Conv(3, W_std=HE, b_std=0.5),
        parallel(Identity(), serial(SAME_POOL, Relu())),
        Conv(3, W_std=HE),
        Relu(),
        GlobalAvgPool(),
        Dense(),
    )


def frozen_ends() -> Architecture:
    return serial(
        Conv((3, 1), W_std=HE, trainable=False),
        AvgPool(2, padding="SAME", divisor="window"),
        Relu(),
        Conv(3, padding="VALID", W_std=HE, b_std=0.2),
        Relu(),
        Flatten(),
        Dense(trainable=False),
    )


def normalized(center: bool) -> Architecture:
    norm = Normalize(center=center)
    layers = (Conv(3, W_std=HE), norm, Relu(), Conv(3, W_std=HE, b_std=0.2), norm, Relu())
    return serial(*layers, norm, GlobalAvgPool(), Dense())


def cell() -> Architecture:
    """A cell as in NAS-Bench-201, between a stem and a readout."""
    builder = GraphBuilder()

    def conv(window: int) -> Architecture:
        return serial(Relu(), Conv(window, W_std=HE), Normalize())

    a = builder.add(serial(Conv(3), Normalize()), builder.input)
    b = builder.add(conv(3), a)
    c = builder.add(Sum(), builder.add(Identity(), a), builder.add(SAME_POOL, b))
    last = (builder.add(Zero(), a), builder.add(conv(1), b), builder.add(Identity(), c))
    d = builder.add(Sum(), *last, builder.add(SAME_POOL, a))
    return builder.build(builder.add(serial(Normalize(), Relu(), GlobalAvgPool(), Dense()), d))


def relu_beside_erf() -> Architecture:
    """Two nonlinearities of one convolution and of its pool, added: a cross dual."""
    branches = parallel(Relu(), serial(SAME_POOL, Erf()))
    return serial(Conv(3, W_std=HE), branches, Conv(3, W_std=HE), Relu(), GlobalAvgPool(), Dense())


def cosine_beside_softplus() -> Architecture:
    """Independent branches whose nonlinearities have means: C_ab = 0 and E[φ] E[ψ] ≠ 0."""
    branches = parallel(serial(Dense(W_std=HE), Cos()), serial(Dense(), Elementwise("softplus")))
    return serial(branches, Dense(W_std=HE), Elementwise("tanh"), Dense())


def sign_beside_weights() -> Architecture:
    """Stein's rule where K has a derivative that gradients do not see, and where φ(0) ≠ 0."""
    beside = parallel(Identity(), serial(parallel(Sign(), Gaussian(0.8))))
    return serial(Dense(W_std=HE), beside, Dense(), LeakyRelu(0.3), Dense())


CASES: dict[str, Callable[[], Architecture]] = {
    "chain with bias": chain,
    "skip beside pool": skip_beside_pool,
    "strided residual": strided_residual,
    "one convolution twice": lambda: conv_and_its_pool(1),
    "two convolutions": lambda: conv_and_its_pool(2),
    "relus of two branches": branches_of_relus,
    "weights beside relu": weights_beside_relu,
    "untrained ends": frozen_ends,
    "Normalize centred": lambda: normalized(True),
    "Normalize RMS": lambda: normalized(False),
    "cell": cell,
    "relu beside erf": relu_beside_erf,
    "cosine beside softplus": cosine_beside_softplus,
    "sign and bell beside weights": sign_beside_weights,
}
QUANTILE = float(norm.isf(FAMILY_ERROR / 2 / (2 * len(CASES) + 1)))
"""Two-sided, for the two kernels of every case and the test of the bias."""


@dataclass(frozen=True)
class Statistic:
    """Means of ``t`` at widths ``w`` and ``2w`` with their standard errors."""

    mean: np.ndarray
    error: np.ndarray
    weights: np.ndarray

    @classmethod
    def of(cls, narrow: np.ndarray, wide: np.ndarray) -> Statistic:
        """From kernels ``(draws, n, n)`` at both widths."""
        A = np.random.default_rng(0).uniform(0.5, 1.5, narrow.shape[1:])
        t = [np.einsum("ij,dij->d", A, kernels) for kernels in (narrow, wide)]
        error = [v.std(ddof=1) / len(v) ** 0.5 for v in t]
        return cls(np.array([v.mean() for v in t]), np.array(error), A)

    def deviation(self, kernel: np.ndarray) -> float:
        """``(r − t_∞)`` in standard errors of ``r``."""
        r = 2 * self.mean[1] - self.mean[0]
        error = np.hypot(2 * self.error[1], self.error[0])
        return float((r - (self.weights * kernel).sum()) / error)

    def bias(self, kernel: np.ndarray) -> np.ndarray:
        """Distance from ``t_∞`` at both widths, in standard errors of each."""
        return (self.mean - (self.weights * kernel).sum()) / self.error


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


@cache
def measure(case: str, draws: int) -> tuple[Statistic, Statistic]:
    """The statistics of NNGP and NTK, from twice as many draws at twice the width."""
    architecture, x, reference = inputs(case)
    seed = 2 * list(CASES).index(case)
    narrow, wide = (
        sample_kernels(FiniteNetwork(architecture, x, WIDTH * k, reference), draws * k, seed + k)
        for k in (1, 2)
    )
    return Statistic.of(narrow[0], wide[0]), Statistic.of(narrow[1], wide[1])


def check(case: str, draws: int) -> None:
    architecture, x, reference = inputs(case)
    kernels = oracle(architecture, x, reference=reference)
    for name, statistic, kernel in zip(("nngp", "ntk"), measure(case, draws), kernels, strict=True):
        deviation = statistic.deviation(kernel)
        assert abs(deviation) < QUANTILE, f"{name}: {deviation:.1f} standard errors"


@pytest.mark.parametrize("case", CASES)
def test_kernels_are_the_limit_of_finite_networks(case: str) -> None:
    check(case, draws=1000)


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES)
def test_kernels_are_the_limit_of_finite_networks_more_draws(case: str) -> None:
    check(case, draws=20_000)


@pytest.mark.parametrize("case", ["skip beside pool", "relu beside erf", "cosine beside softplus"])
def test_independent_branches_are_rejected(case: str) -> None:
    architecture, x, _ = inputs(case)
    wrong = oracle(architecture, x, branches="independent")
    for statistic, kernel in zip(measure(case, 1000), wrong, strict=True):
        assert abs(statistic.deviation(kernel)) > QUANTILE


def test_bias_is_seen_and_halves_with_width() -> None:
    architecture, x, reference = normalized_vectors(2)
    _, ntk = oracle(architecture, x[:1], x[1:], reference=reference)
    narrow, wide = (
        sample_ntk(FiniteNetwork(architecture, x, w, reference), 20_000, seed=w)[:, :1, 1:]
        for w in (WIDTH, 2 * WIDTH)
    )
    statistic = Statistic.of(narrow, wide)
    assert np.all(np.abs(statistic.bias(ntk)) > QUANTILE)
    assert abs(statistic.deviation(ntk)) < QUANTILE


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
    own = [
        sample_nngp(FiniteNetwork(architecture, x, w, reference, "batchnorm"), 1000, seed=w)
        for w in (WIDTH, 2 * WIDTH)
    ]
    assert abs(Statistic.of(*own).deviation(nngp)) > QUANTILE


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
