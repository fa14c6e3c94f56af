"""The notebooks run from top to bottom, and are committed without what a run leaves in them."""

import json
import re
import sys
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

ROOT = Path(__file__).resolve().parents[1]
FOLDER, SHOWN = ROOT / "notebooks", ROOT / "docs" / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))
START_SECONDS = 600  # for importing ipykernel on a busy machine; a kernel that died is seen at once

FEWER = {
    "01_rank_cells": {
        "n_train=300, n_test=100": "n_train=60, n_test=20",
        "space.sample(8, seed=0)": "space.sample(5, seed=0)",
    },
    "02_kernel_regression": {
        '"n_train": 500, "n_test": 400': '"n_train": 100, "n_test": 50',
        "[50, 100, 200, 300, 400, 500]": "[50, 100]",
    },
    "03_enhanced_kernels": {
        '"n_train": 100, "n_test": 150': '"n_train": 30, "n_test": 20',
        "image_size=14": "image_size=8",
        '"pool": 2': '"pool": 4',
    },
    "04_train_and_compare": {
        "image_size=8": "image_size=4",
        "truth.sample(space, 12": "truth.sample(space, 4",
        "steps=200": "steps=20",
    },
    "05_scores_compared": {
        "image_size=8": "image_size=4",
        "truth.sample(space, 40": "truth.sample(space, 6",
        "train_set.subset(200": "train_set.subset(80",
        ",snip,grad_norm,zico,synflow,naswot,jacob_cov,zen,": ",l2_norm,",
    },
    "06_search": {
        "n_train=50, n_test=1, image_size=8": "n_train=10, n_test=1, image_size=4",
        '"digits_hard", image_size=8': '"digits_hard", image_size=4',
        "searched(40)": "searched(5)",
        "searched(60)": "searched(12)",
        "steps=200": "steps=10",
    },
    "07_cifar10_cells": {
        '"n_train": 300, "n_test": 10, "image_size": 8': (
            '"n_train": 60, "n_test": 10, "image_size": 4'
        ),
        "truth.sample(space, 40": "truth.sample(space, 5",
    },
    "08_cifar10_cntk": {
        '"n_train": 1500, "n_test": 2000, "image_size": 8': (
            '"n_train": 50, "n_test": 100, "image_size": 4'
        ),
        '"n_train": 500, "n_test": 500': '"n_train": 50, "n_test": 100',
    },
    "09_learnability": {
        "d = 10": "d = 8",
        "[16, 32, 64, 128, 256]": "[16, 32, 64]",
        "0.25, 128": "0.25, 32",
        "N = 500": "N = 100",
        '"n_test": 700': '"n_test": 100',
    },
}
"""What the ordinary run puts in the place of a notebook's numbers of images and of networks."""

each_notebook = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


def code_cells(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


@pytest.fixture
def jupyter(tmp_path, monkeypatch):
    """``python3`` is the interpreter that runs the tests, and the user's settings are not read."""
    spec = tmp_path / "jupyter" / "kernels" / "python3" / "kernel.json"
    spec.parent.mkdir(parents=True)
    argv = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    spec.write_text(json.dumps({"argv": argv, "display_name": "Python 3", "language": "python"}))
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path / "jupyter"))
    for name in ("JUPYTER_CONFIG_DIR", "JUPYTER_RUNTIME_DIR", "IPYTHONDIR"):
        monkeypatch.setenv(name, str(tmp_path / name.lower()))


def test_the_notebooks_are_found():
    assert {"01_rank_cells", "02_kernel_regression", "03_enhanced_kernels"} <= {
        path.stem for path in NOTEBOOKS
    }


@each_notebook
def test_the_committed_file_is_clean(path):
    notebook = nbformat.read(path, as_version=nbformat.NO_CONVERT)
    nbformat.validate(notebook)
    assert (notebook.nbformat, notebook.nbformat_minor) == (4, 5)
    assert notebook.metadata.kernelspec.name == "python3"
    for cell in notebook.cells:
        assert not cell.metadata, cell.id
        assert not re.search(r"^\s*[%!]\s*(pip|conda)\b", cell.source, re.MULTILINE), cell.id
        assert not re.search(r"""["'](/|~|[A-Za-z]:[\\/])""", cell.source), cell.id
    for cell in code_cells(notebook):
        assert cell.outputs == [], cell.id
        assert cell.execution_count is None, cell.id
    assert notebook.cells[1].id == "install"
    assert re.fullmatch(r"# .*\n# %pip install --quiet \S+", notebook.cells[1].source)
    assert notebook.cells[-1].source.startswith("## What next\n")


@each_notebook
def test_the_site_shows_it_as_it_is(path):
    """With outputs; after a change: ``python docs/execute_notebooks.py NAME``."""
    shown = nbformat.read(SHOWN / path.name, as_version=4)
    assert [cell.source for cell in shown.cells] == [
        cell.source for cell in nbformat.read(path, as_version=4).cells
    ]
    assert all(cell.execution_count for cell in code_cells(shown))
    assert (SHOWN / path.name).stat().st_size < 400_000
    texts = json.dumps([cell.outputs for cell in code_cells(shown)])
    assert not re.search(r"(?<![\w.])/(tmp|home|root|work|usr|opt|var|Users)/", texts)


def test_the_site_shows_these_and_no_others():
    shown = sorted(SHOWN.glob("*.ipynb"))
    assert [path.name for path in shown] == [path.name for path in NOTEBOOKS]
    assert sum(path.stat().st_size for path in shown) < 2_000_000


@each_notebook
@pytest.mark.parametrize(
    ("numbers", "real_data"),
    [
        pytest.param("fewer", "as it is", id="fewer"),
        pytest.param("as committed", "as it is", id="as-committed", marks=pytest.mark.slow),
        pytest.param("as committed", "hidden", id="without-KERNAS_DATA", marks=pytest.mark.slow),
    ],
)
@pytest.mark.usefixtures("jupyter")
def test_it_runs_and_leaves_nothing_behind(path, numbers, real_data, tmp_path, monkeypatch):
    if real_data == "hidden":
        monkeypatch.delenv("KERNAS_DATA", raising=False)
    folder = tmp_path / "current_folder"
    folder.mkdir()
    notebook = nbformat.read(path, as_version=4)
    if numbers == "fewer":
        for written, fewer in FEWER[path.stem].items():
            (cell,) = (cell for cell in code_cells(notebook) if written in cell.source)
            cell.source = cell.source.replace(written, fewer)
    NotebookClient(
        notebook,
        timeout=None,
        startup_timeout=START_SECONDS,
        resources={"metadata": {"path": str(folder)}},
    ).execute()

    cells = code_cells(notebook)
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    outputs = [output for cell in cells for output in cell.outputs]
    assert any("image/png" in output.get("data", {}) for output in outputs), "no figure is drawn"
    errors = "".join(output.text for output in outputs if output.get("name") == "stderr")
    assert "Warning" not in errors, errors
    assert not list(folder.iterdir())
