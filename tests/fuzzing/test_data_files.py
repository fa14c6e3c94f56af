"""Damaged files of data, of accuracies and of cells end in results or in one line."""

from __future__ import annotations

import functools
import gzip
import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from fuzzing import image_files, list_files, published_files
from fuzzing.array_files import wrong_npy, wrong_npz
from fuzzing.choices import perhaps_damaged, pick
from fuzzing.outcome import check_reader
from small_sets import SMALL10, SMALL100, SmallSets

from kernas.arrays import open_npz, read_npy
from kernas.kernels.data import load, read_images
from kernas.kernels.data.cifar import CifarLayout, read_cifar_archive, read_cifar_folder
from kernas.kernels.data.idx import IdxLayout, read_idx_folder
from kernas.kernels.data.known import DIGITS
from kernas.kernels.data.source import Source
from kernas.published import PUBLISHED, PublishedFile
from kernas.search import NasBench201, load_truth, read_candidates

Read = Callable[[Path], object]
Make = Callable[[np.random.Generator, Path], Path]


@dataclass(frozen=True)
class Fuzzed:
    """A reader and what makes its inputs."""

    read: Read
    make: Make


@functools.cache
def small() -> SmallSets:
    return SmallSets()


def arrays(rng: np.random.Generator) -> dict[str, np.ndarray]:
    """A small data set as an ``.npz`` has it."""
    shape = pick(rng, ((7,), (3, 4), (4, 3, 2)))
    x = np.random.default_rng(0).normal(size=(12, *shape))
    y = np.arange(12) % 3
    if rng.random() < 0.3:
        x = (x * 50 + 128).astype(np.uint8)
    if rng.random() < 0.5:
        return {"x": x, "y": y, "class_names": np.array(["cat", "dog", "Igel"])}
    return {"x_train": x, "y_train": y, "x_test": x[:6], "y_test": y[:6]}


def make_npz(rng: np.random.Generator, folder: Path) -> Path:
    path = folder / "fuzzed.npz"
    path.write_bytes(wrong_npz(rng, arrays(rng)))
    return path


def make_npy(rng: np.random.Generator, folder: Path) -> Path:
    path = folder / "fuzzed.npy"
    content = wrong_npy(rng, next(iter(arrays(rng).values())))
    path.write_bytes(perhaps_damaged(rng, content))
    return path


def read_data_set(path: Path) -> None:
    for part in load(path):
        assert np.isfinite(part.x).all()
        assert len(part.x) == len(part.y) > 0


def read_every_array(path: Path) -> None:
    with open_npz(path) as archive:
        for name in archive.names:
            assert archive.read(name).shape == archive.header(name).shape


def read_pixels(path: Path) -> None:
    assert np.isfinite(read_images(path)).all()


def make_idx(rng: np.random.Generator, folder: Path) -> Path:
    return published_files.wrong_idx_folder(rng, folder / "mnist", small().files["mnist"])


def read_idx(path: Path) -> None:
    files, (x, y, x_test, y_test) = _idx_files(), small().arrays["mnist"]
    shapes = tuple(array.shape for array in (x, y, x_test, y_test))
    layout = IdxLayout(tuple(zip(files, shapes, strict=True)), DIGITS)
    source = read_idx_folder(path, "mnist", layout)
    np.testing.assert_array_equal(source.x[..., 0], x)
    np.testing.assert_array_equal(source.y, y)


@functools.cache
def _idx_files() -> tuple[PublishedFile, ...]:
    return tuple(
        PublishedFile(name, len(content), "", hashlib.sha256(gzip.decompress(content)).hexdigest())
        for name, content in small().files["mnist"].items()
    )


LAYOUTS = {"cifar10": SMALL10, "cifar100": SMALL100}


def wrong_members(rng: np.random.Generator, name: str) -> dict[str, bytes]:
    layout, members = LAYOUTS[name], small().members[name]
    return published_files.wrong_members(rng, members, layout.record_bytes)


def make_cifar_folder(rng: np.random.Generator, folder: Path, name: str) -> Path:
    place = folder / LAYOUTS[name].folder
    return published_files.write_members(rng, place, wrong_members(rng, name))


def read_folder(path: Path, name: str) -> None:
    _check_cifar(read_cifar_folder(path, name, LAYOUTS[name]), LAYOUTS[name])


def make_cifar_archive(rng: np.random.Generator, folder: Path, name: str) -> Path:
    members = small().members[name] if rng.random() < 0.5 else wrong_members(rng, name)
    path = folder / PUBLISHED[name].files[0].name
    path.write_bytes(published_files.wrong_tar(rng, members, LAYOUTS[name].folder))
    return path


def read_archive(path: Path, name: str) -> None:
    """As if the damaged archive were the published one: what its sum is, is compared first."""
    content = path.read_bytes()
    file = PublishedFile(path.name, len(content), hashlib.sha256(content).hexdigest())
    _check_cifar(read_cifar_archive(path, name, LAYOUTS[name], file), LAYOUTS[name])


def _check_cifar(source: Source, layout: CifarLayout) -> None:
    assert source.x.shape == (sum(n for _, n in layout.train), 32, 32, 3)
    assert source.y.max() < layout.n_classes


def make_image_folder(rng: np.random.Generator, folder: Path) -> Path:
    return image_files.wrong_image_folder(rng, folder / "pets")


def make_table(rng: np.random.Generator, folder: Path) -> Path:
    path = folder / "fuzzed.npz"
    path.write_bytes(list_files.wrong_table(rng))
    return path


def read_table(path: Path) -> None:
    truth = load_truth(path, list_files.COLUMN)
    assert np.isfinite(list(truth.values())).all()


def make_list(rng: np.random.Generator, folder: Path) -> Path:
    path = folder / "fuzzed.txt"
    path.write_bytes(list_files.wrong_list(rng))
    return path


def read_list(path: Path) -> None:
    space = NasBench201()
    for candidate in read_candidates([path], space):
        assert space.parse(candidate.name)


FUZZED = {
    "npz": Fuzzed(read_every_array, make_npz),
    "npz data set": Fuzzed(read_data_set, make_npz),
    "npy": Fuzzed(read_npy, make_npy),
    "npy images": Fuzzed(read_pixels, make_npy),
    "idx": Fuzzed(read_idx, make_idx),
    **{
        f"{name} {form}": Fuzzed(
            functools.partial(read, name=name), functools.partial(make, name=name)
        )
        for name in LAYOUTS
        for form, read, make in (
            ("folder", read_folder, make_cifar_folder),
            ("archive", read_archive, make_cifar_archive),
        )
    },
    "image folder": Fuzzed(read_data_set, make_image_folder),
    "truth": Fuzzed(read_table, make_table),
    "cells": Fuzzed(read_list, make_list),
}


@pytest.mark.parametrize("name", FUZZED)
def test_damaged_files_are_read_or_refused_by_one_line(name, tmp_path):
    outcome = check_reader(FUZZED[name].read, FUZZED[name].make, tmp_path, 30, seed=1)
    assert outcome.refused > 0


@pytest.mark.slow
@pytest.mark.parametrize("name", FUZZED)
def test_thousands_of_damaged_files(name, tmp_path):
    outcome = check_reader(FUZZED[name].read, FUZZED[name].make, tmp_path, 5000, seed=2)
    print(f"{name}: {outcome.read} read, {outcome.refused} refused")
    assert outcome.read + outcome.refused == 5000
    assert min(outcome.read, outcome.refused) > 50
