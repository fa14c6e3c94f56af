"""A space of a known optimum, and a score of it that writes down what it evaluates."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import optuna

import kernas.kernels as kk
import kernas.search as ks
from kernas.kernels.regression import ScoreValue
from kernas.search.scores import Evaluation, Score, Source
from kernas.search.spaces import Candidate

PARAMETERS, CHOICES = 5, 4


def network(**chosen: int) -> kk.Architecture:
    return kk.serial(kk.Flatten(), kk.Dense(W_std=1.0 + sum(chosen.values())), kk.Dense())


TOY = ks.ChoiceSpace(network, {f"p{number}": list(range(CHOICES)) for number in range(PARAMETERS)})


def sum_of(candidate: Candidate) -> float:
    """The value of the toy: its optimum is known, and every parameter counts by itself."""
    return sum(candidate.genotype) / ((CHOICES - 1) * PARAMETERS)


@dataclass(frozen=True, eq=False)
class ToySource(Source):
    written: Path | None
    wait: float
    fails: int
    stops: int

    @property
    def name(self) -> str:
        return "toy"

    def settings(self) -> dict[str, Any]:
        return {"fails": self.fails}

    def work_key(self, candidate: Candidate) -> str:
        return candidate.name

    def begin(self, candidate: Candidate, scores: Sequence[Score]) -> Callable[[], Evaluation]:
        if self.written is not None:
            with self.written.open("a") as file:
                file.write(f"{candidate.name}\n")
                file.flush()
            if self.stops and len(self.written.read_text().splitlines()) == self.stops:
                raise KeyboardInterrupt
        time.sleep(self.wait)
        if self.fails and sum(candidate.genotype) % self.fails == 0:
            raise ValueError(f"{sum(candidate.genotype)} is no good")
        values = {"toy": sum_of(candidate), "toy:minus": -sum_of(candidate)}
        return partial(Evaluation, {one.name: ScoreValue(values[one.name], 0.01) for one in scores})


@dataclass(frozen=True)
class ToyScore(Score):
    """The sum of a candidate's numbers.

    Args:
        written: a file with a line for each evaluation.
        wait: seconds that one takes.
        fails: sums that it divides fail.
        stops: it is interrupted in this evaluation.
        minus: whether it is the sum below 0, of which less is better.
    """

    written: Path | None = None
    wait: float = 0.0
    fails: int = 0
    stops: int = 0
    minus: bool = False

    @property
    def name(self) -> str:
        return "toy:minus" if self.minus else "toy"

    @property
    def higher_is_better(self) -> bool:
        return not self.minus

    @property
    def source(self) -> ToySource:
        return ToySource(self.written, self.wait, self.fails, self.stops)

    def evaluated(self) -> list[str]:
        """What was, in order."""
        assert self.written is not None
        return self.written.read_text().splitlines()


def strategy(text: str) -> ks.Strategy:
    """That of a text, which prefers by the value itself if it prefers by anything."""
    return ks.strategy_from_text(text, sum_of if text.startswith(("warm", "explore")) else None)


def run(storage: str, written: str, n_trials: int, wait: float, text: str) -> None:
    """A search as a process of its own.

    Args:
        storage: as for :func:`ks.optimize`, or ``grpc:PORT``, of :func:`serve` on this machine.
    """
    ks.optimize(
        TOY,
        ToyScore(Path(written), wait=wait),
        strategy=strategy(text),
        n_trials=n_trials,
        storage=_proxy(storage) if storage.startswith("grpc:") else storage,
        progress=False,
    )


def _proxy(storage: str) -> optuna.storages.GrpcStorageProxy:
    return optuna.storages.GrpcStorageProxy(host="127.0.0.1", port=int(storage[5:]))


def serve(url: str, port: int) -> None:
    """A database for processes that reach it through this one, and no other machine."""
    database = optuna.storages.RDBStorage(url)
    optuna.storages.run_grpc_proxy_server(database, host="127.0.0.1", port=port)


if __name__ == "__main__":
    import sys

    import toy_search  # whose space is that of whoever imports it, and not of __main__

    if sys.argv[1] == "serve":
        toy_search.serve(sys.argv[2], int(sys.argv[3]))
    storage, written, n_trials, wait, text = sys.argv[1:]
    print(os.getpid(), flush=True)
    toy_search.run(storage, written, int(n_trials), float(wait), text)
