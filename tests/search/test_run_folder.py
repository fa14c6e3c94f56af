"""The run folder: what is kept, what is refused, what a kill may leave behind."""

import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pytest

from kernas.comparison import first_difference
from kernas.errors import DocumentError, RunFolderError
from kernas.locks import exclusive
from kernas.search.ranking.records import check_record
from kernas.search.ranking.run_folder import check_run, open_run

CONFIG = {"options": {"seed": 0, "dataset": "digits"}, "scores": {"nngp:evidence": {"ridge": 0.01}}}


def test_results_are_there_again(tmp_path):
    with open_run(tmp_path / "a" / "b", CONFIG, resume=False) as folder:
        folder.append({"hash": "x", "values": {"s": [0.1, None]}})
        folder.append({"hash": "ü\n", "values": {}})
    with open_run(tmp_path / "a" / "b", CONFIG, resume=True) as folder:
        assert folder.records() == [
            {"hash": "x", "values": {"s": [0.1, None]}},
            {"hash": "ü\n", "values": {}},
        ]


@pytest.mark.parametrize("cut", [b"{", b'{"hash": "z", "val', b'{"hash": "z"}'])
def test_a_last_line_without_its_end_is_dropped_and_overwritten(tmp_path, cut):
    with open_run(tmp_path, CONFIG, resume=False) as folder:
        folder.append({"hash": "x"})
    whole = (tmp_path / "results.jsonl").read_bytes()
    (tmp_path / "results.jsonl").write_bytes(whole + cut)
    with open_run(tmp_path, CONFIG, resume=True) as folder:
        assert folder.records() == [{"hash": "x"}]
        folder.append({"hash": "y"})
        assert folder.records() == [{"hash": "x"}, {"hash": "y"}]


def test_a_broken_line_in_the_middle_is_named(tmp_path):
    with open_run(tmp_path, CONFIG, resume=False) as folder:
        folder.append({"hash": "x"})
    with (tmp_path / "results.jsonl").open("ab") as file:
        file.write(b"[1\n")
    with (
        open_run(tmp_path, CONFIG, resume=True) as folder,
        pytest.raises(RunFolderError, match="line 2 of"),
    ):
        folder.records()


RECORD = {
    "hash": "x",
    "name": "n",
    "status": "ok",
    "values": {"s": [0.25, None], "t": [-1, 0.5]},
    "message": "",
    "seconds": 0.5,
    "compilations": 1,
    "settings": {"blocking": {"way": "planes", "lanes": 8, "nanoseconds": 1.5}},
}
SCORES = ("s", "t")


def test_a_line_is_what_was_written(tmp_path):
    with open_run(tmp_path, CONFIG, resume=False) as folder:
        folder.append(RECORD)
        folder.append({**RECORD, "status": "error", "values": {}})
        assert folder.records(partial(check_record, scores=SCORES))[0] == RECORD
    results = tmp_path / "results.jsonl"
    whole = results.read_bytes()
    for old, new in (
        (b"0.25", b"0.35"),
        (b'"ok"', b'"fine"'),
        (b'"s":', b'"u":'),
        (b'"hash": "x", ', b""),
        (b"0.25", b"NaN"),
        (b"0.25", b"[" * 5000),
        (b'"n"', b'"\xff"'),
        (b'"hash"', b'"name": "n", "hash"'),
    ):
        assert old in whole
        results.write_bytes(whole.replace(old, new, 1))
        with (
            open_run(tmp_path, CONFIG, resume=True) as folder,
            pytest.raises(RunFolderError, match=r"line 1 of .* is not a result: .*; remove the"),
        ):
            folder.records()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"hash": []}, r"hash is \[\]: expected a text"),
        ({"status": "fine"}, 'status is "fine": expected one of "ok", "degenerate", "error"'),
        ({"values": "x"}, 'values is "x": expected an object'),
        ({"values": {"zz": [1, 2]}}, "a value of 'zz': expected s, t"),
        ({"values": {"s": [None, None]}}, "the value of s is .*: expected a finite number and"),
        ({"values": {"s": [True, None]}}, "the value of s is"),
        ({"values": {"s": [1]}}, "the value of s is"),
        ({"message": None}, "message is null"),
        ({"seconds": -1}, "seconds is -1: expected a finite number >= 0"),
        ({"compilations": 0.5}, "compilations is 0.5: expected an integer"),
        ({"settings": None}, "settings is null: expected an object"),
        ({"settings": {"blocking": {"way": "planes"}}}, "it lacks 'lanes'"),
    ],
)
def test_a_record_that_is_none_is_refused_by_its_line(tmp_path, change, words):
    with open_run(tmp_path, CONFIG, resume=False) as folder:
        folder.append(RECORD)
        folder.append({**RECORD, **change})
        with pytest.raises(RunFolderError, match=f"line 2 of .*{words}"):
            folder.records(partial(check_record, scores=SCORES))
        lacking = {key: value for key, value in RECORD.items() if key not in change}
        with pytest.raises(DocumentError, match="it lacks"):
            check_record(lacking, SCORES)


