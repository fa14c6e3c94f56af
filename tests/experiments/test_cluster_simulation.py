"""The experiment about clusters: what it makes of what it measures, and its record."""

import json
import os
from pathlib import Path

import cluster_measurements as measurements
import cluster_simulation as experiment
import numpy as np
import pytest
from cluster_measurements import Execution, Span
from running import Options

from kernas.execution import Cluster, Work, costs
from kernas.kernels.gram import matrix_work

RECORD = Path(experiment.__file__).with_suffix(".json")
MEASURED = {
    "driver_seconds": 1e-3,
    "driver_seconds_a_worker": 1e-6,
    "start_seconds": 2.0,
    "bandwidth": 1e9,
    "files_a_second": 1e4,
}


def test_a_driver_is_a_line():
    """Through a call of two workers, with the slope of the executor's and of Ray's seconds."""
    own, waited = {10: 1e-4, 1_010: 1.1e-3}, {20: 1e-5, 2_020: 5.1e-4}
    found = experiment.driver_of(own, waited, 6e-4)
    assert found["driver_seconds"] == 6e-4
    assert found["driver_seconds_a_worker"] == pytest.approx(1.5e-6)


def test_seconds_of_a_pair_and_starts_are_read_from_spans():
    """Of two workers, of 0.1 s a pair, whose first items took 3 s and 0 s more."""
    pairs = np.array([10, 10, 20, 10])
    spans = [Span(0, 7, 5.0, 9.0), Span(1, 8, 6.0, 7.0), Span(2, 8, 7.0, 9.0), Span(3, 7, 9.0, 10)]
    each, starts = experiment.calibrated(Execution(10.0, spans), pairs)
    assert each == pytest.approx(0.1)
    assert starts == pytest.approx([8.0, 6.0])


@pytest.mark.parametrize("workers", [1, 9, 30])
def test_the_stand_in_has_workers_that_answer(workers):
    cores = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else None
    assert measurements.own_calls(workers, 20) > 0
    assert cores is None or os.sched_getaffinity(0) == cores  # its workers are in this process


def test_a_disk_is_measured_and_left_as_it_was(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    found = measurements.store_speed(20, 1)
    assert min(found.values()) > 0
    assert list((tmp_path / "runs").iterdir()) == []


def test_tiles_are_those_of_the_kernel(tmp_path):
    found = measurements.tiles(tmp_path, 10, 4, 4)
    assert found.pairs.tolist() == [10, 10, 16, 8, 8, 3]
    assert found.task.begin(5)() == (5, True)


def test_what_binds_is_named():
    busy = experiment.simulated(Work(1_000, 1.0), Cluster(10))
    assert (busy["binds"], busy["model_binds"]) == ("workers", "workers")
    slow = experiment.simulated(Work(1_000, 1.0), Cluster(100, driver_seconds=0.1))
    assert (slow["binds"], slow["model_binds"]) == ("driver", "driver")
    late = experiment.simulated(Work(10, 1.0), Cluster(10, start_seconds=(100.0,)))
    assert (late["binds"], late["model_binds"]) == ("start", "start")


def test_clusters_differ_in_batch_and_driver():
    work = matrix_work(10_000, 6e-5)  # 0.97 s a tile: a batch of a second is one
    found = list(experiment.clusters(experiment.SMALL, MEASURED, work))
    told = [tuple(told.values()) for cluster, told in found if cluster.workers == 10]
    assert told == [("measured", 0.0), ("free", 0.0), ("measured", 10.0), ("free", 10.0)]
    assert len(found) == len(told) * len(experiment.SMALL.workers)
    assert {cluster.driver_seconds_a_worker for cluster, _ in found} == {0.0, 1e-6}


def test_what_is_foretold_is_drawn_and_told(monkeypatch):
    seconds = {"five layers": 6e-5, "hardest pass of table 1": 5e-2}
    monkeypatch.setattr(experiment, "works", lambda n: seconds)  # which compiles
    rows = experiment.foretold(experiment.QUICK, MEASURED, 2_000)
    best = experiment.best(rows)
    assert len(best) == 2 * 2 * len(experiment.QUICK.workers)
    assert all(
        one["seconds"] <= row["seconds"]
        for one in best
        for row in rows
        if all(one[name] == row[name] for name in ("work", "driver", "workers"))
    )
    assert len(experiment.figure(rows).axes) == 4
    text = experiment.as_text({"checked": [], "best": best})
    assert "| five layers | measured | 10 | 128, 1 |" in text


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:os.fork")
def test_the_quick_setting_runs(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    experiment.main(Options(size="quick", n=2_000))
    result = json.loads(capsys.readouterr().out)
    assert [row["workers"] for row in result["checked"]] == [1, 2]
    assert all(row["measured"] > 0 and row["simulated"] > 0 for row in result["checked"])
    assert result["measured"]["driver_seconds"] > 0
    assert not list(tmp_path.glob("*.json"))


def test_the_record_holds_what_the_package_says():
    """The numbers that plans take are those that were measured, and the simulation is within 15%
    of what was."""
    record = json.loads(RECORD.read_text(encoding="utf-8"))
    found = record["measured"]
    for constant, name in {
        costs.START_SECONDS: "start_seconds",
        costs.DRIVER_SECONDS: "driver_seconds",
        costs.DRIVER_SECONDS_A_WORKER: "driver_seconds_a_worker",
        costs.BANDWIDTH: "bandwidth",
        costs.FILES_A_SECOND: "files_a_second",
    }.items():
        assert constant == pytest.approx(found[name], rel=0.1), name
    for row in record["checked"]:
        assert row["measured_of_simulated"] == pytest.approx(1, abs=0.15), row["workers"]
    setting = json.loads(json.dumps(vars(experiment.SMALL)))
    assert record["settings"] == setting
