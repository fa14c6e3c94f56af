"""`kernas rank` before it begins and after: estimate, question, folder, images, seeds, table."""

import csv
import io
import json
import re
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import kernas.kernels as kk
import kernas.kernels.data as data
from kernas.kernels.engine import Blocking
from kernas.search.cli import agreement, rank_command
from kernas.search.cli.app import parse, run
from kernas.search.cli.options import RankOptions
from kernas.search.cli.plan_command import of_cluster
from kernas.search.defaults import DEFAULT_SCORES, RANKING_SCORE, VALIDATION_SCORE
from kernas.search.scores.registry import check_score_names

DENSE = kk.serial(kk.Flatten(), kk.Dense(), kk.Relu(), kk.Dense())
SHALLOW = kk.serial(kk.Flatten(), kk.Dense())


@pytest.fixture
def networks(tmp_path):
    paths = []
    for name, network in {"dense": DENSE, "shallow": SHALLOW}.items():
        paths.append(str(tmp_path / f"{name}.json"))
        (tmp_path / f"{name}.json").write_text(network.to_json())
    return paths


@pytest.fixture
def kernas(capsys, x64_kept):
    """The command line in this process: its exit code, what it printed and what it said."""

    def command(*arguments):
        capsys.readouterr()
        code = run([str(argument) for argument in arguments])
        return code, *capsys.readouterr()

    return command


def small(networks, output, *more):
    return [
        *("rank", "--architectures", *networks, "--image-size", "4", "--n-train", "12"),
        *("--n-validation", "12", "--output", output, *more),
    ]


def parsed(*arguments):
    options = parse(["rank", *arguments])
    assert isinstance(options, RankOptions)
    return options


def scores_in(folder):
    with (folder / "ranking.csv").open(newline="") as file:
        return {Path(row["name"]).stem: row for row in csv.DictReader(file)}


def forbid_work(monkeypatch):
    def forbidden(*args, **kwargs):
        raise AssertionError("something was computed")

    for name in ("__call__", "prepare", "bind", "gram_and_cross"):
        monkeypatch.setattr(kk.NeuralKernel, name, forbidden)


# --- the estimate and the question ----------------------------------------------------------------


def test_a_dry_run_prints_the_estimate_and_leaves_nothing(networks, tmp_path, kernas, monkeypatch):
    forbid_work(monkeypatch)
    before = sorted(tmp_path.iterdir())
    code, out, err = kernas(*small(networks, tmp_path / "run", "--dry-run"))
    assert (code, err) == (0, "")
    # 12 · 13 / 2 + 12 · 12 pairs of a network.
    assert out.startswith("2 candidates (2 different networks) × 222 pairs: about ")
    assert out.count("\n") == 1
    code, out, err = kernas(*small(networks, tmp_path / "run", "--dry-run", "--json"))
    assert (code, err) == (0, "")
    found = json.loads(out)
    assert (found["candidates"], found["networks"], found["done"]) == (2, 2, 0)
    assert found["pairs"] == 444
    assert found["seconds"] > 0
    assert found["compile_seconds"] > 0
    assert sorted(tmp_path.iterdir()) == before


def test_a_dry_run_fails_as_the_run_would(networks, tmp_path, kernas):
    for broken in (["--ridge", "0"], ["--n-train", "5000"], ["--score", "nngp:speed"]):
        found = [
            kernas(*small(networks, tmp_path / "run", *broken, *dry)) for dry in ([], ["--dry-run"])
        ]
        assert found[0] == found[1]
        code, out, err = found[0]
        assert (code, out, err.count("\n")) == (2, "", 1)


def test_it_is_said_on_stderr_before_and_not_with_quiet(networks, tmp_path, kernas):
    code, _, err = kernas(*small(networks, tmp_path / "loud"))
    assert code == 0
    said, bar = err.split("\n", 1)
    assert said.startswith("2 candidates (2 different networks) × 222 pairs: about ")
    assert "compiling programs for 2 evaluations …" in bar
    assert "rank: 100%" in bar
    assert kernas(*small(networks, tmp_path / "quiet", "--quiet"))[::2] == (0, "")


