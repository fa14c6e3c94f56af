"""Whether kernels are computed as they should be on this machine: a few against stored values.

The values are those of the loops in NumPy, ``tests/oracles/numpy_kernel.py``, in float64, and the
tests compare them again. What they catch is a device, a compiler or a version that computes
something else.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import jax
import numpy as np

from .architecture import (
    Architecture,
    AvgPool,
    Conv,
    Dense,
    Erf,
    Flatten,
    GlobalAvgPool,
    Identity,
    Normalize,
    Relu,
    parallel,
    serial,
)
from .kernel import NeuralKernel

PRECISIONS = {"float32": 1e-4, "float64": 1e-9}
"""Relative differences that are taken for rounding, a thousand times what it was on a CPU or
more."""


@dataclass(frozen=True)
class Case:
    """A network, and its kernels of the first two images.

    Attributes:
        title: what is particular about it.
        network: makes it.
        nngp: ``K`` of image 0 with itself, of 0 with 1, of 1 with itself.
        ntk: ``Θ`` likewise.
    """

    title: str
    network: Callable[[], Architecture]
    nngp: tuple[float, float, float]
    ntk: tuple[float, float, float]


@dataclass(frozen=True)
class Outcome:
    """One comparison.

    Attributes:
        title: of the network.
        dtype: of the kernels.
        difference: the largest relative one; infinite where a kernel is not finite.
        ok: whether it is no more than rounding.
        seconds: compilation included.
    """

    title: str
    dtype: str
    difference: float
    ok: bool
    seconds: float


def images() -> np.ndarray:
    """Three images of 6×6 pixels and two channels, made of sines: ``(3, 6, 6, 2)``."""
    numbers = np.arange(3 * 6 * 6 * 2, dtype=np.float64)
    return (np.sin(0.7 * numbers) + np.cos(1.3 * numbers**1.1)).reshape(3, 6, 6, 2)


def _skip_beside_pool() -> Architecture:
    first, last = Conv(3, W_std=2**0.5, b_std=0.3), Conv(3, W_std=2**0.5)
    pool = parallel(Identity(), AvgPool(3, padding="SAME"))
    return serial(first, Relu(), pool, last, Relu(), GlobalAvgPool(), Dense(b_std=0.1))


def _normalised() -> Architecture:
    first = Conv(3, W_std=1.2)
    second = Conv(3, stride=2, padding=((1, 1), (1, 1)))
    return serial(first, Normalize(), Relu(), second, Relu(), GlobalAvgPool(), Dense())


def _fully_connected() -> Architecture:
    return serial(Flatten(), Dense(W_std=1.5, b_std=0.2), Erf(), Dense(W_std=1.5), Erf(), Dense())


CASES = (
    Case(
        "a skip beside a pool",
        _skip_beside_pool,
        (0.966594977972214, 0.947191755234322, 0.963176906369761),
        (1.67343328022446, 1.59324104774212, 1.70066869279435),
    ),
    Case(
        "normalisation over a batch, strides",
        _normalised,
        (0.102200456539953, 0.0989932234950234, 0.111276894426611),
        (0.173521232361931, 0.142072013197751, 0.194947356212526),
    ),
    Case(
        "fully connected",
        _fully_connected,
        (0.524330382526991, 0.227706135921313, 0.524279536677033),
        (2.23552238569688, 0.721811610032352, 2.23489963175567),
    ),
)


def self_test() -> list[Outcome]:
    """Compute the kernels of :data:`CASES` in both precisions, in a few seconds."""
    return [_outcome(case, dtype, most) for dtype, most in PRECISIONS.items() for case in CASES]


def _outcome(case: Case, dtype: str, most: float) -> Outcome:
    begun = time.perf_counter()
    with jax.enable_x64(dtype == "float64"):
        kernel = NeuralKernel(case.network(), get=("nngp", "ntk"))
        if kernel.needs_bind:
            kernel = kernel.bind(images())
        nngp, ntk = (np.asarray(of, np.float64) for of in kernel(images()[:2]))
    found = np.array([[of[0, 0], of[0, 1], of[1, 1]] for of in (nngp, ntk)])
    known = np.array([case.nngp, case.ntk])
    difference = float(np.max(np.abs(found / known - 1)))
    seconds = time.perf_counter() - begun
    if not np.isfinite(difference):
        difference = float("inf")
    return Outcome(case.title, dtype, difference, difference <= most, seconds)
