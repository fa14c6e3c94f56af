"""What is compiled for candidates that come one at a time: a cover of the space, or all of a list.

Cells of NAS-Bench-201, one a stage, NTK on digits of 8×8 pixels (20 training images, 20 others:
what is compiled does not depend on how many there are), in both forms of ``Normalize``. The
programs are made of the space's cover, before any candidate is known, or of all candidates at
once; then every candidate is computed in them, one after another.

    python experiments/benchmarks/sharing.py            # ten minutes on 2 idle cores
    python experiments/benchmarks/sharing.py --quick    # 5 candidates; writes nothing

``compilations`` are those of all candidates, and ``outside`` counts those that had programs of
their own. ``serial_seconds`` has the first candidate's calls that compile as they run, without what
they take when they are repeated; ``ahead_seconds`` has ``kernel.compile``, all programs side by
side. Nothing comes from a cache.
"""

from __future__ import annotations

from typing import Any

import jax
import tyro
from measuring import SEED, environment, record_of, report, timed

import kernas.kernels as kk
from kernas.kernels.engine import compilations
from kernas.kernels.kernel import SharedPrograms
from kernas.search import NasBench201

N_TRAIN, N_TEST, N_REFERENCE = 20, 20, 8
CANDIDATES, QUICK_CANDIDATES = 500, 5


def compute(kernel: kk.NeuralKernel[Any], train: Any, test: Any) -> None:
    """What regression reads of a candidate."""
    kernel.bind(train, N_REFERENCE, SEED).gram_and_cross(train, test)


def measure(center: bool, of: str, candidates: int) -> dict[str, Any]:
    """All candidates of one form, in the programs of the cover or of the list."""
    train, test = (part.x for part in kk.load("digits", n_train=N_TRAIN, n_test=N_TEST, seed=SEED))
    shape = train.shape[1:]
    space = NasBench201(cells_per_stage=1, center=center)
    networks = [candidate.architecture for candidate in space.sample(candidates, seed=SEED)]
    given = space.cover(shape) if of == "cover" else networks
    sharing, programs = timed(lambda: SharedPrograms.of(given, shape))
    kernels = [kk.NeuralKernel(network, programs=programs) for network in networks]
    first = kernels[0]

    jax.clear_caches()
    called, _ = timed(lambda: compute(first, train, test))
    repeated, _ = timed(lambda: compute(first, train, test))

    jax.clear_caches()
    before = compilations().count
    compiling = {"n_train": len(train), "n_test": len(test), "n_reference": N_REFERENCE}
    ahead, _ = timed(lambda: first.compile(shape, **compiling).result())
    compiled_ahead = compilations().count - before
    seconds, _ = timed(lambda: [compute(kernel, train, test) for kernel in kernels])
    return {
        "candidates": len(kernels),
        "outside": sum(not kernel.shares(shape) for kernel in kernels),
        "sharing_seconds": sharing,
        "serial_seconds": called - repeated,
        "ahead_seconds": ahead,
        "compiled_ahead": compiled_ahead,
        "compilations": compilations().count - before,
        "seconds": seconds,
    }


def main(quick: bool = False) -> None:
    """Measure, print one JSON line, keep it.

    Args:
        quick: a few candidates, to see it work; writes nothing.
    """
    candidates = QUICK_CANDIDATES if quick else CANDIDATES
    forms = {
        name: {of: measure(center, of, candidates) for of in ("cover", "list")}
        for name, center in (("rms", False), ("center", True))
    }
    result = {"dataset": "digits", "n_train": N_TRAIN, "n_test": N_TEST, **forms, **environment()}
    report(result, None if quick else record_of(__file__))


if __name__ == "__main__":
    tyro.cli(main)
