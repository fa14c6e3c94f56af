"""What the spaces of cells cost: their covers, what is compiled for them, seconds a candidate.

Both kernels of random candidates on 100 training images of CIFAR-10 at 8×8 pixels, bound to 32
reference images, in the programs of the space's cover, one candidate after another.

    python experiments/benchmarks/spaces.py            # a quarter of an hour on 2 idle cores
    python experiments/benchmarks/spaces.py --quick    # 2 spaces, 3 candidates; writes nothing

Needs CIFAR-10 in the folder ``KERNAS_DATA``. ``outside`` counts candidates that need programs of
their own; nothing comes from a cache.
"""

from __future__ import annotations

import statistics
from typing import Any

import tyro
from measuring import SEED, cifar10, environment, record_of, report, timed

import kernas.kernels as kk
from kernas.kernels.engine import compilations
from kernas.kernels.kernel import SharedPrograms
from kernas.search import Candidate, space_from_text

SPACES = (
    "nasbench201:cells=1",
    "nasbench101:cells=1,max_pool=average",
    "darts:cells=5,max_pool=average",
    "darts:cells=3,max_pool=average",
    "enas:cells=5,max_pool=average",
    "pnas:cells=5,max_pool=average",
    "nasnet:cells=5,max_pool=average",
    "amoebanet:cells=5,max_pool=average",
)
SIDE, N_TRAIN, N_REFERENCE = 8, 100, 32
CANDIDATES, QUICK_CANDIDATES = 50, 3


def kernel_of(candidate: Candidate, programs: SharedPrograms) -> kk.NeuralKernel[Any]:
    """Both kernels of a candidate."""
    return kk.NeuralKernel(candidate.architecture, get=("nngp", "ntk"), programs=programs)


def measure(text: str, candidates: int) -> dict[str, Any]:
    """A space: its cover, its programs, its candidates."""
    x = cifar10(N_TRAIN, SIDE)
    shape, space = x.shape[1:], space_from_text(text)
    sampling, drawn = timed(lambda: space.sample(candidates, seed=SEED))
    covering, cover = timed(lambda: space.cover(shape))
    sharing, programs = timed(lambda: SharedPrograms.of(cover, shape))
    kernels = [kernel_of(candidate, programs) for candidate in drawn]
    held = [kernel for kernel in kernels if kernel.shares(shape)]
    before = compilations().count
    sizes = {"n_train": N_TRAIN, "n_test": 0, "n_reference": N_REFERENCE}
    compiling, _ = timed(lambda: held[0].compile(shape, **sizes).result())
    compiled = compilations().count - before
    seconds = [timed(lambda k=kernel: k.bind(x, N_REFERENCE, SEED)(x))[0] for kernel in held]
    return {
        "space": text,
        "cover": len(cover),
        "operations": sum(len(bank.operations) for bank in programs.pairs.banks),
        "sample_seconds": sampling,
        "cover_seconds": covering + sharing,
        "compile_seconds": compiling,
        "compilations": compiled,
        "outside": len(kernels) - len(held),
        "median": statistics.median(seconds),
        "greatest": max(seconds),
        "seconds": [round(value, 3) for value in seconds],
    }


def main(quick: bool = False) -> None:
    """Measure, print one JSON line, keep it.

    Args:
        quick: few candidates of two spaces, to see it work; writes nothing.
    """
    texts, candidates = (SPACES[:2], QUICK_CANDIDATES) if quick else (SPACES, CANDIDATES)
    result: dict[str, Any] = {"dataset": "cifar10", "side": SIDE, "n_train": N_TRAIN}
    result |= {"n_reference": N_REFERENCE, "spaces": [measure(one, candidates) for one in texts]}
    report(result | environment(), None if quick else record_of(__file__))


if __name__ == "__main__":
    tyro.cli(main)
