"""Published files, downloaded once, from the first mirror that gives the right bytes."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any, cast

from kernas.errors import ConfigurationError, DataError, DownloadError
from kernas.files import user_path
from kernas.progress import progress_bar
from kernas.published import PUBLISHED, PublishedFile

from .folders import first_data_folder
from .known import check_name


def fetch(
    name: str, folder: str | os.PathLike[str] | None = None, *, progress: bool = False
) -> list[Path]:
    """Download the published files of a data set.

    Each file is written under another name, compared with its published SHA-256, and only then
    given its own. A file that is there already is downloaded again only if its sum differs; so what
    was interrupted goes on with the file that was missing.

    Args:
        name: of the data set, e.g. ``"cifar10"``.
        folder: of all data; the one that ``KERNAS_DATA`` names, or else the cache folder, if
            ``None``. Data sets whose files have common names have a folder of their own in it.
        progress: whether to show a bar for each file.

    Returns:
        The paths of the files.

    Raises:
        ConfigurationError: an unknown name, a data set without published files to download, or no
            folder to put them.
        DataError: the folder cannot be written.
        DownloadError: no mirror gave the right bytes; the message has the reason of each.
    """
    check_name(name)
    published = PUBLISHED[name]
    if not published.files:
        raise ConfigurationError(f"nothing to fetch for {name!r}: {published.unpublished}")
    place = user_path(folder, "folder") if folder else first_data_folder()
    target = place / published.folder
    try:
        target.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=target):
            pass
    except OSError as error:
        raise DataError(
            f"{target} cannot be written ({error}); choose another folder, with --folder on the "
            "command line, and set KERNAS_DATA to it"
        ) from None
    return [_download(file, published.mirrors, target, progress) for file in published.files]


def _download(file: PublishedFile, mirrors: tuple[str, ...], target: Path, progress: bool) -> Path:
    import pooch

    def download(url: str, output: str, asking: Any) -> None:
        # Called for what is not there already, which alone has a bar.
        with progress_bar(
            shown=progress, total=file.size, desc=file.name, unit="B", unit_scale=True
        ) as bar:
            by = pooch.downloaders.choose_downloader(url, progressbar=bar if progress else False)
            by(url, output, asking)

    failures: list[str] = []
    for mirror in mirrors:
        try:
            pooch.retrieve(
                mirror + file.name,
                known_hash=f"sha256:{file.sha256}",
                fname=file.name,
                path=target,
                downloader=cast(Any, download),  # pooch's own type is another one
            )
        # Connections fail with kinds of OSError, other sums with ValueError: the next one may do.
        except (OSError, ValueError) as error:
            failures.append(f"{mirror} ({_reason(error)})")
        else:
            return target / file.name
    raise DownloadError(
        f"{file.name} could not be downloaded from {' or '.join(failures)}; check the connection "
        f"and try again, or bring it from elsewhere into {target}: {file.size:,} bytes, SHA-256 "
        f"{file.sha256}"
    )


def _reason(error: BaseException) -> str:
    """The first of the errors that led to this one, on one line."""
    while error.__context__ is not None:
        error = error.__context__
    return " ".join(str(error).split())
