"""docs/layers.md says what the tests do: it is written from them, and leaves no layer out."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from kernas.kernels.architecture.layers import LAYERS

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "layers.md"


def test_the_table_is_up_to_date(tmp_path: Path) -> None:
    again = tmp_path / "layers.md"
    command = [sys.executable, "tests/layer_table.py", str(again)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
    ours, theirs = PAGE.read_text("utf-8"), again.read_text("utf-8")
    assert ours == theirs, "write it again: python tests/layer_table.py docs/layers.md"


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
