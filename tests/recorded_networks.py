"""Write tests/recorded/hashes.json: the hashes of many networks, and the kernels of some.

    python tests/recorded_networks.py tests/recorded/hashes.json

A hash names results that are stored, so that it may change only where a network's meaning does; the
record holds what the code made of it before. Kernels are those of the engine in float64, of two
images each, to 15 digits; references elsewhere say that they are right, this record that they are
the same. Write it again only for a change that is meant, and say in its commit which and why.

Of each network the record keeps the beginning of the SHA-256 of its JSON document as well: where
that differs, a list of networks changed, and not what is made of them.
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import jax
import numpy as np
from oracles import limit_networks, networks
from oracles.random_blocks import Form
from oracles.random_networks import random_architecture

import kernas.kernels as kk
from kernas.kernels.engine import Blocking
from kernas.search.spaces import NasBench201

RECORD = Path(__file__).parent / "recorded" / "hashes.json"
DIGITS = 16
"""Of a SHA-256 in hexadecimal that are kept."""

SEEDS = range(150)
SPACES = {
    "published": NasBench201(),
    "one cell a stage": NasBench201(cells_per_stage=1),
    "not centred": NasBench201(cells_per_stage=1, center=False),
    "pool": NasBench201(cells_per_stage=2, reduction="pool"),
}
CELLS = 15

KERNELS = (
    "Conv: SAME",
    "Conv: large, CIRCULAR",
    "Conv: dilation, CIRCULAR",
    "Conv: dilation, stride",
    "Conv: CIRCULAR",
    "Conv: zero weights",
    "Conv: width",
    "DepthwiseConv: of itself",
    "Dense: vector, untrained",
    "AvgPool: SAME, divided by the window",
    "AvgPool: beside a skip",
    "LocalAvgPool: zero, 4",
    "LocalAvgPool: circular, 1",
    "GlobalAvgPool: image",
    "Flatten: of weights",
    "Sum: two weight layers",
    "Zero: beside weights",
    "Concat: linear",
    "Concat: residual",
    "Concat: meets again, sum",
    "LayerNorm: channels, depthwise",
    "LayerNorm: channels and pixels, of a sum",
    "Normalize: root mean square, vector",
    "Normalize: centred, Concat",
    "Erf: default",
    "Sin: default",
    "Exp: 1.0",
    "Gaussian: 1.0",
    "Monomial: 1",
    "Hermite: 1",
)
"""Cases whose kernels are recorded, of those that compile fast."""


@cache
def recorded_networks() -> dict[str, kk.Architecture]:
    """The networks whose hashes are recorded, by their names in the record."""
    found = {f"case, {name}": network for name, network in networks.CASES.items()}
    found |= {f"limit, {name}": make() for name, make in limit_networks.CASES.items()}
    found |= dict(_random_networks())
    for name, space in SPACES.items():
        for candidate in space.sample(CELLS, seed=0):
            found[f"cell, {name}, {candidate.name}"] = space.architecture(candidate.name)
    return found


def _random_networks() -> Iterator[tuple[str, kk.Architecture]]:
    forms: tuple[Form | None, ...] = (None, "center", "rms", "any")
    for seed in SEEDS:
        for layers in ("basic", "all"):
            network = random_architecture(
                np.random.default_rng(seed),
                image=(5, 4, 2),
                normalize=forms[seed % 4],
                flat=seed % 5 == 4,
                remeet=seed % 3 == 0,
                layers=layers,
            )
            yield f"random, {layers}, {seed}", network


def document_of(network: kk.Architecture) -> str:
    """The beginning of the SHA-256 of a network's JSON document."""
    return hashlib.sha256(network.to_json().encode()).hexdigest()[:DIGITS]


def kernels_of(name: str) -> kk.Kernels:
    """Both kernels of a case in float64, each ``(2, 2)``: of the first of four drawn images."""
    x = np.random.default_rng(7).normal(size=(4, *networks.shape_of(name)))
    with jax.enable_x64(True):
        kernel = kk.NeuralKernel(
            networks.CASES[name], get=("nngp", "ntk"), blocking=Blocking("whole")
        )
        return kernel.bind(x)(x[:2])


def record() -> dict[str, Any]:
    """All of it, as JSON values."""
    return {
        "made_by": "python tests/recorded_networks.py tests/recorded/hashes.json",
        "hashes": {
            name: {"document": document_of(network), "hash": network.hash[:DIGITS]}
            for name, network in recorded_networks().items()
        },
        "kernels": {
            name: {
                which: [float(f"{value:.15g}") for value in matrix.ravel()]
                for which, matrix in kernels_of(name)._asdict().items()
            }
            for name in KERNELS
        },
    }


if __name__ == "__main__":
    lines = json.dumps(record(), indent=1)
    Path(sys.argv[1]).write_text(lines + "\n")
