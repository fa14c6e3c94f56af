"""What is installed is what is tracked, and what selects files selects them."""

import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from importlib.metadata import metadata
from pathlib import Path

import pytest
from collecting import COLLECTED
from pages import PAGES

from kernas.kernels._compat import CUDA, INSTALL, INSTALL_GPU

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = {"src/kernas": "kernas", "kernels": "kernas/kernels", "search": "kernas/search"}


def run(*command, cwd=ROOT):
    return subprocess.run(
        [str(part) for part in command], cwd=cwd, capture_output=True, text=True, check=False
    )


@pytest.fixture(scope="module")
def tracked():
    if not (ROOT / ".git").exists():
        pytest.skip("not a git checkout: the tracked files are not known")
    listed = run("git", "ls-files", "-s")
    assert listed.returncode == 0, listed.stderr
    modes = (line.split(None, 3) for line in listed.stdout.splitlines())
    return [path for mode, _, _, path in modes if mode != "120000"]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The wheel built from the sdist, as an installer builds it."""
    folder = tmp_path_factory.mktemp("dist")
    built = run(sys.executable, "-m", "build", "--no-isolation", "--outdir", folder)
    assert built.returncode == 0, built.stdout + built.stderr
    (path,) = folder.glob("*.whl")
    with zipfile.ZipFile(path) as archive:
        return archive.namelist()


def test_the_wheel_holds_the_tracked_files(tracked, wheel):
    expected = {
        f"{target}{path.removeprefix(source)}"
        for path in tracked
        for source, target in PACKAGES.items()
        if path.startswith(f"{source}/")
    }
    installed = {name for name in wheel if ".dist-info/" not in name}
    assert installed == expected
    assert {
        "kernas/__init__.py",
        "kernas/kernels/kernel/neural_kernel.py",
        "kernas/py.typed",
    } <= installed


def test_the_only_top_level_name_is_kernas(wheel):
    assert {name.split("/")[0] for name in wheel if ".dist-info/" not in name} == {"kernas"}


def test_importing_a_folder_by_itself_is_refused():
    for folder in ("kernels", "search"):
        wrong = run(sys.executable, "-c", f"import {folder}", cwd=ROOT)
        assert f"import kernas.{folder}" in wrong.stderr


def test_the_type_checker_reads_every_folder(tmp_path):
    """Pyright with ``include = ["src"]`` would silently check nothing outside it.

    Planted in folders of their own, the errors are in nobody's way, the wheel's for one.
    """
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    folders = ("kernels", "search", "tests", "experiments", "src/kernas")
    planted = [tmp_path / folder / "planted_type_error.py" for folder in folders]
    for path in planted:
        path.parent.mkdir(parents=True)
        path.write_text('x: int = "text"\n')
    checked = run(sys.executable, "-m", "pyright", "--outputjson", cwd=tmp_path)
    found = {item["file"] for item in json.loads(checked.stdout)["generalDiagnostics"]}
    assert {str(path) for path in planted} <= found


def test_every_test_file_is_collected(pytestconfig):
    if pytestconfig.args == pytestconfig.getini("testpaths"):
        collected = {item.path for item in pytestconfig.stash[COLLECTED]}
    else:  # parts of the tests were asked for
        command = (sys.executable, "-m", "pytest", "--collect-only", "-q", "-m", "slow or not slow")
        lines = run(*command).stdout.splitlines()
        collected = {ROOT / line.split("::")[0] for line in lines if "::" in line}
    assert set((ROOT / "tests").rglob("test_*.py")) <= collected


def test_the_oracle_is_installed_as_everyone_says():
    """The extra, the tests' requirements, the backend's message and the pages agree."""
    lines = (ROOT / "tests/requirements-oracle.txt").read_text().splitlines()
    required = [line for line in lines if not line.startswith("#")]
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["optional-dependencies"]["neural-tangents"] == required
    assert f"pip install --no-deps {' '.join(required)}" == INSTALL
    assert INSTALL in PAGES["docs/coming_from/neural_tangents.md"]
    oracle = "uv pip install -q --python .venv --no-deps -r tests/requirements-oracle.txt && "
    assert oracle in PAGES["README.md"]


def test_jax_of_a_gpu_is_installed_as_everyone_says():
    """Wherever JAX's extra for CUDA is named, it is the one of the messages, which JAX has."""
    assert CUDA in (metadata("jax").get_all("Provides-Extra") or [])
    assert INSTALL_GPU in PAGES["README.md"]
    assert INSTALL_GPU in PAGES["docs/guides/devices.md"]
    texts = dict(PAGES)
    for folder in ("experiments", "kernels", "search", "src/kernas"):
        texts |= {str(path): path.read_text() for path in (ROOT / folder).rglob("*.py")}
    named = {
        (name, extra)
        for name, text in texts.items()
        for extra in re.findall(r"jax\[(cuda\w*)\]|jax-(cuda\d+)-", text)
    }
    assert {part for _, extras in named for part in extras if part} == {CUDA}, named


def test_flax_and_optax_are_installed_and_the_old_extra_is_still_known():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    required = {re.split("[>=<]", line)[0] for line in project["dependencies"]}
    assert {"flax", "optax"} <= required
    assert project["optional-dependencies"]["finite"] == []


@pytest.mark.parametrize("room", ["search/ranking", "kernels/gram"])
def test_only_finite_networks_and_training_may_import_flax(room, tmp_path):
    """The contract is kept as it is, and broken by an import elsewhere."""
    for folder in ("src", "kernels", "search"):
        shutil.copytree(ROOT / folder, tmp_path / folder, symlinks=True)
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    name = "finite networks and their training alone know flax and optax"
    command = [Path(sys.executable).with_name("lint-imports"), "--no-cache"]
    environment = {**os.environ, "PYTHONPATH": str(tmp_path / "src")}
    (tmp_path / room / "foreign.py").write_text("import flax.linen\n")
    broken = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert broken.returncode == 1
    assert f"{name} BROKEN" in broken.stdout
    assert "foreign -> flax" in broken.stdout
