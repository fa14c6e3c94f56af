"""What benchmarks and experiments share: images, repetitions, peak memory, records of results."""

from __future__ import annotations

import ctypes
import json
import math
import os
import statistics
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np

import kernas.kernels as kk
import kernas.search as ks
from kernas.files import write_whole
from kernas.kernels.architecture import Layer
from kernas.search.runs.environment import device, versions

HE = 2**0.5
SEED = 0

Call = Callable[[], object]


def network(depth: int, head: Layer) -> kk.Architecture:
    """``depth`` times a 3×3 convolution and ReLU, then the head and a dense layer."""
    return kk.serial(*[kk.Conv(3, W_std=HE), kk.Relu()] * depth, head, kk.Dense())


def cifar10(n: int, side: int) -> np.ndarray:
    """Standardised images ``(n, side, side, 3)``, a balanced subset.

    Raises:
        DataError: CIFAR-10 is not in the folder ``KERNAS_DATA``.
    """
    train, _ = kk.load("cifar10", n_train=max(n, 10), n_test=1, image_size=side, seed=SEED)
    return train.x[:n]


def alternating(programs: Mapping[Any, Call], repetitions: int) -> dict[Any, list[float]]:
    """Seconds of each call, all programs once in every repetition, another one first each time.

    Call each program once before: what it compiles is not separated here.
    """
    names = list(programs)
    seconds: dict[Any, list[float]] = {name: [] for name in names}
    for repetition in range(repetitions):
        first = repetition % len(names)
        for name in names[first:] + names[:first]:
            seconds[name].append(timed(programs[name])[0])
    return seconds


def timed(call: Callable[[], Any]) -> tuple[float, Any]:
    """Seconds of a call, and what it returned."""
    start = time.perf_counter()
    result = call()
    return time.perf_counter() - start, result


def per_pair(seconds: list[float], pairs: int) -> dict[str, float]:
    """Median, least and greatest milliseconds a pair."""
    values = {"median": statistics.median(seconds), "least": min(seconds), "greatest": max(seconds)}
    return {f"{name}_ms": 1e3 * value / pairs for name, value in values.items()}


class Watched(ks.Local):
    """Execution in this process that says when each result is there.

    Args:
        seen: called after each.
    """

    def __init__(self, seen: Callable[[], object]) -> None:
        self.seen = seen

    def map(self, task: Any, items: Iterable[Any]) -> Iterator[Any]:
        """Results in the order of the items."""
        for result in super().map(task, items):
            yield result
            self.seen()


def resident_peak() -> int:
    """The most bytes this process held resident.

    Linux hands ``ru_maxrss`` of a parent down to the program it starts, so there it is read from
    ``VmHWM``.
    """
    status = _status()
    if "VmHWM" in status:
        return status["VmHWM"]
    import resource  # Windows has none.

    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def resident() -> int:
    """The bytes that this process holds resident now, as Linux counts them.

    Raises:
        OSError: the system does not say.
    """
    status = _status()
    if "VmRSS" not in status:
        raise OSError("resident memory is read from /proc/self/status, which only Linux has")
    return status["VmRSS"]


def device_peak() -> int:
    """The most bytes held at a time: of the device where JAX counts them, else resident ones."""
    counted = jax.devices()[0].memory_stats()
    return counted["peak_bytes_in_use"] if counted else resident_peak()


def peak_live_bytes(call: Call) -> int | None:
    """The most bytes that a call, made before, holds at a time beyond those held already.

    Of the device where JAX counts them; on Linux without, what the process holds resident, after
    the allocator gave back what is free; elsewhere ``None``.
    """
    device = jax.devices()[0]
    counted = device.memory_stats()
    if counted:
        # The device's own peak cannot be set back: it is that of the largest call so far.
        call()
        return device.memory_stats()["peak_bytes_in_use"]
    if not _status():
        return None
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
    Path("/proc/self/clear_refs").write_text("5")
    before = _status()["VmHWM"]
    call()
    return _status()["VmHWM"] - before


def _status() -> dict[str, int]:
    """Sizes in bytes that Linux keeps of this process; empty elsewhere."""
    path = Path("/proc/self/status")
    lines = path.read_text().splitlines() if path.exists() else []
    sizes = (line.split() for line in lines if line.endswith(" kB"))
    return {name.rstrip(":"): int(size) * 1024 for name, size, _ in sizes}


def processor() -> dict[str, Any]:
    """The processor's name and how many of its cores this process may use."""
    path = Path("/proc/cpuinfo")
    lines = path.read_text().splitlines() if path.exists() else []
    name = next((line.split(":")[1].strip() for line in lines if line.startswith("model n")), None)
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return {"name": name, "cores": usable}


def report(result: dict[str, Any], path: Path | None) -> None:
    """Print a result as one JSON line, and keep it in a file if there is one to keep it in.

    Numbers that are not finite are ``null``, as JSON has them.
    """
    plain = _finite(result)
    print(json.dumps(plain))
    if path is not None:
        write_whole(path, (json.dumps(plain, indent=1) + "\n").encode())


def _finite(value: Any) -> Any:
    """JSON values with ``None`` in place of what is not finite."""
    if isinstance(value, Mapping):
        return {key: _finite(inside) for key, inside in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(inside) for inside in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def record_of(script: str) -> Path:
    """The file of a script's record: beside it, of an accelerator with its platform's name."""
    path = Path(script)
    platform = jax.devices()[0].platform
    return path.with_name(path.stem + ("" if platform == "cpu" else f"_{platform}") + ".json")


def environment() -> dict[str, Any]:
    """Device, processor and versions, for the record."""
    return {"device": device(), "processor": processor(), "versions": versions()}
