"""How many bytes a plan takes while it runs."""

from __future__ import annotations

import math

import jax.numpy as jnp

from ..program.planning import LocalStep, Plan, RecordStep


def pair_bytes(plan: Plan, *, with_tangent: bool) -> int:
    """Most bytes of moments alive at once for one pair, those of a plane's layers left out."""
    item = jnp.dtype(jnp.result_type(float)).itemsize * (2 if with_tangent else 1)
    alive: dict[int, int] = {}
    most = 0
    for step, last_reads in zip(plan.steps, plan.last_reads, strict=True):
        if not isinstance(step, RecordStep):
            whole = step.defines if isinstance(step, LocalStep) else (step.defines,)
            for value in whole:
                alive[value] = item * math.prod(axis.length for axis in plan.axes[value])
            if isinstance(step, LocalStep):
                alive |= dict.fromkeys(step.readouts, item)
        most = max(most, sum(alive.values()))
        for value in last_reads:
            del alive[value]
    return most
