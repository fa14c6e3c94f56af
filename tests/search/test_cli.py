"""The command line: outputs, exit codes, and every kind of bad input."""

import json
import random
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from command_line import printed_without_jax

import kernas
import kernas.kernels as kk
import kernas.search as ks
from kernas.search.cli.app import run
from kernas.search.defaults import DEFAULT_SCORES, RANKING_SCORE, VALIDATION_SCORE

CELL = "|nor_conv_3x3~0|+|skip_connect~0|avg_pool_3x3~1|+|none~0|nor_conv_1x1~1|skip_connect~2|"
FEW = ("--n-train", "9", "--n-validation", "9")
EMPTY = "|none~0|+|none~0|none~1|+|none~0|none~1|none~2|"


@pytest.fixture
def kernas_command(capsys, x64_kept) -> Callable[..., subprocess.CompletedProcess]:
    """The command line in this process, which has loaded JAX already."""

    def command(*arguments: str) -> subprocess.CompletedProcess:
        capsys.readouterr()
        code: Any = None
        try:
            code = run(list(arguments))
        except SystemExit as usage:
            code = usage.code
        return subprocess.CompletedProcess(arguments, code, *capsys.readouterr())

    return command


@pytest.fixture
def networks(tmp_path):
    """Files of networks that take a second together."""
    parts = {
        "shallow": kk.serial(kk.Flatten(), kk.Dense()),
        "dense": kk.serial(kk.Flatten(), kk.Dense(), kk.Relu(), kk.Dense()),
        "conv": kk.serial(kk.Conv(3), kk.Relu(), kk.Flatten(), kk.Dense()),
    }
    paths = []
    for name, network in parts.items():
        paths.append(str(tmp_path / f"{name}.json"))
        (tmp_path / f"{name}.json").write_text(network.to_json())
    return paths


def small(networks, output, *more):
    return [
        *("rank", "--architectures", *networks, "--image-size", "4", "--n-train", "20"),
        *("--n-validation", "20", "--output", str(output), *more),
    ]


def test_help_has_examples_and_comes_without_jax():
    for arguments, text in printed_without_jax(["--help"], ["rank", "--help"], ["--version"], []):
        assert ("kernas rank --" in text) != (arguments == ["--version"])


def test_version(kernas_command):
    result = kernas_command("--version")
    assert (result.returncode, result.stdout) == (0, f"kernas {kernas.__version__}\n")


@pytest.mark.parametrize(
    "arguments", [["rank", "--nonsense"], ["nonsense"], ["rank", "--seed", "x"]]
)
def test_usage_errors_exit_with_2(arguments, kernas_command):
    result = kernas_command(*arguments)
    assert result.returncode == 2
    assert result.stdout == ""
    assert "Traceback" not in result.stderr


def test_a_ranking_is_printed_and_its_files_are_there(networks, tmp_path):
    command = [sys.executable, "-m", "kernas", *small([*networks, EMPTY], tmp_path / "run")]
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    lines = result.stdout.splitlines()
    assert lines[0].split() == ["rank", *DEFAULT_SCORES.split(","), "name"]
    assert lines[4].split() == ["4", "degenerate", "degenerate", EMPTY]
    assert lines[5] == ""
    assert lines[6:8] == [
        f"Ranked by {RANKING_SCORE}, lower is better: mean squared error on other images, "
        "from the centred kernel.",
        f"{VALIDATION_SCORE}, higher is better: share of other images that it predicts right, "
        "from the centred kernel.",
    ]
    assert "on 20 images of digits_hard, judged on 20 others" in lines[8]
    assert "ridge 0.01 of the kernel's mean diagonal" in lines[8]
    assert lines[9] == "± is one standard error; =3 shares the third place."
    assert lines[-1] == f"kernas report {tmp_path / 'run'} --open shows it as a page."
    assert "4 candidates (1 degenerate, 0 failed)" in lines[-2]
    assert {path.name for path in (tmp_path / "run").iterdir()} == {
        *("config.json", "results.jsonl", "run.lock"),
        *("ranking.csv", "timings.csv", "summary.json", "ranking.png", "scores.png"),
    }
    assert lines[-2].endswith("ranking.csv, timings.csv, summary.json, ranking.png, scores.png")
    assert "4/4" in result.stderr


def test_json_is_alone_on_stdout_and_equals_the_summary(networks, tmp_path, kernas_command):
    arguments = small(
        networks, tmp_path / "run", "--json", "--score", "ntk:loo_error,nngp:evidence"
    )
    result = kernas_command(*arguments)
    assert result.returncode == 0, result.stderr
    summary = json.loads(result.stdout)
    assert summary == json.loads((tmp_path / "run" / "summary.json").read_text())
    assert set(summary) >= {
        *("config", "rows", "statistics", "seconds", "compilations", "device", "versions")
    }
    assert len(summary["rows"]) == 3
    assert set(summary["rows"][0]["scores"]) == {"ntk:loo_error", "nngp:evidence"}
    assert summary["compilations"] > 0
    assert summary["dtype"] == "float32"


