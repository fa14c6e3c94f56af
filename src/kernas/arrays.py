"""NumPy's files, ``.npz`` and ``.npy``, read so that nothing in them is believed unchecked.

Nothing is unpickled, and no memory is taken for an array before its size, as its header has it,
agrees with the size of the file. Whatever is damaged is an error of one line with the file, the
array and the way out. What may be in such a file: numbers, logical values and strings.
The forms are those of ``numpy.lib.format`` and of PKWARE's APPNOTE.
"""

from __future__ import annotations

import math
import os
import re
import struct
import sys
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np

from .errors import DataError, KernasError
from .files import open_regular

KINDS = "biufcSU"
"""The kinds of dtype that are read: logical, integers, real and complex numbers, strings."""

DAMAGE = (
    OSError,
    ValueError,
    EOFError,
    RuntimeError,
    OverflowError,
    MemoryError,
    struct.error,
    zlib.error,
    zipfile.BadZipFile,
)
"""What reading a damaged file raises, in NumPy, zipfile, zlib and struct.

RuntimeError: a member that is encrypted or compressed in a way that zipfile does not know.
"""

MAGIC = b"\x93NUMPY"
MAX_HEADER_BYTES = 10_000
"""NumPy's own bound; a header has about 100 bytes."""

MAX_MEMBERS = 100_000
MAX_INFLATION = 1032
"""By how much deflate makes bytes more, at most: 258 from two bits."""

CHUNK_BYTES = 1 << 20

_VALUE = r"""(?:'[^'\\\n]*'|"[^"\\\n]*"|True|False|\([\d\s,L]*\))"""
_ITEM = rf"""\s*['"](descr|fortran_order|shape)['"]\s*:\s*({_VALUE})\s*"""
_HEADER = re.compile(rf"\{{{_ITEM},{_ITEM},{_ITEM}(?:,\s*)?\}}\s*")
_DTYPE = re.compile(r"[<>|=]?([a-zA-Z?])(\d{0,10})")


@dataclass(frozen=True)
class Header:
    """What stands before the bytes of an array.

    Attributes:
        dtype: of its elements.
        shape: of the array.
        fortran: whether the first axis runs fastest.
        length: bytes of the header itself.
    """

    dtype: np.dtype
    shape: tuple[int, ...]
    fortran: bool
    length: int

    @property
    def nbytes(self) -> int:
        """Bytes of the array."""
        return math.prod(self.shape) * self.dtype.itemsize


class ArrayArchive:
    """The arrays of an open ``.npz`` file; made by :func:`open_npz`.

    Attributes:
        names: of its arrays, in the file's order.
    """

    def __init__(self, archive: zipfile.ZipFile, path: Path, reader: _Reader) -> None:
        self._archive, self._path, self._reader = archive, path, reader
        entries = archive.infolist()
        if len(entries) > MAX_MEMBERS:
            raise reader.error(f"{path} has {len(entries):,} members: expected few")
        self._entries = {entry.filename.removesuffix(".npy"): entry for entry in entries}
        if len(self._entries) < len(entries):
            raise reader.error(f"{path} has an array twice: expected every name once")
        self.names = tuple(self._entries)

    def header(self, name: str) -> Header:
        """Shape and dtype of an array, without its elements."""
        with self._reader.translated(self._what(name)):
            entry = self._checked(name)
            with self._archive.open(entry) as file:
                return _read_header(file)

    def read(self, name: str, kinds: str = KINDS) -> np.ndarray:
        """An array.

        Args:
            name: one of ``names``.
            kinds: the kinds of dtype that may be; another is refused before anything is read.
        """
        with self._reader.translated(self._what(name)):
            entry = self._checked(name)
            with self._archive.open(entry) as file:
                return _read_array(file, entry.file_size, kinds)

    def _what(self, name: str) -> str:
        return f"array {name!r} of {self._path}"

    def _checked(self, name: str) -> zipfile.ZipInfo:
        """The entry of an array whose sizes can be true."""
        entry = self._entries[name]
        if entry.flag_bits & 1:
            raise _ContentError("is encrypted: expected a plain one")
        if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise _ContentError(
                f"is compressed by method {entry.compress_type}: expected none, or deflate as in "
                "numpy.savez_compressed"
            )
        stored = entry.compress_type == zipfile.ZIP_STORED
        most = entry.compress_size * (1 if stored else MAX_INFLATION)
        there = self._path.stat().st_size
        if entry.compress_size > there or entry.file_size > most:
            raise _ContentError(
                f"is damaged (its size, {entry.file_size:,} bytes, cannot be in a file of "
                f"{there:,})"
            )
        return entry


