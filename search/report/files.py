"""The files that a finished ranking leaves in its run folder."""

from __future__ import annotations

import json
from collections.abc import Sequence

from kernas.csv_text import csv_table

from ..ranking.records import Record
from ..ranking.run_folder import RunFolder
from ..ranking.table import Ranking
from .figures import ranking_figure, to_png

RANKING, TIMINGS, SUMMARY, FIGURE = "ranking.csv", "timings.csv", "summary.json", "ranking.png"


def write_report(folder: RunFolder, ranking: Ranking, records: Sequence[Record]) -> None:
    """Write ``ranking.csv``, ``timings.csv``, ``summary.json`` and ``ranking.png``.

    ``ranking.csv`` holds nothing that varies between runs of one configuration; times stand apart.
    """
    folder.write_text(RANKING, ranking.to_csv())
    folder.write_text(TIMINGS, _timings(records))
    folder.write_text(SUMMARY, summary_json(ranking, indent=1) + "\n")
    folder.write_bytes(FIGURE, to_png(ranking_figure(ranking)))


def summary_json(ranking: Ranking, indent: int | None = None) -> str:
    """The ranking's summary as one JSON object."""
    return json.dumps(
        dict(ranking.summary), indent=indent, ensure_ascii=False, allow_nan=False, default=str
    )


def _timings(records: Sequence[Record]) -> str:
    columns = ["name", "hash", "seconds", "compilations"]
    return csv_table([columns, *([record[column] for column in columns] for record in records)])
