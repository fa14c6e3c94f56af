"""Numbered folders of runs, where none is named."""

from __future__ import annotations

import re
from pathlib import Path


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
