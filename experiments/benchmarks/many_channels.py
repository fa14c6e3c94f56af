"""Images of many channels: their second moment by one matrix product, and channel by channel.

    python experiments/benchmarks/many_channels.py            # some minutes on 2 idle cores
    python experiments/benchmarks/many_channels.py --quick    # small images; writes nothing

Random images, float32, five layers of ``Conv(3)`` and ReLU under ``GlobalAvgPool``, NTK, by plane,
images prepared; milliseconds a pair, in turns:

- ``kernel``: the Gram matrix between two sets, with the product of all pairs of pixels as the
  engine chooses it (``product``) and with the channels in a loop on every plane (``elementwise``),
  which is what the engine does where few displacements are needed. ``ratio`` is that of the
  medians, elementwise over product; ``elementwise`` takes so long that it is called in the first
  turns only, so an idle machine matters here.
- ``moment``: the step of the product alone, one left image with a block of right ones, beside
  NumPy's matrix product of the same size, with the GFLOP/s of both: what laying out costs, and
  finding equal pixels.
- ``layers``: the same network on images of 16 channels, where the image is no more than a layer.
"""

from __future__ import annotations

import statistics
from pathlib import Path
from typing import Any
from unittest import mock

import jax.numpy as jnp
import numpy as np
import tyro
from measuring import SEED, alternating, environment, network, per_pair, report

import kernas.kernels as kk
from kernas.kernels.covariance.images import UNROLLED_CHANNELS
from kernas.kernels.engine import Blocking
from kernas.kernels.engine.products import run_products
from kernas.kernels.program import lower, planning
from kernas.kernels.program.planning import ProductStep, plan_pairs

RESULT = Path(__file__).with_suffix(".json")

SHAPES = ((8, 8, 512), (16, 16, 512), (16, 16, 2048), (32, 32, 256))
QUICK = ((8, 8, 64),)

LANES = {8: 32, 16: 16, 32: 16}
"""Pairs at a time by the images' side."""

ROWS = 2
"""Left images: a tile for each of two cores."""

REPETITIONS = {"product": 9, "elementwise": 2}


def measure(shape: tuple[int, int, int], repetitions: dict[str, int]) -> dict[str, Any]:
    """All questions for images of one shape."""
    lanes = LANES[shape[0]]
    rng = np.random.default_rng(SEED)
    left, right = (rng.standard_normal((n, *shape), np.float32) for n in (ROWS, lanes))
    chain = network(5, kk.GlobalAvgPool())
    pairs = ROWS * lanes
    few = UNROLLED_CHANNELS
    calls = {
        "product": _kernel(chain, left, right, lanes, gain=planning.PRODUCT_GAIN),
        "elementwise": _kernel(chain, left, right, lanes, gain=0),
        "layers": _kernel(chain, left[..., :few], right[..., :few], lanes, gain=0),
    }
    results = {name: call() for name, call in calls.items()}
    seconds = alternating(calls, repetitions["elementwise"])
    often = {name: call for name, call in calls.items() if name != "elementwise"}
    for name, more in alternating(often, repetitions["product"]).items():
        seconds[name] += more
    medians = {name: statistics.median(found) for name, found in seconds.items()}
    ours, theirs = results["product"], results["elementwise"]
    return {
        "shape": shape,
        "lanes": lanes,
        "kernel": {name: per_pair(found, pairs) for name, found in seconds.items()},
        "ratio": medians["elementwise"] / medians["product"],
        "difference": float(np.max(np.abs(ours / theirs - 1))),
        "moment": _moment(chain, left[:1], right, repetitions["product"]),
    }


def _kernel(chain: kk.Architecture, left: Any, right: Any, lanes: int, *, gain: int) -> Any:
    """The matrix of two sets, all pairs of pixels being multiplied where ``gain`` allows it."""
    kernel = kk.NeuralKernel(chain, blocking=Blocking("planes", lanes))
    rows, columns = kernel.prepare(left), kernel.prepare(right)

    def call() -> Any:
        with mock.patch.object(planning, "PRODUCT_GAIN", gain):
            planning._planned.cache_clear()
            return kernel(rows, columns)

    return call


def _moment(chain: kk.Architecture, left: Any, right: Any, repetitions: int) -> dict[str, Any]:
    """The step of the product alone, and NumPy's product of the same matrices."""
    shape, lanes = right.shape[1:], len(right)
    plan = plan_pairs(lower(chain, shape), fused=True)
    (step,) = (step for step in plan.steps if isinstance(step, ProductStep))
    variances = tuple(jnp.ones((*shape[:2], len(x))) for x in (left, right))
    images = jnp.asarray(left), jnp.asarray(right)
    rows, columns = (x.reshape(-1, shape[2]) for x in (left, right))
    axes = plan.axes[step.defines]
    calls = {
        "step": lambda: run_products(axes, *images, variances, paired=False).block_until_ready(),
        "numpy": lambda: rows @ columns.T,
    }
    for call in calls.values():
        call()
    found = alternating(calls, 2 * repetitions + 1)
    operations = 2 * rows.shape[0] * columns.shape[0] * shape[2]
    return {
        name: per_pair(seconds, lanes) | {"gflops": operations / statistics.median(seconds) / 1e9}
        for name, seconds in found.items()
    }


def main(*, quick: bool = False) -> None:
    """Measure and record."""
    shapes = QUICK if quick else SHAPES
    repetitions = {"product": 2, "elementwise": 2} if quick else REPETITIONS
    result = environment() | {"images": [measure(shape, repetitions) for shape in shapes]}
    report(result, None if quick else RESULT)


if __name__ == "__main__":
    tyro.cli(main)
