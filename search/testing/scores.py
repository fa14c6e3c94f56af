"""What every score has to do, as tests: derive a class from :class:`ScoreTests` in yours."""

from __future__ import annotations

import json
import math
import pickle
from collections.abc import Sequence
from pathlib import Path

import pytest

from kernas.kernels import Architecture
from kernas.search.evaluation import Evaluator
from kernas.search.pipeline import rank
from kernas.search.runs.outcome import Outcome
from kernas.search.scores import Cost, Score
from kernas.search.scores.base import by_source
from kernas.search.spaces import ArchitectureList, Candidate

BROKEN = "a network that cannot be built"


class ScoreTests:
    """Tests of some scores on some candidates, which the fixtures ``scores`` and ``candidates``
    give.

    Attributes:
        means: names of scores that are means, and have a standard error.

    Example::

        class TestMyScore(ScoreTests):
            @pytest.fixture
            def scores(self):
                return [MyScore(images)]

            @pytest.fixture
            def candidates(self):
                return my_space.sample(4)
    """

    means: tuple[str, ...] = ()

    @pytest.fixture
    def scores(self) -> Sequence[Score]:
        """The scores, all of one kind; override it."""
        raise NotImplementedError("override the fixture scores")

    @pytest.fixture
    def candidates(self) -> Sequence[Candidate]:
        """Three candidates or more that the scores take; override it."""
        raise NotImplementedError("override the fixture candidates")

    @pytest.fixture
    def others(self) -> Sequence[Score]:
        """Scores of the same kind with other settings, whose sources differ; none by default."""
        return []

    def test_a_score_has_a_name_a_direction_and_a_source(self, scores: Sequence[Score]) -> None:
        assert len({score.name for score in scores}) == len(scores)
        for score in scores:
            assert score.name.isprintable()
            assert score.name == score.name.strip() != ""
            assert isinstance(score.higher_is_better, bool)
            assert isinstance(score.source.name, str)

    def test_settings_are_json_and_decide_the_key(
        self, scores: Sequence[Score], others: Sequence[Score]
    ) -> None:
        for score in (*scores, *others):
            source = score.source
            assert json.loads(json.dumps(source.settings(), allow_nan=False)) == source.settings()
            again = pickle.loads(pickle.dumps(score)).source
            assert again == source == score.source
            assert hash(again) == hash(source)
            assert again.key == source.key
        keys = {source.key for source, _ in by_source((*scores, *others))}
        assert len(keys) == len(by_source((*scores, *others)))
        for score in others:
            assert all(score.source != mine.source for mine in scores)

    def test_every_score_has_a_finite_value_or_a_reason(
        self, scores: Sequence[Score], candidates: Sequence[Candidate]
    ) -> None:
        for outcome in _outcomes(scores, candidates):
            assert outcome.message == ""
            assert outcome.status in ("ok", "degenerate")
            for value in outcome.values.values():
                assert math.isfinite(value.value)
                assert value.standard_error is None or value.standard_error >= 0
        found = _values(scores, candidates)
        for score in scores:
            assert any(score.name in values for values in found)

    def test_a_mean_has_an_error(
        self, scores: Sequence[Score], candidates: Sequence[Candidate]
    ) -> None:
        for values in _values(scores, candidates):
            for name in self.means:
                assert name not in values or values[name][1] is not None

    def test_values_do_not_depend_on_what_came_before(
        self, scores: Sequence[Score], candidates: Sequence[Candidate]
    ) -> None:
        forth = _values(scores, candidates)
        assert _values(scores, candidates[::-1]) == forth[::-1]
        assert _values(scores, [candidates[1]]) == [forth[1]]

    def test_values_are_the_same_after_pickling(
        self, scores: Sequence[Score], candidates: Sequence[Candidate]
    ) -> None:
        copies = pickle.loads(pickle.dumps((tuple(scores), tuple(candidates))))
        assert _values(*copies) == _values(scores, candidates)

    def test_preparing_changes_no_value(
        self, scores: Sequence[Score], candidates: Sequence[Candidate]
    ) -> None:
        families = list(dict.fromkeys(candidate.family for candidate in candidates))
        for source, members in by_source(scores):
            prepared = source.prepare(families, members)
            assert prepared == source
            assert prepared.key == source.key
            assert pickle.loads(pickle.dumps(prepared)) == source
        ready = Evaluator.of(scores).prepared(candidates)
        assert _of(ready, candidates) == _values(scores, candidates)

    def test_candidates_of_one_work_have_one_value(
        self, scores: Sequence[Score], candidates: Sequence[Candidate]
    ) -> None:
        for source, _ in by_source(scores):
            for candidate in candidates:
                again = pickle.loads(pickle.dumps(candidate))
                assert source.work_key(candidate) == source.work_key(again)
        by_work: dict[tuple[str, str], object] = {}
        for outcome in _outcomes(scores, candidates):
            values = _plain(outcome)
            assert by_work.setdefault(outcome.place, values) == values

    def test_a_cost_is_not_negative(
        self, scores: Sequence[Score], candidates: Sequence[Candidate]
    ) -> None:
        for source, members in by_source(scores):
            cost = source.cost(candidates[0], members)
            assert isinstance(cost, Cost)
            assert cost.pairs >= 0
            assert cost.seconds is None or cost.seconds >= 0

    def test_a_candidate_that_cannot_be_built_is_a_row(
        self, scores: Sequence[Score], candidates: Sequence[Candidate]
    ) -> None:
        broken = Candidate(_Broken({}), BROKEN, BROKEN)
        ranking = rank([broken, candidates[0]], scores, progress=False)
        (row,) = [row for row in ranking if row.name == BROKEN]
        assert row.status == "error"
        assert BROKEN in row.message
        assert row.values == {}

    def test_a_run_that_is_resumed_ends_with_the_same_bytes(
        self, scores: Sequence[Score], candidates: Sequence[Candidate], tmp_path: Path
    ) -> None:
        whole = rank(candidates, scores, output=tmp_path / "whole", progress=False)
        rank(candidates, scores, output=tmp_path / "cut", progress=False)
        results = tmp_path / "cut" / "results.jsonl"
        results.write_bytes(results.read_bytes().splitlines(keepends=True)[0])
        again = rank(candidates, scores, output=tmp_path / "cut", resume=True, progress=False)
        assert again == whole
        for name in ("ranking.csv", "config.json"):
            there = (tmp_path / "whole" / name).read_bytes()
            assert (tmp_path / "cut" / name).read_bytes() == there


