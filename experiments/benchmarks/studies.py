"""What a study costs beside its evaluations, and what several processes bring.

Regularised evolution (population 100, tournament 25) on NAS-Bench-201, each candidate looked up in
memory: seconds of many trials in memory, on SQLite and on a journal, and of the last thousand as
multiples of the first. Then evaluations that wait a quarter of a second, as they do for another
machine: trials a second of one process, of ``Processes(4)`` and of two and four that are started
by hand, from when each of them has finished one to the last, and how many candidates were evaluated
twice.

    python experiments/benchmarks/studies.py          # 12 minutes, 2 idle cores
    python experiments/benchmarks/studies.py --quick  # few trials; writes nothing
"""

from __future__ import annotations

import multiprocessing
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import tyro
from measuring import environment, report

import kernas.search as ks
from kernas.kernels.regression import ScoreValue
from kernas.search.scores import Evaluation
from kernas.search.spaces import Candidate
from kernas.search.studies.results import trials_of

RESULT = Path(__file__).with_suffix(".json")
SPACE = ks.NasBench201()
STRATEGY = ks.RegularizedEvolution()
STORAGES = {"memory": None, "sqlite": "sqlite:///{}/study.db", "journal": "{}/study.journal"}
PART = 1000
"""Trials that are compared, the first and the last."""

WAIT = 0.25
PROCESSES = 4


@dataclass(frozen=True, eq=False)
class WaitingSource(ks.Source):
    """Takes a while, and writes down what it evaluates."""

    written: Path

    @property
    def name(self) -> str:
        return "waiting"

    def settings(self) -> dict[str, Any]:
        return {}

    def begin(self, candidate: Candidate, scores: Sequence[Any]) -> Callable[[], Evaluation]:
        with self.written.open("a") as file:
            file.write(f"{candidate.name}\n")
        time.sleep(WAIT)
        value = ScoreValue(candidate.name.count("3x3"))
        return partial(Evaluation, {"waiting": value})


@dataclass(frozen=True)
class WaitingScore(ks.Score):
    """The number of 3×3 convolutions and pools, after a while."""

    written: Path

    @property
    def name(self) -> str:
        return "waiting"

    @property
    def higher_is_better(self) -> bool:
        return True

    @property
    def source(self) -> WaitingSource:
        return WaitingSource(self.written)


def main(*, quick: bool = False) -> None:
    """Measure, print and record.

    Args:
        quick: few trials; writes nothing.
    """
    trials, shared = (200, 8) if quick else (10_000, 100)
    values = {candidate.name: float(n) for n, candidate in enumerate(SPACE.enumerate())}
    record = {
        "trials": trials,
        "overhead": {name: overhead(url, values, trials) for name, url in STORAGES.items()},
        "shared": {name: sharing(url, shared) for name, url in STORAGES.items() if url is not None},
        "wait": WAIT,
        **environment(),
    }
    report(record, None if quick else RESULT)


def overhead(url: str | None, values: dict[str, float], trials: int) -> dict[str, float]:
    """Seconds of a search by a table, and of the last part of it by those of the first."""
    with tempfile.TemporaryDirectory() as folder:
        storage = None if url is None else url.format(folder)
        start = time.perf_counter()
        study = ks.optimize(
            *(SPACE, ks.TruthScore(values)), strategy=STRATEGY, n_trials=trials, storage=storage
        )
        seconds = time.perf_counter() - start
        ended = [trial.datetime_complete.timestamp() for trial in study.trials
                 if trial.datetime_complete is not None]  # fmt: skip
        part = min(PART, trials // 4)
        return {
            "seconds": round(seconds, 2),
            "last_by_first": round((ended[-1] - ended[-part]) / (ended[part - 1] - ended[0]), 3),
            "attributes_of_a_trial": max(len(trial.user_attrs) for trial in study.trials),
        }


def sharing(url: str, trials: int) -> dict[str, Any]:
    """One process, four by an executor, two and four by hand, so many trials each."""
    found: dict[str, Any] = {}
    for name, run in (
        ("one", one),
        ("workers", workers),
        ("two_by_hand", partial(by_hand, 2)),
        ("by_hand", partial(by_hand, PROCESSES)),
    ):
        with tempfile.TemporaryDirectory() as folder:
            written = Path(folder) / "written"
            run(url.format(folder), written, trials)
            study = ks.optimize(
                *(SPACE, WaitingScore(written)), n_trials=1, storage=url.format(folder),
                progress=False,
            )  # fmt: skip
            ended = {trial.datetime_complete: trial.user_attrs["worker"] for trial in study.trials
                     if trial.datetime_complete}  # fmt: skip
            begun = max(min(at for at, who in ended.items() if who == worker)
                        for worker in set(ended.values()))  # fmt: skip
            measured = [at for at in ended if at > begun]
            evaluated = Counter(written.read_text().splitlines())
            seconds = (max(measured) - begun).total_seconds()
            found[name] = {
                "trials": len(trials_of(study)),
                "trials_a_second": round(len(measured) / seconds, 3),
                "evaluated_twice": sum(n > 1 for n in evaluated.values()),
            }
    for name in list(found)[1:]:
        rate, alone = (found[which]["trials_a_second"] for which in (name, "one"))
        found[name]["times_one"] = round(rate / alone, 2)
    return found


def one(storage: str, written: Path, trials: int, executor: ks.Executor | None = None) -> None:
    """A search here."""
    ks.optimize(
        *(SPACE, WaitingScore(written)), strategy=ks.RandomSearch(), n_trials=trials,
        storage=storage, executor=executor, progress=False,
    )  # fmt: skip


def workers(storage: str, written: Path, trials: int) -> None:
    """A search whose evaluations are in other processes."""
    one(storage, written, PROCESSES * trials, ks.Processes(PROCESSES))


def by_hand(processes: int, storage: str, written: Path, trials: int) -> None:
    """So many searches on one study."""
    context = multiprocessing.get_context("spawn")
    every = [
        context.Process(target=one, args=(storage, written, processes * trials))
        for _ in range(processes)
    ]
    for process in every:
        process.start()
    for process in every:
        process.join()


if __name__ == "__main__":
    tyro.cli(main)
