"""Every experiment takes a size, a number and a device, and says what it takes before it begins."""

import json
import runpy
import sys
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
import rank_cifar10
import running
import small_data
import table1
from oracles.numpy_kernel import oracle

import kernas.kernels as kk
from kernas.errors import ConfigurationError

FOLDER = Path(running.__file__).parent
SHARED = {
    *("cluster_measurements", "comparing", "pieces", "running", "results", "ranking_page"),
    *("ranking_settings", "trainings"),
}
SCRIPTS = sorted(path.stem for path in FOLDER.glob("*.py") if path.stem not in SHARED)
POSITIONAL = {"rank_cifar10": ("forms",)}


def run(script, *arguments, monkeypatch):
    """The exit code of a script."""
    path = FOLDER / f"{script}.py"
    monkeypatch.setattr(sys, "argv", [str(path), *POSITIONAL.get(script, ()), *arguments])
    with pytest.raises(SystemExit) as caught:
        runpy.run_path(str(path), run_name="__main__")
    return caught.value.code


@pytest.mark.parametrize("script", SCRIPTS)
def test_every_experiment_has_the_options(script, monkeypatch, capsys):
    asked = []

    def refused(device, dtype, *, compilation_cache):
        asked.append(device)
        raise ConfigurationError("no such device here")

    monkeypatch.setattr(running, "configure_jax", refused)
    for size in get_args(running.Size):
        assert run(script, "--size", size, "--device", "tpu", monkeypatch=monkeypatch) == 2
        assert capsys.readouterr().err == f"{script}.py: no such device here\n"
    assert asked == ["tpu"] * 4
    assert run(script, "--n", "0", monkeypatch=monkeypatch) == 2
    assert capsys.readouterr().err == f"{script}.py: --n 0: expected a positive number\n"


@pytest.mark.parametrize("script", SCRIPTS)
def test_every_experiment_has_a_setting_of_every_size(script):
    module: Any = __import__(script)
    if script == "rank_cifar10":
        sizes = {
            size: rank_cifar10.setting_of(rank_cifar10.STUDIES["sizes"], running.Options(size=size))
            for size in get_args(running.Size)
        }
        assert [sizes[size].sample for size in get_args(running.Size)] == [6, 60, 1_000, 5_000]
    else:
        assert tuple(module.SETTINGS) == get_args(running.Size)


def test_an_interrupted_experiment_says_how_it_goes_on(monkeypatch, capsys):
    def interrupted(options):
        raise KeyboardInterrupt

    monkeypatch.setattr(running, "configure_jax", lambda *_, **__: None)
    monkeypatch.setattr(sys, "argv", ["script.py"])
    with pytest.raises(SystemExit) as caught:
        running.command(running.Options, interrupted)
    assert caught.value.code == 130
    assert "the same command goes on" in capsys.readouterr().err


def test_only_the_small_setting_is_recorded_beside_its_script():
    script = "experiments/some.py"
    assert running.Options().record(script) == Path("experiments/some.json")
    assert running.Options(size="quick").record(script) is None
    assert running.Options(size="quick", n=9).record(script) is None
    assert running.Options(n=60).record(script) == running.RUNS / "some-small-60.json"
    assert running.Options(size="full").record(script) == running.RUNS / "some-full.json"
    asked = running.Options(n=60, device="cpu").asked()
    assert asked == {"run": {"size": "small", "n": 60, "device": "cpu"}}


def test_another_number_keeps_the_proportion():
    assert running.divided(60, 140, 60) == (42, 18)
    assert table1.setting_of("small", None) is table1.SMALL
    setting = table1.setting_of("small", 60)
    assert (setting.n_fit, setting.n_validation) == (table1.by_dataset(42, 42), 18)
    assert setting.n_filters == table1.SMALL.n_filters
    with pytest.raises(ConfigurationError, match="--n 1: expected images to regress on and"):
        running.divided(1, 140, 60)
    assert small_data.setting_of("full", 100).sizes == (10, 20, 40, 80)
    with pytest.raises(ConfigurationError, match="--n 9: expected 10 or more"):
        small_data.setting_of("small", 9)


def test_the_published_windows_are_among_those_of_every_side_that_holds_them():
    assert table1.windows_of(32) == (0, 4, 8, 12, 16, 20, 24, 28, 32)
    assert table1.windows_of(27) == (0, 4, 8, 12, 16, 20, 24, 28)
    assert table1.windows_of(13) == (0, 4, 8, 12)
    assert table1.windows_of(7) == (0, 4, 8)
    for row in table1.PUBLISHED:
        side = table1.FULL.sides[row.dataset] - (table1.PATCH - 1 if row.patches else 0)
        assert row.window in table1.windows_of(side)


@pytest.mark.parametrize("side", [2, 3, 5])
def test_the_last_window_is_the_global_pool_times_a_number(side):
    x = np.random.default_rng(0).standard_normal((3, side, side, 2))
    c = table1.windows_of(side)[-1]
    body = [kk.Conv(3), kk.Relu()]
    local, whole = (
        oracle(kk.serial(*body, readout, kk.Dense()), x)
        for readout in (kk.LocalAvgPool(c), kk.GlobalAvgPool())
    )
    for ours, theirs in zip(local, whole, strict=True):
        np.testing.assert_allclose(ours, (side / (2 * c + 1)) ** 4 * theirs, rtol=1e-9)


def test_the_command_of_a_ranking_is_the_recorded_one():
    study = rank_cifar10.STUDIES["sizes"]
    recorded = json.loads((FOLDER / "rank_cifar10_sizes.json").read_text())
    setting = rank_cifar10.setting_of(study, running.Options())
    commands = {name: rank_cifar10.rank_command(study, name, setting, "auto") for name in recorded}
    for name, arguments in commands.items():
        assert recorded[name]["command"] == "kernas " + " ".join(arguments[3:])
    assert rank_cifar10.rank_command(study, "8", setting, "gpu")[-2:] == ["--device", "gpu"]
    other = rank_cifar10.setting_of(study, running.Options(size="full"))
    output = [
        arguments[arguments.index("--output") + 1]
        for arguments in (rank_cifar10.rank_command(study, "8", other, "auto"), commands["8"])
    ]
    assert output == ["runs/rank-cifar10-8-5000-5-1000", "runs/rank-cifar10-8-60"]


def test_what_is_foretold(capsys):
    running.foretell(7200.0, "by the plan")
    running.foretell(None, "nothing recorded")
    assert (
        capsys.readouterr().err == "about 2.0 h (by the plan)\nno prediction (nothing recorded)\n"
    )
