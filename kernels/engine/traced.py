"""Kernels of traced images and scales: the engine's steps as one pure function of JAX.

What runs is the plan of the tiles without fusion, one instruction a step and all planes at once, so
that every formula is the engine's own. Scales of weight layers are arguments. Nothing is cut into
tiles: all pairs of the images are in memory together, and for a derivative taken backwards so is
every moment on the way.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import NamedTuple

import jax.numpy as jnp
from jax import Array
from jaxtyping import Float

from ..covariance.moments import covariance, tangent
from ..program.ops import Program
from ..program.planning import Plan, plan_means, plan_pairs, plan_variances
from .planes import Constants, Gains, Side
from .records import record
from .steps import Block, run_plan

ARRAYS_OF_MOMENT = 6
"""Arrays that a moment and its derivative take: by an instruction of a nonlinearity, the one with
most, XLA keeps its value and about five parts of it (``tests/kernels/test_traced_memory.py``)."""


class Traced(NamedTuple):
    """Reference images whose statistics are traced.

    Attributes:
        side: the images with their records.
        constants: of each normalised node.
    """

    side: Side
    constants: Constants


def traced_reference(
    program: Program,
    reference: Float[Array, "r h w channels"] | None,
    gains: Mapping[int, Gains],
    *,
    with_tangent: bool,
) -> Traced | None:
    """The statistics of reference images, ``None`` of a program that needs none."""
    if not program.needs_reference or reference is None:
        return None
    constants = Constants({}, {})
    side = Side(reference, {})
    alone = Block(side, side, True, constants, with_tangent, gains=gains)
    met = Block(side, side, False, constants, with_tangent, gains=gains)
    record(program, alone, met, binding=True)
    return Traced(side, constants)


def traced_pairs(
    program: Program,
    left: Float[Array, "n h w channels"],
    right: Float[Array, "m h w channels"],
    gains: Mapping[int, Gains],
    reference: Traced | None,
    *,
    with_tangent: bool,
) -> tuple[Float[Array, "n m"], Float[Array, "n m"] | None]:
    """``K`` and, if wanted, ``Θ`` of all pairs of images of a program of one network.

    Args:
        program: the lowered network.
        left: images of the rows.
        right: images of the columns.
        gains: of the weight layers' instructions, by number.
        reference: what :func:`traced_reference` gave.
        with_tangent: whether ``Θ`` is wanted.
    """
    (output,) = program.outputs
    if output is None:  # the network is zero everywhere
        zero = jnp.zeros((len(left), len(right)), left.dtype)
        return zero, zero if with_tangent else None
    constants = Constants({}, {}) if reference is None else reference.constants
    sides = []
    for images in (left, right):
        side = Side(images, {})
        alone = Block(side, side, True, constants, with_tangent, gains=gains)
        meeting = side if reference is None else reference.side
        met = Block(meeting, side, False, constants, with_tangent, gains=gains)
        record(program, alone, met, binding=False)
        sides.append(side)
    block = Block(sides[0], sides[1], False, constants, with_tangent, gains=gains)
    moment = run_plan(plan_pairs(program, fused=False), block)[output][0, 0]
    moment = jnp.broadcast_to(moment, (len(left), len(right)))
    T = tangent(moment)
    if with_tangent and T is None:
        T = jnp.zeros_like(covariance(moment))
    return covariance(moment), T if with_tangent else None


def traced_bytes(
    program: Program, n_left: int, n_right: int, n_reference: int, *, with_tangent: bool
) -> int:
    """Bytes that a traced kernel and its derivative, taken backwards, need at most.

    ``ARRAYS_OF_MOMENT`` arrays for every moment of every pair, of an image with itself, and, of a
    network that normalises over a batch, of it with the reference images.
    """
    item = jnp.dtype(jnp.result_type(float)).itemsize * (2 if with_tangent else 1)

    def entries(plan: Plan) -> int:
        return sum(math.prod(axis.length for axis in pair) for pair in plan.axes.values())

    pairs = entries(plan_pairs(program, fused=False)) * n_left * n_right
    images = n_left + n_right + n_reference
    records = entries(plan_variances(program)) * images
    met = entries(plan_means(program)) * images * n_reference
    return ARRAYS_OF_MOMENT * item * (pairs + records + met)
