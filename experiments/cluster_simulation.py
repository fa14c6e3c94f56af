"""What a cluster will take: a simulation checked against real executions, then 10,000 workers.

(a) *Measured here*: what the driver spends on a call, and how that grows with the workers that it
looks after (of the executor by itself, with workers that are objects of its process, and of Ray's
``wait``); the start of a worker; what a disk takes.

(b) *Checked*: executions on Ray, of workers that compute tiles and of workers whose items wait,
against ``kernas.execution.simulate``. What it is told of an execution comes from others: starts and
seconds a pair from a shorter one on as many workers, the driver from (a). Workers whose items wait
are more than this machine has cores.

(c) *Foretold*: the kernel of all 60,000 images of CIFAR-10, on 10 to 10,000 H100s that fail, for
several sides of tiles and seconds of a batch; and what becomes of it with a driver that takes no
time. Of an H100 the roofline is known, an optimistic bound.

    python experiments/cluster_simulation.py                # 10 minutes on two idle cores
    python experiments/cluster_simulation.py --size quick   # short executions; records nothing
    python experiments/cluster_simulation.py --n 10000      # of fewer images

``--n``: images of the matrix that is foretold. Needs Ray, ``pip install 'kernas[ray]'``.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from benchmarks.measuring import environment, network, report
from cluster_measurements import (
    Wait,
    calls_of,
    cluster_of,
    executed,
    own_calls,
    store_speed,
    tiles,
    usual_starts,
    waits,
)
from matplotlib.figure import Figure
from running import Options, Size, command, foretell
from tqdm import tqdm

import kernas.kernels as kk
from kernas.execution import Cluster, Work, predict, simulate
from kernas.kernels.engine import ROOFLINES
from kernas.kernels.gram import matrix_work

CIFAR10 = 60_000
HARDEST = "cifar10, patches, flip"
"""The longest pass of ``table1.py``."""

FAILURES = {"failures_an_hour": 0.05, "notice_seconds": 30.0, "repair_seconds": 120.0}
"""A device is lost once in twenty hours, as cheap ones are; its loss is noticed after the checks
of Ray's defaults, and another one takes its place."""

CALIBRATING = 6
"""Tiles of a side in the executions that tell the seconds of a pair."""


@dataclass(frozen=True)
class Setting:
    """What is run.

    Attributes:
        looked_after: workers of the stand-in, of whom the driver's seconds are measured.
        calls: that are timed.
        files, megabytes: that are written.
        computing: workers that compute.
        tiles: of a side of the matrix that they compute, of 16 images each.
        side: of these images.
        waiting: workers whose items wait.
        items: of each of them.
        seconds: of an item, on average.
        workers: that are foretold.
        sides: of tiles.
        batches: seconds of a call.
    """

    looked_after: tuple[int, ...] = (10, 100, 1_000, 2_000)
    calls: int = 1_000
    files: int = 5_000
    megabytes: int = 1_024
    computing: tuple[int, ...] = (1, 2)
    tiles: int = 12
    side: int = 16
    waiting: tuple[int, ...] = (1, 2, 4, 8)
    items: int = 50
    seconds: float = 0.5
    workers: tuple[int, ...] = (10, 100, 1_000, 3_000, 10_000)
    sides: tuple[int, ...] = (64, 128, 256)
    batches: tuple[float, ...] = (0.0, 1.0, 10.0)


SMALL = Setting()
QUICK = Setting(
    (10, 50), 30, 50, 8, (1,), 4, 6, (2,), 6, 0.05, (10, 1_000), (128,), (0.0, 1.0)
)  # fmt: skip
MEDIUM = replace(SMALL, computing=(1, 2, 4, 8), tiles=24, waiting=(1, 2, 4, 8, 16, 32))
FULL = replace(MEDIUM, looked_after=(10, 100, 1_000, 3_000, 10_000), sides=(32, 64, 128, 256, 512))
SETTINGS: dict[Size, Setting] = {"quick": QUICK, "small": SMALL, "medium": MEDIUM, "full": FULL}

