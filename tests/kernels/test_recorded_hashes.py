"""Hashes and kernels are those that were recorded: results that are stored keep their names.

``tests/recorded_networks.py`` says what is recorded, and writes it again.
"""

from __future__ import annotations

import json
from functools import cache
from typing import Any

import numpy as np
import pytest
from recorded_networks import DIGITS, KERNELS, RECORD, document_of, kernels_of, recorded_networks

AGAIN = "write it again with tests/recorded_networks.py if that is meant"


@cache
def recorded() -> dict[str, Any]:
    return json.loads(RECORD.read_text())


def test_the_record_is_of_these_networks() -> None:
    documents = {name: document_of(network) for name, network in recorded_networks().items()}
    assert documents == {name: of["document"] for name, of in recorded()["hashes"].items()}, (
        f"other networks are drawn or listed than recorded; {AGAIN}"
    )
    assert set(recorded()["kernels"]) == set(KERNELS)


def test_hashes_are_those_recorded() -> None:
    known = recorded()["hashes"]
    changed = [
        name
        for name, network in recorded_networks().items()
        if name in known and network.hash[:DIGITS] != known[name]["hash"]
    ]
    assert not changed, f"{len(changed)} networks have other hashes than recorded; {AGAIN}"


@pytest.mark.parametrize("name", KERNELS)
def test_kernels_are_those_recorded(name: str) -> None:
    for which, matrix in kernels_of(name)._asdict().items():
        expected = np.reshape(recorded()["kernels"][name][which], matrix.shape)
        np.testing.assert_allclose(matrix, expected, rtol=1e-12, atol=0, err_msg=which)
