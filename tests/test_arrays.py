"""NumPy's files: what was written is read, and nothing else."""

from __future__ import annotations

import io
import struct
import warnings
import zipfile
from pathlib import Path

import numpy as np
import pytest

from kernas import arrays
from kernas.arrays import open_npz, read_npy
from kernas.errors import DataError, ModelFolderError

PLAIN = {
    "x": np.random.default_rng(0).normal(size=(10, 3)),
    "y": np.arange(10),
    "names": np.array(["a", "é", ""]),
    "bytes": np.array([b"ab", b"c"]),
    "fortran": np.asfortranarray(np.arange(12, dtype=np.float32).reshape(3, 4)),
    "empty": np.zeros((0, 3)),
    "scalar": np.float64(3.0),
    "logical": np.array([True, False]),
    "big": np.arange(3, dtype=">i4"),
    "complex": np.array([1j, 2]),
}


def header(text: str, version: bytes = b"\1\0") -> bytes:
    """An ``.npy`` header with its length, not padded."""
    length = struct.pack("<H" if version == b"\1\0" else "<I", len(text))
    return b"\x93NUMPY" + version + length + text.encode()


def described(descr: str = "'<f8'", order: str = "False", shape: str = "(2,)") -> str:
    return f"{{'descr': {descr}, 'fortran_order': {order}, 'shape': {shape}, }}"


def write(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


def read(path: Path, name: str) -> np.ndarray:
    with open_npz(path) as archive:
        return archive.read(name)


def message(path: Path, name: str | None = None) -> str:
    with pytest.raises(DataError) as caught:
        read_npy(path) if name is None else read(path, name)
    assert str(path) in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1
    return str(caught.value)


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_an_archive_gives_what_was_put_in(save, tmp_path):
    save(tmp_path / "a.npz", **PLAIN)
    with open_npz(tmp_path / "a.npz") as archive:
        assert archive.names == tuple(PLAIN)
        for name, array in PLAIN.items():
            found = archive.read(name)
            np.testing.assert_array_equal(found, array)
            head = archive.header(name)
            assert (head.dtype, head.shape) == (found.dtype, found.shape)
            assert (found.dtype, found.shape) == (array.dtype, array.shape)


@pytest.mark.parametrize("name", PLAIN)
def test_a_single_array(name, tmp_path):
    np.save(tmp_path / "a.npy", PLAIN[name])
    np.testing.assert_array_equal(read_npy(tmp_path / "a.npy"), PLAIN[name])


@pytest.mark.parametrize(
    "text",
    [
        "{'descr': '<f8', 'fortran_order': False, 'shape': (2,), }   \n",
        "{'shape':(2L,),'fortran_order':False,'descr':'<f8'}",
        '{"descr": "<f8", "fortran_order": False, "shape": (2, )}',
    ],
)
@pytest.mark.parametrize("version", [b"\1\0", b"\2\0", b"\3\0"])
def test_headers_as_other_programs_write_them(text, version, tmp_path):
    path = write(tmp_path / "a.npy", header(text, version) + np.array([1.0, 2.0]).tobytes())
    np.testing.assert_array_equal(read_npy(path), [1, 2])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (described(shape="(3,)"), r"shape '\(3,\)' in float64, 24 bytes, but 16 are there"),
        (described(shape="(1,)"), r"shape '\(1,\)' in float64, 8 bytes, but 16 are there"),
        (described(shape="(2000000000, 4000000000)"), "but 16 are there"),
        (described(shape="(0, 99999999999999999999)"), "expected integers"),
        (described(shape="(-2,)"), "has the header"),
        (described(shape="2"), "has the header"),
        (described(shape="'2'"), "its values are of other types"),
        (described("False"), "its values are of other types"),
        (described(order="'no'"), "its values are of other types"),
        (described("'|O'"), "Python objects, which are never unpickled"),
        (described("[('a', '<f8')]"), "has the header"),
        (described("'<M8[s]'"), "expected numbers or strings"),
        (described("'<M8'"), "expected numbers or strings"),
        (described("'|V8'"), "expected numbers or strings"),
        (described("'<i3'"), "expected numbers or strings"),
        (described("'<U0'"), "expected numbers or strings"),
        (described("'<U9999999999'"), "expected numbers or strings"),
        ("{'descr': '<f8', 'descr': '<f8', 'shape': (2,), }", "has the header"),
        ("__import__('os').system('true')", "has the header"),
        ("(" * 5000, "has the header"),
        ("{" + " " * 9000, "has the header"),
        ("", "has the header ''"),
    ],
)
def test_a_header_is_believed_only_as_far_as_it_fits(text, expected, tmp_path):
    path = write(tmp_path / "a.npy", header(text) + bytes(16))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(DataError, match=expected):
            read_npy(path)
    message(path)


