"""The size space of NATS-Bench: published parameters, and which scores order widths."""

from __future__ import annotations

import itertools
from dataclasses import replace

import pytest

import kernas.kernels as kk
import kernas.search as ks
from kernas.errors import ArchitectureError, ConfigurationError
from kernas.kernels.architecture import Node
from kernas.kernels.architecture.counts import count
from kernas.search.cli.app import run

SPACE = ks.NatsSize()
FIT, VALIDATION = kk.load("digits", n_train=32, n_test=16, seed=0, image_size=4)


@pytest.mark.parametrize(
    ("name", "params"),
    [("8:8:8:8:8", 11_714), ("8:8:16:40:40", 107_826), ("64:64:64:64:64", 713_674)],
)
def test_published_parameters(name: str, params: int) -> None:
    """In millions, as the benchmark has them for CIFAR-10: 0.011714, 0.107826, 0.713674."""
    network = SPACE.candidate(name).architecture
    assert count(network, (32, 32, 3), width=16, outputs=10).params == params


def test_all_are_enumerated_and_of_different_names() -> None:
    names = [candidate.name for candidate in SPACE.enumerate()]
    assert len(names) == len(set(names)) == SPACE.size() == 32_768
    assert (names[0], names[-1]) == ("8:8:8:8:8", "64:64:64:64:64")


def without_widths(name: str) -> str:
    """The hash of the network with all widths 1."""
    network = SPACE.candidate(name).architecture
    nodes = [
        Node(replace(node.layer, width=1.0), node.inputs)
        if isinstance(node.layer, kk.Conv)
        else node
        for node in network.nodes
    ]
    return kk.Architecture(tuple(nodes)).hash


def test_there_are_four_kernels() -> None:
    """Of the first reduction and the cell behind it, and of the second."""
    found: dict[str, set[tuple[bool, bool]]] = {}
    for numbers in itertools.product((8, 24, 64), repeat=5):
        _, second, third, fourth, fifth = numbers
        kind = second == third, fourth == fifth
        found.setdefault(without_widths(":".join(map(str, numbers))), set()).add(kind)
    assert len(found) == 4
    assert all(len(kinds) == 1 for kinds in found.values())


KERNEL = ks.KernelScore(FIT, VALIDATION, "ntk", "evidence")
PARAMS = ks.CountScore("params", (4, 4, 1), 10)
PROXY = ks.ProxyScore(FIT, "l2_norm", width=16, batch_size=8, repeats=1)


@pytest.mark.parametrize(
    "score",
    [
        KERNEL,
        ks.KernelScore(FIT, VALIDATION, "nngp", "loo_error"),
        ks.MeanScore([KERNEL, ks.KernelScore(VALIDATION, FIT, "ntk", "evidence")]),
        ks.RegularizedScore(KERNEL, PARAMS, center=1e5, scale=1e9),
        ks.Combined({KERNEL.name: 1.0, "params": 1.0}).within(
            {KERNEL.name: [*range(20)], "params": [*range(20)]}, [KERNEL, PARAMS]
        ),
    ],
    ids=lambda score: score.name,
)
def test_scores_of_kernels_are_refused_with_the_reason(score: ks.Score) -> None:
    cells = SPACE.sample(3)
    restricted = ks.RestrictedSpace(SPACE, [cell.name for cell in cells])
    recipes = ks.RecipeSpace(SPACE, epochs=[1, 2])
    for call in (
        lambda: ks.rank(cells, [PARAMS, score], progress=False),
        lambda: ks.estimate_ranking(cells, score),
        lambda: ks.rank(recipes.sample(2), score, progress=False),
        lambda: ks.optimize(SPACE, score, n_trials=2, progress=False),
        lambda: ks.optimize(restricted, score, n_trials=2, progress=False),
    ):
        with pytest.raises(ConfigurationError) as refused:
            call()
        assert "kernels do not order candidates of" in str(refused.value)
        assert "nats-size" in str(refused.value)
        assert "differ in widths" in str(refused.value)
        assert "\n" not in str(refused.value)


def test_the_command_refuses_scores_of_kernels(capsys: pytest.CaptureFixture[str]) -> None:
    options = ["--dataset", "digits", "--sample", "3", "--n-train", "32", "--image-size", "4"]
    assert run(["rank", "--space", "nats-size", *options, "--score", "ntk:evidence"]) == 2
    said = capsys.readouterr().err
    assert "kernels do not order candidates of nats-size" in said
    assert "counts, proxies, ntk_standard" in said


TRAINED = ks.TrainScore(
    FIT, VALIDATION, ks.TrainingSettings(width=16, steps=2, batch_size=8), seeds=1
)
STANDARD = ks.KernelScore(FIT, VALIDATION, "ntk", "evidence", parameterization="standard", width=16)


@pytest.mark.parametrize("scores", [[], pytest.param([STANDARD, TRAINED], marks=pytest.mark.slow)])
def test_counts_proxies_standard_kernels_and_training_order_widths(scores: list[ks.Score]) -> None:
    cells = [SPACE.candidate(name) for name in ("8:8:8:8:8", "16:8:8:8:8", "16:16:16:16:16")]
    ranking = ks.rank(cells, [PARAMS, PROXY, *scores], progress=False)
    assert [row.status for row in ranking] == ["ok"] * 3
    assert next(iter(ranking)).name == "16:16:16:16:16"
    for score in (PARAMS, PROXY, *(score for score in scores if score != TRAINED)):
        assert len({row.values[score.name].value for row in ranking}) == 3


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("8:8:8:8", "expected five numbers of channels"),
        ("8:8:8:8:8:8", "expected five numbers of channels"),
        ("8:8:8:8:x", "expected five numbers of channels"),
        ("8:8:8:8:12", "cell 3=12 is no value of the space 'nats-size': expected one of 8, 16"),
        ("8:8:8:8:72", "cell 3=72"),
        ((8, 8, 8, 8), "expected one value for each"),
        (8, "expected one value for each"),
    ],
)
def test_what_is_no_size_is_refused_in_one_line(text: object, words: str) -> None:
    with pytest.raises(ArchitectureError) as refused:
        SPACE.candidate(text)
    assert words in str(refused.value)
    assert "\n" not in str(refused.value)


def test_images_that_do_not_halve_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="image size 6: the two reductions"):
        SPACE.check_shape((6, 8, 3))
