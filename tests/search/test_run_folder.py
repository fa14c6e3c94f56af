"""The run folder: what is kept, what is refused, what a kill may leave behind."""

import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from kernas.comparison import first_difference
from kernas.documents import sealed
from kernas.errors import DocumentError, RunFolderError
from kernas.kernels.regression import ScoreValue
from kernas.locks import exclusive
from kernas.search.runs.config import Entry, RunConfig
from kernas.search.runs.folder import RunFolder, check_run, open_run
from kernas.search.runs.outcome import Outcome

CONFIG = RunConfig(
    sources={"k": {"name": "kernel", "settings": {"ridge": 0.01, "fit": "ab"}}},
    scores={
        "s": {"higher_is_better": True, "source": "k"},
        "t": {"higher_is_better": False, "source": "k"},
    },
    candidates=(Entry("one", "1a", ("1a",)), Entry("two", "2a", ("2a",))),
    truth={"source": "memory", "column": "truth", "values": {"one": 0.5, "two": 1}},
    bootstrap_seed=0,
    options={"seed": 0, "dataset": "digits"},
    environment={
        "dtype": "float32",
        "device": {"platform": "cpu", "count": 1},
        "versions": {"kernas": "1", "jax": "2", "numpy": "3"},
    },
)
OUTCOME = Outcome(
    *("one", "1a", "k", "ok"),
    values={"s": ScoreValue(0.25, None), "t": ScoreValue(-1, 0.5)},
    degenerate={"u": "the kernel is zero"},
    seconds=0.5,
    compilations=1,
    settings={"blocking": {"way": "planes", "lanes": 8, "nanoseconds": 1.5}},
)
OTHER = replace(OUTCOME, work="2a", candidate="ü\n")


def files_in(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*.*")}


def kept(path):
    return list(RunFolder(path).outcomes().values())


def test_outcomes_and_configuration_are_there_again(tmp_path):
    with open_run(tmp_path / "a" / "b", CONFIG, resume=False) as folder:
        folder.append(OUTCOME)
        folder.append(OTHER)
    with open_run(tmp_path / "a" / "b", CONFIG, resume=True) as folder:
        assert folder.outcomes() == {OUTCOME.place: OUTCOME, OTHER.place: OTHER}
        assert folder.config() == CONFIG
    assert set(files_in(tmp_path / "a" / "b")) == {"config.json", "results.jsonl", "run.lock"}


@pytest.mark.parametrize("cut", [b"{", b'{"hash": "z", "val', b'{"hash": "z"}', b"x" * 200_000])
def test_a_last_line_without_its_end_is_dropped_and_overwritten(tmp_path, cut):
    with open_run(tmp_path, CONFIG, resume=False) as folder:
        folder.append(OUTCOME)
    with (tmp_path / "results.jsonl").open("ab") as file:
        file.write(cut)
    assert kept(tmp_path) == [OUTCOME]
    with open_run(tmp_path, CONFIG, resume=True) as folder:
        folder.append(OTHER)
        assert list(folder.outcomes().values()) == [OUTCOME, OTHER]


def test_a_file_of_a_cut_line_alone_is_empty(tmp_path):
    with open_run(tmp_path, CONFIG, resume=False) as folder:
        (tmp_path / "results.jsonl").write_bytes(b"{")
        assert folder.outcomes() == {}
        folder.append(OUTCOME)
    assert kept(tmp_path) == [OUTCOME]


def test_a_broken_line_in_the_middle_is_named(tmp_path):
    with open_run(tmp_path, CONFIG, resume=False) as folder:
        folder.append(OUTCOME)
    with (tmp_path / "results.jsonl").open("ab") as file:
        file.write(b"[1\n")
    with pytest.raises(RunFolderError, match="line 2 of"):
        kept(tmp_path)


def test_what_fails_later_does_not_replace_what_was_found(tmp_path):
    failed = replace(OUTCOME, status="error", values={}, message="no luck")
    more = replace(OUTCOME, values={**OUTCOME.values, "v": ScoreValue(1.0)})
    with open_run(tmp_path, CONFIG, resume=False) as folder:
        for outcome, latest in (
            (failed, failed),
            (OUTCOME, OUTCOME),
            (failed, OUTCOME),
            (more, more),
        ):
            folder.append(outcome)
            assert folder.outcomes() == {OUTCOME.place: latest}
    assert not failed.answers([])
    assert OUTCOME.answers(["s", "t", "u"])
    assert not OUTCOME.answers(["v"])
    assert replace(failed, status="diverged").answers(["v"])


def test_a_line_is_what_was_written(tmp_path):
    with open_run(tmp_path, CONFIG, resume=False) as folder:
        folder.append(OUTCOME)
        folder.append(replace(OUTCOME, status="error", values={}))
    results = tmp_path / "results.jsonl"
    whole = results.read_bytes()
    for old, new in (
        (b"0.25", b"0.35"),
        (b'"ok"', b'"fine"'),
        (b'"s":', b'"u":'),
        (b'"work": "1a", ', b""),
        (b"0.25", b"NaN"),
        (b"0.25", b"[" * 5000),
        (b'"one"', b'"\xff"'),
        (b'"work"', b'"source": "n", "work"'),
    ):
        assert old in whole
        results.write_bytes(whole.replace(old, new, 1))
        with pytest.raises(RunFolderError, match=r"line 1 of .* is not a result: .*; remove the"):
            kept(tmp_path)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"version": 2}, "version 2: expected 1; update kernas"),
        ({"work": []}, r"work is \[\]: expected a text"),
        ({"status": "fine"}, 'status is "fine": expected one of "ok", "degenerate", "diverged"'),
        ({"values": "x"}, 'values is "x": expected an object'),
        ({"values": {"s": [None, None]}}, "the value of s is .*: expected a finite number and"),
        ({"values": {"s": [True, None]}}, "the value of s is"),
        ({"values": {"s": [1]}}, "the value of s is"),
        ({"degenerate": {"s": 1}}, "the reason of s is 1: expected a text"),
        ({"message": None}, "message is null"),
        ({"seconds": -1}, "seconds is -1: expected a finite number >= 0"),
        ({"compilations": 0.5}, "compilations is 0.5: expected an integer"),
        ({"settings": None}, "settings is null: expected an object"),
        ({"settings": {"blocking": {"way": "planes"}}}, "it lacks 'lanes'"),
    ],
)
def test_a_line_that_is_no_outcome_is_refused_by_its_number(tmp_path, change, words):
    document = {**OUTCOME.to_document(), **change}
    with open_run(tmp_path, CONFIG, resume=False) as folder:
        folder.append(OUTCOME)
        with (tmp_path / "results.jsonl").open("a") as file:
            file.write(json.dumps(sealed(document)) + "\n")
        with pytest.raises(RunFolderError, match=f"line 2 of .*{words}"):
            folder.outcomes()
    lacking = {key: value for key, value in document.items() if key not in change}
    with pytest.raises(DocumentError, match="it lacks"):
        Outcome.from_document(lacking)


