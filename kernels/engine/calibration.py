"""The choice of a program's blocking, and what it costs."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import lru_cache, partial

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from ..architecture import Conv, Dense, GlobalAvgPool, Relu, serial
from ..covariance.activations import Dual
from ..covariance.grids import beside_left, beside_right, window_mean
from ..covariance.moments import covariance, moment, tangent
from ..covariance.weights import weight_moment
from ..program import Program, lower
from ..program.planning import LocalStep, ProductStep, plan_pairs
from .blocking import (
    STREAM_PIXELS,
    Blocking,
    WayName,
    measured_blocking,
    probe_side,
    stream_lanes,
)
from .execution import Execution
from .planes import COMPILER_OPTIONS
from .programs import compiled
from .records import Request, prepare
from .sharing import is_stream
from .tiles import DEFAULT_TILE_BYTES, gram, tile_shape
from .ways import WAYS
from .workers import Device, local_workers, run_tasks

SMALL_PIXELS = 64
"""Images of so many pixels, in networks with pools or strides inside that are no streams, are
computed whole."""

PROBE_LAYERS, PROBE_REPETITIONS = 3, 3

STREAM_SIDE, STREAM_ENTRIES, STREAM_REPETITIONS = 16, 2**21, 10
"""The probe of whole moments: side of its images, whose moments are in cache, pairs of pixels in a
turn, some ten milliseconds, and turns, of which the shortest counts."""

OF_STREAM = 2.0
"""What an operation of a stream takes, over one of the probe: its rows choose what they do and move
registers (``experiments/benchmarks/rank_estimate.py``; 1.8 to 2.1 of the processor's time for cells
of 8×8 and 16×16 pixels, 2.6 at 32×32)."""


def blocking_of(program: Program, *, with_tangent: bool) -> Blocking:
    """How a program is cut unless its user says otherwise: in planes with the measured number of
    lanes, see :func:`way_of`."""
    way, pixels = way_of(program), _pixels(program)
    if way == "stream":
        return Blocking(way, stream_lanes(pixels[0] * pixels[1], jax.local_devices()[0].platform))
    if way == "whole":
        return Blocking(way)
    dtype = str(jnp.result_type(float))
    return measured_blocking(probe_side(pixels), with_tangent, dtype, _MEASURES[with_tangent])


def way_of(program: Program) -> WayName:
    """The way in which a program is computed unless its user says otherwise; measures nothing.

    In planes, if there is a window to gain from: chains of any size, and networks with pools and
    strides inside of large images. Of small images these are streams, which share what is compiled.
    """
    plan, pixels = plan_pairs(program, fused=True), _pixels(program)
    chain = all(isinstance(step, LocalStep | ProductStep) for step in plan.steps)
    windows = any(isinstance(step, LocalStep) and step.body.planes > 1 for step in plan.steps)
    size = pixels[0] * pixels[1]
    if windows and not chain and size <= STREAM_PIXELS and is_stream(program):
        return "stream"
    return "planes" if windows and (chain or size > SMALL_PIXELS) else "whole"


def _pixels(program: Program) -> tuple[int, ...]:
    return program.image_shape[:2] if len(program.image_shape) == 3 else (1, 1)


def layer_nanoseconds(program: Program, blocking: Blocking, *, with_tangent: bool) -> float:
    """Time of one convolution with its nonlinearity at one pair of pixels, as a program is cut.

    Of planes it was measured when they were chosen. Otherwise a layer of whole moments is measured
    in each process that asks, in about a second: what a busy machine says is not kept.
    """
    if blocking.nanoseconds is not None:
        return blocking.nanoseconds
    nanoseconds = _whole_nanoseconds(str(jnp.result_type(float)), with_tangent=with_tangent)
    return nanoseconds * (1.0 if blocking.by_plane else OF_STREAM)


def resolved(program: Program, blocking: Blocking | None, *, with_tangent: bool) -> Blocking:
    """The user's choice as far as the program allows it, or the one that is made for it."""
    if blocking is None:
        return blocking_of(program, with_tangent=with_tangent)
    return blocking if WAYS[blocking.way].takes(program) else Blocking("whole")


