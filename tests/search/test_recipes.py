"""Recipes that a space chooses: how they are drawn, trained, shared, and what is refused."""

from __future__ import annotations

import math
import random
import re
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from interrupting import after_a_piece

import kernas.kernels as kk
import kernas.search as ks
from kernas.errors import ArchitectureError, ConfigurationError, RunFolderError
from kernas.kernels.engine import compilations
from kernas.search.spaces import abilities, space_from_settings

NETWORK = kk.serial(kk.Flatten(), kk.Dense(W_std=2**0.5), kk.Relu(), kk.Dense())
OTHER = kk.serial(kk.Flatten(), kk.Dense(b_std=0.1))
ONE = ks.ArchitectureList({"net": NETWORK})
CELLS = ks.NasBench201(cells_per_stage=1)
CELL = "|none~0|+|none~0|none~1|+|skip_connect~0|none~1|nor_conv_1x1~2|"
RECIPE = ks.TrainingSettings(width=4, batch_size=16, epochs=2, learning_rate=0.05)


@pytest.fixture(scope="module")
def digits() -> tuple[kk.Dataset, kk.Dataset]:
    return kk.load("digits", n_train=80, n_test=40, image_size=4, seed=0)


# --- drawing -------------------------------------------------------------------------------------


def test_a_rate_has_a_logarithm_that_is_uniform() -> None:
    space = ks.RecipeSpace(ONE, learning_rate=(1e-3, 1e-1))
    drawn = [space.recipe(c)["learning_rate"] for c in space.sample(2000)]
    assert 1e-3 <= min(drawn) < 1.1e-3 < 0.9e-1 < max(drawn) <= 1e-1
    where = np.sort(np.log(np.array(drawn) / 1e-3) / math.log(100))
    distance = np.abs(where - (np.arange(2000) + 0.5) / 2000).max()
    assert distance < 1.95 / 2000**0.5  # Kolmogorov-Smirnov: one draw of 1,000 is further away


def test_a_choice_of_ones_own_space_may_be_logarithmic() -> None:
    def build(gain: float) -> kk.Architecture:
        return kk.serial(kk.Flatten(), kk.Dense(W_std=gain))

    log, plain = (
        ks.ChoiceSpace(build, {"gain": of}) for of in (ks.LogRange(0.01, 1.0), (0.01, 1.0))
    )
    assert log != plain
    assert log.settings()["choices"] == {"gain": {"log": [0.01, 1.0]}}
    assert plain.settings()["choices"] == {"gain": [0.01, 1.0]}
    assert log.distributions() == {"gain": ks.LogRange(0.01, 1.0)}
    assert log.encode(log.candidate("gain=0.1")) == pytest.approx([0.5])
    medians = [np.median([c.genotype[0] for c in s.sample(200)]) for s in (log, plain)]
    assert 0.07 < medians[0] < 0.14
    assert 0.4 < medians[1] < 0.6
    for low, high in ((0.0, 1.0), (-1.0, 1.0), (1.0, 0.1)):
        with pytest.raises(ConfigurationError, match=r"or LogRange\(0.5, 2.0\) of floats > 0"):
            ks.ChoiceSpace(build, {"gain": ks.LogRange(low, high)})


def test_names_and_values_are_one() -> None:
    space = ks.RecipeSpace(CELLS, learning_rate=(0.01, 0.3), batch_size=[32, 64], epochs=[5])
    name = f"{CELL} @ learning_rate=0.05,batch_size=32,epochs=5"
    found = space.candidate(name)
    assert (found.name, found.genotype[1]) == (name, (0.05, 32, 5))
    assert space.recipe(found) == {"learning_rate": 0.05, "batch_size": 32, "epochs": 5}
    assert found.architecture == CELLS.candidate(CELL).architecture
    values = {"epochs": 5, "batch_size": 32, "learning_rate": 0.05}
    assert space.candidate((CELL, values)) == found
    edges = dict(zip(CELLS.distributions(), CELLS.parse(CELL), strict=True))
    assert space.candidate_of(edges | values) == found
    for wrong, message in (
        (CELL, "expected a candidate of nasbench201 and its recipe, NETWORK @ learning_rate=…"),
        (f"{CELL} @ learning_rate=0.5,batch_size=32,epochs=5", "a number from 0.01 to 0.3"),
        (f"{CELL} @ learning_rate=0.05,batch_size=48,epochs=5", "expected one of 32, 64"),
        (f"{CELL} @ learning_rate=0.05", "expected learning_rate=…,batch_size=…,epochs=…"),
        (f"cell @ {name.partition(' @ ')[2]}", "cell"),
    ):
        with pytest.raises(ArchitectureError, match=message):
            space.candidate(wrong)


