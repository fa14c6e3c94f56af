"""Empirical kernels against the whole Jacobian, of flax networks and of plain functions."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from selection import ordinary

import kernas.kernels as kk
from kernas.errors import ConfigurationError, DataError
from kernas.kernels.finite.empirical import FEWEST_IMAGES, Apply
from kernas.kernels.interface import KernelFunction


def normal(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def brute_force(apply: Apply, params: Any, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Both kernels from the outputs and from the whole Jacobian."""
    values = np.asarray(apply(params, jnp.asarray(x)), np.float64)
    n, outputs = values.shape
    ntk = np.zeros((n, n))
    for leaf in jax.tree.leaves(jax.jacrev(lambda p: apply(p, jnp.asarray(x)))(params)):
        rows = np.asarray(leaf, np.float64).reshape(n, outputs, -1)
        ntk += np.einsum("iop,jop->ij", rows, rows) / outputs
    return values @ values.T / outputs, ntk


def convolutional() -> tuple[Apply, Any, np.ndarray]:
    layers = (kk.Conv(3, b_std=0.2), kk.Relu(), kk.DepthwiseConv(3, padding="CIRCULAR"))
    head = (kk.Conv(1), kk.Relu(), kk.MaxPool(2, stride=2), kk.LocalAvgPool(1), kk.Dense(b_std=0.1))
    network: Any = kk.finite_network(kk.serial(*layers, kk.LayerNorm(), *head), 6, outputs=3)
    x = normal(9, 6, 6, 2)
    variables = network.init(jax.random.key(1), x)
    return lambda params, x: network.apply({"params": params}, x), variables["params"], x


def plain() -> tuple[Apply, Any, np.ndarray]:
    params = [normal(4, 8), {"w": normal(8, 3, seed=1), "b": normal(3, seed=2)}]

    def apply(params: Any, x: Any) -> jax.Array:
        return jnp.tanh(x @ params[0]) @ params[1]["w"] + params[1]["b"]

    return apply, params, normal(9, 4)


def through_nnx() -> tuple[Apply, Any, np.ndarray]:
    class Network(nnx.Module):
        def __init__(self, rngs: nnx.Rngs) -> None:
            self.first = nnx.Linear(4, 8, rngs=rngs)
            self.norm = nnx.BatchNorm(8, use_running_average=True, rngs=rngs)
            self.last = nnx.Linear(8, 2, rngs=rngs)

        def __call__(self, x: jax.Array) -> jax.Array:
            return self.last(nnx.relu(self.norm(self.first(x))))

    graph, params, rest = nnx.split(Network(nnx.Rngs(0)), nnx.Param, ...)
    return lambda params, x: nnx.merge(graph, params, rest)(x), params, normal(9, 4)


FUNCTIONS = {"flax linen": convolutional, "plain": plain, "flax nnx": through_nnx}


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize("images", ordinary([0.0, 5.0], of=[0.0, 2.0, 5.0, 1e6]))
def test_empirical_kernels_are_those_of_the_whole_jacobian(name: str, images: float) -> None:
    """At any size of blocks: rows of the Jacobian, or derivatives along gradients."""
    apply, params, x = FUNCTIONS[name]()
    whole = kk.EmpiricalKernel(apply, params)
    gradient, image = whole._sizes(x)
    block_bytes = gradient + image + int(images * (2 * gradient + image))
    assert (block_bytes >= FEWEST_IMAGES * (2 * gradient + image)) == (images >= FEWEST_IMAGES)
    kernel = kk.EmpiricalKernel(apply, params, get=("nngp", "ntk"), block_bytes=block_bytes)
    nngp, ntk = brute_force(apply, params, x)
    found: Any = kernel(x)
    np.testing.assert_allclose(found.nngp, nngp, rtol=1e-4, atol=1e-5 * nngp.max())
    np.testing.assert_allclose(found.ntk, ntk, rtol=1e-4, atol=1e-5 * ntk.max())
    assert np.array_equal(found.nngp, found.nngp.T)
    assert np.array_equal(found.ntk, found.ntk.T)
    cross: Any = kernel(x[:3], x[2:])
    np.testing.assert_allclose(cross.nngp, nngp[:3, 2:], rtol=1e-4, atol=1e-5 * nngp.max())
    np.testing.assert_allclose(cross.ntk, ntk[:3, 2:], rtol=1e-4, atol=1e-5 * ntk.max())
    assert found.ntk.dtype == found.nngp.dtype == np.float32


