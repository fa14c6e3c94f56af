"""Networks of the macro space against the NumPy oracle, and against networks of finite width."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pytest
from oracles.agreement import check_engine
from oracles.finite_width import sampled_sums
from oracles.numpy_kernel import oracle
from scipy.stats import norm
from selection import ordinary

import kernas.kernels as kk
import kernas.search as ks


@dataclass(frozen=True)
class Case:
    """The first network of a sample that has what is asked for.

    Attributes:
        space: it is drawn from.
        shape: of the images.
        choices: some of its values.
        seed: of the sample, and of the images.
    """

    space: ks.MacroSpace
    shape: tuple[int, ...]
    choices: dict[str, object]
    seed: int

    @cached_property
    def network(self) -> kk.Architecture:
        for candidate in self.space.sample(60, self.seed):
            values = self.space.values(candidate.genotype)
            if all(values[name] == value for name, value in self.choices.items()):
                return candidate.architecture
        raise ValueError(f"no network of the sample has {self.choices}")

    def images(self, n: int) -> np.ndarray:
        return np.random.default_rng(self.seed).normal(size=(n, *self.shape))


SMALL = ks.MacroSpace(max_depth=2, max_window=3)
STRIDED = {"stride": 2, "dilation": 2}

CASES = {
    "strided, dilated, plain": Case(SMALL, (5, 5, 2), {"network": "plain", **STRIDED}, 0),
    "circular, residual": Case(SMALL, (4, 4, 3), {"network": "residual", "padding": "circular"}, 1),
    "circular, strided, dilated": Case(SMALL, (5, 7, 1), {"padding": "circular", **STRIDED}, 2),
    "pooled, with skips": Case(SMALL, (6, 5, 1), {"pool": True, "skips": True, "depth": 2}, 3),
    "batch": Case(SMALL, (4, 6, 2), {"normalize": "batch", "network": "plain"}, 4),
    "layer": Case(SMALL, (3, 5, 2), {"normalize": "layer", "network": "residual"}, 5),
    "flattened": Case(SMALL, (5, 3, 2), {"readout": "flatten", "network": "plain"}, 6),
    "a row of pixels": Case(SMALL, (1, 7, 2), {"padding": "circular", "network": "plain"}, 7),
    "wide windows": Case(ks.MacroSpace(max_depth=2), (5, 6, 1), {"window": 5, "dilation": 2}, 8),
    "a table": Case(ks.MacroSpace(network="dense"), (6,), {"skips": True, "normalize": "none"}, 9),
}


def test_the_cases_are_of_all_kinds_and_gains() -> None:
    networks = [case.network for case in CASES.values()]
    assert len({network.hash for network in networks}) == len(CASES) == 10
    layers = [node.layer for network in networks for node in network.nodes]
    convolutions = [layer for layer in layers if isinstance(layer, kk.Conv)]
    assert {layer.stride for layer in convolutions} == {(1, 1), (2, 2)}
    assert {layer.dilations for layer in convolutions} == {(1, 1), (2, 2)}
    assert {layer.padding for layer in convolutions} == {"SAME", "CIRCULAR"}
    assert len({(layer.W_std, layer.b_std) for layer in layers if isinstance(layer, kk.Dense)}) > 9
    assert {kk.Sum, kk.AvgPool, kk.Normalize, kk.LayerNorm} < {type(layer) for layer in layers}


QUICK = ("circular, residual", "layer", "flattened", "a row of pixels", "a table")


@pytest.mark.parametrize("case", ordinary(QUICK, of=CASES))
def test_networks_of_the_macro_space_agree_with_the_oracle(case: str) -> None:
    network, images = CASES[case].network, CASES[case].images(4)
    reference = CASES[case].images(7)[4:]
    binds = any(isinstance(node.layer, kk.Normalize) for node in network.nodes)
    check_engine(network, images, reference=reference if binds else None, precisions=(np.float64,))


FINITE = ("strided, dilated, plain", "circular, residual", "a table")
WIDTHS = (16, 32)
QUANTILE = float(norm.isf(1e-3 / 2 / (2 * len(FINITE))))
"""Two-sided, for both kernels of every case together at one in a thousand."""


@pytest.mark.parametrize("case", ordinary(FINITE[-1:], of=FINITE))
def test_networks_of_the_macro_space_are_limits_of_finite_ones(case: str) -> None:
    """Twice the mean at the larger width less that at the smaller has no bias of order 1/width."""
    network, images = CASES[case].network, CASES[case].images(2)
    reference = CASES[case].images(6)[2:]
    weights = np.random.default_rng(0).uniform(0.5, 1.5, (2, 2))
    draws = (1000, 2000)
    sums = [
        sampled_sums(network, images, reference, width, n, seed, weights, "limit")
        for seed, (width, n) in enumerate(zip(WIDTHS, draws, strict=True))
    ]
    (narrow, of_narrow), (wide, of_wide) = sums
    limits = [(weights * kernel).sum() for kernel in oracle(network, images, reference=reference)]
    deviations = (2 * wide - narrow - limits) / np.hypot(2 * of_wide, of_narrow)
    assert np.all(np.abs(deviations) < QUANTILE), f"{deviations} standard errors"
