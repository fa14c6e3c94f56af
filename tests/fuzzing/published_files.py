"""The files of published data sets, damaged: idx files, CIFAR's folders and archives."""

from __future__ import annotations

import gzip
import io
import shutil
import struct
import tarfile
from pathlib import Path

import numpy as np

from .choices import perhaps_damaged, pick

MAGICS = (b"\0\0\x08\1", b"\0\0\x08\0", b"\0\0\x08\xff", b"\0\0\x0d\3", b"\1\0\x08\3")
SIDES = (0, 1, 19, 20, 28, 40, 60_000, 2**31, 2**32 - 1)


def wrong_idx(rng: np.random.Generator, content: bytes) -> bytes:
    """An idx file with another magic number, other sizes or another length."""
    n_axes = content[3]
    head, body = content[: 4 + 4 * n_axes], content[4 + 4 * n_axes :]
    kind = rng.random()
    if kind < 0.3:
        head = pick(rng, MAGICS) + head[4:]
    elif kind < 0.7:
        axis = int(rng.integers(n_axes))
        side = struct.pack(">I", pick(rng, SIDES))
        head = head[: 4 + 4 * axis] + side + head[8 + 4 * axis :]
    elif kind < 0.9:
        body = pick(rng, (body[:-1], body + b"\0", b"", body * 3, body + bytes(5000), body[::-1]))
    return perhaps_damaged(rng, head + body, share=0.3)


def wrong_gzip(rng: np.random.Generator, content: bytes) -> bytes:
    """Bytes compressed, in one or several parts, not at all, twice, damaged, or very many."""
    kind = rng.random()
    if kind < 0.15:
        return content
    if kind < 0.3:
        half = len(content) // 2
        return gzip.compress(content[:half], 1) + gzip.compress(content[half:], 1)
    if kind < 0.4:
        return gzip.compress(gzip.compress(content, 1), 1)
    if kind < 0.45:
        return gzip.compress(content + bytes(1 << 22), 1)
    return perhaps_damaged(rng, gzip.compress(content, 1), share=0.6)


def wrong_idx_folder(rng: np.random.Generator, folder: Path, files: dict[str, bytes]) -> Path:
    """The folder of four files, gzipped as they are given, one of which is wrong."""
    _empty(folder)
    chosen = pick(rng, tuple(files))
    for name, content in files.items():
        if name == chosen and rng.random() < 0.05:
            (folder / name).mkdir()
            continue
        if name != chosen:
            (folder / name).write_bytes(content)
            continue
        plain = wrong_idx(rng, gzip.decompress(content))
        if rng.random() < 0.3:
            (folder / name.removesuffix(".gz")).write_bytes(plain)
        else:
            (folder / name).write_bytes(wrong_gzip(rng, plain))
    return folder


def wrong_records(rng: np.random.Generator, content: bytes, record: int) -> bytes:
    """CIFAR's records with other labels, or too few or too many of them."""
    kind = rng.random()
    if kind < 0.4:
        changed = bytearray(content)
        for _ in range(int(rng.integers(1, 5))):
            start = int(rng.integers(len(content) // record)) * record
            changed[start + int(rng.integers(2))] = pick(rng, (0, 1, 2, 9, 10, 99, 100, 255))
        return bytes(changed)
    if kind < 0.6:
        others = (content[:-record], content + content[:record], content[:-1], content[1:], b"")
        return pick(rng, others)
    return perhaps_damaged(rng, content)


def wrong_names(rng: np.random.Generator, content: bytes) -> bytes:
    """A file of class names that is no text, too long, or of other names."""
    others = (
        *(b"", b"\xff\xfe", content + b"one more\n", content.replace(b"\n", b"\r\n"), b"\n" * 50),
        *(content.replace(b"class", b"cl\0ss"), content * 5000, content.replace(b"0", b"\xe9")),
    )
    return pick(rng, others) if rng.random() < 0.7 else perhaps_damaged(rng, content, share=1.0)


def wrong_members(
    rng: np.random.Generator, members: dict[str, bytes], record: int
) -> dict[str, bytes]:
    """The files of CIFAR, one of which is wrong or missing."""
    changed = dict(members)
    chosen = pick(rng, tuple(members))
    if rng.random() < 0.1:
        del changed[chosen]
    elif chosen.endswith(".txt"):
        changed[chosen] = wrong_names(rng, changed[chosen])
    else:
        changed[chosen] = wrong_records(rng, changed[chosen], record)
    return changed


def write_members(rng: np.random.Generator, folder: Path, members: dict[str, bytes]) -> Path:
    """CIFAR unpacked; now and then something that is no file is among them."""
    _empty(folder)
    for name, content in members.items():
        (folder / name).write_bytes(content)
    chosen = folder / pick(rng, tuple(members))
    if rng.random() < 0.1:
        chosen.unlink()
        pick(
            rng,
            (
                lambda: chosen.mkdir(),
                lambda: chosen.symlink_to("nowhere"),
                lambda: chosen.symlink_to(chosen.name),
                lambda: chosen.symlink_to("/dev/null"),
            ),
        )()
    return folder


def wrong_tar(rng: np.random.Generator, members: dict[str, bytes], folder: str) -> bytes:
    """An archive with entries that lead elsewhere, lie about their size or are no files."""
    stream = io.BytesIO()
    form = pick(rng, (tarfile.PAX_FORMAT, tarfile.GNU_FORMAT, tarfile.USTAR_FORMAT))
    chosen = pick(rng, tuple(members))
    with tarfile.open(fileobj=stream, mode="w", format=form) as archive:
        for name, content in members.items():
            entry = tarfile.TarInfo(f"{folder}/{name}")
            entry.size = len(content)
            if name == chosen:
                _wrong_entry(rng, entry, form)
            archive.addfile(entry, io.BytesIO(content) if entry.isreg() else None)
            if name == chosen and rng.random() < 0.2:
                archive.addfile(entry, io.BytesIO(content) if entry.isreg() else None)
    content = perhaps_damaged(rng, stream.getvalue(), share=0.3)
    return wrong_gzip(rng, content) if rng.random() < 0.7 else content


def _wrong_entry(rng: np.random.Generator, entry: tarfile.TarInfo, form: int) -> None:
    """Change an entry of a regular file in place."""
    kind = rng.random()
    if kind < 0.25:
        name = Path(entry.name).name
        entry.name = pick(
            rng, (f"../../{name}", f"/{name}", name, f"a/{'b/' * 60}{name}"[-98:], "x")
        )
    elif kind < 0.5:
        links = (
            tarfile.SYMTYPE,
            tarfile.LNKTYPE,
            tarfile.DIRTYPE,
            tarfile.FIFOTYPE,
            tarfile.CHRTYPE,
        )
        entry.type, entry.linkname = (
            pick(rng, links),
            pick(rng, ("nowhere", entry.name, "/etc/x", "")),
        )
    elif kind < 0.6 and form == tarfile.PAX_FORMAT:
        fields = (
            "size",
            "GNU.sparse.size",
            "GNU.sparse.realsize",
            "GNU.sparse.map",
            "path",
            "linkpath",
        )
        entry.pax_headers = {
            pick(rng, fields): pick(rng, ("99999999999", "-1", "a,b", "0,1,2", ""))
        }


def _empty(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