def test_long_work_is_asked_for(networks, tmp_path, kernas, monkeypatch):
    monkeypatch.setattr(agreement, "UNASKED_SECONDS", 0)
    arguments = small(networks, tmp_path / "run", "--quiet")
    monkeypatch.setattr(sys, "stdin", io.StringIO("y\n"))
    code, out, err = kernas(*arguments)
    assert (code, out) == (2, "")
    assert err.splitlines()[-1].startswith("kernas: there is no terminal to ask on")
    assert "give --yes" in err
    assert not (tmp_path / "run").exists()
    terminal = io.StringIO("n\n")
    monkeypatch.setattr(terminal, "isatty", lambda: True)
    monkeypatch.setattr(sys, "stdin", terminal)
    code, out, err = kernas(*arguments)
    assert (code, out) == (0, "")
    assert "2 candidates" in err
    assert err.endswith("begin? [y/N] ")
    assert not (tmp_path / "run").exists()
    assert kernas(*arguments, "--yes")[0] == 0
    assert (tmp_path / "run" / "ranking.csv").exists()


# --- the folder -----------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize("dry", [[], ["--dry-run"]])
def test_a_folder_that_will_not_do_is_refused_before_images_are_read(
    networks, tmp_path, kernas, monkeypatch, seed, dry
):
    taken = tmp_path / "taken"
    assert kernas(*small(networks[:1], taken, "--quiet"))[0] == 0
    (tmp_path / "file").write_text("")

    def forbidden(*args, **kwargs):
        raise AssertionError("images were read")

    monkeypatch.setattr(data, "load", forbidden)
    words = (
        "already holds this run; give --resume" if seed == 0 else "options.seed is 0 there and 1"
    )
    cases = {
        taken: words,
        tmp_path / "file": "File exists",
        tmp_path / "file/run": "Not a directory",
    }
    for output, said in cases.items():
        arguments = small(networks[:1], output, "--seed", str(seed), *dry)
        code, out, err = kernas(*arguments)
        assert (code, out, err.count("\n")) == (2, "", 1)
        assert said in err
    code, _, err = kernas(*small(networks[:1], taken, "--resume", "--n-train", "13"))
    assert code == 2
    assert "options.n_train is 12 there and 13 here" in err


# --- images ---------------------------------------------------------------------------------------


def write_folder(folder, side, n=8):
    for name in ("cat", "dog"):
        for i in range(n):
            (folder / name).mkdir(parents=True, exist_ok=True)
            pixels = np.random.default_rng(i).integers(0, 256, (side, side), np.uint8)
            Image.fromarray(pixels).save(folder / name / f"{i}.png")
    return folder


def test_own_images_are_resized_to_the_default_and_it_is_said(networks, tmp_path, kernas):
    folder = write_folder(tmp_path / "photos", 20)
    few = ("--n-train", "6", "--architectures", networks[1])
    code, out, err = kernas("rank", "--dataset", folder, "--output", tmp_path / "run", *few)
    assert code == 0
    line = "photos: 20×20 images are resized to 8×8; --image-size chooses another"
    assert err.splitlines()[0] == line
    assert "judged on 9 others" in out  # all but the one that a test part would have
    config = json.loads((tmp_path / "run" / "config.json").read_text())
    assert config["options"]["image_shape"] == [8, 8, 1]
    assert config["options"]["n_validation"] == 9
    other = ("--output", tmp_path / "other")
    code, _, err = kernas("rank", "--dataset", folder, *other, *few, "--image-size", "4")
    assert "resized" not in err
    # What is asked for by name is not replaced by what there is.
    code, _, err = kernas("rank", "--dataset", folder, *few, "--n-validation", "200", "--dry-run")
    assert code == 2
    assert "--n-validation 200, 206 images in all" in err


