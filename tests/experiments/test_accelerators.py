"""What the benchmark of compiled programs says of the CPU at hand, and refuses of others."""

from __future__ import annotations

import json

import accelerators
import pytest
from accelerators import compiled_step, estimate, h100_target, main, target
from optimised import loop_kernels

import kernas.kernels as kk
from kernas.errors import MissingDependencyError
from kernas.kernels.engine import ROOFLINES


def test_compiled_and_planned_bytes_agree(capsys: pytest.CaptureFixture[str]) -> None:
    main(quick=True)
    result = json.loads(capsys.readouterr().out)
    cpu = result["platforms"]["cpu"]
    assert not cpu["measured"]
    for point in cpu["lanes"]:
        assert point["kernels_a_layer"] == 1
        assert point["temporary_of_planned"] == pytest.approx(1, abs=0.2)
        # At least one reading and one writing of a plane of both kernels in each of two layers.
        assert point["moved_bytes_a_pair"] > point["planes"] * 2 * 2 * 8 * 8 * 8


def test_the_compiler_counts_a_loop_once() -> None:
    """So a readout of fewer planes has the same count, and planes multiply it."""
    counts, planes = [], []
    for head in (kk.GlobalAvgPool(), kk.LocalAvgPool(1)):
        _, step, compiled = compiled_step(8, 2, 16, head=head)
        counts.append(compiled.cost_analysis()["flops"])
        planes.append(step.body.planes)
    assert planes == [81, 25]
    assert counts[0] == pytest.approx(counts[1], rel=0.05)


PROGRAM = """HloModule example

%body.1 (state: (s32[], f32[8,4])) -> (s32[], f32[8,4]) {
  %state = (s32[]{:T(128)}, /*index=1*/f32[8,4]{1,0:T(8,128)S(1)}) parameter(0)
  %i = s32[]{:T(128)} get-tuple-element(%state), index=0
  %x = f32[8,4]{1,0:T(8,128)S(1)} get-tuple-element(%state), index=1
  %next = s32[]{:T(128)} add(%i, %i)
  %part = f32[2,4]{1,0} fusion(%x, %i), kind=kLoop, calls=%taken.1
  %y = f32[8,4]{1,0:T(8,128)S(1)} pad(%part, %i), padding=0_6x0_0
  ROOT %out = (s32[], f32[8,4]{1,0}) tuple(%next, %y)
}

%taken.1 (a: f32[8,4], b: s32[]) -> f32[2,4] {
  %a = f32[8,4]{1,0} parameter(0)
  %b = s32[] parameter(1)
  ROOT %slice = f32[2,4]{1,0} dynamic-slice(%a, %b, %b), dynamic_slice_sizes={2,4}
}

ENTRY %main (p: (s32[], f32[8,4])) -> (s32[], f32[8,4]) {
  %p = (s32[], f32[8,4]{1,0}) parameter(0)
  ROOT %loop = (s32[], f32[8,4]{1,0}) while(%p), condition=%until.1, body=%body.1
}
"""


def test_kernels_of_a_loop() -> None:
    """A slice counts as such, what is on the chip not as outside it, and a scalar as no kernel."""
    part, pad = loop_kernels(PROGRAM)
    assert (part.name, part.moved, part.moved_off_chip) == ("part", 32 + 4 + 32, 4 + 32)
    assert (pad.name, pad.moved, pad.moved_off_chip) == ("y", 32 + 4 + 128, 32 + 4)
    with pytest.raises(ValueError, match="no loop"):
        loop_kernels("ENTRY %main (p: f32[]) -> f32[] {\n}\n")


def test_roofline() -> None:
    chip = accelerators.Chip("chip", 1e12, 1e9, 0, 128, "")
    point = {
        "lanes": 192,
        "operations_a_pair": 3e9,
        "operations_a_pair_by_compiler": None,
        "moved_off_chip_bytes_a_pair": 1e6,
    }
    assert estimate(chip, point) == (pytest.approx(4), "operations")
    point["moved_off_chip_bytes_a_pair"] = 5e6
    assert estimate(chip, point) == (pytest.approx(5), "bandwidth")


def test_the_rooflines_of_plans_are_the_recorded_ones() -> None:
    """In operations of a plan a second, at the number of lanes that is best."""
    record = json.loads(accelerators.RESULT.read_text())["platforms"]
    for name, platform in {"h100": "cuda", "v5e": "tpu"}.items():
        found = record[platform]
        assert found["compiled_for"] == ROOFLINES[name].device
        best = max(
            1e3 * point["operations_a_pair"] / point["estimate_not_measured"]["ms_a_pair"]
            for point in found["lanes"]
        )
        assert ROOFLINES[name].operations == pytest.approx(best, rel=0.01)


def test_a_missing_compiler_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(accelerators, "PACKAGES", {"tpu": "no_such_module", "cuda": "no.such"})
    with pytest.raises(MissingDependencyError, match=r"pip install 'jax\[tpu\]'"):
        target("tpu")
    with pytest.raises(MissingDependencyError, match=r"pip install 'jax\[cuda13\]'"):
        target("cuda")
    assert "core_count: 132" in h100_target()
