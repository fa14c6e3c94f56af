"""What work takes on a cluster: a model in closed form, and what it needs to know of both.

The executor is that of ``ray.py``: one driver hands out calls, each of a batch of items; a worker
has one of them, or ``ahead`` if items are short, runs one after the other, and writes each item
into a store that all share. ``simulation.py`` plays the same, call by call; ``tests/test_costs.py``
compares the two.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist, pstdev
from typing import Any

from kernas.errors import ConfigurationError
from kernas.quantities import duration, size

from .ray import AHEAD, BATCH_SECONDS, items_at_once

START_SECONDS, DRIVER_SECONDS, DRIVER_SECONDS_A_WORKER = 1.0, 5.3e-4, 7.8e-7
BANDWIDTH, FILES_A_SECOND = 5.5e8, 1.5e4
"""What ``experiments/cluster_simulation.py`` measured on two cores: the start of a worker without
compiling, a call, a look at the calls of each worker there is, and a disk."""

MOST_TRIES = 1000.0
"""Tries of a call, on average, beyond which failures leave no time to finish one."""


KEEPING_STEP = 0.25
"""Deviation of the ends of workers' calls, in calls, below which they end in rounds."""


@dataclass(frozen=True)
class Work:
    """Items that are alike, such as the tiles of a matrix.

    Args:
        items: how many, >= 1.
        seconds: that one takes on average, on a worker of factor 1 and without writing, > 0.
        spread: standard deviation of these seconds over their mean, >= 0. They are lognormal.
        bytes: that an item writes, >= 0; with 0 it writes nothing.

    Raises:
        ConfigurationError: a number is out of its range.
    """

    items: int
    seconds: float
    spread: float = 0.0
    bytes: float = 0.0

    def __post_init__(self) -> None:
        _check_count("items", self.items)
        _check("seconds", self.seconds, above=True)
        _check("spread", self.spread)
        _check("bytes", self.bytes)


