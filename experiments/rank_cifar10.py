"""How well exact kernels rank NAS-Bench-201 cells on CIFAR-10, at settings fixed beforehand.

Each study runs the command ``kernas rank`` several times and writes what it reports beside this
script: for every score the agreement with the trained accuracy, with its 95% interval.

    python experiments/rank_cifar10.py forms                # both forms of Normalize
    python experiments/rank_cifar10.py sizes                # images of 8×8 and of 16×16 pixels
    python experiments/rank_cifar10.py sizes --size medium  # 1,000 cells: for an accelerator
    python experiments/rank_cifar10.py sizes --size full    # 5,000, published depth: for several
    python experiments/rank_cifar10.py sizes --size quick   # 6 cells, to see it work

``--n``: cells. An interrupted study is resumed from the folders ``runs/rank-cifar10-*``. Needs
``cifar10_10k_2k.npz`` and ``nasbench201.npz`` in the folder ``KERNAS_DATA``.
"""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal, NamedTuple

import tyro
from benchmarks.measuring import report
from running import RUNS, Options, command, foretell

from kernas.kernels.regression import METRICS as DIRECTIONS
from kernas.kernels.regression import ScoreValue
from kernas.search import Agreements, NasBench201, Ranking, Row, score_truth_figure

RIDGE = "1e-2"
"""Fixed before the first run, like every number here: none was chosen by its correlation."""

DRAWN = ("nngp:loo_error", "ntk:loo_error")
"""The scores in the figures."""

EVIDENCE = "ntk:evidence"
"""The score that ranked best over both studies; the record has its lead over each other one."""


class Run(NamedTuple):
    """Side of the images in pixels, and fields of the space beside its cells."""

    image_size: int
    fields: str = ""


@dataclass(frozen=True)
class Study:
    """Runs that differ in one thing.

    Attributes:
        sample: how many cells.
        n_validation: images beside the 100 of the regression.
        metrics: of both kernels.
        runs: name → what differs.
        drawn: the run in the figure.
    """

    sample: int
    n_validation: int
    metrics: tuple[str, ...]
    runs: dict[str, Run]
    drawn: str

    @property
    def scores(self) -> str:
        """The option ``--score``."""
        return ",".join(f"{kernel}:{name}" for kernel in ("nngp", "ntk") for name in self.metrics)


LEAVE_ONE_OUT = ("loo_error", "loo_accuracy", "evidence")

STUDIES = {
    "forms": Study(
        sample=100,
        n_validation=200,
        metrics=("validation_accuracy", "validation_error", *LEAVE_ONE_OUT),
        runs={
            "center": Run(8),
            "rms": Run(8, ",center=false"),
        },
        drawn="center",
    ),
    "sizes": Study(
        sample=60,
        n_validation=0,
        metrics=LEAVE_ONE_OUT,
        runs={
            "8": Run(8),
            "16": Run(16),
        },
        drawn="16",
    ),
}


@dataclass(frozen=True)
class Setting:
    """Cells that are ranked, cells in each of their stages, and images of the regression."""

    sample: int
    cells: int = 1
    n_train: int = 100


def setting_of(study: Study, options: Options) -> Setting:
    """The setting of a size, or with another number of cells."""
    setting = {
        "quick": Setting(6),
        "small": Setting(study.sample),
        "medium": Setting(1_000),
        "full": Setting(5_000, cells=5, n_train=1_000),
    }[options.size]
    return setting if options.n is None else replace(setting, sample=options.n)


def rank_command(study: Study, name: str, setting: Setting, device: str) -> list[str]:
    """The command line of a run."""
    # Runs of other settings do not share a folder: it would refuse them.
    plain = (setting.cells, setting.n_train) == (1, 100)
    more = "" if plain else f"-{setting.cells}-{setting.n_train}"
    image_size, fields = study.runs[name]
    output = RUNS / f"rank-cifar10-{name}-{setting.sample}{more}"
    return [
        *(sys.executable, "-m", "kernas", "rank"),
        *("--dataset", "cifar10", "--truth", "nasbench201"),
        *("--sample", str(setting.sample), "--seed", "0"),
        *("--space", f"nasbench201:cells={setting.cells}{fields}"),
        *("--image-size", str(image_size), "--n-train", str(setting.n_train)),
        *("--n-validation", str(study.n_validation), "--ridge", RIDGE),
        *("--score", study.scores, "--output", output.as_posix(), "--resume", "--json", "--yes"),
        *(() if device == "auto" else ("--device", device)),
    ]


def run(study: Study, name: str, setting: Setting, device: str) -> dict[str, Any]:
    """Rank as one run of a study says: the summary that the command prints."""
    arguments = rank_command(study, name, setting, device)
    done = subprocess.run(arguments, stdout=subprocess.PIPE, text=True, check=True)
    return {"command": "kernas " + " ".join(arguments[3:]), **json.loads(done.stdout)}