def test_one_network_alone_is_searched_by_its_recipes() -> None:
    space = ks.RecipeSpace(ONE, learning_rate=[0.1, 0.01], batch_size=[8, 16, 32])
    assert {c.genotype for c in space.sample(6)} == {c.genotype for c in space.enumerate()}
    with pytest.raises(ConfigurationError, match="sample of n=7"):
        space.sample(7)
    first = space.candidate("net @ learning_rate=0.1,batch_size=8")
    near = {other.name.partition(" @ ")[2] for other in space.neighbours(first)}
    expected = {f"learning_rate=0.1,batch_size={n}" for n in (16, 32)}
    assert near == expected | {"learning_rate=0.01,batch_size=8"}
    assert space.encode(first).tolist() == [1.0, 0.0]
    assert list(space.distributions()) == ["learning_rate", "batch_size"]
    fixed = ks.RecipeSpace(ONE, batch_size=[8])
    with pytest.raises(ConfigurationError, match="space 'list' is not Mutable"):
        fixed.mutate(fixed.sample(1)[0], random.Random(0))


def test_a_mutation_changes_the_network_or_one_value_with_equal_odds() -> None:
    space = ks.RecipeSpace(CELLS, learning_rate=(0.01, 0.3), epochs=[1, 2, 4])
    first, rng = space.sample(1)[0], random.Random(0)
    seen = Counter[tuple[bool, int]]()
    for _ in range(200):
        changed = space.mutate(first, rng)
        pairs = zip(changed.genotype[1], first.genotype[1], strict=True)
        seen[changed.genotype[0] != first.genotype[0], sum(a != b for a, b in pairs)] += 1
    assert set(seen) == {(True, 0), (False, 1)}
    assert 70 < seen[True, 0] < 130


# --- training ------------------------------------------------------------------------------------


def test_rates_and_epochs_share_programs_and_each_batch_size_has_one_of_steps(
    digits: tuple[kk.Dataset, kk.Dataset],
) -> None:
    """And each is trained as its own recipe says."""
    space = ks.RecipeSpace(ONE, learning_rate=[0.1, 0.03, 0.01], epochs=[1, 2])
    before = compilations().count
    trained = {c: ks.train(c, *digits, RECIPE, seeds=2) for c in space.enumerate()}
    assert compilations().count - before <= 2
    for candidate, found in trained.items():
        alone = ks.train(NETWORK, *digits, replace(RECIPE, **space.recipe(candidate)), seeds=2)
        assert found.losses.tobytes() == alone.losses.tobytes()
        assert len(found.losses) == 5 * space.recipe(candidate)["epochs"]
    assert len({found.losses.tobytes() for found in trained.values()}) == 6
    decays = [ks.train(NETWORK, *digits, replace(RECIPE, weight_decay=w)) for w in (0.0, 0.1)]
    assert not np.array_equal(decays[0].losses, decays[1].losses)
    before = compilations().count
    for candidate in ks.RecipeSpace(ONE, batch_size=[10, 20]).enumerate():
        ks.train(candidate, *digits, RECIPE, seeds=2)
    assert compilations().count - before == 2


@pytest.mark.slow
def test_two_programs_train_many_cells_by_many_recipes(
    digits: tuple[kk.Dataset, kk.Dataset],
) -> None:
    space = ks.RecipeSpace(CELLS, learning_rate=[0.1, 0.03, 0.01], epochs=[1, 2])
    before = compilations().count
    trained = [ks.train(candidate, *digits, RECIPE, seeds=2) for candidate in space.sample(12)]
    assert compilations().count - before == 2
    assert len({each.losses.tobytes() for each in trained}) == 12


