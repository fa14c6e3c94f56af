"""The ranking loop with scores that cost nothing: order, failures, resuming, being killed."""

# pyright: reportIncompatibleMethodOverride=false, reportAssignmentType=false

import csv
import json
import math
import random
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from typing import Any

import pandas
import pytest

import kernas.kernels as kk
import kernas.search as ks
from kernas.csv_text import as_it_was
from kernas.errors import (
    ConfigurationError,
    DataError,
    DivergenceError,
    KernasError,
    MissingDependencyError,
    RunFolderError,
)
from kernas.kernels.regression import ScoreValue
from kernas.search.ranking.table import rank_rows

SPACE = ks.NasBench201(cells_per_stage=1)
CANDIDATES = SPACE.sample(6, seed=0)
EMPTY = "|none~0|+|none~0|none~1|+|none~0|none~1|none~2|"
EMPTY_TOO = "|skip_connect~0|+|none~0|none~1|+|none~0|none~1|none~2|"


def rows_of(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_rows_are_ordered_by_the_first_score(fake_score):
    ranking = ks.rank(CANDIDATES, fake_score(), progress=False)
    values = [row.values["fake"].value for row in ranking.rows]
    assert values == sorted(values, reverse=True)
    assert [row.rank for row in ranking.rows] == [1, 2, 3, 4, 5, 6]
    lower = ks.rank(CANDIDATES, fake_score(higher_is_better=False), progress=False)
    assert [row.name for row in lower.rows] == [row.name for row in ranking.rows][::-1]


def test_equal_networks_are_evaluated_once_and_share_their_rank(fake_score, fake_source):
    source = fake_source()
    pair = [SPACE.candidate(cell) for cell in (EMPTY, EMPTY_TOO)]
    ranking = ks.rank([*pair, *CANDIDATES], fake_score(source), progress=False)
    assert len(source.calls) == 7
    ranks = {row.name: row.rank for row in ranking.rows}
    assert ranks[EMPTY] == ranks[EMPTY_TOO]
    assert sorted(filter(None, ranks.values())) != list(range(1, 9))
    assert ranking.summary["architectures"] == 7


def test_scores_of_one_source_are_evaluated_together(fake_score, fake_source):
    source = fake_source()
    both = (fake_score(source, "a"), fake_score(source, "b", higher_is_better=False))
    ranking = ks.rank(CANDIDATES, both, progress=False)
    assert len(source.calls) == len(CANDIDATES)
    assert ranking.directions == {"a": True, "b": False}
    assert set(ranking.rows[0].values) == {"a", "b"}


def failing(name_of_failure, name_of_degenerate):
    def action(architecture):
        if architecture.hash == name_of_failure:
            raise ValueError("no such\nluck")
        if architecture.hash == name_of_degenerate:
            return ks.Evaluation({}, {"fake": "the kernel is zero"})
        return None

    return action


def test_failures_are_rows_and_degenerate_candidates_come_before_them(fake_score, fake_source):
    bad, flat = CANDIDATES[1], CANDIDATES[4]
    source = fake_source(action=failing(bad.architecture.hash, flat.architecture.hash))
    truth = {candidate.name: float(i) for i, candidate in enumerate(CANDIDATES)}
    ranking = ks.rank(CANDIDATES, fake_score(source), truth=truth, progress=False)
    *good, second_last, last = ranking.rows
    assert all(row.status == "ok" for row in good)
    assert (second_last.name, second_last.status, second_last.rank) == (flat.name, "degenerate", 5)
    assert second_last.message == "fake: the kernel is zero"
    assert (last.name, last.status, last.rank) == (bad.name, "error", None)
    assert last.message == "ValueError: no such luck"
    agreement = ranking.statistics["fake"]
    assert (agreement.n, agreement.degenerate, agreement.failed) == (5, 1, 1)
    kept = [row for row in ranking.rows if row.status != "error"]
    expected = ks.agreement(
        [truth[row.name] for row in kept],
        [row.values["fake"].value if "fake" in row.values else -1.0 for row in kept],
    )
    assert agreement.spearman == expected.spearman


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_score_that_is_not_finite_is_degenerate(fake_score, fake_source, value):
    source = fake_source(action=lambda _: ks.Evaluation({"fake": ScoreValue(value)}))
    ranking = ks.rank(CANDIDATES[:2], fake_score(source), progress=False)
    assert [row.status for row in ranking.rows] == ["degenerate"] * 2
    assert ranking.rows[0].rank == ranking.rows[1].rank == 1
    assert str(value) in ranking.rows[0].message


def test_an_error_that_is_not_finite_is_not_known(fake_score, fake_source, tmp_path):
    source = fake_source(action=lambda _: ks.Evaluation({"fake": ScoreValue(0.5, math.nan)}))
    ranking = ks.rank(CANDIDATES[:2], fake_score(source), output=tmp_path / "run", progress=False)
    assert [row.values["fake"] for row in ranking.rows] == [ScoreValue(0.5, None)] * 2


def test_top_and_correlation_print(fake_score):
    ranking = ks.rank(CANDIDATES, fake_score(), progress=False)
    table = str(ranking.top(2)).splitlines()
    assert len(table) == 3
    assert table[0].split() == ["rank", "fake", "name"]
    assert table[1].endswith(ranking.rows[0].name)
    truth = {row.name: row.values["fake"].value for row in ranking.rows}
    agreements = ranking.correlation(truth)
    assert agreements["fake"].spearman.value == pytest.approx(1)
    assert str(agreements).startswith("fake: Spearman 1.000 [")
    with pytest.raises(DataError, match="has no measured value"):
        ranking.correlation({})


def test_names_are_not_run_by_a_spreadsheet(tmp_path, fake_score):
    chosen = [replace(c, name=f"=A{i}") for i, c in enumerate(CANDIDATES)]
    low = fake_score(name="-low", higher_is_better=False)
    ks.rank(chosen, [low, fake_score(low.source)], output=tmp_path, progress=False)
    for file in ("ranking.csv", "timings.csv"):
        rows = rows_of(tmp_path / file)
        assert {as_it_was(row["name"]) for row in rows} == {c.name for c in chosen}
        assert all(row["name"].startswith("'=") for row in rows)
    assert "'-low" in rows_of(tmp_path / "ranking.csv")[0]


def test_the_run_folder_holds_the_ranking(tmp_path, fake_score):
    truth = ks.Truth({c.name: float(i) for i, c in enumerate(CANDIDATES)}, "my.npz", "accuracy")
    ranking = ks.rank(
        CANDIDATES, fake_score(), output=tmp_path / "run", truth=truth, progress=False
    )
    rows = rows_of(tmp_path / "run" / "ranking.csv")
    assert [row["name"] for row in rows] == [row.name for row in ranking.rows]
    assert [float(row["fake"]) for row in rows] == [r.values["fake"].value for r in ranking.rows]
    assert [float(row["truth"]) for row in rows] == [row.truth for row in ranking.rows]
    assert rows[0]["fake:standard_error"] == "0.01"
    assert "seconds" not in rows[0]
    assert len(rows_of(tmp_path / "run" / "timings.csv")) == 6
    summary = json.loads((tmp_path / "run" / "summary.json").read_text())
    assert set(summary) >= {
        *("config", "rows", "statistics", "seconds", "compilations", "device", "versions", "dtype")
    }
    assert summary["kernel_settings"] == [{"tile": 7}]
    assert set(summary["statistics"]["fake"]["ndcg"]) == {"value", "low", "high"}
    assert len(summary["rows"]) == 6
    pictures = {path.name: path for path in (tmp_path / "run").glob("*.png")}
    assert set(pictures) == {"ranking.png", "truth.png", "fidelity.png"}
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in pictures.values())
    assert not list((tmp_path / "run").glob(".*"))


