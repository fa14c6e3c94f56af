"""What a ranking will take, said before."""

from dataclasses import replace

import numpy as np
import pytest

import kernas.kernels as kk
import kernas.search as ks
from kernas.errors import ArchitectureError, RunFolderError
from kernas.search.ranking import estimate as module
from kernas.search.scores.base import as_candidate
from kernas.search.scores.kernel_cost import cost_of_kernel

SPACE = ks.NasBench201(cells_per_stage=1)
CANDIDATES = SPACE.sample(6, seed=0)
CELL = "|nor_conv_3x3~0|+|skip_connect~0|avg_pool_3x3~1|+|none~0|nor_conv_1x1~1|skip_connect~2|"
DENSE = kk.serial(kk.Flatten(), kk.Dense(), kk.Relu(), kk.Dense())


def images(n, side=4, seed=0):
    x = np.random.default_rng(seed).standard_normal((n, side, side, 1))
    return kk.Dataset(x, np.arange(n) % 2, ("a", "b"), name="noise")


def test_networks_that_are_equal_or_done_do_not_count(fake_score, tmp_path):
    again = [replace(CANDIDATES[0], name="again")]
    chosen = [*CANDIDATES, *again]
    whole = ks.estimate_ranking(chosen, fake_score())
    assert whole == ks.RankingEstimate(7, 6, 0, 18, 3.0, 7.0 + 6 * 2.0)
    two = ks.estimate_ranking(chosen, [fake_score(), fake_score(name="other")])
    assert (two.pairs, two.seconds) == (36, 3.0)

    def interrupted(architecture):
        if architecture.hash == CANDIDATES[4].architecture.hash:
            raise KeyboardInterrupt
        return None

    score = fake_score()
    object.__setattr__(score.source, "action", interrupted)
    with pytest.raises(KeyboardInterrupt):
        ks.rank(chosen, score, output=tmp_path, progress=False)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    rest = ks.estimate_ranking(chosen, fake_score(), output=tmp_path, resume=True)
    assert rest == ks.RankingEstimate(7, 2, 4, 6, 1.0, 7.0 + 2 * 2.0)
    with pytest.raises(RunFolderError, match="--resume"):
        ks.estimate_ranking(chosen, fake_score(), output=tmp_path)
    with pytest.raises(RunFolderError, match="a run only grows"):
        ks.estimate_ranking(chosen[:2], fake_score(), output=tmp_path, resume=True)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before
    ks.rank(chosen, fake_score(), output=tmp_path, resume=True, progress=False)
    done = ks.estimate_ranking(chosen, fake_score(), output=tmp_path, resume=True)
    assert (done.networks, done.most_seconds) == (0, 0)
    assert str(done) == "7 candidates: all are evaluated already"


def test_nothing_is_evaluated_or_written(fake_score, tmp_path):
    score = fake_score()
    ks.estimate_ranking(CANDIDATES, score, output=tmp_path / "run")
    assert score.source.calls == []
    assert list(tmp_path.iterdir()) == []


def test_some_networks_stand_for_many(fake_score, monkeypatch):
    monkeypatch.setattr(module, "MOST_PLANNED", 2)
    estimate = ks.estimate_ranking(CANDIDATES, fake_score())
    assert estimate == ks.RankingEstimate(6, 6, 0, 18, 3.0, 7.0 + 6 * 2.0)


def test_it_is_one_line():
    text = str(ks.RankingEstimate(100, 97, 0, 97 * 51275, 160.0, 45.0))
    assert text == (
        "100 candidates (97 different networks) × 51,275 pairs: about 2.7 min on this machine, and "
        "up to 45.0 s of compilation, less if programs are in the cache"
    )
    assert "(90 different networks, 7 more are done)" in str(
        ks.RankingEstimate(100, 90, 7, 90, 1.0, 1.0)
    )
    unknown = str(ks.RankingEstimate(2, 2, 0, 20, None, 0.0))
    assert (
        unknown == "2 candidates (2 different networks) × 10 pairs: how long they take is not known"
    )


