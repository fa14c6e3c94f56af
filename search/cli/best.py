"""The best candidates of a run folder, of ``kernas search`` or of ``kernas rank``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from kernas.documents import NUMBER, OBJECT, TEXT, field, list_of, read
from kernas.errors import ConfigurationError, DocumentError, RunFolderError

from ..report.files import SUMMARY

if TYPE_CHECKING:
    from ..spaces import Candidate, Space


@dataclass(frozen=True)
class Best:
    """What a run calls best.

    Attributes:
        candidates: the best one first.
        score: that chose them.
        values: of each.
        dataset: that it was computed on.
    """

    candidates: list[Candidate]
    score: str
    values: list[float]
    dataset: str


def best_of_run(folder: Path, top: int, space: Space | None) -> Best:
    """The first ``top`` candidates of a run.

    Args:
        folder: of a finished run.
        top: how many.
        space: theirs, where its name does not say which it is.

    Raises:
        ConfigurationError: ``top`` is below 1, or the space has no name.
        ArchitectureError: ``space`` is another one.
        RunFolderError: the folder holds no finished run, or none of its candidates has a value.
    """
    from ..spaces import space_from_settings

    if top < 1:
        raise ConfigurationError(f"--top {top}: expected how many, 1 or more")
    path = folder / SUMMARY
    try:
        document = read(path)
        config = field(document, "config", OBJECT)
        options, scores = field(config, "options", OBJECT), field(config, "scores", OBJECT)
        score = next(iter(scores), "")
        rows = [
            row
            for row in field(document, "rows", list_of(OBJECT))
            if score in field(row, "scores", OBJECT)
        ][:top]
        names = [field(row, "name", TEXT) for row in rows]
        values = [field(row["scores"][score], "value", NUMBER) for row in rows]
        settings = field(options, "space", OBJECT)
        dataset = field(options, "dataset", TEXT)
    except (DocumentError, OSError) as error:
        raise RunFolderError(
            f"{path} cannot be read ({error}): expected the folder of a finished kernas search or "
            "kernas rank"
        ) from None
    if not names:
        raise RunFolderError(f"{folder} has no candidate with a value of {score or 'a score'}")
    own = space_from_settings(settings) if space is None else space
    return Best([own.candidate(name) for name in names], score, values, dataset)
