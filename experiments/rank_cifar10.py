"""How well exact kernels rank NAS-Bench-201 cells on CIFAR-10, at settings fixed beforehand.

Each study runs the command ``kernas rank`` several times and writes what it reports beside this
script: for every score the agreement with the trained accuracy, with its 95% interval.

    python experiments/rank_cifar10.py forms          # both forms of Normalize
    python experiments/rank_cifar10.py sizes          # images of 8×8 and of 16×16 pixels
    python experiments/rank_cifar10.py sizes --quick  # 6 cells, to see it work; writes nothing

An interrupted study is resumed from the folders ``runs/rank-cifar10-*``. Needs
``cifar10_10k_2k.npz`` and ``nasbench201.npz`` in the folder ``KERNAS_DATA``.
"""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import tyro
from benchmarks.measuring import report

from kernas.kernels import METRICS as DIRECTIONS
from kernas.kernels import ScoreValue
from kernas.search import Ranking, Row, score_truth_figure

RIDGE = "1e-2"
"""Fixed before the first run, like every number here: none was chosen by its correlation."""

DRAWN = ("nngp:loo_error", "ntk:loo_error")
"""The scores in the figures."""


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
    runs: dict[str, tuple[str, ...]]
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
            "center": ("--image-size", "8", "--center"),
            "rms": ("--image-size", "8", "--no-center"),
        },
        drawn="center",
    ),
    "sizes": Study(
        sample=300,
        n_validation=0,
        metrics=LEAVE_ONE_OUT,
        runs={
            "8": ("--image-size", "8", "--center"),
            "16": ("--image-size", "16", "--center"),
        },
        drawn="16",
    ),
}


def command(study: Study, differing: tuple[str, ...], sample: int, output: str) -> list[str]:
    """The command line of a run."""
    return [
        *(sys.executable, "-m", "kernas", "rank"),
        *("--dataset", "cifar10", "--truth", "nasbench201"),
        *("--sample", str(sample), "--seed", "0", "--cells", "1", *differing),
        *("--n-train", "100", "--n-validation", str(study.n_validation), "--ridge", RIDGE),
        *("--score", study.scores, "--output", output, "--resume", "--json"),
    ]


def run(study: Study, name: str, sample: int) -> dict[str, Any]:
    """Rank as one run of a study says: the summary that the command prints."""
    arguments = command(study, study.runs[name], sample, f"runs/rank-cifar10-{name}-{sample}")
    done = subprocess.run(arguments, stdout=subprocess.PIPE, text=True, check=True)
    return {"command": "kernas " + " ".join(arguments[3:]), **json.loads(done.stdout)}


def kept(summary: dict[str, Any]) -> dict[str, Any]:
    """What is worth keeping of a summary."""
    seconds = sorted(row["seconds"] for row in summary["rows"])
    return {
        "command": summary["command"],
        "statistics": summary["statistics"],
        "status": {
            status: sum(row["status"] == status for row in summary["rows"])
            for status in ("ok", "degenerate", "error")
        },
        "seconds": summary["seconds"],
        "median_seconds_per_candidate": seconds[len(seconds) // 2],
        "compilations": summary["compilations"],
        "device": summary["device"],
        "versions": summary["versions"],
    }


def draw(summary: dict[str, Any], path: Path) -> None:
    """The figure of :data:`DRAWN`."""
    rows = tuple(
        Row(
            row["rank"],
            row["name"],
            row["hash"],
            row["status"],
            {name: ScoreValue(**row["scores"][name]) for name in DRAWN if name in row["scores"]},
            truth=row["truth"],
        )
        for row in summary["rows"]
    )
    directions = {name: DIRECTIONS[name.split(":")[1]].higher_is_better for name in DRAWN}
    ranking = Ranking(rows, directions)
    statistics = ranking.correlation({row.name: row.truth for row in rows if row.truth is not None})
    figure = score_truth_figure(ranking, statistics)
    for axes in figure.axes:
        axes.set_ylabel("trained accuracy on CIFAR-10 (%)")
    figure.savefig(path, dpi=110, metadata={"Software": "kernas"})


def main(study: tyro.conf.Positional[Literal["forms", "sizes"]], quick: bool = False) -> None:
    """Run a study, print one JSON line, keep it and the figure.

    Args:
        study: which one.
        quick: 6 cells, to see it work; writes nothing.
    """
    chosen = STUDIES[study]
    sample = 6 if quick else chosen.sample
    summaries = {name: run(chosen, name, sample) for name in chosen.runs}
    result = {name: kept(summary) for name, summary in summaries.items()}
    path = Path(__file__).with_name(f"rank_cifar10_{study}.json")
    report(result, None if quick else path)
    if not quick:
        draw(summaries[chosen.drawn], path.with_suffix(".png"))


if __name__ == "__main__":
    tyro.cli(main)
