"""A training as a part of a page, from the files of its folder."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from kernas.csv_text import csv_rows
from kernas.documents import INTEGER, NUMBER, OBJECT, SIZE, TEXT, field, list_of, optional, read
from kernas.errors import DocumentError, RunFolderError
from kernas.quantities import duration

from . import charts
from .charts import Axis
from .contents import Cell, Column, Part, Picture, Table, flat, made_with, number, text

METRICS, CURVE, BEST = "metrics.json", "curve.csv", "best.csv"

SMOOTHED = 200
"""Points of a loss curve; each is the mean of the steps since the one before."""


def training_part(folder: Path, title: str) -> Part:
    """Everything that a training has to show.

    Args:
        folder: that ``kernas train`` wrote.
        title: of the part.

    Raises:
        RunFolderError: a file is missing or damaged.
    """
    try:
        metrics = read(folder / METRICS)
        facts = _facts(metrics)
        pictures = _curves(folder / CURVE, field(metrics, "seeds", list_of(INTEGER)))
    except (DocumentError, OSError, ValueError, KeyError) as error:
        raise RunFolderError(
            f"{folder} cannot be read ({error}): expected {METRICS} and {CURVE} as kernas train "
            "writes them; give the training again with --resume"
        ) from None
    return Part(
        "training",
        title,
        facts=facts,
        pictures=pictures,
        tables=[_seeds(metrics)],
        command=metrics.get("command") or (),
        settings={**flat(metrics["settings"]), **made_with(metrics)},
    )


def best_part(folder: Path, title: str) -> Part:
    """What became of the best candidates of a run that were trained together.

    Raises:
        RunFolderError: the table is missing or damaged.
    """
    try:
        with (folder / BEST).open(encoding="utf-8", newline="") as file:
            head, rows = csv_rows(file)
        cells = [_cells(row) for row in rows]
        (score,) = [n for n in head if n not in ("rank", "test_accuracy", "standard_error",
                                                 "parameters", "candidate")]  # fmt: skip
    except (OSError, ValueError) as error:
        raise RunFolderError(
            f"{folder / BEST} cannot be read ({error}): expected the table that kernas train "
            "--best writes; give it again with --resume"
        ) from None
    known = [row for row in rows if row[1] and row[2]]
    pictures = []
    if len(known) > 1:
        pictures.append(
            charts.scatter(
                "trained",
                "The score against trained accuracy",
                f"{len(known)} candidates: {score} across, test accuracy after training upward.",
                [row[-1] for row in known],
                [Axis("score", score, [float(row[1]) for row in known])],
                [Axis("accuracy", "test accuracy", [float(row[2]) for row in known])],
            )
        )
    columns = tuple(Column(name, name != "candidate") for name in head)
    return Part(
        "trainings",
        title,
        facts=[("candidates", f"{len(rows)}, the best of a run by {score}")],
        pictures=pictures,
        tables=[Table("Candidates", columns, cells, "± is one standard error over seeds")],
    )


def _cells(row: list[str]) -> list[Cell]:
    *numbers, candidate = row
    return [*(number(float(cell) if cell else None) for cell in numbers),
            text(candidate)]  # fmt: skip


def _facts(metrics: Mapping[str, Any]) -> list[tuple[str, str]]:
    accuracies = field(metrics, "test_accuracy", list_of(optional(NUMBER)))
    known = [value for value in accuracies if value is not None]
    field(metrics, "settings", OBJECT)
    said = "diverged" if not known else f"{np.mean(known):.4f}"
    if len(known) > 1:
        said += f" ± {np.std(known, ddof=1) / len(known) ** 0.5:.4f} (one standard error of seeds)"
    diverged = len(accuracies) - len(known)
    return [
        ("network", field(metrics, "candidate", TEXT)),
        ("test accuracy", said),
        *([("diverged", f"{diverged} of {len(accuracies)} seeds")] if diverged else []),
        (
            "images",
            f"{field(metrics, 'images.train', SIZE):,} of {field(metrics, 'dataset', TEXT)}, "
            f"tested on {field(metrics, 'images.test', SIZE):,} others",
        ),
        ("parameters", f"{field(metrics, 'parameters', INTEGER):,}"),
        ("steps", f"{field(metrics, 'steps', INTEGER):,}"),
        ("trained in", duration(field(metrics, "seconds", NUMBER))),
    ]


def _seeds(metrics: Mapping[str, Any]) -> Table:
    columns = (Column("seed", True), Column("test accuracy", True), Column("train accuracy", True))
    rows = [
        [number(seed, str(seed)), number(test), number(train)]
        for seed, test, train in zip(
            metrics["seeds"],
            metrics["test_accuracy"],
            field(metrics, "train_accuracy", list_of(optional(NUMBER), len(metrics["seeds"]))),
            strict=True,
        )
    ]
    return Table("Seeds", columns, rows)


def _curves(path: Path, seeds: list[int]) -> list[Picture]:
    with path.open(encoding="utf-8", newline="") as file:
        head, lines = csv_rows(file)
    rows = [dict(zip(head, line, strict=True)) for line in lines]
    span = max(1, -(-len(rows) // SMOOTHED))
    steps: list[float | None] = []
    losses: list[float | None] = []
    of_loss: list[float | int | str | None] = []
    at: list[float | None] = []
    accuracies: list[float | None] = []
    of_accuracy: list[float | int | str | None] = []
    for seed in seeds:
        values = np.array([float(row[f"loss_{seed}"]) for row in rows])
        for start in range(0, len(values), span):
            mean = float(values[start : start + span].mean())
            steps.append(start + (min(span, len(values) - start) + 1) / 2)
            losses.append(charts.rounded(mean) if np.isfinite(mean) else None)
            of_loss.append(f"seed {seed}")
        for row in rows:
            cell = row[f"test_accuracy_{seed}"]
            if cell:
                at.append(float(row["step"]))
                accuracies.append(charts.rounded(float(cell)))
                of_accuracy.append(f"seed {seed}")
    mean_of = "" if span == 1 else f", means of {span} steps"
    return [
        charts.lines(
            "accuracy",
            "Test accuracy",
            f"The test accuracy of {len(seeds)} networks against the steps of their training.",
            Axis("step", "step", at),
            Axis("accuracy", "test accuracy", accuracies),
            of_accuracy,
            group_label="network",
        ),
        charts.lines(
            "loss",
            f"Loss of the batch{mean_of}",
            f"The loss of {len(seeds)} networks against the steps of their training{mean_of}.",
            Axis("step", "step", steps),
            Axis("loss", "loss", losses, is_log=all(loss and loss > 0 for loss in losses)),
            of_loss,
            group_label="network",
            has_points=False,
        ),
    ]