@pytest.mark.parametrize(
    ("version", "words"), [(2, "resume it with the kernas that"), (4, "resume it with a newer")]
)
def test_runs_of_another_format_are_refused_with_the_way_out(tmp_path, version, words):
    document = {**CONFIG.to_document(), "version": version}
    (tmp_path / "config.json").write_text(json.dumps(document))
    with (
        pytest.raises(RunFolderError, match=f"version {version}, not 3: .* {words}"),
        open_run(tmp_path, CONFIG, resume=True),
    ):
        pass
    with pytest.raises(RunFolderError, match=words):
        check_run(tmp_path, resume=True, check=lambda stored: None)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[" * 100_000, "brackets are open"),
        ('{"options": 1, "options": 2}', "stands there twice"),
        ("[]", r"the document is \[\]: expected an object"),
        ("{}", "it lacks 'format'"),
    ],
)
def test_a_damaged_configuration_is_refused(tmp_path, text, words):
    (tmp_path / "config.json").write_text(text)
    with (
        pytest.raises(RunFolderError, match=f"{words}.*; choose another output folder"),
        open_run(tmp_path, CONFIG, resume=True),
    ):
        pass


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"format": "other"}, "format 'other': expected 'kernas.ranking'"),
        ({"sources": {"k": {"name": "kernel"}}}, "it lacks 'settings'"),
        ({"scores": {}}, "scores is empty"),
        ({"scores": {"s": {"source": "k"}}}, "it lacks 'higher_is_better'"),
        ({"scores": {"s": {"source": "z", "higher_is_better": True}}}, "the source of s is 'z'"),
        (
            {"scores": {"s": {"combined": {"weights": {"x": 1}}, "higher_is_better": True}}},
            "s combines 'x': expected s",
        ),
        ({"candidates": [{"name": "one", "hash": "1", "works": []}]}, "works is"),
        ({"truth": {"source": "a", "column": "b", "values": {}}}, "the truth of one is null"),
        ({"bootstrap_seed": "0"}, "bootstrap_seed is"),
        ({"environment": {}}, "it lacks 'device'"),
    ],
)
def test_a_configuration_that_is_none_is_refused_by_field(tmp_path, change, words):
    (tmp_path / "config.json").write_text(json.dumps({**CONFIG.to_document(), **change}))
    with pytest.raises(RunFolderError, match=f"config.json cannot be read: .*{words}"):
        RunFolder(tmp_path).config()


