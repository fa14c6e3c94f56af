"""What the tests of `kernas.search` share: the published table, and scores that cost nothing."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import jax
import pytest

from kernas.kernels import Architecture
from kernas.kernels.regression import ScoreValue
from kernas.search import Cost, Evaluation


@dataclass(frozen=True)
class FakeSource:
    """Draws a number from the architecture's hash, and counts how often it is asked."""

    calls: list[str] = field(default_factory=list, compare=False, hash=False)
    expected: list[str] = field(default_factory=list, compare=False, hash=False)
    action: Callable[[Architecture], Evaluation | None] = lambda architecture: None

    def expect(self, architectures: Iterable[Architecture]) -> None:
        self.expected.extend(architecture.hash for architecture in architectures)

    def cost(self, architecture: Architecture, scores: Sequence[Any]) -> Cost:
        return Cost(3 * len(scores), 0.5, {"shared": 7.0, architecture.hash: 2.0})

    def begin(self, architecture: Architecture, scores: Sequence[Any]) -> Callable[[], Evaluation]:
        self.calls.append(architecture.hash)
        special = self.action(architecture)
        if special is not None:
            return lambda: special
        number = int(architecture.hash[:8], 16) / 16**8
        values = {score.name: ScoreValue(number, 0.01) for score in scores}
        return lambda: Evaluation(values, settings={"tile": 7})


@dataclass(frozen=True)
class FakeScore:
    """A score whose source costs nothing."""

    source: FakeSource = field(default_factory=FakeSource)
    name: str = "fake"
    higher_is_better: bool = True
    parameter: int = 1

    def settings(self) -> dict[str, Any]:
        return {"parameter": self.parameter}


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
