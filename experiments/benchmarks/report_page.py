"""What the page of a ranking of 1,000 cells takes: to write, to open, to sort, to filter.

1,000 cells of NAS-Bench-201 by four counts and three columns of the published table, with the
accuracy after training as truth; opened in Chromium at the width of a desk, again and again.

    pip install -e '.[browser]'                           # and Chromium as the system has it
    python experiments/benchmarks/report_page.py          # a minute
    python experiments/benchmarks/report_page.py --quick  # 50 cells, once; writes nothing

Needs ``nasbench201.npz`` in the folder ``KERNAS_DATA``. ``open_s``: until the first picture is
drawn; ``all_drawn_s``: until all are, scrolled to one after another; ``sort_s`` and ``filter_s``:
from the click, or the last letter, to the next frame with all rows in place. Medians.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import tyro
from chromium import all_drawn, browser, opened
from measuring import environment, record_of, report, timed

import kernas.search as ks

CELLS, REPETITIONS = 1000, 7
COUNTS = ("params", "flops", "depth", "n_conv")
COLUMNS = ("val12_cifar10", "val_cifar10", "seconds12_cifar10")
"""Of the table, as scores."""

CLICKED = """(section) => new Promise((done) => {
  const start = performance.now();
  section.querySelectorAll('th button')[2].click();
  requestAnimationFrame(() => setTimeout(() => done((performance.now() - start) / 1000)));
})"""

TYPED = """(section) => new Promise((done) => {
  const input = section.querySelector('input');
  input.value = input.value ? '' : 'conv_3x3 skip';
  const start = performance.now();
  input.dispatchEvent(new Event('input'));
  requestAnimationFrame(() => setTimeout(() => done((performance.now() - start) / 1000)));
})"""


def ranked(cells: int, folder: Path) -> Path:
    """The run folder of a ranking of so many cells."""
    scores = [
        *(ks.CountScore(name, (32, 32, 3), 10) for name in COUNTS),
        *(ks.TruthScore(ks.load_truth("nasbench201", column)) for column in COLUMNS),
    ]
    candidates = ks.NasBench201().sample(cells, seed=0)
    options = {"space": ks.NasBench201().settings(), "dataset": "cifar10"}
    truth = ks.load_truth("nasbench201")
    ks.rank(candidates, scores, output=folder, truth=truth, options=options, progress=False)
    return folder


def measure(path: Path, repetitions: int) -> dict[str, Any]:
    """Medians of a page's times."""
    found: dict[str, list[float]] = {}
    with browser() as own:
        for _ in range(repetitions):
            start = time.perf_counter()
            page = opened(own, path)
            page.wait_for_selector("figure[data-drawn]")
            found.setdefault("open_s", []).append(time.perf_counter() - start)
            all_drawn(page)
            found.setdefault("all_drawn_s", []).append(time.perf_counter() - start)
            section = page.locator("section.table").last.element_handle()
            for name, program in (("sort_s", CLICKED), ("filter_s", TYPED)):
                found.setdefault(name, []).extend(section.evaluate(program) for _ in range(4))
            assert page.kernas_messages == []
            page.close()
    return {name: round(statistics.median(values), 4) for name, values in found.items()}


def main(quick: bool = False) -> None:
    """Measure, print one JSON line, keep it.

    Args:
        quick: few cells, once, to see it work; writes nothing.
    """
    cells, repetitions = (50, 1) if quick else (CELLS, REPETITIONS)
    with tempfile.TemporaryDirectory() as place:
        ranking, _ = timed(lambda: ranked(cells, Path(place) / "run"))
        writing, text = timed(lambda: ks.report_page(Path(place) / "run"))
        path = Path(place) / "page.html"
        path.write_text(text, encoding="utf-8")
        result: dict[str, Any] = {
            "cells": cells,
            "scores": len(COUNTS) + len(COLUMNS),
            "rank_s": round(ranking, 2),
            "write_s": round(writing, 2),
            "bytes": len(text.encode()),
            **measure(path, repetitions),
        }
    report(result | environment(), None if quick else record_of(__file__))


if __name__ == "__main__":
    tyro.cli(main)
