"""The cost model in closed form against the simulation, which does not know of it."""

import math
import random
from dataclasses import replace

import pytest

from kernas.errors import ConfigurationError
from kernas.execution import Cluster, Work, predict, simulate

WORK = Work(4_000, 1.0, spread=0.2, bytes=1e5)
IDEAL = Cluster(20)
CLUSTERS = {
    "computing alone": IDEAL,
    "one worker": Cluster(1),
    "a start": replace(IDEAL, start_seconds=(30.0, 60.0)),
    "several speeds": replace(IDEAL, factors=(1.0, 2.0, 0.5)),
    "a busy driver": replace(IDEAL, driver_seconds=0.02),
    "a driver that binds": replace(IDEAL, driver_seconds=0.1),
    "a driver that looks at many calls": replace(IDEAL, driver_seconds_a_worker=0.005),
    "a store that binds by its bytes": replace(IDEAL, bandwidth=1e6),
    "a store that binds by its files": replace(IDEAL, files_a_second=8.0),
    "a store that is waited for": replace(IDEAL, bandwidth=4e6),
    "failures": replace(IDEAL, failures_an_hour=10.0, repair_seconds=20.0, start_seconds=(5.0,)),
    "failures of long calls": replace(IDEAL, batch_seconds=20.0, failures_an_hour=20.0),
    "batches": replace(IDEAL, batch_seconds=10.0),
}


@pytest.mark.parametrize("name", CLUSTERS)
def test_the_model_and_the_simulation_agree(name):
    """Within 10%, ten calls or more a worker and no two parts within a factor of 1.5."""
    cluster = CLUSTERS[name]
    assert cluster.calls(WORK) >= 10 * cluster.workers
    predicted = predict(WORK, cluster)
    *_, second, first = sorted(predicted.parts.values())
    assert first >= 1.5 * second
    simulated = [simulate(WORK, cluster, seed) for seed in range(3)]
    mean = sum(found.seconds for found in simulated) / 3
    assert predicted.seconds == pytest.approx(mean, rel=0.1)
    busiest = max(simulated[0].busy.items(), key=lambda part: part[1])[0]
    assert predicted.bottleneck == busiest


def test_of_random_clusters_nine_in_ten_agree():
    rng = random.Random(0)
    ratios = []
    while len(ratios) < 100:
        workers = rng.choice([1, 3, 10, 40])
        work = Work(int(workers * rng.choice([10, 12.5, 30])), 1.0, rng.choice([0, 0.2, 0.5]), 1e5)
        cluster = Cluster(
            workers,
            factors=rng.choice([(1.0,), (1.0, 1.3, 0.8)]),
            start_seconds=rng.choice([(0.0,), (3.0, 9.0)]),
            batch_seconds=0.0,
            driver_seconds=rng.choice([0, 1e-3, 0.02, 0.1]),
            bandwidth=rng.choice([math.inf, 1e7, 1e6]),
            failures_an_hour=rng.choice([0, 0.05, 5]),
            notice_seconds=rng.choice([0, 5]),
            repair_seconds=10.0,
        )
        predicted = predict(work, cluster)
        *_, second, first = sorted(predicted.parts.values())
        if first >= 1.5 * second:
            found = [simulate(work, cluster, seed).seconds for seed in range(3)]
            ratios.append(3 * predicted.seconds / sum(found))
    assert sum(abs(ratio - 1) < 0.1 for ratio in ratios) >= 90
    assert max(abs(ratio - 1) for ratio in ratios) < 0.2


@pytest.mark.parametrize("workers", [1, 3, 10, 64])
@pytest.mark.parametrize("items", [1, 64, 1_000])
def test_of_equal_items_it_is_exact(workers, items):
    work, cluster = Work(items, 2.0), Cluster(workers, start_seconds=(9.0,), batch_seconds=0)
    assert predict(work, cluster).seconds == pytest.approx(9 + 2 * math.ceil(items / workers))
    assert predict(work, cluster).seconds == pytest.approx(simulate(work, cluster).seconds)


def test_it_names_what_takes_longest():
    for name, part in {
        "computing alone": "workers",
        "a driver that binds": "driver",
        "a driver that looks at many calls": "workers",
        "a store that binds by its bytes": "store",
        "a store that binds by its files": "store",
    }.items():
        assert predict(WORK, CLUSTERS[name]).bottleneck == part
    short = replace(WORK, items=10)
    assert predict(short, CLUSTERS["a start"]).bottleneck == "start"
    assert predict(replace(WORK, items=22, spread=0.3), IDEAL).bottleneck == "tail"


def test_device_hours_bytes_and_calls():
    found = predict(Work(7_200, 1.0, bytes=1e6), Cluster(2, batch_seconds=0.0))
    assert (found.seconds, found.device_hours, found.bytes) == (3_600, 2.0, 7.2e9)
    assert (found.calls, found.workers) == (7_200, 2)
    assert str(found) == (
        "about 60.0 min, 2 device-hours; bottleneck: workers\n"
        "side by side workers 60.0 min, driver 0.0 s, store 0.0 s; before it start 0.0 s, after it "
        "tail 0.0 s; 7.2 GB in the store"
    )


@pytest.mark.parametrize(
    ("of", "said"),
    [
        (lambda: Work(0, 1.0), "items=0: expected an integer >= 1"),
        (lambda: Work(True, 1.0), "items=True: expected an integer"),
        (lambda: Work(1, 0.0), "seconds=0.0: expected a number > 0"),
        (lambda: Work(1, math.inf), "seconds=inf: expected a number > 0"),
        (lambda: Work(1, 1.0, spread=-1.0), "spread=-1.0: expected a number >= 0"),
        (lambda: Work(1, 1.0, bytes=math.nan), "bytes=nan: expected a number >= 0"),
        (lambda: Cluster(0), "workers=0: expected an integer >= 1"),
        (lambda: Cluster(1, ahead=0), "ahead=0: expected an integer >= 1"),
        (lambda: Cluster(1, factors=()), r"factors=\(\): expected at least one number"),
        (lambda: Cluster(1, factors=(1.0, 0.0)), "factors=0.0: expected a number > 0"),
        (lambda: Cluster(1, start_seconds=(-1.0,)), "start_seconds=-1.0: expected a number >= 0"),
        (lambda: Cluster(1, bandwidth=0.0), "bandwidth=0.0: expected a number > 0"),
        (lambda: Cluster(1, driver_seconds=math.inf), "driver_seconds=inf: expected a number >= 0"),
        (
            lambda: predict(Work(1, 3600.0), Cluster(1, failures_an_hour=9.0)),
            "a call of 60.0 min on a worker that is lost 9 times an hour hardly ever ends",
        ),
    ],
)
def test_what_makes_no_sense_is_refused(of, said):
    with pytest.raises(ConfigurationError, match=said):
        of()
