"""Truths of whole spaces, predicted from a part."""

import pickle
import zlib
from typing import Any

import numpy as np
import pytest
from scipy.stats import spearmanr

import kernas.search as ks
from kernas.errors import ArchitectureError, ConfigurationError, DataError
from kernas.search.cli.app import run

TEXT = "nasbench201:cells=1"
SPACE = ks.space_from_text(TEXT)
CELLS = SPACE.sample(150, seed=0)


def value(candidate):
    """What is measured: one 3×3 convolution is worth two others, and noise."""
    rng = np.random.default_rng(zlib.crc32(candidate.name.encode()))
    worth = 2 * candidate.name.count("nor_conv_3x3") + candidate.name.count("skip")
    return float(worth + 0.1 * rng.standard_normal())


@pytest.fixture(scope="module")
def surrogate():
    return ks.SurrogateTruth({one.name: value(one) for one in CELLS[:100]}, space=TEXT)


def test_it_orders_candidates_that_were_not_measured(surrogate):
    """And says beforehand how well: within three standard errors of so many candidates."""
    others = CELLS[100:]
    predicted = [surrogate[one.name] for one in others]
    result: Any = spearmanr(predicted, [value(one) for one in others])
    found = float(result.statistic)
    assert found > 0.5  # three standard errors of chance and a half
    error = (1 - found**2) * (1 / len(others) + 1 / 100) ** 0.5
    assert abs(found - surrogate.rank_correlation) < 3 * error


def test_held_out_predictions_know_nothing_of_the_candidate():
    """An outlier is predicted as the other candidates of its kind are, until it is fitted."""
    names = [one.name for one in CELLS[:40]]
    measured = {one.name: value(one) for one in CELLS[:40]}
    raised = {**measured, names[0]: 100.0}
    plain, changed = (ks.SurrogateTruth(of, space=TEXT) for of in (measured, raised))
    assert changed.held_out[names[0]] < max(measured.values())
    assert changed[names[0]] > plain[names[0]]


def test_a_prediction_is_a_value_at_a_rank(surrogate):
    low, high = min(surrogate.measured.values()), max(surrogate.measured.values())
    assert all(low <= surrogate[one.name] <= high for one in CELLS)


def test_it_has_every_candidate_and_nothing_else(surrogate):
    assert surrogate.covers(CELLS)
    assert "no cell" not in surrogate
    assert surrogate.get("no cell") is None
    assert len(list(surrogate)) == len(surrogate) == 100


def test_it_is_the_same_once_saved(surrogate, tmp_path):
    surrogate.save(tmp_path / "truth.json")
    names = [one.name for one in CELLS[95:105]]
    expected = [surrogate[name] for name in names]
    for again in (
        ks.SurrogateTruth.load(tmp_path / "truth.json"),
        ks.load_truth(tmp_path / "truth.json"),
        pickle.loads(pickle.dumps(surrogate)),
    ):
        assert [again[name] for name in names] == expected
        assert isinstance(again, ks.SurrogateTruth)
        assert again.rank_correlation == surrogate.rank_correlation


def test_a_search_by_it_sees_the_whole_space(surrogate, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    surrogate.save("truth.json")
    arguments = ["--space", TEXT, "--truth", "truth.json", "--score", "truth:truth"]
    assert run(["search", "--dataset", "digits", *arguments, "--n-trials", "12", "--quiet"]) == 0
    names = (tmp_path / "runs/search-digits-1/trials.csv").read_text()
    assert sum(name in names for name in surrogate) < 12


def test_what_is_none_is_refused(tmp_path, surrogate):
    rows = dict(surrogate.measured)
    with pytest.raises(ConfigurationError, match="without space"):
        ks.SurrogateTruth(rows)
    with pytest.raises(ConfigurationError, match="3 measured candidates: expected 10 to 3,000"):
        ks.SurrogateTruth(dict(list(rows.items())[:3]), space=TEXT)
    with pytest.raises(ArchitectureError, match="no cell"):
        ks.SurrogateTruth({**rows, "no cell": 1.0}, space=TEXT)
    path = tmp_path / "truth.json"
    surrogate.save(path)
    whole = path.read_text()
    for damaged in (whole.replace('"seed": 0', '"seed": 1'), whole[:-20], "{}"):
        path.write_text(damaged)
        with pytest.raises(DataError, match=r"cannot be read|of no names"):
            ks.load_truth(path)
