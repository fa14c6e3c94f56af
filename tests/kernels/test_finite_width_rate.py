"""Empirical kernels of finite networks approach the exact ones as ``width ** -0.5``.

Per width ``w`` the mean over draws of ``e² = ‖K_d − K‖² / ‖K‖²``, which is ``c/w + O(1/w²)``. The
slope of ``½ log mean e²`` against ``log w`` by least squares is asymptotically normal; its variance
comes from that of ``e²`` over the draws by the delta method. -1/2 must lie in the 99.9% interval,
and the interval must be narrow enough to exclude -1/4 and -1.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import jax
import numpy as np
import pytest
from oracles.numpy_kernel import oracle
from scipy.stats import norm
from selection import ordinary

import kernas.kernels as kk
from kernas.kernels.architecture import Slot, filled

HE = 2**0.5
WIDTHS = (64, 128, 256, 512, 1024)
DRAWS = 24
QUANTILE = float(norm.isf(1e-3 / 2))


Network = tuple[kk.Architecture, tuple[int, ...], np.ndarray]
"""A template, what fills its slots if it has any, and images."""


def fully_connected() -> Network:
    hidden = (kk.Dense(W_std=HE, b_std=0.1), kk.Relu())
    x = np.random.default_rng(0).normal(size=(6, 8))
    return kk.serial(*hidden, *hidden, kk.Dense()), (), x


def skip_beside_pool() -> Network:
    both = kk.parallel(kk.Identity(), kk.AvgPool(2, padding="SAME"))
    head = (kk.Relu(), kk.Conv(1, W_std=HE), kk.Relu(), kk.GlobalAvgPool(), kk.Dense())
    x = np.random.default_rng(0).normal(size=(6, 2, 2, 3))
    return kk.serial(kk.Conv(2, W_std=HE), both, *head), (), x


def filled_slots() -> Network:
    """A template whose slots hold a skip and a layer that reads the same, which meet in a sum."""
    dense = kk.serial(kk.Relu(), kk.Dense(W_std=HE))
    branches = (kk.serial(kk.Zero()), kk.serial(kk.Identity()), dense)
    edges = [kk.serial(Slot(branches, choice)) for choice in range(2)]
    x = np.random.default_rng(0).normal(size=(6, 8))
    return kk.serial(kk.Dense(), kk.parallel(*edges), kk.Relu(), kk.Dense()), (2, 1), x


Case = Callable[[], Network]


@cache
def draw_kernels(case: Case, get: Any) -> np.ndarray:
    """Empirical kernels, ``(widths, draws, n, n)``."""
    return np.array([draw_width(*case(), get, width) for width in WIDTHS])


def draw_width(
    template: kk.Architecture, choices: tuple[int, ...], x: np.ndarray, get: Any, width: int
) -> list[Any]:
    network = kk.finite_network(template, width, outputs=None if get == "nngp" else 1)
    init = jax.jit(network.init)

    def apply(params: Any, images: Any) -> Any:
        return network.apply({"params": params}, images, choices=choices)

    keys = jax.random.split(jax.random.key(width), DRAWS)
    return [kk.EmpiricalKernel(apply, init(key, x)["params"], get)(x) for key in keys]


def interval(kernels: np.ndarray, exact: np.ndarray) -> tuple[float, float]:
    """Of the slope, from ``(widths, draws, n, n)``."""
    squares = ((kernels - exact) ** 2).sum((2, 3)) / (exact**2).sum()
    x = np.log(WIDTHS) - np.log(WIDTHS).mean()
    weights, mean = x / (x**2).sum(), squares.mean(1)
    variance = squares.var(1, ddof=1) / DRAWS / (2 * mean) ** 2
    slope, error = weights @ np.log(mean) / 2, np.sqrt(weights**2 @ variance)
    return float(slope - QUANTILE * error), float(slope + QUANTILE * error)


NETWORKS: dict[str, Case] = {
    "fully connected": fully_connected,
    "skip beside pool": skip_beside_pool,
    "filled slots": filled_slots,
}
BOTH = [(network, get) for network in NETWORKS for get in ("nngp", "ntk")]
CHOSEN = [("fully connected", "nngp"), ("skip beside pool", "ntk")]


@pytest.mark.parametrize("which", ordinary(CHOSEN, of=BOTH), ids="-".join)
def test_distance_falls_as_the_root_of_the_width(which: tuple[str, Any]) -> None:
    case, get = NETWORKS[which[0]], which[1]
    template, choices, x = case()
    exact = np.asarray(kk.NeuralKernel(filled(template, choices), get)(x), float)
    low, high = interval(draw_kernels(case, get), exact)
    assert low < -0.5 < high, (low, high)
    assert low > -1
    assert high < -0.25


@pytest.mark.parametrize("get", ordinary(["ntk"], of=["nngp", "ntk"]))
def test_distance_to_independent_branches_does_not_fall(get: Any) -> None:
    architecture, _, x = skip_beside_pool()
    nngp, ntk = oracle(architecture, x, branches="independent")
    low, high = interval(draw_kernels(skip_beside_pool, get), nngp if get == "nngp" else ntk)
    assert low > -0.25
    assert high > 0
