"""Whether bytes are those that were published; if not, what they are instead."""

from __future__ import annotations

import hashlib
from pathlib import Path

from kernas.errors import DataError
from kernas.published import PublishedFile, owner


def check_archive(path: Path, file: PublishedFile, dataset: str) -> None:
    """Refuse an archive that is not the published one.

    Raises:
        DataError: another size or SHA-256; the message has both, expected and found.
    """
    with path.open("rb") as stream:
        found = hashlib.file_digest(stream, "sha256").hexdigest()
    size = path.stat().st_size
    if (size, found) == (file.size, file.sha256):
        return
    _refuse_strangers(path, found, file, dataset)
    differs = (
        f"has {size:,} bytes: expected {file.size:,}"
        if size != file.size
        else f"has SHA-256 {found}: expected {file.sha256}"
    )
    raise DataError(
        f"{path} {differs}, so it is cut off, damaged or another file; {fetch_again(dataset)}"
    )


def check_content(content: bytes, path: Path, file: PublishedFile, dataset: str) -> None:
    """Refuse the content of a file, decompressed if it was not, that was not published.

    Raises:
        DataError: another SHA-256; the message has both, expected and found.
    """
    found = hashlib.sha256(content).hexdigest()
    if found == file.content_sha256:
        return
    _refuse_strangers(path, found, file, dataset)
    raise DataError(
        f"the content of {path} has SHA-256 {found}: expected {file.content_sha256}, so it is "
        f"damaged or another file; {fetch_again(dataset)}"
    )


def fetch_again(dataset: str) -> str:
    """The way out of a bad file."""
    return f"remove it and run `kernas data fetch {dataset}`"


def _refuse_strangers(path: Path, found: str, file: PublishedFile, dataset: str) -> None:
    stranger = owner(found)
    if stranger is not None:
        raise DataError(
            f"{path} is {stranger} (SHA-256 {found}): expected {file.name} of {dataset!r}; move it "
            f"to where it belongs and run `kernas data fetch {dataset}`"
        )