@contextmanager
def open_npz(
    path: Path,
    *,
    error: type[KernasError] = DataError,
    way_out: str = "write or copy it again",
) -> Iterator[ArrayArchive]:
    """Open an ``.npz`` file to read its arrays one by one.

    Args:
        path: of a regular file.
        error: what is raised.
        way_out: the end of every message.

    Raises:
        KernasError: of the kind ``error``, here or as an array is read: no such file, no archive,
            one that is cut off or damaged, one with an array twice; an array whose header does not
            fit the file, one of Python objects or of another kind than asked for.
    """
    reader = _Reader(error, way_out)
    with ExitStack() as stack:
        with reader.translated(f"{path}"):
            file = stack.enter_context(open_regular(path))
            if file.read(2) != b"PK":
                raise _ContentError("is not an .npz file")
            archive = stack.enter_context(zipfile.ZipFile(file))
        yield ArrayArchive(archive, path, reader)


def read_npy(
    path: Path,
    kinds: str = KINDS,
    *,
    error: type[KernasError] = DataError,
    way_out: str = "write it with numpy.save(path, array)",
) -> np.ndarray:
    """The array of an ``.npy`` file.

    Args:
        path: of a regular file.
        kinds: the kinds of dtype that may be; another is refused before anything is read.
        error: what is raised.
        way_out: the end of every message.

    Raises:
        KernasError: of the kind ``error``: no such file, a file of another kind, a header that does
            not fit it, Python objects, or another dtype.
    """
    with _Reader(error, way_out).translated(f"{path}"), open_regular(path) as file:
        return _read_array(file, path.stat().st_size, kinds)


class _ContentError(Exception):
    """What is wrong with the thing that is being read: the message without its subject."""


@dataclass(frozen=True)
class _Reader:
    """How faults are told."""

    kind: type[KernasError]
    way_out: str

    def error(self, message: str) -> KernasError:
        return self.kind(f"{message}; {self.way_out}")

    @contextmanager
    def translated(self, what: str) -> Iterator[None]:
        """Faults as errors of one line about ``what``."""
        try:
            yield
        except _ContentError as error:
            raise self.error(f"{what} {error}") from None
        except KernasError:
            raise
        except DAMAGE as fault:
            reason = str(fault) or type(fault).__name__
            raise self.error(f"{what} cannot be read ({reason})") from None


def _read_header(file: IO[bytes]) -> Header:
    """What stands before the elements.

    Raises:
        _ContentError: it is no header, or one of elements that are not read.
    """
    start = file.read(8)
    if start[:6] != MAGIC:
        raise _ContentError("is not an array in NumPy's format")
    version = start[6:]
    if version not in (b"\1\0", b"\2\0", b"\3\0"):
        raise _ContentError(f"is of version {'.'.join(map(str, version))}: expected 1.0 to 3.0")
    size = file.read(2 if version == b"\1\0" else 4)
    (length,) = struct.unpack("<H" if version == b"\1\0" else "<I", size)
    if length > MAX_HEADER_BYTES:
        raise _ContentError(
            f"has a header of {length:,} bytes: expected at most {MAX_HEADER_BYTES:,}"
        )
    content = file.read(length)
    text = content.decode("utf-8" if version == b"\3\0" else "latin-1")
    match = _HEADER.fullmatch(text)
    items = dict(zip(match.groups()[::2], match.groups()[1::2], strict=True)) if match else {}
    if len(content) < length or len(items) < 3:
        raise _ContentError(
            f"has the header {_short(text)}: expected descr, fortran_order and shape of one array "
            "of numbers or strings"
        )
    descr, order, shape = items["descr"], items["fortran_order"], items["shape"]
    if descr[0] not in "'\"" or order not in ("True", "False") or shape[0] != "(":
        raise _ContentError(f"has the header {_short(text)}: its values are of other types")
    sides = [side.strip().rstrip("L") for side in shape[1:-1].split(",")]
    if sides[-1] == "":
        sides.pop()
    if not all(side.isdecimal() and len(side) <= 19 for side in sides):
        raise _ContentError(f"has the shape {_short(shape)}: expected integers")
    return Header(
        _dtype(descr[1:-1]),
        tuple(int(side) for side in sides),
        order == "True",
        len(start) + len(size) + length,
    )


