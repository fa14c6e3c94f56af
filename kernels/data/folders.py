"""Where data is looked for, and put."""

from __future__ import annotations

import os
from pathlib import Path


def cache_folder() -> Path:
    """``$XDG_CACHE_HOME/kernas``, by default ``~/.cache/kernas``."""
    root = os.environ.get("XDG_CACHE_HOME")
    return (Path(root) if root else Path.home() / ".cache") / "kernas"


def data_folders() -> list[Path]:
    """Where files are looked for: the folder that ``KERNAS_DATA`` names, then the cache folder."""
    data = os.environ.get("KERNAS_DATA")
    return [*([Path(data).expanduser()] if data else []), cache_folder()]
