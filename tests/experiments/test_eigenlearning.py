"""The record of eigenlearning says what its page says, and follows from its own curves."""

import json
from pathlib import Path

import eigenlearning
import numpy as np
import pytest

FOLDER = Path(eigenlearning.__file__).parent


@pytest.fixture(scope="module")
def record():
    return json.loads((FOLDER / "eigenlearning.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def page():
    return (FOLDER.parent / "docs" / "learnability.md").read_text(encoding="utf-8")


def curve(predicted, measured, name="circle"):
    numbers = {"predicted": predicted, "measured": measured, "standard_error": [0.1] * 3}
    return {"set": name, "depth": 1, "case": "no ridge", "level": 2, **numbers}


def test_deviations_are_of_the_measured_errors():
    curves = [curve([9.0, 1.0, 3.0], [1.0, 1.0, 2.0]), curve([1.0, 0.5, 1.0], [1.0, 1.0, 1.0], "b")]
    found = eigenlearning.deviations(curves, (16, 32, 64))
    assert found["median_by_n"] == {16: 4.0, 32: 0.25, 64: 0.25}
    assert found["median"] == 0.25  # of 0, 0.5, 0.5 and 0, from 32 points on
    assert found["median_standard_error"] == pytest.approx(0.1)
    largest = found["largest"]
    assert (largest["set"], largest["n"], largest["deviation"]) == ("circle", 64, 0.5)


def test_the_record_follows_from_its_curves(record):
    sizes, curves = record["settings"]["sizes"], record["curves"]
    again = json.loads(json.dumps(eigenlearning.deviations(curves, sizes)))
    assert again["largest"] == record["all"]["largest"]
    for name in ("median", "median_standard_error"):
        assert again[name] == pytest.approx(record["all"][name])
    setting = json.loads(json.dumps(vars(eigenlearning.SETTINGS["small"])))
    assert {name: record["settings"][name] for name in setting} == setting
    levels = 3
    assert len(curves) == 3 * len(setting["depths"]) * len(eigenlearning.CASES) * levels


def test_the_page_has_the_recorded_deviations(record, page):
    of_all, by_n = record["all"], record["all"]["median_by_n"]
    assert f"predicted from measured errors is {of_all['median']:.1%}" in page
    assert f"{by_n['16']:.1%} of 16 points" in page
    assert f"and {by_n['256']:.1%} of 256. On" in page
    assert f"largest of all is {of_all['largest']['deviation']:.0%}, **on the circle" in page
    wave = ("circle", "no ridge, no noise", 2)
    low = [of for of in record["curves"] if (of["set"], of["case"], of["level"]) == wave]
    ratios = np.array([np.divide(of["measured"], of["predicted"])[1:] for of in low])
    assert f"{ratios.min():.1f} to {ratios.max():.1f}\n  times those" in page


def test_the_page_has_the_published_circle(record, page):
    waves = record["published_circle"]["waves"].values()
    too_high = np.concatenate(
        [np.subtract(*(of["learnability"][name] for name in ("predicted", "measured")))
         for of in waves]
    )  # fmt: skip
    assert f"{too_high.min():.2f} to {too_high.max():.2f} too high" in page
    ratios = [np.divide(of["error"]["measured"], of["error"]["predicted"]) for of in waves]
    assert f"up to {np.max(ratios):.1f} times those predicted" in page
