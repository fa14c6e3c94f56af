"""Pages say what was recorded of path kernels and kernel machines; what their scripts compute."""

import json
from pathlib import Path

import kernel_machines
import numpy as np
import path_kernel
import pytest

import kernas.kernels as kk
from kernas.errors import ConfigurationError

FOLDER = Path(path_kernel.__file__).parent


@pytest.mark.parametrize("script", [path_kernel, kernel_machines], ids=lambda m: m.__name__)
def test_the_page_has_the_recorded_table(script):
    record = json.loads((FOLDER / f"{script.__name__}.json").read_text(encoding="utf-8"))
    page = FOLDER.parent / "docs" / f"{script.__name__}.md"
    assert script.as_text(record) in page.read_text(encoding="utf-8")
    assert record["setting"] == json.loads(json.dumps(vars(script.SETTINGS["small"])))


def test_the_recorded_orders_are_those_of_the_integrators():
    record = json.loads((FOLDER / "path_kernel.json").read_text(encoding="utf-8"))
    for integrator, order in (("euler", 1), ("heun", 2), ("rk4", 4)):
        assert abs(record["orders"][f"erf, {integrator}"]["orders"][-1] - order) < 0.1
    for found in record["networks"].values():  # the limit is nearer the wider the network
        assert all(power["high"] < 0 for power in found["powers"].values())


def test_one_minus_r_squared():
    trained = np.array([1.0, 2.0, 3.0])
    assert path_kernel.lost(trained, trained) == 0
    assert path_kernel.lost(np.full(3, 2.0), trained) == pytest.approx(1)


def test_powers_of_squares_are_twice_those_of_their_roots():
    widths = (8, 16, 32)
    by_width = {w: {"machine": [4.0 / w] * 3, "movement": [1 / w] * 3} for w in widths}
    for name in ("machine", "movement"):
        found = path_kernel.power(by_width, name)
        assert all(end == pytest.approx(-1) for end in found.values())


def test_kernels_are_looked_up_by_the_numbers_of_images():
    matrix = np.arange(12.0).reshape(4, 3)
    K = kernel_machines.LookedUp(matrix)
    found = K(np.array([[3.0], [0.0]]), np.array([[1.0]]))
    np.testing.assert_array_equal(found, [[10.0], [1.0]])
    assert kernel_machines.paired([1.0, 3.0])["value"] == 2
    # Student's 0.975 with one degree of freedom, times the deviation by the root of 2.
    assert kernel_machines.paired([1.0, 3.0])["high"] == pytest.approx(2 + 12.7062, abs=1e-3)


def test_two_classes_of_a_set():
    train, _ = kk.load("digits", n_train=100, n_test=10)
    x, y = path_kernel.two_classes(train, (3, 8), 6)
    assert x.shape == (6, 8, 8, 1)
    assert sorted(y) == [-1, -1, -1, 1, 1, 1]
    digits = train.y[[int(np.flatnonzero((train.x == image).all((1, 2, 3)))[0]) for image in x]]
    np.testing.assert_array_equal(np.where(digits == 8, 1, -1), y)
    with pytest.raises(ConfigurationError, match="expected at most the"):
        path_kernel.two_classes(train, (3, 8), 50)
