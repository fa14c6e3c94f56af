"""Arrays that a long computation makes block by block: in memory, or in a folder that resumes."""

from __future__ import annotations

import io
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from kernas.arrays import open_npz
from kernas.comparison import first_difference
from kernas.documents import read, sealed, unsealed
from kernas.errors import DocumentError, RunFolderError
from kernas.files import user_path, write_whole

IDENTITY = "identity.json"

Shapes = Mapping[str, tuple[int, ...]]
"""Of a block's arrays in float64, by their names."""


@dataclass(frozen=True, eq=False)
class Blocks:
    """Blocks by their numbers; each is there whole or not at all.

    Args:
        folder: that keeps them, a file each; ``None`` for memory.
    """

    folder: Path | None
    _held: dict[int, dict[str, np.ndarray]] = field(default_factory=dict)

    @classmethod
    def of(cls, folder: str | os.PathLike[str] | None, identity: Mapping[str, Any]) -> Blocks:
        """The blocks of one computation, those that are there and those to come.

        Args:
            folder: where they are kept; ``None`` for memory.
            identity: what decides their bytes, as JSON values.

        Raises:
            RunFolderError: the folder is of another computation, is damaged, or cannot be written.
        """
        if folder is None:
            return cls(None)
        path = user_path(folder, "store")
        name = path / IDENTITY
        try:
            path.mkdir(parents=True, exist_ok=True)
            if not name.exists():
                if any(not entry.name.startswith(".") for entry in path.iterdir()):
                    raise RunFolderError(f"{path} is not empty and no store; choose another folder")
                write_whole(name, json.dumps(sealed(identity), indent=1).encode())
            there = unsealed(read(name))
        except (OSError, DocumentError) as error:
            raise RunFolderError(
                f"{name} cannot be read or written ({error}); choose another folder"
            ) from None
        difference = first_difference(there, json.loads(json.dumps(identity)))
        if difference is not None:
            what, was, now = difference
            raise RunFolderError(
                f"{path} is of another computation: {what} is {was} there and {now} here; choose "
                "another folder, or give the same network, data and settings"
            )
        return cls(path)

    def get(self, number: int, shapes: Shapes) -> dict[str, np.ndarray] | None:
        """A block, ``None`` where it is still to be computed.

        Args:
            number: of the block.
            shapes: of its arrays.

        Raises:
            RunFolderError: it is damaged.
        """
        if self.folder is None:
            return self._held.get(number)
        path = self._file(number)
        if not path.exists():
            return None
        way_out = "remove it, and the same call computes it again"
        with open_npz(path, error=RunFolderError, way_out=way_out) as archive:
            found = {name: archive.read(name, "f") for name in archive.names}
        there = {name: array.shape for name, array in found.items()}
        if there != dict(shapes):
            raise RunFolderError(f"{path} has arrays {there}: expected {dict(shapes)}; {way_out}")
        return found

    def put(self, number: int, arrays: Mapping[str, np.ndarray]) -> None:
        """Keep a block.

        Raises:
            RunFolderError: its file cannot be written; no part of it is left.
        """
        if self.folder is None:
            self._held[number] = dict(arrays)
            return
        content = io.BytesIO()
        np.savez(content, allow_pickle=False, **dict[str, Any](arrays))
        try:
            write_whole(self._file(number), content.getvalue())
        except OSError as error:
            raise RunFolderError(
                f"{self._file(number)} cannot be written ({error.strerror}); make room, and the "
                "same call goes on"
            ) from None

    def _file(self, number: int) -> Path:
        assert self.folder is not None
        return self.folder / f"block-{number:06d}.npz"
