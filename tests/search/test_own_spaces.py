"""Spaces of the user's: the guide's, those that are wrong, and candidates that cannot be built."""

import random
from typing import Any

import pytest
from pages import example

import kernas.kernels as kk
import kernas.search as ks
from kernas.errors import ArchitectureError, ConfigurationError
from kernas.search.spaces import abilities
from kernas.search.testing import SpaceTests


def the_guides_space():
    """The space of the guide's example, run as it stands there."""
    code = example("docs/guides/own_space.md", "ks.ChoiceSpace")
    names: dict[str, Any] = {"__name__": __name__}
    exec(code, names)
    globals()["build"] = names["build"]  # where candidates that are sent elsewhere look for it
    return names["space"]


OWN = the_guides_space()


class TestTheGuidesSpace(SpaceTests):
    draws = 30

    @pytest.fixture
    def space(self):
        return OWN


def test_the_guides_space_is_ranked(fake_score):
    candidates = OWN.sample(5)
    ranking = ks.rank(candidates, fake_score(), progress=False)
    assert {row.name for row in ranking.rows} == {candidate.name for candidate in candidates}


def halting(depth: int, **others: Any) -> Any:
    """Builds what it should only of one depth."""
    if depth == 1:
        raise RuntimeError("no such\ndepth")
    if depth == 2:
        return "a network"
    if depth == 3:
        return kk.serial(kk.Dense(), kk.Conv(3))
    return kk.serial(kk.Flatten(), kk.Dense())


def test_what_cannot_be_built_is_a_row_with_its_message(fake_score, tmp_path):
    space = ks.ChoiceSpace(halting, {"depth": [1, 2, 3, 4]})
    candidates = space.sample(4)
    assert len({candidate.key for candidate in candidates}) == 4
    for _ in range(2):  # the second time it is resumed: failures are tried again
        ranking = ks.rank(candidates, fake_score(), output=tmp_path, resume=True, progress=False)
        messages = {row.name: row.message for row in ranking.rows}
        assert "depth=1: RuntimeError: no such depth" in messages["depth=1"]
        assert "build returned 'a network', expected an Architecture" in messages["depth=2"]
        assert "depth=3: ArchitectureError: node 2 (Conv)" in messages["depth=3"]
        assert [row.status for row in ranking.rows] == ["ok", *["error"] * 3]
    failed = space.candidate("depth=1")
    for _ in range(2):
        with pytest.raises(ArchitectureError, match="RuntimeError"):
            assert failed.architecture
    estimate = ks.estimate_ranking(candidates, fake_score())
    assert estimate.networks == 4


def test_a_space_where_nothing_can_be_built_still_has_a_cover():
    space = ks.ChoiceSpace(halting, {"depth": [1, 2, 3]})
    assert space.cover((4, 4, 1)) == ()


def test_equal_networks_are_drawn_once_and_the_end_is_said():
    def build(depth, unused):
        return kk.serial(kk.Flatten(), *[kk.Dense(), kk.Relu()] * depth, kk.Dense())

    space = ks.ChoiceSpace(build, {"depth": [1, 2], "unused": [3, 4, 5]})
    assert {candidate.genotype[0] for candidate in space.sample(2)} == {1, 2}
    with pytest.raises(ConfigurationError, match="only 2 different networks"):
        space.sample(3)
    with pytest.raises(ConfigurationError, match="n=7 candidates: expected 1 to 6"):
        space.sample(7)


def test_values_may_be_of_any_kind_with_different_texts():
    def build(act, mode):
        return kk.serial(kk.Conv(3), act(), *([kk.Relu()] if mode else []), kk.GlobalAvgPool())

    space = ks.ChoiceSpace(build, {"act": [kk.Relu, kk.Erf], "mode": [None, 0.5, (1, 2)]})
    assert space.size() == 6
    names = [candidate.name for candidate in space.enumerate()]
    assert names[:3] == ["act=Relu,mode=None", "act=Relu,mode=0.5", "act=Relu,mode=(1, 2)"]
    assert [space.candidate(name).name for name in names] == names
    assert space.distributions() == {"act": ["Relu", "Erf"], "mode": [None, 0.5, "(1, 2)"]}
    assert space.candidate_of({"act": "Erf", "mode": "(1, 2)"}).genotype == (kk.Erf, (1, 2))


@pytest.mark.parametrize(
    ("choices", "words"),
    [
        ({}, "expected lists by name"),
        ({"depth": 3}, r"depth=3: expected a list of values, \[1, 2\], or a range"),
        ({"depth": []}, "expected a list of values"),
        ({"depth": (1, 4)}, r"or a range of floats, \(0.5, 2.0\)"),
        ({"W_std": (2.0, 0.5)}, "or a range of floats"),
        ({"W_std": (0.5, float("inf"))}, "or a range of floats"),
        ({"depth": [1, True]}, "two values are equal"),
        ({"depth": [1, "1"]}, "the same text"),
        ({"depth": [[1], [2]]}, "write lists as tuples"),
        ({"two words": [1]}, "expected the name of an argument"),
        ({"a": ["b=1"], "b": [1]}, "without a= or b="),
        ({"a": ["two\nlines"]}, "a text of one line"),
    ],
)
def test_choices_that_are_none_are_refused(choices, words):
    with pytest.raises(ConfigurationError, match=words) as refused:
        ks.ChoiceSpace(halting, choices)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("depth=2", "expected depth=…,W_std=…"),
        ("depth=2,W_std=3.0", "W_std='3.0' is no value of the space 'choices': expected a number"),
        ("depth=2,W_std=nan", "expected a number from 0.5 to 2"),
        ("depth=9,W_std=1.0", "expected one of 1, 2"),
        ("width=1,depth=2,W_std=1.0", "begins with 'width=1'"),
        ("W_std=1.0,depth=2", "expected depth=…,W_std=…"),
    ],
)
def test_names_of_no_candidate_are_refused(text, words):
    space = ks.ChoiceSpace(halting, {"depth": [1, 2], "W_std": (0.5, 2.0)})
    with pytest.raises(ArchitectureError, match=words):
        space.candidate(text)


def test_a_cover_may_be_given():
    network = kk.serial(kk.Conv(3), kk.Relu(), kk.GlobalAvgPool())
    for given in ([network], lambda shape: [network]):
        space = ks.ChoiceSpace(halting, {"depth": [4]}, cover=given)
        assert list(space.cover((4, 4, 1))) == [network]


def test_ranges_take_part_in_all_but_enumeration():
    space = ks.ChoiceSpace(halting, {"depth": [1, 2, 3], "W_std": (0.5, 2.0)})
    assert not abilities.has(space, abilities.Enumerable)
    candidate = space.draw(random.Random(0))
    assert [n.genotype[1] for n in space.neighbours(candidate)] == [candidate.genotype[1]] * 2
    changed = {space.mutate(candidate, random.Random(seed)).genotype for seed in range(30)}
    assert {a != candidate.genotype[0] for a, _ in changed} == {True, False}
    assert len({b for _, b in changed}) > 5