def test_small_images_and_vectors_stay_as_they_are(networks, tmp_path, kernas):
    rng = np.random.default_rng(0)
    for name, shape in {"small": (4, 8), "vectors": (100,), "thin": (40, 4)}.items():
        np.savez(tmp_path / f"{name}.npz", x=rng.random((30, *shape)), y=np.arange(30) % 2)
    few = ("--n-train", "6", "--n-validation", "6", "--architectures", networks[1], "--dry-run")
    for name in ("small", "vectors"):
        code, _, err = kernas("rank", "--dataset", tmp_path / f"{name}.npz", *few)
        assert (code, err) == (0, "")
    code, _, err = kernas("rank", "--dataset", tmp_path / "thin.npz", *few)
    assert (code, err) == (
        0,
        "thin: 40×4 images are resized to 4×4; --image-size chooses another\n",
    )


# --- synthetic sets -------------------------------------------------------------------------------

POINTS = ("--dataset", "hypersphere:d=4,degree=1,n=200", "--space", "macro:network=dense")


def test_synthetic_points_are_ranked_by_fully_connected_networks(tmp_path, kernas):
    few = ("--sample", "2", "--n-train", "60", "--n-validation", "100")
    code, out, _ = kernas("rank", *POINTS, *few, "--output", tmp_path / "run")
    assert code == 0
    assert "2 candidates of macro:network=dense (0 degenerate, 0 failed)" in out
    for row in scores_in(tmp_path / "run").values():
        assert float(row[VALIDATION_SCORE]) > 0.8  # a linear function
    config = json.loads((tmp_path / "run" / "config.json").read_text())
    assert config["options"]["dataset"] == POINTS[1]
    assert config["options"]["image_shape"] == [5]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--image-size", "4"), "image_size=4 for vectors of 5 features"),
        (("--resize", "crop"), "resize='crop' for vectors of 5 features"),
        (
            ("--augment", "flip"),
            "--augment flip: hypersphere:d=4,degree=1,n=200,seed=0 has",
        ),
        (("--space", "macro"), "vectors of 5 features: the networks of macro need images"),
        (("--n-train", "500"), "has 200 images"),
        (("--dataset", "hypersphere:dgree=1"), "unknown field 'dgree', did you mean 'degree'"),
    ],
)
def test_what_vectors_cannot_have_is_refused_before_anything_is_written(
    tmp_path, kernas, arguments, words
):
    few = ("--sample", "2", "--n-validation", "40", "--output", tmp_path / "run")
    code, out, err = kernas("rank", *POINTS, *few, *arguments)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert words in err
    assert not (tmp_path / "run").exists()


# --- proxies --------------------------------------------------------------------------------------


def test_proxies_are_ranked_by_with_their_options(kernas, tmp_path):
    counted = ("--score", "l2_norm,params", "--sample", "12", "--output", tmp_path / "run")
    code, out, _ = kernas("rank", *counted, "--repeats", "2", "--width", "4")
    assert code == 0
    assert "Ranked by l2_norm, higher is better: norms of the layers' weights" in out
    assert "Proxies are means over 2 networks of width 4" in out
    config = json.loads((tmp_path / "run" / "config.json").read_text())
    (settings,) = [s["settings"] for s in config["sources"].values() if s["name"] == "proxies"]
    assert (settings["repeats"], settings["width"], settings["batch_size"]) == (2, 4, 25)
    for name in ("comparison.csv", "fidelity.png"):
        assert (tmp_path / "run" / name).exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--score", "synflo"), "did you mean 'synflow'"),
        (("--score", "snip", "--repeats", "0"), "repeats=0: expected an integer >= 1"),
        (("--score", "snip", "--batch-size", "51"), "snip needs a batch"),
        (("--score", "zico", "--batch-size", "26"), "zico needs two batches"),
    ],
)
def test_proxies_that_cannot_be_are_refused_in_a_line(kernas, tmp_path, arguments, words):
    code, out, err = kernas("rank", *arguments, "--output", tmp_path / "run")
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert words in err
    assert not (tmp_path / "run").exists()


def test_all_is_every_other_score_that_trains_nothing():
    asked = check_score_names("ntk:evidence,all")
    assert asked[0] == "ntk:evidence"
    assert len(asked) == len(set(asked))
    assert {"naswot", "params", "nngp:gcv"} <= set(asked)
    assert not {"trained_accuracy", "zen@code"} & set(asked)