class _Broken(ArchitectureList):
    """A space whose candidates cannot be built."""

    def architecture(self, genotype: str) -> Architecture:
        raise RuntimeError(BROKEN)


def _outcomes(scores: Sequence[Score], candidates: Sequence[Candidate]) -> list[Outcome]:
    return _run(Evaluator.of(scores), candidates)


def _run(evaluator: Evaluator, candidates: Sequence[Candidate]) -> list[Outcome]:
    return [
        evaluator.begin(item)() for candidate in candidates for item in evaluator.items(candidate)
    ]


def _values(
    scores: Sequence[Score], candidates: Sequence[Candidate]
) -> list[dict[str, tuple[float, float | None]]]:
    """Of each candidate by score its value and error."""
    return _of(Evaluator.of(scores), candidates)


def _of(
    evaluator: Evaluator, candidates: Sequence[Candidate]
) -> list[dict[str, tuple[float, float | None]]]:
    found: list[dict[str, tuple[float, float | None]]] = []
    for candidate in candidates:
        values: dict[str, tuple[float, float | None]] = {}
        for outcome in _run(evaluator, [candidate]):
            values.update(_plain(outcome))
        found.append(values)
    return found


def _plain(outcome: Outcome) -> dict[str, tuple[float, float | None]]:
    return {name: (v.value, v.standard_error) for name, v in outcome.values.items()}
