"""The ranking study elsewhere: the scores that were chosen, untouched, on other images and cells.

    python experiments/ranking_transfer.py                 # two hours of two cores, in pieces
    python experiments/ranking_transfer.py --size quick    # 6 cells each; records nothing

``--n``: cells of each. ``ranking_study/protocol.md`` says what is asked, ``choice.json`` beside it
what was chosen; every part of it, and nothing else, is computed in its own setting, with

``fashion_mnist``
    the images of Fashion-MNIST in place of CIFAR-10's, for confirmation cells and the accuracies on
    CIFAR-10 that they have;
``digits``
    the cells, skeleton and images of the truth that ships with the package, ``digits_hard``;
``darts``
    500 cells of DARTS with accuracies after a short training on CIFAR-10 (``darts_cells.csv``), in
    networks of five cells and 8×8 pixels whose max-pools are averages for kernels. Their finite
    networks share no program, so that proxies of 500 would take hours, and are left out.

``ranking_study/ELSEWHERE.csv`` keep what is finished, the record has what the confirmation's has.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from benchmarks.measuring import environment, report
from pieces import Columns, Pieces
from proxies_published import CHEAP
from ranking_confirmation import (
    SAMPLE_CHOICE,
    correlation,
    judged,
    kernels_in,
    parts_of,
    the_choice,
)
from ranking_settings import (
    BENCHMARKS,
    CONFIRMATION,
    COUNTS,
    SECONDS,
    KernelSetting,
    counts_of,
    images_of_proxies,
    metric_of,
    proxies_of,
    proxies_on,
    values_of,
)
from ranking_study import HERE, TRUTH, cells_of
from running import RUNS, Options, Size, command

import kernas.search as ks
from kernas.files import write_whole
from kernas.kernels.regression import METRICS
from kernas.search.report.panels import DEGENERATE_POINT, POINT, empty_figure, plain, to_png
from kernas.search.scores.proxies import PROXIES


@dataclass(frozen=True)
class Elsewhere:
    """Where scores are judged again.

    Attributes:
        changed: of every setting.
        truth: measured accuracies.
        names: of the cells.
        finite: the space of counts and proxies.
        side: of the proxies' images; ``None`` for no proxies.
    """

    changed: Mapping[str, Any]
    truth: ks.Truth
    names: Sequence[str]
    finite: ks.Space
    side: int | None


SETTINGS: dict[Size, int] = {"quick": 6, "small": 500, "medium": 1000, "full": 1000}
"""Cells of each at most."""

AS_MANY = {"fashion_mnist": 200, "digits": 200, "darts": 500}
"""Of each in the small setting."""


def main(options: Options) -> None:
    """Compute what is missing, report and draw."""
    quick = options.size == "quick"
    most = options.n or SETTINGS[options.size]
    choice = SAMPLE_CHOICE if quick else the_choice()
    found: dict[str, Any] = {}
    for name, where in elsewhere(options.size).items():
        names = where.names[: min(most, AS_MANY[name]) if options.size == "small" else most]
        table = HERE / f"{name}.csv" if options.record(__file__) and not options.n else None
        folder = RUNS / f"ranking_transfer-{options.size}" / name
        own = moved(choice, where)
        columns = measured(where, names, own, Pieces(table, names), folder)
        accuracy = np.array([where.truth[one] for one in names])
        found[name] = {
            **judged(columns, np.ones(len(names), bool), accuracy, own),
            "parts": parts(columns, accuracy),
        }
    record = {**options.asked(), "choice": choice, "elsewhere": found, **environment()}
    path = options.record(__file__)
    report(record, path)
    if path is not None:
        write_whole(path.with_suffix(".png"), drawing(record))


def elsewhere(size: Size) -> dict[str, Elsewhere]:
    """All, by name."""
    on_cifar, digits, darts = (
        ks.load_truth(name) for name in (TRUTH, "digits_hard", "darts_cells.csv")
    )
    plain = KernelSetting()
    spaces = {name: BENCHMARKS[name](plain) for name in BENCHMARKS}
    side = 8 if size == "quick" else CHEAP.side
    return {
        "fashion_mnist": Elsewhere(
            *({"dataset": "fashion_mnist"}, on_cifar, cells_of("confirmation")),
            *(ks.NasBench201(CHEAP.cells_a_stage), side),
        ),
        "digits": Elsewhere(
            *({"dataset": "digits_hard", "benchmark": "digits"}, digits, list(digits)),
            *(spaces["digits"], 8),
        ),
        "darts": Elsewhere(
            {"benchmark": "darts", "side": 8, "cells_a_stage": 1},
            darts,
            list(darts),
            spaces["darts"],
            None,
        ),
    }


def moved(choice: Mapping[str, Any], where: Elsewhere) -> dict[str, Any]:
    """A choice in settings with some of their values changed, and without validation images for
    scores that need none; without what has proxies in it, where there are none."""

    def part_of(part: Mapping[str, Any]) -> dict[str, Any]:
        if part["setting"] is None:
            return {**part}
        setting = {**part["setting"], **where.changed}
        if not METRICS[metric_of(part["score"])].needs_validation:
            setting["n_validation"] = 0
        return {**part, "setting": setting}

    def computed(of: Mapping[str, Any]) -> bool:
        return where.side is not None or not any(part["score"] in PROXIES for part in parts_of(of))

    return {
        name: {**of, "scores": list(map(part_of, of["scores"]))} if "scores" in of else part_of(of)
        for name, of in choice.items()
        if computed(of)
    }


def measured(
    where: Elsewhere,
    names: Sequence[str],
    choice: Mapping[str, Any],
    pieces: Pieces,
    folder: Path,
) -> Columns:
    """Every score of the cells: of the chosen settings, counts, and proxies where there are any."""
    columns: Columns = dict(pieces.get("counts", "", lambda: counts_of(names, where.finite)))
    if where.side is not None:
        dataset = where.changed["dataset"]
        fit = images_of_proxies(CONFIRMATION, where.side, dataset)
        key = proxies_of(fit)[0].source.key

        def probed() -> Columns:
            return proxies_on(fit, names, folder / "proxies", where.finite)

        found = pieces.get("proxies", key, probed)
        columns |= {("proxies | " if n == SECONDS else "") + n: v for n, v in found.items()}
    for one, only in kernels_in(choice).items():
        place = folder / str(one).replace(" ", "-")

        def kernel(
            one: KernelSetting = one, only: Collection[str] = only, place: Path = place
        ) -> Columns:
            every = replace(one, cells=len(names))
            return values_of(every, names, CONFIRMATION, place, only)

        key = " ".join([one.key(CONFIRMATION), *sorted(only)])
        found = pieces.get(str(one), key, kernel)
        columns |= {f"{one} | {name}": values for name, values in found.items()}
    return columns


def parts(columns: Columns, accuracy: np.ndarray) -> dict[str, float]:
    """Spearman's correlation of every kernel score that is in a chosen one, by its column."""
    found: dict[str, float] = {}
    for name, values in columns.items():
        setting, separator, column = name.partition(" | ")
        if separator and setting != "proxies" and not column.startswith(SECONDS):
            found[name] = round(correlation(name, values, accuracy), 4)
    return found


def drawing(record: Mapping[str, Any]) -> bytes:
    """Spearman's of the chosen scores, of the counts and of the best proxy, everywhere."""
    places = record["elsewhere"]
    figure = empty_figure(4.4 * len(places), 4)
    for axes, (name, found) in zip(figure.subplots(1, len(places)), places.items(), strict=True):
        plain(axes)
        shown = {
            score: row["spearman"]
            for score, row in found["scores"].items()
            if score in (*record["choice"], *COUNTS, found["best_proxy"])
        }
        for place, row in enumerate(shown.values()):
            axes.plot([row["low"], row["high"]], [place, place], color=POINT)
            axes.plot(row["value"], place, "o", color=POINT)
        axes.set_yticks(range(len(shown)), list(shown), size=7)
        axes.invert_yaxis()
        axes.axvline(0, color=DEGENERATE_POINT, linewidth=0.8)
        axes.set(xlabel="Spearman", title=f"{name}, {found['cells']} cells")
    return to_png(figure)


if __name__ == "__main__":
    command(Options, main)
