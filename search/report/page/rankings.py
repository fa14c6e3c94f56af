"""A ranking as a part of a page."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from kernas.errors import KernasError
from kernas.quantities import duration

from ...ranking.table import ERROR, Ranking, Row, show_rank, show_value
from ...spaces import Space, space_from_settings
from ..compared import LEAST_SECONDS, score_matrix
from . import charts
from .charts import Axis, axis_of
from .contents import (
    Cell,
    Column,
    Drawing,
    Part,
    Picture,
    Table,
    flat,
    made_with,
    number,
    text,
    with_limits,
)

BEST = 30
"""Candidates in the chart of the best."""

DRAWN = 12
"""Candidates that are drawn."""

MOST_SCORES = 40
"""In the charts; the table has all."""

NO_SPACE = "the networks are not drawn: the run does not say of which space they are"


def ranking_part(ranking: Ranking, title: str, space: Space | None = None) -> Part:
    """Everything that a ranking has to show.

    Args:
        ranking: of :func:`kernas.search.read_run`, or of :func:`kernas.search.rank`.
        title: of the part.
        space: of the candidates, where the run's record does not name it.
    """
    config: Mapping[str, Any] = ranking.summary.get("config", {})
    options = config.get("options", {})
    drawings, notes = drawn(ranking, space, options.get("space"))
    return Part(
        "ranking",
        title,
        facts=_facts(ranking, options),
        pictures=pictures_of(ranking),
        tables=[*_agreement(ranking), _candidates(ranking)],
        drawings=drawings,
        notes=notes,
        command=config.get("environment", {}).get("command") or (),
        settings={**flat(options), **made_with(ranking.summary)},
    )


def pictures_of(ranking: Ranking) -> list[Picture]:
    """The charts of a ranking."""
    rows = [row for row in ranking if row.status != ERROR]
    if not rows:
        return []
    names = [row.name for row in rows]
    scores, axes = list(ranking.directions), _axes(ranking)
    found = [_best(ranking)]
    if ranking.statistics:
        truth = [row.truth for row in rows]
        by_agreement = sorted(axes, key=lambda axis: _order(ranking, scores, axis))
        measured = ranking.summary.get("config", {}).get("truth", {}).get("column", "measured")
        found.append(
            charts.scatter(
                "truth",
                "Scores against the truth",
                f"{len(rows)} candidates: {scores[axes.index(by_agreement[0])]} across, the "
                "measured value upward; another score may be chosen.",
                names,
                by_agreement,
                [axis_of("truth", f"measured {measured}", True, truth)],
                {"rank": [show_rank(row) for row in rows]},
            )
        )
        found.append(_fidelity(ranking))
    return [*found, *_score_pictures(ranking, names, axes)]


def score_pictures(ranking: Ranking) -> list[Picture]:
    """The charts of scores against each other."""
    rows = [row for row in ranking if row.status != ERROR]
    return _score_pictures(ranking, [row.name for row in rows], _axes(ranking))


def _axes(ranking: Ranking) -> list[Axis]:
    """The scores along axes, of all rows that have not failed."""
    columns = ranking.columns()
    return [
        axis_of(f"s{place}", name, ranking.directions[name], columns[name])
        for place, name in enumerate(list(ranking.directions)[:MOST_SCORES])
    ]


def _score_pictures(ranking: Ranking, names: list[str], axes: list[Axis]) -> list[Picture]:
    scores = list(ranking.directions)
    found: list[Picture] = []
    if len(axes) > 1:
        found.append(
            charts.scatter(
                "scores",
                "Scores against each other",
                f"{len(names)} candidates: {scores[0]} across, {scores[1]} upward; other scores "
                "may be chosen.",
                names,
                axes,
                [axes[1], axes[0], *axes[2:]],
            )
        )
    if len(axes) > 2:
        order, matrix = score_matrix(ranking)
        found.append(
            charts.heat_map(
                "agreement",
                "Which scores agree",
                "Spearman's correlation of every two scores, those that agree beside each other.",
                order,
                order,
                matrix,
                "Spearman",
                diverging=True,
            )
        )
    return found


def _order(ranking: Ranking, scores: list[str], axis: Axis) -> int:
    return ranking.statistics.best_first().index(scores[int(axis.field[1:])])


def _best(ranking: Ranking) -> Picture:
    """The best candidates by the first score."""
    name, higher = next(iter(ranking.directions.items()))
    best = [row for row in ranking if name in row.values][:BEST]
    values = [row.values[name].value for row in best]
    errors = [row.values[name].standard_error for row in best]
    note = "" if higher else " (lower is better, axis reversed)"
    axis = Axis("value", name + note, [charts.rounded(v) for v in values], is_reversed=not higher)
    ends = [
        None if error is None else (value - error, value + error)
        for value, error in zip(values, errors, strict=True)
    ]
    with_errors = any(end is not None for end in ends)
    return charts.intervals(
        "best",
        f"The best {len(best)} of {len(ranking):,}",
        f"The best {len(best)} candidates by {name}, the best on top"
        + (", lines are one standard error to both sides." if with_errors else "."),
        [f"{show_rank(row)}  {row.name}" for row in best],
        axis,
        [None if end is None else charts.rounded(end[0]) for end in ends],
        [None if end is None else charts.rounded(end[1]) for end in ends],
    )


def _fidelity(ranking: Ranking) -> Picture:
    """Agreement against cost."""
    rows = ranking.comparison().rows
    seconds = [max(row.seconds or 0.0, LEAST_SECONDS) for row in rows]
    agreed = [row.agreement.spearman for row in rows]
    shown = [_known(interval.value) for interval in agreed]
    return charts.upright(
        "fidelity",
        "Agreement against cost",
        "Of every score Spearman's correlation with the truth upward, with its 95% interval, and "
        "seconds a candidate across; all scores from one source take them together.",
        [row.name for row in rows],
        Axis("seconds", "seconds a candidate", seconds, is_log=True),
        Axis("spearman", "Spearman with the truth", shown),
        [_known(i.low) for i in agreed],
        [_known(i.high) for i in agreed],
    )


def _known(value: float) -> float | None:
    return charts.rounded(value) if np.isfinite(value) else None


def _facts(ranking: Ranking, options: Mapping[str, Any]) -> list[tuple[str, str]]:
    rows = ranking.rows
    first, higher = next(iter(ranking.directions.items()))
    counts = {status: sum(row.status == status for row in rows) for status in ("degenerate", ERROR)}
    said = ", ".join(f"{n:,} {'failed' if s == ERROR else s}" for s, n in counts.items() if n)
    facts = [("candidates", f"{len(rows):,}" + (f" ({said})" if said else ""))]
    if options.get("dataset"):
        facts.append(("images", str(options["dataset"])))
    facts.append(("ranked by", f"{first}, {'higher' if higher else 'lower'} is better"))
    best = next((row for row in rows if first in row.values), None)
    if best is not None:
        facts.append(("best", f"{best.name}: {show_value(best.values[first], best.status)}"))
        near = ranking.near_best()
        if near is not None and near > 1:
            facts.append(("as good", f"{near:,} lie within one standard error of the best"))
    if first in ranking.statistics:
        spearman = ranking.statistics[first].spearman
        facts.append(("agreement with the truth", f"Spearman {with_limits(spearman)}"))
    if "seconds" in ranking.summary:
        facts.append(("computed in", duration(ranking.summary["seconds"])))
    return facts


def _agreement(ranking: Ranking) -> list[Table]:
    """How well each score orders the candidates like the truth."""
    if not ranking.statistics:
        return []
    columns = (
        Column("score"),
        Column("Spearman", True, "1 orders like the truth, with its 95% interval"),
        Column("behind", True, "how far below the best score, with its 95% interval"),
        Column("Kendall", True),
        Column("nDCG", True),
        Column("best tenth", True, "the share of the best tenth by the truth that is found"),
        Column("regret", True, "the truth of the best candidate less that of the score's first"),
        Column("seconds", True, "a candidate, of all scores from one source together"),
    )
    rows: list[list[Cell]] = []
    for row in ranking.comparison().rows:
        agreed = row.agreement
        behind = ("", 0.0) if row.behind is None else (with_limits(row.behind), row.behind.value)
        rows.append(
            [
                text(row.name),
                number(agreed.spearman.value, with_limits(agreed.spearman)),
                behind,
                number(agreed.kendall.value, with_limits(agreed.kendall)),
                number(agreed.ndcg.value, with_limits(agreed.ndcg)),
                number(agreed.precision.value, with_limits(agreed.precision)),
                number(agreed.regret.value),
                number(row.seconds),
            ]
        )
    n = next(iter(ranking.statistics.values())).n
    return [
        Table("Agreement with the truth", columns, rows, f"{n} candidates; 95% intervals behind")
    ]


def _candidates(ranking: Ranking) -> Table:
    """All rows."""
    has_truth = any(row.truth is not None for row in ranking)
    has_status = any(row.status != "ok" for row in ranking)
    scores = [
        Column(name, True, f"{'higher' if higher else 'lower'} is better")
        for name, higher in ranking.directions.items()
    ]
    columns = (
        Column("rank", True),
        Column("candidate"),
        *scores,
        *([Column("truth", True, "the measured value")] if has_truth else []),
        *([Column("status"), Column("message")] if has_status else []),
    )

    def cells(row: Row) -> list[Cell]:
        values = [row.values.get(name) for name in ranking.directions]
        return [
            number(row.rank, show_rank(row)),
            text(row.name),
            *(number(v and v.value, v and show_value(v, row.status)) for v in values),
            *([number(row.truth)] if has_truth else []),
            *([text(row.status), text(row.message)] if has_status else []),
        ]

    note = "± is one standard error" if any(
        value.standard_error is not None for row in ranking for value in row.values.values()
    ) else ""  # fmt: skip
    return Table("Candidates", columns, [cells(row) for row in ranking], note)


def drawn(
    ranking: Ranking, space: Space | None, settings: Mapping[str, Any] | None
) -> tuple[list[Drawing], list[str]]:
    """The networks of the best candidates, and why some are missing."""
    first = next(iter(ranking.directions))
    best = [row for row in ranking if first in row.values][:DRAWN]
    named = [(row.name, f"{show_rank(row)}, {show_value(row.values[first], '')}") for row in best]
    return drawings_of(*space_of_run(space, settings), named)


def space_of_run(
    space: Space | None, settings: Mapping[str, Any] | None
) -> tuple[Space | None, str]:
    """The space of a run's candidates, or why it is not known.

    Args:
        space: as it was given; ``None`` for the one that was recorded.
        settings: of that one.
    """
    if space is not None:
        return space, ""
    if not settings:
        return None, NO_SPACE
    try:
        return space_from_settings(settings), ""
    except KernasError as error:
        return None, f"the networks are not drawn: {error}"


def drawings_of(
    space: Space | None, why: str, named: list[tuple[str, str]]
) -> tuple[list[Drawing], list[str]]:
    """Candidates of a space, drawn, and why the first that is not is missing.

    Args:
        space: theirs, if it is known.
        why: it is not.
        named: names, each with a note.
    """
    if space is None:
        return [], [why]
    drawings: list[Drawing] = []
    failed: list[str] = []
    for name, note in named:
        try:
            svg = space.candidate(name).svg()
        except KernasError as error:
            failed.append(f"{name} is not drawn: {error}")
            continue
        if svg is None:
            failed.append(f"{name} is not drawn: it is too large")
        else:
            drawings.append(Drawing(name, note, svg))
    return drawings, failed[:1]
