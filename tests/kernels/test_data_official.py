"""Published files: what is read from them, and every way in which one may be wrong."""

import gzip
import hashlib
import os
import re
import shutil
import tarfile
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from real_data import needs_data
from small_sets import SMALL10, idx, publish_small, tar

from kernas.errors import DataError
from kernas.kernels import load
from kernas.kernels.data import DATASETS, verify
from kernas.kernels.data.cifar import read_cifar_archive
from kernas.kernels.data.known import CIFAR10, CIFAR100, read_source
from kernas.published import PUBLISHED, PublishedFile

SETS = ["cifar10", "cifar100", "mnist", "fashion_mnist"]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The folder of all data, empty, and no other."""
    monkeypatch.setenv("KERNAS_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (tmp_path / "data").mkdir()
    return tmp_path / "data"


@pytest.fixture
def small(monkeypatch):
    return publish_small(monkeypatch)


def message(name):
    """The error of reading a data set, which is one line."""
    with pytest.raises(DataError) as caught:
        load(name)
    text = str(caught.value)
    assert "\n" not in text
    return text


# --- what is read ---------------------------------------------------------------------------


@pytest.mark.parametrize("name", SETS)
def test_published_files_are_read_as_they_were_written(name, small, folder):
    small.write(name, folder)
    source = read_source(name)
    x, y, x_test, y_test = small.arrays[name]
    np.testing.assert_array_equal(source.x, x.reshape(source.x.shape))
    assert source.x_test is not None
    np.testing.assert_array_equal(source.x_test, x_test.reshape(source.x_test.shape))
    np.testing.assert_array_equal(source.y, y)
    np.testing.assert_array_equal(source.y_test, y_test)
    train, test = load(name, standardize=False)
    assert (len(train), len(test)) == (40, 20)
    assert train.x.shape[1:] == ((32, 32, 3) if "cifar" in name else (28, 28, 1))
    known = {
        (image / 255).astype(np.float32).tobytes(): label for image, label in zip(x, y, strict=True)
    }
    assert all(
        known[image.tobytes()] == label for image, label in zip(train.x, train.y, strict=True)
    )


def test_records_are_read_as_the_format_says(small, folder):
    """One record by hand: label, red, green, blue, row by row."""
    path = small.unpack("cifar10", folder)
    record = (path / "data_batch_2.bin").read_bytes()[3073 : 2 * 3073]
    source = read_source("cifar10")
    assert source.y[21] == record[0]
    assert source.x[21, 3, 5].tolist() == [record[1 + c * 1024 + 3 * 32 + 5] for c in range(3)]
    assert source.class_names == tuple(f"class {i}" for i in range(10))


@pytest.mark.parametrize("name", ["cifar10", "cifar100"])
def test_an_unpacked_folder_is_the_same_as_its_archive(name, small, folder):
    small.write(name, folder)
    packed, _ = load(name)
    small.unpack(name, folder)
    unpacked, _ = load(name)
    assert packed.fingerprint == unpacked.fingerprint
    assert packed.info["source"].endswith(".tar.gz")
    assert unpacked.info["source"].startswith("cifar-10")


@pytest.mark.parametrize("name", ["mnist", "fashion_mnist"])
def test_idx_files_need_not_be_compressed_or_as_published(name, small, folder):
    place = small.write(name, folder)
    published, _ = load(name)
    for path in place.iterdir():
        content = gzip.decompress(path.read_bytes())
        if "images" in path.name:
            path.write_bytes(gzip.compress(content, compresslevel=1))
        else:
            path.unlink()
            path.with_suffix("").write_bytes(content)
    again, _ = load(name)
    assert again.fingerprint == published.fingerprint


def test_coarse_labels_are_the_first_byte(small, folder):
    small.write("cifar100", folder)
    source = read_source("cifar100_coarse")
    np.testing.assert_array_equal(source.y, small.arrays["cifar100"][1] % 2)
    assert source.class_names == ("even", "odd")
    assert read_source("cifar100").class_names == tuple(f"class {i}" for i in range(4))


def test_published_files_come_before_an_npz_and_folders_in_their_order(small, folder, tmp_path):
    cache = tmp_path / "cache" / "kernas"
    small.write("cifar10", cache)
    assert load("cifar10")[0].info["source"] == "cifar-10-binary.tar.gz"
    x, y, x_test, y_test = small.arrays["cifar10"]
    arrays = {"x_train": x, "y_train": y, "x_test": x_test, "y_test": y_test}
    np.savez(folder / "cifar10_10k_2k.npz", **arrays)
    assert load("cifar10")[0].info["source"] == "cifar10_10k_2k.npz"
    small.write("cifar10", folder)
    assert load("cifar10")[0].info["source"] == "cifar-10-binary.tar.gz"
    small.unpack("cifar10", folder)
    assert load("cifar10")[0].info["source"] == "cifar-10-batches-bin"


def test_empty_folders_are_no_data_sets(folder):
    for name in ("mnist", "cifar-10-batches-bin"):
        (folder / name).mkdir()
    assert "needs mnist/, which is not in" in message("mnist")
    text = message("cifar10")
    assert "needs cifar-10-batches-bin/, cifar-10-binary.tar.gz or cifar10_10k_2k.npz," in text
    assert "run `kernas data fetch cifar10`" in text


# --- wrong sets -----------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "other"), [("cifar10", "cifar100"), ("cifar100", "cifar10")])
def test_the_archive_of_another_set(name, other, small, folder):
    (own,), (content,) = small.files[name], small.files[other].values()
    (folder / own).write_bytes(content)
    text = message(name)
    assert f"{folder / own} is {next(iter(small.files[other]))} of the data set '{other}'" in text
    assert f"expected {own} of '{name}'" in text


def test_the_files_of_the_other_idx_set(small, folder):
    (folder / "mnist").mkdir()
    for file, content in small.files["fashion_mnist"].items():
        (folder / "mnist" / file).write_bytes(content)
    text = message("mnist")
    assert "is train-images-idx3-ubyte.gz of the data set 'fashion_mnist'" in text
    assert "expected train-images-idx3-ubyte.gz of 'mnist'" in text


def test_the_unpacked_folder_of_another_set(small, folder):
    small.unpack("cifar100", folder)
    place = (folder / "cifar-100-binary").rename(folder / "cifar-10-batches-bin")
    shutil.copy(place / "train.bin", place / "data_batch_1.bin")
    assert f"no file {place / 'batches.meta.txt'}" in message("cifar10")
    (place / "batches.meta.txt").write_text("\n".join("abcdefghij"))
    text = message("cifar10")
    assert "data_batch_1.bin of" in text
    assert f"has {40 * 3074:,} bytes: expected {20 * 3073:,}, 20 records of 3073" in text


# --- damaged files --------------------------------------------------------------------------


def test_a_truncated_archive(small, folder):
    small.write("cifar10", folder)
    path = folder / "cifar-10-binary.tar.gz"
    whole = path.read_bytes()
    path.write_bytes(whole[:-1])
    text = message("cifar10")
    assert f"{path} has {len(whole) - 1:,} bytes: expected {len(whole):,}" in text
    assert "kernas data fetch cifar10" in text


def test_an_archive_with_one_other_byte(small, folder):
    small.write("cifar10", folder)
    path = folder / "cifar-10-binary.tar.gz"
    damaged = bytearray(path.read_bytes())
    damaged[5000] ^= 1
    path.write_bytes(damaged)
    expected = PUBLISHED["cifar10"].files[0].sha256
    assert re.search(rf"has SHA-256 [0-9a-f]{{64}}: expected {expected}", message("cifar10"))


def test_a_truncated_gzip(small, folder):
    path = small.write("mnist", folder) / "t10k-images-idx3-ubyte.gz"
    whole = path.read_bytes()
    path.write_bytes(whole[:-100])
    text = message("mnist")
    assert f"{path} cannot be decompressed" in text
    assert f"has {len(whole) - 100:,} bytes, published were {len(whole):,}" in text


@pytest.mark.parametrize("content", [b"", b"<html>", b"\x1f\x8b\x08\0\0\0\0\0\0\0nonsense"])
def test_what_is_no_gzip(content, small, folder):
    path = small.write("mnist", folder) / "train-labels-idx1-ubyte.gz"
    path.write_bytes(content)
    assert f"{path} " in message("mnist")


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (
            lambda content: b"\0\0\x08\x01" + content[4:],
            "magic number 0x00000801: expected 0x00000803",
        ),
        (lambda content: b"", r"magic number 0x: expected 0x00000803"),
        (
            lambda content: idx(np.zeros((41, 28, 28), np.uint8)),
            r"shape \(41, 28, 28\): expected \(40, 28, 28\)",
        ),
        (lambda content: content[:6], r"shape \(0, 0, 0\): expected \(40, 28, 28\)"),
        (lambda content: content[:-1], "has 31,375 bytes: expected 31,376"),
        (lambda content: content + b"\0", "has 31,377 bytes: expected 31,376"),
        (
            lambda content: content[:-1] + bytes([content[-1] ^ 1]),
            "has SHA-256 [0-9a-f]{64}: expected [0-9a-f]{64}",
        ),
    ],
)
def test_an_idx_file_of_another_content(change, expected, small, folder):
    path = small.write("mnist", folder) / "train-images-idx3-ubyte.gz"
    path.write_bytes(gzip.compress(change(gzip.decompress(path.read_bytes()))))
    text = message("mnist")
    assert str(path) in text
    assert re.search(expected, text)


def test_a_missing_idx_file(small, folder):
    path = small.write("fashion_mnist", folder) / "t10k-labels-idx1-ubyte.gz"
    path.unlink()
    assert f"no file {path}" in message("fashion_mnist")


def test_a_label_outside_the_classes(small, folder):
    path = small.unpack("cifar10", folder) / "data_batch_2.bin"
    content = bytearray(path.read_bytes())
    content[7 * 3073] = 10
    path.write_bytes(content)
    text = message("cifar10")
    assert "image 7 of data_batch_2.bin" in text
    assert "has label 10: expected 0 … 9" in text


def test_class_names_of_another_number(small, folder):
    path = small.unpack("cifar10", folder) / "batches.meta.txt"
    path.write_text("cat\ndog\n")
    assert "has 2 class names: expected 10" in message("cifar10")


def test_an_archive_that_cannot_be_opened(folder, small, monkeypatch):
    small.write("cifar10", folder)

    def refuse(*_, **__):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)
    text = message("cifar10")
    assert "cifar-10-binary.tar.gz cannot be read" in text
    assert "Permission denied" in text


def test_class_names_that_are_no_text_or_without_end(small, folder):
    path = small.unpack("cifar10", folder) / "batches.meta.txt"
    path.write_bytes(b"\xff\xfe")
    assert "batches.meta.txt of" in message("cifar10")
    assert "is no text ('utf-8' codec can't decode" in message("cifar10")
    path.write_bytes(b"cat\n" * 100_000)
    assert "has 400,000 bytes: expected at most 65,536, the names of 10" in message("cifar10")


def test_an_idx_file_that_decompresses_to_very_much(small, folder):
    path = small.write("mnist", folder) / "train-images-idx3-ubyte.gz"
    path.write_bytes(gzip.compress(gzip.decompress(path.read_bytes()) + bytes(1 << 24)))
    tracemalloc.start()
    text = message("mnist")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert f"{path} has more than 32,400 bytes: expected 31,376" in text
    assert peak < 1 << 20


# --- archives whose sum is right and whose entries are not ----------------------------------


def archive(folder, members, *entries):
    """An archive of files and of more entries, ``(fields, content)``; its path and its sum."""
    blocks = []
    files = [({"name": file}, content) for file, content in members.items()]
    for fields, content in [*files, *entries]:
        entry = tarfile.TarInfo()
        entry.size = len(content)
        for name, value in fields.items():
            setattr(entry, name, value)
        blocks += [entry.tobuf(tarfile.GNU_FORMAT), content, bytes(-len(content) % 512)]
    path = folder / "archive.tar"
    path.write_bytes(b"".join(blocks) + bytes(1024))
    return path, published(path)


def published(path):
    """A file as if it had been published."""
    content = path.read_bytes()
    return PublishedFile(path.name, len(content), hashlib.sha256(content).hexdigest())


def test_entries_that_are_no_files_are_passed_over(small, folder):
    kinds = (tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.DIRTYPE, tarfile.FIFOTYPE)
    links = ("test_batch.bin", "nowhere", "../../x")
    entries = [
        ({"name": "test_batch.bin", "type": kind, "linkname": link}, b"")
        for kind in kinds
        for link in links
    ]
    path, file = archive(folder, small.members["cifar10"], *entries)
    source = read_cifar_archive(path, "cifar10", SMALL10, file)
    np.testing.assert_array_equal(source.x, small.arrays["cifar10"][0])


@pytest.mark.parametrize(
    ("fields", "n_bytes", "expected"),
    [
        ({"name": "a/test_batch.bin"}, 5, r"test_batch.bin of .* has 5 bytes: expected 61,460"),
        ({"name": "a/test_batch.bin"}, 61_460, r"archive\.tar has test_batch.bin twice"),
        ({"name": "batches.meta.txt", "size": 1 << 40}, 0, "expected at most 65,536"),
    ],
)
def test_entries_of_another_size_or_twice(fields, n_bytes, expected, small, folder):
    path, file = archive(folder, small.members["cifar10"], (fields, bytes(n_bytes)))
    with pytest.raises(DataError, match=expected) as caught:
        read_cifar_archive(path, "cifar10", SMALL10, file)
    assert str(path) in str(caught.value)


def test_an_archive_that_lacks_a_file_or_its_end(small, folder):
    members = {k: v for k, v in small.members["cifar10"].items() if k != "data_batch_2.bin"}
    path, file = archive(folder, members)
    with pytest.raises(DataError, match=r"archive\.tar has no file data_batch_2\.bin"):
        read_cifar_archive(path, "cifar10", SMALL10, file)
    path.write_bytes(path.read_bytes()[:40_000])
    with pytest.raises(DataError, match=r"archive\.tar cannot be read \(unexpected end of data\)"):
        read_cifar_archive(path, "cifar10", SMALL10, published(path))


# --- ImageNet-16-120 ------------------------------------------------------------------------


def save_imagenet(folder, **change):
    n = 240
    arrays = {
        "x_train": np.random.default_rng(0).integers(0, 256, (n, 16, 16, 3), np.uint8),
        "y_train": np.arange(n) % 120,
        "x_test": np.zeros((n // 2, 16, 16, 3), np.uint8),
        "y_test": np.arange(n // 2),
    }
    np.savez(folder / "imagenet16-120.npz", **(arrays | change))


def test_imagenet_from_an_npz(folder):
    save_imagenet(folder)
    train, test = load("imagenet16-120")
    assert train.x.shape == (240, 16, 16, 3)
    assert (train.n_classes, len(test)) == (120, 120)


def test_imagenet_with_labels_that_count_from_one(folder):
    save_imagenet(folder, y_train=np.arange(240) % 120 + 1)
    text = message("imagenet16-120")
    assert "training image 119 of" in text
    assert "has label 120: expected 0 … 119" in text
    save_imagenet(folder, y_test=np.arange(120) - 1)
    assert "test image 0 of" in message("imagenet16-120")


def test_imagenet_of_another_size(folder):
    save_imagenet(
        folder,
        x_train=np.zeros((240, 8, 8, 3), np.uint8),
        x_test=np.zeros((120, 8, 8, 3), np.uint8),
    )
    assert "images of shape (8, 8, 3): expected (16, 16, 3)" in message("imagenet16-120")


def test_imagenet_that_is_absent_says_what_to_write(folder):
    text = message("imagenet16-120")
    assert "needs imagenet16-120.npz" in text
    assert "x_train and x_test (n, 16, 16, 3)" in text


# --- what was published ---------------------------------------------------------------------


def test_every_published_set_is_known_and_named_where_it_is_explained():
    assert list(DATASETS) == list(PUBLISHED)
    assert all(f'"{name}"' in str(load.__doc__) for name in PUBLISHED)


def test_published_sums_are_of_different_files():
    files = [
        file
        for name, published in PUBLISHED.items()
        for file in published.files
        if name != "cifar100_coarse"
    ]
    sums = [total for file in files for total in (file.sha256, file.content_sha256) if total]
    assert len(set(sums)) == len(sums) == 2 * 8 + 2
    assert all(re.fullmatch("[0-9a-f]{64}", total) for total in sums)


def test_published_layouts_have_the_published_numbers_of_images():
    for layout in (CIFAR10, CIFAR100):
        assert sum(n for _, n in layout.train) == 50_000
        assert sum(n for _, n in layout.test) == 10_000


def test_small_files_do_not_pass_for_the_published_ones(small, folder, monkeypatch):
    members = small.members["cifar10"]
    monkeypatch.undo()
    monkeypatch.setenv("KERNAS_DATA", str(folder))
    (folder / "cifar-10-binary.tar.gz").write_bytes(tar(members, "cifar-10-batches-bin"))
    assert "bytes: expected 170,052,171" in message("cifar10")
    small.unpack("cifar10", folder)
    assert "has 61,460 bytes: expected 30,730,000, 10,000 records of 3073" in message("cifar10")
    small.write("mnist", folder)
    assert "shape (40, 28, 28): expected (60000, 28, 28)" in message("mnist")


@needs_data
def test_the_published_content_of_fashion_mnist(tmp_path, monkeypatch):
    """The idx files written from the arrays have the published sums, and only as themselves."""
    with np.load(Path(os.environ["KERNAS_DATA"]) / "fashion_mnist.npz") as arrays:
        keys = ("x_train", "y_train", "x_test", "y_test")
        contents = [idx(arrays[key]) for key in keys]
    monkeypatch.setenv("KERNAS_DATA", str(tmp_path))
    (tmp_path / "fashion_mnist").mkdir()
    for file, content in zip(PUBLISHED["fashion_mnist"].files, contents, strict=True):
        (tmp_path / "fashion_mnist" / file.name.removesuffix(".gz")).write_bytes(content)
    result = verify("fashion_mnist")
    assert (result.status, result.sha256) == ("ok", True)
    assert (result.n_train, result.n_test, result.n_classes) == (60_000, 10_000, 10)
    (tmp_path / "fashion_mnist").rename(tmp_path / "mnist")
    assert "is train-images-idx3-ubyte.gz of the data set 'fashion_mnist'" in message("mnist")
