"""The fuzz itself: it damages, and it notices."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pytest
from fuzzing.mutations import MUTATIONS, mutate_bytes
from fuzzing.outcome import check_reader

from kernas.errors import DataError

CONTENT = bytes(range(256)) * 2


def make(rng: np.random.Generator, folder: Path) -> Path:
    path = folder / "fuzzed.bin"
    path.write_bytes(mutate_bytes(rng, CONTENT))
    return path


@pytest.mark.parametrize("mutate", MUTATIONS)
def test_every_mutation_takes_contents_of_any_length(mutate):
    rng = np.random.default_rng(0)
    for content in (b"", b"a", b"ab", CONTENT):
        for _ in range(20):
            assert isinstance(mutate(rng, content), bytes)
    assert any(mutate(rng, CONTENT) != CONTENT for _ in range(20))


def test_inputs_of_one_seed_are_the_same_again():
    first, again = (mutate_bytes(np.random.default_rng([3, 7]), CONTENT) for _ in range(2))
    assert first == again


def test_results_and_lines_are_counted(tmp_path):
    def read(path: Path) -> None:
        if path.stat().st_size != len(CONTENT):
            raise DataError(f"{path} has another size; copy it again")

    outcome = check_reader(read, make, tmp_path, 100, seed=0)
    assert outcome.read + outcome.refused == 100
    assert min(outcome.read, outcome.refused) > 10


def refusing(text: str):
    def read(path: Path) -> None:
        raise DataError(text.replace("PATH", str(path)))

    return read


def wasteful(path: Path) -> None:
    np.ones(100 << 20, np.uint8)


def warning(path: Path) -> None:
    warnings.warn("deprecated", stacklevel=1)


def failing(path: Path) -> None:
    assert path.stat().st_size == -1


@pytest.mark.parametrize(
    ("read", "expected"),
    [
        (lambda path: path.read_bytes().decode("ascii"), "× UnicodeDecodeError at test_fuzzing.py"),
        (refusing("damaged"), "without the file's name"),
        (wasteful, "5× much memory, first input 0: 100 MiB"),
        (warning, "5× UserWarning"),
        (failing, "5× AssertionError"),
    ],
)
def test_every_kind_of_fault_is_noticed(read, expected, tmp_path):
    with pytest.raises(AssertionError, match=expected) as caught:
        check_reader(read, make, tmp_path, 5, seed=0)
    assert str(caught.value).startswith("seed 0, 5 inputs:\n")


def test_a_fault_is_met_again_by_its_number(tmp_path):
    def read(path: Path) -> None:
        if len(path.read_bytes()) < 100:
            raise KeyError("short")

    with pytest.raises(AssertionError) as caught:
        check_reader(read, make, tmp_path, 100, seed=0)
    first = int(str(caught.value).split("first input ")[1].split(":")[0])
    with pytest.raises(AssertionError, match=f"1× KeyError .*first input {first}: "):
        check_reader(read, make, tmp_path, 1, seed=0, start=first)
