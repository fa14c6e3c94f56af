"""What Ray takes beside two processes: tasks of two seconds each, in turns.

Each task waits, so that what is measured is what hands it out. Both executors have two workers; of
each the seconds from the first task asked for to the last result, with the start of workers, and
from the first result on.

    python experiments/benchmarks/ray_overhead.py          # 15 minutes, 2 idle cores
    python experiments/benchmarks/ray_overhead.py --quick  # short tasks; writes nothing
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median
from typing import Any

import tyro
from measuring import environment, record_of, report

import kernas.search as ks

WORKERS = 2


@dataclass(frozen=True)
class Wait:
    """A task that waits.

    Attributes:
        seconds: how long.
    """

    seconds: float

    def begin(self, item: int) -> Callable[[], int]:
        """Wait."""
        time.sleep(self.seconds)
        return lambda: item

    def failed(self, item: int, message: str) -> int:
        """Nothing of this dies."""
        raise RuntimeError(message)


EXECUTORS: dict[str, Callable[[], ks.Executor]] = {
    "processes": lambda: ks.Processes(WORKERS),
    "ray": ks.RayExecutor,
}


def main(tasks: int = 200, seconds: float = 2.0, turns: int = 2, quick: bool = False) -> None:
    """Measure in turns, print one JSON line and write it beside this script.

    Args:
        tasks: of each turn.
        seconds: of a task.
        turns: of both executors.
        quick: 8 tasks of a tenth of a second.
    """
    if quick:
        tasks, seconds, turns = 8, 0.1, 1
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in EXECUTORS}
    for _ in range(turns):
        for name, of in found.items():
            of.append(measured(EXECUTORS[name](), Wait(seconds), tasks))
    record: dict[str, Any] = {
        "tasks": tasks,
        "seconds_a_task": seconds,
        "workers": WORKERS,
        "seconds": {name: [round(whole, 2) for whole, _ in of] for name, of in found.items()},
        "after_the_first": {name: [round(rest, 2) for _, rest in of] for name, of in found.items()},
        "ray_over_processes": {
            "whole": ratio([whole for whole, _ in found["ray"]],
                           [whole for whole, _ in found["processes"]]),
            "after_the_first": ratio([rest for _, rest in found["ray"]],
                                     [rest for _, rest in found["processes"]]),
        },
        **environment(),
    }  # fmt: skip
    report(record, None if quick else record_of(__file__))


def ratio(of: list[float], over: list[float]) -> float:
    """Of medians."""
    return round(median(of) / median(over), 4)


def measured(executor: ks.Executor, task: Wait, tasks: int) -> tuple[float, float]:
    """The seconds to the last result, from the beginning and from the first result on."""
    start = time.perf_counter()
    with executor.session():
        results = executor.map(task, range(tasks))
        next(results)
        first = time.perf_counter()
        assert sum(1 for _ in results) == tasks - 1
        end = time.perf_counter()
    return end - start, end - first


if __name__ == "__main__":
    tyro.cli(main)