@pytest.mark.parametrize(
    "content",
    [
        *(b"", b"\x93NUMPY", b"text\n", header("x" * 20_000), header(described())[:40]),
        *(
            header(described(), b"\4\0"),
            header(described(), b"\3\0").replace(b"descr", b"d\xff\xfer"),
        ),
    ],
)
def test_what_is_no_array_or_cut_off_in_its_header(content, tmp_path):
    message(write(tmp_path / "a.npy", content))


def test_a_large_size_takes_no_memory(tmp_path):
    text = described(shape="(1000000000000,)")
    message(write(tmp_path / "a.npy", header(text) + bytes(16)))
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        archive.writestr("x.npy", header(text) + bytes(16))
    assert "but 16 are there" in message(tmp_path / "a.npz", "x")


def test_strings_of_numbers_that_are_no_characters(tmp_path):
    for code in (0x110000, 0xD800):
        path = write(
            tmp_path / "a.npy",
            header(described("'<U2'", shape="(1,)")) + struct.pack("<2I", 65, code),
        )
        assert "numbers that are no characters" in message(path)


def test_logical_values_of_other_bytes(tmp_path):
    path = write(tmp_path / "a.npy", header(described("'|b1'")) + b"\1\2")
    assert "neither 0 nor 1" in message(path)


def test_a_kind_that_is_not_asked_for_is_refused_by_its_header(tmp_path):
    np.savez(tmp_path / "a.npz", x=np.arange(3))
    with open_npz(tmp_path / "a.npz") as archive, pytest.raises(DataError, match="has dtype int64"):
        archive.read("x", kinds="f")


def archived(folder: Path, **members: bytes) -> Path:
    with zipfile.ZipFile(folder / "a.npz", "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return folder / "a.npz"


def saved(array: np.ndarray) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array)
    return stream.getvalue()


def test_an_array_that_stands_there_twice(tmp_path):
    one = saved(np.zeros(2))
    path = archived(tmp_path, **{"x.npy": one, "x": one})
    assert "has an array twice" in message(path, "x")


def test_a_member_that_is_no_array(tmp_path):
    path = archived(tmp_path, x=b"text")
    assert "array 'x'" in message(path, "x")
    assert "is not an array in NumPy's format" in message(path, "x")


def test_a_member_with_more_than_its_array(tmp_path):
    assert "but 17 are there" in message(
        archived(tmp_path, **{"x.npy": saved(np.zeros(2)) + b"\0"}), "x"
    )


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_a_compression_that_numpy_never_writes(method, tmp_path):
    with zipfile.ZipFile(tmp_path / "a.npz", "w", method) as archive:
        archive.writestr("x.npy", saved(np.zeros(2)))
    assert f"compressed by method {method}" in message(tmp_path / "a.npz", "x")


def test_one_other_byte_in_an_array_is_noticed(tmp_path):
    np.savez(tmp_path / "a.npz", x=np.arange(100))
    content = bytearray((tmp_path / "a.npz").read_bytes())
    content[300] ^= 1
    write(tmp_path / "a.npz", bytes(content))
    assert "cannot be read (Bad CRC-32" in message(tmp_path / "a.npz", "x")


def test_a_size_in_the_directory_that_deflate_cannot_reach(tmp_path):
    np.savez_compressed(tmp_path / "a.npz", x=np.zeros(1000))
    content = (tmp_path / "a.npz").read_bytes()
    there = struct.pack("<I", 8128)
    path = write(tmp_path / "a.npz", content.replace(there, struct.pack("<I", 0x7FFFFFFF)))
    assert "cannot be in a file of" in message(path, "x")


def test_an_array_beyond_the_memory_of_the_machine(tmp_path, monkeypatch):
    np.savez_compressed(tmp_path / "a.npz", x=np.zeros(1000))
    monkeypatch.setattr(arrays, "memory_bytes", lambda: 4000)
    assert "takes 8,000 bytes of memory: expected fewer than the 4,000 here" in message(
        tmp_path / "a.npz", "x"
    )


def test_folders_pipes_and_absent_files(tmp_path):
    (tmp_path / "folder").mkdir()
    message(tmp_path / "folder")
    message(tmp_path / "folder", "x")
    message(tmp_path / "absent.npz", "x")
    np.save(tmp_path / "a.npy", np.zeros(2))
    assert "is not an .npz file" in message(tmp_path / "a.npy", "x")


def test_the_caller_says_which_error_and_which_way_out(tmp_path):
    path = write(tmp_path / "a.npz", b"PK")
    with (
        pytest.raises(ModelFolderError, match=r"a\.npz cannot be read \(.*\); fit again$"),
        open_npz(path, error=ModelFolderError, way_out="fit again"),
    ):
        raise AssertionError


def test_what_goes_wrong_while_an_archive_is_open_is_the_callers(tmp_path):
    np.savez(tmp_path / "a.npz", x=np.zeros(2))
    with pytest.raises(ValueError, match=r"^mine$"), open_npz(tmp_path / "a.npz"):
        raise ValueError("mine")
