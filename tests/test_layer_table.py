"""docs/layers.md says what the tests do: it is written from them, and leaves no layer out."""

from __future__ import annotations

from pathlib import Path

import pytest
from collecting import COLLECTED
from layer_table import Collector, collected, table

from kernas.kernels.architecture.layers import LAYERS

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "layers.md"
KERNELS = ROOT / "tests" / "kernels"


def test_the_table_is_up_to_date(pytestconfig: pytest.Config) -> None:
    tests = KERNELS.glob("test_*.py")
    items = [item for item in pytestconfig.stash[COLLECTED] if item.path.parent == KERNELS]
    if set(tests) <= {item.path for item in items}:
        found = Collector()
        found.count(items)
    else:  # parts of the tests were asked for
        found = collected()
    again = "write it again: python tests/layer_table.py docs/layers.md"
    assert PAGE.read_text("utf-8") == table(found), again


def test_every_layer_is_compared_with_the_reference_and_with_finite_networks() -> None:
    rows = [line.split(" | ") for line in PAGE.read_text("utf-8").splitlines()]
    counts = {row[0].strip("| `"): row[3:6] for row in rows if row[0].startswith("| `")}
    assert set(counts) == set(LAYERS)
    for layer, (numpy, _, finite) in counts.items():
        for count in counts[layer]:
            assert not count.startswith("0 "), f"{layer} is in slow tests only"
        assert numpy != "–", f"{layer} is in no comparison with the NumPy reference"
        if layer != "MaxPool":  # a finite one takes the maximum
            assert finite != "–", f"{layer} is in no finite network"