@dataclass(frozen=True)
class Cluster:
    """A driver, workers and a store. By default all but the workers' computing takes no time.

    Args:
        workers: devices or cores that run items side by side, >= 1.
        factors: of each worker what an item takes there over what it takes on average, > 0; of
            more workers than factors the first ones come again.
        start_seconds: of each worker until it can begin an item, what is compiled included; as
            ``factors``.
        ahead: calls that a worker has at a time, >= 1, once an item has taken it less than
            ``ahead_seconds``; else it has one.
        ahead_seconds: see there.
        batch_seconds: of a call's items at most, if there are several; with 0 a call has one item.
        driver_seconds: that the driver spends on a call: half before, half on the answer; as much
            as on that on the first word of a worker.
        driver_seconds_a_worker: that it spends, for every worker there is, on looking which calls
            have ended. Answers that have come by then are taken before it looks again.
        bandwidth: bytes a second that the store takes from all workers together.
        files_a_second: that it takes from all together; an item is a file.
        failures_an_hour: losses of each worker while it is there.
        notice_seconds: until the driver knows of one, and gives its items to others.
        repair_seconds: until a worker is back, and starts.

    Raises:
        ConfigurationError: a number is out of its range.
    """

    workers: int
    factors: Sequence[float] = (1.0,)
    start_seconds: Sequence[float] = (0.0,)
    ahead: int = AHEAD
    ahead_seconds: float = BATCH_SECONDS
    batch_seconds: float = BATCH_SECONDS
    driver_seconds: float = 0.0
    driver_seconds_a_worker: float = 0.0
    bandwidth: float = math.inf
    files_a_second: float = math.inf
    failures_an_hour: float = 0.0
    notice_seconds: float = 0.0
    repair_seconds: float = 0.0

    def __post_init__(self) -> None:
        _check_count("workers", self.workers)
        _check_count("ahead", self.ahead)
        for name in ("factors", "start_seconds"):
            values = getattr(self, name)
            if not values:
                raise ConfigurationError(f"{name}={values!r}: expected at least one number")
            for value in values:
                _check(name, value, above=name == "factors")
        for name in ("ahead_seconds", "batch_seconds", "driver_seconds", "driver_seconds_a_worker",
                     "failures_an_hour", "notice_seconds", "repair_seconds"):  # fmt: skip
            _check(name, getattr(self, name))
        for name in ("bandwidth", "files_a_second"):
            _check(name, getattr(self, name), above=True, finite=False)

    def most_calls(self, pace: float) -> int:
        """That a worker has at a time if an item has taken it ``pace`` seconds; infinity before."""
        return self.ahead if pace < self.ahead_seconds else 1

    def at_once(self, pace: float, left: int) -> int:
        """Items of a call to a worker that takes ``pace`` seconds an item, as the executor does."""
        return items_at_once(pace, left, self.workers, self.batch_seconds)

    def batch(self, work: Work) -> int:
        """Most items of a call."""
        return self.at_once(work.seconds, work.items)

    def longest_batch(self, work: Work) -> float:
        """Seconds of a call of several items, at most, nearly; 0 if there is none."""
        return self.batch_seconds if self.batch(work) > 1 else 0.0

    def calls(self, work: Work) -> int:
        """Calls of all items that take the same time: the first of each worker have one item, then
        they are as long as may be, and in the end shorter and shorter."""
        calls = min(work.items, self.workers)
        left = work.items - calls
        while (number := self.at_once(work.seconds, left)) > 1:
            until = min(left, 2 * self.workers * number - 1)  # of those that are left, fewer then
            of_these = -(-(left - until) // number) or 1
            calls, left = calls + of_these, left - of_these * number
        return calls + left

    @property
    def look_seconds(self) -> float:
        """That the driver spends on looking which calls have ended."""
        return self.workers * self.driver_seconds_a_worker

    def write_seconds(self, work: Work) -> float:
        """That the store takes for an item: ``max(bytes / bandwidth, 1 / files a second)``."""
        if not work.bytes:
            return 0.0
        return max(work.bytes / self.bandwidth, 1 / self.files_a_second)

    def of_workers(self, values: Sequence[float]) -> list[float]:
        """Of each worker its number, where there are fewer numbers from the first one again."""
        return [values[worker % len(values)] for worker in range(self.workers)]


def measured_cluster(workers: int, compile_seconds: float = 0.0) -> Cluster:
    """A cluster whose driver, start and store are those that were measured on one machine.

    Another network, file system or machine of the driver has other numbers: measure them with
    ``experiments/cluster_simulation.py`` and give them to :class:`Cluster`. Nothing fails.

    Args:
        workers: >= 1.
        compile_seconds: of a worker that begins, beside its start.

    Raises:
        ConfigurationError: a number is out of its range.
    """
    return Cluster(
        workers,
        start_seconds=(START_SECONDS + compile_seconds,),
        driver_seconds=DRIVER_SECONDS,
        driver_seconds_a_worker=DRIVER_SECONDS_A_WORKER,
        bandwidth=BANDWIDTH,
        files_a_second=FILES_A_SECOND,
    )


def check_calls_end(seconds: float, failures_an_hour: float) -> None:
    """Refuse calls that are lost more often than they can be run again.

    Raises:
        ConfigurationError: of ``exp(rate · seconds)`` tries on average only one ends.
    """
    if failures_an_hour * seconds / 3600 > math.log(MOST_TRIES):
        raise ConfigurationError(
            f"a call of {duration(seconds)} on a worker that is lost {failures_an_hour:g} times an "
            "hour hardly ever ends: give smaller tiles, fewer batch_seconds or failures_an_hour"
        )


@dataclass(frozen=True)
class Prediction:
    """What work takes on a cluster, by :func:`predict`.

    Attributes:
        computing: seconds of the workers, side by side, with what failures cost.
        driving: seconds of the driver.
        storing: seconds of the store.
        start: seconds until the workers begin, on average.
        tail: seconds at the end in which some workers have nothing to do.
        workers, calls: how many.
        bytes: that are written.
    """

    computing: float
    driving: float
    storing: float
    start: float
    tail: float
    workers: int
    calls: int
    bytes: float

    @property
    def parts(self) -> dict[str, float]:
        """Seconds of the parts that go on side by side, of which the longest binds."""
        return {"workers": self.computing, "driver": self.driving, "store": self.storing}

    @property
    def seconds(self) -> float:
        """Wall time: ``start + max(computing, driving, storing) + tail``."""
        return self.start + max(self.parts.values()) + self.tail

    @property
    def device_hours(self) -> float:
        """Hours of all workers, busy or not."""
        return self.workers * self.seconds / 3600

    @property
    def bottleneck(self) -> str:
        """What takes most of the wall time: workers, driver, store, start or tail."""
        parts = {**self.parts, "start": self.start, "tail": self.tail}
        return max(parts, key=lambda name: parts[name])

    def __str__(self) -> str:
        told = [f"{name} {duration(seconds)}" for name, seconds in self.parts.items()]
        return (
            f"about {duration(self.seconds)}, {self.device_hours:,.3g} device-hours; bottleneck: "
            f"{self.bottleneck}\n"
            f"side by side {', '.join(told)}; before it start {duration(self.start)}, after it "
            f"tail {duration(self.tail)}; {size(self.bytes)} in the store"
        )


def predict(work: Work, cluster: Cluster) -> Prediction:
    """What work takes on a cluster, in closed form.

    With ``n`` items of ``s`` seconds in ``m`` calls, of at most ``b``; ``W`` workers of factors
    ``f_k``, ``1 / F`` the mean of ``1 / f_k``; ``d`` the driver's seconds of a call, ``w`` the
    store's of an item, ``λ`` failures a second, ``c = F s + w``::

        computing = n c / W · (exp(λ b c) − 1) / (λ b c) · (1 + λ (repair + start))
        driving   = (m + W / 2) d
        storing   = n w
        start     = mean of start_seconds, weighted with 1 / f_k, + W d / 2 where workers bind
        tail      = c where driver or store binds; where workers do and W > 1,
                    c (r + z √(2 spread² + spread of f²)) + (1 − exp(−λ c W)) (notice + c / 2)

    ``(exp(λ b c) − 1) / λ`` are the seconds until a call has once run to its end. Last calls have
    one item. The last round of workers that keep step is ``r = ⌈m / W⌉ − m / W`` short of a whole
    one; of others, whose calls end anywhere in the time of one, ``r = 1/2``. The last of ``W`` is
    ``z`` deviations late (``z`` the mean of the greatest of ``W`` normal numbers, Blom 1958), or
    was lost with its last call. That the driver looks at all calls delays it, and is left out: what
    has come meanwhile is taken together. Parts that go on side by side are taken to hide each other
    entirely: of two that take about as long the sum is somewhat more.

    Returns:
        Mostly within 10% of :func:`~kernas.execution.simulate`, and within 20%, for ten calls or
        more a worker where one part takes at least 1.5 times as long as the others.

    Raises:
        ConfigurationError: workers fail too often for any call to end.
    """
    batch, calls, workers = cluster.batch(work), cluster.calls(work), cluster.workers
    factors, starts = map(cluster.of_workers, (cluster.factors, cluster.start_seconds))
    paces = [1 / factor for factor in factors]
    factor, write = workers / sum(paces), cluster.write_seconds(work)
    start = sum(s * pace for s, pace in zip(starts, paces, strict=True)) / sum(paces)
    rate, item = cluster.failures_an_hour / 3600, factor * work.seconds + write
    check_calls_end(batch * item, cluster.failures_an_hour)
    again = math.expm1(rate * batch * item) / (rate * batch * item) if rate else 1.0
    away = 1 + rate * (cluster.repair_seconds + start)
    computing = work.items * item / workers * again * away
    driving, storing = (calls + workers / 2) * cluster.driver_seconds, work.items * write
    begun, tail = start, item
    if max(driving, storing) <= computing:
        begun += workers * cluster.driver_seconds / 2
        rounds = calls / workers
        of_workers = math.sqrt(sum((f / factor - 1) ** 2 for f in factors) / workers)
        apart = work.spread * math.sqrt(rounds) + of_workers * rounds + pstdev(starts) / item
        keep_step = batch == 1 and apart < KEEPING_STEP
        short = math.ceil(rounds) - rounds if keep_step else 0.5
        late = _greatest(workers) * math.hypot(math.sqrt(2) * work.spread, of_workers)
        lost = -math.expm1(-rate * item * workers)
        tail = item * (short + late) + lost * (cluster.notice_seconds + item / 2)
        tail = tail if workers > 1 else 0.0
    return Prediction(
        computing,
        driving,
        storing,
        begun,
        tail,
        workers,
        calls,
        work.items * work.bytes,
    )


def _greatest(number: int) -> float:
    """Mean of the greatest of so many standard normal numbers, nearly (Blom 1958)."""
    return NormalDist().inv_cdf((number - 0.375) / (number + 0.25))


def _check_count(name: str, value: Any) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ConfigurationError(f"{name}={value!r}: expected an integer >= 1")


def _check(name: str, value: float, *, above: bool = False, finite: bool = True) -> None:
    """Refuse a number that is negative, zero where it has to be ``above`` that, or none."""
    fits = value > 0 if above else value >= 0
    if isinstance(value, bool) or not fits or (finite and not math.isfinite(value)):
        raise ConfigurationError(f"{name}={value!r}: expected a number {'>' if above else '>='} 0")
