"""The choice of a program's blocking, and what it costs."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from ..architecture import Conv, Dense, GlobalAvgPool, Relu, serial
from ..program import Program, lower
from ..program.planning import LocalStep, ProductStep, plan_pairs
from .blocking import (
    STREAM_PIXELS,
    Blocking,
    measured_blocking,
    probe_side,
    stream_lanes,
)
from .records import Request, prepare
from .streams import is_stream
from .tiles import DEFAULT_TILE_BYTES, gram, tile_shape
from .ways import WAYS
from .workers import local_workers

SMALL_PIXELS = 64
"""Images of so many pixels, in networks with pools or strides inside that are no streams, are
computed whole."""

PROBE_LAYERS, PROBE_REPETITIONS = 3, 3


def blocking_of(program: Program, *, with_tangent: bool) -> Blocking:
    """How a program is cut unless its user says otherwise.

    In planes, with the measured number of lanes, if there is a window to gain from: chains of any
    size, and networks with pools and strides inside of large images. Of small images these are
    streams, which share what is compiled.
    """
    plan = plan_pairs(program, fused=True)
    pixels = program.image_shape[:2] if len(program.image_shape) == 3 else (1, 1)
    chain = all(isinstance(step, LocalStep | ProductStep) for step in plan.steps)
    windows = any(isinstance(step, LocalStep) and step.body.planes > 1 for step in plan.steps)
    size = pixels[0] * pixels[1]
    if windows and not chain and size <= STREAM_PIXELS and is_stream(program):
        return Blocking("stream", stream_lanes(size, jax.local_devices()[0].platform))
    if not windows or (not chain and size <= SMALL_PIXELS):
        return Blocking("whole")
    dtype = str(jnp.result_type(float))
    return measured_blocking(probe_side(pixels), with_tangent, dtype, _MEASURES[with_tangent])


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
    blocking = Blocking("planes", lanes)
    tile = tile_shape(program, DEFAULT_TILE_BYTES, 0, blocking=blocking, with_tangent=with_tangent)
    return partial(gram, program, request, None, tile=tile, with_tangent=with_tangent)


_MEASURES = {flag: partial(_measured, with_tangent=flag) for flag in (False, True)}
