"""What every strategy has to do, as tests: derive a class from :class:`StrategyTests` in yours."""

from __future__ import annotations

import pickle
import zlib
from collections.abc import Sequence

import pytest

from kernas.errors import ConfigurationError
from kernas.kernels import Dense, Flatten, serial
from kernas.search.spaces import ArchitectureList, Candidate, Space
from kernas.search.strategies.base import ExhaustedError, Strategy, Trial, rng_of, search

LONG = 40
"""Trials of most tests."""


def value_of(candidate: Candidate) -> float | None:
    """A number that has nothing to do with the candidate; one in seven has none."""
    digest = zlib.crc32(candidate.name.encode())
    return None if digest % 7 == 0 else digest / 2**32


class StrategyTests:
    """Tests of one strategy on one space, which the fixtures give.

    Example::

        class TestMyStrategy(StrategyTests):
            @pytest.fixture
            def strategy(self):
                return MyStrategy()

            @pytest.fixture
            def space(self):
                return my_space
    """

    @pytest.fixture
    def strategy(self) -> Strategy:
        """The strategy; override it."""
        raise NotImplementedError("override the fixture strategy")

    @pytest.fixture
    def space(self) -> Space:
        """A space that it searches; override it."""
        raise NotImplementedError("override the fixture space")

    def test_it_has_a_name_of_a_line(self, strategy: Strategy) -> None:
        assert strategy.name.isprintable()
        assert strategy.name == strategy.name.strip() != ""

    def test_it_proposes_candidates_of_the_space(self, strategy: Strategy, space: Space) -> None:
        for trial in search(strategy, space, value_of, LONG):
            assert space.candidate(trial.candidate.name) == trial.candidate

    def test_equal_seeds_propose_equally(self, strategy: Strategy, space: Space) -> None:
        one, again = (search(strategy, space, value_of, LONG, seed=5) for _ in range(2))
        assert one == again

    @pytest.mark.parametrize("cut", [0, 1, LONG // 2, LONG - 1])
    def test_a_replayed_history_goes_on_as_if_it_had_not_been_cut(
        self, strategy: Strategy, space: Space, cut: int
    ) -> None:
        """The fold equals the replay, of trials that failed too."""
        whole = search(strategy, space, value_of, LONG, seed=3)
        course = pickle.loads(pickle.dumps(strategy)).begin(space, 3)
        for trial in whole[:cut]:
            course.tell(trial)
        for trial in whole[cut:]:
            assert course.propose(rng_of(3, trial.number)) == trial.candidate
            course.tell(trial)

    def test_what_follows_a_history_is_a_function_of_it(
        self, strategy: Strategy, space: Space
    ) -> None:
        whole = search(strategy, space, value_of, LONG, seed=1)
        for cut in range(0, len(whole), 9):
            assert strategy.propose(space, whole[:cut], seed=1) == whole[cut].candidate

    def test_it_goes_on_beside_trials_that_have_not_ended(
        self, strategy: Strategy, space: Space
    ) -> None:
        """Several at a time, which end out of order."""
        history: list[Trial] = []
        running: list[Candidate] = []
        for number in range(LONG):
            try:
                running.append(strategy.propose(space, history, seed=2, running=running))
            except ExhaustedError:
                break
            if len(running) == 3:
                ended = running.pop(number % 3)
                history.append(Trial(number, ended, value_of(ended)))
        assert len(history) > LONG // 2

    def test_nothing_but_failures_is_no_end(self, strategy: Strategy, space: Space) -> None:
        trials = search(strategy, space, lambda candidate: None, LONG)
        assert len(trials) == LONG

    def test_a_space_without_its_abilities_is_refused_by_name(self, strategy: Strategy) -> None:
        bare = ArchitectureList({"one": serial(Flatten(), Dense())})
        if not strategy.abilities:
            assert strategy.propose(bare, []) == bare.candidate("one")
            return
        with pytest.raises(ConfigurationError, match=strategy.abilities[0].__name__):
            strategy.begin(bare)

    def test_it_does_not_look_at_more_than_it_is_told(
        self, strategy: Strategy, space: Space
    ) -> None:
        """Values of what comes later change nothing before."""
        other: Sequence[Trial] = search(
            strategy, space, lambda c: None if (v := value_of(c)) is None else 1 - v, 5, seed=4
        )
        assert other[0].candidate == search(strategy, space, value_of, 1, seed=4)[0].candidate
