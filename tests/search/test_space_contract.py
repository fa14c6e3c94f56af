"""Every space passes the suite that ships, and a wrong one fails where it is wrong."""

import pickle
import random
from typing import Any

import pytest

import kernas.kernels as kk
import kernas.search as ks
from kernas.search.spaces import ArchitectureList, abilities
from kernas.search.testing import SpaceTests


def build(depth, layer, pool, W_std):
    """A network that no cell is: of a few blocks."""
    block = [kk.Conv(3, W_std=W_std), kk.Relu()]
    pools = [kk.AvgPool(2, stride=2)] if pool else []
    return kk.serial(*block * depth, *pools, kk.Conv(1), layer, kk.GlobalAvgPool(), kk.Dense())


OWN = ks.ChoiceSpace(
    build,
    {"depth": [1, 2], "layer": [kk.Relu(), kk.Erf()], "pool": [False, True], "W_std": (0.5, 2.0)},
)
FINITE = ks.ChoiceSpace(
    build,
    {"depth": [1, 2, 3], "layer": [kk.Relu(), kk.Abs()], "pool": [False, True], "W_std": [1.0]},
    name="finite",
)
RECIPES = ks.RecipeSpace(
    ks.NasBench201(cells_per_stage=1), learning_rate=(0.01, 0.3), batch_size=[16, 32], epochs=[5, 1]
)


class TestNasBench201(SpaceTests):
    draws = 20  # another test draws more

    @pytest.fixture
    def space(self):
        return ks.NasBench201(cells_per_stage=1)

    def test_enumeration_has_every_genotype_once(self, space: Any) -> None:
        found = [candidate.genotype for candidate in space.enumerate()]
        assert len(found) == len(set(found)) == space.size() == 5**6


class TestNasBench101(SpaceTests):
    image_shape = (5, 6, 1)
    draws = 100

    @pytest.fixture
    def space(self):
        return ks.NasBench101(cells_per_stack=1, max_pool="average")


class TestNasBench101OfPublishedChannels(SpaceTests):
    draws = 40

    @pytest.fixture
    def space(self):
        return ks.NasBench101(
            1, stacks=2, max_pool="average", max_vertices=5, center=False, channels=128
        )


class TestNatsSize(SpaceTests):
    @pytest.fixture
    def space(self):
        return ks.NatsSize()


class TestOwnSpace(SpaceTests):
    @pytest.fixture
    def space(self):
        return OWN


class TestFiniteSpace(SpaceTests):
    @pytest.fixture
    def space(self):
        return FINITE


class TestMacro(SpaceTests):
    image_shape = (5, 6, 1)

    @pytest.fixture(params=["any", "plain", "residual"])
    def space(self, request):
        return ks.MacroSpace(request.param, 3, 3)


@pytest.mark.slow
class TestMacroOfDefaults(SpaceTests):
    draws = 1000

    @pytest.fixture(params=[4, 1])
    def space(self, request):
        return ks.MacroSpace(max_depth=request.param)


class TestSignals(SpaceTests):
    image_shape = (9, 2)

    @pytest.fixture
    def space(self):
        return ks.MacroSpace("residual", 3, 3, axes=1)


class TestFullyConnected(SpaceTests):
    image_shape = (13,)

    @pytest.fixture
    def space(self):
        return ks.MacroSpace("dense", 3, normalize="none")


class TestGraphs(SpaceTests):
    @pytest.fixture
    def space(self):
        return ks.GraphSpace(("skip_connect", "conv_1x1", "avg_pool_3x3"), 3, max_edges=2)


class TestDarts(SpaceTests):
    @pytest.fixture
    def space(self):
        return ks.DartsSpace(cells=5, max_pool="average")


class TestEnas(SpaceTests):
    @pytest.fixture
    def space(self):
        return ks.EnasSpace(cells=3, max_pool="average")


@pytest.mark.slow
class TestPnas(SpaceTests):
    @pytest.fixture
    def space(self):
        return ks.PnasSpace(cells=5, max_pool="average")


@pytest.mark.slow
class TestNasNet(SpaceTests):
    @pytest.fixture
    def space(self):
        return ks.NasNetSpace(cells=4, max_pool="average")


@pytest.mark.slow
class TestAmoebaNet(SpaceTests):
    @pytest.fixture
    def space(self):
        return ks.AmoebaNetSpace(cells=5, max_pool="average")


class TestRecipesOfCells(SpaceTests):
    draws = 20

    @pytest.fixture
    def space(self):
        return RECIPES


class TestListedRecipes(SpaceTests):
    draws = 20

    @pytest.fixture
    def space(self):
        return ks.RecipeSpace(ks.NasBench201(1), batch_size=[16, 32], epochs=[1, 5, 10])


class TestRecipesAlone(SpaceTests):
    @pytest.fixture
    def space(self):
        network = build(1, kk.Relu(), False, 1.0)
        return ks.RecipeSpace(ArchitectureList({"net": network}), learning_rate=(0.01, 0.3))


