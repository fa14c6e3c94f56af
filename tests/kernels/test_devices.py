"""Tiles shared out among devices give what one device gives; run as a script, it computes both."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import numpy as np
import pytest

import kernas.kernels as kk
from kernas.kernels import NeuralKernel
from kernas.kernels.engine import Blocking, Device, tiles
from kernas.kernels.engine.workers import local_workers

DEVICES = 3
TILE_BYTES = {"by plane": 2**26, "at once": 2**17}
BLOCKINGS = {"by plane": Blocking("planes", lanes=2), "at once": Blocking("whole")}


@pytest.fixture(scope="module")
def reports() -> dict[str, dict[str, int | bool]]:
    """What a process with several devices found, by blocking."""
    given = os.environ.get("XLA_FLAGS", "")
    environment = {
        **os.environ,
        "JAX_PLATFORMS": "cpu",
        "XLA_FLAGS": f"{given} --xla_force_host_platform_device_count={DEVICES}",
    }
    ran = subprocess.run(
        [sys.executable, __file__], env=environment, capture_output=True, text=True, timeout=300
    )
    assert ran.returncode == 0, ran.stderr
    return json.loads(ran.stdout.splitlines()[-1])


@pytest.mark.parametrize("how", BLOCKINGS)
def test_devices_give_what_one_gives(reports: dict[str, dict[str, int | bool]], how: str) -> None:
    """To the last bit: a tile is the same computation wherever it runs."""
    report = reports[how]
    assert report["tiles"] >= 2 * DEVICES
    assert report["devices"] == DEVICES
    assert report["devices alone"] == 1
    assert report["equal"]


def compare(blocking: Blocking, tile_bytes: int) -> dict[str, int | bool]:
    """Gram matrices of both forms on all devices, and on the first one alone."""
    network = kk.serial(
        kk.Conv(3, W_std=1.4, b_std=0.1),
        kk.Normalize(),
        kk.Relu(),
        kk.Conv(3),
        kk.Relu(),
        kk.GlobalAvgPool(),
        kk.Dense(),
    )
    x = np.random.default_rng(0).standard_normal((9, 5, 4, 2))
    kernel = NeuralKernel(network, ("nngp", "ntk"), tile_bytes, blocking=blocking).bind(x, 4)
    used: list[Device] = []
    run_plan, workers = tiles.run_plan, local_workers()

    def spy(plan, block):
        (device,) = block.left.images.devices()
        used.append(device)
        return run_plan(plan, block)

    def grams():
        used.clear()
        found = [part for x2 in (None, x[:5]) for part in kernel(x, x2)]
        return found, set(used), len(used)

    tiles.run_plan = spy
    everywhere, devices, number = grams()
    tiles.local_workers = lambda: workers[:1] * len(workers)  # tiles stay as large
    alone, first, _ = grams()
    tiles.run_plan, tiles.local_workers = run_plan, local_workers
    return {
        "tiles": number,
        "devices": len(devices),
        "devices alone": len(first),
        "equal": all(np.array_equal(a, b) for a, b in zip(everywhere, alone, strict=True)),
    }


if __name__ == "__main__":
    print(json.dumps({how: compare(b, TILE_BYTES[how]) for how, b in BLOCKINGS.items()}))
