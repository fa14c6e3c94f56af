"""The simulation of a cluster against sums and products that need no simulation."""

import heapq
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kernas.errors import ConfigurationError
from kernas.execution import Cluster, Work, simulate

ONE: Any = {"batch_seconds": 0.0}
"""A call is an item."""


def test_one_worker_takes_the_sum_of_its_items():
    seconds = np.random.default_rng(0).lognormal(size=50)
    found = simulate(Work(50, 1.0), Cluster(1, **ONE), seconds=seconds)
    assert found.seconds == pytest.approx(seconds.sum())
    assert found.busy["workers"] == pytest.approx(1)
    assert found.tail == 0
    slow = Cluster(1, factors=(3.0,), start_seconds=(7.0,), batch_seconds=5.0)
    assert simulate(Work(50, 1.0), slow, seconds=seconds).seconds == pytest.approx(
        7 + 3 * seconds.sum()
    )


@pytest.mark.parametrize(("items", "workers"), [(1, 1), (10, 3), (12, 3), (5, 8), (999, 100)])
@pytest.mark.parametrize("ahead", [1, 2, 3])
def test_equal_items_go_in_rounds(items, workers, ahead):
    found = simulate(Work(items, 2.0), Cluster(workers, ahead=ahead, **ONE))
    rounds = math.ceil(items / workers)
    assert found.seconds == pytest.approx(2 * rounds)
    assert found.tail == pytest.approx(0 if items % workers == 0 else 2.0)
    assert found.efficiency == pytest.approx(items / (workers * rounds))


def test_who_comes_first_is_given_one_item_and_more_once_they_are_short():
    """Of two long items the second is left for another worker that comes soon."""
    cluster = Cluster(2, start_seconds=(0.0, 0.5), **ONE)
    assert simulate(Work(2, 1.0), cluster).seconds == pytest.approx(1.5)
    # Of three short ones the first worker has the last two at once, and the other comes too late.
    for ahead, seconds in {1: 0.25, 2: 0.3}.items():
        late = Cluster(2, start_seconds=(0.0, 0.15), ahead=ahead, **ONE)
        assert simulate(Work(3, 0.1), late).seconds == pytest.approx(seconds)


def test_items_travel_in_batches():
    """Of one item, of ten while there are many, and of fewer in the end."""
    work, cluster = Work(1_000, 0.1), Cluster(4, batch_seconds=1.0, driver_seconds=1e-3)
    found = simulate(work, cluster)
    assert cluster.batch(work) == 10
    assert found.calls == pytest.approx(cluster.calls(work), abs=4)
    assert 1_000 / 10 < found.calls < 1_000 / 5
    # A call, and a worker's first word.
    assert found.driving == pytest.approx((found.calls + 4 / 2) * 1e-3)
    assert found.computing == pytest.approx(1_000 * 0.1)
    assert found.tail <= 2 * 0.1 + 1e-9  # of items, and not of batches
    one_by_one = Cluster(4, **ONE)
    assert simulate(work, one_by_one).calls == one_by_one.calls(work) == 1_000


@pytest.mark.parametrize("items", [1, 7, 8, 9, 16, 100, 1_000, 12_345])
@pytest.mark.parametrize("seconds", [0.001, 0.1, 0.3, 0.6, 2.0])
@pytest.mark.parametrize("workers", [1, 4])
def test_calls_are_counted_without_a_simulation(items, seconds, workers):
    """But for the answers that come while the first calls are handed out."""
    work, cluster = Work(items, seconds), Cluster(workers)
    found = simulate(work, cluster).calls
    assert found == pytest.approx(cluster.calls(work), abs=2 * workers, rel=0.1)


def test_a_driver_that_looks_at_many_calls_takes_what_has_come_meanwhile():
    """So it looks less often, and is not what binds."""
    work, cluster = Work(5_000, 1.0, spread=0.3), Cluster(100, driver_seconds_a_worker=1e-3, **ONE)
    found = simulate(work, cluster)
    assert found.busy["driver"] > 0.8
    assert found.driving / 0.1 < 0.2 * found.calls
    assert found.seconds < 1.1 * simulate(work, Cluster(100, **ONE)).seconds


