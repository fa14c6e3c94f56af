"""Several runs beside each other: an overview, and rankings by their common candidates."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ...ranking.table import ERROR, Ranking, Row, rank_rows
from . import charts
from .contents import Cell, Column, Part, Picture, Table, number, text, with_limits
from .rankings import MOST_SCORES, score_pictures

COMPARISON = "comparison"

OVERVIEW = ("best", "test accuracy", "leave-one-out accuracy", "accuracy")
"""Facts that stand for a run, the first of them that it has."""


def overview(parts: Sequence[Part]) -> Table:
    """A line for each run."""
    columns = (Column("run"), Column("kind"), Column("size"), Column("result"))
    rows: list[list[Cell]] = []
    for part in parts:
        facts = dict(part.facts)
        size = next(
            (facts[name] for name in ("candidates", "trials", "images") if name in facts), ""
        )
        result = next((f"{name} {facts[name]}" for name in OVERVIEW if name in facts), "")
        rows.append([text(part.title), text(part.kind), text(size), text(result)])
    return Table("Runs", columns, rows)


def rankings_compared(rankings: Mapping[str, Ranking]) -> Part:
    """Rankings beside each other: how well each of their scores orders, and on the candidates that
    they have in common which of them agree.

    Args:
        rankings: title → a ranking; two or more.
    """
    joined = joined_ranking(rankings)
    common = sum(len(row.values) >= 2 for row in joined)
    pictures: list[Picture] = []
    notes: list[str] = []
    if common > 2:
        pictures = score_pictures(joined)
    else:
        notes.append("the rankings have no candidates in common: their scores cannot be compared")
    return Part(
        COMPARISON,
        "Rankings compared",
        facts=[("candidates", f"{len(joined):,}, of which {common:,} are in several rankings")],
        pictures=[*_against_truth(rankings), *pictures],
        tables=[_scores(rankings)],
        notes=notes,
    )


def joined_ranking(rankings: Mapping[str, Ranking]) -> Ranking:
    """All candidates, with a score ``TITLE: SCORE`` for each score of each ranking."""
    directions: dict[str, bool] = {}
    rows: dict[str, Row] = {}
    for title, ranking in rankings.items():
        own = list(ranking.directions)[: max(1, MOST_SCORES // len(rankings))]
        directions |= {f"{title}: {name}": ranking.directions[name] for name in own}
        for row in ranking:
            if row.status == ERROR:
                continue
            before = rows.get(row.name)
            values = {f"{title}: {n}": v for n, v in row.values.items() if n in own}
            rows[row.name] = Row(
                None,
                row.name,
                row.hash,
                "ok",
                {**(before.values if before else {}), **values},
                truth=row.truth if before is None or before.truth is None else before.truth,
            )
    return Ranking(rank_rows(list(rows.values()), directions), directions)


def _against_truth(rankings: Mapping[str, Ranking]) -> list[Picture]:
    """How well each score of each ranking orders its candidates like the truth."""
    found = [
        (f"{title}: {name}", ranking.statistics[name].spearman)
        for title, ranking in rankings.items()
        for name in ranking.statistics
        if ranking.statistics[name].spearman.value == ranking.statistics[name].spearman.value
    ]
    if not found:
        return []
    found.sort(key=lambda one: -one[1].value)
    known = [interval.is_known for _, interval in found]
    return [
        charts.intervals(
            "orders",
            "How well each score orders",
            "Of every score of every ranking Spearman's correlation with the truth of its own "
            "candidates, with its 95% interval, the best on top.",
            [name for name, _ in found],
            charts.Axis(
                "spearman",
                "Spearman with the truth",
                [charts.rounded(i.value) for _, i in found],
            ),
            [charts.rounded(i.low) if k else None for (_, i), k in zip(found, known, strict=True)],
            [charts.rounded(i.high) if k else None for (_, i), k in zip(found, known, strict=True)],
        )
    ]


def _scores(rankings: Mapping[str, Ranking]) -> Table:
    columns = (
        Column("ranking"),
        Column("score"),
        Column("candidates", True),
        Column("Spearman", True, "with the truth of its own candidates, with its 95% interval"),
        Column("Kendall", True),
        Column("seconds", True, "a candidate"),
        Column("best"),
    )
    rows: list[list[Cell]] = []
    for title, ranking in rankings.items():
        for name in ranking.directions:
            agreed = ranking.statistics.get(name)
            best = next((row.name for row in ranking.by(name) if name in row.values), "")
            spearman = None if agreed is None else agreed.spearman
            rows.append(
                [
                    text(title),
                    text(name),
                    number(len(ranking), f"{len(ranking):,}"),
                    number(spearman and spearman.value, spearman and with_limits(spearman)),
                    number(None if agreed is None else agreed.kendall.value),
                    number(ranking.seconds.get(name)),
                    text(best),
                ]
            )
    return Table("Scores", columns, rows)
