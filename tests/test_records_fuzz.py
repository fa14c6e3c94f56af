"""What kernas writes itself, damaged: results, or one line that names the file, and none believed.

Half of the documents are damaged as bytes, half in their structure; of these, half get the checksum
of what they say then, so that the checks behind it are met too. What was not sealed again must be
read as it was written, or be refused.
"""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path

import jax
import numpy as np
import pytest
from fuzzing.json_mutations import mutate_json
from fuzzing.mutations import mutate_bytes
from fuzzing.outcome import check_reader

import kernas.kernels as kk
from kernas.documents import sealed
from kernas.errors import DocumentError, ModelFolderError
from kernas.kernels.engine import Blocking, blocking
from kernas.kernels.gram.identity import identity_of
from kernas.kernels.gram.store import open_store
from kernas.kernels.regression import ScoreValue
from kernas.search import NasBench201, read_candidates
from kernas.search.cli.app import run
from kernas.search.cli.predict_command import check_notes
from kernas.search.ranking import read_run
from kernas.search.runs.config import Entry, RunConfig
from kernas.search.runs.folder import open_run
from kernas.search.runs.outcome import Outcome

NETWORK = kk.serial(
    kk.Conv(3, W_std=1.5, b_std=0.1, padding=((1, 0), (0, 1))),
    kk.LeakyRelu(0.1),
    kk.LayerNorm(),
    kk.AvgPool((2, 1)),
    kk.Flatten(),
    kk.Dense(),
)
VECTORS = kk.NeuralKernel(
    kk.serial(kk.Dense(W_std=1.5), kk.Relu(), kk.Dense()), get=("nngp", "ntk")
)
X = np.random.default_rng(0).normal(size=(8, 3)).astype(np.float32)
SEALED = "sealed"
"""A file beside what was damaged that says that it was sealed again: anything may be read then."""

CONFIG = RunConfig(
    sources={"k": {"name": "kernel", "settings": {"ridge": 0.01}}},
    scores={"s": {"higher_is_better": True, "source": "k"}},
    candidates=tuple(Entry(f"n{i}", f"{i}a", (f"{i}a",)) for i in range(3)),
    truth={"source": "memory", "column": "truth", "values": {f"n{i}": i / 3 for i in range(3)}},
    bootstrap_seed=0,
    options={"seed": 0},
    environment={"dtype": "float32", "device": {"platform": "cpu"}, "versions": {"jax": "1"}},
)
OUTCOMES = [
    Outcome(
        *(f"n{i}", f"{i}a", "k", "ok"),
        values={"s": ScoreValue(i / 7, 0.1)},
        degenerate={"t": "the kernel is zero"},
        seconds=0.5,
        compilations=1,
        settings={"blocking": {"way": "planes", "lanes": 8, "nanoseconds": 1.5}},
    )
    for i in range(3)
]
NOTES = {
    **{"dataset": "digits", "n": 8, "seed": 0, "classes": ["a", "b"], "info": {}},
    "standardization": {"mean": [0.5], "std": [0.25]},
}
KEY = {"device": "cpu", "side": 8}
KNOWN = Blocking("planes", 16, 2.5)


def damaged(
    originals: Path, files: list[str], rng: np.random.Generator, folder: Path, name: str = "damaged"
) -> Path:
    """A copy of a folder of which one file is damaged, missing, or another one's."""
    path = folder / name
    shutil.rmtree(path, ignore_errors=True)
    shutil.copytree(originals, path)
    chosen = files[int(rng.integers(len(files)))]
    file, kind = path / chosen, int(rng.integers(20))
    if kind == 0:
        file.unlink()
    elif kind == 1:
        shutil.copy(path / files[int(rng.integers(len(files)))], path / ".other")
        (path / ".other").replace(file)
    elif kind == 2:
        file.unlink()
        file.mkdir()
    elif kind < 11 or not chosen.endswith((".json", ".jsonl")):
        file.write_bytes(mutate_bytes(rng, file.read_bytes()))
    else:
        seal = bool(rng.integers(2))
        lines = file.read_bytes().splitlines() if chosen.endswith("l") else [file.read_bytes()]
        number = int(rng.integers(len(lines)))
        lines[number] = mutate_json(rng, lines[number], seal=seal)
        file.write_bytes(b"\n".join([*lines, b""]))
        if seal:
            (path / SEALED).touch()
    return path


@pytest.fixture
def x64_kept():
    """Put JAX's precision back after the command line."""
    before = jax.config.read("jax_enable_x64")
    yield
    jax.config.update("jax_enable_x64", before)


Reader = tuple[Callable[[Path], object], Callable[[np.random.Generator, Path], Path]]


def architectures(originals: Path) -> Reader:
    """Networks in files, as the command line takes them."""
    (originals / "network.json").write_text(NETWORK.to_json())

    def read(path: Path) -> None:
        (candidate,) = read_candidates([str(path / "network.json")], NasBench201())
        again = kk.Architecture.from_json(candidate.architecture.to_json())
        assert again.hash == candidate.architecture.hash

    return read, partial(damaged, originals, ["network.json"])


def runs(originals: Path) -> Reader:
    """A run that is resumed, and one that is read back."""
    with open_run(originals, CONFIG, resume=False) as folder:
        for outcome in OUTCOMES:
            folder.append(outcome)

    def read(path: Path) -> None:
        with open_run(path, CONFIG, resume=True) as folder:
            found = folder.outcomes().values()
        assert (path / SEALED).exists() or all(outcome in OUTCOMES for outcome in found)
        read_run(path)

    return read, partial(damaged, originals, ["config.json", "results.jsonl", "results.jsonl"])


