"""``docs/imports.md``: its examples run, and its table has every name of stax."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from onnx_models import small_onnx

from kernas.kernels._compat import import_neural_tangents

ROOT = Path(__file__).resolve().parents[1]
PAGE = (ROOT / "docs/imports.md").read_text(encoding="utf-8")


def example(word: str) -> str:
    (code,) = (c for c in re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL) if word in c)
    return code


def test_the_example_of_flax_runs(capsys: pytest.CaptureFixture[str]) -> None:
    exec(example("kk.from_flax"), {"__name__": "example"})
    assert "Conv_0" in capsys.readouterr().out


def test_the_example_of_onnx_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "network.onnx").write_bytes(small_onnx().SerializeToString())
    monkeypatch.chdir(tmp_path)
    exec(example("kk.from_onnx"), {"__name__": "example"})


@pytest.mark.torch
@pytest.mark.filterwarnings("default")
def test_the_example_of_torch_runs(capsys: pytest.CaptureFixture[str]) -> None:
    exec(example("kk.from_torch"), {"__name__": "example"})
    assert "operations" in capsys.readouterr().out


def test_the_table_has_every_name_of_stax_and_no_others() -> None:
    rows = re.findall(r"^\| (`.*?) \|", PAGE.split("## From neural-tangents")[1], re.MULTILINE)
    listed = [name for row in rows for name in re.findall(r"`(\w+)`", row)]
    stax = import_neural_tangents().stax
    assert sorted(listed) == sorted({n for n in dir(stax) if not n.startswith("_")} | {"stax"})


def test_the_page_is_listed() -> None:
    assert "](docs/imports.md)" in (ROOT / "README.md").read_text(encoding="utf-8")