def _dtype(descr: str) -> np.dtype:
    """The dtype that a header names.

    Raises:
        _ContentError: Python objects, or none of numbers and strings.
    """
    match = _DTYPE.fullmatch(descr)
    if match is not None and match[1] == "O":
        raise _ContentError(
            "holds Python objects, which are never unpickled; save numbers, for instance "
            "y.astype('int64')"
        )
    try:
        dtype = None if match is None else np.dtype(descr)
    except (TypeError, ValueError, OverflowError):
        dtype = None
    if dtype is None or dtype.kind not in KINDS or dtype.itemsize == 0:
        raise _ContentError(f"has dtype {_short(descr)}: expected numbers or strings")
    return dtype


def _read_array(file: IO[bytes], size: int, kinds: str) -> np.ndarray:
    """The array of a file, or of a member, of ``size`` bytes.

    Raises:
        _ContentError: the header does not fit the size, another kind of dtype, or elements that
            are no characters or no logical values.
    """
    header = _read_header(file)
    if header.dtype.kind not in kinds:
        raise _ContentError(f"has dtype {header.dtype}: expected another, of the kinds {kinds}")
    if header.length + header.nbytes != size:
        raise _ContentError(
            f"is cut off or damaged: its header has shape {_short(str(header.shape))} in "
            f"{header.dtype}, {header.nbytes:,} bytes, but {size - header.length:,} are there"
        )
    memory = memory_bytes()
    if header.nbytes > memory:
        raise _ContentError(
            f"takes {header.nbytes:,} bytes of memory: expected fewer than the {memory:,} here"
        )
    flat = np.empty(math.prod(header.shape), header.dtype)
    content = flat.view(np.uint8)
    filled = 0
    # One byte more than there should be, so that the end is seen and its check sum compared.
    while chunk := file.read(min(CHUNK_BYTES, len(content) - filled + 1)):
        if filled + len(chunk) > len(content):
            raise _ContentError("is damaged: it has more bytes than its header says")
        content[filled : filled + len(chunk)] = np.frombuffer(chunk, np.uint8)
        filled += len(chunk)
    if filled < len(content):
        raise _ContentError(f"is cut off: {filled:,} bytes of {len(content):,} are there")
    _check_elements(flat)
    return flat.reshape(header.shape, order="F" if header.fortran else "C")


def _check_elements(flat: np.ndarray) -> None:
    """Refuse bit patterns that no value of the dtype has."""
    if flat.dtype.kind == "b" and (flat.view(np.uint8) > 1).any():
        raise _ContentError("is damaged: it has logical values that are neither 0 nor 1")
    if flat.dtype.kind == "U":
        codes = flat.view(np.dtype("u4").newbyteorder(flat.dtype.byteorder))
        if ((codes > 0x10FFFF) | ((codes >= 0xD800) & (codes < 0xE000))).any():
            raise _ContentError("is damaged: it has numbers that are no characters")


def memory_bytes() -> int:
    """The memory of this machine; without bound where the system does not say."""
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):
        return sys.maxsize


def _short(text: str) -> str:
    return repr(text if len(text) <= 100 else f"{text[:99]}…")