def models(originals: Path) -> Reader:
    """A fitted classifier."""
    shutil.rmtree(originals)
    fitted = kk.KernelClassifier(VECTORS, get="ntk").fit(X, np.arange(8) % 2)
    kk.save_model(fitted, originals, NOTES)

    def read(path: Path) -> None:
        loaded = kk.load_model(path)
        assert isinstance(loaded, kk.KernelClassifier)
        try:
            check_notes(loaded.notes_, len(loaded.classes_))
        except DocumentError as error:
            raise ModelFolderError(f"{path}: {error}") from None
        if not (path / SEALED).exists():
            assert loaded.notes_ == NOTES
            np.testing.assert_array_equal(loaded.dual_coef_, fitted.dual_coef_)

    return read, partial(damaged, originals, ["model.json", "model.json", "arrays.npz"])


FILES = ["zarr.json", "zarr.json", "ntk/zarr.json", "nngp/zarr.json", "ntk/c/1/0"]


def stores(originals: Path) -> Reader:
    """A Gram store that is read."""
    ntk = kk.compute_gram(VECTORS, X, store=originals, tile_side=5)["ntk"]

    def read(path: Path) -> None:
        found = kk.GramStore(path)
        assert all(found[name].shape == found.shape for name in found.names)
        if not (path / SEALED).exists():
            np.testing.assert_array_equal(found["ntk"], ntk)

    return read, partial(damaged, originals, FILES)


def continued_stores(originals: Path) -> Reader:
    """A Gram store that is opened to be filled, as far as tiles are computed."""
    kk.compute_gram(VECTORS, X, store=originals, tile_side=5)
    identity = identity_of(VECTORS, X, None, tile_side=5)

    def read(path: Path) -> None:
        open_store(path, identity, {"x1": X, "x2": None}).verify()

    return read, partial(damaged, originals, FILES)


def measurements(originals: Path) -> Reader:
    """What was measured of a device: what is damaged is measured again."""
    document = sealed({"key": KEY, "blocking": dataclasses.asdict(KNOWN)})
    (originals / "cpu.json").write_text(json.dumps(document))

    def read(path: Path) -> None:
        found = blocking._read(path / "cpu.json", KEY)
        assert (path / SEALED).exists() or found in (None, KNOWN)

    return read, partial(damaged, originals, ["cpu.json"])


READERS = (architectures, runs, models, stores, continued_stores, measurements)


@pytest.mark.parametrize("reader", READERS)
def test_what_is_damaged_is_read_or_refused_by_one_line(reader, tmp_path):
    fuzz(reader, tmp_path, 100, seed=0)  # of a model one in twenty is read


@pytest.mark.slow
@pytest.mark.parametrize("reader", READERS)
def test_what_is_damaged_in_many_ways_is_read_or_refused_by_one_line(reader, tmp_path):
    fuzz(reader, tmp_path, 5000, seed=1)


@pytest.mark.slow
@pytest.mark.usefixtures("x64_kept")
@pytest.mark.parametrize("command", ["explain", "rank", "predict", "gram"])
def test_the_command_line_says_it_in_one_line_and_exits_with_2(command, tmp_path, capfd):
    originals, folder = tmp_path / "originals", tmp_path / "fuzz"
    folder.mkdir()
    network, files = tmp_path / "network.json", FILES
    network.write_text(kk.serial(kk.Flatten(), kk.Dense(), kk.Relu(), kk.Dense()).to_json())
    small = ("--n", "20", "--image-size", "4", "--yes")
    sets = ("--n-train", "10", "--n-validation", "10", "--image-size", "4", "--score")
    output = ["--quiet", "--no-compilation-cache"]
    if command == "explain":
        originals.mkdir()
        shutil.copy(network, originals)
        files = ["network.json"]
    elif command == "rank":
        files = ["config.json", "results.jsonl", "results.jsonl"]
    elif command == "predict":
        files = ["model.json", "arrays.npz"]
        made = ("fit", *small, "--model", str(originals), "--store", str(tmp_path / "grams"))
        assert run([*made, *output]) == 0

    def line(path: Path) -> list[str]:
        """The command that reads what is in a folder."""
        return {
            "explain": ["explain", str(path / "network.json")],
            "rank": [
                *("rank", "--architectures", str(network), *sets, "nngp:validation_accuracy"),
                *("--output", str(path), "--resume", *output),
            ],
            "predict": [
                "predict",
                str(path),
                "--n",
                "20",
                "--output",
                str(path.with_suffix(".csv")),
                *output,
            ],
            "gram": [
                *("gram", "--architecture", str(network), *small, "--tile", "10"),
                *("--store", str(path), *output),
            ],
        }[command]

    assert run(line(originals)) == 0
    capfd.readouterr()
    codes = []
    for i in range(40):
        path = damaged(originals, files, np.random.default_rng([3, i]), folder)
        path.with_suffix(".csv").unlink(missing_ok=True)
        codes.append(run(line(path)))
        said = capfd.readouterr()
        assert codes[-1] in (0, 2), (i, said)
        if codes[-1] == 2:
            assert said.err.splitlines()[-1].startswith("kernas: "), (i, said)
            assert "Traceback" not in said.err, (i, said)
    assert 2 in codes


def fuzz(reader: Callable[[Path], Reader], folder: Path, n: int, seed: int) -> None:
    originals, damaged_ones = folder / "originals", folder / "fuzz"
    originals.mkdir()
    damaged_ones.mkdir()
    read, make = reader(originals)
    outcome = check_reader(read, make, damaged_ones, n, seed)
    assert outcome.read + outcome.refused == n
    assert outcome.read > 0
    print(reader.__name__, seed, outcome)
