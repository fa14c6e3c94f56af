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
from typing import Any

from kernas.errors import ConfigurationError, KernasError, MissingDependencyError
from kernas.files import Location, is_url
from kernas.places import Folder, Place, place_of

from .base import Executor, Item, Result, Task
from .processes import TRIES, Raised, answered, jax_settings, result_of, shares, taken

AHEAD = 2
"""Items that a worker has at a time: one that it runs, and one that it need not wait for."""

REFRESH_SECONDS = 1.0
"""How often nodes are looked for that have joined."""

PATIENCE_SECONDS = 120.0
"""How long there may be no worker at all."""

Probe = tuple[str, str]
"""A place, and the name of what was put there."""

PACKAGES = ("kernas", "jax", "jaxlib", "numpy")
"""Those whose versions a worker must share, so that it computes what this process would."""


@dataclass
class WorkerRate:
    """What a worker has done.

    Attributes:
        node: the address of its node.
        items: that it has run.
        seconds: that they took.
    """

    node: str
    items: int = 0
    seconds: float = 0.0


class RayExecutor(Executor):
    """Workers on every node of a Ray cluster: one for each share of its cores, or of its GPUs.

    A node that joins has workers after a second. What is lost with a node or a worker is run again:
    of a node that is lost as often as need be, of a worker that dies on a node that lives once
    more, as :class:`Processes` does. A worker reads the task once; a worker whose packages are of
    other versions, or that does not see a folder the task writes into, ends the execution before
    it has begun.

    Args:
        address: ``HOST:PORT`` of a cluster that this machine belongs to, ``"auto"`` for the one
            whose node runs here; ``None`` starts one of this machine alone, which lets nobody in
            who has not this user's token, and which ends with the session.
        cpus: cores of a worker, >= 1.
        gpus: GPUs of a worker; with 0 workers are those of the cores.

    Attributes:
        rates: of each worker what it has done, since the executor was made.
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
        self.rates: list[WorkerRate] = []
        self.repeated = 0

    @contextmanager
    def session(self) -> Iterator[None]:
        """Stay connected meanwhile; a cluster that was started for it ends with it.

        Raises:
            ConfigurationError: no cluster answers.
        """
        if _ray().is_initialized():  # by whoever surrounds this
            yield
            return
        self._connect()
        try:
            yield
        finally:
            _ray().shutdown()

    def map(self, task: Task[Item, Result], items: Iterable[Item]) -> Iterator[Result]:
        """Results as they come. An interruption loses the items that are being run.

        Raises:
            ConfigurationError: no cluster answers, or one of its nodes has other versions or does
                not see a folder of the task.
            KernasError: there is no worker for two minutes.
        """
        with self.session():
            yield from self._mapped(task, items)

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

    def _mapped(self, task: Task[Any, Any], items: Iterable[Any]) -> Iterator[Any]:
        source, again = iter(items), deque[tuple[Any, int]]()
        first = taken(source, again)
        if first is None:
            return
        again.append(first)
        with _probed(getattr(task, "folders", ())) as probes:
            # Its own pickle takes classes of a script by value, which workers have not imported.
            crew = _Crew(self, _ray().cloudpickle.dumps(task), probes)
            try:
                while True:
                    crew.look_for_nodes()
                    for worker in crew.with_room():
                        item = taken(source, again)
                        if item is None:
                            break
                        worker.run(*item)
                    if not crew.is_busy():
                        if not again and crew.is_there():
                            return
                        crew.wait_for_workers()
                        continue
                    for call in crew.ended():
                        if isinstance(call.answer, _Lost):
                            if call.tries < TRIES:
                                again.append((call.item, call.tries))
                            else:
                                yield task.failed(call.item, call.answer.message)
                        else:
                            yield result_of(call.answer)
            except GeneratorExit:
                raise  # nobody takes what is left
            except BaseException:
                for call in crew.ended(timeout=0.0, at_most=None):
                    if not isinstance(call.answer, _Lost | Raised):
                        yield call.answer
                raise
            finally:
                crew.end()


@dataclass(frozen=True)
class _Lost:
    """In place of an answer: who was to give it is gone."""

    message: str = ""


@dataclass
class _Call:
    """An item that a worker was asked for.

    Attributes:
        item: the item; ``None`` for its first word.
        tries: how often the item was run, this time counted.
        answer: what became of it.
    """

    item: Any
    tries: int
    answer: Any = None


@dataclass
class _Worker:
    """An actor, and what it was asked for.

    Attributes:
        actor: Ray's handle.
        place: its node, and which of the node's workers it is.
        calls: by Ray's references, in order; the first one is being run.
        rate: what it has done; ``None`` before its first word.
    """

    actor: Any
    place: tuple[str, int]
    host: str
    calls: dict[Any, _Call] = field(default_factory=dict)
    rate: WorkerRate | None = None

    def run(self, item: Any, tries: int) -> None:
        self.calls[self.actor.run.remote(item)] = _Call(item, tries + 1)


class _Crew:
    """The workers of one execution."""

    def __init__(self, executor: RayExecutor, task: bytes, probes: Sequence[Probe]) -> None:
        self.executor, self.probes = executor, list(probes)
        self.ray = _ray()
        self.actors = self.ray.remote(_Actor)
        self.task = self.ray.put(task)
        self.settings = jax_settings()
        self.workers: dict[tuple[str, int], _Worker] = {}
        self.looked = self.seen = time.monotonic()
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
                ).remote(self.task, self.settings, place[1], number)
                worker = _Worker(actor, place, node["NodeManagerHostname"])
                worker.calls[actor.first_word.remote(self.probes)] = _Call(None, 0)
                self.workers[place] = worker

    def _nodes(self) -> list[dict[str, Any]]:
        return [node for node in self.ray.nodes() if node["Alive"]]

    def with_room(self) -> Iterator[_Worker]:
        """Those that an item can be given to, each as often as it has room, in turns."""
        for length in range(AHEAD):
            for worker in list(self.workers.values()):
                if worker.rate is not None and len(worker.calls) <= length:
                    yield worker

    def is_busy(self) -> bool:
        """Whether a worker has an item."""
        return any(call.item is not None for call in self._calls().values())

    def _calls(self) -> dict[Any, _Call]:
        return {ref: call for worker in self.workers.values() for ref, call in worker.calls.items()}

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

    def ended(self, timeout: float = REFRESH_SECONDS, at_most: int | None = 1) -> Iterator[_Call]:
        """Calls with their answers, those of workers that are gone too; waits for the first."""
        refs = list(self._calls())
        if not refs:
            return
        ready, _ = self.ray.wait(refs, num_returns=at_most or len(refs), timeout=timeout)
        for ref in ready:
            worker = next((w for w in self.workers.values() if ref in w.calls), None)
            if worker is None:  # gone with another one of its calls
                continue
            try:
                seconds, answer = self.ray.get(ref)
            except (self.ray.exceptions.RayActorError, self.ray.exceptions.ObjectLostError) as gone:
                yield from self._lost(worker, gone)
                continue
            call = worker.calls.pop(ref)
            if call.item is None:
                self._welcome(worker, answer)
                continue
            assert worker.rate is not None
            worker.rate.items += 1
            worker.rate.seconds += seconds
            call.answer = answer
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
        self.executor.rates.append(worker.rate)

    def _lost(self, worker: _Worker, why: Exception) -> Iterator[_Call]:
        """The items of a worker that is gone; the one that it ran counts as tried, unless its node
        is gone.

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
        calls = [call for call in worker.calls.values() if call.item is not None]
        self.executor.repeated += bool(calls)
        for number, call in enumerate(calls):
            if number or not node_lives:
                call.tries -= 1
            call.answer = _Lost(
                f"the worker that computed it died {call.tries} times, the last time on "
                f"{worker.host}, as it does where memory runs out; give fewer workers a node, or "
                "fewer or smaller images"
            )
            yield call

    def end(self) -> None:
        """End all; what they are running is lost."""
        for worker in self.workers.values():
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

    def run(self, item: Any) -> tuple[float, Any]:
        """The seconds that an item took, and its result or what it raised."""
        start = time.perf_counter()
        answer = answered(self.task, item)
        return time.perf_counter() - start, answer


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
        yield [(str(_whole(place)), stack.enter_context(place.probe())) for place in places]


def _whole(place: Place) -> Location:
    """Its location as all processes have to know it, whatever folder they work in."""
    return place.location.absolute() if isinstance(place, Folder) else place.location


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
