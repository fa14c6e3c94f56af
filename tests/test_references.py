"""Slow references are taken from their record while nothing that made them has changed."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from oracles import recorded

import kernas.kernels as kk
from kernas.kernels import Architecture

NETWORK = kk.serial(kk.Dense(), kk.Relu(), kk.Dense())


def test_the_record_is_of_the_references_as_they_are() -> None:
    assert recorded.is_of_these_sources(), "write it again: pytest --references=written"


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[float]:
    """References of this process: a record of their own, and the calls that were computed."""
    monkeypatch.setattr(recorded, "RECORD", tmp_path / "record.json")
    monkeypatch.setattr(recorded, "REFERENCES", recorded.References())
    monkeypatch.setattr(recorded, "LONG", -1.0)
    recorded._read.cache_clear()
    return []


def test_it_is_computed_once_and_again_for_other_arguments(
    calls: list[float], request: pytest.FixtureRequest
) -> None:
    request.addfinalizer(recorded._read.cache_clear)

    @recorded.recorded(rtol=1e-12)
    def reference(
        network: Architecture, x: np.ndarray, *, scale: float = 1.0
    ) -> tuple[np.ndarray, ...]:
        calls.append(scale)
        return scale * x / 3, np.array(len(network.nodes) / 7)

    x = np.arange(6.0).reshape(2, 3)
    recorded.REFERENCES.mode = "written"
    first = reference(NETWORK, x)
    recorded.write(recorded.REFERENCES.kept)
    recorded._read.cache_clear()
    recorded.REFERENCES.mode = "recorded"
    for ours, theirs in zip(reference(NETWORK, x), first, strict=True):
        np.testing.assert_array_equal(ours, theirs, strict=True)
    assert calls == [1.0]
    reference(NETWORK, x, scale=2.0)
    reference(NETWORK, x + 1)
    reference(NETWORK, x.astype(np.float32))
    reference(kk.serial(kk.Dense(), kk.Erf(), kk.Dense()), x)
    assert calls == [1.0, 2.0, 1.0, 1.0, 1.0]
    with pytest.raises(TypeError, match="not an argument of a reference"):
        reference(NETWORK, [1.0])  # pyright: ignore[reportArgumentType]


def test_a_record_of_other_numbers_or_sources_is_noticed(
    calls: list[float], request: pytest.FixtureRequest
) -> None:
    request.addfinalizer(recorded._read.cache_clear)

    @recorded.recorded(rtol=1e-6)
    def reference(x: np.ndarray) -> tuple[np.ndarray, ...]:
        calls.append(1.0)
        return (x,)

    x = np.array([1.0, 100.0])
    recorded.REFERENCES.mode = "written"
    reference(x)
    ((key, (kept,)),) = recorded.REFERENCES.kept.items()

    def written(entries: list[float], sources: str | None = None) -> None:
        recorded.write({key: [(kept[0], entries)]})
        if sources is not None:
            text = recorded.RECORD.read_text()
            recorded.RECORD.write_text(json.dumps({**json.loads(text), "sources": sources}))
        recorded._read.cache_clear()

    recorded.REFERENCES.mode = "computed"
    written([1.00005, 100.0])
    reference(x)
    written([1.001, 100.0])
    with pytest.raises(AssertionError):
        reference(x)
    recorded.REFERENCES.mode = "recorded"
    written([5.0, 5.0], sources="others")
    assert not recorded.is_of_these_sources()
    before = len(calls)
    np.testing.assert_array_equal(reference(x)[0], x)
    assert len(calls) == before + 1
