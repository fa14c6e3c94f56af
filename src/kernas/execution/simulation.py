"""A simulation of ``ray.py`` in discrete events: who hands out what, when, and who is lost.

What happens is in a heap by its time. The driver does one thing at a time, as ``RayExecutor`` does:
it hands out while a worker has room and there are items; then it looks at all calls and takes the
answers of those that have ended, one after the other. The store takes what is written in the order
in which it comes.
"""

from __future__ import annotations

import heapq
import math
from collections import deque
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
        workers: how many there were.
        calls: that the driver handed out, those again that were lost.
        computing: seconds of all workers together at items, those that were lost included.
        wasted: of them those at calls that were lost.
        driving: seconds in which the driver was at work; looking at all calls is counted.
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


class _Deed(IntEnum):
    """What the driver has done when it is free."""

    HANDED_OUT = 0
    LOOKED = 1
    TOOK_ANSWER = 2
    TOOK_FIRST_WORD = 3


_Items = tuple[int, int]
"""Of a call, from the first one to before the last one."""

_NONE: _Items = (0, 0)


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
        pace: seconds of an item of the last call that the driver has an answer of.
    """

    factor: float
    start: float
    life: int = 0
    given: deque[_Items] = field(default_factory=deque)
    waiting: deque[_Items] = field(default_factory=deque)
    asked: int = 0
    at: _Items | None = None
    since: float = 0.0
    computes: bool = False
    ready: bool = False
    pace: float = math.inf


def simulate(
    work: Work, cluster: Cluster, seed: int = 0, *, seconds: np.ndarray | None = None
) -> Simulated:
    """Run work on a cluster that is not there.

    A worker that has started says so, which takes the driver as long as an answer, and is given
    calls then. A call has as many items as last ``batch_seconds`` at the pace of the worker's last
    call, and no more than half of the worker's share of those that are left; the first calls have
    one. Items are written at the end of their call, one after the other; then the worker goes on.
    A worker that is lost loses all calls that it has, also those that it has not begun, and their
    items are run again, each by itself. Equal arguments give equal results.

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


_Answer = tuple[int, int, _Deed, _Items]
"""Whose, in which life, whether it is a first word, and of what."""


