"""Damaged files given to the command line: a result, or one line and exit code 2."""

from __future__ import annotations

import functools
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from fuzzing import image_files, list_files, published_files
from fuzzing.array_files import wrong_npy, wrong_npz
from fuzzing.choices import perhaps_damaged
from fuzzing.outcome import fault_of_message
from small_sets import SmallSets, publish_small

import kernas.kernels as kk
from kernas.search.cli.app import run

pytestmark = pytest.mark.usefixtures("x64_kept")

CELL = "|none~0|+|none~0|none~1|+|nor_conv_3x3~0|none~1|none~2|"
"""A cell that no table here has."""

VECTORS = {"x": np.random.default_rng(0).normal(size=(12, 7)), "y": np.arange(12) % 3}
N = 30


@pytest.fixture
def network(tmp_path) -> Path:
    path = tmp_path / "network.json"
    path.write_text(kk.serial(kk.Flatten(), kk.Dense()).to_json())
    return path


def rank(*options: object) -> list[str]:
    """Arguments that rank by what is cheap."""
    return [
        *("rank", "--n-train", "4", "--n-validation", "0", "--score", "nngp:loo_error", "--quiet"),
        *("--no-compilation-cache", *map(str, options)),
    ]


def check_command(
    arguments: Callable[[Path, int], list[str]],
    make: Callable[[np.random.Generator, Path], Path],
    folder: Path,
    capsys: pytest.CaptureFixture[str],
    n: int,
) -> dict[int, int]:
    """How often which exit code came; the output is what it should be with each."""
    folder.mkdir()
    codes: dict[int, int] = {}
    for i in range(n):
        path = make(np.random.default_rng([4, i]), folder)
        code = run(arguments(path, i))
        said = capsys.readouterr().err
        codes[code] = codes.get(code, 0) + 1
        if code and "overflow" in said:  # of the kernel, for images that are what they are
            assert len(said.splitlines()) == 1, (i, said)
            continue
        assert code in (0, 2), (i, code, said)
        if code == 2:
            assert said.startswith("kernas: "), (i, said)
            assert not fault_of_message(said.removesuffix("\n"), path), (i, said)
    return codes


def make_file(
    rng: np.random.Generator,
    folder: Path,
    name: str,
    content: Callable[[np.random.Generator], bytes],
) -> Path:
    path = folder / name
    path.write_bytes(content(rng))
    return path


def wrong_vectors(rng: np.random.Generator) -> bytes:
    return wrong_npz(rng, VECTORS)


def wrong_images(rng: np.random.Generator) -> bytes:
    return perhaps_damaged(rng, wrong_npy(rng, VECTORS["x"]))


@pytest.mark.slow
def test_data_sets(network, tmp_path, capsys):
    def arguments(path: Path, i: int) -> list[str]:
        return rank("--dataset", path, "--architectures", network, "--output", tmp_path / str(i))

    make = functools.partial(make_file, name="fuzzed.npz", content=wrong_vectors)
    assert set(check_command(arguments, make, tmp_path / "in", capsys, N)) == {0, 2}


@pytest.mark.slow
def test_folders_of_images(network, tmp_path, capsys):
    def arguments(path: Path, i: int) -> list[str]:
        return rank("--dataset", path, "--architectures", network, "--output", tmp_path / str(i))

    def make(rng: np.random.Generator, folder: Path) -> Path:
        return image_files.wrong_image_folder(rng, folder / "pets")

    codes = check_command(arguments, make, tmp_path / "in", capsys, N)
    assert codes[2] > N / 2


@pytest.mark.slow
def test_tables_of_accuracy(tmp_path, capsys):
    def arguments(path: Path, i: int) -> list[str]:
        return rank("--truth", path, "--architectures", CELL, "--output", tmp_path / str(i))

    def make(rng: np.random.Generator, folder: Path) -> Path:
        return make_file(rng, folder, "fuzzed.npz", list_files.wrong_table)

    assert check_command(arguments, make, tmp_path / "in", capsys, N) == {2: N}


