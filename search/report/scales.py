"""Where values stand along an axis: better to the right or to the top, by value or by rank."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from ..ranking.rank_statistics import Order

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Kind = Literal["linear", "log", "rank"]

WIDE = 1e3
"""The ratio of positive values from which on their axis is logarithmic."""

CROWDED = 0.1
"""The share of their range that the middle half of the values fills where they do not crowd."""

ROUNDING = 1e-9
"""The share of their size by which values differ that are equal but for rounding."""


@dataclass(frozen=True)
class Scale:
    """Values along an axis.

    Attributes:
        at: where they stand, the values themselves or their ranks, ``(n,)``.
        label: of the axis.
        kind: of the axis.
        descends: whether smaller is better, so that the axis is reversed.
    """

    at: np.ndarray
    label: str
    kind: Kind
    descends: bool

    @property
    def is_rank(self) -> bool:
        """Whether ranks take the place of values."""
        return self.kind == "rank"

    def apply(self, axes: Axes, way: Literal["x", "y"]) -> None:
        """Label and direct the axis; what is drawn later keeps the direction."""
        axis = axes.xaxis if way == "x" else axes.yaxis
        axis.set_label_text(self.label, parse_math=False)
        if self.kind == "log":
            axes.set(**{f"{way}scale": "log"})
        elif self.kind == "rank":
            axis.set_ticks(_rank_ticks(self.at.size))
        else:
            axes.locator_params(axis=way, nbins=6)
        axis.set_inverted(self.descends)


def by_value(values: np.ndarray, name: str, higher_is_better: bool) -> Scale:
    """The values themselves, by their logarithms where they are positive and span more than 1e3."""
    note = "" if higher_is_better else "\n(lower is better, axis reversed)"
    return Scale(values, name + note, "log" if _is_wide(values) else "linear", not higher_is_better)


def by_value_or_rank(values: np.ndarray, name: str, higher_is_better: bool) -> Scale:
    """:func:`by_value`, or by rank where the values crowd; 1 is the best, ties share the mean."""
    if not crowds(values):
        return by_value(values, name, higher_is_better)
    order = Order(
        -values if higher_is_better else values, np.ones((1, values.size), dtype=np.int64)
    )
    return Scale(order.ranks[0], f"rank by {name}", "rank", True)


def crowds(values: np.ndarray) -> bool:
    """Whether the middle half of the values, from the first to the third quartile, fills less than
    a tenth of their range; of their logarithms where the axis is logarithmic.

    Equal values, and those that differ by rounding alone, do not crowd: ranks would tell no more.
    """
    if not values.size or np.ptp(values) <= ROUNDING * np.abs(values).max():
        return False
    places = np.log10(values) if _is_wide(values) else values
    low, high = np.quantile(places, [0.25, 0.75])
    return bool(high - low < CROWDED * np.ptp(places))


def _is_wide(values: np.ndarray) -> bool:
    return bool(values.size and values.min() > 0 and values.max() / values.min() > WIDE)


def _rank_ticks(n: int) -> list[int]:
    """Round numbers from 1 to n, 1 in the place of 0."""
    from matplotlib.ticker import MaxNLocator

    inner = MaxNLocator(nbins=5, integer=True).tick_values(0, n)
    return [1, *(int(tick) for tick in inner if 1 < tick <= n)]
