"""Data sets in the published forms but of a few images, known under the published names."""

from __future__ import annotations

import gzip
import hashlib
import io
import struct
import tarfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from kernas.kernels.data.cifar import CifarLayout
from kernas.kernels.data.known import (
    CIFAR10,
    CIFAR100,
    CIFAR100_COARSE,
    CLOTHES,
    DATASETS,
    DIGITS,
    KnownSet,
    cifar_forms,
    idx_forms,
)
from kernas.published import PUBLISHED, PublishedFile

N_TRAIN, N_TEST, SIDE = 40, 20, 28
SMALL10 = replace(
    CIFAR10,
    train=(("data_batch_1.bin", N_TRAIN // 2), ("data_batch_2.bin", N_TRAIN // 2)),
    test=(("test_batch.bin", N_TEST),),
)
SMALL100 = replace(
    CIFAR100, train=(("train.bin", N_TRAIN),), test=(("test.bin", N_TEST),), n_classes=4
)
SMALL_COARSE = replace(SMALL100, names=CIFAR100_COARSE.names, n_classes=2, label=0)


class SmallSets:
    """Files by data set and name, and the arrays that they hold."""

    def __init__(self) -> None:
        self.files: dict[str, dict[str, bytes]] = {}
        self.arrays: dict[str, tuple[np.ndarray, ...]] = {}
        self.members = {"cifar10": self._cifar("cifar10", SMALL10)}
        self.members["cifar100"] = self._cifar("cifar100", SMALL100)
        for name, layout in (("cifar10", SMALL10), ("cifar100", SMALL100)):
            archive = PUBLISHED[name].files[0].name
            self.files[name] = {archive: tar(self.members[name], layout.folder)}
        for seed, name in enumerate(("mnist", "fashion_mnist")):
            self._idx(name, seed)

    def _cifar(self, name: str, layout: CifarLayout) -> dict[str, bytes]:
        rng = np.random.default_rng(layout.n_classes)
        x, y = {}, {}
        members: dict[str, bytes] = {}
        for file, n in (*layout.train, *layout.test):
            x[file] = rng.integers(0, 256, (n, 32, 32, 3), np.uint8)
            y[file] = np.arange(n) % layout.n_classes
            members[file] = b"".join(
                bytes([label % 2] * (layout.label_bytes - 1) + [label])
                + b"".join(image[..., channel].tobytes() for channel in range(3))
                for image, label in zip(x[file], y[file].tolist(), strict=True)
            )
        names = [f"class {i}" for i in range(layout.n_classes)]
        members[layout.names] = ("\n".join(names) + "\n\n").encode()
        members["coarse_label_names.txt"] = b"even\nodd\n"
        (*train, test) = x
        self.arrays[name] = (
            np.concatenate([x[file] for file in train]),
            np.concatenate([y[file] for file in train]),
            x[test],
            y[test],
        )
        return members

    def _idx(self, name: str, seed: int) -> None:
        rng = np.random.default_rng(seed)
        arrays = []
        for n in (N_TRAIN, N_TEST):
            arrays.append(rng.integers(0, 256, (n, SIDE, SIDE), np.uint8))
            arrays.append(((np.arange(n) + seed) % 10).astype(np.uint8))
        self.arrays[name] = tuple(arrays)
        self.files[name] = {
            file.name: gzip.compress(idx(array), mtime=0)
            for file, array in zip(PUBLISHED[name].files, arrays, strict=True)
        }

    def write(self, name: str, folder: Path) -> Path:
        """The published files of a data set, where they belong in a folder of all data."""
        target = folder / PUBLISHED[name].folder
        target.mkdir(parents=True, exist_ok=True)
        for file, content in self.files[name].items():
            (target / file).write_bytes(content)
        return target

    def unpack(self, name: str, folder: Path) -> Path:
        """The members of an archive, unpacked."""
        target = folder / {"cifar10": SMALL10, "cifar100": SMALL100}[name].folder
        target.mkdir(parents=True)
        for file, content in self.members[name].items():
            (target / file).write_bytes(content)
        return target


def idx(array: np.ndarray) -> bytes:
    return struct.pack(f">{1 + array.ndim}I", 0x0800 + array.ndim, *array.shape) + array.tobytes()


def tar(members: dict[str, bytes], folder: str) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as archive:
        entry = tarfile.TarInfo(folder)
        entry.type = tarfile.DIRTYPE
        archive.addfile(entry)
        for file, content in members.items():
            entry = tarfile.TarInfo(f"{folder}/{file}")
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return stream.getvalue()


def publish_small(monkeypatch: pytest.MonkeyPatch) -> SmallSets:
    """Small sets in the place of the published ones, with sizes and sums of their own."""
    small = SmallSets()
    for name in ("cifar10", "cifar100", "cifar100_coarse", "mnist", "fashion_mnist"):
        files = small.files[name.removesuffix("_coarse")]
        published = tuple(
            PublishedFile(
                file,
                len(content),
                hashlib.sha256(content).hexdigest(),
                hashlib.sha256(gzip.decompress(content)).hexdigest(),
            )
            for file, content in files.items()
        )
        monkeypatch.setitem(PUBLISHED, name, replace(PUBLISHED[name], files=published))
    forms = {
        "cifar10": cifar_forms("cifar10", SMALL10),
        "cifar100": cifar_forms("cifar100", SMALL100),
        "cifar100_coarse": cifar_forms("cifar100_coarse", SMALL_COARSE),
        "mnist": idx_forms("mnist", DIGITS, N_TRAIN, N_TEST),
        "fashion_mnist": idx_forms("fashion_mnist", CLOTHES, N_TRAIN, N_TEST),
    }
    for name, known in forms.items():
        others = [form for form in DATASETS[name].forms if form.path.endswith(".npz")]
        monkeypatch.setitem(DATASETS, name, KnownSet((*known, *others)))
    return small