@pytest.mark.slow
def test_lists_of_cells(tmp_path, capsys):
    """Those that can be read are then refused for a data set whose name has the file's in it."""

    def arguments(path: Path, i: int) -> list[str]:
        return rank("--architectures", path, "--dataset", tmp_path / "no-fuzzed.npz")

    def make(rng: np.random.Generator, folder: Path) -> Path:
        return make_file(rng, folder, "fuzzed.txt", list_files.wrong_list)

    assert check_command(arguments, make, tmp_path / "in", capsys, N) == {2: N}


@pytest.mark.slow
def test_published_files(monkeypatch, tmp_path, capsys):
    """``kernas data verify`` says which set is damaged; that is its answer, with exit code 1."""
    small: SmallSets = publish_small(monkeypatch)
    monkeypatch.setenv("KERNAS_DATA", str(tmp_path))
    answers: list[str] = []
    folder, files = tmp_path / "mnist", small.files["mnist"]
    for i in range(N):
        published_files.wrong_idx_folder(np.random.default_rng([5, i]), folder, files)
        code = run(["data", "verify", "mnist"])
        out, err = capsys.readouterr()
        first, looked = out.splitlines()
        assert err == ""
        assert looked.startswith("looked in ")
        assert (code == 0) == first.startswith("mnist            ok: ")
        if code:
            assert first.startswith("mnist            damaged: ")
            assert str(folder) in first
        answers.append(first)
    assert len(set(answers)) > 5


@pytest.mark.slow
def test_images_to_predict_at(network, tmp_path, capsys):
    np.savez(tmp_path / "vectors.npz", **VECTORS)
    model = tmp_path / "model"
    fit = ["fit", "--model", str(model), "--dataset", str(tmp_path / "vectors.npz"), "--n", "9"]
    more = ["--architecture", str(network), "--yes", "--quiet", "--no-compilation-cache"]
    assert run([*fit, *more]) == 0
    capsys.readouterr()

    def arguments(path: Path, i: int) -> list[str]:
        output = str(tmp_path / f"{i}.csv")
        return ["predict", str(model), "--images", str(path), "--output", output, *more[-2:]]

    make = functools.partial(make_file, name="fuzzed.npy", content=wrong_images)
    assert set(check_command(arguments, make, tmp_path / "in", capsys, N)) == {0, 2}


def damaged(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


def test_one_damaged_file_of_each_kind(network, tmp_path, capsys, monkeypatch):
    """The ordinary share: what is refused before anything is computed."""
    half = wrong_npz(np.random.default_rng(0), VECTORS)[:100]
    table = damaged(tmp_path / "fuzzed-table.npz", half)
    cells = damaged(tmp_path / "fuzzed-cells.txt", f"{CELL}\n{CELL[:-3]}\n".encode())
    data = damaged(tmp_path / "fuzzed-data.npz", half)
    for arguments, path in (
        (rank("--truth", table, "--architectures", CELL), table),
        (rank("--architectures", cells), cells),
        (rank("--dataset", data, "--architectures", network), data),
        (["fit", "--model", str(tmp_path / "m"), "--dataset", str(data), "--n", "9"], data),
        (rank("--dataset", "mnist", "--architectures", network), Path("~nosuchuser/data")),
    ):
        monkeypatch.setenv("KERNAS_DATA", "~nosuchuser/data")
        assert run(arguments) == 2
        said = capsys.readouterr().err
        assert said.startswith("kernas: ")
        assert not fault_of_message(said.removesuffix("\n"), path), said


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(2))
def test_real_processes(seed, network, tmp_path):
    rng = np.random.default_rng([6, seed])
    path = damaged(tmp_path / "fuzzed.npz", wrong_npz(rng, VECTORS)[: 700 + 10 * seed])
    command = [sys.executable, "-m", "kernas", *rank("--dataset", path, "--architectures", network)]
    result = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert (result.returncode, result.stdout) == (2, "")
    assert not fault_of_message(result.stderr.removesuffix("\n"), path)
