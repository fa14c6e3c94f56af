"""What a driver, a worker's start and a store take on this machine, and real executions on Ray.

``cluster_simulation.py`` predicts the executions from the rest of it.
"""

from __future__ import annotations

import os
import random
import sys
import time
import warnings
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from itertools import count
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any, cast
from unittest.mock import patch

import numpy as np
from benchmarks.measuring import network
from running import RUNS

import kernas.kernels as kk
from kernas.execution import RayExecutor
from kernas.execution import ray as executor_module
from kernas.kernels.engine import Blocking
from kernas.kernels.gram.fill import TileTask
from kernas.kernels.gram.request import requested

A_NODE = 8
"""Workers of a node of the stand-in."""


@dataclass(frozen=True)
class Span:
    """When and where an item was run.

    Attributes:
        item: its number.
        worker: the process.
        start, end: on a clock that all processes of a machine share.
    """

    item: int
    worker: int
    start: float
    end: float

    @property
    def seconds(self) -> float:
        """How long."""
        return self.end - self.start

    def since(self, start: float) -> Span:
        """On a clock that begins then."""
        return Span(self.item, self.worker, self.start - start, self.end - start)


@dataclass(frozen=True)
class Wait:
    """A task that waits.

    Attributes:
        seconds: for each item; of more items than these the first ones come again.
    """

    seconds: tuple[float, ...]

    def begin(self, item: int) -> Callable[[], int]:
        """Wait."""
        time.sleep(self.seconds[item % len(self.seconds)])
        return lambda: item

    def failed(self, item: int, message: str) -> int:
        """Nothing of this dies."""
        raise RuntimeError(message)


@dataclass(frozen=True)
class Timed:
    """Another task, of which the result is when and where it ran.

    Attributes:
        task: the task.
    """

    task: Any

    def begin(self, item: int) -> Callable[[], Span]:
        """Run an item."""
        start = time.monotonic()
        self.task.begin(item)()
        end = time.monotonic()
        return lambda: Span(item, os.getpid(), start, end)

    def failed(self, item: int, message: str) -> Span:
        """As the task says."""
        self.task.failed(item, message)
        raise RuntimeError(message)


@dataclass(frozen=True)
class Execution:
    """A real execution.

    Attributes:
        seconds: from when it was asked for to the last result.
        spans: of its items, from its beginning.
    """

    seconds: float
    spans: list[Span]

    def by_worker(self) -> list[list[Span]]:
        """The items of each worker in order, those of who began first before."""
        found: dict[int, list[Span]] = {}
        for span in sorted(self.spans, key=lambda span: span.start):
            found.setdefault(span.worker, []).append(span)
        return list(found.values())

    def starts(self) -> list[float]:
        """Seconds until each worker began."""
        return [spans[0].start for spans in self.by_worker()]


@contextmanager
def cluster_of(workers: int) -> Iterator[RayExecutor]:
    """An executor in a process that is connected to a cluster of one node with so many declared
    cores; each of its calls of ``map`` has workers of its own."""
    from ray import cloudpickle
    from ray.cluster_utils import Cluster

    ray: Any = import_module("ray")
    cloudpickle.register_pickle_by_value(sys.modules[__name__])  # no worker has this folder
    head = {"num_cpus": workers, "include_dashboard": False}
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "os.fork")  # of JAX; what is forked becomes Ray's
        cluster = Cluster(initialize_head=True, head_node_args=head)
    try:
        ray.init(address=cluster.address, log_to_driver=False, logging_level="error")
        yield RayExecutor(cluster.address)
    finally:
        ray.shutdown()
        cluster.shutdown()


def executed(executor: RayExecutor, task: Any, items: Iterable[int]) -> Execution:
    """Run a task; of a sequence, short items go many at a time."""
    start = time.monotonic()
    spans = [span.since(start) for span in executor.map(Timed(task), items)]
    return Execution(time.monotonic() - start, spans)


def started(executor: RayExecutor, workers: int, seconds: float) -> Execution:
    """One whose items wait, that goes on until every worker has had three of them."""
    seen: dict[int, int] = {}
    start = time.monotonic()
    spans: list[Span] = []

    def items() -> Iterator[int]:
        for number in count():
            if len(seen) == workers and min(seen.values()) >= 3:
                return
            yield number

    for span in executor.map(Timed(Wait((seconds,))), items()):
        seen[span.worker] = seen.get(span.worker, 0) + 1
        spans.append(span.since(start))
    return Execution(time.monotonic() - start, spans)


def usual_starts(executor: RayExecutor, workers: int, seconds: float) -> list[float]:
    """Seconds until each worker begins, whose items wait. Not of a cluster's first execution, which
    finds processes that Ray has started beforehand."""
    started(executor, workers, seconds)
    return started(executor, workers, seconds).starts()


def calls_of(executor: RayExecutor, number: int) -> dict[str, float]:
    """Seconds a call of items that take none: as they come, and of the driver's thread alone."""
    results = executor.map(Wait((0.0,)), iter(range(number + 10)))  # each by itself
    for _ in range(10):
        next(results)
    wall, own = time.perf_counter(), time.thread_time()
    assert sum(1 for _ in results) == number
    return {
        "seconds": (time.perf_counter() - wall) / number,
        "of_the_thread": (time.thread_time() - own) / number,
    }


# --- a driver of many workers ---------------------------------------------------------------------


