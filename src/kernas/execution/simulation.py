"""A simulation of ``ray.py`` in discrete events: who hands out what, when, and who is lost.

What happens is in a heap by its time. The driver does one thing at a time, and as long as a worker
has room and there is an item it hands out, before it takes an answer. The store takes what is
written in the order in which it comes.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import IntEnum

import numpy as np

from kernas.errors import ConfigurationError

from .costs import Cluster, Work, check_calls_end


@dataclass(frozen=True)
class Simulated:
    """What happened, by :func:`simulate`.

    Attributes:
        seconds: until the driver had the last answer.
        workers, calls: how many there were; calls that were run again count once.
        computing: seconds of all workers together at items, those that were lost included.
        wasted: of them those at calls that were lost.
        driving: seconds in which the driver was at work.
        storing: seconds in which the store was at work.
        tail: seconds to the end since a worker first had nothing to do because no items were left.
        failures: workers that were lost.
        repeated: items of calls that a worker was at when it was lost, and that were run again.
    """

    seconds: float
    workers: int
    calls: int
    computing: float
    wasted: float
    driving: float
    storing: float
    tail: float
    failures: int
    repeated: int

    @property
    def busy(self) -> dict[str, float]:
        """The share of the time in which each part was at work; of workers their mean."""
        return {
            "workers": self.computing / (self.workers * self.seconds),
            "driver": self.driving / self.seconds,
            "store": self.storing / self.seconds,
        }

    @property
    def efficiency(self) -> float:
        """Seconds of computing that came to something, over those of all workers."""
        return (self.computing - self.wasted) / (self.workers * self.seconds)


class _Event(IntEnum):
    """What happens."""

    READY = 0  # a worker has started
    ARRIVED = 1  # a call is there
    COMPUTED = 2  # and has been run
    WRITTEN = 3  # and its items are in the store
    FREE = 4  # the driver has done one thing
    LOST = 5  # a worker
    NOTICED = 6  # its loss


_HANDED_OUT, _ANSWER, _FIRST_WORD = -1, 0, 1
"""What the driver has done when it is free."""


@dataclass
class _Worker:
    """One worker.

    Attributes:
        factor: of its items' seconds.
        start: seconds that it takes to start.
        life: how often it was lost; what happens in an earlier life does not happen.
        given: calls that it has not finished, in order.
        waiting: those of them that have come and are not begun.
        asked: calls that the driver has no answer of.
        at: the call that it is at.
        since: when it began to compute that.
        computes: whether it does, or waits for the store or for a call.
        ready: whether it is there.
    """

    factor: float
    start: float
    life: int = 0
    given: deque[int] = field(default_factory=deque)
    waiting: deque[int] = field(default_factory=deque)
    asked: int = 0
    at: int | None = None
    since: float = 0.0
    computes: bool = False
    ready: bool = False


def simulate(
    work: Work, cluster: Cluster, seed: int = 0, *, seconds: np.ndarray | None = None
) -> Simulated:
    """Run work on a cluster that is not there.

    A worker that has started says so, which takes the driver as long as an answer, and is given
    calls then. The items of a call are written at its end, one after the other; then its worker
    goes on. A worker that is lost loses all calls that it has, also those that it has not begun:
    each is run again from its first item. Equal arguments give equal results.

    Args:
        work: the items.
        cluster: who does them.
        seed: of their seconds and of the failures.
        seconds: of each item on a worker of factor 1, shape ``(items,)``, > 0; ``None`` draws
            them, lognormal with ``work``'s mean and spread.

    Returns:
        What happened; 10⁶ calls take some ten seconds.

    Raises:
        ConfigurationError: ``seconds`` are not those of all items, or workers fail too often for a
            call to end.
    """
    return _Simulation(work, cluster, np.random.default_rng(seed), seconds).run()


class _Simulation:
    """One simulation."""

    def __init__(
        self,
        work: Work,
        cluster: Cluster,
        rng: np.random.Generator,
        seconds: np.ndarray | None,
    ) -> None:
        self.cluster, self.rng = cluster, rng
        each, batch = _seconds(work, rng, seconds), cluster.batch(work)
        starts = np.arange(0, work.items, batch)
        self.lasting: list[float] = np.add.reduceat(each, starts).tolist()
        self.sizes: list[int] = np.diff(starts, append=work.items).tolist()
        longest = max(self.lasting) * max(cluster.factors)
        check_calls_end(longest, cluster.failures_an_hour)
        self.write = cluster.write_seconds(work)
        self.half = cluster.call_seconds / 2
        self.workers = [
            _Worker(factor, start)
            for factor, start in zip(
                cluster.of_workers(cluster.factors),
                cluster.of_workers(cluster.start_seconds),
                strict=True,
            )
        ]
        self.events: list[tuple[float, int, _Event, int, int, int]] = []
        self.number = 0
        self.next = 0
        self.again: deque[int] = deque()
        self.answers: deque[tuple[int, int, int]] = deque()
        self.rooms: list[deque[tuple[int, int]]] = [deque() for _ in range(cluster.ahead)]
        self.driver_busy = False
        self.store_free = 0.0
        self.done = 0
        self.computing = self.wasted = self.driving = self.storing = 0.0
        self.failures = self.repeated = 0
        self.idle_since: float | None = None

    def run(self) -> Simulated:
        """Until the driver has all answers."""
        for number, worker in enumerate(self.workers):
            self._at(worker.start, _Event.READY, number)
        now = 0.0
        while self.done < len(self.lasting):
            now, _, event, number, life, call = heapq.heappop(self.events)
            if event is _Event.FREE:
                self.driver_busy = False
                self._taken(number, life, call)
            elif event is _Event.NOTICED:
                self.again.append(call)
            elif life == self.workers[number].life:
                self._happens(now, event, number, call)
            # First all that happens at this time: a worker that comes is not given what another one
            # that comes with it would have.
            if not self.driver_busy and not (self.events and self.events[0][0] <= now):
                self._drive(now)
        tail = 0.0 if self.idle_since is None else now - self.idle_since
        return Simulated(
            now, len(self.workers), len(self.lasting), self.computing, self.wasted,
            self.driving, self.storing, tail, self.failures, self.repeated,
        )  # fmt: skip

    def _at(
        self, time: float, event: _Event, worker: int, call: int = -1, life: int | None = None
    ) -> None:
        life = self.workers[worker].life if life is None else life
        self.number += 1  # of two at one time the first that was known of comes first
        heapq.heappush(self.events, (time, self.number, event, worker, life, call))

    def _happens(self, now: float, event: _Event, number: int, call: int) -> None:
        worker = self.workers[number]
        if event is _Event.ARRIVED:
            worker.waiting.append(call)
            if worker.at is None:
                self._begin(now, number)
        elif event is _Event.COMPUTED:
            worker.computes = False
            self.computing += now - worker.since
            if not self.write:
                self._happens(now, _Event.WRITTEN, number, call)
                return
            seconds = self.write * self.sizes[call]
            self.store_free = max(now, self.store_free) + seconds
            self.storing += seconds
            self._at(self.store_free, _Event.WRITTEN, number, call)
        elif event is _Event.WRITTEN:
            worker.given.popleft()
            worker.at = None
            self.answers.append((number, worker.life, _ANSWER))
            if worker.waiting:
                self._begin(now, number)
            elif not worker.given:
                self._is_idle(now)
        elif event is _Event.READY:
            worker.ready = True
            self.answers.append((number, worker.life, _FIRST_WORD))
            if self.cluster.failures_an_hour:
                lives = self.rng.exponential(3600 / self.cluster.failures_an_hour)
                self._at(now + lives, _Event.LOST, number)
            self._is_idle(now)
        elif event is _Event.LOST:
            self._loses(now, number)

    def _begin(self, now: float, number: int) -> None:
        worker = self.workers[number]
        worker.at = call = worker.waiting.popleft()
        worker.since, worker.computes = now, True
        self._at(now + worker.factor * self.lasting[call], _Event.COMPUTED, number, call)

    def _loses(self, now: float, number: int) -> None:
        worker, cluster = self.workers[number], self.cluster
        self.failures += 1
        if worker.at is not None:
            self.repeated += self.sizes[worker.at]
            spent = worker.factor * self.lasting[worker.at]
            if worker.computes:
                spent = now - worker.since
                self.computing += spent
            self.wasted += spent
        for call in worker.given:
            self._at(now + cluster.notice_seconds, _Event.NOTICED, number, call)
        worker.life += 1
        worker.given, worker.waiting = deque(), deque()
        worker.asked, worker.at, worker.computes, worker.ready = 0, None, False, False
        self._at(now + cluster.repair_seconds + worker.start, _Event.READY, number)

    def _taken(self, number: int, life: int, what: int) -> None:
        """The driver has done something; after an answer or a first word there may be room."""
        self.done += what == _ANSWER
        worker = self.workers[number]
        if what != _HANDED_OUT and life == worker.life:
            worker.asked -= what == _ANSWER
            self.rooms[worker.asked].append((number, life))

    def _drive(self, now: float) -> None:
        """What the driver does next, if there is something; all of it if that takes no time."""
        while self.answers and not self.half:
            self._taken(*self.answers.popleft())
        while self._has_items():
            number = next(self._with_room(), None)
            if number is None:
                break
            self._hand_out(now, number)
            if self.half:
                return
        if self.answers:
            self._busy(now, *self.answers.popleft())

    def _hand_out(self, now: float, number: int) -> None:
        if self.again:
            call = self.again.popleft()
        else:
            call, self.next = self.next, self.next + 1
        worker = self.workers[number]
        worker.given.append(call)
        worker.asked += 1
        if worker.asked < self.cluster.ahead:
            self.rooms[worker.asked].append((number, worker.life))
        self._at(now + self.half, _Event.ARRIVED, number, call)
        if self.half:
            self._busy(now, number, worker.life, _HANDED_OUT)
        if self.idle_since is None and not self._has_items():  # else nobody is looked at
            unused = any(one.ready and not one.given for one in self.workers)
            self.idle_since = now if unused else None

    def _busy(self, now: float, number: int, life: int, what: int) -> None:
        self.driver_busy = True
        self.driving += self.half
        self._at(now + self.half, _Event.FREE, number, what, life)

    def _with_room(self) -> Iterator[int]:
        """Those that a call can be given to, first who has fewest; the others have been popped."""
        for asked, room in enumerate(self.rooms):
            while room:
                number, life = room.popleft()
                worker = self.workers[number]
                if life == worker.life and worker.asked == asked:
                    yield number

    def _has_items(self) -> bool:
        return bool(self.again) or self.next < len(self.lasting)

    def _is_idle(self, now: float) -> None:
        """A worker has nothing to do: because nothing is left?"""
        if self.idle_since is None and not self._has_items():
            self.idle_since = now


def _seconds(work: Work, rng: np.random.Generator, given: np.ndarray | None) -> np.ndarray:
    """Of each item on a worker of factor 1."""
    if given is not None:
        given = np.asarray(given, float)
        if given.shape != (work.items,) or not (np.isfinite(given) & (given > 0)).all():
            raise ConfigurationError(
                f"seconds of shape {given.shape}: expected {work.items} positive numbers, one for "
                "each item"
            )
        return given
    if not work.spread:
        return np.full(work.items, work.seconds)
    variance = np.log1p(work.spread**2)
    return rng.lognormal(np.log(work.seconds) - variance / 2, np.sqrt(variance), work.items)
