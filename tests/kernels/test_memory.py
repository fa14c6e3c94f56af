"""The moments that are alive at any step fit into the tile's bytes."""

from __future__ import annotations

import threading

import numpy as np
import pytest
from compiling import AS_USERS
from jax import Array
from selection import ordinary

import kernas.kernels as kk
from kernas.kernels import NeuralKernel
from kernas.kernels.architecture import Activation, Layer
from kernas.kernels.engine import (
    Blocking,
    Execution,
    compilations,
    programs,
    records,
    steps,
    streams,
    tile_shape,
)
from kernas.kernels.engine.memory import step_bytes
from kernas.kernels.engine.steps import lowered_step
from kernas.kernels.engine.workers import local_workers
from kernas.kernels.program import lower
from kernas.kernels.program.planning import LocalStep, Plan, Step, plan_pairs
from kernas.search import NasBench201

CONV, POOL = kk.Conv(3, W_std=1.4, b_std=0.1), kk.AvgPool(3, padding="SAME")
NETWORKS = {
    "chain": kk.serial(CONV, kk.Relu(), CONV, kk.Relu(), kk.GlobalAvgPool(), kk.Dense()),
    "pools, strides and statistics": kk.serial(
        CONV,
        kk.Normalize(),
        kk.residual(kk.serial(kk.Relu(), kk.Conv(3)), POOL),
        kk.Relu(),
        kk.Conv(3, stride=2),
        kk.Relu(),
        kk.AvgPool(2),
        kk.LocalAvgPool(1),
        kk.Dense(),
    ),
}
BLOCKINGS = {"by plane": Blocking("planes", lanes=4), "at once": Blocking("whole")}


class Ledger:
    """Bytes of the moments that are held after a step, and the most so far over all threads."""

    def __init__(self) -> None:
        self.most = 0
        self._values: dict[tuple[int, int], dict[int, Array]] = {}
        self._totals: dict[int, int] = {}
        self._lock = threading.Lock()

    def enter(self, plan: Plan, values: dict[int, Array]) -> None:
        """``values`` are what the calling thread holds of a plan, instead of the last time's."""
        thread = threading.get_ident()
        with self._lock:
            self._values[thread, id(plan)] = values
            own = [held for (whose, _), held in self._values.items() if whose == thread]
            self._totals[thread] = sum(v.nbytes for held in own for v in held.values())
            self.most = max(self.most, sum(self._totals.values()))

    def take_most(self) -> int:
        """The most, and begin anew."""
        found = self.most
        self.__init__()
        return found


@pytest.fixture
def ledger(monkeypatch: pytest.MonkeyPatch) -> Ledger:
    found = Ledger()
    run_step = steps.run_step

    def recorded(plan: Plan, step: Step, values: dict[int, Array], block: steps.Block) -> None:
        run_step(plan, step, values, block)
        found.enter(plan, values)

    for module in (steps, records):
        monkeypatch.setattr(module, "run_step", recorded)
    return found


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("how", BLOCKINGS)
def test_live_moments_fit_into_the_bytes(ledger: Ledger, name: str, how: str) -> None:
    """Of records and of tiles, the smallest ones and larger ones that all workers have at once."""
    network, blocking = NETWORKS[name], BLOCKINGS[how]
    x = np.random.default_rng(0).standard_normal((7, 6, 6, 2))
    program = lower(network, x.shape[1:])
    recorded = records.record_bytes(program, 4, with_tangent=True)
    shape = tile_shape(Execution(program, blocking, with_tangent=True), 2**30, 4)
    for pairs in (1, 6):
        tile_bytes = max(pairs * shape.pair_bytes * len(local_workers()), recorded)
        kernel = NeuralKernel(network, "ntk", tile_bytes, blocking=blocking)
        if kernel.needs_bind:
            kernel = kernel.bind(x, 4)
            assert 0 < ledger.take_most() <= 4 * recorded
        prepared = kernel.prepare(x)
        assert 0 < ledger.take_most() <= tile_bytes
        for right in (None, prepared):
            kernel(prepared, right)
            assert 0 < ledger.take_most() <= tile_bytes


def test_images_with_a_series_are_recorded_few_at_a_time() -> None:
    """Every one has the coefficients of both sides: 4 MiB at 32×32 pixels in float32."""
    tanh = kk.Elementwise("tanh")
    network = kk.serial(kk.Conv(3), tanh, kk.Conv(3), tanh, kk.GlobalAvgPool(), kk.Dense())
    kernel = NeuralKernel(network, blocking=Blocking("planes"))
    settings = kernel.settings((32, 32, 3))
    assert 1 < settings["record_chunk"] < settings["tile_bytes"] / 2**22


