"""How well exact kernels rank NAS-Bench-201 cells on CIFAR-10, at a setting fixed beforehand.

Runs the command ``kernas rank`` for both forms of ``Normalize`` and writes what it reports beside
this script: for every score the agreement with the trained accuracy, with its 95% interval.

    python experiments/rank_cifar10.py            # resumes runs/rank-cifar10-{center,rms}
    python experiments/rank_cifar10.py --quick    # 6 cells, to see it work; writes nothing

Needs ``cifar10_10k_2k.npz`` and ``nasbench201.npz`` in the folder ``KERNAS_DATA``.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from kernas.kernels import METRICS as DIRECTIONS
from kernas.kernels import ScoreValue
from kernas.search import Ranking, Row, score_truth_figure

METRICS = ("validation_accuracy", "validation_error", "loo_accuracy", "loo_error", "evidence")
SCORES = [f"{kernel}:{metric}" for kernel in ("nngp", "ntk") for metric in METRICS]
RIDGE = "1e-2"
"""Fixed before the first run, like every number here: none was chosen by its correlation."""

RESULT = Path(__file__).with_suffix(".json")
FIGURE = Path(__file__).with_suffix(".png")
DRAWN = ("nngp:loo_error", "ntk:loo_error")
"""The scores in the figure, of the centred form."""


def command(form: str, sample: int, output: str) -> list[str]:
    """The command line of one form, ``"center"`` or ``"rms"``."""
    return [
        *(sys.executable, "-m", "kernas", "rank"),
        *("--dataset", "cifar10", "--truth", "nasbench201"),
        *("--sample", str(sample), "--seed", "0", "--image-size", "8", "--cells", "1"),
        *("--n-train", "100", "--n-validation", "200", "--ridge", RIDGE),
        *("--score", ",".join(SCORES), "--center" if form == "center" else "--no-center"),
        *("--output", output, "--resume", "--json"),
    ]


def run(form: str, sample: int) -> dict[str, Any]:
    """Rank with one form of normalisation: the summary that the command prints."""
    arguments = command(form, sample, f"runs/rank-cifar10-{form}-{sample}")
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


def draw(summary: dict[str, Any]) -> None:
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
    figure.savefig(FIGURE, dpi=110, metadata={"Software": "kernas"})


def main() -> None:
    """Run both forms, print one JSON line, keep it and the figure."""
    quick = sys.argv[1:] == ["--quick"]
    summaries = {form: run(form, 6 if quick else 100) for form in ("center", "rms")}
    result = {form: kept(summary) for form, summary in summaries.items()}
    print(json.dumps(result))
    if not quick:
        RESULT.write_text(json.dumps(result, indent=1) + "\n")
        draw(summaries["center"])


if __name__ == "__main__":
    main()