def test_a_network_that_fails_takes_nothing(fake_score):
    fit = images(6)
    large = kk.serial(kk.Conv(7, padding="VALID"), kk.Flatten(), kk.Dense())
    score = ks.KernelScore(fit, metric="evidence")
    with pytest.raises(ArchitectureError):
        score.source.cost(as_candidate(large), [score])
    both = ks.estimate_ranking({"large": large, "dense": DENSE}, score)
    alone = ks.estimate_ranking({"dense": DENSE}, score)
    assert (both.networks, both.pairs) == (2, alone.pairs)
    assert both.seconds == alone.seconds


def test_pairs_are_those_of_the_matrices_and_of_the_reference_images():
    def cost(network, n, m, n_reference=4):
        return cost_of_kernel(kk.NeuralKernel(network), (4, 4, 1), n, m, n_reference)

    assert cost(DENSE, 10, 0).pairs == 55
    assert cost(DENSE, 10, 7).pairs == 55 + 70
    plain, centred = (ks.NasBench201(1, center).architecture(CELL) for center in (False, True))
    # Streams take the pairs with reference images from their records, which cost more.
    assert cost(plain, 10, 7).pairs == cost(centred, 10, 7).pairs == 125
    # At these numbers 10 + 13 · 4 of the 125 pairs are with reference images.
    per_pair = kk.NeuralKernel(centred).plan((4, 4, 1)).seconds
    many, few = (cost(centred, 10, 7, r).seconds for r in (4, 1))
    assert many is not None
    assert few is not None
    more = many - few
    assert more == pytest.approx(0.5 * (62 - 17) * per_pair)
    planes = kk.serial(kk.Conv(3), kk.Normalize(), kk.Relu(), kk.GlobalAvgPool(), kk.Dense())
    assert kk.NeuralKernel(planes).plan((4, 4, 1)).blocking.way != "stream"
    assert cost(planes, 10, 7).pairs == 125 + 16 + 17 * 4


def test_streams_compile_once_for_all_and_others_each_for_itself():
    fit = images(6, side=4)
    (score,) = ks.parse_scores("ntk:evidence", fit)
    cells = SPACE.sample(3, seed=0)
    one = ks.estimate_ranking(cells[:1], score).compile_seconds
    assert one < ks.estimate_ranking(cells, score).compile_seconds < 2 * one
    deeper = kk.serial(kk.Flatten(), *[kk.Dense(), kk.Relu()] * 2, kk.Dense())
    both = ks.estimate_ranking([DENSE, deeper], score).compile_seconds
    each = [ks.estimate_ranking([network], score).compile_seconds for network in (DENSE, deeper)]
    assert both == pytest.approx(sum(each))


def test_matrices_that_are_kept_take_nothing(tmp_path):
    fit, validation = images(6), images(4, seed=1)
    scores = [
        ks.KernelScore(fit, validation, get="ntk", metric=metric, grams=tmp_path)
        for metric in ("evidence", "validation_error")
    ]
    source = scores[0].source
    before = source.cost(as_candidate(DENSE), scores)
    assert before.pairs == 21 + 24
    ks.evaluate_scores(DENSE, scores)
    assert source.cost(as_candidate(DENSE), scores) == ks.Cost()
    assert source.cost(as_candidate(DENSE), scores[:1]) == ks.Cost()
    other = replace(scores[0], get="nngp")
    assert other.source.cost(as_candidate(DENSE), [other]).pairs == 21
    (tile,) = (path for path in tmp_path.rglob("validation/ntk/c/*/*") if path.is_file())
    tile.write_bytes(tile.read_bytes()[:-1])
    assert source.cost(as_candidate(DENSE), scores) == before


def test_of_neural_tangents_no_time_is_known():
    score = ks.KernelScore(images(6), metric="evidence", backend="neural-tangents")
    estimate = ks.estimate_ranking([DENSE], score)
    assert (estimate.pairs, estimate.seconds, estimate.most_seconds) == (21, None, 0)
