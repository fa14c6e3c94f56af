"""What a candidate of a search space costs: cells of NAS-Bench-201 on CIFAR-10, one after another.

For each size of images and network and both forms of ``Normalize``, both kernels of random cells on
the same training images, as a ranking computes them: the cells share what is compiled, a centred
network is bound to 32 reference images, and of the Gram matrix one triangle is computed.

    python experiments/benchmarks/candidates.py            # half an hour on 2 idle cores
    python experiments/benchmarks/candidates.py --quick    # 3 cells; writes nothing

Needs CIFAR-10 in the folder ``KERNAS_DATA``. ``seconds`` are those of the cells after the first;
``first_seconds`` has the compilation of all of them. ``times_rms`` is the ratio of the medians of
both forms. ``cores`` is the processor time over the time that passed.
"""

from __future__ import annotations

import statistics
import time
from dataclasses import asdict, dataclass
from typing import Any

import tyro
from measuring import SEED, cifar10, environment, record_of, report, timed

import kernas.kernels as kk
from kernas.kernels.engine import compilations
from kernas.kernels.kernel import SharedPrograms
from kernas.search import Candidate, NasBench201

N_REFERENCE = 32


@dataclass(frozen=True)
class Setting:
    """Images and networks.

    Attributes:
        side: of the images, in pixels.
        cells_per_stage: of the networks, which have three stages.
        n_train: images of the Gram matrix.
    """

    side: int
    cells_per_stage: int
    n_train: int


SETTINGS = (Setting(8, 3, 200), Setting(8, 1, 200), Setting(16, 1, 100))
CELLS, QUICK_CELLS = 50, 3


def compute(candidate: Candidate, x: Any, programs: SharedPrograms) -> kk.Kernels:
    """Both kernels of a candidate on the training images."""
    kernel = kk.NeuralKernel(candidate.architecture, get=("nngp", "ntk"), programs=programs)
    if kernel.needs_bind:
        kernel = kernel.bind(x, n_reference=N_REFERENCE, seed=SEED)
    return kernel(x, get=("nngp", "ntk"))


def measure(setting: Setting, center: bool, cells: int) -> dict[str, Any]:
    """One form at one size: the seconds of every cell."""
    x = cifar10(setting.n_train, setting.side)
    space = NasBench201(setting.cells_per_stage, center)
    first, *others = space.sample(cells + 1, seed=SEED)
    before = compilations().count
    architectures = [candidate.architecture for candidate in (first, *others)]
    sharing, programs = timed(lambda: SharedPrograms.of(architectures, x.shape[1:]))
    compiling, _ = timed(lambda: compute(first, x, programs))
    processor, start = time.process_time(), time.perf_counter()
    seconds = [timed(lambda c=candidate: compute(c, x, programs))[0] for candidate in others]
    cores = (time.process_time() - processor) / (time.perf_counter() - start)
    return {
        "cells": len(others),
        "median": statistics.median(seconds),
        "least": min(seconds),
        "greatest": max(seconds),
        "first_seconds": sharing + compiling,
        "compilations": compilations().count - before,
        "cores": cores,
        "seconds": [round(value, 3) for value in seconds],
    }


def main(quick: bool = False) -> None:
    """Measure, print one JSON line, keep it.

    Args:
        quick: a few cells, to see it work; writes nothing.
    """
    results: list[dict[str, Any]] = []
    for setting in SETTINGS:
        cells = QUICK_CELLS if quick else CELLS
        forms = {
            name: measure(setting, center, cells)
            for name, center in (("rms", False), ("center", True))
        }
        ratio = forms["center"]["median"] / forms["rms"]["median"]
        results.append({**asdict(setting), **forms, "times_rms": ratio})
    result = {"dataset": "cifar10", "n_reference": N_REFERENCE, "settings": results}
    result |= environment()
    report(result, None if quick else record_of(__file__))


if __name__ == "__main__":
    tyro.cli(main)
