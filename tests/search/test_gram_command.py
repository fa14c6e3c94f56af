"""`kernas gram`: from files to a store, and every way in which that may be cut short."""

import io
import json
import random
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

import kernas.kernels as kk
from kernas.kernels.gram.request import GramRequest
from kernas.search.cli.app import run

NETWORK = kk.serial(kk.Flatten(), kk.Dense(), kk.Relu(), kk.Dense())
CELL = "|nor_conv_3x3~0|+|skip_connect~0|avg_pool_3x3~1|+|none~0|nor_conv_1x1~1|skip_connect~2|"

pytestmark = pytest.mark.usefixtures("x64_kept")


@pytest.fixture
def gram(tmp_path):
    """Arguments of a small matrix in a store of a name."""
    (tmp_path / "network.json").write_text(NETWORK.to_json())

    def arguments(store="store", *more, n=30):
        return [
            *("gram", "--architecture", str(tmp_path / "network.json"), "--n", str(n)),
            *("--image-size", "4", "--tile", "8", "--store", str(tmp_path / store), "--quiet"),
            *("--no-compilation-cache", *more),
        ]

    return arguments


def contents(path):
    return {
        file.relative_to(path).as_posix(): file.read_bytes()
        for file in path.rglob("*")
        if file.is_file()
    }


def tiles_there(path):
    return sum(file.suffix == "" for file in (path / "ntk").rglob("c/*/*"))


def test_a_store_from_files_and_again(gram, tmp_path, capsys):
    assert run(gram("store", "--yes")) == 0
    printed = capsys.readouterr()
    assert "nngp and ntk 30 × 30 in" in printed.out
    assert "10 tiles, 10 of them computed in" in printed.out
    assert "10 of 10 tiles to compute, 465 pairs: about" in printed.err
    train, _ = kk.load("digits", n_train=30, n_test=1, image_size=4)
    whole = kk.NeuralKernel(NETWORK, get=("nngp", "ntk"))(train.x)
    store = kk.GramStore(tmp_path / "store")
    np.testing.assert_allclose(store["ntk"], whole.ntk, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(store["nngp"], whole.nngp, rtol=1e-5, atol=1e-6)
    before = contents(tmp_path / "store")
    assert run(gram("store", "--json")) == 0  # nothing to compute, nothing to ask
    summary = json.loads(capsys.readouterr().out)
    assert (summary["tiles"], summary["computed"], summary["shape"]) == (10, 0, [30, 30])
    assert summary["identity"] == store.identity
    assert contents(tmp_path / "store") == before


def test_a_flipped_byte_is_named_and_mended(gram, tmp_path, capsys):
    assert run(gram("store", "--yes")) == 0
    before = contents(tmp_path / "store")
    bad = tmp_path / "store" / "ntk" / "c" / "2" / "1"
    data = bytearray(bad.read_bytes())
    data[5] ^= 1
    bad.write_bytes(data)
    assert run(gram("store", "--yes")) == 0
    printed = capsys.readouterr()
    assert f"tile (2, 1) of ntk is corrupted: {bad}; it is computed again" in printed.err
    assert "10 tiles, 1 of them computed" in printed.out
    assert contents(tmp_path / "store") == before


def test_without_a_terminal_yes_is_needed(gram, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.StringIO("y\n"))
    assert run(gram()) == 2
    assert "give --yes" in capsys.readouterr().err
    assert not (tmp_path / "store").exists()


@pytest.mark.parametrize(("answer", "begun"), [("n\n", False), ("\n", False), ("y\n", True)])
def test_who_is_asked_decides(gram, tmp_path, capsys, monkeypatch, answer, begun):
    terminal = io.StringIO(answer)
    monkeypatch.setattr(terminal, "isatty", lambda: True)
    monkeypatch.setattr(sys, "stdin", terminal)
    assert run(gram()) == 0
    assert "begin? [y/N]" in capsys.readouterr().err
    assert (tmp_path / "store").exists() == begun


def test_ctrl_c_keeps_finished_tiles(gram, tmp_path, capsys, monkeypatch):
    original = GramRequest.computed

    def interrupted(request, tile):
        if (tile.row, tile.column) == (2, 1):
            raise KeyboardInterrupt
        return original(request, tile)

    with monkeypatch.context() as patched:
        patched.setattr(GramRequest, "computed", interrupted)
        assert run(gram("store", "--yes")) == 130
    assert "keeps its finished tiles; give the same command to go on" in capsys.readouterr().err
    kept = tiles_there(tmp_path / "store")
    assert 0 < kept < 10
    assert run(gram("store", "--yes")) == 0
    assert f"10 tiles, {10 - kept} of them computed" in capsys.readouterr().out


def test_more_images_grow_the_store_where_nothing_is_fitted_on_them(gram, tmp_path, capsys):
    assert run(gram("grown", "--yes", "--no-standardize", n=22)) == 0
    assert run(gram("grown", "--yes", "--no-standardize", n=30)) == 0
    assert "10 tiles, 7 of them computed" in capsys.readouterr().out
    assert run(gram("fresh", "--yes", "--no-standardize", n=30)) == 0
    assert contents(tmp_path / "grown") == contents(tmp_path / "fresh")


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (("--seed", "1"), "another matrix: x1.sha256 is"),
        (("--n", "31"), "another matrix: x1.sha256 is"),
        (("--image-size", "8"), "another matrix: x1.shape is [4, 4, 1] there"),
        (("--dtype", "float64"), 'settings.dtype is "float32" there and "float64" here'),
        (("--get", "ntk"), "another matrix: kernels is"),
        (("--tile", "9"), "another matrix: tile_side is 8 there and 9 here"),
        (("--tile", "0"), "--tile 0: expected a positive number"),
        (("--n", "0"), "--n 0: expected a positive number"),
        (("--tile-bytes", "3"), "tile_bytes=3: one pair of images"),
        (("--get", "ntk,cntk"), "expected 'nngp', 'ntk'"),
        (("--dataset", "nowhere.npz"), "nowhere.npz"),
        (("--architecture", "nowhere.json"), "nowhere.json"),
    ],
)
def test_bad_input_is_one_line_and_keeps_what_is_there(
    gram, tmp_path, capsys, finished, more, words
):
    store = finished(tmp_path / "store")
    before = contents(store)
    assert run(gram("store", "--yes", *more)) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith("kernas: ")
    assert printed.err.count("\n") == 1
    assert words in printed.err
    assert contents(store) == before