@given(items=st.integers(1, 40), workers=st.integers(1, 6), seed=st.integers(0, 10**6))
@settings(deadline=None)
def test_who_is_free_first_has_the_next_item(items, workers, seed):
    """With one call a worker and a driver that takes no time it is list scheduling."""
    rng = np.random.default_rng(seed)
    seconds, factors, starts = (
        rng.uniform(low, high, n) for low, high, n in ((0.1, 9, items), (0.5, 4, 3), (0, 20, 6))
    )
    free = [(starts[k], k) for k in range(workers)]
    heapq.heapify(free)
    last = 0.0
    for item in seconds:
        since, k = heapq.heappop(free)
        end = since + factors[k % 3] * item
        last = max(last, end)
        heapq.heappush(free, (end, k))
    cluster = Cluster(workers, factors=list(factors), start_seconds=list(starts), ahead=1, **ONE)
    found = simulate(Work(items, 1.0), cluster, seconds=seconds)
    assert found.seconds == pytest.approx(last)


@given(
    items=st.integers(1, 60),
    workers=st.integers(1, 7),
    ahead=st.integers(1, 3),
    driver=st.floats(0, 0.5),
    written=st.floats(0, 2),
    seed=st.integers(0, 9),
)
@settings(deadline=None)
def test_work_is_neither_lost_nor_made(items, workers, ahead, driver, written, seed):
    """Seconds of each part add up, and the whole lies between what must be and what may be."""
    seconds = np.random.default_rng(seed).uniform(0.2, 3, items)
    cluster = Cluster(workers, ahead=ahead, driver_seconds=driver, bandwidth=1.0, **ONE)
    found = simulate(Work(items, 1.0, bytes=written), cluster, seconds=seconds)
    assert found.computing == pytest.approx(seconds.sum())
    assert found.driving == pytest.approx((items + workers / 2) * driver)
    assert found.storing == pytest.approx(items * written)
    assert (found.failures, found.repeated, found.wasted) == (0, 0, 0)
    least = max(seconds.sum() / workers, seconds.max() + written + driver, found.driving)
    most = seconds.sum() + found.driving + found.storing
    assert max(least, found.storing) - 1e-9 <= found.seconds <= most + 1e-9
    assert 0 <= found.tail <= found.seconds


def test_a_slow_driver_takes_its_seconds_for_every_call():
    found = simulate(Work(500, 1.0), Cluster(20, driver_seconds=0.1, **ONE))
    # It is without work only while the first item, or the last one, is being run.
    least = (500 + 20 / 2) * 0.1
    assert least - 1e-9 <= found.seconds <= least + 2 * 1.0
    assert found.busy["driver"] > 0.95


@pytest.mark.parametrize(
    ("store", "seconds"),
    [({"bandwidth": 1e6}, 300 * 1e5 / 1e6), ({"files_a_second": 4.0}, 300 / 4)],
)
def test_a_slow_store_takes_its_bytes_and_files(store, seconds):
    found = simulate(Work(300, 1.0, bytes=1e5), Cluster(100, **store, **ONE))
    # It waits for the first item, and then has always something to write.
    assert found.seconds == pytest.approx(1 + seconds)
    assert found.busy["store"] > 0.95
    assert simulate(Work(300, 1.0), Cluster(100, **store, **ONE)).storing == 0


def test_a_worker_waits_for_its_own_writing():
    found = simulate(Work(10, 1.0, bytes=1.0), Cluster(1, bandwidth=2.0, **ONE))
    assert found.seconds == pytest.approx(10 * (1 + 0.5))
    assert found.busy["workers"] == pytest.approx(1 / 1.5)


def test_faster_workers_do_more():
    """Four workers, two of them twice as fast, do the work of three."""
    found = simulate(Work(3_000, 1.0), Cluster(4, factors=(1.0, 0.5), **ONE))
    rate = 2 / 1.0 + 2 / 0.5
    assert found.seconds == pytest.approx(3_000 / rate, rel=0.01)


