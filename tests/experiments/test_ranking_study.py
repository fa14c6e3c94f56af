"""What the ranking study's scripts make of their tables."""

import numpy as np
import pytest
import ranking_confirmation as confirmation
import ranking_costs as costs
import ranking_transfer as transfer
from pieces import Columns
from ranking_settings import KernelSetting

from kernas.search import NasBench201, Truth

SETTING = KernelSetting()
CHOICE = confirmation.SAMPLE_CHOICE
FEW, JUDGED = ({"n": 50, "n_validation": number} for number in (0, 9))
MOVED = {
    "default": {"score": "nngp:loo_error 0.01", "setting": FEW},
    "best": {
        "scores": [
            {"score": "ntk:gcv 0.001", "setting": JUDGED},
            {"score": "ntk:validation_error 0.01", "setting": JUDGED},
            {"score": "params", "setting": None},
        ]
    },
    "everything": {"scores": [{"score": "synflow", "setting": None}]},
}


@pytest.mark.parametrize(
    ("name", "sources"),
    [
        ("params", ["params"]),
        ("shared weights, fair", ["shared weights, fair"]),
        ("rms n=100 | ntk_standard:loo_error@centred 0.01", ["rms n=100 standard"]),
        ("centred | nngp:gcv 0.001", ["centred ntk"]),
        (
            "rms n=50 n_validation=200 | ntk:validation_error 0.01",
            ["rms n=50 n_validation=200 ntk"],
        ),
        ("rms n=50 n_validation=200 | ntk:evidence@cosine 0.01", ["rms n=50 ntk"]),
        ("default", ["rms n=20 ntk"]),
        ("best", ["rms n=20 ntk", "params"]),
    ],
)
def test_a_score_costs_what_has_to_be_computed_for_it(name, sources):
    assert costs.needs_for(name, CHOICE) == sources


def test_what_a_score_needs_is_among_what_the_confirmation_has_seconds_of():
    of_seconds: Columns = {
        f"{SETTING} | seconds ntk": [1.0, 3.0],
        f"{SETTING} | seconds standard": [2.0, 2.0],
        "proxies | seconds": [5.0, 7.0],
        "shared weights | seconds": [0.5, 0.5],
        "shared weights": [0.1, 0.2],
        "params": [1.0, 2.0],
    }
    taken = confirmation.seconds_of(of_seconds)
    assert taken == {"rms ntk": 2.0, "rms standard": 2.0, "proxies": 6.0, "shared weights": 0.5}
    for score in ("nngp:trace 0.01", "ntk_standard:trace 0.01"):
        assert costs.need_of(f"{SETTING} | {score}") in taken


@pytest.mark.parametrize(("side", "kept"), [(None, {"default", "best"}), (8, set(MOVED))])
def test_elsewhere_only_what_was_chosen_is_computed_and_without_needless_images(side, kept):
    where = transfer.Elsewhere({"dataset": "digits"}, Truth({}), [], NasBench201(1), side)
    own = transfer.moved(MOVED, where)
    assert set(own) == kept
    assert confirmation.kernels_in(own) == {
        KernelSetting(n=50, dataset="digits"): {"nngp:loo_error 0.01", "ntk:gcv 0.001"},
        KernelSetting(n=50, n_validation=9, dataset="digits"): {"ntk:validation_error 0.01"},
    }


def test_the_correlation_of_every_metric_has_its_direction():
    accuracy = np.arange(5.0)
    columns: Columns = {
        "rms | ntk:evidence 0.01": [0.0, 1.0, 2.0, 3.0, 4.0],
        "rms | ntk:loo_error 0.01": [5.0, 4.0, 3.0, 2.0, 1.0],
        "rms | nngp:evidence 0.01": [3.0, 2.0, 1.0, None, None],
        "rms | nngp:trace 0.01": [1.0, 1.0, 1.0, 1.0, 1.0],
        "rms | seconds ntk": [1.0, 1.0, 1.0, 1.0, 2.0],
        "centred | ntk:evidence 0.01": [4.0, 3.0, 2.0, 1.0, 0.0],
        "rms n=100 | ntk:evidence 0.01": [4.0, 3.0, 2.0, 1.0, 0.0],
        "params": [1.0, 2.0, 3.0, 4.0, 5.0],
    }
    found = confirmation.metrics(columns, accuracy)
    assert found["rms"] == {
        "ntk:evidence 0.01": 1.0,
        "ntk:loo_error 0.01": 1.0,
        "nngp:evidence 0.01": pytest.approx(-0.975, abs=1e-3),
    }
    assert found["centred"] == {"ntk:evidence 0.01": -1.0}
    assert found["rms n=50 n_validation=200"] == {}
