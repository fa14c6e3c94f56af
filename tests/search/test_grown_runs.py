"""Runs of exact kernels that grow, are killed, or have several workers: the same bytes."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import time
from pathlib import Path

import pytest
from compiling import QUICKLY, flags

import kernas.kernels as kk
import kernas.search as ks

pytestmark = pytest.mark.slow

SPACE = ks.NasBench201(1)


def digits():
    train, _ = kk.load("digits", n_train=20, n_test=1, seed=0)
    return train.split(0.5, seed=0)


def same_ranking(folder: Path, other: Path) -> bool:
    """Whether two runs have the same files, but for times."""
    names = ("ranking.csv", "config.json")
    return all((folder / name).read_bytes() == (other / name).read_bytes() for name in names)


def records(folder: Path) -> list[tuple[str, str]]:
    """Source and work of every evaluation that a run has recorded."""
    lines = [json.loads(line) for line in (folder / "results.jsonl").read_bytes().splitlines()]
    return [(line["source"], line["work"]) for line in lines]


@pytest.fixture
def begun(monkeypatch) -> list[tuple[str, str]]:
    """Source and work of every evaluation of a kernel in this process."""
    found: list[tuple[str, str]] = []
    begin = ks.KernelSource.begin

    def counted(self, candidate, scores):
        found.append((self.key, candidate.key))
        return begin(self, candidate, scores)

    monkeypatch.setattr(ks.KernelSource, "begin", counted)
    return found


@pytest.mark.parametrize(
    ("second", "again"),
    [
        ({"metric": "evidence"}, 0),  # which came with the first one
        ({"ridge": 1.0, "get": "ntk", "metric": "validation_error"}, 0),  # another source
        ({"get": "ntk"}, 1),  # of the first one's source, which has to go through them anew
    ],
    ids=["another metric", "another ridge", "another kernel"],
)
def test_a_run_of_kernels_that_grows_equals_one_that_is_asked_for_all_at_once(
    tmp_path, begun, second, again
):
    fit, validation = digits()
    first = ks.KernelScore(fit, validation, metric="loo_error", n_reference=4)
    other = ks.KernelScore(fit, validation, **{"metric": "loo_error", "n_reference": 4, **second})
    cells, folder = SPACE.sample(20, seed=1), tmp_path / "grown"
    works = {cell.key for cell in cells}
    assert len(works) == 20

    ks.rank(cells[:8], first, output=folder, progress=False)
    assert len(begun) == 8
    ks.rank(cells, first, output=folder, resume=True, progress=False)
    assert sorted(begun) == sorted((first.source.key, work) for work in works)
    ks.rank(cells, [first, other], output=folder, resume=True, progress=False)
    sources = {first.source.key, other.source.key}
    assert set(begun) == {(source, work) for source in sources for work in works}
    assert len(begun) == (len(sources) + again) * 20
    assert records(folder) == begun

    ks.rank(cells, [first, other], output=tmp_path / "whole", progress=False)
    assert same_ranking(folder, tmp_path / "whole")
    before = len(begun)
    ks.rank(cells, [first, other], output=folder, resume=True, progress=False)
    assert len(begun) == before


RUN = """
import sys
import kernas.kernels as kk
import kernas.search as ks

if __name__ == "__main__":
    train, _ = kk.load("digits", n_train=20, n_test=1, seed=0)
    fit, validation = train.split(0.5, seed=0)
    score = ks.KernelScore(fit, validation, metric="loo_error", n_reference=4)
    executor = ks.Processes(int(sys.argv[2])) if len(sys.argv) > 2 else None
    ks.rank(ks.NasBench201(1).sample(24, seed=1), score, output=sys.argv[1], resume=True,
            progress=False, executor=executor)
"""


def finished(folder: Path) -> int:
    """How many evaluations a run has recorded so far; a line that is cut is none."""
    results = folder / "results.jsonl"
    return results.read_bytes().count(b"\n") if results.exists() else 0


def test_kernels_of_four_workers_killed_and_resumed_are_the_same_bytes(tmp_path):
    script, environment = tmp_path / "run.py", {**os.environ, "XLA_FLAGS": flags(QUICKLY)}
    script.write_text(RUN)
    command = [sys.executable, str(script)]
    subprocess.run([*command, str(tmp_path / "whole")], check=True, env=environment)
    killed, rng = tmp_path / "killed", random.Random(0)
    kept: list[int] = []
    for number in range(4):
        before = finished(killed)
        process = subprocess.Popen([*command, str(killed), "4"], env=environment)
        if number % 2:  # while programs are made ready, and else when there are results
            time.sleep(rng.uniform(0, 10))
        else:
            while process.poll() is None and finished(killed) == before:
                time.sleep(0.01)
            time.sleep(rng.uniform(0, 0.2))
        process.kill()
        process.wait()
        kept.append(finished(killed))
    assert 0 < kept[0] < 24
    subprocess.run([*command, str(killed), "4"], check=True, env=environment)
    works = records(killed)
    assert len(works) == len(set(works)) == 24
    assert same_ranking(killed, tmp_path / "whole")


COUNTED = """
import os
import sys
from dataclasses import replace

import kernas.kernels as kk
import kernas.search as ks

class Counted(ks.KernelSource):
    def begin(self, candidate, scores):
        finish = super().begin(candidate, scores)
        def counted():
            found = finish()
            return replace(found, settings={**found.settings, "process": os.getpid()})
        return counted

class CountedScore(ks.KernelScore):
    @property
    def source(self):
        return Counted(self.fit, self.validation, n_reference=self.n_reference)

if __name__ == "__main__":
    train, _ = kk.load("digits", n_train=20, n_test=1, seed=0)
    fit, validation = train.split(0.5, seed=0)
    score = CountedScore(fit, validation, metric="loo_error", n_reference=4)
    cells = ks.NasBench201(1, center=sys.argv[2] == "centred").sample(12, seed=2)
    ks.rank(cells, score, output=sys.argv[1], progress=False, executor=ks.Processes(4))
"""


@pytest.mark.parametrize(("form", "most"), [("rms", 3), ("centred", 6)])
def test_each_of_four_processes_compiles_as_many_programs_as_one_alone(tmp_path, form, most):
    """``most`` is what ``test_cells_share_what_is_compiled`` allows one process."""
    script, folder = tmp_path / "run.py", tmp_path / "run"
    script.write_text(COUNTED)
    environment = {**os.environ, "XLA_FLAGS": flags(QUICKLY)}
    subprocess.run([sys.executable, str(script), str(folder), form], check=True, env=environment)
    compiled: dict[int, int] = {}
    for line in map(json.loads, (folder / "results.jsonl").read_bytes().splitlines()):
        process = line["settings"]["process"]
        compiled[process] = compiled.get(process, 0) + line["compilations"]
    assert len(compiled) == 4
    assert all(0 < count <= most for count in compiled.values()), compiled
