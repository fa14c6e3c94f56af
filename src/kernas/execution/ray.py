"""Execution on the nodes of a Ray cluster: workers come and go with the nodes.

Ray 2 (docs.ray.io, "Actors", "Fault tolerance"): one actor is one process on one node; what it was
asked for and has not answered is lost with it, and its caller is told.
"""

from __future__ import annotations

import os
import pickle
import socket
import sys
import time
import warnings
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from itertools import islice
from typing import Any

from kernas.errors import ConfigurationError, KernasError, MissingDependencyError
from kernas.files import Location, is_url
from kernas.places import place_of

from .base import Executor, Item, Result, Task, WorkerRate
from .processes import TRIES, Raised, answered, jax_settings, result_of, shares, taken

AHEAD = 2
"""Calls that a worker has at a time if they are short: one that it runs, and one that it need not
wait for. Of items that take a second or more it has one: waiting is nothing beside them, and what
one worker has ahead another one lacks in the end."""

BATCH_SECONDS = 1.0
"""How long a worker runs the items that it is given at once."""

REFRESH_SECONDS = 1.0
"""How often nodes are looked for that have joined."""

PATIENCE_SECONDS = 120.0
"""How long there may be no worker at all."""

Probe = tuple[str, str]
"""A place, and the name of what was put there."""
_Batch = list[tuple[Any, int]]
"""Items, and how often each was run."""

PACKAGES = ("kernas", "jax", "jaxlib", "numpy")
"""Those whose versions a worker must share, so that it computes what this process would."""


