"""Shared weights: whose gradients move what, which paths are drawn, and what a path inherits."""

from __future__ import annotations

import pickle
from dataclasses import replace
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from interrupting import after_a_piece
from two_slots import BRANCHES, SPACE, TwoSlots, built

import kernas.kernels as kk
import kernas.search as ks
from kernas.errors import ConfigurationError, RunFolderError
from kernas.kernels.architecture import Slot
from kernas.kernels.engine import compilations
from kernas.search.training import TrainingSettings, mixing, train, train_supernet
from kernas.search.training.batches import batches
from kernas.search.training.supernet import _paths, _training

SETTINGS = TrainingSettings(width=4, batch_size=16, steps=60, learning_rate=0.05)


@pytest.fixture(scope="module")
def digits() -> tuple[kk.Dataset, kk.Dataset]:
    return kk.load("digits", n_train=80, n_test=40, image_size=4, seed=0)


def weights(supernet: ks.Supernet) -> Any:
    return supernet.reached.state["variables"]["params"]


def test_a_supernet_of_one_path_is_that_network_trained(
    digits: tuple[kk.Dataset, kk.Dataset], monkeypatch: pytest.MonkeyPatch
) -> None:
    """With no other path drawn, shared weights are those of the candidate alone."""
    path = np.array([[1, 2]], np.int32)
    monkeypatch.setattr("kernas.search.training.supernet._paths", lambda *_: path)
    supernet = train_supernet(SPACE, digits[0], SETTINGS, seed=5)
    alone = train(SPACE.candidate("first=1,second=2"), *digits, SETTINGS, seeds=[5])
    np.testing.assert_array_equal(supernet.reached.losses, alone.losses)
    own = alone.variables["params"]
    shared = weights(supernet)
    np.testing.assert_array_equal(shared["Conv_1"]["kernel"], own["Conv_1"]["kernel"])
    found = shared["Slot_3"]["branches_1"]["Conv_2"]["kernel"]
    np.testing.assert_array_equal(found, own["Conv_4"]["kernel"])


def test_paths_are_uniform_or_fair() -> None:
    branches = (3, 3, 3, 3)
    drawn = np.concatenate([_paths(branches, "uniform", 0, step) for step in range(900)])
    assert drawn.shape == (900, 4)
    counts = np.stack([(drawn == branch).sum(axis=0) for branch in range(3)])
    # Of 900 draws each a third, with a deviation of √(900 · 2/9) = 14; five times here.
    assert np.abs(counts - 300).max() < 5 * 14.2
    assert abs(np.corrcoef(drawn[:, 0], drawn[:, 1])[0, 1]) < 5 / 30
    for step in range(20):
        paths = _paths(branches, "fair", 0, step)
        assert np.array_equal(np.sort(paths, axis=0), np.tile(np.arange(3)[:, None], 4))
    assert not np.array_equal(_paths(branches, "fair", 0, 1), _paths(branches, "fair", 1, 1))


def test_a_fair_step_sums_the_gradients_of_its_paths(
    digits: tuple[kk.Dataset, kk.Dataset],
) -> None:
    """One step of plain descent from a start that is known, against gradients taken here."""
    fit, _ = digits
    settings = replace(
        SETTINGS, steps=1, momentum=0.0, weight_decay=0.0, batch_size=16, learning_rate=0.1
    )
    supernet = train_supernet(SPACE, fit, settings, sampling="fair", seed=2)
    start = _training(SPACE, fit, settings, "fair", 1, 2).start().state["variables"]
    variables = jax.tree.map(lambda leaf: leaf[0], start)
    template = SPACE.template(SPACE.sample(1)[0])
    network: Any = kk.finite_network(template, 4, outputs=10, parameterization="standard")
    drawn = batches(0, 1, (2,), len(fit), 16, fit.input_shape).images[0, 0]
    x, labels = fit.x[drawn], jax.nn.one_hot(fit.y[drawn], 10)

    def loss(params: Any, path: Any) -> Any:
        logits, _ = network.apply(
            {**variables, "params": params}, x, train=True, choices=path, mutable=True
        )
        return -(labels * jax.nn.log_softmax(logits)).sum(axis=1).mean()

    params = variables["params"]
    gradients = [jax.grad(loss)(params, path) for path in _paths((3, 3), "fair", 2, 0)]
    expected = jax.tree.map(lambda p, *g: p - 0.1 * sum(g), params, *gradients)
    found = jax.tree.map(lambda leaf: leaf[0], weights(supernet))
    for one, other in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)


def test_sets_are_mixed_by_a_softmax_of_the_path() -> None:
    """K-shot: θ = Σ λ_k θ_k, and a single set is what it is."""
    rng = np.random.default_rng(0)
    start = mixing.start_of_sets({"w": np.ones((2, 3), np.float32)}, 3, (2, 4), rng)
    start[mixing.SETS]["w"] = rng.normal(size=(3, 2, 3)).astype(np.float32)
    path = np.array([1, 2])
    e = np.array([0, 1, 0, 0, 1, 0])
    hidden = np.maximum(e @ start[mixing.CODE]["first"], 0) @ start[mixing.CODE]["second"]
    shares = np.exp(hidden) / np.exp(hidden).sum()
    found = mixing.mixed(start, jnp.asarray(path), (2, 4))["w"]
    np.testing.assert_allclose(found, np.einsum("k,kij->ij", shares, start[mixing.SETS]["w"]), 1e-5)
    plain = {"w": np.ones(2)}
    assert mixing.mixed(plain, jnp.asarray(path), (2, 4)) is plain


