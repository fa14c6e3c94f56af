"""NumPy's files that are not what they say: headers, members, kinds and shapes of arrays."""

from __future__ import annotations

import io
import struct
import zipfile
from collections.abc import Mapping

import numpy as np

from .choices import perhaps_damaged, pick

DESCRIPTIONS = (
    *("'<f8'", "'<f4'", "'>f8'", "'<i8'", "'|u1'", "'|b1'", "'<c16'", "'<f2'", "'<f16'", "'|S3'"),
    *("'<U4'", "'|O'", "'<M8[ns]'", "'|V5'", "'<U0'", "'|S0'", "'<U999999999'", "'<i99'", "'O8'"),
    *("[('a', '<f8')]", "[('a', '|O', (2,))]", "('<f8', (2,))", "8", "None", "'f8\\n'", "'='"),
)
ORDERS = ("False", "True", "0", "None", "'False'", "false")
SHAPES = (
    *("()", "(2,)", "(2, 3)", "(0,)", "(0, 4)", "(1000000,)", "(9999999999, 9999999999)", "(-1,)"),
    *("(2.0,)", "2", "(2", "(True,)", "(2L, 3L)", "((2, 3),)", "(1,)" * 50, f"({'1, ' * 70})"),
    *("(0, 18446744073709551616)", "(9223372036854775807,)", f"({'9' * 5000},)", "(２,)"),
)
NAMES = ("x", "y.npy", "../x.npy", "a\nb.npy", "\udcff.npy", "é" * 300, "/", "x/", ".npy")
WRONG_ARRAYS = (
    np.zeros(0),
    np.array(3.0),
    np.zeros((2, 0, 3)),
    np.array(["cat", "Hündin", ""]),
    np.array([b"cat", b"\xff\xfe"]),
    np.array([None, "a"], dtype=object),
    np.array([1 + 1j, 2]),
    np.array([True, False, True]),
    np.array([np.nan, np.inf, -np.inf]),
    np.array([1e300, 5e-324, -1e8]),
    np.array([2**64 - 1, 0], np.uint64),
    np.array([-(2**63), 2**63 - 1]),
    np.array(["2026-01-01"], "datetime64[D]"),
    np.array([(1, 2.0)], dtype=[("a", "i4"), ("b", "f8")]),
    np.zeros((1,) * 20),
    np.ones(5, np.longdouble),
    np.ones(5, np.float16),
)


def npy(array: np.ndarray) -> bytes:
    """An array as NumPy writes it."""
    stream = io.BytesIO()
    np.save(stream, array, allow_pickle=True)
    return stream.getvalue()


def header(text: str, version: bytes = b"\1\0") -> bytes:
    """An ``.npy`` header that says anything."""
    content = text.encode("utf-8" if version == b"\3\0" else "latin-1", "replace")
    wide = version != b"\1\0" or len(content) > 0xFFFF
    return b"\x93NUMPY" + version + struct.pack("<I" if wide else "<H", len(content)) + content


def wrong_npy(rng: np.random.Generator, array: np.ndarray) -> bytes:
    """An array's file, or that of another one, or one whose header lies."""
    kind = rng.random()
    if kind < 0.35:
        return npy(array)
    if kind < 0.5:
        return npy(pick(rng, WRONG_ARRAYS))
    if kind < 0.65:
        return npy(wrong_array(rng, array))
    text = (
        f"{{'descr': {pick(rng, DESCRIPTIONS)}, 'fortran_order': {pick(rng, ORDERS)}, "
        f"'shape': {pick(rng, (*SHAPES, str(array.shape)))}, }}"
    )
    text = pick(rng, (text, text, text, text.replace(",", "", 1), text + " " * 20_000, text[:-9]))
    version = pick(rng, (b"\1\0", b"\1\0", b"\2\0", b"\3\0", b"\4\0", b"\0\0"))
    return header(text, version) + array.tobytes()[: int(rng.integers(array.nbytes + 1))]


