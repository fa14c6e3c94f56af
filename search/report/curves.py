"""How a training went: losses and accuracies over its steps, as a picture and as a table."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from kernas.csv_text import csv_table

from .panels import ACCENT, DEGENERATE_POINT, NOTE_SIZE, POINT, note, panels_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from ..training import Trained

LOSS, ACCURACY = "loss of the batch", "test accuracy"

SMOOTHED = 50
"""The mean of a loss is drawn over a so-manieth of the steps."""


def curves_table(trained: Trained) -> str:
    """CSV with a line for each step: ``step``, counted from 1, ``loss_SEED`` before it, and
    ``test_accuracy_SEED`` after it where it was measured."""
    measured = dict(zip(trained.evaluated.tolist(), trained.curve.tolist(), strict=True))
    nothing = [""] * len(trained.seeds)
    head = [f"{name}_{seed}" for name in ("loss", "test_accuracy") for seed in trained.seeds]
    lines = (
        [step, *(f"{loss:.6g}" for loss in losses), *(measured.get(step, nothing))]
        for step, losses in enumerate(trained.losses.tolist(), start=1)
    )
    return csv_table([["step", *head], *lines])


def curves_figure(trained: Trained, title: str) -> Figure:
    """Two panels: the batches' losses with their running mean, and the test accuracy where it was
    measured, of every seed.

    A network that diverged ends where its loss was finite last.
    """
    figure, panels = panels_of([LOSS, ACCURACY])
    losses, accuracy = panels[LOSS], panels[ACCURACY]
    steps = np.arange(1, len(trained.losses) + 1)
    finite = np.where(np.isfinite(trained.losses), trained.losses, np.nan)
    span = max(1, len(steps) // SMOOTHED)
    for values in finite.T:
        losses.plot(steps, values, color=POINT, alpha=0.2, linewidth=0.6)
        ends = np.arange(span, len(steps) + 1, span)
        means = values[: len(ends) * span].reshape(-1, span).mean(axis=1)
        losses.plot(ends - (span - 1) / 2, means, color=POINT, alpha=0.9, linewidth=1.2)
    for values in trained.curve.T:
        accuracy.plot(trained.evaluated, values, color=POINT, alpha=0.7, marker="o", markersize=3)
    if len(trained.seeds) > 1:
        means = trained.curve.mean(axis=1)
        accuracy.plot(trained.evaluated, means, color=DEGENERATE_POINT, linewidth=2)
    for axes, label in ((losses, LOSS), (accuracy, ACCURACY)):
        axes.set(xlabel="step", ylabel=label, xlim=(0, len(steps)))
    final = trained.test_accuracy
    last = f"{final.mean():.4f}" + (f" ± {final.std(ddof=1):.4f}" if len(final) > 1 else "")
    seeds = f"{len(final)} seed{'s' if len(final) > 1 else ''}"
    note(losses, [f"{seeds}, {trained.parameters:,} parameters"])
    note(accuracy, [f"in the end {last}{', mean in red' if len(final) > 1 else ''}"])
    style = {"family": "monospace", "fontsize": NOTE_SIZE + 1, "color": ACCENT}
    figure.suptitle(title, x=0.01, ha="left", parse_math=False, **style)
    return figure