@pytest.mark.parametrize("by_plane", [False, True])
def test_no_more_tiles_at_a_time_than_their_bytes_hold(by_plane: bool) -> None:
    chain = kk.serial(kk.Conv(3), kk.Relu(), kk.Conv(3), kk.Relu(), kk.GlobalAvgPool())
    program = lower(chain, (6, 6, 2))
    blocking = Blocking("planes" if by_plane else "whole")
    execution = Execution(program, blocking, with_tangent=True)
    large = tile_shape(execution, 10**9, 0)
    tile = tile_shape(execution, large.pair_bytes, 0)
    assert (tile.rows, tile.columns, tile.workers) == (1, 1, 1)


def test_programs_of_networks_long_past_are_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a process maps does not grow with the number of networks it computes."""
    x = np.random.default_rng(0).standard_normal((3, 4, 4, 2))
    kernel = NeuralKernel(NETWORKS["chain"], blocking=BLOCKINGS["by plane"])
    before, start = kernel(x), compilations().count
    assert np.array_equal(kernel(x), before)
    assert compilations().count == start
    monkeypatch.setattr(programs, "MOST", -1)
    assert np.array_equal(kernel(x), before)
    assert compilations().count > start


def layers(count: int, activation: Activation | None = None) -> list[Layer]:
    return [CONV, activation or kk.Relu()] * count


HEAD = (kk.GlobalAvgPool(), kk.Dense())
COMPILED = {
    "1 layer": (16, 16, [*layers(1), *HEAD]),
    "16 x 16": (16, 16, [*layers(5), *HEAD]),
    "16 x 16, 32 lanes": (16, 32, [*layers(5), *HEAD]),
    "32 x 32": (32, 16, [*layers(5), *HEAD]),
    "32 x 32, 32 lanes": (32, 32, [*layers(5), *HEAD]),
    "10 layers": (32, 16, [*layers(10), *HEAD]),
    "local pool": (32, 16, [*layers(5), kk.LocalAvgPool(4), kk.Dense()]),
    "stride inside": (16, 16, [*layers(2), kk.Conv(3, stride=2), kk.Relu(), *layers(1), *HEAD]),
    "pools inside": (
        16,
        16,
        [*layers(2), kk.AvgPool(2), *layers(2), kk.AvgPool(2), *layers(1), *HEAD],
    ),
    "erf": (16, 16, [*layers(3, kk.Erf()), *HEAD]),
    "exp": (16, 16, [*layers(3, kk.Exp(0.5)), *HEAD]),
    "tanh, a series": (8, 8, [*layers(2, kk.Elementwise("tanh")), *HEAD]),
}
"""Side of the images, lanes, network."""
CHOSEN = (
    "32 x 32, 32 lanes",
    "local pool",
    "pools inside",
    "tanh, a series",
)
"""Those that the ordinary run compiles: both sizes, each kind of step and of nonlinearity."""


@pytest.mark.parametrize(
    "case",
    ordinary(
        [*[(name, True) for name in CHOSEN], ("pools inside", False)],
        of=[(name, tangent) for name in COMPILED for tangent in (True, False)],
    ),
)
def test_planned_bytes_are_those_of_the_compiled_program(case: tuple[str, bool]) -> None:
    """Of steps that run plane by plane, within a fifth; one of one plane has nothing to plan."""
    name, with_tangent = case
    side, lanes, network = COMPILED[name]
    plan = plan_pairs(lower(kk.serial(*network), (side, side, 3)), fused=True)
    steps = [s for s in plan.steps if isinstance(s, LocalStep) and s.body.planes > 1]
    assert len(steps) == 1 + name.endswith("inside") + (name == "pools inside")
    for step in steps:
        compiled = lowered_step(plan, step, lanes, with_tangent=with_tangent).compile(AS_USERS)
        planned = lanes * step_bytes(plan, step, with_tangent=with_tangent)
        assert compiled.memory_analysis().temp_size_in_bytes == pytest.approx(planned, rel=0.2)


@pytest.mark.parametrize(
    "case",
    ordinary(
        [(8, 16, True), (16, 1, False)],
        of=[(*way, tangent) for way in ((8, 16), (16, 1)) for tangent in (True, False)],
    ),
)
def test_planned_bytes_of_a_stream_are_those_of_the_compiled_program(
    case: tuple[int, int, bool],
) -> None:
    side, lanes, with_tangent = case
    (cell,) = NasBench201(cells_per_stage=1).sample(1, seed=11)
    program = lower(cell.architecture, (side, side, 3))
    execution = Execution(program, Blocking("stream", lanes), with_tangent)
    compiled = streams.lowered_pairs(execution).compile(AS_USERS)
    tile = tile_shape(execution, 2**30, 0)
    planned = lanes * tile.pair_bytes
    assert compiled.memory_analysis().temp_size_in_bytes == pytest.approx(planned, rel=0.25)
