"""`kernas data fetch` and `kernas data verify`: what they print, and their exit codes."""

import json
import re

import numpy as np
import pytest
from command_line import printed_without_jax
from small_sets import publish_small

from kernas.kernels.data import load
from kernas.kernels.data.named_sets import NAMED_SETS
from kernas.published import PUBLISHED
from kernas.search.cli.app import run


@pytest.fixture
def small(monkeypatch, tmp_path):
    monkeypatch.setenv("KERNAS_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return publish_small(monkeypatch)


def lines(text):
    return {line.split()[0]: line for line in text.splitlines()}


def test_verify_lists_every_known_set(small, tmp_path, capsys):
    small.write("cifar10", tmp_path / "data")
    small.write("mnist", tmp_path / "cache" / "kernas")
    assert run(["data", "verify"]) == 0
    out = lines(capsys.readouterr().out)
    assert list(out) == [*PUBLISHED, "looked"]
    archive = tmp_path / "data" / "cifar-10-binary.tar.gz"
    assert f"ok: 40 + 20 images of 10 classes; {archive}, " in out["cifar10"]
    assert "SHA-256 as published" in out["cifar10"]
    assert str(tmp_path / "cache" / "kernas" / "mnist") in out["mnist"]
    assert "ok: 1,797 images of 10 classes; comes with scikit-learn" in out["digits"]
    assert "absent: run `kernas data fetch cifar100`" in out["cifar100"]
    assert "absent: it is published as pickles only" in out["imagenet16-120"]
    assert str(tmp_path / "data") in out["looked"]


def test_verify_names_what_is_damaged(small, tmp_path, capsys):
    path = small.write("mnist", tmp_path / "data") / "train-images-idx3-ubyte.gz"
    size = path.stat().st_size
    path.write_bytes(path.read_bytes()[:-5])
    small.write("fashion_mnist", tmp_path / "data")
    assert run(["data", "verify"]) == 1
    out = lines(capsys.readouterr().out)
    assert f"damaged: {path} cannot be decompressed" in out["mnist"]
    assert f"it has {size - 5:,} bytes, published were {size:,}" in out["mnist"]
    assert "ok: 40 + 20 images" in out["fashion_mnist"]
    assert run(["data", "verify", "fashion_mnist"]) == 0


def test_verify_names_labels_without_a_class(small, tmp_path, capsys):
    (tmp_path / "data").mkdir()
    x = np.zeros((6, 2, 2), np.uint8)
    names = np.array(["shirt", "shoe"])
    np.savez(tmp_path / "data" / "fashion_mnist.npz", x=x, y=np.arange(6) % 3, class_names=names)
    assert run(["data", "verify", "fashion_mnist"]) == 1
    assert "labels of fashion_mnist lie in 0 … 2 but there are 2 class names" in (
        capsys.readouterr().out
    )


def test_a_named_set_that_is_absent_is_an_error(small, capsys):
    assert run(["data", "verify", "digits", "mnist"]) == 1
    out = lines(capsys.readouterr().out)
    assert list(out) == ["digits", "mnist", "looked"]
    assert "absent: run `kernas data fetch mnist`" in out["mnist"]


def test_verify_as_json(small, tmp_path, capsys):
    place = small.write("mnist", tmp_path / "data")
    assert run(["data", "verify", "--json"]) == 0
    results = {result["name"]: result for result in json.loads(capsys.readouterr().out)}
    assert list(results) == list(PUBLISHED)
    assert results["mnist"] == {
        "name": "mnist",
        "status": "ok",
        "path": str(place),
        "size": sum(map(len, small.files["mnist"].values())),
        "sha256": True,
        "n_train": 40,
        "n_test": 20,
        "n_classes": 10,
        "message": "",
    }
    assert results["cifar10"]["status"] == "absent"


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (
            ["verify", "mnist", "cifar11"],
            "unknown data set 'cifar11', did you mean 'cifar10'?: expected one of digits,",
        ),
        (["fetch", "cifar11"], "unknown data set 'cifar11'"),
        (["verify", "hypersphere:d=4"], "there is nothing to fetch or to verify"),
        (["fetch", "digits"], "nothing to fetch for 'digits'"),
        (["fetch", "imagenet16-120"], "x_train and x_test (n, 16, 16, 3)"),
    ],
)
def test_bad_names_are_one_line(arguments, expected, small, capsys):
    assert run(["data", *arguments]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith("kernas: ")
    assert expected in printed.err
    assert printed.err.count("\n") == 1


def test_fetch_prints_the_files_that_are_there(small, tmp_path, capsys):
    """What is whole is not asked for, so no mirror is needed."""
    place = small.write("mnist", tmp_path / "data")
    assert run(["data", "fetch", "mnist"]) == 0
    printed = capsys.readouterr()
    assert printed.out.split() == [str(place / file) for file in small.files["mnist"]]
    assert printed.err == ""


def test_fetch_says_when_its_files_are_not_those_that_are_read(small, tmp_path, capsys):
    small.write("cifar10", tmp_path / "elsewhere")
    arguments = ["data", "fetch", "cifar10", "--folder", str(tmp_path / "elsewhere")]
    assert run(arguments) == 0
    assert "'cifar10' is not read from there: set KERNAS_DATA" in capsys.readouterr().err
    small.write("cifar10", tmp_path / "data")
    assert run(arguments) == 0
    read = tmp_path / "data" / "cifar-10-binary.tar.gz"
    assert f"'cifar10' is read from {read}: set KERNAS_DATA" in capsys.readouterr().err
    unpacked = small.unpack("cifar10", tmp_path / "data")
    assert run(["data", "fetch", "cifar10"]) == 0  # into the folder that KERNAS_DATA names
    error = capsys.readouterr().err
    assert f"'cifar10' is read from {unpacked}: that form comes first; remove it" in error


def test_offline_is_a_failure_at_run_time(small, monkeypatch, tmp_path, capsys):
    from dataclasses import replace

    nobody = replace(PUBLISHED["mnist"], mirrors=("http://127.0.0.1:9/",))
    monkeypatch.setitem(PUBLISHED, "mnist", nobody)
    assert run(["data", "fetch", "mnist", "--quiet"]) == 1
    error = capsys.readouterr().err.splitlines()[-1]
    assert error.startswith("kernas: train-images-idx3-ubyte.gz could not be downloaded from http:")
    assert "check the connection and try again" in error
    assert list((tmp_path / "data" / "mnist").iterdir()) == []


def test_the_sets_that_help_writes_with_fields_are_read(tmp_path):
    ((_, text),) = printed_without_jax(["rank", "--help"])
    whole = "".join(text.replace("│", " ").split())
    found = re.findall(rf"(?:{'|'.join(NAMED_SETS)}):(?:\w+=(?:\d+|digits|FILE),?)+", whole)
    names = [name.rstrip(",") for name in found]
    assert {name.partition(":")[0] for name in names} == set(NAMED_SETS)
    text = tmp_path / "FILE"
    text.write_text("to be or not to be, that is the question. " * 9)
    for name in names:
        assert len(load(name.replace("FILE", str(text)))[0].classes) >= 2


def test_help_comes_without_jax_and_lists_the_names():
    ((_, text),) = printed_without_jax(["data", "verify", "--help"])
    words = text.replace(",", " ").replace(".", " ").split()
    assert set(PUBLISHED) <= set(words)
