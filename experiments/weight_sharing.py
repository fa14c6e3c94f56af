"""Do shared weights rank? Supernets of cells, against the same cells trained alone.

Cells of ``nasbench201:cells=1,reduction=pool`` on ``digits_hard``: their truth is the accuracy
after training alone, three seeds a cell, which is in the package. A supernet of the space is
trained on the same images, by the same recipe but more steps, with one set of shared weights or
several (K-shot, Su et al. 2021), and paths drawn uniformly or fairly; then every cell is judged
with the weights that it inherits, on the same test images.

And with an operation in the space that destroys what it reads, as Saxena et al. 2022 put useless
ones there: ``sin(10 x)``, which leaves little of it, and ``sin(1000 x)``, which leaves nothing and
passes gradients a thousand times as large. How well are cells ranked then, those without it and
those with it, by shared weights and by training alone?

    python experiments/weight_sharing.py                 # half an hour on two cores
    python experiments/weight_sharing.py --size quick    # 6 cells, 60 steps; records nothing

``--n``: cells. What is finished is kept in ``runs/weight_sharing-SIZE``; the same command goes on.
The record has, for each supernet, Spearman's correlation with the truth of every seed, that of the
mean over seeds with its 95% interval, the correlation between seeds, and seconds.

Published beside it: with shared weights candidates are hardly ranked (Yu et al. 2020, Evaluating
the search phase of neural architecture search); two useless operations in ENAS's space raise the
error of what it finds to 90% on CIFAR-10 (Saxena et al. 2022).
"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
from benchmarks.measuring import environment, report
from running import RUNS, Options, Size, command, foretell
from trainings import trained

import kernas.kernels as kk
import kernas.search as ks
from kernas.files import write_whole
from kernas.kernels.architecture import Node, Slot
from kernas.kernels.architecture.slots import filled
from kernas.search.ranking.statistics import agreement, spearman
from kernas.search.report.panels import (
    ACCENT,
    DEGENERATE_POINT,
    POINT,
    empty_figure,
    plain,
    to_png,
)
from kernas.search.spaces.cell_strings import EDGES, OPERATIONS
from kernas.search.training import Supernet, TrainingSettings, train_supernet
from kernas.search.training.supernet import Sampling

SPACE = "nasbench201:cells=1,reduction=pool"
DATASET = "digits_hard"
RECIPE = TrainingSettings(width=8, learning_rate=0.1, weight_decay=5e-4, batch_size=50, steps=200)
"""Of the truth."""

Pair = tuple[kk.Dataset, kk.Dataset]

DESTROYER = "destroy"
FREQUENCIES = (10.0, 1000.0)


@dataclass(frozen=True)
class Setting:
    """How large a run is."""

    cells: int
    steps: int
    seeds: int
    sets: tuple[int, ...]
    with_destroyer: int


SETTINGS: dict[Size, Setting] = {
    "quick": Setting(6, 60, 1, (1, 2), 3),
    "small": Setting(100, 4000, 3, (1, 2, 4), 40),
    "medium": Setting(300, 20_000, 3, (1, 2, 4, 8), 100),
    "full": Setting(1000, 100_000, 5, (1, 2, 4, 8), 500),
}

SECONDS = {"step": 0.006, "judged": 0.15, "program": 60, "alone": 4.0}
"""What things take on two cores, for the prediction: a step, a cell that is judged, the programs
of a kind of supernet, a cell that is trained alone."""


class Destroyed(ks.ChoiceSpace):
    """The same cells with one operation more: what an edge reads is lost on it."""

    def __init__(self, frequency: float) -> None:
        base = ks.NasBench201(cells_per_stage=1, reduction="pool")
        more = kk.serial(kk.Sinusoid(frequency))
        template = base.template(base.sample(1)[0])
        self.open = kk.Architecture(
            tuple(
                Node(
                    Slot((*node.layer.branches, more), node.layer.choice)
                    if isinstance(node.layer, Slot)
                    else node.layer,
                    node.inputs,
                )
                for node in template.nodes
            )
        )
        names = [*OPERATIONS, DESTROYER]
        super().__init__(self._build, {f"e{s}{t}": list(names) for s, t in EDGES})

    def _build(self, **operations: str) -> kk.Architecture:
        return filled(self.open, self._numbers(operations.values()))

    def _numbers(self, operations: Any) -> tuple[int, ...]:
        return tuple([*OPERATIONS, DESTROYER].index(operation) for operation in operations)

    def template(self, candidate: ks.Candidate) -> kk.Architecture:
        """With the sixth branch in every slot."""
        return self.open

    def slots(self, candidate: ks.Candidate) -> tuple[int, ...]:
        """The numbers of the operations."""
        return self._numbers(candidate.genotype)

    def same(self, cell: ks.Candidate) -> ks.Candidate:
        """A cell of the space without the operation as one of this space."""
        return self.candidate(tuple(cell.genotype))


def main(options: Options) -> None:
    """Train, judge, report and draw."""
    setting = SETTINGS[options.size]
    setting = replace(setting, cells=options.n or setting.cells)
    folder = RUNS / f"weight_sharing-{options.size}"
    data = kk.load(DATASET)
    truth = ks.load_truth(DATASET)
    space = ks.space_from_text(SPACE)
    cells = [space.candidate(name) for name in list(truth)[: setting.cells]]
    measured = [truth[cell.name] for cell in cells]
    kinds: list[tuple[str, Sampling, int]] = [
        *((f"uniform paths, K = {sets}", "uniform", sets) for sets in setting.sets),
        ("fair paths, K = 1", "fair", 1),
    ]
    foretell(predicted(setting, len(kinds)), "by what its parts take on two cores")

    def judged(kind: str, of: ks.Space, sampling: Sampling, sets: int, given: Any) -> list[Any]:
        """Of each seed what its supernet says of the candidates."""
        place = folder / kind.replace(" ", "").replace(",", "-")
        return [
            inherited(of, data, setting, sampling, sets, seed, place / str(seed), given)
            for seed in range(setting.seeds)
        ]

    found = {kind: judged(kind, space, sampling, sets, cells) for kind, sampling, sets in kinds}
    accuracies = {kind: of_cells(cells, seeds) for kind, seeds in found.items()}
    supernets = {
        kind: summary(measured, accuracies[kind]) | {"seconds": seconds_of(seeds)}
        for kind, seeds in found.items()
    }

    harms = {f"sin({frequency:g} x)": Destroyed(frequency) for frequency in FREQUENCIES}
    harmed: dict[str, dict[str, Any]] = {}
    panels = {kind: (measured, accuracies[kind], found) for kind, found in supernets.items()}
    for name, destroyed in harms.items():
        drawn = [c for c in destroyed.sample(20 * setting.with_destroyer) if has_it(c)]
        drawn = drawn[: setting.with_destroyer]
        score = ks.TrainScore(*data, recipe=RECIPE, seeds=3)
        alone = trained(drawn, score, folder / f"alone with {name}").accuracies
        alone = np.nan_to_num(alone).mean(axis=0).tolist()
        all_of_them = [*map(destroyed.same, cells), *drawn]
        seeds = judged(f"with {name}", destroyed, "uniform", 1, all_of_them)
        both = of_cells(all_of_them, seeds)
        without, with_it = both[:, : len(cells)], both[:, len(cells) :]
        harmed[name] = {
            "cells_with_it": len(drawn),
            "seconds": seconds_of(seeds),
            "cells_without_it": summary(measured, without),
            "cells_with_it_by_shared_weights": summary(alone, with_it),
            "all_by_shared_weights": summary([*measured, *alone], both),
            "mean_accuracy": {
                "alone": {"without": float(np.mean(measured)), "with": float(np.mean(alone))},
                "shared": {"without": float(without.mean()), "with": float(with_it.mean())},
            },
        }
        panels[f"with {name}"] = (
            [*measured, *alone],
            both,
            harmed[name]["all_by_shared_weights"],
        )
    record = {
        **options.asked(),
        "space": SPACE,
        "dataset": DATASET,
        "cells": len(cells),
        "settings": replace(RECIPE, steps=setting.steps).settings(),
        "seeds": setting.seeds,
        "supernets": supernets,
        "destroyed": harmed,
        **environment(),
    }
    path = options.record(__file__)
    report(record, path)
    if path is not None:
        write_whole(path.with_suffix(".png"), drawing(panels, len(cells)))


def inherited(
    space: ks.Space,
    data: Pair,
    setting: Setting,
    sampling: Sampling,
    sets: int,
    seed: int,
    place: Path,
    cells: Sequence[ks.Candidate],
) -> dict[str, Any]:
    """Accuracies of cells in one supernet, by name, and seconds; read if they are there."""
    path = place / "judged.json"
    if path.exists():
        found = json.loads(path.read_text())
        if {cell.name for cell in cells} <= set(found["accuracies"]):
            return found
    fit, test = data
    recipe = replace(RECIPE, steps=setting.steps)
    supernet: Supernet = train_supernet(
        *(space, fit, recipe),
        sampling=sampling,
        sets=sets,
        seed=seed,
        folder=place,
        progress=True,
    )
    begun = time.perf_counter()
    found = {
        "accuracies": {cell.name: supernet.accuracy(cell, test) for cell in cells},
        "judging": time.perf_counter() - begun,
        "training": supernet.reached.seconds,
    }
    write_whole(path, json.dumps(found).encode())
    return found


def of_cells(cells: Sequence[ks.Candidate], seeds: list[Any]) -> np.ndarray:
    """Accuracies ``(seeds, candidates)``."""
    return np.array([[found["accuracies"][cell.name] for cell in cells] for found in seeds])


def seconds_of(seeds: list[Any]) -> dict[str, list[float]]:
    """What each supernet took, and what it took to judge all candidates by it."""
    return {part: [round(found[part], 1) for found in seeds] for part in ("training", "judging")}


def summary(truth: Sequence[float], accuracies: np.ndarray) -> dict[str, Any]:
    """How well accuracies ``(seeds, candidates)`` order like the truth."""
    mean = agreement(list(truth), list(accuracies.mean(axis=0))).to_dict()["spearman"]
    between = [spearman(list(a), list(b)) for a, b in combinations(accuracies, 2)]
    return {
        "spearman_of_each_seed": [spearman(list(row), list(truth)) for row in accuracies],
        "spearman_of_the_mean": mean,
        "between_seeds": float(np.mean(between)) if between else None,
        "mean_accuracy": float(accuracies.mean()),
    }


def has_it(candidate: ks.Candidate) -> bool:
    """Whether a cell has the operation that destroys."""
    return DESTROYER in candidate.genotype


def predicted(setting: Setting, kinds: int) -> float:
    """Seconds of everything, nothing found."""
    supernets = setting.seeds * (kinds + len(FREQUENCIES))
    fair = setting.seeds * len(OPERATIONS) * setting.steps
    steps = supernets * setting.steps + fair
    return (
        steps * SECONDS["step"]
        + supernets * (setting.cells + setting.with_destroyer) * SECONDS["judged"]
        + (kinds + 2 * len(FREQUENCIES)) * SECONDS["program"]
        + len(FREQUENCIES) * setting.with_destroyer * SECONDS["alone"]
    )


def drawing(panels: dict[str, tuple[list[float], np.ndarray, dict[str, Any]]], cells: int) -> bytes:
    """One panel a kind of supernet; cells with the operation that destroys come after the others.

    Args:
        panels: name → accuracies alone, accuracies in each supernet, and their summary.
        cells: without the operation.
    """
    figure = empty_figure(4.0 * len(panels), 4.2)
    shown = zip(figure.subplots(1, len(panels), sharey=True), panels.items(), strict=True)
    for axes, (name, (alone, both, found)) in shown:
        plain(axes)
        across, alone = both.mean(axis=0), np.array(alone)
        axes.scatter(across[:cells], alone[:cells], s=14, color=POINT, label="without it")
        if len(alone) > cells:
            axes.scatter(
                across[cells:], alone[cells:], s=14, color=DEGENERATE_POINT, label="with it"
            )
            axes.legend(frameon=False)
        value = found["spearman_of_the_mean"]
        text = "no order"
        if value["value"] is not None:
            text = f"Spearman {value['value']:.2f}"
        if value["low"] is not None:
            text += f" [{value['low']:.2f}, {value['high']:.2f}]"
        axes.set_title(f"{name}\n{text}", loc="left", fontsize=9, color=ACCENT)
        axes.set_xlabel("accuracy with shared weights")
        axes.set_xlim(0, 0.9)
    figure.axes[0].set_ylabel("accuracy trained alone")
    return to_png(figure)


if __name__ == "__main__":
    command(Options, main)