def test_a_checkpoint_is_of_one_recipe(
    digits: tuple[kk.Dataset, kk.Dataset], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    space = ks.RecipeSpace(ONE, learning_rate=[0.1, 0.03], epochs=[12])
    first, second = space.enumerate()
    with after_a_piece(monkeypatch), pytest.raises(KeyboardInterrupt):
        ks.train(first, *digits, RECIPE, seeds=2, folder=tmp_path)
    with pytest.raises(RunFolderError, match=r"settings\.learning_rate is 0\.1, here 0\.03"):
        ks.train(second, *digits, RECIPE, seeds=2, folder=tmp_path)
    resumed = ks.train(first, *digits, RECIPE, seeds=2, folder=tmp_path)
    assert np.array_equal(resumed.losses, ks.train(first, *digits, RECIPE, seeds=2).losses)


def test_candidates_of_several_recipes_are_ranked_and_share_their_kernel(
    digits: tuple[kk.Dataset, kk.Dataset], tmp_path: Path
) -> None:
    fit, test = digits
    space = ks.RecipeSpace(
        ks.ArchitectureList({"net": NETWORK, "other": OTHER}), learning_rate=[1e-4, 0.1]
    )
    scores = [ks.TrainScore(fit, test, RECIPE, seeds=2), ks.KernelScore(fit, metric="loo_accuracy")]
    candidates = list(space.enumerate())
    found = ks.rank(candidates, scores, output=tmp_path / "run", progress=False)
    accuracy = {row.name: row.values["trained_accuracy"].value for row in found}
    for name, network in (("net", NETWORK), ("other", OTHER)):
        for rate in (1e-4, 0.1):
            alone = ks.train(network, fit, test, replace(RECIPE, learning_rate=rate), seeds=2)
            assert accuracy[f"{name} @ learning_rate={rate}"] == alone.test_accuracy.mean()
    assert accuracy["net @ learning_rate=0.1"] > accuracy["net @ learning_rate=0.0001"]
    kernels = {row.hash: row.values[scores[1].name].value for row in found}
    assert all(row.values[scores[1].name].value == kernels[row.hash] for row in found)
    ks.rank(candidates[:3], scores, output=tmp_path / "begun", progress=False)
    resumed = ks.rank(candidates, scores, output=tmp_path / "begun", resume=True, progress=False)
    assert resumed.to_csv() == found.to_csv()
    for folder in ("run", "begun"):
        lines = (tmp_path / folder / "results.jsonl").read_text().splitlines()
        assert len(lines) == 4 + 2


def test_a_candidate_is_trained_with_its_own_recipe_or_shares_the_work_of_an_equal_one(
    digits: tuple[kk.Dataset, kk.Dataset],
) -> None:
    space = ks.RecipeSpace(ONE, batch_size=[8, 16])
    source = ks.TrainScore(*digits, RECIPE).source
    own, same = (source.work_key(candidate) for candidate in space.enumerate())
    assert same == source.work_key(ONE.candidate("net")) != own
    assert len({candidate.key for candidate in space.enumerate()}) == 1


def test_epochs_take_the_place_of_steps(digits: tuple[kk.Dataset, kk.Dataset]) -> None:
    (candidate,) = ks.RecipeSpace(ONE, epochs=[3]).enumerate()
    assert len(ks.train(candidate, *digits, replace(RECIPE, steps=4)).losses) == 15
    estimate = ks.estimate_training(candidate, digits[0], replace(RECIPE, steps=4))
    assert estimate.steps == 15
    full = ks.FullTraining(RECIPE, side=4, images=80)
    reduced = ks.Regime().reduced(full)
    alone = ONE.candidate("net")
    ratio = reduced.operations(candidate, 1, 10) / reduced.operations(alone, 1, 10)
    assert ratio == 3 / 2


# --- what is refused -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("choices", "message"),
    [
        ({}, "no recipe to choose: expected learning_rate, batch_size or epochs"),
        ({"learning_rate": (0.3, 0.01)}, "expected a range .* with 0 < low < high"),
        ({"learning_rate": (0.1, 0.1)}, "expected a range .* with 0 < low < high"),
        ({"learning_rate": (0.0, 0.1)}, "expected a range .* with 0 < low < high"),
        ({"learning_rate": (0.1, float("inf"))}, "expected a range .* with 0 < low < high"),
        ({"learning_rate": (0.1,)}, "expected a range .* with 0 < low < high"),
        ({"learning_rate": 0.1}, "learning_rate=0.1: expected a list of numbers > 0"),
        ({"learning_rate": [0.1, -0.1]}, "expected a list of numbers > 0"),
        ({"batch_size": [1, 2]}, "batch_size=.1, 2.: expected a list of integers > 1"),
        ({"batch_size": (8, 16)}, "expected a list of integers > 1"),
        ({"batch_size": [8, 8]}, "two values are equal"),
        ({"epochs": [0]}, "epochs=.0.: expected a list of integers > 0"),
        ({"epochs": [1.5]}, "expected a list of integers > 0"),
        ({"epochs": []}, "expected a list of integers > 0"),
    ],
)
def test_choices_out_of_range_are_refused(choices: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message) as refused:
        ks.RecipeSpace(ONE, **choices)
    assert "\n" not in str(refused.value)


