"""Who computes tiles: one thread for each core of a CPU, two for each accelerator.

A tile by plane runs on one core: its planes are too small to share out, so cores take tiles of
their own. On an accelerator a second thread hands over the next tile while the last one runs.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from queue import SimpleQueue
from typing import Any

import jax
import jax.numpy as jnp

Device = Any
"""A ``jax.Device``, which type checkers do not know as a type."""

Task = Callable[[Device], Any]

THREADS_PER_ACCELERATOR = 2


def local_workers() -> tuple[Device, ...]:
    """The device of each worker, over all local devices."""
    devices = jax.local_devices()
    if devices[0].platform != "cpu":
        return tuple(devices) * THREADS_PER_ACCELERATOR
    return tuple(devices) * max(1, _cores() // len(devices))


def _cores() -> int:
    """Those that this process may use."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return cores or 1


def run_tasks(tasks: Iterable[Task], workers: tuple[Device, ...]) -> None:
    """Run tasks, each on a device that is free; the next are made while the last ones run.

    Raises:
        Exception: the first one that a task raised; no task is begun after it.
    """
    if len(workers) == 1:
        for task in tasks:
            task(workers[0])
        return
    free: SimpleQueue[Device] = SimpleQueue()
    for device in workers:
        free.put(device)
    running: set[Future[None]] = set()
    with ThreadPoolExecutor(len(workers)) as pool:
        for task in tasks:
            device = free.get()
            ended = {future for future in running if future.done()}
            for future in ended:
                future.result()
            running -= ended
            running.add(pool.submit(_run, task, device, free, _x64()))
        for future in running:
            future.result()


def begin(tasks: Sequence[Task]) -> Future[None]:
    """Begin tasks that need no device to themselves, as many at a time as there are cores.

    Returns:
        At once; its ``result`` waits for the end of all, and raises the first one's exception.
    """
    free: SimpleQueue[Device] = SimpleQueue()
    with_end = ThreadPoolExecutor(1)
    pool = ThreadPoolExecutor(_cores())
    running = [pool.submit(_run, task, None, free, _x64()) for task in tasks]

    def end() -> None:
        wait(running)
        for future in running:
            future.result()

    ended = with_end.submit(end)
    for executor in (pool, with_end):
        executor.shutdown(wait=False)
    return ended


def _x64() -> bool:
    """Whether JAX computes in float64 here."""
    return jnp.result_type(float) == jnp.float64


def _run(task: Task, device: Device, free: SimpleQueue[Device], x64: bool) -> None:
    try:
        with jax.enable_x64(x64):  # a context of JAX's is its thread's alone
            task(device)
    finally:
        free.put(device)
