"""A fitted model, and predictions, as parts of a page."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import binomtest
from sklearn.metrics import confusion_matrix

from kernas.csv_text import csv_rows
from kernas.documents import COUNT, NUMBER, OBJECT, SIZE, TEXT, field, list_of
from kernas.errors import DataError, DocumentError, ModelFolderError
from kernas.kernels import Architecture
from kernas.kernels.architecture.drawing import svg
from kernas.kernels.estimators.model_folder import model_record

from . import charts
from .charts import Axis
from .contents import Cell, Column, Drawing, Part, Picture, Table, flat, made_with, number, text

BINS = 10
"""Of the calibration, equally many images in each."""

LABEL, PREDICTED = "label", "predicted"


def model_part(folder: Path, title: str) -> Part:
    """Everything that a model of ``kernas fit`` has to show: how it does on its own training
    images, each predicted from the others.

    Raises:
        ModelFolderError: there is no model, or one that is damaged.
    """
    record = model_record(folder)
    notes = record["notes"]
    try:
        known = bool(notes)
        classes = field(notes, "classes", list_of(TEXT)) if known else []
        facts = _facts(record, classes)
        pictures: list[Picture] = []
        tables: list[Table] = []
        if "loo_confusion" in notes:
            rows = field(
                notes, "loo_confusion", list_of(list_of(COUNT, len(classes)), len(classes))
            )
            pictures += _of_confusion(np.array(rows, float), classes, "left out")
            tables.append(_by_class(np.array(rows, float), classes))
        if "learning_curve" in notes:
            pictures.insert(0, _learning_curve(field(notes, "learning_curve", list_of(OBJECT))))
    except DocumentError as error:
        raise ModelFolderError(
            f"{folder} does not say how it was fitted ({error}): expected a model of kernas fit"
        ) from None
    network = {k: v for k, v in record["kernel"]["identity"]["architecture"].items() if k != "hash"}
    drawing = svg(Architecture.from_json(json.dumps(network)).nodes)
    environment = notes.get("environment", {})
    return Part(
        "model",
        title,
        facts=facts,
        pictures=pictures,
        tables=tables,
        drawings=[] if drawing is None else [Drawing("the network", "", drawing)],
        notes=() if pictures else (
            "how well it does on its own training images is not kept with it: it was fitted from "
            "Python, by conjugate gradients, or by a kernas before this one",
        ),
        command=environment.get("command") or (),
        settings={**flat(record["parameters"]), **made_with(environment)},
    )  # fmt: skip


def predictions_part(path: Path, title: str) -> Part:
    """Everything that a table of ``kernas predict`` has to show.

    Raises:
        DataError: it is no such table.
    """
    try:
        with path.open(encoding="utf-8", newline="") as file:
            head, rows = csv_rows(file)
        predicted = [row[head.index(PREDICTED)] for row in rows]
        labels = [row[head.index(LABEL)] for row in rows] if LABEL in head else None
        places = [i for i, name in enumerate(head) if name.startswith("p(") and name[-1] == ")"]
        likely = np.array([[float(row[i]) for i in places] for row in rows], float)
        if not rows:
            raise ValueError("it has no rows")
        classes = [head[i][2:-1] for i in places] or sorted({*predicted, *(labels or ())})
        strange = {*predicted, *(labels or ())} - {*classes}
        if strange:
            raise ValueError(f"the class {min(strange)!r} has no probability")
    except (OSError, ValueError, IndexError) as error:
        raise DataError(
            f"{path} cannot be read ({error}): expected the folder of a run or of a model, or a "
            "table that kernas predict wrote"
        ) from None
    facts = [("images", f"{len(rows):,}")]
    pictures: list[Picture] = []
    tables: list[Table] = []
    if labels is not None:
        confusion = confusion_matrix(labels, predicted, labels=classes).astype(float)
        right = int(np.trace(confusion))
        facts.append(("accuracy", _share(right, len(rows))))
        pictures += _of_confusion(confusion, classes, "")
        if places:
            correct = np.array([a == b for a, b in zip(labels, predicted, strict=True)])
            pictures.append(_calibration(likely.max(axis=1), correct))
        tables.append(_by_class(confusion, classes))
    tables.append(_predictions(predicted, labels, likely))
    return Part("predictions", title, facts=facts, pictures=pictures, tables=tables)


def _facts(record: Mapping[str, Any], classes: Sequence[str]) -> list[tuple[str, str]]:
    notes, diagnostics = record["notes"], record["fitted"]["diagnostics"]
    facts = [("estimator", record["estimator"])]
    if notes:
        n, dataset = field(notes, "n", SIZE), field(notes, "dataset", TEXT)
        facts.append(("images", f"{n:,} of {dataset}, in {len(classes)} classes"))
    if "learning_curve" in notes:
        last = field(notes, "learning_curve", list_of(OBJECT))[-1]
        accuracy, low, high = (field(last, name, NUMBER) for name in ("accuracy", "low", "high"))
        facts.append(("leave-one-out accuracy", f"{accuracy:.4f} [{low:.4f}, {high:.4f}]"))
    if "predicted_curve" in notes:
        twice = field(notes, "predicted_curve", list_of(OBJECT))[-1]
        n = field(twice, "n", SIZE)
        error, low, high = (field(twice, name, NUMBER) for name in ("error", "low", "high"))
        facts.append((f"squared error of {n:,} images, predicted",
                      f"{error:.3f} [{low:.3f}, {high:.3f}]"))  # fmt: skip
    facts.append(("kernel", " and ".join(record["kernel"]["identity"]["kernels"])))
    if "ridge" in diagnostics:
        facts.append(("ridge", f"{diagnostics['ridge']:.3g} of the kernel's mean diagonal"))
    else:
        parameters = record["parameters"]
        facts.append(("machine", f"{parameters['loss']} loss, C = {parameters['C']:.3g}"))
    return facts


def _share(right: int, total: int) -> str:
    ends = binomtest(right, total).proportion_ci(method="wilson")
    return f"{right / total:.4f} [{ends.low:.4f}, {ends.high:.4f}]"


def _learning_curve(points: list[dict[str, Any]]) -> Picture:
    columns = {
        name: [charts.rounded(field(point, name, NUMBER)) for point in points]
        for name in ("n", "accuracy", "low", "high")
    }
    return charts.lines(
        "learning-curve",
        "Learning curve",
        "Leave-one-out accuracy of regressions on fewer images, with 95% intervals: "
        + ", ".join(f"{a:.3f} of {n:g}" for n, a in zip(columns["n"], columns["accuracy"],
                                                        strict=True)) + ".",
        Axis("n", "training images", columns["n"], is_log=True),
        Axis("accuracy", "leave-one-out accuracy", columns["accuracy"]),
        ["accuracy"] * len(points),
        group_label="",
        low=columns["low"],
        high=columns["high"],
    )  # fmt: skip


def _of_confusion(confusion: np.ndarray, classes: Sequence[str], how: str) -> list[Picture]:
    totals = confusion.sum(axis=1, keepdims=True)
    shares = np.divide(confusion, totals, out=np.full_like(confusion, np.nan), where=totals > 0)
    each = ", each predicted from all others" if how else ""
    return [
        charts.heat_map(
            "confusion",
            "Confusion matrix",
            f"Of the images of each class (rows{each}) the share that was given each class.",
            list(classes),
            list(classes),
            shares,
            "share of the class",
            diverging=False,
            titles=("label", "predicted"),
        )
    ]


def _calibration(confidence: np.ndarray, correct: np.ndarray) -> Picture:
    order = np.argsort(confidence, kind="stable")
    parts = [part for part in np.array_split(order, BINS) if part.size]
    sure = [charts.rounded(float(confidence[part].mean())) for part in parts]
    right = [charts.rounded(float(correct[part].mean())) for part in parts]
    ends = [
        binomtest(int(correct[part].sum()), part.size).proportion_ci(method="wilson")
        for part in parts
    ]
    error = sum(
        part.size * abs(c - r) for part, c, r in zip(parts, sure, right, strict=True)
    ) / len(order)  # fmt: skip
    return charts.lines(
        "calibration",
        "Calibration",
        f"In {len(parts)} groups of images of like confidence: the mean probability of the class "
        "that was given across, the share that was right upward, with 95% intervals; the dashed "
        f"line is a model that knows how sure it is. Mean distance {error:.3f}.",
        Axis("sure", "probability of the predicted class", sure),
        Axis("right", "share that is right", right),
        ["model"] * len(parts),
        group_label="",
        low=[charts.rounded(end.low) for end in ends],
        high=[charts.rounded(end.high) for end in ends],
        diagonal=True,
    )


def _by_class(confusion: np.ndarray, classes: Sequence[str]) -> Table:
    columns = (Column("class"), Column("images", True), Column("found", True, "recall"),
               Column("right where said", True, "precision"),
               Column("most often taken for"))  # fmt: skip
    rows: list[list[Cell]] = []
    for place, name in enumerate(classes):
        total, said = confusion[place].sum(), confusion[:, place].sum()
        wrong = confusion[place].copy()
        wrong[place] = 0
        taken = classes[int(np.argmax(wrong))] if wrong.any() else ""
        rows.append(
            [
                text(name),
                number(total, f"{total:,.0f}"),
                number(confusion[place, place] / total if total else None),
                number(confusion[place, place] / said if said else None),
                text(taken),
            ]
        )
    return Table("Classes", columns, rows)


def _predictions(
    predicted: Sequence[str], labels: Sequence[str] | None, likely: np.ndarray
) -> Table:
    sure = likely.max(axis=1) if likely.size else None
    columns = (
        Column("image", True),
        *([Column("label")] if labels is not None else []),
        Column("predicted"),
        *([Column("probability", True)] if sure is not None else []),
        *([Column("right")] if labels is not None else []),
    )
    rows: list[list[Cell]] = []
    for place, guess in enumerate(predicted):
        label = None if labels is None else labels[place]
        rows.append(
            [
                number(place, str(place)),
                *([] if label is None else [text(label)]),
                text(guess),
                *([] if sure is None else [number(float(sure[place]))]),
                *([] if label is None else [text("yes" if label == guess else "no")]),
            ]
        )
    return Table("Predictions", columns, rows)
