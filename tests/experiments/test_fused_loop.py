"""The C loop that benchmarks compare with computes the kernel they say it does."""

from __future__ import annotations

import os
import shlex
import shutil
from typing import get_args

import numpy as np
import pytest
from fused_loop import Variant, fused_loop, library
from measuring import network
from oracles.numpy_kernel import oracle

import kernas.kernels as kk
from kernas.errors import MissingDependencyError

needs_compiler = pytest.mark.skipif(
    shutil.which(shlex.split(os.environ.get("CC", "cc"))[0]) is None, reason="no C compiler"
)
VARIANTS: tuple[Variant, ...] = get_args(Variant)
SHAPES = [
    (1, (6, 6, 3), 2, 16),
    (2, (6, 6, 3), 3, 5),
    (3, (5, 6, 1), 2, 17),
    (5, (6, 6, 3), 2, 33),
    (2, (1, 4, 2), 2, 3),
]
"""Layers, shape of the images and number of left and of right ones."""


def images(shape: tuple[int, ...], left: int, right: int) -> tuple[np.ndarray, np.ndarray]:
    """One image stands on both sides, one begins with black rows, and one is black."""
    rng = np.random.default_rng(0)
    x1, x2 = (rng.normal(size=(n, *shape)).astype(np.float32) for n in (left, right))
    x2[0], x2[1, :2], x2[2] = x1[1], 0, 0
    return x1, x2


@needs_compiler
@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize(("depth", "shape", "left", "right"), SHAPES)
def test_agrees_with_the_oracle(variant, depth, shape, left, right):
    x1, x2 = images(shape, left, right)
    found = fused_loop(x1, x2, depth, variant)
    for ours, exact in zip(found, oracle(network(depth, kk.GlobalAvgPool()), x1, x2), strict=True):
        np.testing.assert_allclose(ours, exact, rtol=1e-6, atol=1e-30)


@needs_compiler
@pytest.mark.parametrize("variant", VARIANTS)
def test_agrees_with_the_engine(variant):
    x1, x2 = images((6, 6, 3), 4, 20)
    found = fused_loop(x1, x2, 4, variant)
    engine = kk.NeuralKernel(network(4, kk.GlobalAvgPool()))(x1, x2, get=("nngp", "ntk"))
    for ours, theirs in zip(found, engine, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=2e-6, atol=1e-30)


@needs_compiler
def test_arithmetic_of_the_process_stays_as_it_was():
    library()
    assert np.float32(1e-40) * np.float32(0.5) > 0


@needs_compiler
def test_other_shapes_are_refused():
    x1, x2 = images((6, 6, 3), 2, 3)
    with pytest.raises(ValueError, match="expected two sets of images"):
        fused_loop(x1, x2[:, :5], 1)
    with pytest.raises(ValueError, match="a depth >= 1"):
        fused_loop(x1, x2, 0)


def test_a_missing_compiler_is_named(monkeypatch):
    monkeypatch.setenv("CC", "no-such-compiler -v")
    with pytest.raises(MissingDependencyError, match="no C compiler 'no-such-compiler'"):
        library.__wrapped__()
