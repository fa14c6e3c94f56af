"""Agreement with the truth: against scipy, against definitions, ties, degenerate candidates."""

import itertools
import math
from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from sklearn.metrics import ndcg_score

import kernas.search as ks
from kernas.errors import ConfigurationError, DataError
from kernas.search.ranking import rank_statistics, statistics


def sample(n: int, noise: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed)
    truth = generator.normal(size=n)
    return truth, truth + noise * generator.normal(size=n)


def test_correlations_are_those_of_scipy():
    truth, score = sample(40, 0.7)
    score = np.round(score)  # with ties
    result = ks.agreement(truth, score.tolist(), n_resamples=10)
    assert result.spearman.value == pytest.approx(stats.spearmanr(truth, score)[0], abs=1e-12)
    assert result.kendall.value == pytest.approx(stats.kendalltau(truth, score)[0], abs=1e-12)
    assert (result.n, result.degenerate, result.failed) == (40, 0, 0)


def test_lower_is_better_turns_the_score_around():
    truth, score = sample(30, 0.5)
    up = ks.agreement(truth, score.tolist(), n_resamples=20, seed=1)
    down = ks.agreement(truth, (-score).tolist(), higher_is_better=False, n_resamples=20, seed=1)
    assert up == down


@given(st.lists(st.integers(0, 5), min_size=2, max_size=5), st.randoms())
def test_ndcg_is_the_mean_over_orders_of_ties(scores, random):
    truth = list(range(len(scores)))
    random.shuffle(truth)
    n = len(scores)
    gain = [sum(t > u for u in truth) / (n - 1) for t in truth]

    def dcg(order):
        return sum(gain[c] / math.log2(place + 2) for place, c in enumerate(order))

    best = dcg(sorted(range(n), key=lambda c: -gain[c]))
    orders = [
        order
        for order in itertools.permutations(range(n))
        if all(scores[a] >= scores[b] for a, b in itertools.pairwise(order))
    ]
    expected = np.mean([dcg(order) for order in orders]) / best
    assert ks.ndcg(np.array(truth), np.array(scores)) == pytest.approx(expected, abs=1e-12)


def test_ndcg_weighs_the_top():
    truth = np.arange(20.0)
    top_swapped, bottom_swapped = truth.copy(), truth.copy()
    top_swapped[[18, 19]] = 19, 18
    bottom_swapped[[0, 1]] = 1, 0
    assert ks.ndcg(truth, truth) == pytest.approx(1)
    assert ks.ndcg(truth, top_swapped) < ks.ndcg(truth, bottom_swapped) < 1


def test_degenerate_candidates_are_one_tie_at_the_bottom():
    truth = np.array([90.0, 80.0, 70.0, 10.0, 20.0])
    result = ks.agreement(truth, [0.9, 0.8, 0.7, None, None], n_resamples=10)
    bottom = ks.agreement(truth, [0.9, 0.8, 0.7, -5.0, -5.0], n_resamples=10)
    assert result.spearman.value == bottom.spearman.value < 1
    assert result.degenerate == 2
    reversed_ = ks.agreement(
        truth, [0.1, 0.2, 0.3, None, None], higher_is_better=False, n_resamples=10
    )
    assert reversed_.spearman == result.spearman


def test_intervals_hold_the_population_value_about_as_often_as_they_say():
    # Spearman of a bivariate normal: (6/pi) asin(rho / 2) (Kendall and Gibbons 1990, chapter 10).
    rho = 0.6
    expected = 6 / math.pi * math.asin(rho / 2)
    hits = 0
    for seed in range(40):
        generator = np.random.default_rng(seed)
        truth = generator.normal(size=60)
        score = rho * truth + math.sqrt(1 - rho**2) * generator.normal(size=60)
        interval = ks.agreement(truth, score.tolist(), n_resamples=60, seed=seed).spearman
        hits += interval.low <= expected <= interval.high
    # Binomial(40, 0.95) is below 32 with probability 1e-3; with a coverage of 0.90 rarely too.
    assert hits >= 31


def test_more_candidates_give_narrower_intervals_and_the_seed_fixes_them():
    def width(n):
        truth, score = sample(n, 1.0)
        interval = ks.agreement(truth, score.tolist(), n_resamples=100).kendall
        assert interval.low < interval.value < interval.high
        return interval.high - interval.low

    assert width(200) < width(25)
    truth, score = sample(25, 1.0)
    first, again, other = (
        ks.agreement(truth, score.tolist(), n_resamples=50, seed=seed) for seed in (0, 0, 1)
    )
    assert first == again
    assert first.spearman.value == other.spearman.value
    assert first.spearman.low != other.spearman.low