def ranking_of(summary: dict[str, Any]) -> Ranking:
    """The ranking that a summary describes, and beside its scores what each network weighs.

    ``params`` is what a network of the published width of 16 trains, without the scales of its
    normalisations, in the published skeleton; larger ones rank higher.
    """
    published = NasBench201(cells_per_stage=5)
    rows: list[Row] = []
    for row in summary["rows"]:
        values = {name: ScoreValue(**value) for name, value in row["scores"].items()}
        network = published.candidate(row["name"]).architecture
        weights = network.summary((32, 32, 3), width=16, outputs=10).weights
        assert weights is not None
        values["params"] = ScoreValue(float(weights))
        at = (row["rank"], row["name"], row["hash"], row["status"])
        rows.append(Row(*at, values, truth=row["truth"]))
    names = summary["statistics"]
    directions = {name: DIRECTIONS[name.split(":")[1]].higher_is_better for name in names}
    return Ranking(tuple(rows), {**directions, "params": True})


def differences(agreements: Agreements) -> dict[str, dict[str, Any]]:
    """Spearman's ρ of ``EVIDENCE`` less that of every other one, with its interval."""
    return {
        name: asdict(agreements.difference(EVIDENCE, name))
        for name in agreements
        if EVIDENCE in agreements and name != EVIDENCE
    }


def kept(summary: dict[str, Any]) -> dict[str, Any]:
    """What is worth keeping of a summary: every candidate's values, and what follows from them."""
    seconds = sorted(row["seconds"] for row in summary["rows"])
    ranking = ranking_of(summary)
    agreements = ranking.correlation(truth_of(ranking))
    return {
        "command": summary["command"],
        "statistics": {name: value.to_dict() for name, value in agreements.items()},
        f"{EVIDENCE} less others": differences(agreements),
        "status": {
            status: sum(row["status"] == status for row in summary["rows"])
            for status in ("ok", "degenerate", "error")
        },
        "seconds": summary["seconds"],
        "median_seconds_per_candidate": seconds[len(seconds) // 2],
        "compilations": summary["compilations"],
        "device": summary["device"],
        "versions": summary["versions"],
        "candidates": {
            "name": [row.name for row in ranking],
            "truth": [row.truth for row in ranking],
            **{
                score: [
                    round(row.values[score].value, 9) if score in row.values else None
                    for row in ranking
                ]
                for score in ranking.directions
            },
        },
    }


def truth_of(ranking: Ranking) -> dict[str, float]:
    """The measured values by name."""
    return {row.name: row.truth for row in ranking if row.truth is not None}


def draw(summary: dict[str, Any], path: Path) -> None:
    """The figure of :data:`DRAWN`."""
    ranking = ranking_of(summary)
    drawn = replace(ranking, directions={name: ranking.directions[name] for name in DRAWN})
    figure = score_truth_figure(drawn, drawn.correlation(truth_of(drawn)))
    for axes in figure.axes:
        label = axes.get_ylabel()  # says whether the axis shows values or ranks
        axes.set_ylabel(label.replace("measured value", "trained accuracy on CIFAR-10 (%)"))
    figure.savefig(path, dpi=110, metadata={"Software": "kernas"})


@dataclass(frozen=True, kw_only=True)
class Ranking201(Options):
    """How well exact kernels rank NAS-Bench-201 cells on CIFAR-10."""

    study: tyro.conf.Positional[Literal["forms", "sizes"]]
    """Which runs are compared."""


def predicted_seconds(recorded: dict[str, Any], setting: Setting) -> float:
    """What the runs take by the recorded ones: as the cells, their depth and pairs of images."""
    pairs = (setting.n_train / 100) ** 2
    a_cell = sum(run["median_seconds_per_candidate"] for run in recorded.values())
    return a_cell * setting.sample * setting.cells * pairs


def main(options: Ranking201) -> None:
    """Run a study, print one JSON line, keep it and the figure."""
    study = STUDIES[options.study]
    script = Path(__file__).with_name(f"rank_cifar10_{options.study}.py")
    setting = setting_of(study, options)
    recorded = json.loads(script.with_suffix(".json").read_text(encoding="utf-8"))
    foretell(
        predicted_seconds(recorded, setting),
        f"{setting.sample:,} cells in {len(study.runs)} runs, by the recorded seconds a cell on "
        f"{next(iter(recorded.values()))['device']['kind']}",
    )
    summaries = {name: run(study, name, setting, options.device) for name in study.runs}
    result = {name: kept(summary) for name, summary in summaries.items()}
    path = options.record(str(script))
    report(result, path)
    if path is not None:
        draw(summaries[study.drawn], path.with_suffix(".png"))


if __name__ == "__main__":
    command(Ranking201, main)