class OneProcess:
    """Ray as the executor uses it, all of whose workers are objects of this process.

    First words come first, and then any call may be the next that has ended: it is run when its
    answer is taken. So what a call takes is the executor's own doing, without Ray's.

    Args:
        workers: how many, on nodes of eight.
    """

    def __init__(self, workers: int) -> None:
        from ray import cloudpickle, exceptions

        self.cloudpickle, self.exceptions = cloudpickle, exceptions
        self.alive = [
            {
                "NodeID": f"{first:056x}",
                "NodeManagerHostname": "here",
                "Alive": True,
                "Resources": {"CPU": min(A_NODE, workers - first)},
            }
            for first in range(0, workers, A_NODE)
        ]
        self.random = random.Random(0)
        self.first_words: deque[Any] = deque()

    def is_initialized(self) -> bool:
        """Whoever asks need not connect."""
        return True

    def nodes(self) -> list[dict[str, Any]]:
        """All of them, alive."""
        return self.alive

    def put(self, value: Any) -> Any:
        """What ``get`` and actors are given."""
        return value

    def remote(self, of: type) -> _Class:
        """What makes actors."""
        return _Class(of, self)

    def wait(
        self, refs: Sequence[Any], *, num_returns: int = 1, timeout: float | None = None
    ) -> tuple[list[Any], list[Any]]:
        """One of them; a look that waits for none finds none more."""
        if timeout == 0:
            return [], list(refs)
        if self.first_words:
            return [self.first_words.popleft()], list(refs)
        return [refs[self.random.randrange(len(refs))]], list(refs)

    def get(self, ref: Any) -> Any:
        """The answer."""
        return ref()

    def kill(self, actor: Any) -> None:
        """Nothing goes on."""


@dataclass(frozen=True)
class _Class:
    of: type
    ray: OneProcess

    def options(self, **_: Any) -> _Class:
        return self

    def remote(self, *arguments: Any) -> _Actor:
        return _Actor(self.of(*arguments), self.ray)


@dataclass(frozen=True)
class _Actor:
    actor: Any
    ray: OneProcess

    def __getattr__(self, name: str) -> _Method:
        return _Method(getattr(self.actor, name), self.ray)


@dataclass(frozen=True)
class _Method:
    method: Callable[..., Any]
    ray: OneProcess

    def remote(self, *arguments: Any) -> Callable[[], Any]:
        def answer() -> Any:
            return self.method(*arguments)

        if self.method.__name__ == "first_word":
            self.ray.first_words.append(answer)
        return answer


def own_calls(workers: int, number: int) -> float:
    """Seconds that the executor itself spends on a call where there are so many workers."""
    one = OneProcess(workers)
    with (
        patch.object(executor_module, "_ray", lambda: one),
        patch.object(os, "sched_setaffinity", lambda *_: None, create=True),  # of this process
    ):
        executor = RayExecutor()
        results = executor.map(Wait((0.0,)), count())
        while len(executor.rates) < workers:
            next(results)
        start = time.perf_counter()
        for _ in range(number):
            next(results)
        seconds = time.perf_counter() - start
        cast(Any, results).close()
    return seconds / number


def waits(pending: Sequence[int], repetitions: int = 20) -> dict[int, float]:
    """Seconds of Ray's ``wait`` for one of so many calls, of which one has ended, and of another
    look at the others, as the executor has it."""
    ray: Any = import_module("ray")

    class Sleeper:
        def run(self) -> None:
            time.sleep(3600)

    done = ray.put(None)
    sleeper = ray.remote(Sleeper).options(num_cpus=0).remote()
    refs = [sleeper.run.remote() for _ in range(max(pending))]
    found = {}
    for number in pending:
        some = [*refs[: number - 1], done]
        seconds = []
        for _ in range(repetitions):
            start = time.perf_counter()
            ready, rest = ray.wait(some, timeout=60.0)
            ray.wait(rest, num_returns=len(rest), timeout=0.0)
            seconds.append(time.perf_counter() - start)
            assert ready == [done]
        found[number] = median(seconds)
    ray.kill(sleeper)
    return found


# --- a store --------------------------------------------------------------------------------------


def store_speed(files: int, megabytes: int) -> dict[str, float]:
    """Files a second, written aside and moved into place as tiles are, and bytes a second that
    have come to the disk."""
    RUNS.mkdir(exist_ok=True)
    with TemporaryDirectory(dir=RUNS) as folder:
        start = time.perf_counter()
        for number in range(files):
            aside = Path(folder, f"{number}.partial")
            aside.write_bytes(bytes(4096))
            aside.replace(Path(folder, str(number)))
        of_files = time.perf_counter() - start
        part = np.random.default_rng(0).bytes(2**20)
        start = time.perf_counter()
        with Path(folder, "large").open("wb") as large:
            for _ in range(megabytes):
                large.write(part)
            large.flush()
            os.fsync(large.fileno())
        of_bytes = time.perf_counter() - start
    return {"files_a_second": files / of_files, "bandwidth": megabytes * 2**20 / of_bytes}


# --- tiles ----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Tiles:
    """The tiles of a small matrix, and what computes them.

    Attributes:
        task: on their numbers.
        pairs: of images, of each tile.
    """

    task: TileTask
    pairs: np.ndarray


def tiles(folder: Path, n: int, side: int, tile_side: int) -> Tiles:
    """Of the NTK of five convolutions and a global pool, for images of random pixels.

    Args:
        folder: of the store, a new one.
        n: images.
        side: of an image, in pixels.
        tile_side: images on each side of a tile.
    """
    # Fixed, so that no worker measures it.
    kernel = kk.NeuralKernel(
        network(5, kk.GlobalAvgPool()), get="ntk", blocking=Blocking("planes", lanes=16)
    )
    x = np.random.default_rng(0).standard_normal((n, side, side, 3))
    request = requested(kernel, x, None, folder, tile_side)
    store = request.opened()
    return Tiles(TileTask(request, store.path), np.array([tile.pairs for tile in store.grid()]))
