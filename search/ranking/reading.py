"""From what a run was asked for and what came of it to its ranking."""

from __future__ import annotations

import os
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from kernas.errors import RunFolderError
from kernas.kernels.regression import ScoreValue

from ..runs.config import Entry, RunConfig
from ..runs.folder import RunFolder
from ..runs.outcome import DEGENERATE, ERROR, OK, STATUSES, Outcome, Place
from ..scores import Combined
from ..truth import Truth
from .statistics import Agreements
from .table import Ranking, Row, rank_rows


def read_run(folder: str | os.PathLike[str]) -> Ranking:
    """The ranking of a run folder, finished or not.

    Args:
        folder: that :func:`rank` wrote, or is writing.

    Returns:
        The ranking of the candidates whose scores are all there; its ``summary`` is that of
        ``summary.json``.

    Raises:
        RunFolderError: there is no run, another version of kernas made it, or a file is damaged.
    """
    found = RunFolder(Path(folder))
    config = found.config()
    if config is None:
        raise RunFolderError(
            f"{folder} holds no run: expected a folder that kernas rank --output wrote"
        )
    outcomes = found.outcomes()
    done = config.finished(outcomes)
    if not done.candidates:
        raise RunFolderError(f"{folder} has no candidate that is finished; give --resume to go on")
    return ranking_of(done, outcomes)


def ranking_of(config: RunConfig, outcomes: Mapping[Place, Outcome]) -> Ranking:
    """The ranking of a run.

    Args:
        config: what it was asked for.
        outcomes: of every piece of work of its candidates.
    """
    directions = config.directions
    rows = _combined(config, [_row(config, entry, outcomes) for entry in config.candidates])
    ranked = Ranking(rank_rows(rows, directions), directions)
    agreed = Agreements()
    if config.truth is not None:
        truth = Truth(config.truth["values"], config.truth["source"], config.truth["column"])
        agreed = ranked.correlation(truth, seed=config.bootstrap_seed)
    mine = [outcomes[place] for place in config.places()]
    seconds = _seconds(config, mine)
    settings: list[Any] = []
    for outcome in mine:
        if outcome.settings and outcome.settings not in settings:
            settings.append(dict(outcome.settings))
    environment = config.environment
    summary = {
        "config": config.to_document(),
        "rows": [row.to_dict() for row in ranked.rows],
        "statistics": {name: value.to_dict() for name, value in agreed.items()},
        "seconds": round(sum(outcome.seconds for outcome in mine), 4),
        "seconds_a_candidate": seconds,
        "compilations": sum(outcome.compilations for outcome in mine),
        "architectures": len({entry.hash for entry in config.candidates}),
        "outside_cover": sum("outside_cover" in outcome.settings for outcome in mine),
        "kernel_settings": settings,
        "dtype": environment["dtype"],
        "device": environment["device"],
        "versions": environment["versions"],
    }
    return Ranking(ranked.rows, directions, agreed, seconds, summary)


def _seconds(config: RunConfig, outcomes: Sequence[Outcome]) -> dict[str, float]:
    """What a candidate takes by score: its source's median, the sum of those it combines."""
    by_source: dict[str, list[float]] = {}
    for outcome in outcomes:
        by_source.setdefault(outcome.source, []).append(outcome.seconds)
    of_source = {key: statistics.median(found) for key, found in by_source.items()}

    def of(score: Mapping[str, Any]) -> float:
        parts = score["combined"]["weights"] if "combined" in score else ()
        keys = [score["source"]] if not parts else [config.scores[name]["source"] for name in parts]
        return round(sum(of_source.get(key, 0.0) for key in dict.fromkeys(keys)), 4)

    return {name: of(score) for name, score in config.scores.items()}


def _row(config: RunConfig, entry: Entry, outcomes: Mapping[Place, Outcome]) -> Row:
    """The row of a candidate, not ranked yet."""
    values: dict[str, ScoreValue] = {}
    statuses, messages, seconds = [OK], [], 0.0
    for source, work in zip(config.sources, entry.works, strict=True):
        outcome = outcomes[source, work]
        seconds += outcome.seconds
        if outcome.message:
            statuses.append(outcome.status)
            messages.append(outcome.message)
        for name in config.names_of(source):
            if name in outcome.values:
                values[name] = outcome.values[name]
            elif name in outcome.degenerate:
                statuses.append(DEGENERATE)
                messages.append(f"{name}: {outcome.degenerate[name]}")
    return Row(
        rank=None,
        name=entry.name,
        hash=entry.hash,
        status=max(statuses, key=STATUSES.index),
        values=values,
        message="; ".join(dict.fromkeys(messages)),
        truth=None if config.truth is None else config.truth["values"][entry.name],
        seconds=round(seconds, 4),
    )


def _combined(config: RunConfig, rows: Sequence[Row]) -> list[Row]:
    """The rows with the scores that combine the ranks of others; a row that failed has none."""
    combined = {
        name: Combined(score["combined"]["weights"], score["combined"]["how"])
        for name, score in config.scores.items()
        if "combined" in score
    }
    good = [row for row in rows if row.status != ERROR]
    added: dict[str, dict[str, ScoreValue]] = {row.name: {} for row in rows}
    for name, combination in combined.items():
        columns = {
            part: [row.values[part].value if part in row.values else None for row in good]
            for part in combination.weights
        }
        for row, value in zip(good, combination.values(columns, config.directions), strict=True):
            added[row.name][name] = ScoreValue(float(value))
    return [replace(row, values={**row.values, **added[row.name]}) for row in rows]