class RayExecutor(Executor):
    """Workers on every node of a Ray cluster: one for each share of its cores, or of its GPUs.

    A node that joins has workers after a second. What is lost with a node or a worker is run again:
    of a node that is lost as often as need be, of a worker that dies on a node that lives once
    more, each item by itself, as :class:`Processes` does. A worker reads the task once; a worker
    whose packages are of other versions, or that does not see a folder the task writes into, ends
    the execution before it has begun. Workers have their cores until the session ends, so that two
    executors with sessions in one cluster wait for one another.

    Args:
        address: ``HOST:PORT`` of a cluster that this machine belongs to, ``"auto"`` for the one
            whose node runs here; ``None`` starts one of this machine alone, which lets nobody in
            who has not this user's token, and which ends with the session.
        cpus: cores of a worker, >= 1.
        gpus: GPUs of a worker; with 0 workers are those of the cores.

    Attributes:
        repeated: items that a worker was at when it was lost, and that were run again.

    Raises:
        ConfigurationError: a number is out of its range.
        MissingDependencyError: Ray is not installed.

    Whoever may speak to a cluster runs code on its nodes, and its ports are open on all interfaces.
    Ray asks for a token where ``RAY_AUTH_MODE=token`` is set on every node, and encrypts nothing:
    keep the ports within a network that you trust.
    """

    def __init__(self, address: str | None = None, *, cpus: int = 1, gpus: float = 0) -> None:
        if isinstance(cpus, bool) or not isinstance(cpus, int) or cpus < 1:
            raise ConfigurationError(f"cpus={cpus!r}: expected an integer >= 1")
        if isinstance(gpus, bool) or not gpus >= 0:
            raise ConfigurationError(f"gpus={gpus!r}: expected a number >= 0")
        _ray()
        self.address, self.cpus, self.gpus = address, cpus, gpus
        self._rates: list[WorkerRate] = []
        self.repeated = 0
        self._crew: _Crew | None = None
        self._in_session = False

    @contextmanager
    def session(self) -> Iterator[None]:
        """Stay connected meanwhile; a cluster that was started for it ends with it.

        Raises:
            ConfigurationError: no cluster answers.
        """
        if self._in_session:
            yield
            return
        with self._connected():
            self._in_session = True
            try:
                yield
            finally:
                self._in_session = False
                self._dismiss()

    def map(self, task: Task[Item, Result], items: Iterable[Item]) -> Iterator[Result]:
        """Results as they come. An interruption loses the items that are being run.

        Of items that are a sequence a worker is given so many at a time as it runs in a second,
        while there are many; others are given one by one.

        Raises:
            ConfigurationError: no cluster answers, or one of its nodes has other versions or does
                not see a folder of the task.
            KernasError: there is no worker for two minutes.
        """
        with self.session():
            yield from self._mapped(task, _Source(items))

    @property
    def rates(self) -> Sequence[WorkerRate]:
        """What each worker has done, since the executor was made."""
        return self._rates

    def _dismiss(self) -> None:
        """End the workers."""
        if self._crew is not None:
            crew, self._crew = self._crew, None
            crew.end()

    @contextmanager
    def _connected(self) -> Iterator[None]:
        if _ray().is_initialized():  # by whoever surrounds this
            yield
            return
        self._connect()
        try:
            yield
        finally:
            _ray().shutdown()

    def _connect(self) -> None:
        ray = _ray()
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        ray._private.worker._worker_logs_enabled = False  # else it prints on stdout who has died
        quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": "error"}
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "os.fork")  # of JAX; what is forked becomes Ray's
            self._begin(quiet)

    def _begin(self, quiet: Mapping[str, Any]) -> None:
        ray = _ray()
        if self.address is None:
            cores = len(shares(1)[0]) or None
            ray.init(address="local", num_cpus=cores, include_dashboard=False, **quiet)
            return
        _check_reachable(self.address)
        try:
            ray.init(address=self.address, **quiet)
        except Exception as error:
            raise _no_cluster(self.address, error) from None

    def _mapped(self, task: Task[Any, Any], source: _Source) -> Iterator[Any]:
        if not source.has_more():
            return
        crew, has_failed = self._crew_for(task), False
        try:
            while True:
                crew.look_for_nodes()
                while (worker := crew.with_room(alone=source.has_suspect())) and (
                    batch := source.batch(crew.at_once(worker, source.left))
                ):
                    crew.run(worker, batch)
                if not crew.is_busy():
                    if crew.is_there() and not source.has_more():
                        return
                    crew.wait_for_workers()
                    continue
                for call in crew.ended():
                    if isinstance(call.answer, _Lost):
                        for item, tries in call.batch:
                            if tries < TRIES:
                                source.again.append((item, tries))
                            else:
                                yield task.failed(item, call.answer.message(tries))
                    else:
                        for answer in call.answer:
                            yield result_of(answer)
        except GeneratorExit:
            raise  # nobody takes what is left
        except BaseException:
            has_failed = True
            for call in crew.ended(timeout=0.0):
                if not isinstance(call.answer, _Lost):
                    yield from (one for one in call.answer if not isinstance(one, Raised))
            raise
        finally:
            if has_failed:
                self._dismiss()
            else:
                crew.drop_busy()

    def _crew_for(self, task: Task[Any, Any]) -> _Crew:
        """The workers that have this task already, or new ones."""
        # Ray's own pickle takes classes of a script by value, which workers have not imported.
        key = (_ray().cloudpickle.dumps(task), jax_settings())
        if self._crew is not None and self._crew.key != key:
            self._dismiss()
        if self._crew is None:
            self._crew = _Crew(self, key, getattr(task, "folders", ()))
        self._crew.seen = time.monotonic()
        return self._crew


class _Source:
    """Items that are still to be run.

    Args:
        items: a sequence of them is handed out in batches.

    Attributes:
        again: items that were lost, and how often they were run; they go first, one by one.
        left: items of a sequence that nobody was given.
    """

    def __init__(self, items: Iterable[Any]) -> None:
        self.left = len(items) if isinstance(items, Sequence) else None
        self._items = iter(items)
        self.again: deque[tuple[Any, int]] = deque()

    def has_more(self) -> bool:
        """Whether there is an item; takes it, if nobody can say otherwise."""
        if not self.again and (found := self.batch(1)):
            self.again.extend(found)
        return bool(self.again)

    def has_suspect(self) -> bool:
        """Whether the next item was with a worker that died."""
        return bool(self.again) and self.again[0][1] > 0

    def batch(self, at_most: int) -> _Batch:
        """Items, and how often each was run already: none if there are no others.

        Args:
            at_most: so many, of a sequence.
        """
        if self.again or self.left is None:
            item = taken(self._items, self.again)
            return [] if item is None else [item]
        found = [(item, 0) for item in islice(self._items, at_most)]
        self.left -= len(found)
        return found


