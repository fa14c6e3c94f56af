"""`kernas search`: from a space to its best candidates, and on to trained networks."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import kernas.search as ks
from kernas.search.cli.app import run
from kernas.search.spaces import space_from_settings
from kernas.search.studies.registry import STRATEGIES

IMAGES = ("--image-size", "4", "--n-train", "10", "--n-validation", "10")
SMALL = ("--dataset", "digits", *IMAGES, "--space", "nasbench201:cells=1,reduction=pool")

pytestmark = pytest.mark.usefixtures("x64_kept")


@pytest.fixture
def kernas(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., tuple[int, str, str]]:
    """The command line in an empty folder: exit code, stdout, stderr."""
    monkeypatch.chdir(tmp_path)

    def command(*arguments: str) -> tuple[int, str, str]:
        capsys.readouterr()
        code = run(list(arguments))
        out, err = capsys.readouterr()
        return code, out, err

    return command


def trials(folder: str = "runs/search-digits-1") -> list[dict[str, str]]:
    with (Path(folder) / "trials.csv").open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture
def table(tmp_path: Path) -> str:
    """Values of some cells, and what they took."""
    cells = ks.NasBench201(1).sample(200, seed=0)
    values = np.linspace(0.1, 0.9, 200)
    np.savez(
        tmp_path / "table.npz",
        arch_str=np.array([cell.name for cell in cells]),
        early=values,
        late=values + 0.05,
        seconds=np.full(200, 100.0),
    )
    return str(tmp_path / "table.npz")


def test_a_search_leaves_its_trials_its_picture_and_its_study(kernas: Any) -> None:
    code, out, err = kernas("search", *SMALL, "--n-trials", "12", "--score", "ntk:loo_error")
    assert code == 0
    assert "up to 12 evaluations: about" in err
    folder = Path("runs/search-digits-1")
    rows = trials()
    assert [row["trial"] for row in rows] == [str(n) for n in range(12)]
    errors = {float(row["ntk:loo_error"]) for row in rows if row["status"] == "ok"}
    summary = json.loads((folder / "summary.json").read_text())
    assert summary["rows"][0]["scores"]["ntk:loo_error"]["value"] == min(errors)
    assert f"{min(errors):.4g}" in out
    assert "Guided by ntk:loo_error, lower is better." in out
    assert (folder / "search.png").read_bytes().startswith(b"\x89PNG")
    code, out, err = kernas("search", *SMALL, "--n-trials", "12", "--output", str(folder))
    assert (code, out) == (2, "")
    assert "already holds a search; give --resume" in err


def test_a_search_that_is_resumed_goes_on(kernas: Any) -> None:
    few = ("search", *SMALL, "--score", "ntk:loo_error", "--strategy", "local-search", "--quiet")
    assert kernas(*few, "--n-trials", "6", "--output", "cut")[0] == 0
    assert kernas(*few, "--n-trials", "10", "--output", "cut", "--resume")[0] == 0
    assert kernas(*few, "--n-trials", "10", "--output", "whole", "--json")[0] == 0
    names = [[row["candidate"] for row in trials(folder)] for folder in ("cut", "whole")]
    assert names[0] == names[1]
    code, _, err = kernas(*few, "--n-trials", "12", "--output", "cut", "--resume", "--ridge", "0.5")
    assert code == 2
    assert "was made with scores.ntk:loo_error.ridge = 0.01, and this search has 0.5" in err
    assert len(trials("cut")) == 10


def test_a_search_by_a_table_spends_what_it_took(kernas: Any, table: str) -> None:
    code, out, _ = kernas(
        "search", "--dataset", "cifar10", "--truth", table, "--truth-column", "late",
        "--score", "truth:early", "--truth-seconds", "seconds", "--time-budget", "1500",
        "--strategy", "regularized-evolution:population=5,tournament=2", "--output", "run",
    )  # fmt: skip
    assert code == 0
    rows = trials("run")
    assert sum(float(row["seconds"]) for row in rows) == 1500
    for row in rows:
        assert float(row["truth"]) == pytest.approx(float(row["truth:early"]) + 0.05)
    assert "15 evaluations, 0 failed, 25" in out


def test_a_combination_ranks_within_a_sample(kernas: Any) -> None:
    code, out, err = kernas(
        "search", *SMALL, "--score", "log_rank(params, flops)", "--n-trials", "6"
    )
    assert code == 0
    assert "ranking 50 candidates" in err
    assert "Guided by log_rank(params, flops), higher is better." in out
    reference = ks.read_run("runs/search-digits-1/reference")
    assert len(reference) == 50


def test_several_scores_have_a_front(kernas: Any) -> None:
    code, out, _ = kernas(
        "search", *SMALL, "--score", "params,depth", "--strategy", "nsga2:population=5",
        "--n-trials", "15",
    )  # fmt: skip
    assert code == 0
    assert "No trial is as good by every score" in out


CHEAP = {
    "warm-up": "warm-up:pool=20,first=4",
    "explore-then-exploit": "explore-then-exploit:pool=20,mutants=3",
}
"""Those that need a cheap score."""

CLIMBING = ["successive-halving", "econas"]
"""Those that need a fidelity."""

SHARING = {
    "enas": "enas:steps=4,samples=2,width=2,batch_size=8",
    "darts": "darts:steps=4,width=2,batch_size=8",
}
"""Those that train weights which candidates share, before they propose any."""

TEXTS = {**CHEAP, **SHARING}
ALONE = [name for name in STRATEGIES if name not in CLIMBING]


@pytest.mark.parametrize("space", ["nasbench201:cells=1,reduction=pool", "macro:max_depth=2"])
@pytest.mark.parametrize("name", ALONE)
def test_every_strategy_searches_cells_and_networks(kernas: Any, name: str, space: str) -> None:
    arguments = ["--score", "params", "--n-trials", "8", "--quiet", "--space", space, *IMAGES]
    arguments += ["--prefer", "flops"] if name in CHEAP else []
    text = TEXTS.get(name, name)
    code, out, err = kernas("search", "--dataset", "digits", "--strategy", text, *arguments)
    if name in SHARING and space.startswith("macro"):
        assert code == 2
        assert "space 'macro' is not Slotted" in err
        return
    assert code == 0, err
    assert "8 trials of" in out


@pytest.mark.parametrize(
    "space",
    ["nasbench201:cells=1,reduction=pool @ epochs=1|2", "macro:max_depth=2 @ epochs=1|2"],
)
def test_econas_climbs_the_epochs_of_recipes(kernas: Any, space: str) -> None:
    code, _, err = kernas(
        "search", "--dataset", "digits", *IMAGES, "--score", "params", "--n-trials", "8",
        "--strategy", "econas:population=3,children=2,tournament=1", "--space", space, "--quiet",
    )  # fmt: skip
    assert code == 0, err
    epochs = [row["candidate"].rpartition("=")[2] for row in trials()]
    assert epochs == ["1", "1", "1", "1", "1", "2", "1", "1"]


def test_successive_halving_climbs_the_epochs_of_recipes(kernas: Any) -> None:
    recipes = "nasbench201:cells=1,reduction=pool @ epochs=1|2"
    arguments = ["--dataset", "digits", "--strategy", "successive-halving:eta=2", *IMAGES]
    few = ["--n-trials", "6", "--score", "params", "--quiet"]
    code, _, err = kernas("search", *arguments, *few, "--space", recipes)
    assert code == 0, err
    summary = json.loads(Path("runs/search-digits-1/summary.json").read_text())
    assert space_from_settings(summary["config"]["options"]["space"]).text == recipes
    epochs = [row["candidate"].rpartition("=")[2] for row in trials()]
    assert epochs == ["1", "1", "2", "1", "1", "2"]
    code, _, err = kernas("search", *arguments, *few, "--space", "nasbench201:cells=1")
    assert code == 2
    assert "has no parameter 'epochs'" in err


@pytest.mark.parametrize("name", ALONE)
def test_every_strategy_searches_a_table(kernas: Any, name: str, table: str) -> None:
    arguments = ["--dataset", "digits", *IMAGES, "--prefer", "params"] if name in CHEAP else []
    text = TEXTS.get(name, name)
    if name in SHARING:
        arguments = ["--dataset", "digits", *IMAGES]
    code, _, err = kernas(
        "search", *arguments, "--space", "nasbench201:cells=1", "--truth", table,
        "--truth-column", "late", "--score", "truth:early", "--strategy", text, "--n-trials", "30",
        "--quiet", "--output", "run",
    )  # fmt: skip
    assert code == 0, err
    assert len(trials("run")) == 30


def test_mutants_are_chosen_by_the_score_that_is_preferred(kernas: Any) -> None:
    """Of many mutants with the most parameters the children have more of them."""
    means: list[float] = []
    for mutants, prefer in (("1", []), ("20", ["--prefer", "params"])):
        strategy = f"regularized-evolution:population=5,tournament=2,mutants={mutants}"
        code, _, err = kernas(
            "search", *SMALL, "--score", "params", "--strategy", strategy, *prefer,
            "--n-trials", "20", "--quiet", "--output", mutants,
        )  # fmt: skip
        assert code == 0, err
        means.append(float(np.mean([float(row["params"]) for row in trials(mutants)[5:]])))
    assert means[1] > means[0]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--n-trials", "0"], "n_trials=0: expected an integer >= 1"),
        (["--strategy", "what"], "unknown strategy 'what'"),
        (["--score", "truth:early"], "--score truth:early without a table: give --truth"),
        (["--truth-seconds", "seconds"], "--truth-seconds is of --score truth:COLUMN"),
        (["--score", "params,flops"], "2 scores for regularized-evolution"),
        (["--storage", "nowhere"], "storage 'nowhere' cannot be opened"),
        (["--prefer", "params"], "chooses by no other score"),
        (["--score", "nonsense"], "unknown score 'nonsense'"),
        (["--image-size", "5"], "multiple of 4"),
    ],
)
def test_bad_input_is_a_line(kernas: Any, arguments: list[str], said: str) -> None:
    code, out, err = kernas("search", *SMALL, *arguments)
    assert (code, out) == (2, "")
    assert said in err
    assert err.count("\n") <= 2


def test_the_best_of_a_search_and_of_a_ranking_are_trained(kernas: Any) -> None:
    training = ("--epochs", "1", "--n-train", "60", "--n-test", "40", "--seeds", "2", "--width",
                "4", "--batch-size", "20", "--image-size", "4", "--yes")  # fmt: skip
    kernas("search", *SMALL, "--score", "params", "--n-trials", "6", "--quiet")
    code, out, _ = kernas(
        "train", "--best", "runs/search-digits-1", "--top", "2", *training, "--export", "winner"
    )
    assert code == 0
    assert "Trained on 60 images of digits, tested on 40 others; mean of 2 seeds" in out
    folder = Path("runs/train-digits-1")
    with (folder / "best.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    summary = json.loads(Path("runs/search-digits-1/summary.json").read_text())
    assert [row["candidate"] for row in rows] == [row["name"] for row in summary["rows"][:2]]
    metrics = [json.loads((folder / n / "metrics.json").read_text()) for n in ("1", "2")]
    assert [float(row["test_accuracy"]) for row in rows] == [
        pytest.approx(np.mean(one["test_accuracy"])) for one in metrics
    ]
    winner = int(np.argmax([one["mean_test_accuracy"] for one in metrics]))
    assert metrics[winner]["candidate"] in Path("winner/load.py").read_text()
    kernas("rank", *SMALL, "--sample", "3", "--score", "params", "--quiet")
    code, out, _ = kernas("train", "--best", "runs/rank-digits-1", "--top", "1", *training)
    assert code == 0
    ranked = json.loads(Path("runs/rank-digits-1/summary.json").read_text())
    assert ranked["rows"][0]["name"] in out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "expected one network, CELL|FILE, or --best RUN"),
        (["network.json", "--best", "run"], "expected one network, CELL|FILE, or --best RUN"),
        (["--best", "nowhere"], "cannot be read"),
        (["--best", "nowhere", "--top", "0"], "--top 0: expected how many"),
    ],
)
def test_what_has_no_best_is_refused(kernas: Any, arguments: list[str], said: str) -> None:
    code, _, err = kernas("train", *arguments)
    assert code == 2
    assert said in err


@pytest.mark.parametrize("arguments", [["search", *SMALL], ["strategies"]])
def test_without_optuna_its_extra_is_named(
    kernas: Any, monkeypatch: pytest.MonkeyPatch, arguments: list[str]
) -> None:
    for name in [name for name in sys.modules if name.startswith("kernas.search.studies")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "optuna", None)
    code, out, err = kernas(*arguments)
    assert (code, out) == (1, "")
    assert "pip install 'kernas[search]'" in err