def test_float64_and_quiet_and_resume(networks, tmp_path, kernas_command):
    arguments = small(networks[:1], tmp_path, "--dtype", "float64", "--quiet", "--device", "cpu")
    result = kernas_command(*arguments)
    assert (result.returncode, result.stderr) == (0, "")
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert summary["kernel_settings"][0]["dtype"] == "float64"
    before = (tmp_path / "ranking.csv").read_bytes()
    again = kernas_command(*arguments)
    assert again.returncode == 2
    assert "--resume" in again.stderr
    assert kernas_command(*arguments, "--resume").returncode == 0
    assert (tmp_path / "ranking.csv").read_bytes() == before
    changed = kernas_command(*arguments, "--resume", "--seed", "1")
    assert changed.returncode == 2
    assert "options.seed is 0 there and 1 here" in changed.stderr


def test_truth_gives_statistics(networks, tmp_path, x64_kept, capsys):
    names = np.array([path.encode() for path in networks])
    np.savez(tmp_path / "table.npz", arch_str=names, accuracy=np.array([1.0, 2.0, 3.0]))
    truth = ["--truth", str(tmp_path / "table.npz"), "--truth-column", "accuracy"]
    assert run(small(networks, tmp_path / "run", *truth)) == 0
    out = capsys.readouterr().out
    assert "Agreement with the truth of" in out
    assert "ranking.png, scores.png, truth.png, comparison.csv, fidelity.png\n" in out
    assert (tmp_path / "run" / "truth.png").read_bytes().startswith(b"\x89PNG")
    statistics = json.loads((tmp_path / "run" / "summary.json").read_text())["statistics"]
    shown = {"spearman", "kendall", "ndcg", "precision", "regret"}
    assert set(statistics[VALIDATION_SCORE]) >= shown


def test_without_output_the_folders_are_numbered(networks, tmp_path, monkeypatch, x64_kept):
    monkeypatch.chdir(tmp_path)
    arguments = small(networks[:1], "unused")
    del arguments[arguments.index("--output") : arguments.index("--output") + 2]
    assert run(arguments) == 0
    assert run(arguments) == 0
    assert run([*arguments, "--resume"]) == 0
    assert sorted(path.name for path in (tmp_path / "runs").iterdir()) == [
        "rank-digits-hard-1",
        "rank-digits-hard-2",
    ]


def test_one_failure_is_a_row_and_only_failures_are_an_error(tmp_path, networks, x64_kept, capsys):
    # Fits no image of 4 pixels: known only when the images are there.
    network = kk.serial(kk.Conv(7, padding="VALID"), kk.Flatten(), kk.Dense())
    (tmp_path / "large.json").write_text(network.to_json())
    large = str(tmp_path / "large.json")
    assert run(small([large, networks[0]], tmp_path / "some")) == 0
    rows = json.loads((tmp_path / "some" / "summary.json").read_text())["rows"]
    assert [row["status"] for row in rows] == ["ok", "error"]
    assert "ArchitectureError" in rows[1]["message"]
    capsys.readouterr()
    assert run(small([large], tmp_path / "all")) == 1
    assert "all 1 candidates failed" in capsys.readouterr().err