# --- seeds ----------------------------------------------------------------------------------------


def test_the_seed_is_that_of_everything_unless_a_part_has_its_own():
    own = ("--cell-seed", "--image-seed", "--bootstrap-seed")
    options = parsed("--seed", "3", *(x for name in own for x in (name, "5")))
    assert (options.seed, options.cell_seed, options.image_seed, options.bootstrap_seed) == (
        *(3, 5, 5, 5),
    )
    assert parsed("--seed", "3").image_seed is None


def test_seeds_of_parts_change_their_parts_alone(networks, tmp_path, kernas):
    def ranked(name, *seeds):
        assert kernas(*small(networks, tmp_path / name, "--quiet", *seeds))[0] == 0
        return (tmp_path / name / "ranking.csv").read_bytes()

    plain = ranked("plain")
    assert ranked("cells", "--cell-seed", "7") == plain  # which are given
    images = ranked("images", "--image-seed", "7")
    assert images != plain
    assert ranked("all", "--seed", "7") == images
    assert ranked("others", "--seed", "7", "--image-seed", "0") == plain
    options = json.loads((tmp_path / "images" / "config.json").read_text())["options"]
    assert (options["seed"], options["image_seed"]) == (0, 7)
    code, _, err = kernas(*small(networks, tmp_path / "images", "--resume"))
    assert code == 2
    assert "options.image_seed is 7 there and null here" in err
    other = small(networks, tmp_path / "plain", "--resume", "--bootstrap-seed", "2", "--quiet")
    assert kernas(*other)[0] == 0
    assert (tmp_path / "plain" / "ranking.csv").read_bytes() == plain
    again = small(networks, tmp_path / "images", "--resume", "--image-seed", "7", "--quiet")
    assert kernas(*again)[0] == 0


def test_the_sample_follows_the_seed_of_cells(tmp_path, kernas):
    def names(*seeds):
        options = parsed("--sample", "3", *seeds)
        candidates = rank_command._candidates(options, rank_command.space_of(options), None)
        return [candidate.name for candidate in candidates]

    assert names("--cell-seed", "4") == names("--seed", "4") != names()


def test_draws_of_images_are_means_of_rankings_one_by_one(networks, tmp_path, kernas):
    more = ("--score", "ntk:loo_error", "--quiet")
    for seed in ("5", "6", "7"):
        alone = small(networks, tmp_path / seed, "--image-seed", seed, *more)
        assert kernas(*alone)[0] == 0
    several = small(networks, tmp_path / "mean", "--image-seed", "5", "--image-seeds", "3", *more)
    code, out, _ = kernas(*several)
    assert code == 0
    assert "± is one standard error over 3 draws of the images" in out
    mean = scores_in(tmp_path / "mean")
    assert set(mean) == {"dense", "shallow"}
    for name, row in mean.items():
        found = [
            float(scores_in(tmp_path / seed)[name]["ntk:loo_error"]) for seed in ("5", "6", "7")
        ]
        assert float(row["ntk:loo_error"]) == pytest.approx(np.mean(found), rel=1e-9)
        error = np.std(found, ddof=1) / np.sqrt(3)
        assert float(row["ntk:loo_error:standard_error"]) == pytest.approx(error, rel=1e-6)
    config = json.loads((tmp_path / "mean" / "config.json").read_text())
    assert config["options"]["image_seeds"] == 3
    (source,) = config["sources"].values()
    draws = source["settings"]["draws"]
    assert [one["reference_seed"] for one in draws] == [5, 6, 7]
    before = (tmp_path / "mean" / "ranking.csv").read_bytes()
    results = tmp_path / "mean" / "results.jsonl"
    results.write_bytes(results.read_bytes().splitlines(keepends=True)[0])
    assert kernas(*several, "--resume")[0] == 0
    assert (tmp_path / "mean" / "ranking.csv").read_bytes() == before


