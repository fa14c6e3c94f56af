"""Folders of runs: numbered ones where none is named, and files that go there."""

from __future__ import annotations

import re
from pathlib import Path

from kernas.errors import RunFolderError
from kernas.files import write_whole


def numbered_folder(command: str, dataset: str, resume: bool) -> Path:
    """``runs/COMMAND-DATASET-N``: the first unused N, or the last used one to resume."""
    stem = f"{command}-{re.sub(r'[^A-Za-z0-9]+', '-', Path(dataset).stem)}-"
    runs = Path("runs")
    found = runs.glob(f"{stem}*") if runs.is_dir() else []
    numbers = [
        int(path.name.removeprefix(stem))
        for path in found
        if path.name.removeprefix(stem).isdecimal()
    ]
    last = max(numbers, default=0)
    return runs / f"{stem}{max(last, 1) if resume else last + 1}"


def write_in_run(path: Path, content: bytes) -> None:
    """Put a file of a run in place, whole or not at all.

    Raises:
        RunFolderError: it cannot be written.
    """
    try:
        write_whole(path, content)
    except OSError as error:
        raise RunFolderError(
            f"cannot write {path} ({error.strerror}); make room, and give --resume"
        ) from None
