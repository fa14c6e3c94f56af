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

METRICS = ("validation_accuracy", "validation_error", "loo_accuracy", "loo_error", "evidence")
SCORES = [f"{kernel}:{metric}" for kernel in ("nngp", "ntk") for metric in METRICS]
RIDGE = "1e-2"
"""Fixed before the first run, like every number here: none was chosen by its correlation."""

RESULT = Path(__file__).with_suffix(".json")


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
    """Rank with one form of normalisation; what is worth keeping of its summary."""
    arguments = command(form, sample, f"runs/rank-cifar10-{form}-{sample}")
    done = subprocess.run(arguments, stdout=subprocess.PIPE, text=True, check=True)
    summary = json.loads(done.stdout)
    seconds = sorted(row["seconds"] for row in summary["rows"])
    return {
        "command": "kernas " + " ".join(arguments[3:]),
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


def main() -> None:
    """Run both forms, print one JSON line, keep it."""
    quick = sys.argv[1:] == ["--quick"]
    result = {form: run(form, 6 if quick else 100) for form in ("center", "rms")}
    print(json.dumps(result))
    if not quick:
        RESULT.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