def test_as_many_calls_are_repeated_as_failures_cut_off():
    """A call of c seconds survives with exp(-λ c), and is tried until it does."""
    items, seconds, rate = 4_000, 10.0, 9.0
    found = simulate(
        Work(items, seconds), Cluster(50, failures_an_hour=rate, repair_seconds=5.0, **ONE)
    )
    lost = 1 - math.exp(-rate / 3600 * seconds)
    expected, deviation = items * lost / (1 - lost), math.sqrt(items * lost) / (1 - lost)
    assert abs(found.repeated - expected) < 4 * deviation
    assert found.computing - found.wasted == pytest.approx(items * seconds)
    # A worker is hardly ever without a call, so hardly any failure cuts none off.
    assert found.repeated <= found.failures <= 1.05 * found.repeated + 3


def test_of_a_batch_that_is_lost_each_item_is_run_again():
    work, cluster = Work(4_000, 1.0), Cluster(5, batch_seconds=20.0, failures_an_hour=20.0)
    found = simulate(work, cluster)
    assert found.failures > 5
    assert found.failures < found.repeated <= 20 * found.failures
    assert found.computing - found.wasted == pytest.approx(4_000)
    assert found.wasted <= found.repeated * 1.0


def test_a_worker_that_is_lost_takes_as_long_as_renewal_theory_says():
    """n (exp(λ c) - 1) / λ at work, and repair and start after each of n (exp(λ c) - 1) losses."""
    work, rate = Work(40, 10.0), 1 / 40
    cluster = Cluster(
        1, start_seconds=(3.0,), failures_an_hour=3600 * rate, repair_seconds=8.0, **ONE
    )
    losses = 40 * math.expm1(rate * 10)
    found = np.array([simulate(work, cluster, seed).seconds for seed in range(300)])
    expected = 3 + losses / rate + losses * (8 + 3)
    assert abs(found.mean() - expected) < 4 * found.std() / math.sqrt(300)


def test_a_loss_that_is_noticed_late_is_made_up_late():
    """A worker that is back at once waits for what it was at until its loss is noticed."""
    cluster = Cluster(1, failures_an_hour=300.0, notice_seconds=40.0)
    found = [simulate(Work(1, 10.0), cluster, seed) for seed in range(20)]
    assert sum(one.repeated for one in found) > 5
    for one in found:
        assert one.seconds == pytest.approx(one.computing + 40.0 * one.repeated)


def test_equal_seeds_are_equal_to_the_bit():
    cluster = Cluster(
        9, factors=(1.0, 1.3), driver_seconds=1e-3, bandwidth=1e7, failures_an_hour=30.0
    )
    work = Work(2_000, 0.3, spread=0.7, bytes=1e5)
    assert simulate(work, cluster, 3) == simulate(work, cluster, 3)
    assert simulate(work, cluster, 3) != simulate(work, cluster, 4)


def test_seconds_are_drawn_with_mean_and_spread():
    found = simulate(Work(200_000, 2.0, spread=0.5), Cluster(1, batch_seconds=1e6))
    assert found.seconds / 200_000 == pytest.approx(2.0, abs=4 * 1.0 / math.sqrt(200_000))
    times = [simulate(Work(1, 2.0, spread=0.5), Cluster(1), seed).seconds for seed in range(2_000)]
    assert np.std(times) == pytest.approx(1.0, rel=0.15)


@pytest.mark.parametrize("seconds", [[1.0], [1.0, 0.0], [1.0, math.nan], [[1.0, 1.0]]])
def test_seconds_of_other_items_are_refused(seconds):
    with pytest.raises(ConfigurationError, match="expected 2 positive numbers"):
        simulate(Work(2, 1.0), Cluster(1), seconds=np.array(seconds))


def test_calls_that_never_end_are_refused():
    with pytest.raises(ConfigurationError, match="hardly ever ends: give smaller tiles"):
        simulate(Work(2, 3600.0), Cluster(1, failures_an_hour=10.0))


def test_ten_thousand_workers_and_a_million_items():
    """In batches of a second."""
    cluster = Cluster(10_000, driver_seconds=1e-4, failures_an_hour=0.1, repair_seconds=60.0)
    found = simulate(Work(10**6, 0.02, spread=0.3), cluster)
    assert 20_000 < found.calls < 200_000
    assert found.seconds >= 2
    assert found.computing - found.wasted == pytest.approx(20_000, rel=0.01)
