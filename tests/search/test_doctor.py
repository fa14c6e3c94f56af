"""``kernas doctor``, and the values that its self-test compares with."""

import json
from pathlib import Path

import numpy as np
import pytest
from oracles.numpy_kernel import evaluate

from kernas.kernels import self_test
from kernas.search.cli import doctor_command
from kernas.search.cli.app import run


@pytest.mark.parametrize("case", self_test.CASES, ids=lambda case: case.title)
def test_stored_values_are_those_of_the_loops(case):
    x = self_test.images()
    evaluation, left, right = evaluate(case.network(), x[:2], None, x)
    for matrix, stored in zip(evaluation.output(), (case.nngp, case.ntk), strict=True):
        of_two = matrix[np.ix_(left, right)]
        np.testing.assert_allclose([of_two[0, 0], of_two[0, 1], of_two[1, 1]], stored, rtol=1e-12)


def test_it_says_what_is_there_and_is_ready(capsys, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    assert run(["doctor", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["problems"] == []
    assert found["versions"]["jax"]
    assert {one["dtype"] for one in found["self_test"]} == {"float32", "float64"}
    assert all(one["ok"] for one in found["self_test"])
    assert {one["name"]: one["where"] for one in found["data"]}["digits"] == "in the package"
    assert found["folders"][0]["path"] == str(tmp_path)
    assert list(Path.cwd().iterdir()) == []


def test_kernels_that_are_wrong_are_a_problem(capsys, monkeypatch):
    wrong = self_test.Outcome("a skip beside a pool", "float32", 0.2, False, 0.1)
    monkeypatch.setattr(self_test, "self_test", lambda: [wrong])
    assert run(["doctor"]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert any(line.startswith("self-test WRONG") for line in lines)
    assert any("kernels of this installation are wrong" in line for line in lines)
    assert lines[-1] == "not ready"


def test_a_kernel_that_is_off_is_seen(monkeypatch):
    case = self_test.CASES[2]
    off = self_test.Case(case.title, case.network, case.nngp, (case.ntk[0] * 1.01, *case.ntk[1:]))
    monkeypatch.setattr(self_test, "CASES", (off,))
    assert [outcome.ok for outcome in self_test.self_test()] == [False, False]


def test_folders_and_libraries_that_are_missing_are_said(capsys, monkeypatch, tmp_path):
    monkeypatch.setattr(self_test, "self_test", list)
    monkeypatch.setattr(doctor_command, "_unwritable", lambda folder: "Read-only file system")
    monkeypatch.setattr(doctor_command, "EXTRAS", {"no-such-library": "kernas[none]"})
    monkeypatch.setattr(doctor_command, "_has_nvidia", lambda: True)
    monkeypatch.setattr(doctor_command, "LITTLE_ROOM", float("inf"))
    monkeypatch.setenv("KERNAS_DATA", str(tmp_path / "nowhere"))
    assert run(["doctor"]) == 1
    out = capsys.readouterr().out
    assert "cannot be written: Read-only file system" in out
    assert "no-such-library is not installed: pip install 'kernas[none]'" in out
    assert "an NVIDIA GPU that JAX does not see: pip install 'jax[" in out
    assert f"KERNAS_DATA={tmp_path / 'nowhere'} is no folder" in out
