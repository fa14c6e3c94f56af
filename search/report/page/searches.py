"""A search as a part of a page, from the files of its folder."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from kernas.csv_text import csv_rows
from kernas.documents import FLAG, OBJECT, field, read
from kernas.errors import DocumentError, RunFolderError
from kernas.quantities import duration

from ...spaces import Space
from ...spaces.abilities import Encoded
from . import charts
from .charts import Axis, axis_of
from .contents import Cell, Column, Part, Picture, Table, flat, made_with, number, text
from .rankings import DRAWN, drawings_of, space_of_run

SUMMARY, TRIALS = "summary.json", "trials.csv"

FRONT, BEHIND = "front", "behind it"


@dataclass(frozen=True)
class Searched:
    """The trials of a search that have ended.

    Attributes:
        directions: score → whether higher is better, the guide first.
        numbers: of the trials.
        names, statuses, messages: of the candidates, in the order of the trials.
        values: score → a value each, or none.
        truth: what was measured of each, where it is known.
        seconds: of each.
        same_as: the trial whose value it has.
    """

    directions: Mapping[str, bool]
    numbers: list[int]
    names: list[str]
    statuses: list[str]
    messages: list[str]
    values: Mapping[str, list[float | None]]
    truth: list[float | None]
    seconds: list[float]
    same_as: list[str]

    def best_so_far(self) -> list[float | None]:
        """The best value of the guide after each trial."""
        guide, higher = next(iter(self.directions.items()))
        better = max if higher else min
        best: float | None = None
        found: list[float | None] = []
        for value in self.values[guide]:
            if value is not None:
                best = value if best is None else better(best, value)
            found.append(best)
        return found

    def in_front(self) -> list[bool]:
        """Whether no other is as good by the first two scores, and better by one."""
        columns = [
            [np.nan if v is None else v if higher else -v for v in self.values[name]]
            for name, higher in list(self.directions.items())[:2]
        ]
        points = np.array(columns, np.float64).T
        known = points[np.isfinite(points).all(axis=1)]
        front: list[bool] = []
        for point in points:
            dominated = np.all(known >= point, axis=1) & np.any(known > point, axis=1)
            front.append(bool(np.isfinite(point).all() and not dominated.any()))
        return front


def search_part(folder: Path, title: str, space: Space | None = None) -> Part:
    """Everything that a search has to show.

    Args:
        folder: that ``kernas search`` wrote.
        title: of the part.
        space: of the candidates, where the record does not name it.

    Raises:
        RunFolderError: a file is missing or damaged.
    """
    try:
        summary = read(folder / SUMMARY)
        options = field(summary, "config.options", OBJECT)
        scores = field(summary, "config.scores", OBJECT)
        directions = {name: field(of, "higher_is_better", FLAG) for name, of in scores.items()}
        found = _searched(folder / TRIALS, directions)
    except (DocumentError, OSError, ValueError, KeyError) as error:
        raise RunFolderError(
            f"{folder} cannot be read ({error}): expected {SUMMARY} and {TRIALS} as kernas search "
            "writes them; give the search again with --resume"
        ) from None
    if not found.names:
        raise RunFolderError(f"{folder} has no trial that has ended; give --resume to go on")
    best = _best_first(found)
    guide = next(iter(directions))
    known, why = space_of_run(space, options.get("space"))
    named = [
        (found.names[t], f"trial {found.numbers[t]}, {found.values[guide][t]:.4g}")
        for t in best[:DRAWN]
    ]
    drawings, notes = drawings_of(known, why, named)
    return Part(
        "search",
        title,
        facts=_facts(found, options, best),
        pictures=[*_progress(found), *_front(found), *_map(found, known)],
        tables=[_trials(found)],
        drawings=drawings,
        notes=notes,
        command=summary.get("command") or (),
        settings={**flat(options), **made_with(summary)},
    )


def _searched(path: Path, directions: Mapping[str, bool]) -> Searched:
    with path.open(encoding="utf-8", newline="") as file:
        head, lines = csv_rows(file)
    rows = [dict(zip(head, line, strict=True)) for line in lines]

    def texts(name: str) -> list[str]:
        return [row[name] for row in rows]

    def numbers(name: str) -> list[float | None]:
        return [float(cell) if cell else None for cell in texts(name)]

    return Searched(
        directions,
        [int(row["trial"]) for row in rows],
        texts("candidate"),
        texts("status"),
        texts("message"),
        {name: numbers(name) for name in directions},
        numbers("truth"),
        [second or 0.0 for second in numbers("seconds")],
        texts("same_as"),
    )


def _best_first(found: Searched) -> list[int]:
    """Trials of different networks that have a value, the best by the guide first."""
    guide, higher = next(iter(found.directions.items()))
    sign = -1 if higher else 1
    known = [
        (sign * value, trial)
        for trial, value in enumerate(found.values[guide])
        if value is not None and not found.same_as[trial]
    ]
    return [trial for _, trial in sorted(known)]


def _facts(found: Searched, options: Mapping[str, Any], best: list[int]) -> list[tuple[str, str]]:
    guide = next(iter(found.directions))
    failed = sum(value is None for value in found.values[guide])
    evaluated = sum(not same for same in found.same_as)
    facts = [
        ("strategy", str(options.get("strategy"))),
        (
            "trials",
            f"{len(found.names):,}, of which {evaluated:,} were evaluated"
            + (f" and {failed:,} failed" if failed else ""),
        ),
        (
            "guided by",
            ", ".join(
                f"{name}, {'higher' if better else 'lower'} is better"
                for name, better in found.directions.items()
            ),
        ),
    ]
    if best:
        first = best[0]
        facts.append(("best", f"{found.names[first]}: {found.values[guide][first]:.4g}"))
        if found.truth[first] is not None:
            facts.append(("measured of the best", f"{found.truth[first]:.4g}"))
    facts.append(("evaluations took", duration(sum(found.seconds))))
    return facts


def _progress(found: Searched) -> list[Picture]:
    guide, higher = next(iter(found.directions.items()))
    trials = found.numbers
    spent = [charts.rounded(s) for s in np.cumsum(found.seconds).tolist()]
    x = [Axis("trial", "trial", trials), Axis("spent", "seconds that evaluations took", spent)]
    note = "" if higher else " (lower is better, axis reversed)"
    known = [None if v is None else charts.rounded(v) for v in found.values[guide]]
    values = Axis("value", guide + note, known, is_reversed=not higher)
    pictures = [
        charts.progress(
            "progress",
            "How the search went",
            f"{len(trials)} trials by {guide}, and the best so far; across the trials, or the "
            "seconds that evaluations took.",
            found.names,
            x if spent[-1] > 0 else x[:1],
            values,
            found.best_so_far(),
        )
    ]
    if any(value is not None for value in found.truth):
        pictures.append(
            charts.scatter(
                "measured",
                "The guide against the truth",
                f"The trials of which a measured value is known: {guide} across, that upward.",
                found.names,
                [axis_of("value", guide, higher, found.values[guide])],
                [axis_of("truth", "measured", True, found.truth)],
                {"trial": trials},
            )
        )
    return pictures


def _front(found: Searched) -> list[Picture]:
    if len(found.directions) < 2:
        return []
    (one, one_higher), (other, other_higher) = list(found.directions.items())[:2]
    kinds = [FRONT if is_in else BEHIND for is_in in found.in_front()]
    return [
        charts.front(
            "front",
            f"{one} and {other}",
            f"Every trial by {one} and {other}; {kinds.count(FRONT)} are in the front: no other is "
            "as good by both and better by one.",
            found.names,
            axis_of("x", one, one_higher, found.values[one]),
            axis_of("y", other, other_higher, found.values[other]),
            kinds,
        )
    ]


def _map(found: Searched, space: Space | None) -> list[Picture]:
    """Where the search looked: the candidates' encodings in the plane of their largest variance."""
    if not isinstance(space, Encoded):
        return []
    points = np.array([space.encode(space.candidate(name)) for name in found.names], np.float64)
    places = principal_plane(points)
    if places is None:
        return []
    trials = Axis("trial", "trial", found.numbers)
    x, y = (
        Axis(name, label, [charts.rounded(v) for v in column])
        for name, label, column in zip(
            ("x", "y"), ("first direction", "second direction"), places.T, strict=True
        )
    )
    return [
        charts.coloured(
            "map",
            "Where the search looked",
            "The candidates in the plane in which their encodings differ most, coloured by the "
            "trial that proposed them.",
            found.names,
            x,
            y,
            trials,
        )
    ]