def test_normalised_kernels_are_ranked_by_and_join_a_run(networks, tmp_path, kernas):
    scores = "ntk:gcv@cosine,log_rank(ntk:gcv@cosine, params)"
    asked = small(networks, tmp_path / "run")
    code, out, err = kernas(*asked, "--score", f"{scores},params")
    assert code == 0, err
    assert (
        "Ranked by ntk:gcv@cosine, lower is better: generalised cross-validation, the kernel "
        "alignment risk estimator, from the kernel's cosines."
    ) in out
    assert "log_rank(ntk:gcv@cosine, params), higher is better: ranks of the scores" in out
    assert "on 12 images of digits_hard" in out
    before = scores_in(tmp_path / "run")
    code, _, err = kernas(*asked, "--score", f"{scores},params,ntk:gcv,ntk:trace", "--resume")
    assert code == 0, err
    for name, row in scores_in(tmp_path / "run").items():
        assert row["ntk:gcv@cosine"] == before[name]["ntk:gcv@cosine"]
        assert float(row["ntk:gcv"]) > 0


def test_matrices_of_the_draws_are_kept_apart(networks, tmp_path, kernas):
    grams = ("--grams", tmp_path / "grams", "--image-seeds", "2", "--quiet")
    assert kernas(*small(networks[:1], tmp_path / "first", *grams))[0] == 0
    assert sorted(p.name for p in (tmp_path / "grams").iterdir()) == ["images-0", "images-1"]
    code, out, _ = kernas(*small(networks[:1], tmp_path / "second", *grams, "--dry-run", "--json"))
    assert (code, json.loads(out)["pairs"]) == (0, 0)


@pytest.mark.parametrize("number", ["0", "-2"])
def test_no_draw_is_refused(networks, tmp_path, kernas, number):
    code, _, err = kernas(*small(networks, tmp_path / "run", "--image-seeds", number))
    assert (code, err.count("\n")) == (2, 1)
    assert f"--image-seeds {number}: expected a number of draws, 1 or more" in err


# --- what is printed ------------------------------------------------------------------------------


def test_the_table_fits_into_the_columns_that_there_are(networks, tmp_path, kernas, monkeypatch):
    code, wide, _ = kernas(*small(networks, tmp_path / "wide", "--quiet"))
    head = f"rank  {'  '.join(DEFAULT_SCORES.split(','))}  name"
    assert (code, wide.splitlines()[0]) == (0, head)
    monkeypatch.setenv("COLUMNS", "60")
    assert kernas(*small(networks, tmp_path / "pipe", "--quiet"))[1].startswith(f"{head}\n")
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    code, narrow, _ = kernas(*small(networks, tmp_path / "narrow", "--quiet"))
    lines = narrow.splitlines()
    assert (code, lines[0]) == (0, f"rank  {RANKING_SCORE}  name")
    assert max(map(len, lines[:3])) <= 60
    assert lines[3] == f"Left out in 60 columns: {VALIDATION_SCORE}, the middle of names."


def test_plan_answers_for_a_matrix(networks, capsys):
    assert run(["plan", networks[0], "--n", "1000"]) == 0
    last = capsys.readouterr().out.splitlines()[-1]
    assert re.fullmatch(
        r"1,000 images: 500,500 pairs in about [\d.]+ \w+ on this machine; "
        r"the matrix takes 4\.0 MB of memory",
        last,
    )
    assert run(["plan", networks[0], "--n", "0"]) == 2
    assert "--n 0: expected a number of images" in capsys.readouterr().err


CLUSTER = ["--n", "60000", "--workers", "64"]


