"""Regimes: what is left of a training by their indices, and what that costs."""

from __future__ import annotations

from typing import Any

import pytest

import kernas.kernels as kk
import kernas.search as ks
from kernas.errors import ConfigurationError
from kernas.search.training import FullTraining, Regime, TrainingSettings

FULL = FullTraining(TrainingSettings(width=16, epochs=12, batch_size=50), side=16, images=3000)
SPACE = ks.NasBench201(cells_per_stage=1)


def test_an_index_of_channels_or_resolution_halves_the_operations() -> None:
    """Zhou et al. 2020: c4 r4 takes 36 channels to 9 and 32 pixels to 8."""
    full = FullTraining(TrainingSettings(width=36, epochs=120), side=32, images=50_000)
    found = Regime(channels=4, resolution=4).reduced(full)
    assert (found.recipe.width, found.side, found.rounded) == (9, 8, {})
    conv = kk.serial(*(kk.Conv(3, padding="CIRCULAR") for _ in range(20)), kk.GlobalAvgPool())
    network = kk.serial(conv, kk.Dense())
    cell = ks.ArchitectureList({"deep": network}).candidate("deep")
    whole = Regime().reduced(full)
    for regime in (Regime(channels=2), Regime(resolution=2), Regime(channels=-2), Regime(epochs=2)):
        part = regime.reduced(full)
        share = part.operations(cell, 3, 10) / whole.operations(cell, 3, 10)
        # All layers but the first and the last have as many channels on both sides.
        assert share == pytest.approx(regime.share_of_operations(full), rel=0.1)


def test_the_operations_are_three_forward_passes_of_every_image() -> None:
    (cell,) = SPACE.sample(1)
    found = Regime(samples=1, n_epochs=2).reduced(FULL, space=SPACE)
    assert (found.images, found.recipe.epochs, found.recipe.steps) == (1500, 2, None)
    (value,) = ks.evaluate_scores(
        cell, [ks.CountScore("flops", (16, 16, 3), 10, width=16)]
    ).values.values()
    assert found.operations(cell, 3, 10) == 3 * value.value * 1500 * 2


def test_what_a_skeleton_does_not_take_is_rounded_and_said() -> None:
    found = Regime(channels=1, resolution=1).reduced(FULL, space=SPACE)
    assert (found.recipe.width, found.side) == (11, 12)  # 11.3 and 11.3
    assert found.rounded["side"] == (pytest.approx(16 / 2**0.5), 12)
    assert Regime(channels=1).reduced(FULL).rounded["width"] == (pytest.approx(16 / 2**0.5), 11)
    above = Regime(resolution=-1, epochs=-1).reduced(FULL, space=SPACE)
    assert (above.side, above.recipe.epochs) == (24, 24)
    assert Regime(resolution=20).reduced(FULL, space=SPACE).side == 4
    few = Regime(samples=7).reduced(FULL)
    assert (few.images, few.recipe.batch_size) == (23, 23)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"channels": 0.5}, "channels=0.5: expected an index"),
        ({"resolution": True}, "resolution=True: expected an index"),
        ({"samples": 21}, "samples=21: expected an index"),
        ({"n_epochs": 0}, "n_epochs=0: expected an integer >= 1"),
        ({"fraction": 0.0}, r"fraction=0.0: expected a number in \(0, 1\]"),
        ({"fraction": 1.5}, r"fraction=1.5: expected a number in \(0, 1\]"),
    ],
)
def test_regimes_out_of_range_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        Regime(**options)


def test_a_training_that_cannot_be_reduced_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="steps=9 in the recipe: expected epochs"):
        FullTraining(TrainingSettings(steps=9), side=8, images=10)
    with pytest.raises(ConfigurationError, match="side=0: expected an integer >= 1"):
        FullTraining(TrainingSettings(), side=0, images=10)
    with pytest.raises(ConfigurationError, match="leaves 1: expected two or more"):
        Regime(fraction=0.0001).reduced(FULL)
