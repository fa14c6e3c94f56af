"""What the tests of `kernas.search` share: the published table, and scores that cost nothing."""

# pyright: reportIncompatibleMethodOverride=false, reportAssignmentType=false

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import jax
import pytest

import kernas.search as ks
from kernas.kernels import Architecture
from kernas.kernels.regression import ScoreValue
from kernas.search.spaces import Family


@dataclass(frozen=True)
class FakeSource(ks.Source):
    """Draws a number from the network's hash, and counts how often it is asked."""

    calls: list[str] = field(default_factory=list, compare=False, hash=False)
    prepared: list[list[Family]] = field(default_factory=list, compare=False, hash=False)
    action: Callable[[Architecture], ks.Evaluation | None] = lambda architecture: None
    parameter: int = 1

    @property
    def name(self) -> str:
        return "fake"

    def settings(self) -> dict[str, Any]:
        return {"parameter": self.parameter}

    def prepare(self, families: Sequence[Family], scores: Sequence[Any]) -> FakeSource:
        self.prepared.append(list(families))
        return self

    def cost(self, candidate: ks.Candidate, scores: Sequence[Any]) -> ks.Cost:
        return ks.Cost(3 * len(scores), 0.5, {"shared": 7.0, candidate.key: 2.0})

    def begin(self, candidate: ks.Candidate, scores: Sequence[Any]) -> Callable[[], ks.Evaluation]:
        architecture = candidate.architecture
        self.calls.append(architecture.hash)
        special = self.action(architecture)
        if special is not None:
            return lambda: special
        number = int(architecture.hash[:8], 16) / 16**8
        values = {score.name: ScoreValue(number, 0.01) for score in scores}
        return lambda: ks.Evaluation(values, settings={"tile": 7})


@dataclass(frozen=True)
class FakeScore(ks.Score):
    """A score whose source costs nothing."""

    own: FakeSource = field(default_factory=FakeSource)
    name: str = "fake"
    higher_is_better: bool = True

    @property
    def source(self) -> FakeSource:
        return self.own


@pytest.fixture
def fake_score() -> type[FakeScore]:
    return FakeScore


@pytest.fixture
def fake_source() -> type[FakeSource]:
    return FakeSource


@pytest.fixture
def data_folder() -> Path:
    """The folder with the published table; not committed, so the test may have to be skipped."""
    folder = os.environ.get("KERNAS_DATA")
    if not folder or not (Path(folder) / "nasbench201.npz").is_file():
        pytest.skip("set KERNAS_DATA to a folder with nasbench201.npz")
    return Path(folder)


@pytest.fixture
def x64_kept():
    """Put JAX's precision back after a test that runs the command line in this process."""
    before = jax.config.read("jax_enable_x64")
    yield
    jax.config.update("jax_enable_x64", before)