@pytest.mark.parametrize(("sampling", "sets"), [("uniform", 1), ("fair", 1), ("uniform", 2)])
def test_all_paths_are_judged_by_three_programs(
    sampling: Any, sets: int, digits: tuple[kk.Dataset, kk.Dataset]
) -> None:
    fit, test = digits
    before = compilations().count
    supernet = train_supernet(SPACE, fit, SETTINGS, sampling=sampling, sets=sets)
    accuracies = [supernet.accuracy(candidate, test) for candidate in SPACE.enumerate()]
    assert compilations().count - before <= 3
    assert all(0 <= accuracy <= 1 for accuracy in accuracies)
    assert len(set(accuracies)) > 2
    assert max(accuracies) > 0.15
    again = pickle.loads(pickle.dumps(supernet))
    assert again.fingerprint == supernet.fingerprint
    assert again.accuracy(SPACE.candidate("first=1,second=2"), test) == accuracies[5]
    if sets > 1:
        leaves = jax.tree.leaves(weights(supernet)[mixing.SETS])
        assert all(leaf.shape[:2] == (1, sets) for leaf in leaves)
        assert any(np.abs(leaf[0, 0] - leaf[0, 1]).max() > 1e-3 for leaf in leaves)


def test_inherited_accuracies_rank_candidates(digits: tuple[kk.Dataset, kk.Dataset]) -> None:
    supernet = train_supernet(SPACE, digits[0], SETTINGS)
    score = ks.SharedWeightScore(supernet, digits[1])
    ranking = ks.rank(list(SPACE.enumerate()), [score], progress=False)
    assert len(ranking) == 9
    for row in ranking.rows:
        expected = supernet.accuracy(SPACE.candidate(row.name), digits[1])
        assert row.values["shared_accuracy"].value == expected
    diverged = train_supernet(SPACE, digits[0], replace(SETTINGS, learning_rate=1e30))
    (row,) = ks.rank(
        SPACE.sample(1), [ks.SharedWeightScore(diverged, digits[1])], progress=False
    ).rows
    assert "the supernet diverged" in row.message
    with pytest.raises(ConfigurationError, match="shared_accuracy needs validation images"):
        ks.SharedWeightScore(supernet, None)
    other = TwoSlots(built, {"first": [0, 1], "second": [0, 1]}).sample(1)[0]
    assert "belongs to" in ks.rank([other], [score], progress=False).rows[0].message


def test_an_interrupted_supernet_goes_on_as_if_it_had_not_been(
    digits: tuple[kk.Dataset, kk.Dataset], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with after_a_piece(monkeypatch), pytest.raises(KeyboardInterrupt):
        train_supernet(SPACE, digits[0], SETTINGS, sets=2, folder=tmp_path)
    resumed = train_supernet(SPACE, digits[0], SETTINGS, sets=2, folder=tmp_path)
    assert resumed.fingerprint == train_supernet(SPACE, digits[0], SETTINGS, sets=2).fingerprint
    with pytest.raises(RunFolderError, match="of another training: sampling"):
        train_supernet(SPACE, digits[0], SETTINGS, sampling="fair", sets=2, folder=tmp_path)


def test_what_cannot_share_weights_is_refused(digits: tuple[kk.Dataset, kk.Dataset]) -> None:
    odd: Any = "odd"
    with pytest.raises(ConfigurationError, match="sampling='odd': expected one of uniform, fair"):
        train_supernet(SPACE, digits[0], SETTINGS, sampling=odd)
    with pytest.raises(ConfigurationError, match="sets=0: expected an integer >= 1"):
        train_supernet(SPACE, digits[0], SETTINGS, sets=0)
    plain = ks.ChoiceSpace(built, {"first": [0, 1], "second": [0, 1]})
    with pytest.raises(ConfigurationError, match="Slotted"):
        train_supernet(plain, digits[0], SETTINGS)


class Unlike(TwoSlots):
    """The window of the stem, which is in the template, differs between candidates."""

    def template(self, candidate: ks.Candidate) -> kk.Architecture:
        head = (kk.Relu(), kk.GlobalAvgPool(), kk.Dense())
        stem = kk.Conv(3 if candidate.genotype[0] else 1)
        return kk.serial(stem, *map(Slot, (BRANCHES,) * 2, (0, 1)), *head)


def test_a_space_of_several_templates_is_refused(
    digits: tuple[kk.Dataset, kk.Dataset], monkeypatch: pytest.MonkeyPatch
) -> None:
    several = Unlike(built, {"first": [0, 1, 2], "second": [0, 1, 2]})
    with pytest.raises(ConfigurationError, match="have several templates: expected one"):
        train_supernet(several, digits[0], SETTINGS)
    # Those that the first draws do not meet are refused when they are judged.
    monkeypatch.setattr("kernas.search.training.supernet.DRAWN", 1)
    settings = replace(SETTINGS, steps=1)
    supernet = train_supernet(several, digits[0], settings)
    alike = several.sample(1)[0]
    assert 0 <= supernet.accuracy(alike, digits[1]) <= 1
    other = next(c for c in several.enumerate() if bool(c.genotype[0]) != bool(alike.genotype[0]))
    with pytest.raises(ConfigurationError, match="has another template than the supernet"):
        supernet.accuracy(other, digits[1])


def test_a_space_of_two_candidates_shares_weights(
    digits: tuple[kk.Dataset, kk.Dataset],
) -> None:
    two = TwoSlots(built, {"first": [1, 2], "second": [0]})
    supernet = train_supernet(two, digits[0], replace(SETTINGS, steps=1))
    assert all(0 <= supernet.accuracy(each, digits[1]) <= 1 for each in two.enumerate())
