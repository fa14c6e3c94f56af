"""The state of a training on disk: there whole or not at all, and only taken up by its like."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import numpy as np

from kernas import documents
from kernas.arrays import ArrayArchive, open_npz
from kernas.comparison import first_difference
from kernas.documents import NUMBER, OBJECT, field
from kernas.errors import DocumentError, RunFolderError
from kernas.files import write_whole

NAME = "checkpoint.npz"
WAY_OUT = "delete it to train from the beginning, or give another folder"

HEADER, LOSSES, CURVE = "header", "losses", "curve"


@dataclass(frozen=True)
class Checkpoint:
    """How far a training has come.

    Attributes:
        state: variables and the optimiser's state.
        losses: of the steps that were done, ``(steps, seeds)``.
        curve: accuracies that were measured on the way, ``(k, seeds)``.
        seconds: that they took.
    """

    state: Any
    losses: np.ndarray
    curve: np.ndarray
    seconds: float = 0.0

    @property
    def steps(self) -> int:
        """How many were done."""
        return len(self.losses)

    @property
    def diverged(self) -> np.ndarray:
        """Of each seed whether a loss was not finite."""
        return np.logical_not(np.isfinite(self.losses).all(axis=0))


def write(folder: Path, identity: Mapping[str, Any], reached: Checkpoint) -> None:
    """Put the checkpoint of a folder in place of the one before.

    Raises:
        RunFolderError: it cannot be written.
    """
    header = json.dumps({"identity": identity, "seconds": reached.seconds})
    arrays: dict[str, Any] = {HEADER: np.array(header)}
    arrays |= {LOSSES: reached.losses, CURVE: reached.curve}
    arrays |= {_leaf(i): np.asarray(x) for i, x in enumerate(jax.tree.leaves(reached.state))}
    content = io.BytesIO()
    np.savez(content, **arrays)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        write_whole(folder / NAME, content.getvalue())
    except OSError as error:
        raise RunFolderError(
            f"{folder / NAME} cannot be written ({error}): expected a folder with free space; give "
            "another one"
        ) from None


def read(folder: Path, identity: Mapping[str, Any], start: Checkpoint, most: int) -> Checkpoint:
    """The checkpoint of a folder; ``start`` if there is none.

    Args:
        folder: of the training.
        identity: what decides the bytes of its weights, as JSON values.
        start: the training before its first step.
        most: steps that it has.

    Raises:
        RunFolderError: the checkpoint is damaged, or that of another training.
    """
    path = folder / NAME
    if not path.exists():
        return start
    with open_npz(path, error=RunFolderError, way_out=WAY_OUT) as archive:
        names = [HEADER, LOSSES, CURVE, *map(_leaf, range(len(jax.tree.leaves(start.state))))]
        if HEADER not in archive.names:
            raise RunFolderError(f"{path} is no checkpoint of a training; {WAY_OUT}")
        seconds = _seconds(path, archive, identity)
        if set(archive.names) != set(names):
            raise RunFolderError(f"{path} has other arrays than such a training; {WAY_OUT}")
        losses, curve = archive.read(LOSSES), archive.read(CURVE)
        for name, there, here in (
            (LOSSES, losses, start.losses),
            (CURVE, curve, start.curve),
        ):
            if there.dtype != here.dtype or there.shape[1:] != here.shape[1:]:
                raise RunFolderError(
                    f"{path} has {name} of {there.dtype}{there.shape}: expected "
                    f"{here.dtype}, {here.shape[1:]} of each; {WAY_OUT}"
                )
        if len(losses) > most:
            raise RunFolderError(f"{path} has {len(losses)} steps of {most}; {WAY_OUT}")
        leaves, tree = jax.tree.flatten(start.state)
        found = [archive.read(name) for name in names[3:]]
        for name, here, there in zip(names[3:], leaves, found, strict=True):
            if here.shape != there.shape or here.dtype != there.dtype:
                raise RunFolderError(
                    f"array {name!r} of {path} is {there.dtype}{there.shape}: expected "
                    f"{here.dtype}{here.shape}; {WAY_OUT}"
                )
    return Checkpoint(jax.tree.unflatten(tree, found), losses, curve, seconds)


def _seconds(path: Path, archive: ArrayArchive, identity: Mapping[str, Any]) -> float:
    """What the header says, if it is that of this training."""
    text = archive.read(HEADER)
    try:
        header = documents.parse(str(text))
        there = field(header, "identity", OBJECT)
        seconds = field(header, "seconds", NUMBER)
    except DocumentError as error:
        raise RunFolderError(f"{path} is damaged ({error}); {WAY_OUT}") from None
    difference = first_difference(there, json.loads(json.dumps(identity)))
    if difference is not None:
        name, was, now = difference
        raise RunFolderError(
            f"{path} is of another training: {name} is {was}, here {now}; {WAY_OUT}"
        )
    return seconds


def _leaf(index: int) -> str:
    return f"leaf_{index}"