TILE_SIDE = 16
"""Of the tiles that are computed."""


# --- what is measured -----------------------------------------------------------------------------


def measured(setting: Setting) -> dict[str, Any]:
    """The quantities that a cluster has."""
    own = {n: own_calls(n, min(setting.calls, 300)) for n in setting.looked_after}
    with cluster_of(2) as executor:
        calls = calls_of(executor, setting.calls)
        waited = waits([2 * n for n in setting.looked_after])
    with cluster_of(1) as executor:
        start = usual_starts(executor, 1, 0.01)[0]
    return {
        "own_call_seconds": own,
        "wait_seconds": waited,
        "call": calls,
        **driver_of(own, waited, calls["seconds"]),
        "start_seconds": start,
        **store_speed(setting.files, setting.megabytes),
    }


def driver_of(
    own: dict[int, float], waited: dict[int, float], call: float
) -> dict[str, float | int]:
    """A driver's seconds a call, and those for every worker where it looks at all calls.

    Args:
        own: the executor's seconds by its workers, of a call that it looks for alone.
        waited: seconds of Ray for looking, by the calls, two of each worker.
        call: seconds of a call of a driver of two workers.
    """
    few, many = min(own), max(own)
    both = {n: own[n] + waited[2 * n] for n in (few, many)}
    return {
        "driver_seconds": call,
        "driver_seconds_a_worker": max(0.0, (both[many] - both[few]) / (many - few)),
    }


# --- executions that are predicted ----------------------------------------------------------------


def checked(setting: Setting, found: dict[str, Any]) -> list[dict[str, Any]]:
    """Real executions beside what the simulation says of them."""
    driver = {name: found[name] for name in ("driver_seconds", "driver_seconds_a_worker")}
    cases = [(computing, workers) for workers in setting.computing]
    cases += [(waiting, workers) for workers in setting.waiting]
    return [of(setting, workers, driver) for of, workers in tqdm(cases, "executions")]


def compared(
    what: str, workers: int, seconds: np.ndarray, starts: Sequence[float], driver: Any, wall: float
) -> dict[str, Any]:
    """The row of an execution.

    Args:
        what: its workers do.
        workers: how many.
        seconds: that its items should take, by what other executions say.
        starts: seconds until its workers should begin, by the same.
        driver: its numbers.
        wall: what it took.
    """
    cluster = Cluster(workers, start_seconds=starts, **driver)
    work = Work(len(seconds), float(seconds.mean()), float(seconds.std() / seconds.mean()))
    predicted = simulate(work, cluster, seconds=seconds).seconds
    return {
        "workers": workers,
        "their": what,
        "items": len(seconds),
        "start_seconds": list(starts),
        "item_seconds": float(seconds.mean()),
        "measured": wall,
        "simulated": predicted,
        "measured_of_simulated": wall / predicted,
        "model": predict(work, cluster).seconds,
    }


def waiting(setting: Setting, workers: int, driver: Any) -> dict[str, Any]:
    """Items that wait, for seconds that are lognormal and known."""
    rng = np.random.default_rng(workers)
    seconds = rng.lognormal(np.log(setting.seconds), 0.5, setting.items * workers)
    with cluster_of(workers) as executor:
        starts = usual_starts(executor, workers, 0.05)
        wall = executed(executor, Wait(tuple(seconds.tolist())), range(len(seconds))).seconds
    return compared("items wait", workers, seconds, starts, driver, wall)


def computing(setting: Setting, workers: int, driver: Any) -> dict[str, Any]:
    """Tiles. An execution of a smaller matrix says what a pair takes, and when a worker has begun
    and loaded its program; one before it compiles that."""
    with TemporaryDirectory() as folder, cluster_of(workers) as executor:
        few, many = (
            tiles(Path(folder, str(n)), n * TILE_SIDE, setting.side, TILE_SIDE)
            for n in (min(CALIBRATING, setting.tiles - 1), setting.tiles)
        )
        compiling = tiles(Path(folder, "0"), 2 * TILE_SIDE, setting.side, TILE_SIDE)
        executed(executor, compiling.task, range(len(compiling.pairs)))
        before = executed(executor, few.task, range(len(few.pairs)))
        each, starts = calibrated(before, few.pairs)
        wall = executed(executor, many.task, range(len(many.pairs))).seconds
    return compared("items compute", workers, each * many.pairs, starts, driver, wall)


