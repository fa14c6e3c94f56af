"""Execution in several processes of this machine, each with its share of the cores."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import signal
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from tempfile import TemporaryDirectory
from typing import Any

from kernas.errors import ConfigurationError, KernasError
from kernas.program_cache import SETTINGS, programs_are_kept, programs_kept

from .base import Executor, Item, Result, Task

TRIES = 2
"""How often an item is run whose process dies."""

JAX_SETTINGS = ("jax_enable_x64", "jax_platforms", *SETTINGS)
"""What a worker takes over from this process: precision, device, and the cache of programs."""


class Processes(Executor):
    """So many worker processes, which run items side by side.

    On Linux each may use its share of the cores that this process may use. A script that starts
    them has its work under ``if __name__ == "__main__":``, as with all of Python's processes.

    Args:
        workers: >= 1.

    Raises:
        ConfigurationError: there are none.
    """

    def __init__(self, workers: int) -> None:
        if isinstance(workers, bool) or not isinstance(workers, int) or workers < 1:
            raise ConfigurationError(f"workers={workers!r}: expected an integer >= 1")
        self.workers = workers
        self._crew: _Crew | None = None

    @contextmanager
    def session(self) -> Iterator[None]:
        """Keep what is compiled meanwhile where workers find it: in the cache of compiled programs
        if there is one, or else in a folder that goes afterwards."""
        with self._staying():
            if programs_are_kept():
                yield
                return
            with TemporaryDirectory(prefix="kernas-programs-") as folder, programs_kept(folder):
                yield

    @contextmanager
    def _staying(self) -> Iterator[_Crew]:
        """The workers of this session, or of this call alone."""
        if self._crew is not None:
            yield self._crew
            return
        self._crew = _Crew(self.workers)
        try:
            yield self._crew
        finally:
            crew, self._crew = self._crew, None
            crew.end()

    def map(self, task: Task[Item, Result], items: Iterable[Item]) -> Iterator[Result]:
        """Results as they come. An interruption loses the items that are being run."""
        source, again = iter(items), deque[tuple[Any, int]]()
        running: list[_Worker] = []
        with self._staying() as crew:
            crew.begin(_Start(pickle.dumps(task), jax_settings()))
            try:
                while True:
                    while len(running) < self.workers:
                        item = taken(source, again)
                        if item is None:
                            break
                        worker = crew.worker()
                        worker.run(*item)
                        running.append(worker)
                    if not running:
                        return
                    for worker in _ready(running):
                        running.remove(worker)
                        answer = worker.answer()
                        if answer is None:
                            crew.lost(worker)
                            if worker.tries < TRIES:
                                again.append((worker.item, worker.tries))
                            else:
                                yield task.failed(worker.item, worker.death())
                        else:
                            crew.idle.append(worker)
                            yield result_of(answer)
            except GeneratorExit:
                raise  # nobody takes what is left
            except BaseException:
                for worker in running:
                    answer = worker.answer() if worker.connection.poll() else None
                    if answer is not None and not isinstance(answer, Raised):
                        yield answer
                raise
            finally:
                for worker in running:
                    worker.end()
                    crew.lost(worker)


class _Crew:
    """Worker processes that stay from one call of :meth:`Processes.map` to the next, as long as the
    task is the same.

    Attributes:
        idle: those that have nothing to run.
    """

    def __init__(self, workers: int) -> None:
        self.workers = workers
        self.idle: list[_Worker] = []
        self._start: _Start | None = None
        self._cores: deque[set[int]] = shares(workers)

    def begin(self, start: _Start) -> None:
        """Have workers for this task; those of another one end."""
        if start != self._start:
            self.end()
            self._start, self._cores = start, shares(self.workers)

    def worker(self) -> _Worker:
        """One that is idle, or a new one."""
        if self.idle:
            return self.idle.pop()
        assert self._start is not None
        return self._start.worker(self._cores.popleft())

    def lost(self, worker: _Worker) -> None:
        """Another one may have its cores."""
        self._cores.append(worker.cores)

    def end(self) -> None:
        """End those that are idle."""
        while self.idle:
            self.idle.pop().end()


def taken(source: Iterator[Any], again: deque[tuple[Any, int]]) -> tuple[Any, int] | None:
    """An item and how often it was run already; ``None`` if there is no other."""
    if again:
        return again.popleft()
    for item in source:
        return item, 0
    return None


def _ready(running: list[_Worker]) -> list[_Worker]:
    """Those that have something to say, or have died; waits for the first one."""
    found = wait([worker.connection for worker in running])
    return [worker for worker in running if worker.connection in found]


def result_of(answer: Any) -> Any:
    """What a worker has answered.

    Raises:
        Exception: what the task raised there.
    """
    if isinstance(answer, Raised):
        raise answer.error
    return answer


@dataclass
class Raised:
    """What a task raised in a worker."""

    error: Exception


class _Worker:
    """A process, and the item that it runs."""

    def __init__(self, process: Any, connection: Connection, cores: set[int]) -> None:
        self.process, self.connection, self.cores = process, connection, cores
        self.item: Any = None
        self.tries = 0

    def run(self, item: Any, tries: int) -> None:
        self.item, self.tries = item, tries + 1
        with suppress(OSError):  # it has died: waiting for its answer says so
            self.connection.send(item)

    def answer(self) -> Any:
        """What it sends; ``None`` if it has died."""
        try:
            return self.connection.recv()
        except (EOFError, OSError):
            self.process.join()
            return None

    def death(self) -> str:
        code = self.process.exitcode
        how = f"signal {-code}" if code is not None and code < 0 else f"exit code {code}"
        return (
            f"the process that computed it died {self.tries} times ({how}), as it does where "
            "memory runs out; give fewer workers, or fewer or smaller images"
        )

    def end(self) -> None:
        """End it; what it is running is lost."""
        self.connection.close()
        self.process.terminate()
        self.process.join()


@dataclass(frozen=True)
class _Start:
    """How workers begin.

    Attributes:
        task: pickled, so that a worker has its settings before it reads it.
        settings: of JAX.
    """

    task: bytes
    settings: Mapping[str, Any]

    def worker(self, cores: set[int]) -> _Worker:
        context = multiprocessing.get_context("spawn")
        mine, theirs = context.Pipe()
        process = context.Process(
            target=_work, args=(theirs, self.task, dict(self.settings)), daemon=True
        )
        with _affinity(cores):  # which the process inherits
            process.start()
        theirs.close()
        return _Worker(process, mine, cores)


@contextmanager
def _affinity(cores: set[int]) -> Iterator[None]:
    """Let this thread use some cores only, where the system knows of that."""
    if not cores:
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def shares(workers: int) -> deque[set[int]]:
    """The cores of each worker; of more workers than cores several have the same one."""
    if not hasattr(os, "sched_getaffinity"):
        return deque(set() for _ in range(workers))
    cores = sorted(os.sched_getaffinity(0))
    return deque(set(cores[n::workers]) or {cores[n % len(cores)]} for n in range(workers))


def jax_settings() -> dict[str, Any]:
    """JAX's settings of this process that its workers take over."""
    import jax

    return {name: getattr(jax.config, name) for name in JAX_SETTINGS}


def _work(connection: Connection, task: bytes, settings: Mapping[str, Any]) -> None:
    """What a worker process does: items in, results out, until nobody sends any."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # whoever started it ends it
    import jax

    for name, value in settings.items():
        jax.config.update(name, value)
    own: Task[Any, Any] = pickle.loads(task)
    while True:
        try:
            item = connection.recv()
        except EOFError:
            return
        try:
            connection.send(answered(own, item))
        except BrokenPipeError:
            return


def answered(task: Task[Any, Any], item: Any) -> Any:
    """The result of an item, or what it raised."""
    try:
        return task.begin(item)()
    except Exception as error:
        return Raised(error if _can_be_sent(error) else KernasError(str(error)))


def _can_be_sent(error: Exception) -> bool:
    try:
        return str(pickle.loads(pickle.dumps(error))) == str(error)
    except Exception:
        return False