@dataclass(frozen=True)
class _Lost:
    """In place of answers: who was to give them is gone."""

    host: str

    def message(self, tries: int) -> str:
        return (
            f"the worker that computed it died {tries} times, the last time on {self.host}, as it "
            "does where memory runs out; give fewer workers a node, or fewer or smaller images"
        )


@dataclass
class _Call:
    """What a worker was asked for.

    Attributes:
        worker: who.
        batch: the items, and how often each was run, this time counted; none for its first word.
        answer: what became of each.
    """

    worker: _Worker
    batch: _Batch
    answer: list[Any] | _Lost = field(default_factory=list)


@dataclass(eq=False)
class _Worker:
    """An actor, and what it was asked for.

    Attributes:
        actor: Ray's handle.
        place: its node, and which of the node's workers it is.
        calls: Ray's references, in order; the first one is being run.
        rate: what it has done; ``None`` before its first word.
        pace: seconds that an item took of its last call.
    """

    actor: Any
    place: tuple[str, int]
    host: str
    calls: list[Any] = field(default_factory=list)
    rate: WorkerRate | None = None
    pace: float = float("inf")


class _Crew:
    """The workers that have a task; they stay from one call of :meth:`RayExecutor.map` to the next.

    Nothing here looks through all workers for the sake of one answer.

    Args:
        executor: whose they are.
        key: the task, pickled, and JAX's settings.
        folders: that the task writes into.
    """

    def __init__(
        self,
        executor: RayExecutor,
        key: tuple[bytes, Mapping[str, Any]],
        folders: Iterable[Location],
    ) -> None:
        self.executor, self.key = executor, key
        self.ray = _ray()
        self.actors = self.ray.remote(_Actor)
        self.task = self.ray.put(key[0])
        self.workers: dict[tuple[str, int], _Worker] = {}
        self.calls: dict[Any, _Call] = {}
        self.items_out = 0
        self.rooms: list[dict[_Worker, None]] = [{} for _ in range(AHEAD)]
        self.looked = self.seen = time.monotonic()
        self.ending = ExitStack()
        self.probes = self.ending.enter_context(_probed(folders))
        self._make_workers()

    def look_for_nodes(self) -> None:
        """Workers for nodes that have joined, and for those that have died."""
        if time.monotonic() - self.looked >= REFRESH_SECONDS:
            self._make_workers()

    def _make_workers(self) -> None:
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        self.looked = time.monotonic()
        of = self.executor
        for node in self._nodes():
            name, resources = node["NodeID"], node["Resources"]
            number = int(resources.get("CPU", 0) // of.cpus)
            if of.gpus:
                number = min(number, int(resources.get("GPU", 0) // of.gpus))
            for place in ((name, n) for n in range(number) if (name, n) not in self.workers):
                actor = self.actors.options(
                    num_cpus=of.cpus,
                    num_gpus=of.gpus,
                    scheduling_strategy=NodeAffinitySchedulingStrategy(name, soft=False),
                ).remote(self.task, self.key[1], place[1], number)
                worker = _Worker(actor, place, node["NodeManagerHostname"])
                self.workers[place] = worker
                self._expect(actor.first_word.remote(self.probes), _Call(worker, []))

    def _nodes(self) -> list[dict[str, Any]]:
        return [node for node in self.ray.nodes() if node["Alive"]]

    def with_room(self, *, alone: bool) -> _Worker | None:
        """Who has the fewest calls, if anybody has room for another.

        Args:
            alone: whether it must have none: of what a worker was asked for nobody knows what it
                died of, so each of that is run by itself when it is run again.
        """
        rooms = self.rooms[:1] if alone else self.rooms
        return next((worker for room in rooms for worker in room), None)

    def at_once(self, worker: _Worker, left: int | None) -> int:
        """How many items it is given."""
        if left is None:
            return 1
        return items_at_once(worker.pace, left, len(self.workers), BATCH_SECONDS)

    def run(self, worker: _Worker, batch: _Batch) -> None:
        """Ask for items."""
        ref = worker.actor.run.remote([item for item, _ in batch])
        self._expect(ref, _Call(worker, [(item, tries + 1) for item, tries in batch]))

    def _expect(self, ref: Any, call: _Call) -> None:
        self._leave_room(call.worker)
        call.worker.calls.append(ref)
        self.calls[ref] = call
        self.items_out += len(call.batch)
        self._enter_room(call.worker)

    def _answered(self, ref: Any) -> _Call:
        call = self.calls.pop(ref)
        self._leave_room(call.worker)
        call.worker.calls.remove(ref)
        self.items_out -= len(call.batch)
        return call

    def _enter_room(self, worker: _Worker) -> None:
        is_alone = any(tries > 1 for ref in worker.calls for _, tries in self.calls[ref].batch[:1])
        most = AHEAD if worker.pace < BATCH_SECONDS and not is_alone else 1
        if worker.rate is not None and len(worker.calls) < most:
            self.rooms[len(worker.calls)][worker] = None

    def _leave_room(self, worker: _Worker) -> None:
        if len(worker.calls) < AHEAD:
            self.rooms[len(worker.calls)].pop(worker, None)

    def is_busy(self) -> bool:
        """Whether a worker has an item."""
        return self.items_out > 0

    def is_there(self) -> bool:
        """Whether a worker has said its first word, so that it was asked for what there is."""
        return any(worker.rate is not None for worker in self.workers.values())

    def wait_for_workers(self) -> None:
        """Until something changes.

        Raises:
            KernasError: there is no worker for long.
        """
        if not self.is_there() and time.monotonic() - self.seen > PATIENCE_SECONDS:
            of = self.executor
            wanted = f"{of.cpus} cores" + (f" and {of.gpus:g} GPUs" if of.gpus else "")
            raise KernasError(
                f"no worker with {wanted} in the Ray cluster for {PATIENCE_SECONDS:.0f} s; what "
                "was finished is kept: add nodes, or ask for less a worker, and go on"
            )
        if not self.workers:
            time.sleep(REFRESH_SECONDS)
        for _ in self.ended():
            pass

    def ended(self, timeout: float = REFRESH_SECONDS) -> Iterator[_Call]:
        """Calls with their answers, those of workers that are gone too; waits for the first."""
        refs = list(self.calls)
        ready, rest = self.ray.wait(refs, timeout=timeout) if refs else ([], [])
        if ready and rest:
            ready += self.ray.wait(rest, num_returns=len(rest), timeout=0.0)[0]
        for ref in ready:
            if ref not in self.calls:  # gone with another call of its worker
                continue
            try:
                seconds, answer = self.ray.get(ref)
            except (self.ray.exceptions.RayActorError, self.ray.exceptions.ObjectLostError) as gone:
                yield from self._lost(self.calls[ref].worker, gone)
                continue
            call = self._answered(ref)
            worker = call.worker
            if not call.batch:
                self._welcome(worker, answer)
            else:
                assert worker.rate is not None
                worker.rate.items += len(answer)
                worker.rate.seconds += seconds
                worker.pace = seconds / len(answer)
                call.answer = answer
            self._enter_room(worker)
            if call.batch:
                yield call

    def _welcome(self, worker: _Worker, word: Mapping[str, Any]) -> None:
        """Take a worker on.

        Raises:
            ConfigurationError: it has other versions, or does not see a folder.
        """
        own = versions()
        for name, found in word["versions"].items():
            if found != own[name]:
                raise ConfigurationError(
                    f"the node {worker.host} has {name} {found} and this process {own[name]}: "
                    "install the same on all nodes"
                )
        for location, why in word["missing"]:
            way = (
                "give the node what this process has of packages, endpoint and credentials"
                if is_url(location)
                else "give a folder on a file system that all nodes share, under the same path"
            )
            raise ConfigurationError(f"the node {worker.host} does not see {location}{why}: {way}")
        worker.rate = WorkerRate(worker.host)
        self.executor._rates.append(worker.rate)

    def _lost(self, worker: _Worker, why: Exception) -> Iterator[_Call]:
        """The items of a worker that is gone; they count as tried, unless its node is gone.

        Raises:
            ConfigurationError: it could not even begin.
        """
        del self.workers[worker.place]
        if worker.rate is not None:  # so there was one until now
            self.seen = time.monotonic()
        node_lives = worker.place[0] in {node["NodeID"] for node in self._nodes()}
        if isinstance(why, self.ray.exceptions.ActorUnavailableError):  # before its node is missed
            node_lives = False
            self.ray.kill(worker.actor)
        if worker.rate is None and node_lives:
            reason = str(why).strip().splitlines()[-1][:300]
            raise ConfigurationError(
                f"a worker of the node {worker.host} cannot begin ({reason}): install there what "
                "this process has"
            ) from None
        calls = [call for call in map(self._answered, list(worker.calls)) if call.batch]
        self._leave_room(worker)
        self.executor.repeated += len(calls[0].batch) if calls else 0
        for call in calls:
            if not node_lives:
                call.batch = [(item, tries - 1) for item, tries in call.batch]
            call.answer = _Lost(worker.host)
            yield call

    def drop_busy(self) -> None:
        """End those that still have items, whose answers nobody wants."""
        for call in list(self.calls.values()):
            if call.batch and call.worker.place in self.workers:
                self._end(self.workers.pop(call.worker.place))

    def end(self) -> None:
        """End all; what they are running is lost."""
        for worker in list(self.workers.values()):
            self._end(worker)
        self.workers.clear()
        self.ending.close()

    def _end(self, worker: _Worker) -> None:
        for ref in list(worker.calls):
            self._answered(ref)
        self._leave_room(worker)
        with suppress(Exception):  # the cluster may be what is gone
            self.ray.kill(worker.actor)


class _Actor:
    """What runs in a worker: the task, on one item after the other."""

    def __init__(self, task: bytes, settings: Mapping[str, Any], number: int, of: int) -> None:
        if hasattr(os, "sched_setaffinity"):
            os.sched_setaffinity(0, shares(of)[number])
        import jax

        for name, value in settings.items():
            jax.config.update(name, value)
        self.task: Task[Any, Any] = pickle.loads(task)

    def first_word(self, probes: Sequence[Probe]) -> tuple[float, dict[str, Any]]:
        """The versions of this process, and the probes that it does not see."""
        found = [(str(place), _unseen(place, name)) for place, name in probes]
        missing = [(location, why) for location, why in found if why is not None]
        return 0.0, {"versions": versions(), "missing": missing}

    def run(self, items: Sequence[Any]) -> tuple[float, list[Any]]:
        """The seconds that items took, and their results; what one raised is the last."""
        start = time.perf_counter()
        answers: list[Any] = []
        for item in items:
            answers.append(answered(self.task, item))
            if isinstance(answers[-1], Raised):
                break
        return time.perf_counter() - start, answers


def items_at_once(pace: float, left: int, workers: int, seconds: float) -> int:
    """Items of a call to a worker that takes ``pace`` seconds an item: so many as it runs in
    ``seconds``, and of those that are left at most half of its share."""
    return max(1, min(left // (2 * workers), int(seconds / max(pace, 1e-9) + 1e-9)))


def versions() -> dict[str, str]:
    """What has to be equal in all processes that work together."""
    found = {"python": ".".join(map(str, sys.version_info[:2]))}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "none"
    return found


@contextmanager
def _probed(folders: Iterable[Location]) -> Iterator[list[Probe]]:
    """A probe in each of the folders and URLs, for a while: who sees it shares the place."""
    with ExitStack() as stack:
        places = [place_of(folder) for folder in folders]
        yield [
            (str(place.shared_location()), stack.enter_context(place.probe())) for place in places
        ]


def _unseen(location: str, name: str) -> str | None:
    """Why this process does not see a probe, perhaps without a reason; ``None`` if it does."""
    try:
        return None if next(place_of(location).present([name])) else ""
    except (KernasError, OSError) as error:
        return f" ({error})"


def _check_reachable(address: str) -> None:
    """Refuse at once what Ray would wait a minute for."""
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal() or "/" in host:
        return
    try:
        socket.create_connection((host, int(port)), timeout=5).close()
    except OSError as error:
        raise _no_cluster(address, error) from None


def _no_cluster(address: str, error: Exception) -> ConfigurationError:
    reason = " ".join(str(error).split())[:200]
    return ConfigurationError(
        f"no Ray cluster answers at {address!r} ({reason}): begin one with "
        "`ray start --head --node-ip-address 127.0.0.1`, or leave the address out for one of this "
        "machine alone"
    )


def _ray() -> Any:
    try:
        import ray
        import ray.exceptions
    except ImportError as error:
        raise MissingDependencyError(
            f"work is given to several machines by Ray, which cannot be imported ({error}): "
            "pip install 'kernas[ray]'"
        ) from error
    return ray