class _Simulation:
    """One simulation."""

    def __init__(
        self,
        work: Work,
        cluster: Cluster,
        rng: np.random.Generator,
        seconds: np.ndarray | None,
    ) -> None:
        self.cluster, self.rng, self.items = cluster, rng, work.items
        each = _seconds(work, rng, seconds)
        longest = max(float(each.max()) * max(cluster.factors), cluster.longest_batch(work))
        check_calls_end(longest, cluster.failures_an_hour)
        self.until: list[float] = np.concatenate([[0.0], np.cumsum(each)]).tolist()
        self.write = cluster.write_seconds(work)
        self.half, self.look = cluster.driver_seconds / 2, cluster.look_seconds
        self.workers = [
            _Worker(factor, start)
            for factor, start in zip(
                cluster.of_workers(cluster.factors),
                cluster.of_workers(cluster.start_seconds),
                strict=True,
            )
        ]
        self.events: list[tuple[float, int, _Event, int, int, _Deed, _Items]] = []
        self.number = 0
        self.next = 0
        self.again: deque[int] = deque()
        self.answers: deque[_Answer] = deque()
        self.found: deque[_Answer] = deque()
        self.rooms: list[deque[tuple[int, int]]] = [deque() for _ in range(cluster.ahead)]
        self.driver_busy = False
        self.store_free = 0.0
        self.done = self.calls = 0
        self.computing = self.wasted = self.driving = self.storing = 0.0
        self.failures = self.repeated = 0
        self.idle_since: float | None = None

    def run(self) -> Simulated:
        """Until the driver has all answers."""
        for number, worker in enumerate(self.workers):
            self._at(worker.start, _Event.READY, number)
        now = 0.0
        while self.done < self.items:
            now, _, event, number, life, deed, call = heapq.heappop(self.events)
            if event is _Event.FREE:
                self.driver_busy = False
                self._did(number, life, deed, call)
            elif event is _Event.NOTICED:
                self.again.extend(range(*call))
            elif life == self.workers[number].life:
                self._happens(now, event, number, call)
            # First all that happens at this time: a worker that comes is not given what another one
            # that comes with it would have.
            if not self.driver_busy and not (self.events and self.events[0][0] <= now):
                self._drive(now)
        tail = 0.0 if self.idle_since is None else now - self.idle_since
        return Simulated(
            now, len(self.workers), self.calls, self.computing, self.wasted,
            self.driving, self.storing, tail, self.failures, self.repeated,
        )  # fmt: skip

    def _at(
        self,
        time: float,
        event: _Event,
        worker: int,
        call: _Items = _NONE,
        life: int | None = None,
        deed: _Deed = _Deed.HANDED_OUT,
    ) -> None:
        life = self.workers[worker].life if life is None else life
        self.number += 1  # of two at one time the first that was known of comes first
        heapq.heappush(self.events, (time, self.number, event, worker, life, deed, call))

    # --- what workers and the store do ---

    def _happens(self, now: float, event: _Event, number: int, call: _Items) -> None:
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
            seconds = self.write * (call[1] - call[0])
            self.store_free = max(now, self.store_free) + seconds
            self.storing += seconds
            self._at(self.store_free, _Event.WRITTEN, number, call)
        elif event is _Event.WRITTEN:
            worker.given.popleft()
            worker.at = None
            self.answers.append((number, worker.life, _Deed.TOOK_ANSWER, call))
            if worker.waiting:
                self._begin(now, number)
            elif not worker.given:
                self._is_idle(now)
        elif event is _Event.READY:
            worker.ready = True
            self.answers.append((number, worker.life, _Deed.TOOK_FIRST_WORD, call))
            if self.cluster.failures_an_hour:
                lives = self.rng.exponential(3600 / self.cluster.failures_an_hour)
                self._at(now + lives, _Event.LOST, number)
            self._is_idle(now)
        elif event is _Event.LOST:
            self._loses(now, number)

    def _lasts(self, worker: _Worker, call: _Items) -> float:
        return worker.factor * (self.until[call[1]] - self.until[call[0]])

    def _begin(self, now: float, number: int) -> None:
        worker = self.workers[number]
        worker.at = call = worker.waiting.popleft()
        worker.since, worker.computes = now, True
        self._at(now + self._lasts(worker, call), _Event.COMPUTED, number, call)

    def _loses(self, now: float, number: int) -> None:
        worker, cluster = self.workers[number], self.cluster
        self.failures += 1
        if worker.at is not None:
            self.repeated += worker.at[1] - worker.at[0]
            spent = self._lasts(worker, worker.at)
            if worker.computes:
                spent = now - worker.since
                self.computing += spent
            self.wasted += spent
        for call in worker.given:
            self._at(now + cluster.notice_seconds, _Event.NOTICED, number, call)
        self.workers[number] = _Worker(worker.factor, worker.start, worker.life + 1)
        self._at(now + cluster.repair_seconds + worker.start, _Event.READY, number)

    # --- what the driver does ---

    def _drive(self, now: float) -> None:
        """What the driver does next, if there is something; all of it that takes no time."""
        while not self.driver_busy:
            if self.found:
                self._does(now, self.half, *self.found.popleft())
            elif self._has_items() and (number := self._with_room()) is not None:
                self._hand_out(now, number)
            elif self.answers:
                self._does(now, self.look, 0, 0, _Deed.LOOKED, _NONE)
            else:
                return

    def _does(
        self, now: float, seconds: float, number: int, life: int, deed: _Deed, call: _Items
    ) -> None:
        if not seconds:
            self._did(number, life, deed, call)
            return
        self.driver_busy = True
        self.driving += seconds
        self._at(now + seconds, _Event.FREE, number, call, life, deed)

    def _did(self, number: int, life: int, deed: _Deed, call: _Items) -> None:
        """After an answer or a first word there is room, if its worker lives."""
        if deed is _Deed.LOOKED:
            self.found, self.answers = self.answers, self.found
        if deed is _Deed.TOOK_ANSWER:
            self.done += call[1] - call[0]
        worker = self.workers[number]
        if deed < _Deed.TOOK_ANSWER or life != worker.life:
            return
        if deed is _Deed.TOOK_ANSWER:
            worker.asked -= 1
            worker.pace = self._lasts(worker, call) / (call[1] - call[0]) + self.write
        if worker.asked < self.cluster.most_calls(worker.pace):
            self.rooms[worker.asked].append((number, life))

    def _hand_out(self, now: float, number: int) -> None:
        worker = self.workers[number]
        call = self._items(worker)
        self.calls += 1
        worker.given.append(call)
        worker.asked += 1
        if worker.asked < self.cluster.most_calls(worker.pace):
            self.rooms[worker.asked].append((number, worker.life))
        self._at(now + self.half, _Event.ARRIVED, number, call)
        self._does(now, self.half, number, worker.life, _Deed.HANDED_OUT, call)
        if self.idle_since is None and not self._has_items():  # else nobody is looked at
            unused = any(one.ready and not one.given for one in self.workers)
            self.idle_since = now if unused else None

    def _items(self, worker: _Worker) -> _Items:
        """Of its next call."""
        if self.again:
            item = self.again.popleft()
            return item, item + 1
        number = self.cluster.at_once(worker.pace, self.items - self.next)
        call = self.next, self.next + number
        self.next += number
        return call

    def _with_room(self) -> int | None:
        """Who can be given a call, first who has fewest."""
        for asked, room in enumerate(self.rooms):
            while room:
                number, life = room.popleft()
                worker = self.workers[number]
                if life == worker.life and worker.asked == asked:
                    return number
        return None

    def _has_items(self) -> bool:
        return bool(self.again) or self.next < self.items

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
