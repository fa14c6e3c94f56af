"""Where data is looked for, and put."""

from __future__ import annotations

import os
from pathlib import Path

from kernas.errors import ConfigurationError
from kernas.files import home_cache, user_path


def data_folders() -> list[Path]:
    """Where files are looked for: the folder that ``KERNAS_DATA`` names, then the cache folder.

    The cache folder is ``$XDG_CACHE_HOME/kernas``, by default ``~/.cache/kernas``, and is left out
    where no home is known.

    Raises:
        ConfigurationError: ``KERNAS_DATA`` is in the home of an unknown user.
    """
    data, cache = os.environ.get("KERNAS_DATA"), home_cache()
    return [*([user_path(data, "KERNAS_DATA")] if data else []), *([cache] if cache else [])]


def first_data_folder() -> Path:
    """Where files are put.

    Raises:
        ConfigurationError: there is none.
    """
    folders = data_folders()
    if not folders:
        raise ConfigurationError(
            "no folder for data: KERNAS_DATA is not set, and no home folder is known; set "
            "KERNAS_DATA to one"
        )
    return folders[0]


def told(folders: list[Path]) -> str:
    """Folders in words."""
    return " and ".join(str(folder) for folder in folders) or "any folder"
