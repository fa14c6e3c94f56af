"""`kernas train`: from a network to a folder of curves and weights, and to a flax module again."""

from __future__ import annotations

import csv
import json
import runpy
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from interrupting import after_a_piece

import kernas.kernels as kk
from kernas.search.cli.app import parse, run
from kernas.search.training import TrainingSettings, checkpoints, estimate_training, train

NETWORK = kk.serial(kk.Conv(3), kk.Normalize(), kk.Relu(), kk.GlobalAvgPool(), kk.Dense(b_std=0.1))
IMAGES = ("--dataset", "digits", "--image-size", "4", "--n-train", "100", "--n-test", "60")
RECIPE = ("--width", "4", "--batch-size", "20", "--epochs", "3", "--seeds", "2")

pytestmark = pytest.mark.usefixtures("x64_kept")


@pytest.fixture
def kernas(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., tuple[int, str, str]]:
    """`kernas train` of a small network in an empty folder: exit code, stdout, stderr."""
    (tmp_path / "network.json").write_text(NETWORK.to_json())
    monkeypatch.chdir(tmp_path)

    def command(*arguments: str, network: str = "network.json") -> tuple[int, str, str]:
        capsys.readouterr()
        code = run(["train", network, *IMAGES, *RECIPE, *arguments])
        out, err = capsys.readouterr()
        return code, out, err

    return command


def expected(**settings: Any) -> Any:
    data = kk.load("digits", image_size=4, n_train=100, n_test=60)
    recipe = TrainingSettings(**{"width": 4, "batch_size": 20, "epochs": 3, **settings})
    return train(NETWORK, *data, recipe, seeds=2, evaluate_every=5)


def test_a_training_leaves_its_curve_its_numbers_and_its_picture(kernas: Any) -> None:
    code, out, err = kernas()
    assert code == 0
    assert "15 steps of" in err  # what it will take
    folder = Path("runs/train-digits-1")
    metrics = json.loads((folder / "metrics.json").read_text())
    found = expected()
    assert metrics["test_accuracy"] == found.test_accuracy.tolist()
    assert metrics["train_accuracy"] == found.train_accuracy.tolist()
    assert f"{found.test_accuracy[0]:.4f}" in out
    with (folder / "curve.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["step"] for row in rows] == [str(step) for step in range(1, 16)]
    losses = [[float(row[f"loss_{seed}"]) for seed in (0, 1)] for row in rows]
    np.testing.assert_allclose(losses, found.losses, rtol=1e-4)
    measured = [row for row in rows if row["test_accuracy_0"]]
    assert [row["step"] for row in measured] == ["5", "10", "15"]  # every epoch
    assert [float(row["test_accuracy_1"]) for row in measured] == found.curve[:, 1].tolist()
    assert (folder / "curve.png").read_bytes().startswith(b"\x89PNG")


def test_an_export_is_loaded_by_its_own_lines(kernas: Any, tmp_path: Path) -> None:
    code, out, _ = kernas("--export", "network", "--quiet", "--steps", "100")
    assert code == 0
    assert "`python network/load.py`" in out
    lines = runpy.run_path("network/load.py")
    network, variables = lines["load"]()
    stored, _ = kk.load("digits", image_size=4, n_train=100, n_test=60, standardize=False)
    standardised, test = kk.load("digits", image_size=4, n_train=100, n_test=60)
    prepared = lines["prepared"](stored.x)
    np.testing.assert_allclose(prepared, standardised.x, rtol=1e-5, atol=1e-6)
    logits = np.asarray(network.apply(variables, test.x))
    accuracy = np.mean(np.argmax(logits, axis=1) == test.y)
    assert accuracy == expected(steps=100).test_accuracy[0] > 0.2
    assert sorted(path.name for path in Path("network").iterdir()) == [
        *("load.py", "network.json", "weights.npz")
    ]
    assert lines["CLASSES"] == tuple("0123456789")


def test_the_same_command_with_resume_goes_on(
    kernas: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with after_a_piece(monkeypatch):
        code, _, err = kernas("--output", "run")
    assert code == 130
    assert "run keeps what was done; give --output run --resume to go on" in err
    assert [path.name for path in Path("run").iterdir()] == [checkpoints.NAME]
    code, _, err = kernas("--output", "run")
    assert (code, "give --resume" in err) == (2, True)
    code, out, _ = kernas("--output", "run", "--resume", "--json")
    assert code == 0
    assert json.loads(out)["test_accuracy"] == expected().test_accuracy.tolist()


def test_networks_that_all_diverge_are_a_failure_with_a_folder(kernas: Any) -> None:
    code, out, _ = kernas("--learning-rate", "1e30", "--output", "run")
    assert code == 1
    assert "diverged, diverged" in out
    metrics = json.loads(Path("run/metrics.json").read_text())
    assert (metrics["mean_test_accuracy"], metrics["diverged"]) == (None, [True, True])
    assert Path("run/curve.png").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--width", "0"], "width=0: expected an integer >= 1"),
        (["--epochs", "0"], "epochs=0: expected an integer >= 1"),
        (["--seeds", "0"], "--seeds 0: expected how many, 1 or more"),
        (["--batch-size", "200"], "batch_size=200 of 100 images"),
        (["--learning-rate", "-1"], "learning_rate=-1.0: expected a number > 0"),
        (["--export", "network.json"], "network.json exists: expected a new folder"),
        (["--output", "network.json"], "network.json"),
        (["--dataset", "absent.npz"], "absent.npz"),
    ],
)
def test_bad_input_is_one_line_before_any_training(
    arguments: list[str], message: str, kernas: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    if "--output" not in arguments:
        monkeypatch.setattr("kernas.search.training.loop.training_of", None)
    code, out, err = kernas(*arguments, "--quiet", "--yes")
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert message in err


def test_images_too_small_for_the_skeleton_are_refused(kernas: Any) -> None:
    cell = "|nor_conv_3x3~0|+|none~0|none~1|+|none~0|none~1|nor_conv_3x3~2|"
    code, _, err = kernas("--image-size", "2", network=cell)
    assert code == 2
    assert "image size 2: the two reductions" in err


def test_what_takes_long_is_asked_for(kernas: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kernas.search.cli.agreement.UNASKED_SECONDS", 0)
    code, _, err = kernas()
    assert code == 2
    assert "give --yes" in err
    assert kernas("--yes")[0] == 0


def test_an_estimate_counts_the_steps() -> None:
    fit, _ = kk.load("digits", image_size=4, n_train=100, n_test=60)
    recipe = TrainingSettings(width=4, batch_size=20, epochs=3)
    found = estimate_training(NETWORK, fit, recipe, n_test=60, evaluations=3)
    assert (found.steps, found.evaluated) == (15, 100 + 3 * 60)
    parts = (15 * found.seconds_a_step, 280 * found.seconds_an_image)
    assert found.seconds == pytest.approx(sum(parts))
    assert min(parts) > 0


def test_the_options_of_a_recipe_have_its_defaults() -> None:
    options = parse(["train", "network.json"])
    for field in fields(TrainingSettings):
        assert getattr(options, field.name) == field.default
