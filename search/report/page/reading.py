"""From folders to the parts of a page."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from kernas.errors import ConfigurationError, RunFolderError
from kernas.kernels.estimators.model_folder import MODEL

from ...ranking.reading import read_run
from ...ranking.table import Ranking
from ...runs.folder import CONFIG
from ...spaces import Space
from .comparing import rankings_compared
from .contents import Part
from .models import model_part, predictions_part
from .rankings import ranking_part
from .searches import TRIALS, search_part
from .trainings import BEST, METRICS, best_part, training_part

DATABASE = "study.db"


def parts_of(runs: Sequence[str | os.PathLike[str]], space: Space | None = None) -> list[Part]:
    """A part of a page for each run, those that compare them first.

    Args:
        runs: folders of rankings, searches, trainings and models, and tables of predictions.
        space: of the candidates, where a run's record does not name it.

    Raises:
        ConfigurationError: none is given, or one twice.
        KernasError: one of them cannot be read; the message says which and why.
    """
    paths = [Path(run) for run in runs]
    if not paths:
        raise ConfigurationError("no run: give the folder of a ranking, a search, a training or a "
                                 "model")  # fmt: skip
    for place, path in enumerate(paths):
        if path in paths[:place]:
            raise ConfigurationError(f"{path} is given twice: expected different runs")
    titles = _titles(paths)
    parts: list[Part] = []
    rankings: dict[str, Ranking] = {}
    for path, title in zip(paths, titles, strict=True):
        if (path / CONFIG).exists():
            rankings[title] = read_run(path)
            parts.append(ranking_part(rankings[title], title, space))
        else:
            parts += _parts_of_one(path, title, space)
    if len(rankings) > 1:
        parts.insert(0, rankings_compared(rankings))
    return parts


def _parts_of_one(path: Path, title: str, space: Space | None) -> list[Part]:
    """Of anything but a ranking."""
    if (path / MODEL).exists():
        tables = sorted(path.glob("*.csv"))
        return [
            model_part(path, title),
            *(predictions_part(table, f"{title}: {table.name}") for table in tables),
        ]
    if (path / TRIALS).exists():
        return [search_part(path, title, space)]
    if (path / METRICS).exists():
        return [training_part(path, title)]
    if (path / BEST).exists():
        ones = sorted((p for p in path.iterdir() if (p / METRICS).exists()), key=_by_number)
        return [best_part(path, title), *(training_part(p, f"{title}/{p.name}") for p in ones)]
    if path.is_file():
        return [predictions_part(path, title)]
    if (path / DATABASE).exists():
        raise RunFolderError(
            f"{path} has a search without its {TRIALS}: give the search again with --resume, which "
            "writes it"
        )
    what = "there is nothing" if not path.exists() else "it holds none of their files"
    raise RunFolderError(
        f"{path} is no run ({what}): expected the folder of kernas rank, search, train or fit, or "
        "a table that kernas predict wrote"
    )


def _by_number(path: Path) -> tuple[int, str]:
    return (int(path.name) if path.name.isdecimal() else 0, path.name)


def _titles(paths: Sequence[Path]) -> list[str]:
    """The last name of each path, or the whole path where two have it."""
    names = [path.name or str(path) for path in paths]
    return [
        name if names.count(name) == 1 else str(path)
        for name, path in zip(names, paths, strict=True)
    ]
