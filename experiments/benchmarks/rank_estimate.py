"""Is what ``kernas rank`` says before it begins what it then takes?

For each setting the estimate of a ranking of NAS-Bench-201 cells, and the time that the ranking
takes, in a process of its own: cold, with nothing compiled and the device not measured yet, and
warm, with both in the cache.

    python experiments/benchmarks/rank_estimate.py            # half an hour on 2 idle cores
    python experiments/benchmarks/rank_estimate.py --quick    # one setting; writes nothing

``first_seconds`` has the compilation, or the reading of programs, and the first candidate, beside
which the second one is begun; ``seconds`` are those of the others. ``cold_ratio`` and
``warm_ratio`` are ``predicted_seconds`` over ``seconds``, and ``compile_ratio`` is the predicted
compilation over the cold ``first_seconds``; the least and the most of all settings stand beside
them.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from typing import Any

import tyro
from measuring import SEED, Watched, environment, record_of, report

import kernas.kernels as kk
import kernas.search as ks
from kernas.search.cli.devices import configure_jax

CACHE = "XDG_CACHE_HOME"


@dataclass(frozen=True)
class Setting:
    """A ranking.

    Attributes:
        dataset: of the images.
        side: of the images, in pixels.
        n_train: images of the regression.
        n_validation: images beside them.
        center: whether cells centre over the batch, or divide by the root mean square.
        candidates: cells.
    """

    dataset: str
    side: int
    n_train: int
    n_validation: int
    center: bool
    candidates: int


SETTINGS = (
    Setting("digits", 8, 50, 200, True, 20),
    Setting("digits", 8, 50, 200, False, 20),
    Setting("digits", 8, 800, 200, False, 4),
    Setting("cifar10", 8, 100, 200, True, 10),
    Setting("cifar10", 16, 30, 50, True, 8),
    Setting("cifar10", 16, 30, 50, False, 8),
    Setting("cifar10", 32, 10, 20, False, 4),
    Setting("cifar10", 32, 10, 20, True, 4),
)
QUICK = (Setting("digits", 8, 20, 20, False, 4),)


def measure(setting: Setting) -> dict[str, Any]:
    """The estimate in this process, and then what the ranking takes."""
    configure_jax("auto", "float32", compilation_cache=True)
    number = setting.n_train + setting.n_validation
    train, _ = kk.load(
        setting.dataset,
        n_train=number,
        n_test=1,
        image_size=setting.side,
        seed=SEED,
        standardize=False,
    )
    fit, validation = train.split(setting.n_train / number, seed=SEED)
    scores = ks.parse_scores(
        "ntk:evidence,ntk:validation_accuracy",
        fit.standardized(fit),
        validation.standardized(fit),
    )
    cells = ks.NasBench201(1, setting.center).sample(setting.candidates, seed=SEED)
    start = time.perf_counter()
    estimate = ks.estimate_ranking(cells, scores)
    estimated = time.perf_counter() - start
    rest = ks.estimate_ranking(cells[1:], scores)
    moments = [time.perf_counter()]
    watched = Watched(lambda: moments.append(time.perf_counter()))
    ks.rank(cells, scores, progress=False, executor=watched)
    return {
        "estimate": asdict(estimate),
        "estimate_seconds": estimated,
        "predicted_seconds": rest.seconds,
        "first_seconds": moments[1] - moments[0],
        "seconds": moments[-1] - moments[1],
    }


def measured_apart(setting: Setting, cache: str) -> dict[str, Any]:
    """The same in a process of its own, whose cache folder is given."""
    command = [sys.executable, __file__, "--one", json.dumps(asdict(setting))]
    done = subprocess.run(
        command, env=os.environ | {CACHE: cache}, check=True, capture_output=True, text=True
    )
    return json.loads(done.stdout.splitlines()[-1])


def main(quick: bool = False, one: str | None = None) -> None:
    """Measure, print one JSON line, keep it.

    Args:
        quick: one small setting, to see it work; writes nothing.
        one: a setting that is measured in this process, as the script calls itself.
    """
    if one is not None:
        print(json.dumps(measure(Setting(**json.loads(one)))))
        return
    settings: list[dict[str, Any]] = []
    for setting in QUICK if quick else SETTINGS:
        with tempfile.TemporaryDirectory() as cache:
            cold, warm = (measured_apart(setting, cache) for _ in range(2))
        ratios = {
            "warm_ratio": warm["predicted_seconds"] / warm["seconds"],
            "cold_ratio": cold["predicted_seconds"] / cold["seconds"],
            "compile_ratio": cold["estimate"]["compile_seconds"] / cold["first_seconds"],
        }
        settings.append({**asdict(setting), "cold": cold, "warm": warm, **ratios})
    result: dict[str, Any] = {"settings": settings}
    for name in ("warm_ratio", "cold_ratio", "compile_ratio"):
        found = [setting[name] for setting in settings]
        result[name] = {"least": min(found), "most": max(found)}
    report(result | environment(), None if quick else record_of(__file__))


if __name__ == "__main__":
    tyro.cli(main)