KERNEL = CONFIG.sources["k"]
MORE = Entry("three", "3a", ("3a",))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"options": {"seed": 1, "dataset": "digits"}}, "options.seed is 0 there and 1 here"),
        (
            {
                "sources": {"z": {"name": "kernel", "settings": {"ridge": 1.0, "fit": "ab"}}},
                "scores": {"s": {"higher_is_better": True, "source": "z"}},
            },
            "kernel.ridge is 0.01 there and 1.0 here",
        ),
        ({"scores": {"t": CONFIG.scores["t"]}}, "has the score s, which is not among t"),
        ({"candidates": CONFIG.candidates[1:]}, "has the candidate one .* a run only grows"),
        (
            {"candidates": (Entry("one", "9f", ("9f",)), *CONFIG.candidates[1:])},
            "has the candidate one of the hash",
        ),
        (
            {"environment": {**CONFIG.environment, "dtype": "float64"}},
            'dtype is "float32" there and "float64" here',
        ),
    ],
)
@pytest.mark.parametrize("resume", [False, True])
def test_what_is_no_growth_is_refused(tmp_path, change, words, resume):
    with open_run(tmp_path, CONFIG, resume=False) as folder:
        folder.append(OUTCOME)
    before = files_in(tmp_path)
    other = replace(CONFIG, **change)
    with pytest.raises(RunFolderError, match=words), open_run(tmp_path, other, resume=resume):
        pass
    with pytest.raises(RunFolderError, match=words):
        check_run(
            tmp_path, resume=True, check=lambda stored: other.grown_from(stored, str(tmp_path))
        )
    assert files_in(tmp_path) == before


def test_a_run_grows(tmp_path):
    with open_run(tmp_path, CONFIG, resume=False) as folder:
        folder.append(OUTCOME)
    grown = replace(
        CONFIG,
        sources={**CONFIG.sources, "z": {"name": "kernel", "settings": {"ridge": 1.0}}},
        scores={"v": {"higher_is_better": True, "source": "z"}, **CONFIG.scores},
        candidates=tuple(
            replace(entry, works=(*entry.works, "w")) for entry in (MORE, *CONFIG.candidates)
        ),
        truth=None,
        bootstrap_seed=3,
        environment={
            **CONFIG.environment,
            "device": {"platform": "cpu", "count": 4},
            "versions": {"kernas": "1", "jax": "2", "numpy": "4"},
        },
    )
    with open_run(tmp_path, grown, resume=True) as folder:
        assert folder.config() == replace(grown, environment=CONFIG.environment)
        assert list(folder.outcomes().values()) == [OUTCOME]


def test_the_same_run_needs_resume(tmp_path):
    with open_run(tmp_path, CONFIG, resume=False):
        pass
    with pytest.raises(RunFolderError, match="--resume"), open_run(tmp_path, CONFIG, resume=False):
        pass
    with open_run(tmp_path, CONFIG, resume=True) as folder:
        assert folder.outcomes() == {}


def test_a_killed_beginning_begins_again(tmp_path):
    (tmp_path / ".config.json.partial").write_text('{"opt')
    with open_run(tmp_path, CONFIG, resume=False) as folder:
        assert folder.config() == CONFIG
    assert not (tmp_path / ".config.json.partial").exists()


@pytest.mark.parametrize(
    ("name", "words"), [("results.jsonl", "no config.json"), ("config.json", "not JSON")]
)
def test_folders_of_something_else_are_refused(tmp_path, name, words):
    (tmp_path / name).write_text("something else")
    with pytest.raises(RunFolderError, match=words), open_run(tmp_path, CONFIG, resume=True):
        pass
    assert (tmp_path / name).read_text() == "something else"