def test_spaces_that_have_no_recipe_to_add_are_refused() -> None:
    wrong: Any = NETWORK
    with pytest.raises(ConfigurationError, match="expected a space, for example NasBench201"):
        ks.RecipeSpace(wrong, batch_size=[8])
    taken = ks.ChoiceSpace(lambda epochs: NETWORK, {"epochs": [1, 2]})
    with pytest.raises(ConfigurationError, match="epochs is a choice of the space 'choices' al"):
        ks.RecipeSpace(taken, epochs=[3])


def test_a_batch_of_more_images_than_there_are_is_refused_before_anything_is_trained(
    digits: tuple[kk.Dataset, kk.Dataset], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kernas.search.scores.trained.train", pytest.fail)
    space = ks.RecipeSpace(ONE, batch_size=[16, 81])
    score = ks.TrainScore(*digits, RECIPE)
    with pytest.raises(ConfigurationError, match=r"batch_size=81 of 80 images .* a smaller one"):
        ks.rank(list(space.enumerate()), [score], progress=False)


class Misnamed(ks.ArchitectureList):
    """A space whose recipes are none."""

    def recipe(self, candidate: ks.Candidate) -> dict[str, Any]:
        return {"learningrate": 0.1}


def test_a_recipe_of_unknown_names_is_refused(digits: tuple[kk.Dataset, kk.Dataset]) -> None:
    space = Misnamed({"net": NETWORK})
    assert abilities.has(space, abilities.Reciped)
    score = ks.TrainScore(*digits, RECIPE)
    message = "recipe with 'learningrate', did you mean 'learning_rate'"
    with pytest.raises(ConfigurationError, match=message):
        ks.rank(space.sample(1), [score], progress=False)
    with pytest.raises(ConfigurationError, match=message):
        ks.train(space.sample(1)[0], *digits)


@pytest.mark.parametrize(
    "text",
    [
        "nasbench201:cells=1,reduction=pool @ epochs=1|3|9",
        "nasbench201 @ learning_rate=0.01..0.5,batch_size=16|32",
        "macro:max_depth=2 @ learning_rate=0.1|0.2",
    ],
)
def test_the_text_of_recipes_is_read_again(text: str) -> None:
    space = ks.space_from_text(text)
    assert isinstance(space, ks.RecipeSpace)
    assert space.text == text
    assert space_from_settings(space.settings()) == space


@pytest.mark.parametrize(
    ("recipe", "said"),
    [
        ("", "expected each of learning_rate, batch_size, epochs once at most"),
        ("width=3", "expected each of learning_rate, batch_size, epochs once at most"),
        ("epochs=1|2,epochs=3", "once at most"),
        ("epochs=one", "expected a number in place of 'one'"),
        ("learning_rate=0.1..0.2..0.3", "expected a range"),
        ("batch_size=1.5|2", "expected a list of integers > 1"),
    ],
)
def test_a_text_that_is_no_recipe_is_refused(recipe: str, said: str) -> None:
    with pytest.raises(ConfigurationError, match=re.escape(said)):
        ks.space_from_text(f"nasbench201 @ {recipe}")
