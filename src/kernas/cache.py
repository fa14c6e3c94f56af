"""The user's cache folder: what is kept there only saves time."""

from __future__ import annotations

from pathlib import Path


def cache_folder(name: str) -> Path | None:
    """The folder of that name in the user's cache of kernas, which need not exist.

    ``None`` where the system does not say where the user's home is, as in services and containers:
    nothing is kept then.
    """
    import platformdirs

    folder = platformdirs.user_cache_path("kernas") / name
    return folder if folder.is_absolute() else None
