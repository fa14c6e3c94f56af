"""How many pairs at a time are tried on a device."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace

import pytest

import kernas.kernels as kk
from kernas.documents import sealed
from kernas.kernels.engine import Blocking, Execution, blocking, blocking_of, tile_shape
from kernas.kernels.engine.blocking import lanes_tried, measured_blocking
from kernas.kernels.engine.calibration import layer_nanoseconds
from kernas.kernels.program import lower
from kernas.search import NasBench201


def test_accelerators_try_wider_planes_than_cpus() -> None:
    assert lanes_tried("cpu") == (8, 16, 32, 64)
    for platform in ("gpu", "tpu"):
        assert all(lanes % 128 == 0 for lanes in lanes_tried(platform))


@pytest.mark.parametrize("platform", ["cpu", "gpu"])
def test_the_fewest_lanes_that_are_nearly_fastest(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, platform: str
) -> None:
    device = SimpleNamespace(device_kind="a device", platform=platform)
    tried: list[int] = []

    def measure(side: int, lanes: Sequence[int]) -> dict[int, float]:
        tried.extend(lanes)
        return {n: 1.05 if n == lanes[1] else 1.0 for n in lanes}

    monkeypatch.setattr(blocking.jax, "local_devices", lambda: [device])
    monkeypatch.setattr(blocking, "system_cache", lambda: tmp_path)
    found = measured_blocking(8, True, "float32", measure)
    assert tuple(tried) == lanes_tried(platform)
    assert found.lanes == tried[0]
    assert measured_blocking.__wrapped__(8, True, "float32", measure) == found
    assert len(tried) == 4


def test_another_number_of_workers_measures_for_itself(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Their times a pair are not these."""
    measured: list[int] = []

    def measure(side: int, lanes: Sequence[int]) -> dict[int, float]:
        measured.append(side)
        return dict.fromkeys(lanes, 1.0)

    monkeypatch.setattr(blocking, "system_cache", lambda: tmp_path)
    for workers in (1, 2, 1):
        monkeypatch.setattr(blocking, "local_workers", lambda n=workers: ("cpu",) * n)
        measured_blocking.__wrapped__(8, True, "float32", measure)
    assert len(measured) == 2


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: text[:-1],
        lambda text: text.replace('"lanes": 8', '"lanes": 16'),
        lambda text: text.replace('"planes"', '"plans"'),
        lambda text: "[" * 100_000,
        lambda text: "[]",
        lambda text: json.dumps(sealed({**json.loads(text), "blocking": {"way": "planes"}})),
        lambda text: json.dumps(sealed({**json.loads(text), "blocking": None})),
        lambda text: json.dumps(sealed({"key": json.loads(text)["key"]})),
    ],
)
def test_a_damaged_measurement_is_made_again(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, damage: Callable[[str], str]
) -> None:
    measured: list[int] = []

    def measure(side: int, lanes: Sequence[int]) -> dict[int, float]:
        measured.append(side)
        return dict.fromkeys(lanes, 1.0)

    monkeypatch.setattr(blocking, "system_cache", lambda: tmp_path)
    first = measured_blocking.__wrapped__(8, True, "float32", measure)
    (file,) = (tmp_path / "blocking").iterdir()
    whole = file.read_text()
    assert damage(whole) != whole
    file.write_text(damage(whole))
    assert measured_blocking.__wrapped__(8, True, "float32", measure) == first
    assert measured == [8, 8]
    assert file.read_text() == whole


def test_a_tile_is_no_wider_than_its_bytes() -> None:
    chain = kk.serial(kk.Conv(3), kk.Relu(), kk.GlobalAvgPool())
    program = lower(chain, (8, 8, 1))
    wide = Blocking("planes", lanes=1024)
    narrow, whole = (
        tile_shape(Execution(program, wide, with_tangent=True), n, 0) for n in (2**20, 2**30)
    )
    assert narrow.columns == 2**20 // (narrow.pair_bytes * narrow.workers) < 1024
    assert whole.columns == 1024


def test_what_a_busy_machine_says_of_streams_is_not_kept(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(blocking, "system_cache", lambda: tmp_path)
    cell = lower(NasBench201(1).sample(1)[0].architecture, (8, 8, 1))
    stream = blocking_of(cell, with_tangent=False)
    assert (stream.way, stream.nanoseconds) == ("stream", None)
    assert layer_nanoseconds(cell, stream, with_tangent=False) > 0
    assert not list(tmp_path.iterdir())


def test_a_stream_has_a_time_that_is_no_part_of_its_record() -> None:
    pooled = kk.serial(
        *[kk.Conv(3), kk.Relu(), kk.AvgPool(2), kk.Conv(3), kk.Relu()],
        kk.GlobalAvgPool(),
        kk.Dense(),
    )
    kernel = kk.NeuralKernel(pooled)
    small, large = (kernel.plan((side, side, 1)) for side in (8, 16))
    assert small.blocking.way == large.blocking.way == "stream"
    assert large.seconds / small.seconds == pytest.approx(large.operations / small.operations)
    assert small.seconds > 0
    assert small.blocking.nanoseconds is None
    assert kernel.settings((8, 8, 1))["blocking"]["nanoseconds"] is None
    whole = kk.NeuralKernel(kk.serial(kk.Dense(), kk.Relu(), kk.Dense())).plan((5,))
    assert whole.blocking.way == "whole"
    assert whole.seconds > 0
