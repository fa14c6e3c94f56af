"""The steps of the Dockerfile, in a fresh environment: images themselves are not built here."""

import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
TEXT = (ROOT / "Dockerfile").read_text(encoding="utf-8")


def steps(keyword):
    return re.findall(rf"^{keyword} (.*)$", TEXT, re.MULTILINE)


def test_the_python_is_one_that_kernas_takes():
    (image,) = steps("FROM")
    version = re.fullmatch(r"python:(3)\.(\d+)-slim", image)
    assert version
    assert int(version[2]) >= 11


@pytest.mark.slow
def test_each_step_runs(tmp_path):
    fresh = tmp_path / "fresh"
    subprocess.run([sys.executable, "-m", "venv", fresh], check=True)
    for step in steps("RUN"):
        program, *arguments = shlex.split(step.replace("/src", str(ROOT)))
        subprocess.run([fresh / "bin" / program, *arguments], check=True, cwd=tmp_path)
    (entry,), (default,) = steps("ENTRYPOINT"), steps("CMD")
    command = [fresh / "bin" / json.loads(entry)[0], *json.loads(default)]
    shown = subprocess.run(command, check=True, cwd=tmp_path, capture_output=True, text=True)
    assert "kernas rank" in shown.stdout
