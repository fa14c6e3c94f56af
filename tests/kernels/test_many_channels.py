"""Images of many channels: one matrix product for all pairs of their pixels, where it pays."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from compiling import AS_USERS
from oracles.agreement import BOTH, check_engine

import kernas.kernels as kk
from kernas.kernels import NeuralKernel
from kernas.kernels.architecture import Architecture, Layer
from kernas.kernels.architecture.windows import Padding
from kernas.kernels.covariance.images import (
    SUMMED_CHANNELS,
    UNROLLED_CHANNELS,
    pixel_variances,
    product_moment,
)
from kernas.kernels.engine import Blocking
from kernas.kernels.engine.memory import step_bytes
from kernas.kernels.engine.products import run_products
from kernas.kernels.engine.steps import lowered_step
from kernas.kernels.program import lower
from kernas.kernels.program.ops import ImageOp
from kernas.kernels.program.planning import LocalStep, ProductStep, plan_pairs, plan_variances

WAYS = {
    "planes": Blocking("planes", lanes=2),
    "whole": Blocking("whole"),
    "stream": Blocking("stream", lanes=3),
}
HE = 2**0.5


def chain(*ends: Layer, depth: int = 2, padding: Padding = "SAME") -> Architecture:
    layers = [kk.Conv(3, padding=padding, W_std=HE, b_std=0.1), kk.Relu()] * depth
    return kk.serial(*layers, *ends, kk.Dense())


def products(network: Architecture, shape: tuple[int, ...]) -> int:
    steps = plan_pairs(lower(network, shape), fused=True).steps
    return sum(isinstance(step, ProductStep) for step in steps)


STRIDE = kk.serial(
    kk.Conv(3, stride=2, padding=((1, 1), (1, 1))), kk.Normalize(), kk.Relu(), kk.GlobalAvgPool()
)
NETWORKS = {
    "global": (chain(kk.GlobalAvgPool(), depth=1), (3, 5, 40)),
    "circular": (chain(kk.LocalAvgPool(1), depth=1, padding="CIRCULAR"), (5, 4, 17)),
    "flat": (chain(kk.Flatten(), depth=1), (5, 3, 70)),
    "normalised, a stride": (STRIDE, (4, 5, 33)),
    "a pool of the image": (
        kk.serial(
            kk.AvgPool(2, stride=1, padding="SAME"), kk.Conv(2), kk.Relu(), kk.GlobalAvgPool()
        ),
        (4, 3, 20),
    ),
}
"""Networks with the images that they get."""

ORDINARY = {
    ("global", "stream"),
    ("circular", "whole"),
    ("flat", "planes"),
    ("normalised, a stride", "planes"),
}
ALL = [
    pytest.param(case, way, marks=() if (case, way) in ORDINARY else pytest.mark.slow)
    for case in NETWORKS
    for way in WAYS
]


@pytest.mark.parametrize(("case", "way"), ALL)
def test_networks_agree_with_numpy(case: str, way: str) -> None:
    """Between two sets, and of a set with itself."""
    network, shape = NETWORKS[case]
    x1, x2 = (np.random.default_rng(n).standard_normal((n, *shape)) for n in (2, 3))
    reference = np.random.default_rng(4).standard_normal((4, *shape)) if case[0] == "n" else None
    for other in (x2, None):
        check_engine(network, x1, other, reference, blocking=WAYS[way], precisions=(np.float64,))


def test_all_pairs_are_multiplied_only_where_many_are_needed() -> None:
    few, many = (8, 8, UNROLLED_CHANNELS), (8, 8, UNROLLED_CHANNELS + 1)
    ends = kk.GlobalAvgPool(), kk.LocalAvgPool(2), kk.LocalAvgPool(0), kk.Flatten()
    assert [products(chain(end), many) for end in ends] == [1, 1, 0, 0]
    assert [products(chain(end), few) for end in ends] == [0, 0, 0, 0]
    records = plan_variances(lower(chain(kk.GlobalAvgPool()), many)).steps
    assert not any(isinstance(step, ProductStep) for step in records)


def test_operations_count_all_pairs_of_a_product() -> None:
    shape = (6, 6, 32)
    for end, pairs in ((kk.GlobalAvgPool(), 36**2), (kk.Flatten(), 36)):
        kernel = NeuralKernel(chain(end), blocking=WAYS["planes"])
        image = next(cost for cost in kernel.plan(shape).instructions if cost.name == "Image")
        assert image.operations == 2 * 32 * pairs


@pytest.mark.parametrize(
    "way", [pytest.param(way, marks=() if way == "planes" else pytest.mark.slow) for way in WAYS]
)
def test_deep_networks_keep_the_digits_of_float32(way: str) -> None:
    """On the diagonal, for an image that is twice in the set, and for equal pixels of one image."""
    network = kk.serial(*[kk.Conv(3, W_std=HE), kk.Relu()] * 8, kk.GlobalAvgPool(), kk.Dense())
    x = np.maximum(np.random.default_rng(0).standard_normal((4, 3, 3, 3000)), 0)
    x[2] = x[0]
    x[3, 1:, :] = x[3, 0, 0]
    with jax.enable_x64(True):
        exact = NeuralKernel(network, BOTH, blocking=WAYS["planes"])(x)
    kernel = NeuralKernel(network, BOTH, blocking=WAYS[way])
    for own in (kernel(x), kernel(x, x.copy())):
        for single, double in zip(own, exact, strict=True):
            np.testing.assert_allclose(single, double, rtol=2e-6)
            np.testing.assert_allclose(single[0, 2], single[0, 0], rtol=1e-6)


def test_products_of_equal_pixels_are_their_variance_bit_by_bit() -> None:
    """Wherever they stand: between two sets, in a set that is larger, and of pairs of images.

    Sums of thousands differ by their order, and ``arccos`` would make an angle of 1e-3 of that.
    """
    drawn = np.random.default_rng(0).random((3, 3, 4, 3000), np.float32)
    x, y = jnp.asarray(drawn), jnp.asarray(np.concatenate([drawn, drawn])[:, ::-1, ::-1])
    left, right = (pixel_variances(jnp.moveaxis(z, (3, 0), (0, 3))) for z in (x, y))
    K = np.asarray(product_moment(x, y, (left, right), paired=False))
    paired = np.asarray(product_moment(x, y[3:], (left, right[..., 3:]), paired=True))
    for i, p, q in np.ndindex(3, 3, 4):
        of = K[i, p, q, i, 2 - p, 3 - q], K[i, p, q, 3 + i, 2 - p, 3 - q]
        assert all(k == left[p, q, i] for k in (*of, paired[i, p, q, 2 - p, 3 - q]))


def test_only_rounding_makes_pixels_equal() -> None:
    """Pixels of one variance that are not equal keep their product."""
    x = np.random.default_rng(0).standard_normal((2, 4, 4, 20))
    x[1] = np.roll(x[0], 1, axis=-1)
    network = kk.serial(kk.Conv(1), kk.Abs(), kk.Conv(1), kk.GlobalAvgPool())
    kernel = NeuralKernel(network, "nngp", blocking=WAYS["planes"])(x)
    assert kernel[0, 1] < 0.999 * kernel[0, 0]


IMAGES = {"8 x 8": (8, 32, 512), "16 x 16": (16, 16, 600)}
"""Side of the images, lanes, channels."""


@pytest.mark.parametrize("name", IMAGES)
def test_planned_bytes_are_those_of_the_compiled_product(name: str) -> None:
    side, lanes, channels = IMAGES[name]
    plan = plan_pairs(lower(chain(kk.GlobalAvgPool()), (side, side, channels)), fused=True)
    (step,) = (step for step in plan.steps if isinstance(step, ProductStep))
    left, right = (jax.ShapeDtypeStruct((n, side, side, channels), jnp.float32) for n in (1, lanes))
    variances = tuple(jax.ShapeDtypeStruct((side, side, n), jnp.float32) for n in (1, lanes))
    compiled = run_products.lower(
        plan.axes[step.defines], left, right, variances, paired=False
    ).compile(AS_USERS)
    taken = right.size * 4
    planned = lanes * step_bytes(plan, step, with_tangent=True)
    held = compiled.memory_analysis().temp_size_in_bytes + taken
    assert held == pytest.approx(planned, rel=0.2)


@pytest.mark.parametrize(
    ("side", "end"), [(16, kk.GlobalAvgPool()), (32, kk.LocalAvgPool(1))], ids=["product", "loop"]
)
def test_planned_bytes_of_planes_are_those_of_the_compiled_program(side: int, end: Layer) -> None:
    """After a product, and with the channels in a loop on each of few planes."""
    plan = plan_pairs(lower(chain(end), (side, side, 48)), fused=True)
    (step,) = (s for s in plan.steps if isinstance(s, LocalStep) and s.body.planes > 1)
    compiled = lowered_step(plan, step, 16, with_tangent=True).compile(AS_USERS)
    planned = 16 * step_bytes(plan, step, with_tangent=True)
    assert compiled.memory_analysis().temp_size_in_bytes == pytest.approx(planned, rel=0.2)


def test_more_channels_than_are_summed_at_a_time_lose_no_digits() -> None:
    """The elementwise way, in float32: a sum of thousands is as good as one of a few."""
    x = np.random.default_rng(0).standard_normal((3, 5, 5, 40 * SUMMED_CHANNELS + 1)) + 1
    network = kk.serial(kk.Conv(1, b_std=0.0), kk.Flatten())
    assert any(isinstance(op, ImageOp) for op in lower(network, x.shape[1:]).ops)
    with jax.enable_x64(True):
        exact = NeuralKernel(network, "nngp")(x)
    np.testing.assert_allclose(NeuralKernel(network, "nngp")(x), exact, rtol=6e-7)
