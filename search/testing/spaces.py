"""What every space has to do, as tests: derive a class from :class:`SpaceTests` in yours."""

from __future__ import annotations

import json
import pickle
import random
from collections.abc import Hashable, Sequence
from itertools import islice, pairwise
from typing import Any

import numpy as np
import pytest

from kernas.errors import KernasError
from kernas.kernels.architecture import filled
from kernas.search.spaces import Candidate, Family, Space, abilities, space_from_text
from kernas.search.spaces.base import repeated_name
from kernas.search.spaces.operations import Items, needs, needs_of
from kernas.search.spaces.registry import SPACES
from kernas.search.training import TrainingSettings

DRAWS = 8
"""Candidates that most tests look at."""

ENUMERATED = 20_000
"""Genotypes that are looked at; of a larger space the first ones."""

BAD_TEXTS = ("", "no such candidate", "=", "|", ";", "x=1,,", "9" * 5000, "\x00\n")


class SpaceTests:
    """Tests of one space, which the fixture ``space`` gives; abilities that it lacks are skipped.

    Attributes:
        image_shape: of the images, or of the rows of a table, on which the cover is tested.
        draws: candidates whose operations the cover is to hold.

    Example::

        class TestMySpace(SpaceTests):
            @pytest.fixture
            def space(self):
                return my_space
    """

    image_shape: tuple[int, ...] = (8, 8, 3)
    draws = 100

    @pytest.fixture
    def space(self) -> Space:
        """The space; override it."""
        raise NotImplementedError("override the fixture space")

    def test_names_and_genotypes_are_one(self, space: Space) -> None:
        for candidate in space.sample(DRAWS):
            assert isinstance(candidate.genotype, Hashable)
            assert candidate.name.isprintable()
            assert candidate.name == candidate.name.strip() != ""
            assert candidate.space == space.whole
            for given in (candidate.name, candidate.genotype):
                again = space.candidate(given)
                assert again == candidate
                assert hash(again) == hash(candidate)
                assert again.key == candidate.key
                assert again.family == candidate.family

    def test_a_space_with_a_text_is_made_of_it_again(self, space: Space) -> None:
        assert space.text.isprintable()
        if space.text == space.name and space.name not in SPACES:
            one_line(lambda: space_from_text(space.text))  # in no module: no text names it
            return
        again = space_from_text(space.text)
        assert again == space
        assert again.text == space.text

    def test_equal_seeds_give_equal_draws(self, space: Space) -> None:
        drawn = space.sample(DRAWS, seed=1)
        assert drawn == space.sample(DRAWS, seed=1)
        assert drawn[:2] == space.sample(2, seed=1)
        assert any(drawn != space.sample(DRAWS, seed=seed) for seed in range(2, 6))

    def test_draws_are_different_networks(self, space: Space) -> None:
        drawn = space.sample(DRAWS)
        assert len(drawn) == DRAWS
        assert repeated_name(drawn) is None
        assert len({(c.key, *abilities.chosen_recipe(c).items()) for c in drawn}) == DRAWS

    @pytest.mark.parametrize("n", [0, -1])
    def test_no_draws_are_refused(self, space: Space, n: int) -> None:
        one_line(lambda: space.sample(n))

    def test_networks_take_the_shape_that_the_space_takes(self, space: Space) -> None:
        space.check_shape(self.image_shape)
        for candidate in space.sample(DRAWS):
            if candidate.failure is None:
                candidate.architecture.shapes(self.image_shape)

    @pytest.mark.parametrize("shape", [(), (0, 8, 3), (0, 3), (4, 4, 4, 4)])
    def test_what_is_no_shape_is_refused(self, space: Space, shape: tuple[int, ...]) -> None:
        one_line(lambda: space.check_shape(shape))

    def test_the_cover_holds_the_draws(self, space: Space) -> None:
        held: dict[Family, Items] = {}
        for candidate in space.sample(self.most(space)):
            if candidate.failure is not None:
                continue
            family = candidate.family
            if family not in held:
                held[family] = needs_of(family.cover(self.image_shape), self.image_shape)
            assert needs(candidate.architecture, self.image_shape) <= held[family], candidate.name

    @pytest.mark.parametrize("text", BAD_TEXTS)
    def test_bad_text_is_refused_in_a_line(self, space: Space, text: str) -> None:
        one_line(lambda: space.candidate(text))

    def test_candidates_and_space_are_pickled(self, space: Space) -> None:
        assert pickle.loads(pickle.dumps(space)) == space
        for candidate in space.sample(3):
            again = pickle.loads(pickle.dumps(candidate))
            assert again == candidate
            assert again.key == candidate.key
            assert again.family == candidate.family
            assert hash(again.family) == hash(candidate.family)

    def test_settings_are_json_and_name_the_space(self, space: Space) -> None:
        assert json.loads(json.dumps(space.settings()))["name"] == space.name

    def test_enumeration_has_every_genotype_once(self, space: Space) -> None:
        able = able_to(space, abilities.Enumerable)
        size = able.size()
        found = list(islice(able.enumerate(), ENUMERATED))
        assert len(found) == len(set(found)) == min(size, ENUMERATED)
        if size <= ENUMERATED:
            assert set(space.sample(DRAWS)) <= set(found)

    def test_mutation_stays_inside_and_changes(self, space: Space) -> None:
        able, rng = able_to(space, abilities.Mutable), random.Random(0)
        for candidate in space.sample(DRAWS):
            for _ in range(5):
                changed = able.mutate(candidate, rng)
                inside(space, changed)
                assert changed.genotype != candidate.genotype
        first = space.sample(1)[0]
        assert able.mutate(first, random.Random(7)) == able.mutate(first, random.Random(7))

    def test_neighbours_are_neighbours_of_each_other(self, space: Space) -> None:
        able = able_to(space, abilities.Neighbouring)
        for candidate in space.sample(3):
            near = able.neighbours(candidate)
            assert len(near) == len(set(near))
            assert candidate not in near
            for other in near:
                inside(space, other)
                assert candidate in able.neighbours(other)

    def test_children_stay_inside(self, space: Space) -> None:
        able, rng = able_to(space, abilities.Crossing), random.Random(0)
        drawn = space.sample(DRAWS)
        for first, second in pairwise(drawn):
            inside(space, able.crossover(first, second, rng))
            assert able.crossover(first, first, rng) == first

    def test_codes_are_equally_long_and_tell_candidates_apart(self, space: Space) -> None:
        able = able_to(space, abilities.Encoded)
        drawn = space.sample(DRAWS)
        codes = np.array([able.encode(candidate) for candidate in drawn])
        assert codes.ndim == 2
        assert codes.dtype == np.float64
        assert np.all((codes >= 0) & (codes <= 1))
        assert len({code.tobytes() for code in codes}) == len({c.genotype for c in drawn})

    def test_suggested_values_make_candidates(self, space: Space) -> None:
        able, rng = able_to(space, abilities.Distributed), random.Random(0)
        distributions = able.distributions()
        for _ in range(DRAWS):
            values = {name: suggested(of, rng) for name, of in distributions.items()}
            candidate = able.candidate_of(values)
            inside(space, candidate)
            assert able.candidate_of(values) == candidate
            assert able.candidate_of(able.values_of(candidate)) == candidate
        one_line(lambda: able.candidate_of({}))
        drawn = {name: suggested(of, rng) for name, of in distributions.items()}
        one_line(lambda: able.candidate_of({**drawn, "no such name": 1}))

    def test_filled_templates_are_the_networks(self, space: Space) -> None:
        able = able_to(space, abilities.Slotted)
        for candidate in space.sample(DRAWS):
            network = filled(able.template(candidate), able.slots(candidate))
            assert network.hash == candidate.key

    def test_recipes_are_of_trainings_and_recorded(self, space: Space) -> None:
        able = able_to(space, abilities.Reciped)
        for candidate in space.sample(DRAWS):
            chosen = able.recipe(candidate)
            assert json.loads(json.dumps(chosen)) == chosen
            TrainingSettings().chosen(chosen)

    def most(self, space: Space) -> int:
        """How many candidates are drawn for the cover, of a small space fewer."""
        if not abilities.has(space, abilities.Enumerable):
            return self.draws
        able = abilities.require(space, abilities.Enumerable)
        if able.size() > 10 * self.draws:
            return self.draws
        return min(self.draws, len({candidate.key for candidate in able.enumerate()}))


def able_to(space: Space, ability: type) -> Any:
    """The space, if it has an ability; otherwise the test is skipped, and asking is refused."""
    if not abilities.has(space, ability):
        one_line(lambda: abilities.require(space, ability))
        pytest.skip(f"{space.name} is not {ability.__name__}")
    return abilities.require(space, ability)


def inside(space: Space, candidate: Candidate) -> None:
    """Assert that a candidate is one of the space's."""
    assert candidate.space == space.whole
    assert space.candidate(candidate.name) == candidate
    assert space.candidate(candidate.genotype) == candidate


def one_line(call: Any) -> None:
    """Assert that a call ends in one error of kernas, of one line."""
    with pytest.raises(KernasError) as refused:
        call()
    assert str(refused.value)
    assert "\n" not in str(refused.value)


def suggested(of: Sequence[Any], rng: random.Random) -> Any:
    """A value of a distribution."""
    return rng.uniform(*of) if isinstance(of, tuple) else rng.choice(of)
