"""``docs/tuning.md`` and ``docs/time.md``: their examples run, and the map is whole."""

from __future__ import annotations

import re
from pathlib import Path

import jax
import pytest

import kernas.kernels as kk
from kernas.kernels._compat import import_neural_tangents

DOCS = Path(__file__).resolve().parents[1] / "docs"


def examples(page: str) -> list[str]:
    return re.findall(r"```python\n(.*?)```", (DOCS / page).read_text(encoding="utf-8"), re.DOTALL)


CASES = [(page, i) for page in ("tuning.md", "time.md") for i in range(len(examples(page)))]


def test_the_pages_have_examples() -> None:
    assert [page for page, _ in CASES] == ["tuning.md"] * 3 + ["time.md"] * 2


@pytest.mark.parametrize(("page", "number"), CASES)
def test_the_examples_run(
    page: str, number: int, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with jax.enable_x64(True):
        monkeypatch.setattr(jax.config, "update", lambda *_: None)  # not for the tests that follow
        exec(examples(page)[number], {"__name__": "example"})
    assert "nan" not in capsys.readouterr().out


@pytest.mark.oracle("neural-tangents")
def test_the_map_has_what_predict_offers() -> None:
    page = (DOCS / "time.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(\w+)` \| `(?:kk\.)?(\w+)` \|", page, re.MULTILINE)
    predict = import_neural_tangents().predict
    for theirs, ours in rows:
        assert hasattr(predict, theirs)
        assert hasattr(kk, ours) or ours in ("Ensemble", "Trajectory")
    assert {theirs for theirs, _ in rows} >= {
        name for name in dir(predict) if name.startswith(("gradient", "gp_", "max_"))
    }
