"""Run the notebooks with their own numbers and write them with outputs into ``docs/notebooks``.

    python docs/execute_notebooks.py                    # all, minutes each
    python docs/execute_notebooks.py 06_search          # some

The notebooks themselves stay without outputs. ``KERNAS_DATA`` names the folder of the real data.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import nbformat
from nbclient import NotebookClient

ROOT = Path(__file__).resolve().parents[1]
SOURCES, TARGET = ROOT / "notebooks", ROOT / "docs" / "notebooks"


def executed(path: Path) -> nbformat.NotebookNode:
    """The notebook with what its cells show, without times and without progress bars."""
    notebook = nbformat.read(path, as_version=4)
    with tempfile.TemporaryDirectory() as folder:
        client = NotebookClient(
            notebook,
            timeout=None,
            kernel_name="python3",
            record_timing=False,
            resources={"metadata": {"path": folder}},
        )
        client.execute()
    notebook.metadata.pop("widgets", None)
    notebook.metadata.language_info = {"name": "python"}
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs = [out for out in cell.outputs if out.get("name") != "stderr"]
    return notebook


def main(names: list[str]) -> None:
    paths = [SOURCES / f"{name}.ipynb" for name in names] or sorted(SOURCES.glob("*.ipynb"))
    TARGET.mkdir(exist_ok=True)
    for path in paths:
        print(path.stem, flush=True)
        nbformat.write(executed(path), TARGET / path.name)


if __name__ == "__main__":
    main(sys.argv[1:])
