"""Plans: which pairs of pixels they keep, against brute force, and in which steps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from oracles.geometry import axis_windows
from oracles.needed_pairs import displacements, needed_pairs
from oracles.networks import CASES, shape_of
from oracles.random_networks import random_architecture

import kernas.kernels as kk
from kernas.kernels.architecture import Architecture, Node
from kernas.kernels.architecture.activations import Activation
from kernas.kernels.architecture.layers import AvgPool, Concat, Conv, WeightLayer, Zero
from kernas.kernels.architecture.windows import tap_offsets
from kernas.kernels.program import Program, lower
from kernas.kernels.program.axes import (
    OUTSIDE,
    Axis,
    AxisMap,
    flatten_map,
    pool_map,
    scale,
    shared_modulus,
    tap_map,
)
from kernas.kernels.program.lowering import lower_together
from kernas.kernels.program.ops import DualOp, PoolOp, RecordOp, TapOp, WeightOp
from kernas.kernels.program.planning import (
    LinearStep,
    LocalStep,
    Plan,
    ProductStep,
    plan_means,
    plan_pairs,
    plan_variances,
)

Kept = dict[int, tuple[set[int], set[int]]]
"""By node, displacements along the rows and along the columns."""

# --- what is kept, against brute force -----------------------------------------------------------


def marked(architecture: Architecture) -> Architecture:
    """The network with a parameter in each layer that says which node it is."""

    def layer(index: int, node: Node) -> Any:
        if isinstance(node.layer, WeightLayer):
            return replace(node.layer, W_std=1 + index / 100)
        return kk.LeakyRelu(index / 100) if isinstance(node.layer, Activation) else node.layer

    return Architecture(
        tuple(Node(layer(i, n), n.inputs) for i, n in enumerate(architecture.nodes))
    )


def kept(program: Program, *, fused: bool) -> Kept:
    """The displacements with a pair inside the images that a plan keeps of marked nodes."""
    plan = plan_pairs(program, fused=fused)
    found: Kept = {}
    for value, axes in plan.axes.items():
        op = program.ops[value]
        if isinstance(op, WeightOp):
            node = round(100 * (op.W_std - 1))
        elif isinstance(op, DualOp) and op.left_activation == op.right_activation:
            assert isinstance(op.left_activation, kk.LeakyRelu)
            node = round(100 * op.left_activation.slope)
        else:
            continue
        assert node not in found
        rows, columns = ({d for d in axis.diagonals if abs(d) < axis.left} for axis in axes)
        found[node] = rows, columns
    return found


def needed(architecture: Architecture, shape: tuple[int, ...]) -> Kept:
    """The same by brute force."""
    pairs = needed_pairs(architecture, shape)
    return {node: displacements(*found) for node, found in pairs.items()}


CONV, CIRCULAR = Conv(3), Conv(3, padding="CIRCULAR")
SAME_POOL = AvgPool(3, padding="SAME")
ENDS = {
    "Flatten": kk.Flatten(),
    "LAP(1)": kk.LocalAvgPool(1),
    "LAP(1), circular": kk.LocalAvgPool(1, "circular"),
    "LAP(3)": kk.LocalAvgPool(3),
    "GAP": kk.GlobalAvgPool(),
    "flattened pool": kk.serial(AvgPool(2, stride=2), kk.Flatten()),
    "mean of a pool": kk.serial(AvgPool(3, stride=2, padding="SAME"), kk.GlobalAvgPool()),
}
BODIES: dict[str, Sequence[Any]] = {
    "chain": (CONV, kk.Relu(), CONV),
    "stride 2": (CONV, kk.Relu(), Conv(3, stride=2), kk.Relu(), CONV),
    "stride 3": (CONV, kk.Relu(), Conv(3, stride=3), kk.Relu(), CONV),
    "stride 2 along the rows": (
        CONV,
        kk.Relu(),
        Conv((1, 2), stride=(2, 1), padding="VALID"),
        kk.Relu(),
        CONV,
    ),
    "strides 2 and 2": (Conv(3, stride=2), kk.Relu(), Conv((3, 1), stride=2), kk.Relu(), CONV),
    "dilation": (CONV, kk.Relu(), Conv(3, dilation=2), kk.Relu(), CONV),
    "circular": (CIRCULAR, kk.Relu(), CIRCULAR),
    "circular between zero edges": (CONV, kk.Relu(), CIRCULAR, kk.Relu(), CONV),
    "circular, stride 2": (
        CIRCULAR,
        kk.Relu(),
        Conv(3, stride=2, padding="CIRCULAR"),
        kk.Relu(),
        CIRCULAR,
    ),
    "pool of stride 1": (CONV, kk.Relu(), SAME_POOL, CONV),
    "pool of stride 2": (CONV, kk.Relu(), AvgPool(2, stride=2), CONV),
    "pool of stride 2 that overlaps": (CONV, kk.Relu(), AvgPool(3, stride=2, padding="SAME"), CONV),
    "pool of stride 2 before circular": (CIRCULAR, kk.Relu(), AvgPool(2, stride=2), CIRCULAR),
    "circular pool": (CONV, kk.Relu(), AvgPool(3, padding="CIRCULAR"), CONV),
    "VALID": (CONV, kk.Relu(), Conv((3, 2), padding="VALID"), kk.Relu(), CONV),
    "cropped": (CONV, kk.Relu(), Conv(2, padding=((-1, 0), (1, -1))), kk.Relu(), CONV),
    "padded": (CONV, kk.Relu(), Conv(3, padding=((2, 2), (1, 2))), kk.Relu(), CONV),
    "depthwise": (CONV, kk.Relu(), kk.DepthwiseConv(3), Conv(1)),
    "branches of a pool": (CONV, kk.residual(SAME_POOL), kk.Relu(), CONV),
    "branches of a nonlinearity": (CONV, kk.residual(kk.serial(SAME_POOL, kk.Relu())), CONV),
    "branches of other windows": (
        CONV,
        kk.Relu(),
        kk.parallel(Conv(3), Conv(3, dilation=2), kk.serial(SAME_POOL, Conv(1))),
    ),
    "branches of stride 2": (
        CONV,
        kk.Relu(),
        kk.parallel(
            kk.serial(Conv(3, stride=2, padding=((1, 1), (1, 1))), kk.Relu(), CONV),
            AvgPool(2, stride=2),
        ),
        CONV,
    ),
}


def ended(body: str, end: str) -> Architecture:
    return marked(kk.serial(*BODIES[body], kk.Relu(), ENDS[end], kk.Dense()))


SMALL = ("stride 3", "strides 2 and 2")
"""Bodies that leave fewer pixels than a circular window is wide."""

FITTING = [(b, e) for b in BODIES for e in ENDS if e != "LAP(1), circular" or b not in SMALL]


@pytest.mark.parametrize(("body", "end"), FITTING)
def test_a_plan_keeps_the_displacements_that_its_readout_needs(body: str, end: str) -> None:
    architecture, shape = ended(body, end), (8, 6, 2)
    expected = needed(architecture, shape)
    program = lower(architecture, shape)
    assert kept(program, fused=True) == kept(program, fused=False) == expected


def test_a_plan_of_several_readouts_keeps_what_one_of_them_needs() -> None:
    shape = (8, 6, 2)
    layers = (CONV, kk.Relu(), Conv(3, stride=2), kk.Relu(), CONV, kk.Relu())
    ends = [(kk.Flatten(),), (kk.LocalAvgPool(1),), (CONV, kk.Relu(), kk.Flatten())]
    networks = [marked(kk.serial(*layers, *end)) for end in ends]
    expected: Kept = {}
    for network in networks:
        for node, (rows, columns) in needed(network, shape).items():
            known = expected.setdefault(node, (set(), set()))
            known[0].update(rows)
            known[1].update(columns)
    program = lower_together(networks, shape)
    assert kept(program, fused=True) == kept(program, fused=False) == expected
    alone = kept(lower(networks[0], shape), fused=True)
    assert alone[5] == ({0}, {0})
    assert expected[5] == ({-2, -1, 0, 1, 2}, {-2, -1, 0, 1, 2})


def comparable(architecture: Architecture) -> bool:
    """Whether every node has one moment with itself, which is not zero."""
    return not any(isinstance(node.layer, Concat | Zero) for node in architecture.nodes)


def random_case(seed: int) -> tuple[Architecture, tuple[int, int, int]]:
    rng = np.random.default_rng(seed)
    image = (int(rng.integers(3, 8)), int(rng.integers(3, 7)), 2)
    architecture = random_architecture(
        rng, image=image, normalize="any" if seed % 2 else None, layers="all", remeet=seed % 3 == 0
    )
    return architecture, image


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 2**16).map(random_case).filter(lambda case: comparable(case[0])))
def test_random_plans_keep_all_that_is_needed(case: tuple[Architecture, tuple[int, ...]]) -> None:
    architecture, shape = marked(case[0]), case[1]
    found = kept(lower(architecture, shape), fused=True)
    for node, axes in needed(architecture, shape).items():
        for ours, least in zip(found[node], axes, strict=True):
            assert least <= ours


def test_plans_keep_hardly_more_than_is_needed() -> None:
    """What windows with holes, and wrapped or cropped edges, do not read of a displacement."""
    cases = [random_case(seed) for seed in range(150)]
    total = extra = 0
    for architecture, shape in filter(lambda case: comparable(case[0]), cases):
        network = marked(architecture)
        least = needed(network, shape)
        for node, axes in kept(lower(network, shape), fused=True).items():
            for ours, own in zip(axes, least[node], strict=True):
                total += len(ours)
                extra += len(ours - own)
    assert extra < 0.01 * total


# --- steps ---------------------------------------------------------------------------------------


def plans(case: str) -> list[Plan]:
    program = lower(CASES[case], shape_of(case))
    return [
        plan_pairs(program, fused=True),
        plan_pairs(program, fused=False),
        plan_variances(program),
        plan_means(program),
    ]


@pytest.mark.parametrize("case", CASES)
def test_steps_read_what_was_computed_and_forget_what_is_not_read_again(case: str) -> None:
    for plan in plans(case):
        alive: set[int] = set()
        computed: list[int] = []
        for step, last_reads in zip(plan.steps, plan.last_reads, strict=True):
            if isinstance(step, LocalStep):
                assert set(step.reads) <= alive
                defined = (*step.defines, *step.readouts)
            else:
                assert isinstance(step, ProductStep) or step.source in alive
                defined = (step.defines,)
            computed += defined
            moments = [value for value in defined if value in plan.axes or value in plan.readouts]
            alive.update(moments)
            assert set(last_reads) <= alive
            alive -= set(last_reads)
        assert len(computed) == len(set(computed))
        wanted = {o for o in plan.program.outputs if o is not None}
        records = {i for i in computed if isinstance(plan.program.ops[i], RecordOp)}
        assert alive <= wanted
        assert records or not plan.steps or alive == wanted


def test_a_chain_is_one_step_where_it_is_fused() -> None:
    chain = kk.serial(*(CONV, kk.Relu()) * 4, kk.GlobalAvgPool(), kk.Dense(), kk.Relu(), kk.Dense())
    (chained, dense) = plan_pairs(lower(chain, (6, 6, 2)), fused=True).steps
    assert isinstance(chained, LocalStep)
    assert isinstance(dense, LocalStep)
    assert len(chained.body.ops) == 1 + 3 * 4
    assert (chained.defines, len(chained.readouts)) == ((), 1)
    pooled = kk.serial(
        CONV, kk.Relu(), AvgPool(2, stride=2), CONV, kk.Relu(), kk.Flatten(), kk.Dense()
    )
    steps = plan_pairs(lower(pooled, (6, 6, 2)), fused=True).steps
    kinds = [LocalStep, LinearStep, LinearStep, LocalStep, LocalStep]
    assert [type(step) for step in steps] == kinds


# --- axes ----------------------------------------------------------------------------------------


@st.composite
def an_axis(draw: st.DrawFn) -> Axis:
    left, right = draw(st.integers(1, 7)), draw(st.integers(1, 9))
    step = scale(left, right)
    diagonals = st.integers(-step * (left - 1), right - 1)
    chosen = draw(st.sets(diagonals, min_size=1))
    return Axis(left, right, draw(st.integers(max(left, right), 14)), tuple(sorted(chosen)))


@given(an_axis())
def test_an_axis_holds_every_needed_pair_once(axis: Axis) -> None:
    p, q = (part.ravel() for part in np.indices((axis.left, axis.right)))
    wanted = np.isin(q - scale(axis.left, axis.right) * p, axis.diagonals)
    position = axis.position(p, q)
    np.testing.assert_array_equal(position != OUTSIDE, wanted)
    held = position[wanted]
    assert len(set(held.tolist())) == len(held)
    assert axis.partners.shape == axis.valid.shape == (len(axis.slots), axis.left)
    assert axis.length == axis.valid.size
    np.testing.assert_array_equal(axis.partners.ravel()[held], q[wanted])
    np.testing.assert_array_equal(held % axis.left, p[wanted])
    np.testing.assert_array_equal(np.flatnonzero(axis.valid), np.sort(held))


@given(an_axis())
def test_between_diagonals_of_a_slot_stand_pairs_outside(axis: Axis) -> None:
    """A slot has ``left`` pairs; those that it has no right pixel for are no pair of the images."""
    outside = axis.partners == OUTSIDE
    assert not axis.valid[outside].any()
    assert ((axis.partners[~outside] >= 0) & (axis.partners[~outside] < axis.right)).all()
    p = np.arange(axis.left)
    assert (axis.position(p, np.full_like(p, OUTSIDE)) == OUTSIDE).all()
    assert (axis.position(np.full_like(p, OUTSIDE), p) == OUTSIDE).all()


@given(an_axis(), st.data())
def test_the_slots_of_some_displacements_are_found_among_those_of_more(
    axis: Axis, data: st.DataObject
) -> None:
    fewer = data.draw(st.sets(st.sampled_from(axis.diagonals), min_size=1))
    own = replace(axis, diagonals=tuple(sorted(fewer)))
    assert own.slots == tuple(axis.slots[i] for i in own.within(axis))


def test_all_displacements_fit_into_as_many_slots_as_pixels_and_reach() -> None:
    for size in (5, 8, 32):
        everything = frozenset(range(1 - size, size))
        assert shared_modulus(size + 1, everything) == size + 1
        assert len(Axis(size, size, size + 1, tuple(sorted(everything))).slots) == size + 1


PADDINGS = st.one_of(
    st.sampled_from(["SAME", "VALID", "CIRCULAR"]),
    st.tuples(st.integers(-1, 4), st.integers(-1, 4)),
)


@st.composite
def a_window(draw: st.DrawFn, kind: type[Conv] | type[AvgPool], strides: int) -> Any:
    """A layer with a window along the rows."""
    padding: Any = draw(PADDINGS)
    if isinstance(padding, tuple):
        padding = (padding, (0, 0))
    window, stride = draw(st.integers(1, 4)), draw(st.integers(1, strides))
    dilation = draw(st.integers(1, 3)) if kind is Conv else 1
    assume(not isinstance(padding, tuple) or max(padding[0]) <= (window - 1) * dilation)
    if kind is Conv:
        return Conv((window, 1), stride=(stride, 1), padding=padding, dilation=(dilation, 1))
    return AvgPool(
        (window, 1),
        stride=(stride, 1),
        padding=padding,
        divisor=draw(st.sampled_from(["valid", "window"])),
    )


@given(st.integers(2, 9), st.data())
@settings(deadline=None, max_examples=150)
def test_a_window_reads_zeros_outside_and_never_the_other_diagonal(
    size: int, data: st.DataObject
) -> None:
    """Read along a slot of two convolutions on each other, whatever their edges."""
    layers = [data.draw(a_window(Conv, strides=1)) for _ in range(2)]
    after = size
    for layer in layers:
        after = len(axis_windows(layer, 0, after))
        assume(after)
    end = data.draw(st.sampled_from([kk.GlobalAvgPool(), kk.Flatten(), kk.LocalAvgPool(1)]))
    network = kk.serial(layers[0], kk.Relu(), layers[1], kk.Relu(), end)
    plan = plan_pairs(lower(network, (size, 1, 1)), fused=True)
    circular = all(layer.padding == "CIRCULAR" for layer in layers)
    for value in plan.axes:
        op = plan.program.ops[value]
        if not isinstance(op, TapOp) or (op.window.padding == "CIRCULAR" and not circular):
            continue
        source, out = plan.axes[op.source][0], plan.axes[value][0]
        assert source.modulus == out.modulus
        slots = np.array(out.within(source))
        for offset in tap_offsets(op.window, 0, source.left):
            for slot, p in zip(*np.nonzero(out.valid), strict=True):
                q = out.partners[slot, p]
                read_p, read_q = p + offset, q + offset
                if circular:
                    read_p, read_q = read_p % source.left, read_q % source.right
                if not 0 <= read_p < source.left:
                    continue  # the border, zeros
                inside = 0 <= read_q < source.right
                assert source.partners[slots[slot], read_p] == (read_q if inside else OUTSIDE)
                assert source.valid[slots[slot], read_p] == inside


# --- linear instructions against dense matrices --------------------------------------------------


@st.composite
def a_map(draw: st.DrawFn) -> tuple[AxisMap, np.ndarray]:
    """A linear instruction, and the same as a dense array ``[p, q, p', q']`` of ``(p', q')``."""
    kind = draw(st.sampled_from(["window", "left pool", "right pool", "left mean", "flat"]))
    size = draw(st.integers(2, 8))
    if kind == "flat":
        dense = np.eye(size)[None, None] / size
        return flatten_map(size), dense
    if kind == "window":
        layer = draw(a_window(Conv, strides=3))
        taps = axis_windows(layer, 0, size)
        assume(taps)
        dense = np.zeros((len(taps), len(taps), size, size))
        for p, at_p in enumerate(taps):
            for q, at_q in enumerate(taps):
                for i, j in zip(at_p, at_q, strict=True):
                    if i is not None and j is not None:
                        dense[p, q, i, j] += 1 / len(at_p)
        return tap_map(layer, 0, size, size), dense
    other = draw(st.integers(1, 8))
    if kind == "left mean":
        pool: Any = kk.GlobalAvgPool()
        matrix = np.full((1, size), 1 / size)
    else:
        pool = draw(a_window(AvgPool, strides=3))
        taps = axis_windows(pool, 0, size)
        assume(taps)
        assume(all(any(i is not None for i in tap) for tap in taps))
        whole = pool.divisor == "window"
        matrix = np.zeros((len(taps), size))
        for p, at_p in enumerate(taps):
            inside = [i for i in at_p if i is not None]
            for i in inside:
                matrix[p, i] += 1 / (len(at_p) if whole else len(inside))
    if kind == "right pool":
        dense = np.einsum("qj,pi->pqij", matrix, np.eye(other))
        return pool_map(pool, 0, other, size, 1), dense
    dense = np.einsum("pi,qj->pqij", matrix, np.eye(other))
    return pool_map(pool, 0, size, other, 0), dense


def all_displacements(left: int, right: int) -> np.ndarray:
    return np.arange(right) - scale(left, right) * np.arange(left)[:, None]


@given(a_map(), st.data())
@settings(deadline=None, max_examples=200)
def test_a_map_is_its_dense_matrix(case: tuple[AxisMap, np.ndarray], data: st.DataObject) -> None:
    """On the displacements that some outputs read, gathered from where an axis holds them."""
    found, dense = case
    p_after, q_after, p_before, q_before = dense.shape
    assert found.before == (p_before, q_before)
    after, before = all_displacements(p_after, q_after), all_displacements(p_before, q_before)
    chosen = data.draw(st.sets(st.sampled_from(np.unique(after).tolist()), min_size=1))
    reads = found.reads(chosen)
    entries = dense[np.isin(after, list(chosen))].any(axis=0)
    assert reads == set(before[entries].tolist())
    assume(reads)
    more = data.draw(st.integers(0, 3))
    source = Axis(p_before, q_before, max(found.before) + more, tuple(sorted(reads)))
    out = Axis(p_after, q_after, max(p_after, q_after) + more, tuple(sorted(chosen)))
    x = np.random.default_rng(0).standard_normal(found.before)
    p, q = np.nonzero(np.isin(before, source.diagonals))
    held = np.full(source.length + 1, np.nan)
    held[-1] = 0  # what a tap outside reads
    held[source.position(p, q)] = x[p, q]
    taps, weights = found.gathers(source, out)
    y = weights * held[np.where(taps == OUTSIDE, source.length, taps)].sum(axis=0)
    exact = np.einsum("pqij,ij->pq", dense, x)
    p, q = np.nonzero(np.isin(after, list(chosen)))
    np.testing.assert_allclose(y[out.position(p, q)], exact[p, q], rtol=1e-12, atol=1e-12)
    assert not y[~out.valid.ravel()].any()


@given(a_map())
@settings(deadline=None, max_examples=100)
def test_a_weighting_is_pulled_back_by_the_transpose(case: tuple[AxisMap, np.ndarray]) -> None:
    found, dense = case
    weights = np.random.default_rng(0).standard_normal(dense.shape[:2])
    exact = np.einsum("pqij,pq->ij", dense, weights)
    np.testing.assert_allclose(found.pulled_back(weights), exact, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("end", ENDS)
def test_readouts_weigh_the_pairs_that_they_average(end: str) -> None:
    """The weights add up to one, but for windows that hang over zero edges."""
    program = lower(kk.serial(CONV, kk.Relu(), ENDS[end]), (6, 5, 1))
    plan = plan_pairs(program, fused=True)
    (output,) = program.outputs
    assert output is not None
    readout = plan.readouts[output]
    total = readout.rows.sum() * readout.columns.sum()
    assert not isinstance(program.ops[readout.source], PoolOp)
    assert total == pytest.approx(1) if "LAP" not in end or "circular" in end else 0 < total < 1
    for axis, weights in enumerate((readout.rows, readout.columns)):
        p, q = np.nonzero(weights)
        assert set((q - p).tolist()) == set(plan.axes[readout.source][axis].diagonals)