def wrong_array(rng: np.random.Generator, array: np.ndarray) -> np.ndarray:
    """The array in another dtype, shape or order, or with other values."""
    if array.dtype.kind == "c":
        return array  # NumPy warns of every change to other numbers
    changes = (
        lambda: np.asfortranarray(array),
        lambda: array[::-1] if array.ndim else array,
        lambda: array[..., None],
        lambda: array.reshape(-1),
        lambda: array[: len(array) // 2] if array.ndim else array,
        lambda: array[:1] if array.ndim else array,
        lambda: array.astype(str),
        lambda: array.astype("S"),
        lambda: array.astype(object),
        lambda: array.astype(array.dtype.newbyteorder()),
        lambda: np.full_like(array, array.flat[0]) if array.size else array,
        lambda: _with_value(rng, array, (np.nan, np.inf, 1e39, -1e8, 1e-320, 0.5)),
        lambda: _with_value(rng, array, (-1, 300, 2**62)),
        lambda: array.astype(np.float32) * np.float32(1e38),
    )
    try:
        with np.errstate(all="ignore"):
            return np.asarray(pick(rng, changes)())
    except (TypeError, ValueError, UnicodeError, OverflowError):  # strings have no such change
        return array


def _with_value(
    rng: np.random.Generator, array: np.ndarray, values: tuple[float, ...]
) -> np.ndarray:
    value = pick(rng, values)
    changed = array.astype(np.float64 if isinstance(value, float) else np.int64)
    if changed.size:
        changed.flat[int(rng.integers(changed.size))] = value
    return changed


def wrong_npz(rng: np.random.Generator, arrays: Mapping[str, np.ndarray]) -> bytes:
    """An archive one of whose members, or whose directory, is not what it should be."""
    members = [(f"{name}.npy", npy(array)) for name, array in arrays.items()]
    chosen = int(rng.integers(len(members)))
    name, content = members[chosen]
    original = arrays[name.removesuffix(".npy")]
    kind = rng.random()
    if kind < 0.5:
        members[chosen] = (name, wrong_npy(rng, original))
    elif kind < 0.6:
        members[chosen] = (name, perhaps_damaged(rng, content, share=1.0))
    elif kind < 0.7:
        del members[chosen]
    elif kind < 0.8:
        members.append((pick(rng, NAMES), content))
    elif kind < 0.85:
        members += [(f"extra{i}.npy", content) for i in range(int(rng.integers(1, 20)))]
    method = pick(rng, (zipfile.ZIP_STORED, zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, 12, 14))
    archive = zipped(members, method)
    return lying(rng, archive) if rng.random() < 0.3 else perhaps_damaged(rng, archive, share=0.3)


def zipped(members: list[tuple[str, bytes]], method: int) -> bytes:
    """A ZIP archive of members, some of which may have one name."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", method) as archive:
        for name, content in members:
            name = name.encode("utf-8", "replace").decode()
            if name and name not in archive.namelist():
                archive.writestr(name, content)
    return stream.getvalue()


FIELDS = {
    b"PK\1\2": ((8, 2), (10, 2), (16, 4), (20, 4), (24, 4), (28, 2), (30, 2), (42, 4)),
    b"PK\3\4": ((6, 2), (8, 2), (14, 4), (18, 4), (22, 4), (26, 2), (28, 2)),
    b"PK\5\6": ((8, 2), (10, 2), (12, 4), (16, 4), (20, 2)),
}
"""Flags, method, check sum, sizes, lengths and offsets in the directory's entries, in front of the
members, and at the end: position and width."""


def lying(rng: np.random.Generator, archive: bytes) -> bytes:
    """An archive in which a size, an offset, a flag or a method is another."""
    mark = pick(rng, tuple(FIELDS))
    places = [i for i in range(len(archive)) if archive.startswith(mark, i)]
    if not places:
        return archive
    offset, width = pick(rng, FIELDS[mark])
    start = pick(rng, places) + offset
    there = int.from_bytes(archive[start : start + width], "little")
    values = (0, 1, there + 1, there - 1, there * 1000, 2 ** (8 * width) - 1, 2 ** (8 * width - 1))
    value = pick(rng, values) % 2 ** (8 * width)
    return archive[:start] + value.to_bytes(width, "little") + archive[start + width :]
