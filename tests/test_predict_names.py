"""The table of ``docs/time.md`` has everything that neural-tangents' ``predict`` offers."""

from __future__ import annotations

import re

from pages import PAGES

import kernas.kernels as kk
from kernas.kernels._compat import import_neural_tangents


def test_the_map_has_what_predict_offers() -> None:
    page = PAGES["docs/time.md"]
    rows = re.findall(r"^\| `(\w+)` \| `(?:kk\.)?(\w+)` \|", page, re.MULTILINE)
    predict = import_neural_tangents().predict
    for theirs, ours in rows:
        assert hasattr(predict, theirs)
        assert hasattr(kk, ours) or ours in ("Ensemble", "Trajectory")
    assert {theirs for theirs, _ in rows} >= {
        name for name in dir(predict) if name.startswith(("gradient", "gp_", "max_"))
    }