@pytest.mark.parametrize(
    ("truth", "scores"),
    [([1.0], [1.0]), ([1.0, 1.0], [1.0, 2.0]), ([1.0, 2.0], [3.0, 3.0]), ([], []), ([1.0], [None])],
)
def test_undefined_agreement_is_nan_and_null_in_json(truth, scores):
    result = ks.agreement(truth, scores, n_resamples=5)
    assert math.isnan(result.spearman.value)
    assert result.to_dict()["ndcg"] == {"value": None, "low": None, "high": None}


@pytest.mark.parametrize(
    ("truth", "scores", "words"),
    [
        ([1.0, 2.0], [1.0], "2 truths for 1 scores"),
        ([1.0, math.nan], [1.0, 2.0], "truth is not finite"),
        ([1.0, 2.0], [1.0, math.nan], "score is NaN"),
    ],
)
def test_bad_values_are_refused(truth, scores, words):
    with pytest.raises(DataError, match=words):
        ks.agreement(truth, scores)


@pytest.mark.parametrize("n", [2, 3, 5, 9])
def test_few_candidates_have_no_interval(n):
    truth, score = sample(n, 0.5)
    result = ks.agreement(truth, score.tolist())
    for interval in (result.spearman, result.kendall, result.ndcg):
        assert math.isfinite(interval.value)
        assert not interval.is_known
        assert str(interval) == f"{interval.value:.3f} [–]"
    assert result.to_dict()["kendall"]["low"] is None
    assert result.to_dict()["kendall"]["value"] == result.kendall.value


def test_resamples_that_say_one_thing_or_nothing_give_no_interval():
    """A perfect order, a reversed one, and scores of which one candidate differs."""
    truth = np.arange(30.0)
    for score in (truth, -truth, (truth == 7).astype(float)):
        result = ks.agreement(truth, score.tolist(), n_resamples=50)
        assert not result.spearman.is_known
        assert not result.kendall.is_known
    nearly = truth.copy()
    nearly[[3, 4]] = nearly[[4, 3]]
    assert ks.agreement(truth, nearly.tolist(), n_resamples=50).spearman.is_known


def test_intervals_of_many_candidates_are_those_recorded():
    truth, score = sample(100, 0.8)
    spearman = ks.agreement(truth, score.tolist(), n_resamples=40).spearman
    found = spearman.value, spearman.low, spearman.high
    recorded = 0.8086408640864085, 0.6919538563920788, 0.8552340624490725
    assert found == pytest.approx(recorded, rel=1e-14)


@pytest.mark.slow
@pytest.mark.parametrize("n", [10, 15, 20])
@pytest.mark.parametrize("rho", [0.0, 0.5, 0.8])
def test_the_fewest_candidates_that_have_intervals_have_honest_ones(n, rho):
    """Coverage of the population's value; Binomial(150, 0.90) is rarely, 1e-3, below 122."""
    spearman, kendall = 6 / math.pi * math.asin(rho / 2), 2 / math.pi * math.asin(rho)
    hits = np.zeros(2)
    for seed in range(150):
        generator = np.random.default_rng(seed)
        truth = generator.normal(size=n)
        score = rho * truth + math.sqrt(1 - rho**2) * generator.normal(size=n)
        found = ks.agreement(truth, score.tolist(), n_resamples=200, seed=seed)
        for i, (interval, true) in enumerate(
            ((found.spearman, spearman), (found.kendall, kendall))
        ):
            hits[i] += not interval.is_known or interval.low <= true <= interval.high
    assert np.all(hits >= 122)


# --- against SciPy and scikit-learn, one resample after the other ---------------------------------


def one_by_one(truth, score, n_resamples, seed):
    """The statistics of each resample by the libraries, ``(n_resamples, 3)``."""
    generator, found = np.random.default_rng(seed), []
    for _ in range(n_resamples):
        chosen = generator.integers(0, len(truth), len(truth))
        t, s = truth[chosen], score[chosen]
        gain = (stats.rankdata(t) - 1) / (len(t) - 1)
        found.append(
            [
                stats.spearmanr(t, s)[0],
                stats.kendalltau(t, s)[0],
                ndcg_score(gain[None], stats.rankdata(s)[None]),
            ]
        )
    return np.array(found)