def test_a_folder_that_cannot_be_made_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    for output in (tmp_path / "file", tmp_path / "file" / "below"):
        with (
            pytest.raises(RunFolderError, match="choose another output folder"),
            open_run(output, CONFIG, resume=False),
        ):
            pass


def test_a_folder_that_cannot_be_written_is_refused(tmp_path):
    (tmp_path / "run.lock").mkdir()  # even root cannot open a folder as a file
    with (
        pytest.raises(RunFolderError, match="cannot write in"),
        open_run(tmp_path, CONFIG, resume=False),
    ):
        pass


def test_what_one_process_claims_no_other_does(tmp_path):
    places = [("k", str(number)) for number in range(4)]
    nothing = lambda place: False  # noqa: E731
    with open_run(tmp_path, CONFIG, resume=False) as first:
        claimed = first.claimed(places, nothing)
        assert [next(claimed), next(claimed)] == places[:2]
        with open_run(tmp_path, CONFIG, resume=True) as second:
            assert list(second.claimed(places, nothing)) == places[2:]
            assert list(first.claimed(places, nothing)) == places[:2]
            assert list(second.claimed(places, lambda place: place == places[3])) == [places[2]]
        assert list(first.claimed(places, nothing)) == places
    assert not (tmp_path / "workers").exists()


CLAIM = """
import sys
from pathlib import Path
from kernas.search.runs.folder import RunFolder, open_run
with open_run(sys.argv[1], RunFolder(Path(sys.argv[1])).config(), resume=True) as folder:
    print(*next(folder.claimed([("k", "0")], lambda place: False)), flush=True)
    sys.stdin.read()
"""


def test_the_claims_of_a_killed_process_are_free(tmp_path):
    with open_run(tmp_path, CONFIG, resume=False):
        pass
    holder = subprocess.Popen(
        [sys.executable, "-c", CLAIM, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    with holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"k 0\n"
        with open_run(tmp_path, CONFIG, resume=True) as folder:
            assert list(folder.claimed([("k", "0")], lambda place: False)) == []
            holder.kill()
            holder.wait()
            assert list(folder.claimed([("k", "0")], lambda place: False)) == [("k", "0")]
    assert not (tmp_path / "workers").exists()


def test_who_waits_for_a_lock_gets_it(tmp_path):
    with ThreadPoolExecutor(1) as pool:
        with exclusive(tmp_path / "lock") as held:
            waiting = pool.submit(lambda: exclusive(tmp_path / "lock", wait=True).__enter__())
            assert held
            assert not waiting.done()
        assert waiting.result()


def test_first_difference():
    assert first_difference({"a": [1, 2]}, {"a": [1, 2]}) is None
    assert first_difference({"a": {"b": 1}, "c": 1}, {"c": 2, "a": {"b": 2}}) == ("c", "1", "2")
    assert first_difference({"a": 1}, {}) == ("a", "1", "null")
    name, there, _ = first_difference({"a": "x" * 100}, {"a": "y"}) or ("", "", "")
    assert (name, len(there)) == ("a", 58)


def test_what_is_known_early_is_refused_early_and_nothing_is_written(tmp_path):
    def check(**options):
        return lambda stored: stored.check_options(options, str(tmp_path / "run"))

    assert check_run(tmp_path / "new" / "run", resume=False, check=check(seed=0)).outcomes() == {}
    assert list(tmp_path.iterdir()) == []
    with open_run(tmp_path / "run", CONFIG, resume=False) as folder:
        folder.append(OUTCOME)
    with (tmp_path / "run" / "results.jsonl").open("ab") as file:
        file.write(b'{"hash": "cut')
    before = files_in(tmp_path / "run")
    with pytest.raises(RunFolderError, match="already holds this run; give --resume"):
        check_run(tmp_path / "run", resume=False, check=check(seed=0))
    for options in ({"seed": 1}, {"seed": 0, "more": 1}):
        with pytest.raises(RunFolderError, match=r"options\.\w+ is (0|null) there and 1 here"):
            check_run(tmp_path / "run", resume=True, check=check(**options))
    found = check_run(tmp_path / "run", resume=True, check=check(seed=0))
    assert list(found.outcomes().values()) == [OUTCOME]
    assert files_in(tmp_path / "run") == before


def test_a_folder_that_cannot_be_written_is_refused_early(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    with pytest.raises(RunFolderError, match=r"cannot write in .*\(Permission denied\)"):
        check_run(tmp_path / "run", resume=False, check=lambda stored: None)