@pytest.fixture
def finished():
    """Makes the store that ``gram`` makes, without the command line."""

    def made(path):
        train, _ = kk.load("digits", n_train=30, n_test=1, image_size=4)
        kernel = kk.NeuralKernel(NETWORK, get=("nngp", "ntk"))
        return kk.compute_gram(kernel, train, store=path, tile_side=8).path

    return made


def test_a_file_of_several_cells_is_refused(gram, tmp_path, capsys):
    other = CELL.replace("nor_conv_3x3", "nor_conv_1x1")
    (tmp_path / "cells.txt").write_text(f"{CELL}\n{other}\n")
    assert run(gram("store", "--yes", "--architecture", str(tmp_path / "cells.txt"))) == 2
    assert "has 2 cells: expected one" in capsys.readouterr().err


def kernas_gram(arguments):
    return subprocess.Popen(
        [sys.executable, "-m", "kernas", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.parametrize(("kills", "n"), [(2, 94), pytest.param(10, 302, marks=pytest.mark.slow)])
def test_killed_at_random_moments_the_store_ends_with_the_same_bytes(gram, tmp_path, kills, n):
    assert run(gram("undisturbed", "--yes", n=n)) == 0
    total = tiles_there(tmp_path / "undisturbed")
    store, rng = tmp_path / "killed", random.Random(0)
    for kill in range(kills):
        process = kernas_gram(gram("killed", "--yes", n=n))
        # The first one is killed while it makes the store, the others while they fill it.
        wanted = tiles_there(store) + 1 + rng.randrange(total // (2 * kills)) if kill else 0
        while tiles_there(store) < wanted or not store.exists():
            assert process.poll() is None, process.communicate()
            time.sleep(0.002)
        time.sleep(0.02 * rng.random())
        process.kill()
        process.communicate()
        assert process.returncode == -signal.SIGKILL
    assert 0 < tiles_there(store) < total
    process = kernas_gram(gram("killed", "--yes", n=n))
    _, err = process.communicate()
    assert process.returncode == 0, err
    assert contents(store) == contents(tmp_path / "undisturbed")
