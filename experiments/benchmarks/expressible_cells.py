"""How many cells of NAS-Bench-201 each backend computes, by what they normalise over.

A cell counts where its network of one cell a stage lowers, for 8×8 colour images, and where
neural-tangents can express it: batch normalisation it cannot, and of a sum it adds the kernels,
which is exact only where the terms are uncorrelated. Nothing is computed.

    python experiments/benchmarks/expressible_cells.py            # ten minutes, 2 cores
    python experiments/benchmarks/expressible_cells.py --quick    # 100 cells; writes nothing

``cells`` counts all 15,625, ``networks`` the different ones by hash.
"""

from __future__ import annotations

from collections import Counter
from itertools import islice
from pathlib import Path
from typing import Any, get_args

import tyro
from measuring import environment, report

from kernas.errors import ArchitectureError
from kernas.kernels import Architecture
from kernas.kernels.backends.stax_network import check_expressible
from kernas.kernels.program import lower
from kernas.search import NasBench201
from kernas.search.spaces.nasbench201 import Normalization

RESULT = Path(__file__).with_suffix(".json")
SHAPE = (8, 8, 3)


def backends_of(network: Architecture) -> tuple[str, ...]:
    """The backends that compute a network."""
    found: list[str] = []
    for name, check in (("kernas", lower), ("neural-tangents", check_expressible)):
        try:
            check(network, SHAPE)
        except ArchitectureError:
            continue
        found.append(name)
    return tuple(found)


def counted(space: NasBench201, most: int | None) -> dict[str, Any]:
    """Cells and networks of a space, and those that each backend computes."""
    known: dict[str, tuple[str, ...]] = {}
    cells: Counter[str] = Counter()
    for cell in islice(space.enumerate(), most):
        network = cell.architecture
        if network.hash not in known:
            known[network.hash] = backends_of(network)
        cells.update(("all", *known[network.hash]))
    networks = Counter(name for names in known.values() for name in names)
    return {"cells": dict(cells), "networks": {"all": len(known), **networks}}


def main(quick: bool = False) -> None:
    """Count, print one JSON line, keep it.

    Args:
        quick: 100 cells, to see it work; writes nothing.
    """
    result: dict[str, Any] = {
        normalize: counted(NasBench201(1, normalize=normalize), 100 if quick else None)
        for normalize in get_args(Normalization)
    }
    report({"image_shape": SHAPE, **result, **environment()}, None if quick else RESULT)


if __name__ == "__main__":
    tyro.cli(main)
