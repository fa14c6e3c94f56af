"""Networks of several nonlinearities: the engine against the NumPy oracle."""

from __future__ import annotations

import numpy as np
import pytest
from oracles.agreement import check_engine
from oracles.random_networks import Form, random_architecture
from selection import ordinary

import kernas.kernels as kk
from kernas.errors import ArchitectureError
from kernas.kernels.architecture.graph import Architecture
from kernas.kernels.architecture.layers import Layer

TANH = kk.Elementwise("tanh")
SOFTPLUS = kk.Elementwise("softplus")
TAME = (
    kk.LeakyRelu(0.3),
    kk.Abs(),
    kk.Erf(),
    kk.Gelu(),
    kk.Sin(),
    kk.Cos(),
    kk.Sinusoid(0.7, 0.4),
    kk.Gaussian(0.8),
    TANH,
    SOFTPLUS,
)
"""Nonlinearities of which several layers do not explode."""


def check(
    architecture: Architecture,
    shape: tuple[int, ...],
    images: int,
    seed: int = 0,
    *,
    single: bool = True,
    double: float = 1e-10,
) -> None:
    """Both kernels of random images, ``double`` the tolerance in float64; ``single``: float32."""
    rng = np.random.default_rng(seed)
    x, reference = (rng.standard_normal((images, *shape)) for _ in range(2))
    precisions = (np.float64, np.float32) if single else (np.float64,)
    check_engine(architecture, x, None, reference, precisions=precisions, double=double)


def dense(*parts: Layer | Architecture) -> Architecture:
    """The parts between two dense layers."""
    return kk.serial(kk.Dense(W_std=1.3, b_std=0.2), *parts, kk.Dense(W_std=1.2, b_std=0.1))


VECTORS = {
    "every layer another": dense(
        kk.Erf(), kk.Dense(W_std=1.2), kk.Cos(), kk.Dense(b_std=0.3), TANH
    ),
    "one node, two nonlinearities": dense(kk.parallel(kk.Relu(), kk.Erf())),
    "weights beside sign and bell": dense(
        kk.parallel(kk.Identity(), kk.Sign(), kk.Gaussian(0.8)), kk.Dense(), kk.Gelu()
    ),
    "independent branches with means": kk.serial(
        kk.parallel(kk.serial(kk.Dense(), kk.Cos()), kk.serial(kk.Dense(), SOFTPLUS)), kk.Dense()
    ),
    "skip over an exponential": dense(
        kk.residual(kk.serial(kk.Exp(0.4), kk.Dense(W_std=0.5))), kk.Monomial(2)
    ),
    "nonlinearity of zeros": dense(
        kk.parallel(kk.serial(kk.Zero(), kk.Cos()), kk.serial(kk.Zero(), kk.Hermite(2)), kk.Relu())
    ),
    "zeros beside weights": dense(
        kk.parallel(kk.Identity(), kk.serial(kk.Zero(), SOFTPLUS)), kk.Dense(), kk.Sinusoid(2.0, 1)
    ),
    "weights without variance": kk.serial(
        kk.Dense(W_std=0.0), kk.Cos(), kk.Dense(), kk.parallel(kk.Abs(), TANH), kk.Dense()
    ),
}
IMAGES = {
    "nonlinearities of a node and its pool": kk.serial(
        kk.Conv(3, W_std=1.4),
        kk.parallel(kk.LeakyRelu(0.2), kk.serial(kk.AvgPool(3, padding="SAME"), kk.Sin())),
        kk.Flatten(),
        kk.Dense(),
    ),
    "padding is zero, not φ(0)": kk.serial(
        kk.Conv(3), kk.Cos(), kk.Conv(3), kk.Erf(), kk.GlobalAvgPool(), kk.Dense()
    ),
    "normalised": kk.serial(
        kk.Conv(3), kk.Normalize(), kk.parallel(kk.Identity(), kk.Gelu()), kk.Flatten(), kk.Dense()
    ),
    "normalised nonlinearity of zeros": kk.serial(
        kk.Conv(3), kk.Zero(), kk.Cos(), kk.Normalize(center=False), kk.Flatten(), kk.Dense()
    ),
}


CHOSEN = (
    "every layer another",
    "one node, two nonlinearities",
    "skip over an exponential",
    "nonlinearity of zeros",
    "zeros beside weights",
    "weights without variance",
)
"""Of the vectors, for the ordinary run: ``limit_networks.py`` has the like of the others."""


@pytest.mark.parametrize("case", ordinary(CHOSEN, of=VECTORS))
def test_vectors_agree_with_numpy(case: str) -> None:
    check(VECTORS[case], (4,), images=3, single=False)


@pytest.mark.parametrize("case", IMAGES)
def test_images_agree_with_numpy(case: str) -> None:
    check(IMAGES[case], (3, 2, 2), images=2)


FORMS: tuple[Form | None, ...] = (None, "center", "rms")


def random_case(seed: int, flat: bool) -> None:
    rng = np.random.default_rng(seed)
    network = random_architecture(
        rng,
        image=(3, 3, 2),
        normalize=FORMS[seed % 3],
        flat=flat,
        blocks=2 if flat else 1,
        remeet=seed % 2 == 0,
        activations=TAME,
    )
    try:
        # Where variances are large the oracle's integrals err by more than rounding.
        check(network, (5,) if flat else (3, 3, 2), images=3, seed=seed, double=1e-8)
    except ArchitectureError as refusal:
        if "at variances up to" not in str(refusal):
            raise


@pytest.mark.parametrize("seed", ordinary([1, 2], of=range(4)))
def test_random_networks_of_vectors_agree_with_numpy(seed: int) -> None:
    random_case(seed, flat=True)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(100, 140))
def test_many_random_networks_agree_with_numpy(seed: int) -> None:
    random_case(seed, flat=seed % 4 != 0)
