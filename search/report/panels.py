"""What the figures of a ranking share: paper, panels, notes, and the PNG; without a window and
without matplotlib's global state."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ..ranking.table import Row

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

POINT, DEGENERATE_POINT, ACCENT, GRID = "#2a6f97", "#c8553d", "#14213d", "#d9dee3"
MAX_COLUMNS = 3
NOTE_SIZE = 8


def empty_figure(width: float, height: float) -> Figure:
    """A figure without panels, in inches."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def panels_of(names: Sequence[str]) -> tuple[Figure, dict[str, Axes]]:
    """A figure with one panel a name, up to three in a line."""
    columns = min(len(names), MAX_COLUMNS)
    lines = math.ceil(len(names) / columns)
    figure = empty_figure(4.4 * columns + 0.4, 4.2 * lines + 0.2)
    figure.set_layout_engine("constrained", w_pad=0.1)  # for labels of two lines
    grid = figure.subplots(lines, columns, squeeze=False).ravel()
    for axes in grid[len(names) :]:
        axes.remove()
    panels = dict(zip(names, grid, strict=False))
    for axes in panels.values():
        plain(axes)
    return figure, panels


def plain(axes: Axes) -> None:
    """A grid behind what is drawn, and no frame around it."""
    axes.grid(color=GRID, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(which="both", color=GRID)


def note(axes: Axes, lines: Sequence[str]) -> None:
    """Text above the panel, out of the way of its points, and below it the legend of what was drawn
    with a label."""
    handles, labels = axes.get_legend_handles_labels()
    style: dict[str, Any] = {"family": "monospace", "fontsize": NOTE_SIZE, "color": ACCENT}
    text = "\n".join([*lines, *("" for _ in labels)])
    axes.set_title(text, loc="left", parse_math=False, **style)
    if labels:
        place: dict[str, Any] = {"loc": "lower left", "bbox_to_anchor": (0, 1), "frameon": False}
        gaps = {"borderpad": 0, "borderaxespad": 0.4, "labelspacing": 0.2, "handletextpad": 0.2}
        legend = axes.legend(handles, labels, fontsize=NOTE_SIZE, **place, **gaps)
        for entry in legend.get_texts():
            entry.set_parse_math(False)


def standard_errors(rows: Sequence[Row], name: str) -> np.ndarray | None:
    """The standard errors of a score, NaN where a value has none; ``None`` where none has."""
    errors = [row.values[name].standard_error for row in rows]
    if all(error is None for error in errors):
        return None
    return np.array([math.nan if error is None else error for error in errors], dtype=np.float64)


def to_png(figure: Figure, dpi: int = 150) -> bytes:
    """The figure as the bytes of a PNG file."""
    data = io.BytesIO()
    figure.savefig(data, format="png", dpi=dpi, metadata={"Software": "kernas"})
    return data.getvalue()