@pytest.mark.parametrize("ties", ["none", "of the score", "of both"])
def test_resamples_are_those_of_the_libraries(ties):
    truth, score = sample(30, 0.8)
    if ties != "none":
        score = np.round(score)
    if ties == "of both":
        truth = np.round(truth)
    found = ks.agreements(truth, {"a": score.tolist(), "b": truth.tolist()}, n_resamples=60, seed=3)
    expected = one_by_one(truth, score, 60, 3)
    for name, values in zip(("spearman", "kendall", "ndcg"), expected.T, strict=True):
        np.testing.assert_allclose(found.draws["a"][name], values, rtol=0, atol=1e-12)


def test_many_resamples_are_computed_in_parts_that_change_nothing(monkeypatch):
    truth, score = sample(20, 0.8)
    whole = ks.agreements(truth, {"a": score.tolist()}, n_resamples=50)
    monkeypatch.setattr(statistics, "RESAMPLE_ENTRIES", 7 * 20)
    monkeypatch.setattr(rank_statistics, "BLOCK_ENTRIES", 3 * 20)
    parts = ks.agreements(truth, {"a": score.tolist()}, n_resamples=50)
    assert parts == whole
    for name in statistics.STATISTICS:
        np.testing.assert_array_equal(parts.draws["a"][name], whole.draws["a"][name])


def broken(values, random):
    """The places of candidates from the best, ties in a random order."""
    return sorted(range(len(values)), key=lambda i: (-values[i], random.random()))


@pytest.mark.parametrize("seed", range(8))
def test_precision_and_regret_are_means_over_orders_of_ties(seed):
    random = Random(seed)
    scores = [random.randrange(7) for _ in range(random.randrange(12, 25))]
    truth = [random.randrange(5) + 0.5 for _ in scores]
    result = ks.agreement(truth, [float(s) for s in scores], n_resamples=10)
    k, draws = max(1, round(len(scores) / 10)), 400
    overlap, regret = [], []
    for _ in range(draws):
        by_score, by_truth = broken(scores, random), broken(truth, random)
        overlap.append(len({*by_score[:k]} & {*by_truth[:k]}) / k)
        regret.append(max(truth) - truth[by_score[0]])
    for found, values in ((result.precision.value, overlap), (result.regret.value, regret)):
        error = np.std(values) / draws**0.5
        # Five standard errors; where all of many draws say the same, one in 400 may not.
        assert abs(found - np.mean(values)) <= 5 * error + 5 / draws * max(1, max(truth))


def test_a_perfect_score_picks_the_best_and_a_reversed_one_the_worst():
    truth = np.arange(40.0)
    perfect, reversed_ = (ks.agreement(truth, (sign * truth).tolist()) for sign in (1, -1))
    assert (perfect.precision.value, perfect.regret.value) == (1, 0)
    assert (reversed_.precision.value, reversed_.regret.value) == (0, 39)


def test_differences_are_of_the_same_resamples():
    truth, score = sample(60, 1.0)
    close = (score + 1e-3 * np.random.default_rng(5).normal(size=60)).tolist()
    noise = np.random.default_rng(4).normal(size=60).tolist()
    found = ks.agreements(truth, {"score": score.tolist(), "close": close, "noise": noise})
    near, far = (found.difference("score", other) for other in ("close", "noise"))
    assert near.value == found["score"].spearman.value - found["close"].spearman.value
    assert near.low <= 0 <= near.high
    assert near.high - near.low < 0.1 * (far.high - far.low)
    assert far.low > 0
    opposite = found.difference("noise", "score")
    assert (opposite.low, opposite.high) == pytest.approx((-far.high, -far.low))
    with pytest.raises(ConfigurationError, match="'rho': expected one of spearman, kendall"):
        found.difference("score", "noise", "rho")
    with pytest.raises(ConfigurationError, match="'other': expected one of score, close, noise"):
        found.difference("score", "other")


def test_spearman_of_two_scores_is_that_of_scipy_with_ties_at_the_bottom():
    one, other = [3.0, 1.0, None, 2.0, None], [1.0, None, 5.0, 2.0, 2.0]
    expected, _ = stats.spearmanr([3, 1, -9, 2, -9], [-1, -9, -5, -2, -2])
    found = statistics.spearman(one, other, higher_is_better=(True, False))
    assert found == pytest.approx(expected)
    assert statistics.spearman(one, one) == pytest.approx(1)


def test_spearman_of_too_little_is_nan_and_of_unequal_lengths_refused():
    for one, other in (([], []), ([1.0], [2.0]), ([1.0, 1.0], [1.0, 2.0])):
        assert math.isnan(statistics.spearman(one, other))
    with pytest.raises(DataError, match="2 and 1 scores: expected two for each candidate"):
        statistics.spearman([1.0, 2.0], [1.0])