class TestRestricted(SpaceTests):
    draws = 20

    @pytest.fixture
    def space(self):
        names = [candidate.name for candidate in ks.NasBench201(1).sample(300, seed=0)]
        return ks.RestrictedSpace(ks.NasBench201(1), names)


class TestList(SpaceTests):
    draws = 8

    @pytest.fixture
    def space(self):
        networks = {f"net {n}": build(n, kk.Relu(), False, 1.0) for n in range(1, 9)}
        return ArchitectureList(networks)

    def test_a_candidate_takes_its_own_network_along_and_no_other(self, space):
        size = len(pickle.dumps(ArchitectureList({"net 1": space.networks["net 1"]})))
        candidate = space.candidate("net 1")
        sent = pickle.dumps(candidate)
        assert len(sent) < size + 300  # names of classes, and the digest of the whole list
        received = pickle.loads(sent)
        assert (received, received.space) == (candidate, space)
        assert hash(received) == hash(candidate)
        assert received.architecture == candidate.architecture
        assert received.space.size() == 1
        assert space.size() == 8
        assert pickle.loads(pickle.dumps(space)).size() == 8
        other = ArchitectureList({**space.networks, "net 2": space.networks["net 3"]})
        assert other.candidate("net 1") != candidate


ALL = {one.__name__ for one in abilities.ABILITIES}


@pytest.mark.parametrize(
    ("space", "lacking"),
    [
        (ks.NasBench201(1), {"Reciped"}),
        (ks.NasBench101(), {"Slotted", "Reciped"}),
        (ks.NatsSize(), {"Slotted", "Reciped"}),
        (FINITE, {"Slotted", "Reciped"}),
        (OWN, {"Enumerable", "Slotted", "Reciped"}),
        (ks.MacroSpace(), {"Enumerable", "Slotted", "Reciped"}),
        (ks.GraphSpace(("skip_connect", "conv_1x1"), 3), {"Distributed", "Slotted", "Reciped"}),
        (ks.DartsSpace(), {"Slotted", "Reciped"}),
        (RECIPES, {"Enumerable", "Neighbouring"}),
        (ks.RecipeSpace(FINITE, epochs=[1, 2]), {"Slotted"}),
        (ks.RecipeSpace(ArchitectureList({"net": kk.serial(kk.Dense())}), epochs=[1]), {"Slotted"}),
        (ArchitectureList({"net": build(1, kk.Relu(), False, 1.0)}), ALL - {"Enumerable"}),
    ],
    ids=lambda of: getattr(of, "name", ""),
)
def test_a_space_has_these_abilities_of_which_none_is_skipped_unseen(space, lacking):
    assert {
        one.__name__ for one in abilities.ABILITIES if abilities.has(space, one)
    } == ALL - lacking


class Wrong(ks.NasBench201):
    """A space of which one thing is wrong."""

    wrong = ""

    def mutate(self, candidate, rng):
        return candidate if self.wrong == "mutate" else super().mutate(candidate, rng)

    def neighbours(self, candidate):
        near = super().neighbours(candidate)
        return [n for n in near if n.name > candidate.name] if self.wrong == "neighbours" else near

    def sample(self, n, seed=0):
        drawn = super().sample(n, seed)
        if self.wrong == "sample":
            random.shuffle(drawn)
        return [drawn[0]] * n if self.wrong == "repeats" else drawn

    def cover(self, image_shape):
        return [] if self.wrong == "cover" else super().cover(image_shape)

    def candidate(self, given):
        if self.wrong == "text" and isinstance(given, str) and "|" not in given:
            raise ValueError("two\nlines")
        return super().candidate(given)

    def __reduce__(self):
        if self.wrong == "pickle":
            raise TypeError("cannot be pickled")
        return super().__reduce__()


@pytest.mark.parametrize(
    ("wrong", "test", "more"),
    [
        ("mutate", "test_mutation_stays_inside_and_changes", ()),
        ("neighbours", "test_neighbours_are_neighbours_of_each_other", ()),
        ("sample", "test_equal_seeds_give_equal_draws", ()),
        ("repeats", "test_draws_are_different_networks", ()),
        ("cover", "test_the_cover_holds_the_draws", ()),
        ("text", "test_bad_text_is_refused_in_a_line", ("no such candidate",)),
        ("pickle", "test_candidates_and_space_are_pickled", ()),
    ],
)
def test_a_wrong_space_fails_where_it_is_wrong(wrong, test, more):
    kind = type("WrongHere", (Wrong,), {"wrong": wrong, "__module__": __name__})
    suite = SpaceTests()
    suite.draws = 5
    getattr(suite, test)(ks.NasBench201(cells_per_stage=1), *more)
    with pytest.raises((AssertionError, ValueError, TypeError)):
        getattr(suite, test)(kind(cells_per_stage=1), *more)