@pytest.fixture
def files(tmp_path):
    """Data sets and tables with something wrong, by name."""
    x, y = np.random.default_rng(0).random((60, 8, 8)), np.arange(60) % 3
    with_nan = x.copy()
    with_nan[7, 0, 0] = np.nan
    arrays = {
        "good": {"x": x, "y": y},
        "floats": {"x": x, "y": y + 0.5},
        "one_class": {"x": x, "y": np.zeros(60, int)},
        "nan": {"x": with_nan, "y": y},
        "vectors": {"x": x.reshape(60, 64), "y": y},
        "odd": {"x": x[:, :6, :6], "y": y},
        "table": {"arch_str": np.array([EMPTY]), "accuracy": np.array([10.0])},
        "missing": {"arch_str": np.array([CELL]), "accuracy": np.array([np.nan])},
    }
    for name, content in arrays.items():
        np.savez(tmp_path / f"{name}.npz", **content)
    (tmp_path / "file").write_text("")
    return tmp_path


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (
            ["--architectures", CELL.replace("nor_conv_3x3", "conv_9x9")],
            ["unknown operation 'conv_9x9'", "skip_connect"],
        ),
        (
            ["--architectures", CELL.replace("|nor_conv_3x3~0|", "|nor_conv_3x3~2|")],
            ["node 1 read node 2", "does not come before"],
        ),
        (["--image-size", "6"], ["image size 6", "multiple of 4"]),
        (["--architectures", CELL, "--image-size", "6"], ["image size 6", "multiple of 4"]),
        (["--dataset", "{files}/odd.npz", *FEW], ["image size 6", "multiple of 4"]),
        (["--image-size", "12"], ["12", "8"]),
        (["--dataset", "{files}/floats.npz"], ["integers"]),
        (["--dataset", "{files}/one_class.npz"], ["class"]),
        (["--dataset", "{files}/nan.npz"], ["NaN", "image 7"]),
        (["--dataset", "{files}/vectors.npz", *FEW], ["64 features", "need images"]),
        (["--dataset", "{files}/absent.npz"], ["absent.npz"]),
        (["--dataset", "imagenet"], ["imagenet", "digits"]),
        (["--n-train", "5000"], ["--n-train 5000", "5000 training images"]),
        (["--n-train", "0"], ["--n-train 0"]),
        (["--n-train", "9"], ["--n-train 9", "10 classes"]),
        (["--n-validation", "-1"], ["--n-validation -1"]),
        (["--n-validation", "0"], ["needs validation images", "loo_accuracy"]),
        (["--truth", "{files}/table.npz"], ["no column 'test_cifar10'", "accuracy"]),
        (
            ["--truth", "{files}/table.npz", "--truth-column", "accuracy"],
            ["has no 'accuracy' in table.npz"],
        ),
        (
            [
                *("--truth", "{files}/missing.npz", "--truth-column", "accuracy"),
                "--architectures",
                CELL,
            ],
            [CELL, "has no 'accuracy' in missing.npz"],
        ),
        (["--truth", "{files}/absent.npz"], ["absent.npz", "no file"]),
        (["--output", "{files}/file"], ["cannot make the run folder", "choose another"]),
        (["--output", "{files}/file/below"], ["cannot make the run folder", "choose another"]),
        (["--score", "nngp:speed"], ["unknown score 'nngp:speed'", "ntk:loo_error"]),
        (
            ["--score", "ntk:gcv@cosin"],
            ["normalisation in score 'ntk:gcv@cosin', did you mean 'ntk:gcv@cosine'", "@centred"],
        ),
        (["--score", "ntk:validation_error@cosine"], ["'validation_error' of the cosine kernel"]),
        (["--sample", "0"], ["n=0 candidates"]),
        (["--space", "nasbench201:cells=0"], ["cells_per_stage=0"]),
        (["--ridge", "0"], ["ridge=0"]),
        (["--n-reference", "0"], ["n_reference=0"]),
        (["--architectures", "absent.txt"], ["absent.txt"]),
        (["--device", "tpu"], ["--device tpu", "--device cpu"]),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(
    files, arguments, words, capsys, monkeypatch, x64_kept
):
    def forbidden(*args, **kwargs):
        raise AssertionError("something was computed")

    monkeypatch.setattr(kk.NeuralKernel, "__call__", forbidden)
    monkeypatch.setattr(kk.NeuralKernel, "prepare", forbidden)
    monkeypatch.setattr(kk.NeuralKernel, "bind", forbidden)
    defaults = [] if "--output" in arguments else ["--output", "{files}/run"]
    given = [text.replace("{files}", str(files)) for text in [*defaults, *arguments]]
    assert run(["rank", *given]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("kernas: ")
    assert err.count("\n") == 1
    assert all(word in err for word in words), err


def test_bad_input_has_no_traceback(tmp_path, kernas_command):
    result = kernas_command("rank", "--architectures", "|x", "--output", str(tmp_path))
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr.startswith("kernas: cell '|x' has 1 node(s)")
    assert result.stderr.count("\n") == 1


def test_explain_and_plan_take_networks_of_signals(tmp_path, capsys):
    network = kk.serial(kk.Conv((3,)), kk.Relu(), kk.GlobalAvgPool(), kk.Dense())
    (tmp_path / "network.json").write_text(network.to_json())
    assert run(["explain", str(tmp_path / "network.json"), "--image-size", "9"]) == 0
    assert "1     Conv           9 " in capsys.readouterr().out
    assert run(["plan", str(tmp_path / "network.json"), "--image-size", "9"]) == 0


def test_explain_names_every_node_and_the_reason_of_a_refusal(tmp_path, capsys):
    assert run(["explain", CELL]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == CELL
    assert lines[1].split()[:2] == ["node", "layer"]
    assert lines[-1] == "exact"
    refused = tmp_path / "refused.json"
    refused.write_text(kk.serial(kk.Flatten(), kk.Relu(), kk.Dense()).to_json())
    assert run(["explain", str(refused), "--image-size", "0", "--channels", "5"]) == 0
    assert "refused: node 2 (Relu" in capsys.readouterr().out
    assert run(["explain", CELL, "--image-size", "6"]) == 2
    assert run(["explain", CELL, "--channels", "0"]) == 2
    errors = capsys.readouterr().err.splitlines()
    assert len(errors) == 2
    assert "different sizes" in errors[0]
    assert "--channels 0" in errors[1]


def test_plan_counts_what_augmentation_takes(tmp_path, capsys):
    path = tmp_path / "network.json"
    path.write_text(kk.serial(kk.Conv(3), kk.Relu(), kk.Flatten(), kk.Dense()).to_json())
    assert run(["plan", str(path), "--get", "nngp"]) == 0
    assert run(["plan", str(path), "--get", "nngp", "--augment", "flip"]) == 0
    out = capsys.readouterr().out
    plain, flipped = (int(n.replace(",", "")) for n in re.findall(r"one pair: ([\d,]+)", out))
    assert flipped == 2 * plain
    assert ", 2 times, " in out
    assert run(["plan", str(path), "--augment", "translate"]) == 2
    assert "padding='CIRCULAR'" in capsys.readouterr().err


def test_an_interrupt_keeps_what_was_finished(networks, tmp_path):
    output = tmp_path / "run"
    for depth in range(2, 14):  # work enough for the signal to come before its end
        layers = [kk.Dense(), kk.Relu()] * depth
        path = tmp_path / f"deep-{depth}.json"
        path.write_text(kk.serial(kk.Flatten(), *layers, kk.Dense()).to_json())
        networks.append(str(path))
    # A shell's background job ignores the signal, and so would what this test starts in one.
    program = (
        "import runpy, signal; signal.signal(signal.SIGINT, signal.default_int_handler); "
        "runpy.run_module('kernas', run_name='__main__')"
    )
    command = [sys.executable, "-c", program, *small(networks, output)]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    with process:
        while process.poll() is None and not (output / "results.jsonl").exists():
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate()
    assert process.returncode == 130, err
    assert out == ""
    assert err.rstrip().endswith(f"give --output {output} --resume to go on")
    assert "Traceback" not in err
    assert (output / "results.jsonl").read_bytes().count(b"\n") >= 1


@pytest.mark.slow
def test_killed_ten_times_and_resumed_gives_the_same_bytes(tmp_path):
    # Cells without weights: what takes time is the skeleton, compiled anew after each kill.
    cells = [
        cell.name
        for cell in ks.NasBench201(1).enumerate()
        if set(cell.genotype) <= {"none", "skip_connect", "avg_pool_3x3"}
    ]
    by_hash = {ks.NasBench201(1).architecture(cell).hash: cell for cell in cells}
    assert len(by_hash) >= 40
    (tmp_path / "cells.txt").write_text("\n".join(list(by_hash.values())[:40]))

    def command(output):
        return [
            *(
                sys.executable,
                "-m",
                "kernas",
                "rank",
                "--architectures",
                str(tmp_path / "cells.txt"),
            ),
            *(
                "--image-size",
                "4",
                "--space",
                "nasbench201:cells=1,reduction=pool",
                "--n-train",
                "40",
            ),
            *("--n-validation", "40", "--score", "nngp:validation_accuracy,ntk:loo_error"),
            *("--output", str(output), "--resume", "--quiet"),
        ]

    subprocess.run(command(tmp_path / "whole"), check=True, stdout=subprocess.DEVNULL)
    results = tmp_path / "killed" / "results.jsonl"

    def finished():
        return results.read_bytes().count(b"\n") if results.exists() else 0

    # Some while after the start of the process, or shortly after a few new results.
    moments, at_kill = random.Random(0), []
    while len(at_kill) < 10:
        new = moments.randint(0, 3)
        wanted = finished() + new
        process = subprocess.Popen(command(tmp_path / "killed"), stdout=subprocess.DEVNULL)
        while finished() < wanted and process.poll() is None:
            time.sleep(0.005)
        time.sleep(moments.uniform(0, 0.1 if new else 3.0))
        process.kill()
        assert process.wait() == -signal.SIGKILL, f"finished before kill {len(at_kill) + 1}"
        at_kill.append(finished())
    assert at_kill == sorted(at_kill)
    assert len(set(at_kill)) > 3, at_kill
    subprocess.run(command(tmp_path / "killed"), check=True, stdout=subprocess.DEVNULL)
    assert (tmp_path / "killed/ranking.csv").read_bytes() == (
        tmp_path / "whole/ranking.csv"
    ).read_bytes()