def test_pictures_are_of_what_there_is_and_drawn_again_by_a_resumed_run(tmp_path, fake_score):
    one, two = fake_score(), fake_score(name="other")
    ks.rank(CANDIDATES, one, output=tmp_path / "one", progress=False)
    assert {path.name for path in (tmp_path / "one").glob("*.png")} == {"ranking.png"}
    folder = tmp_path / "two"
    ks.rank(CANDIDATES, [one, two], output=folder, progress=False)
    drawn = {path.name: path.read_bytes() for path in folder.glob("*.png")}
    assert set(drawn) == {"ranking.png", "scores.png"}
    (folder / "ranking.png").write_bytes(b"stale")
    ks.rank(CANDIDATES, [one, two], output=folder, resume=True, progress=False)
    assert {path.name: path.read_bytes() for path in folder.glob("*.png")} == drawn


def test_resuming_computes_only_what_is_missing(tmp_path, fake_score, fake_source):
    def interrupted(architecture):
        if architecture.hash == CANDIDATES[3].architecture.hash:
            raise KeyboardInterrupt
        return None

    output = tmp_path / "run"
    first = fake_source(action=interrupted)
    with pytest.raises(KeyboardInterrupt):
        ks.rank(CANDIDATES, fake_score(first), output=output, progress=False)
    assert len(first.calls) == 4
    assert not (output / "ranking.csv").exists()
    with (output / "results.jsonl").open("ab") as file:
        file.write(b'{"hash": "cut')
    second = fake_source()
    ks.rank(CANDIDATES, fake_score(second), output=output, resume=True, progress=False)
    assert second.calls == [c.architecture.hash for c in CANDIDATES[3:]]
    ks.rank(CANDIDATES, fake_score(), output=tmp_path / "whole", progress=False)
    for name in ("ranking.csv", "config.json"):
        assert (output / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    third = fake_source()
    ks.rank(CANDIDATES, fake_score(third), output=output, resume=True, progress=False)
    assert third.calls == []
    assert (output / "ranking.csv").read_bytes() == (tmp_path / "whole/ranking.csv").read_bytes()


def test_resuming_tries_failures_again(tmp_path, fake_score, fake_source):
    hash_ = CANDIDATES[2].architecture.hash
    first = fake_source(action=failing(hash_, None))
    ranking = ks.rank(CANDIDATES, fake_score(first), output=tmp_path, progress=False)
    assert ranking.rows[-1].status == "error"
    second = fake_source()
    ranking = ks.rank(CANDIDATES, fake_score(second), output=tmp_path, resume=True, progress=False)
    assert second.calls == [hash_]
    assert {row.status for row in ranking.rows} == {"ok"}
    third = fake_source()
    ks.rank(CANDIDATES, fake_score(third), output=tmp_path, resume=True, progress=False)
    assert third.calls == []


FEWER = {"candidates": CANDIDATES[:5]}
RENAMED = {"candidates": [*CANDIDATES[:5], replace(CANDIDATES[5], name=CANDIDATES[4].name + " ")]}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (FEWER, f"has the candidate .*{CANDIDATES[5].name[-20:]}.* a run only grows"),
        (RENAMED, "a run only grows; give the same space and seed and at least as many"),
        ({"source": {"parameter": 2}}, "fake.parameter is 1 there and 2 here"),
        ({"score": {"name": "other"}}, "has the score fake, which is not among other: a run only"),
        ({"score": {"higher_is_better": False}}, "higher_is_better is true there and false here"),
        ({"options": {"n_train": 7}}, "options.n_train is null there and 7 here"),
    ],
)
def test_what_no_run_grows_into_is_refused(tmp_path, fake_score, fake_source, change, words):
    ks.rank(CANDIDATES, fake_score(), output=tmp_path, progress=False)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    change = dict(change)
    source = fake_source(**change.pop("source", {}))
    score = fake_score(source, **change.pop("score", {}))
    candidates = change.pop("candidates", CANDIDATES)
    with pytest.raises(RunFolderError, match=words):
        ks.rank(candidates, score, output=tmp_path, resume=True, progress=False, **change)
    assert source.calls == []
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_a_run_that_grows_equals_one_that_is_asked_for_all_at_once(
    tmp_path, fake_score, fake_source
):
    first, second = fake_source(), fake_source(parameter=2)
    of_first, of_second = fake_score(first, "a"), fake_score(second, "b", higher_is_better=False)
    truth = {candidate.name: float(i) for i, candidate in enumerate(CANDIDATES)}
    folder = tmp_path / "grown"
    ks.rank(CANDIDATES[:4], of_first, output=folder, progress=False)
    ks.rank(CANDIDATES, of_first, output=folder, resume=True, progress=False)
    ks.rank(CANDIDATES, [of_second, of_first], output=folder, resume=True, progress=False)
    ks.rank(
        CANDIDATES,
        [of_second, of_first],
        output=folder,
        resume=True,
        truth=truth,
        seed=3,
        progress=False,
    )
    hashes = [candidate.architecture.hash for candidate in CANDIDATES]
    assert first.calls == second.calls == hashes
    whole = ks.rank(
        CANDIDATES,
        [of_second, of_first],
        output=tmp_path / "whole",
        truth=truth,
        seed=3,
        progress=False,
    )
    for name in ("ranking.csv", "config.json", "ranking.png", "scores.png", "truth.png"):
        assert (folder / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    again = ks.read_run(folder)
    assert again == whole
    timed = {"seconds": 0, "seconds_a_candidate": 0, "rows": 0}
    assert {**again.summary, **timed} == {**whole.summary, **timed}


def test_a_run_that_is_not_finished_is_read_as_far_as_it_is(tmp_path, fake_score, fake_source):
    def interrupted(architecture):
        if architecture.hash == CANDIDATES[3].architecture.hash:
            raise KeyboardInterrupt
        return None

    with pytest.raises(RunFolderError, match="holds no run"):
        ks.read_run(tmp_path / "none")
    score = fake_score(fake_source(action=interrupted))
    with pytest.raises(KeyboardInterrupt):
        ks.rank(CANDIDATES, score, output=tmp_path, progress=False)
    assert ks.read_run(tmp_path) == ks.rank(CANDIDATES[:3], fake_score(), progress=False)


def test_a_score_that_raises_leaves_the_others_of_its_row(fake_score, fake_source):
    def raising(architecture):
        if architecture.hash == CANDIDATES[1].architecture.hash:
            raise ValueError("no luck")
        return None

    scores = fake_score(name="good"), fake_score(fake_source(action=raising, parameter=2), "bad")
    ranking = ks.rank(CANDIDATES, scores, progress=False)
    (row,) = [row for row in ranking if row.name == CANDIDATES[1].name]
    assert (row.status, row.message, set(row.values)) == ("error", "ValueError: no luck", {"good"})
    assert row.rank is not None
    assert ranking.by("bad")[-1].name == row.name
    assert ranking.by("bad")[-1].rank is None
    assert ranking.columns()["bad"] == [r.values["bad"].value for r in ranking if r is not row]


def test_a_training_that_diverges_is_ranked_below_all_and_not_tried_again(
    tmp_path, fake_score, fake_source
):
    def diverging(architecture):
        if architecture.hash == CANDIDATES[1].architecture.hash:
            raise DivergenceError("the loss is nan at step 3")
        return None

    source = fake_source(action=diverging)
    ranking = ks.rank(CANDIDATES, fake_score(source), output=tmp_path, progress=False)
    last = ranking[-1]
    assert (last.name, last.status, last.rank) == (CANDIDATES[1].name, "diverged", 6)
    assert last.message == "DivergenceError: the loss is nan at step 3"
    ks.rank(CANDIDATES, fake_score(source), output=tmp_path, resume=True, progress=False)
    assert len(source.calls) == len(CANDIDATES)


def test_candidates_of_one_kernel_share_it_and_are_counted_apart(fake_score):
    source = fake_score().source
    doubled = kk.serial(kk.Flatten(), kk.Dense(W_std=2.0), kk.Relu(), kk.Dense())
    scaled = kk.serial(kk.Flatten(), kk.Dense(W_std=1.0), kk.Relu(), kk.Dense(W_std=2.0))
    counts = ks.CountScore("params", (4, 4, 1), 10)
    ranking = ks.rank({"one": doubled, "two": scaled}, [counts, fake_score(source)], progress=False)
    assert doubled.hash != scaled.hash or len(source.calls) == 1
    assert {row.values["params"].value for row in ranking} == {16 * 16 + 16 * 10 + 10}


def test_bad_lists_are_refused_before_anything_is_computed(fake_score, fake_source):
    source = fake_source()
    score = fake_score(source)
    cases: list[tuple[Any, Any, str]] = [
        ([], score, "no candidate"),
        (CANDIDATES, [], "no score"),
        ([*CANDIDATES, CANDIDATES[0]], score, "is given twice"),
        (CANDIDATES, [score, score], "'fake' is given twice"),
        (["a cell"], score, "expected a Candidate"),
        ([replace(CANDIDATES[0], name="\udcff.json")], score, "UTF-8 can"),
    ]
    for candidates, scores, words in cases:
        with pytest.raises(ConfigurationError, match=words):
            ks.rank(candidates, scores, progress=False)
    truth = {candidate.name: 1.0 for candidate in CANDIDATES[1:]}
    with pytest.raises(DataError, match="1 of the candidates are missing"):
        ks.rank(CANDIDATES, score, truth=truth, progress=False)
    assert source.calls == []


def test_architectures_are_candidates_with_the_names_that_they_are_given(fake_score):
    network, other = kk.serial(kk.Flatten(), kk.Dense()), kk.serial(kk.Flatten(), kk.Dense(b_std=1))
    (row,) = ks.rank([network], fake_score(), progress=False).rows
    assert (row.name, row.hash) == (f"3 nodes, {network.hash[:8]}", network.hash)
    named = ks.rank({"one": network, "two": other}, fake_score(), progress=False)
    hashes = {"one": network.hash, "two": other.hash}
    assert {row.name: row.hash for row in named.rows} == hashes
    names: Any
    for names in ({3: network}, {"": network}):
        with pytest.raises(ConfigurationError, match="of a candidate: expected a text"):
            ks.rank(names, fake_score(), progress=False)


def test_progress_has_rate_and_remaining_time_on_stderr(fake_score, capsys):
    ks.rank(CANDIDATES, fake_score())
    out, err = capsys.readouterr()
    assert out == ""
    assert "6/6" in err
    assert "evaluation/s" in err or "s/evaluation" in err


def test_a_full_disk_is_one_line(tmp_path, fake_score, monkeypatch):
    from kernas.search.runs.folder import RunFolder

    def full(self, outcome):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(RunFolder, "append", full)
    with pytest.raises(KernasError, match="No space left on device") as caught:
        ks.rank(CANDIDATES, fake_score(), output=tmp_path, progress=False)
    assert not isinstance(caught.value, RunFolderError)


RUN = """
import sys, time
import kernas.search as ks
from dataclasses import dataclass
from kernas.kernels.regression import ScoreValue

@dataclass(frozen=True)
class Slow(ks.Source):
    name = "slow"
    def settings(self): return {}
    def begin(self, candidate, scores):
        time.sleep(0.05)
        number = int(candidate.key[:8], 16) / 7
        return lambda: ks.Evaluation({"slow": ScoreValue(number, number / 3)})

class SlowScore(ks.Score):
    name, higher_is_better, source = "slow", True, Slow()

if __name__ == "__main__":
    executor = ks.Processes(int(sys.argv[2])) if len(sys.argv) > 2 else None
    ks.rank(ks.NasBench201(1).sample(24, seed=1), SlowScore(), output=sys.argv[1], resume=True,
            progress=False, executor=executor)
"""


def test_killed_at_random_moments_and_resumed_gives_the_same_bytes(tmp_path):
    command = [sys.executable, "-c", RUN]
    subprocess.run([*command, str(tmp_path / "whole")], check=True)
    killed, lines = tmp_path / "killed", []
    for moment in (random.Random(0).uniform(0.05, 0.4), random.Random(1).uniform(0.05, 0.4)):
        process = subprocess.Popen([*command, str(killed)])
        before = len(lines)
        while process.poll() is None and len(lines) <= before:
            time.sleep(0.01)
            results = killed / "results.jsonl"
            lines = results.read_bytes().splitlines() if results.exists() else []
        time.sleep(moment)
        process.kill()
        assert process.wait() == -signal.SIGKILL
        lines = (killed / "results.jsonl").read_bytes().splitlines()
    assert 2 <= len(lines) < 24
    subprocess.run([*command, str(killed)], check=True)
    for name in ("ranking.csv", "config.json"):
        assert (killed / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    works = works_in(killed)
    assert len(works) == len(set(works)) == 24


def works_in(folder):
    lines = (folder / "results.jsonl").read_bytes().splitlines()
    return [json.loads(line)["work"] for line in lines]


@pytest.mark.parametrize("workers", [(), ("2",)], ids=["alone", "with workers"])
def test_processes_that_share_a_folder_compute_nothing_twice(tmp_path, workers):
    script = tmp_path / "run.py"
    script.write_text(RUN)
    command = [sys.executable, str(script)]
    subprocess.run([*command, str(tmp_path / "whole")], check=True)
    shared = tmp_path / "shared"
    both = [subprocess.Popen([*command, str(shared), *workers]) for _ in range(2)]
    assert [process.wait() for process in both] == [0, 0]
    works = works_in(shared)
    assert len(works) == len(set(works)) == 24
    for name in ("ranking.csv", "config.json"):
        assert (shared / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    assert not (shared / "workers").exists()


@pytest.mark.parametrize("kills", [1, pytest.param(10, marks=pytest.mark.slow)])
def test_killed_with_four_workers_and_resumed_gives_the_same_bytes(tmp_path, kills):
    script = tmp_path / "run.py"
    script.write_text(RUN)
    command = [sys.executable, str(script)]
    subprocess.run([*command, str(tmp_path / "whole")], check=True)
    killed, rng = tmp_path / "killed", random.Random(0)
    for number in range(kills):
        process = subprocess.Popen([*command, str(killed), "4"])
        while process.poll() is None and not (killed / "results.jsonl").exists():
            time.sleep(0.01)
        time.sleep(rng.uniform(0.05, 0.3 if number == 0 else 4))
        process.kill()
        process.wait()
    subprocess.run([*command, str(killed), "4"], check=True)
    works = works_in(killed)
    assert len(works) == len(set(works)) == 24
    for name in ("ranking.csv", "config.json"):
        assert (killed / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


def test_a_source_is_prepared_once_for_the_families_of_the_candidates(tmp_path, fake_score):
    space = ks.NasBench201(1)
    score = fake_score()
    ks.rank(space.sample(4, seed=0), score, output=tmp_path, progress=False)
    assert score.source.prepared == [[space]]


class Overlapping(ks.Source, ks.Score):
    """A score whose host's part of a candidate ends once the next candidate was begun."""

    name, higher_is_better = "overlapping", True

    def __init__(self, candidates, interrupted=None):
        self.begun = {candidate.architecture.hash: threading.Event() for candidate in candidates}
        self.hashes = list(self.begun)
        self.interrupted = interrupted

    @property
    def source(self):
        return self

    def settings(self):
        return {}

    def begin(self, candidate, scores):
        architecture = candidate.architecture
        number = self.hashes.index(architecture.hash)
        self.begun[architecture.hash].set()
        if number == self.interrupted:
            raise KeyboardInterrupt

        def finish():
            if number + 1 < len(self.hashes):
                assert self.begun[self.hashes[number + 1]].wait(60)
            return ks.Evaluation({self.name: ScoreValue(number, None)})

        return finish


def test_the_host_finishes_one_candidate_while_the_device_has_the_next():
    chosen = ks.NasBench201(1).sample(5, seed=0)
    ranking = ks.rank(chosen, Overlapping(chosen), progress=False)
    assert [row.name for row in ranking.rows] == [c.name for c in reversed(chosen)]


def test_an_interruption_loses_one_candidate(tmp_path):
    chosen = ks.NasBench201(1).sample(5, seed=0)
    with pytest.raises(KeyboardInterrupt):
        ks.rank(chosen, Overlapping(chosen, interrupted=3), output=tmp_path, progress=False)
    lines = (tmp_path / "results.jsonl").read_text().splitlines()
    assert [json.loads(line)["candidate"] for line in lines] == [c.name for c in chosen[:3]]


@pytest.mark.parametrize(
    ("center", "most"), [(False, 3), pytest.param(True, 6, marks=pytest.mark.slow)]
)
def test_cells_share_what_is_compiled(center, most):
    train, _ = kk.load("digits", n_train=40, n_test=1, seed=0)
    fit, validation = train.split(0.5, seed=0)
    score = ks.KernelScore(fit, validation, n_reference=4)
    cells = ks.NasBench201(1, center=center).sample(5, seed=2)
    assert ks.rank(cells, score, progress=False).summary["compilations"] <= most


# --- what can be asked of a ranking --------------------------------------------------------------


def row(name, values, rank=None, **more):
    scores = {score: ScoreValue(*value) for score, value in values.items()}
    return ks.Row(rank, name, name * 4, "ok", scores, **more)


def two_scores():
    rows = [
        row("a", {"accuracy": (0.9, 0.05), "error": (0.3, None)}),
        row("b", {"accuracy": (0.87, 0.05), "error": (0.1, None)}),
        row("c", {"accuracy": (0.87, 0.05), "error": (0.2, None)}),
        row("d", {"accuracy": (0.5, 0.1), "error": (0.2, None)}),
    ]
    directions = {"accuracy": True, "error": False}
    return ks.Ranking(rank_rows(rows, directions), directions)


def test_a_ranking_is_a_sequence_of_rows():
    ranking = two_scores()
    assert [one.name for one in ranking] == ["a", "b", "c", "d"]
    assert ranking[0].name == "a"
    assert ranking[-1].rank == 4
    assert [one.name for one in ranking[1:3]] == ["b", "c"]
    assert isinstance(ranking[1:3], ks.Ranking)


def test_ties_are_written_as_ties_also_where_the_other_is_not_shown():
    lines = str(two_scores()).splitlines()
    assert [line.split()[0] for line in lines] == ["rank", "1", "=2", "=2", "4"]
    assert str(two_scores().top(2)).splitlines()[2].split()[0] == "=2"


def test_the_same_candidates_by_another_score():
    by_error = two_scores().by("error")
    assert [(one.rank, one.tied, one.name) for one in by_error] == [
        (1, False, "b"),
        (2, True, "c"),
        (2, True, "d"),
        (4, False, "a"),
    ]
    assert list(by_error.directions) == ["error", "accuracy"]
    with pytest.raises(ConfigurationError, match="'loss': expected one of accuracy, error"):
        two_scores().by("loss")


def test_how_many_lie_near_the_best():
    assert two_scores().near_best() == 3
    assert two_scores().by("error").near_best() is None


def test_a_table_for_notebooks_and_for_pandas():
    html = two_scores()._repr_html_()
    assert html.count("<tr>") == 5
    assert "<td>=2</td><td>0.87 ± 0.05</td><td>0.1</td><td>b</td>" in html
    frame = two_scores().to_frame()
    assert isinstance(frame, pandas.DataFrame)
    assert list(frame["name"]) == ["a", "b", "c", "d"]
    assert frame["accuracy"].iloc[0] == 0.9


def test_a_frame_without_pandas_says_what_to_do(monkeypatch):
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(MissingDependencyError, match="pip install pandas"):
        two_scores().to_frame()
