"""Measured accuracies that come with the package: a table beside this file for each.

``NAME.csv`` has a candidate a line: its name in the column ``candidate``, the test accuracy after
training from each seed in ``accuracy_SEED``, and the seconds that all seeds took in ``seconds``.
``NAME.json`` says where the candidates are from (``space``), what they were trained on
(``dataset``), and how.
"""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np

from kernas.errors import DataError

FOLDER = Path(__file__).parent

NAME_COLUMN = "candidate"

MEAN = "accuracy"
"""The column that is computed: the mean over the seeds."""


def shipped_truths() -> list[str]:
    """The names of the tables."""
    return sorted(path.stem for path in FOLDER.glob("*.json"))


def protocol(name: str) -> dict[str, Any]:
    """How a table was measured: its ``space`` and ``dataset``, and the settings of the training."""
    return json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))


def shipped_column(name: str, column: str | None) -> tuple[str, dict[str, float]]:
    """A column of a table by the candidates' names.

    Args:
        name: one of :func:`shipped_truths`.
        column: of the table, or ``"accuracy"``, the mean over the seeds, as ``None``.

    Raises:
        DataError: there is no such column.
    """
    with (FOLDER / f"{name}.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    seeds = [key for key in rows[0] if key.startswith(f"{MEAN}_")]
    columns = {key: [float(row[key]) for row in rows] for key in (*seeds, "seconds")}
    columns[MEAN] = np.mean([columns[seed] for seed in seeds], axis=0).tolist()
    asked = MEAN if column is None else column
    if asked not in columns:
        raise DataError(
            f"the truth {name!r} has no column {asked!r}; expected one of {', '.join(columns)}"
        )
    names = (row[NAME_COLUMN] for row in rows)
    return asked, dict(zip(names, columns[asked], strict=True))