def principal_plane(points: np.ndarray) -> np.ndarray | None:
    """The first two principal components of points, ``(n, 2)``; ``None`` if they lie on a line."""
    centred = points - points.mean(axis=0)
    u, s, _ = np.linalg.svd(centred, full_matrices=False)
    if s.size < 2 or s[1] <= 1e-9 * max(s[0], 1.0):
        return None
    return u[:, :2] * s[:2]


def _trials(found: Searched) -> Table:
    has_truth = any(value is not None for value in found.truth)
    has_message = any(found.messages)
    columns = (
        Column("trial", True),
        Column("candidate"),
        *(
            Column(name, True, f"{'higher' if higher else 'lower'} is better")
            for name, higher in found.directions.items()
        ),
        *([Column("truth", True, "the measured value")] if has_truth else []),
        Column("seconds", True),
        Column("same as", True, "the trial of an equal network, whose value it has"),
        Column("status"),
        *([Column("message")] if has_message else []),
    )

    def cells(trial: int) -> list[Cell]:
        same = found.same_as[trial]
        return [
            number(found.numbers[trial], str(found.numbers[trial])),
            text(found.names[trial]),
            *(number(values[trial]) for values in found.values.values()),
            *([number(found.truth[trial])] if has_truth else []),
            number(found.seconds[trial]),
            number(int(same), same) if same else ("", None),
            text(found.statuses[trial]),
            *([text(found.messages[trial])] if has_message else []),
        ]

    return Table("Trials", columns, [cells(trial) for trial in range(len(found.names))])
