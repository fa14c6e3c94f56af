"""What is given for images and is none is refused in one line that says what to do."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import kernas.kernels as kk
from kernas.errors import DataError
from kernas.kernels.interface import Kernels, checked_images

NETWORK = kk.serial(kk.Dense(), kk.Relu(), kk.Dense())
KERNEL: Any = kk.NeuralKernel(NETWORK, get="nngp")
TABLE: Any = kk.KernelTable({"a": NETWORK}, get="nngp")
X = np.random.default_rng(0).standard_normal((5, 3))


def refused(call: Callable[[], Any], message: str) -> None:
    with pytest.raises(DataError, match=message) as found:
        call()
    assert "\n" not in str(found.value)


@pytest.mark.parametrize("call", [KERNEL, TABLE, KERNEL.prepare, lambda x: KERNEL(X, x)])
def test_traced_images_are_refused_wherever_they_go(call: Callable[[Any], Any]) -> None:
    message = r"traced by JAX.*use kernel_function\(architecture, get\), which they can"
    refused(lambda: jax.grad(lambda x: jnp.sum(jnp.asarray(call(x))))(jnp.ones((2, 3))), message)
    refused(lambda: jax.jit(call)(jnp.ones((2, 3))), message)
    refused(lambda: jax.vmap(call)(jnp.ones((2, 2, 3))), message)
    refused(lambda: jax.jit(lambda x: call([x, x]))(jnp.ones(3)), message)
    refused(jax.jit(lambda: call(X)), message)


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (np.zeros((6, 5, 2, 2, 2)), r"volumes are not supported.*x\.reshape\(len\(x\), -1\)"),
        (np.zeros(6), r"a single vector is x\[None\]"),
        (np.zeros((2, 0)), "no axis empty"),
        ([np.zeros(3), np.zeros(4)], r"no array of one shape \(.*inhomogeneous"),
        ([[1.0, "a"]], "expected real numbers"),
        (np.array([[None, 1]]), "is an array of objects"),
        ({"a": X}, "is dict"),
        (KERNEL.prepare(X), "is PreparedImages"),
        (X.astype(complex), "dtype complex128"),
        (jnp.asarray(X, jnp.bfloat16), "dtype bfloat16"),
        (np.ma.masked_less(X, 0), r"masked pixels.*x\.filled\(0\)"),
    ],
)
def test_what_is_no_images_is_refused(x: Any, message: str) -> None:
    refused(lambda: checked_images(x, "x"), message)


def test_no_advice_for_volumes_makes_channels_of_them() -> None:
    with pytest.raises(DataError) as found:
        checked_images(np.zeros((6, 5, 2, 2, 2)), "x")
    assert "None" not in str(found.value)


def test_networks_of_finite_width_give_the_same_advice() -> None:
    network = kk.finite_network(NETWORK, 4)
    refused(lambda: network.init(jax.random.PRNGKey(0), np.zeros((2, 5, 3, 1, 1))), "volumes")


def test_what_is_images_is_not_refused() -> None:
    for x in (X.tolist(), jnp.asarray(X), X > 0, X.astype(np.float16), np.ma.masked_less(X, -99)):
        assert checked_images(x, "x").shape == (5, 3)
    assert checked_images(np.ones((6, 20, 2)), "x").shape == (6, 20, 2)


# --- kernels in place of images ------------------------------------------------------------------


def test_kernels_of_kernels_are_refused() -> None:
    message = r"expected images or vectors; kernels are composed as networks, serial\(first, sec"
    gram = KERNEL(X)
    for n in (2, 5):
        for dtype in (np.float64, np.float32):
            part = gram[:n, :n].astype(dtype)
            refused(lambda part=part: KERNEL(part), message)
    refused(lambda: KERNEL(jnp.asarray(gram)), message)
    refused(lambda: KERNEL(X, gram), message)
    refused(lambda: TABLE(gram), message)
    refused(lambda: KERNEL(KERNEL(X, get=("nngp",))), message)
    refused(lambda: KERNEL(Kernels(None, gram)), message)
    refused(lambda: kk.KernelRegressor(KERNEL).fit(gram, np.arange(5.0)), message)


def test_square_features_are_no_kernels() -> None:
    rng = np.random.default_rng(2)
    square = rng.standard_normal((6, 6))
    distances = np.abs(np.subtract.outer(square[0], square[0]))
    path = np.eye(6) + np.eye(6, k=1) + np.eye(6, k=-1)
    features = {
        "random": square,
        "symmetric": square + square.T,
        "one-hot": np.eye(6),
        "constant": np.ones((6, 6)),
        "distances": distances,
        "a graph and its loops": path,
        "counts": (square @ square.T).astype(int),
    }
    for name, x in features.items():
        assert checked_images(x, name).shape == (6, 6)
    # What is refused all the same has the same kernel in another order of columns.
    covariances = square @ square.T
    refused(lambda: KERNEL(covariances), r"given as x\[:, ::-1\]")
    turned = covariances[:, [1, 0, *range(2, 6)]]
    np.testing.assert_allclose(KERNEL(covariances[:, ::-1]), KERNEL(turned), rtol=1e-5)
