"""The files that a finished ranking leaves in its run folder."""

from __future__ import annotations

import json
from collections.abc import Sequence

from kernas.csv_text import csv_table

from ..ranking.table import Ranking
from ..runs.folder import RunFolder
from ..runs.outcome import Outcome
from .against import score_score_figure, score_truth_figure
from .compared import fidelity_figure, score_matrix_figure
from .leaderboard import leaderboard_figure
from .panels import to_png

RANKING, TIMINGS, SUMMARY = "ranking.csv", "timings.csv", "summary.json"
LEADERBOARD, SCORES, TRUTH = "ranking.png", "scores.png", "truth.png"
COMPARISON, FIDELITY, MATRIX = "comparison.csv", "fidelity.png", "agreement.png"


def report_names(ranking: Ranking) -> list[str]:
    """The files that :func:`write_report` writes of a ranking."""
    scores = [SCORES] if len(ranking.directions) > 1 else []
    matrix = [MATRIX] if len(ranking.directions) > 2 else []
    truth = [TRUTH, COMPARISON, FIDELITY] if ranking.statistics else []
    return [RANKING, TIMINGS, SUMMARY, LEADERBOARD, *scores, *matrix, *truth]


def write_report(folder: RunFolder, ranking: Ranking, outcomes: Sequence[Outcome]) -> None:
    """Write ``ranking.csv``, ``timings.csv``, ``summary.json``, and as pictures ``ranking.png``,
    the leaderboard, ``scores.png`` of two scores or more, ``agreement.png`` of three or more, and
    where a truth was given ``truth.png``, ``comparison.csv`` and ``fidelity.png``.

    ``ranking.csv`` holds nothing that varies between runs of one configuration; times stand apart.
    """
    names = report_names(ranking)
    folder.write_text(RANKING, ranking.to_csv())
    folder.write_text(TIMINGS, _timings(outcomes))
    folder.write_text(SUMMARY, summary_json(ranking, indent=1) + "\n")
    folder.write_bytes(LEADERBOARD, to_png(leaderboard_figure(ranking)))
    if SCORES in names:
        folder.write_bytes(SCORES, to_png(score_score_figure(ranking)))
    if TRUTH in names:
        folder.write_bytes(TRUTH, to_png(score_truth_figure(ranking, ranking.statistics)))
        folder.write_text(COMPARISON, ranking.comparison().to_csv())
        folder.write_bytes(FIDELITY, to_png(fidelity_figure(ranking)))
    if MATRIX in names:
        folder.write_bytes(MATRIX, to_png(score_matrix_figure(ranking)))


def summary_json(ranking: Ranking, indent: int | None = None) -> str:
    """The ranking's summary as one JSON object."""
    return json.dumps(
        dict(ranking.summary), indent=indent, ensure_ascii=False, allow_nan=False, default=str
    )


def _timings(outcomes: Sequence[Outcome]) -> str:
    head = ["name", "work", "source", "seconds", "compilations"]
    lines = [[o.candidate, o.work, o.source, o.seconds, o.compilations] for o in outcomes]
    return csv_table([head, *lines])
