"""The log of a command: what it is told, and what it survives."""

import logging
import re
import warnings

import pytest

from kernas import progress
from kernas.progress import progress_bar
from kernas.search.cli.app import run
from kernas.search.cli.logs import logged

LINE = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} (INFO|WARNING|ERROR) \d+ (.*)")


def lines(path):
    found = [LINE.fullmatch(line) for line in path.read_text("utf-8").splitlines()]
    assert all(found)
    return [(line[1], line[2]) for line in found if line]


def ranking(path, output, *more):
    arguments = ["--sample", "4", "--score", "params", "--log-file", str(path), *more]
    return run(["rank", *arguments, "--output", str(output), "--yes", "--quiet"])


def test_a_command_says_what_it_does_and_how_it_ends(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(progress, "NOTED", 0.0)
    log = tmp_path / "a.log"
    assert ranking(log, tmp_path / "run") == 0
    found = lines(log)
    assert found[0] == ("INFO", f"kernas rank --sample 4 --score params --log-file {log} --output "
                        f"{tmp_path / 'run'} --yes --quiet")  # fmt: skip
    assert [text.split(" after")[0] for level, text in found if text.startswith("rank: ")] == [
        f"rank: {n} of 4" for n in (1, 2, 3, 4)
    ]
    assert re.fullmatch(r"done after \d+\.\d s", found[-1][1])
    assert ranking(log, tmp_path / "run") == 2  # the folder is taken
    level, text = lines(log)[-1]
    assert level == "ERROR"
    assert text.startswith("RunFolderError: ")
    assert text.split(": ", 1)[1] in capsys.readouterr().err
    assert lines(log)[: len(found)] == found


def test_a_log_that_cannot_be_written_is_said_before_work(tmp_path, capsys):
    assert ranking(tmp_path / "no" / "a.log", tmp_path / "run") == 2
    assert "--log-file" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_warnings_interrupts_and_defects_stand_in_it(tmp_path):
    log = tmp_path / "a.log"
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        with logged(log, "words"):
            warnings.warn("careful", stacklevel=1)
    with pytest.raises(KeyboardInterrupt), logged(log, "words"):
        raise KeyboardInterrupt
    levels = [line.split()[2] for line in log.read_text().splitlines() if LINE.fullmatch(line)]
    assert "careful" in log.read_text()
    assert levels[-1] == "ERROR"
    with pytest.raises(ZeroDivisionError), logged(log, "words"):
        raise ZeroDivisionError
    assert "Traceback" in log.read_text()
    assert logging.getLogger("kernas").handlers == []


def test_hidden_bars_count_too_and_nothing_is_said_unasked(caplog, monkeypatch):
    monkeypatch.setattr(progress, "NOTED", 0.0)
    with progress_bar(shown=False, total=3, desc="pairs", initial=1) as bar:
        bar.update(1)
    assert caplog.messages == []
    caplog.set_level(logging.INFO, "kernas")
    with progress_bar(shown=False, total=3, desc="pairs", initial=1) as bar:
        bar.update(1)
    assert [message.split(" after")[0] for message in caplog.messages] == ["pairs: 2 of 3"]