def calibrated(execution: Any, pairs: np.ndarray) -> tuple[float, list[float]]:
    """Seconds of a pair, and until each worker began, its first item's excess included.

    Args:
        execution: its spans have the numbers of their items.
        pairs: of each item.
    """
    workers = execution.by_worker()
    later = [span for spans in workers for span in spans[1:]]
    each = sum(span.seconds for span in later) / sum(int(pairs[span.item]) for span in later)
    starts = [
        spans[0].start + max(0.0, spans[0].seconds - each * int(pairs[spans[0].item]))
        for spans in workers
    ]
    return each, starts


# --- what is foretold -----------------------------------------------------------------------------


def works(n: int) -> dict[str, float]:
    """Seconds of a pair on an H100 at best, of an easy matrix and of a hard one."""
    architecture = network(5, kk.GlobalAvgPool())
    plan = kk.NeuralKernel(architecture, get="ntk").plan((32, 32, 3))
    table = json.loads(Path(__file__).with_name("table1.json").read_text(encoding="utf-8"))
    (rate,) = (
        found["pairs_a_second"]
        for device, found in table["full_setting"][HARDEST]["devices"].items()
        if ROOFLINES["h100"].device in device
    )
    return {
        "five layers": ROOFLINES["h100"].pair_seconds(plan),
        "hardest pass of table 1": 1 / rate,
    }


def foretold(setting: Setting, found: dict[str, Any], n: int) -> list[dict[str, Any]]:
    """The matrix on clusters of several sizes, cut in several ways."""
    rows = []
    for name, seconds in works(n).items():
        for side in setting.sides:
            work = matrix_work(n, seconds, tile_side=side)
            for cluster, told in clusters(setting, found, work):
                row = simulated(work, cluster)
                rows.append({"work": name, "tile_side": side, **told, **row})
    return rows


def clusters(
    setting: Setting, found: dict[str, Any], work: Work
) -> Iterable[tuple[Cluster, dict[str, Any]]]:
    """Those that are simulated: of batches that come to the same the first, and of each number of
    workers a driver as it was measured, and one that takes no time."""
    names = "driver_seconds", "driver_seconds_a_worker", "bandwidth", "files_a_second"
    known: Any = {name: found[name] for name in names} | FAILURES
    batches = {max(1, int(batch / work.seconds)): batch for batch in reversed(setting.batches)}
    for workers in setting.workers:
        for batch in sorted(batches.values()):
            cluster = Cluster(
                workers, start_seconds=(found["start_seconds"],), batch_seconds=batch, **known
            )
            free = replace(cluster, driver_seconds=0.0, driver_seconds_a_worker=0.0)
            for driver, one in {"measured": cluster, "free": free}.items():
                yield one, {"driver": driver, "batch_seconds": batch}


def simulated(work: Work, cluster: Cluster) -> dict[str, Any]:
    """What one cluster takes, and what binds: the part that is busy for the largest share of the
    time, or the start or the tail if they are longer."""
    run, model = simulate(work, cluster), predict(work, cluster)
    start = min(1.0, model.start / run.seconds)
    shares = {**run.busy, "start": start, "tail": run.tail / run.seconds}
    return {
        "workers": cluster.workers,
        "items": work.items,
        "item_seconds": work.seconds,
        "batch": cluster.batch(work),
        "calls": run.calls,
        "seconds": run.seconds,
        "efficiency": run.efficiency,
        "shares": shares,
        "binds": max(shares, key=lambda part: shares[part]),
        "failures": run.failures,
        "repeated": run.repeated,
        "model": model.seconds,
        "model_binds": model.bottleneck,
    }