def test_get_chooses_the_kernel() -> None:
    apply, params, x = plain()
    kernel = kk.EmpiricalKernel(apply, params)
    both: Any = kernel(x, get=("nngp", "ntk"))
    assert np.array_equal(kernel(x), both.ntk)
    assert np.array_equal(kernel(x, get="nngp"), both.nngp)
    only: Any = kernel(x, get=("nngp",))
    assert only.ntk is None
    assert isinstance(kernel, KernelFunction)
    assert not kernel.needs_bind


def test_a_function_is_compiled_once_for_all_draws_and_blocks() -> None:
    traced = []

    def apply(params: Any, x: Any) -> jax.Array:
        traced.append(len(x))
        return jnp.tanh(x @ params)

    x = normal(9, 4)
    gradient, image = kk.EmpiricalKernel(apply, normal(4, 2))._sizes(x)
    block_bytes = 5 * (2 * gradient + image)
    drawn = [kk.EmpiricalKernel(apply, normal(4, 2, seed=s), "ntk", block_bytes) for s in (0, 1)]
    first = drawn[0](x)
    # The number of outputs; the bytes; one compilation for two blocks and two outputs.
    assert traced.count(1) <= 3
    before = len(traced)
    assert not np.array_equal(drawn[1](x), first)
    assert len(traced) == before


def linear(params: Any, x: Any) -> Any:
    return x.reshape(len(x), -1) @ params


class Unhashable:
    __hash__ = None  # pyright: ignore[reportAssignmentType]

    def __call__(self, params: Any, x: Any) -> Any:
        return linear(params, x)


@pytest.mark.parametrize(
    ("apply", "params", "options", "message"),
    [
        (linear, {}, {}, "params has no arrays"),
        (linear, np.ones((3, 2), int), {}, "expected floating-point numbers only"),
        (linear, normal(3, 2), {"block_bytes": 0}, "block_bytes=0"),
        (linear, normal(3, 2), {"get": "ck"}, "get='ck'"),
        ("linear", normal(3, 2), {}, "expected a function"),
        (Unhashable(), normal(3, 2), {}, "cannot be hashed"),
    ],
)
def test_kernels_that_cannot_be_made_are_refused(
    apply: Any, params: Any, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigurationError, match=message):
        kk.EmpiricalKernel(apply, params, **options)


@pytest.mark.parametrize(
    ("apply", "message"),
    [
        (lambda p, x: (x @ p)[:, 0], r"apply returns \(2,\) for two images"),
        (lambda p, x: (x @ p)[:1], r"apply returns \(1, 2\) for two images"),
        (lambda p, x: (x @ p, {}), "apply returns a tuple"),
        (lambda p, x: x @ p > 0, "apply returns bool"),
    ],
)
def test_functions_without_outputs_are_refused(apply: Any, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        kk.EmpiricalKernel(apply, normal(3, 2))(normal(2, 3))


def test_images_of_empirical_kernels_are_checked() -> None:
    kernel = kk.EmpiricalKernel(linear, normal(3, 2))
    with pytest.raises(DataError, match="NaN"):
        kernel(np.array([[1.0, np.nan, 0.0]]))
    with pytest.raises(DataError, match="expected equal shapes"):
        kernel(normal(2, 3), normal(2, 4))
    with pytest.raises(ConfigurationError, match="the gradient of one image takes"):
        kk.EmpiricalKernel(linear, normal(3, 2), block_bytes=8)(normal(2, 3))