def _measured(side: int, tried: Sequence[int], *, with_tangent: bool) -> dict[int, float]:
    """Nanoseconds of a layer at one pair of pixels, by pairs at a time.

    The least of several turns in which each number is tried once, so that what else the machine
    does for a while slows all of them and not one.
    """
    calls = {lanes: _probe(side, lanes, with_tangent) for lanes in tried}
    for call in calls.values():
        call()  # compiles
    times: dict[int, list[float]] = {lanes: [] for lanes in tried}
    for _ in range(PROBE_REPETITIONS):
        for lanes, call in calls.items():
            start = time.perf_counter()
            call()
            times[lanes].append(time.perf_counter() - start)
    entries = _probe_rows() * PROBE_LAYERS * side**4
    return {lanes: min(found) / (lanes * entries) * 1e9 for lanes, found in times.items()}


def _probe_rows() -> int:
    return 2 * len(local_workers())


def _probe(side: int, lanes: int, with_tangent: bool) -> Callable[[], object]:
    """The kernel of a short chain on random images, in planes of so many pairs."""
    layers = [Conv(3, W_std=2**0.5), Relu()] * PROBE_LAYERS
    program = lower(serial(*layers, GlobalAvgPool(), Dense()), (side, side, 1))
    rng = np.random.default_rng(0)
    left, right = (
        prepare(program, rng.random((n, side, side, 1)), None, chunk=n, with_tangent=with_tangent)
        for n in (_probe_rows(), lanes)
    )
    request = Request((left,), (right,), symmetric=False)
    execution = Execution(program, Blocking("planes", lanes), with_tangent)
    tile = tile_shape(execution, DEFAULT_TILE_BYTES, 0)
    return partial(gram, program, request, None, tile=tile, with_tangent=with_tangent)


_MEASURES = {flag: partial(_measured, with_tangent=flag) for flag in (False, True)}


@lru_cache(maxsize=8)
def _whole_nanoseconds(dtype: str, *, with_tangent: bool) -> float:
    """Of a layer at one pair of pixels of whole moments, all workers at work."""
    workers = local_workers()
    x = np.ones((STREAM_SIDE,) * 4 + (1,), dtype)
    times = max(1, STREAM_ENTRIES // x.size)

    def run(device: Device) -> None:
        own = jax.device_put(x, device)
        _layers(own, np.int32(times), with_tangent=with_tangent).block_until_ready()

    run(workers[0])  # compiles
    seconds: list[float] = []
    for _ in range(STREAM_REPETITIONS):
        start = time.perf_counter()
        run_tasks([run] * len(workers), workers)
        seconds.append(time.perf_counter() - start)
    return min(seconds) / (len(workers) * times * x.size) * 1e9


@partial(compiled, static_argnames=("with_tangent",), compiler_options=COMPILER_OPTIONS)
def _layers(x: Array, times: Array, *, with_tangent: bool) -> Array:
    """So many layers on whole moments of images whose pixels have the variance 1."""
    window, dual, sides = Conv(3), Dual(Relu(), Relu()), (x.shape[0], x.shape[2])
    ones = jnp.ones((*sides, x.shape[-1]), x.dtype)

    def layer(_: Array, x: Array) -> Array:
        x = weight_moment(
            window_mean(window, x, sides, sides),
            jnp.full((), 2, ones.dtype),
            None,
            trainable=True,
            with_tangent=with_tangent,
        )
        K, slope = dual.of_pairs(
            covariance(x), dual.of_pixels(ones, ones), (beside_left, beside_right)
        )
        T = tangent(x)
        return moment(K, None if T is None else T * slope)

    start = moment(x, x) if with_tangent else x
    return lax.fori_loop(0, times, layer, start)[0, 0, 0, 0]