def best(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The fastest way of each work, driver and number of workers."""
    found: dict[tuple[Any, ...], dict[str, Any]] = {}
    for row in rows:
        key = row["work"], row["driver"], row["workers"]
        if key not in found or row["seconds"] < found[key]["seconds"]:
            found[key] = row
    return list(found.values())


# --- what is shown --------------------------------------------------------------------------------


def figure(rows: Sequence[dict[str, Any]]) -> Figure:
    """Wall time and efficiency against workers: a row of panels a work, a colour a cut; dashed
    with a driver that takes no time."""
    names = list(dict.fromkeys(row["work"] for row in rows))
    drawn = Figure(figsize=(10, 3.8 * len(names)), layout="constrained")
    panels = drawn.subplots(len(names), 2, squeeze=False)
    for (times, shares), name in zip(panels, names, strict=True):
        own = [row for row in rows if row["work"] == name]
        cuts = list(dict.fromkeys((row["tile_side"], row["batch_seconds"]) for row in own))
        for number, cut in enumerate(cuts):
            for driver, style in {"measured": "o-", "free": "--"}.items():
                line = [
                    row
                    for row in own
                    if (row["tile_side"], row["batch_seconds"]) == cut and row["driver"] == driver
                ]
                label = None
                if driver == "measured":
                    call = max(cut[1], line[0]["item_seconds"])
                    label = f"{cut[0]}, calls of {call:.3g} s"
                look: Any = {"color": f"C{number}", "markersize": 3, "linewidth": 1.2}
                x = [row["workers"] for row in line]
                times.plot(x, [row["seconds"] / 3600 for row in line], style, label=label, **look)
                shares.plot(x, [row["efficiency"] for row in line], style, **look)
        times.set(title=name, ylabel="wall time (h)", yscale="log")
        shares.set(title=name, ylabel="efficiency", ylim=(0, 1.02))
        for axes in (times, shares):
            axes.set(xlabel="workers", xscale="log")
            axes.grid(color="#d9dee3", linewidth=0.8)
            axes.set_axisbelow(True)
            axes.spines[["top", "right"]].set_visible(False)
        times.legend(frameon=False, fontsize=8, title="tile side", title_fontsize=8)
    return drawn


def as_text(result: dict[str, Any]) -> str:
    """Both tables as Markdown."""
    lines = ["| workers | their | measured, s | simulated, s | ratio |", "|---|---|---|---|---|"]
    lines += [
        f"| {row['workers']} | {row['their']} | {row['measured']:.1f} | {row['simulated']:.1f} | "
        f"{row['measured_of_simulated']:.3f} |"
        for row in result["checked"]
    ]
    lines += [
        "",
        "| matrix | driver | workers | tile side, tiles a call | seconds | efficiency | binds |",
        "|---|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {row['work']} | {row['driver']} | {row['workers']:,} | {row['tile_side']}, "
        f"{row['batch']} | {row['seconds']:,.0f} | {row['efficiency']:.2f} | {row['binds']} |"
        for row in result["best"]
    ]
    return "\n".join(lines)


def main(options: Options) -> None:
    """Measure, check, foretell; print the tables on stderr and one JSON line, keep it with its
    figure."""
    setting, n, record = SETTINGS[options.size], options.n or CIFAR10, Path(__file__)
    known = record.with_suffix(".json")
    seconds = json.loads(known.read_text(encoding="utf-8"))["seconds"] if known.exists() else None
    if options.size != "small":
        seconds = None
    foretell(seconds, "by the recorded seconds")
    begin = time.perf_counter()
    found = measured(setting)
    checks = checked(setting, found)
    rows = foretold(setting, found, n)
    result: dict[str, Any] = {
        "settings": asdict(setting),
        "n": n,
        "failures": FAILURES,
        "measured": found,
        "checked": checks,
        "foretold": rows,
        "best": best(rows),
        "seconds": round(time.perf_counter() - begin, 1),
    }
    print(as_text(result), file=sys.stderr)
    path = options.record(__file__)
    report(result | options.asked() | environment(), path)
    if path is not None:
        figure(rows).savefig(path.with_suffix(".png"), dpi=130)


if __name__ == "__main__":
    command(Options, main)