def test_runs_of_an_older_format_are_refused_with_the_way_out(tmp_path):
    with open_run(tmp_path, {"format": "f", "version": 1}, resume=False):
        pass
    with (
        pytest.raises(RunFolderError, match=r"version 1, not 2: .* resume it with the kernas that"),
        open_run(tmp_path, {"format": "f", "version": 2}, resume=True),
    ):
        pass


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[" * 100_000, "brackets are open"),
        ('{"options": 1, "options": 2}', "stands there twice"),
        ("[]", r"the document is \[\]: expected an object"),
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
    ("config", "words"),
    [
        ({**CONFIG, "options": {"seed": 1, "dataset": "digits"}}, "options.seed is 0 there and 1"),
        ({**CONFIG, "scores": {"nngp:evidence": {"ridge": 1.0}}}, "ridge is 0.01 there and 1.0"),
        ({**CONFIG, "scores": {}}, r"scores.nngp:evidence is \{.*\} there and null here"),
        ({**CONFIG, "dtype": "float64"}, 'dtype is null there and "float64" here'),
    ],
)
@pytest.mark.parametrize("resume", [False, True])
def test_another_configuration_is_refused_by_field(tmp_path, config, words, resume):
    with open_run(tmp_path, CONFIG, resume=False) as folder:
        folder.append({"hash": "x"})
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    with pytest.raises(RunFolderError, match=words), open_run(tmp_path, config, resume=resume):
        pass
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_the_same_configuration_needs_resume(tmp_path):
    with open_run(tmp_path, CONFIG, resume=False):
        pass
    with pytest.raises(RunFolderError, match="--resume"), open_run(tmp_path, CONFIG, resume=False):
        pass
    with open_run(tmp_path, CONFIG, resume=True) as folder:
        assert folder.records() == []


def test_a_killed_beginning_begins_again(tmp_path):
    (tmp_path / ".config.json.partial").write_text('{"opt')
    with open_run(tmp_path, CONFIG, resume=False):
        assert json.loads((tmp_path / "config.json").read_text()) == CONFIG
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


def test_one_writer_at_a_time(tmp_path):
    with (
        open_run(tmp_path, CONFIG, resume=False),
        pytest.raises(RunFolderError, match="another process is writing"),
        open_run(tmp_path, CONFIG, resume=True),
    ):
        pass
    with open_run(tmp_path, CONFIG, resume=True):
        pass


def test_the_lock_of_a_killed_process_is_free(tmp_path):
    code = (
        "import sys, pathlib\n"
        "from kernas.locks import exclusive\n"
        "with exclusive(pathlib.Path(sys.argv[1])):\n"
        "    print('held', flush=True)\n"
        "    sys.stdin.read()\n"
    )
    lock = tmp_path / "run.lock"
    holder = subprocess.Popen(
        [sys.executable, "-c", code, str(lock)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    with holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        with exclusive(lock) as held:
            assert not held
        holder.kill()
        holder.wait()
    with exclusive(lock) as held:
        assert held


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
    known = {"options": {"seed": 0}}
    assert check_run(tmp_path / "new" / "run", known, resume=False, whole=False).records() == []
    assert list(tmp_path.iterdir()) == []
    with open_run(tmp_path / "run", CONFIG, resume=False) as folder:
        folder.append({"hash": "x"})
        with pytest.raises(RunFolderError, match="another process is writing"):
            check_run(tmp_path / "run", known, resume=True, whole=False)
    with (tmp_path / "run" / "results.jsonl").open("ab") as file:
        file.write(b'{"hash": "cut')
    before = {path.name: path.read_bytes() for path in (tmp_path / "run").iterdir()}
    with pytest.raises(RunFolderError, match="already holds this run; give --resume"):
        check_run(tmp_path / "run", known, resume=False, whole=False)
    for config in ({"options": {"seed": 1}}, {"options": {"seed": 0, "more": 1}}):
        with pytest.raises(RunFolderError, match=r"options\.\w+ is (0|null) there and 1 here"):
            check_run(tmp_path / "run", config, resume=True, whole=False)
    assert check_run(tmp_path / "run", known, resume=True, whole=False).records() == [{"hash": "x"}]
    with pytest.raises(RunFolderError, match=r"options.dataset is \"digits\" there and null here"):
        check_run(tmp_path / "run", known, resume=True)
    assert {path.name: path.read_bytes() for path in (tmp_path / "run").iterdir()} == before


def test_a_folder_that_cannot_be_written_is_refused_early(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    with pytest.raises(RunFolderError, match=r"cannot write in .*\(Permission denied\)"):
        check_run(tmp_path / "run", CONFIG, resume=False)