def test_plan_says_what_a_cluster_takes(networks, capsys):
    alone = ["plan", networks[0], "--n", "60000"]
    assert run(alone) == 0
    without = capsys.readouterr().out
    assert "workers" not in without
    assert run(["plan", networks[0], *CLUSTER, "--device", "H100"]) == 0
    *before, cluster, parts, tiles, basis = capsys.readouterr().out.splitlines()
    # All but what was measured of this machine again.
    assert [line.split("in about")[0] for line in before] == [
        line.split("in about")[0] for line in without.splitlines()
    ]
    assert re.fullmatch(
        r"64 workers \(NVIDIA H100 SXM\): about [\d.]+ \w+, [\d.e+,]+ device-hours; "
        r"bottleneck: \w+",
        cluster,
    )
    assert parts.endswith("; 7.2 GB in the store")
    assert tiles.startswith("110,215 tiles of 128 × 128 images, ")
    assert basis.startswith("NVIDIA H100 SXM by its roofline, an optimistic bound")
    assert run(["plan", networks[0], *CLUSTER]) == 0
    *_, cluster, _, _, basis = capsys.readouterr().out.splitlines()
    assert cluster.startswith("64 workers (machines like this one): about ")
    assert basis.startswith("a worker as it was measured just now; ")


def test_what_the_page_on_clusters_shows_is_what_plan_says():
    page = Path(__file__).parents[2] / "docs" / "guides" / "cluster.md"
    layers = [kk.Conv(3, W_std=2**0.5), kk.Relu()] * 5
    kernel = kk.NeuralKernel(
        kk.serial(*layers, kk.GlobalAvgPool(), kk.Dense()),
        blocking=Blocking("planes", lanes=32, nanoseconds=1.0),
    )
    said = of_cluster(kernel.plan((32, 32, 3)), 60_000, 64, "h100")
    assert said in page.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ([*CLUSTER, "--device", "abacus"], "only of h100 (NVIDIA H100 SXM), v5e (TPU v5e);"),
        (["--n", "60000", "--workers", "0"], "--workers 0: expected a number of devices"),
        (["--workers", "64"], "--workers 64 without --n: say of how many images"),
        (["--n", "60000", "--device", "h100"], "--device h100 without --workers: say how many"),
    ],
)
def test_plan_refuses_a_cluster_that_is_none(networks, capsys, monkeypatch, options, said):
    monkeypatch.setattr(kk.NeuralKernel, "plan", None)  # before anything is measured
    assert run(["plan", networks[0], *options]) == 2
    err = capsys.readouterr().err
    assert said in err
    assert err.count("\n") == 1


def test_by_default_candidates_are_compared_with_their_training(kernas, tmp_path):
    counted = ("--score", "params,flops", "--sample", "12")
    code, out, _ = kernas("rank", *counted, "--output", tmp_path / "run")
    assert code == 0
    config = json.loads((tmp_path / "run" / "config.json").read_text())
    assert config["options"]["dataset"] == config["truth"]["source"] == "digits_hard"
    assert config["options"]["space"]["reduction"] == "pool"
    assert "Agreement with the truth of" in out
    assert "The truth digits_hard: the mean test accuracy of 3 networks of each candidate" in out
    assert "12 candidates of nasbench201:cells=1,reduction=pool (" in out
    assert (tmp_path / "run" / "truth.png").exists()
    # Others are drawn by another seed, from those that were trained.
    assert kernas("rank", *counted, "--cell-seed", 5, "--output", tmp_path / "other")[0] == 0
    drawn = [set(scores_in(tmp_path / name)) for name in ("run", "other")]
    assert drawn[0] != drawn[1]


@pytest.mark.parametrize(
    ("arguments", "space"),
    [
        (("--truth", "none"), "nasbench201:cells=1,reduction=pool"),
        (("--dataset", "digits"), "nasbench201:cells=1"),
        (("--space", "nasbench201:cells=2"), "nasbench201:cells=2"),
    ],
)
def test_other_images_and_spaces_have_no_truth_by_default(arguments, space, kernas, tmp_path):
    output = ("--score", "params", "--sample", "3", "--output", tmp_path / "run")
    code, out, _ = kernas("rank", *arguments, *output)
    assert code == 0
    assert f"3 candidates of {space} (" in out
    assert "truth" not in out


def test_the_truth_of_the_default_is_not_that_of_another_space(kernas, tmp_path):
    other = ("--space", "nasbench201:cells=2", "--truth", "digits_hard")
    code, out, err = kernas("rank", *other, "--score", "params", "--output", tmp_path / "run")
    assert (code, out) == (2, "")
    assert "digits_hard measured networks of the space" in err
    assert "cells_per_stage is 1" in err
