"""Charts of a page: columns of numbers as specifications of Vega-Lite, by Altair.

Better is to the right and to the top, as in the pictures of a run folder, and axes show ranks or
logarithms by the same rule (:mod:`kernas.search.report.scales`). Fields have names of ours, since
those of scores and candidates may be anything.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ..scales import by_value_or_rank
from .contents import Choice, Picture, Selection, Values

if TYPE_CHECKING:
    import altair

HEIGHT = 320
LINE = 18
"""Pixels of a line in a chart of lines."""

DIGITS = 6
"""Significant ones of a number in the page."""

FEW = 10
"""Points that have their labels beside them."""

SIDES: dict[str, Any] = {
    "left": {"align": "right", "dx": -8},
    "right": {"align": "left", "dx": 8},
}
"""Of a point, where its label stands."""

SHORT = 40
"""Characters of a name on an axis."""


@dataclass(frozen=True)
class Axis:
    """A column along an axis, better to the right or to the top.

    Attributes:
        field: of the column.
        label: of the axis.
        values: ``None`` where there is none.
        is_log, is_reversed: the axis.
    """

    field: str
    label: str
    values: Values
    is_log: bool = False
    is_reversed: bool = False

    def changes(self, channel: str, where: str = "") -> dict[str, Any]:
        """What puts it along the axis of a chart, as changes of a choice."""
        place = f"{where}encoding/{channel}"
        return {
            f"{place}/field": self.field,
            f"{place}/title": self.label,
            f"{place}/scale": self.scale(),
        }

    def scale(self) -> dict[str, Any]:
        """As Vega-Lite has it."""
        kind = {"type": "log"} if self.is_log else {"type": "linear", "zero": False}
        return {**kind, "reverse": self.is_reversed, "nice": True}


def axis_of(field: str, name: str, higher_is_better: bool, values: Values) -> Axis:
    """A score along an axis: its values, their logarithms, or ranks where they crowd."""
    known = np.array([value for value in values if value is not None], np.float64)
    scale = by_value_or_rank(known, name, higher_is_better)
    at = iter(scale.at.tolist())
    label = scale.label.replace("\n", " ")
    shown = [None if value is None else rounded(next(at)) for value in values]
    return Axis(field, label, shown, scale.kind == "log", scale.descends)


def rounded(value: float) -> float:
    """A number as the page has it."""
    return float(f"{value:.{DIGITS}g}")


def scatter(
    name: str,
    title: str,
    says: str,
    names: Values,
    x: Sequence[Axis],
    y: Sequence[Axis],
    others: Mapping[str, Values] | None = None,
) -> Picture:
    """Points; where there are several axes of a direction, a reader chooses.

    Args:
        names: of the points.
        x, y: an axis, or several to choose from, the first one at first.
        others: label → further columns that the pointer shows.
    """
    import altair as alt

    columns: dict[str, Values] = {"name": names}
    for axis in (*x, *y):
        columns[axis.field] = axis.values
    shown = [alt.Tooltip("name:N", title="candidate")]
    for place, (label, values) in enumerate((others or {}).items()):
        columns[f"t{place}"] = values
        shown.append(alt.Tooltip(field=f"t{place}", type="nominal", title=label))
    chart = points().encode(x=quantity(x[0], "x"), y=quantity(y[0], "y"), tooltip=shown)
    selections = tuple(
        Selection(label, tuple(Choice(axis.label, axis.changes(channel)) for axis in axes))
        for label, channel, axes in (("across", "x", x), ("upward", "y", y))
        if len(axes) > 1
    )
    return Picture(name, title, says, _specified(chart), columns, selections)


def quantity(axis: Axis, channel: str) -> Any:
    """The encoding of an axis."""
    import altair as alt

    kind = alt.X if channel == "x" else alt.Y
    scale = alt.Scale(**axis.scale())
    return kind(field=axis.field, type="quantitative", title=axis.label, scale=scale)


def points(size: int = 45, opacity: float = 0.7) -> altair.Chart:
    """Points of a page's data, with nothing said of where."""
    return _chart().mark_point(filled=True, size=size, opacity=opacity)


def intervals(
    name: str,
    title: str,
    says: str,
    labels: Sequence[str],
    axis: Axis,
    low: Values,
    high: Values,
) -> Picture:
    """A line for each label, the first on top: a point between two ends.

    Args:
        labels: different ones, what stands at the lines.
        axis: of the points.
        low, high: ends; ``None`` where there are none.
    """
    import altair as alt

    columns: dict[str, Values] = {
        "line": list(range(len(labels))),
        "name": list(labels),  # whole: lines of one label would be one line
        axis.field: axis.values,
        "low": low,
        "high": high,
    }
    shown = [alt.Tooltip("name:N", title="of"), alt.Tooltip(f"{axis.field}:Q", title=axis.label)]
    order = alt.EncodingSortField("line", order="ascending")
    y = alt.Y("name:N", sort=order, title=None, axis=alt.Axis(labelOverlap=False))
    x = quantity(axis, "x")
    base = _chart()
    ends = base.transform_filter("isValid(datum.low)").mark_rule(opacity=0.6).encode(
        x=quantity(Axis("low", axis.label, (), axis.is_log, axis.is_reversed), "x"),
        x2="high:Q",
        y=y,
    )  # fmt: skip
    dots = base.mark_point(filled=True, size=55).encode(x=x, y=y, tooltip=shown)
    both = ends + dots if any(end is not None for end in low) else dots
    chart = _specified(both, height=LINE * max(len(labels), 3))
    return Picture(name, title, says, chart, columns)


def upright(
    name: str,
    title: str,
    says: str,
    labels: Sequence[str],
    x: Axis,
    y: Axis,
    low: Values,
    high: Values,
) -> Picture:
    """Points with an upright line between two ends, and their labels where these are few."""
    import altair as alt

    columns: dict[str, Values] = {
        "name": list(labels), "label": [short(label) for label in labels], x.field: x.values,
        y.field: y.values, "low": low, "high": high,
    }  # fmt: skip
    across, upward = quantity(x, "x"), quantity(y, "y")
    shown = [alt.Tooltip("name:N", title="of"), alt.Tooltip(f"{x.field}:Q", title=x.label),
             alt.Tooltip(f"{y.field}:Q", title=y.label)]  # fmt: skip
    ends = _chart().transform_filter("isValid(datum.low)").mark_rule(opacity=0.5).encode(
        x=across, y=quantity(Axis("low", y.label, ()), "y"), y2="high:Q"
    )  # fmt: skip
    dots = points().encode(x=across, y=upward, tooltip=shown)
    drawn: Any = ends + dots if any(end is not None for end in low) else dots
    if len(labels) <= FEW:
        columns["side"] = _sides(x)
        for side, style in SIDES.items():
            if side in columns["side"]:
                texts = _chart().transform_filter(f"datum.side == '{side}'")
                drawn += texts.mark_text(dy=-4, **style).encode(x=across, y=upward, text="label:N")
    return Picture(name, title, says, _specified(drawn), columns)


def _sides(x: Axis) -> list[str]:
    """On which side of its point a label has room: to the left in the right half of the axis."""
    known = [float(value) for value in x.values if isinstance(value, float | int)]
    at = np.log10(known) if x.is_log else np.array(known)
    low, high = at.min(), at.max()
    if x.is_log:  # whose axis begins and ends at powers of ten
        low, high = np.floor(low), np.ceil(high)
    return ["left" if place > (low + high) / 2 else "right" for place in at]


def heat_map(
    name: str,
    title: str,
    says: str,
    rows: Sequence[str],
    columns: Sequence[str],
    values: np.ndarray,
    what: str,
    *,
    diverging: bool,
    titles: tuple[str | None, str | None] = (None, None),
) -> Picture:
    """A matrix of numbers as colours, each with its value at the pointer.

    Args:
        rows, columns: labels.
        values: ``(rows, columns)``; NaN is left blank.
        what: the values are.
        diverging: whether they are from −1 to 1, and not from 0.
        titles: of the rows, and of the columns.
    """
    import altair as alt

    r, c = (grid.ravel().tolist() for grid in np.indices(values.shape))
    data: dict[str, Values] = {
        "row": [rows[place] for place in r],
        "column": [columns[place] for place in c],
        "r": r,
        "c": c,
        "value": [None if np.isnan(v) else rounded(v) for v in values.ravel()],
    }
    scale = (
        alt.Scale(scheme="blueorange", domain=[-1, 1], reverse=True)
        if diverging
        else alt.Scale(scheme="blues", type="sqrt", domain=[0, 1])  # so that few are seen
    )
    style = alt.Axis(labelOverlap=False)
    chart = _chart().mark_rect().encode(
        x=alt.X("column:N", sort=alt.EncodingSortField("c"), title=titles[1], axis=style),
        y=alt.Y("row:N", sort=alt.EncodingSortField("r"), title=titles[0], axis=style),
        color=alt.Color("value:Q", scale=scale, title=what),
        tooltip=[alt.Tooltip("row:N"), alt.Tooltip("column:N"), alt.Tooltip("value:Q", title=what)],
    )  # fmt: skip
    height = max(LINE * len(rows), 160)
    return Picture(name, title, says, _specified(chart, height=height), data)


def progress(
    name: str,
    title: str,
    says: str,
    names: Values,
    x: Sequence[Axis],
    values: Axis,
    best: Values,
) -> Picture:
    """Points, and the best so far as steps; several axes across are to choose from."""
    import altair as alt

    columns: dict[str, Values] = {"name": names, values.field: values.values, "best": best}
    for axis in x:
        columns[axis.field] = axis.values
    across = quantity(x[0], "x")
    shown = [alt.Tooltip("name:N", title="candidate"),
             alt.Tooltip(f"{values.field}:Q", title=values.label)]  # fmt: skip
    dots = points(opacity=0.5, size=30).encode(x=across, y=quantity(values, "y"), tooltip=shown,
                                               color=alt.datum("trial"))  # fmt: skip
    line = _chart().mark_line(interpolate="step-after").encode(
        x=across,
        y=quantity(Axis("best", values.label, (), values.is_log, values.is_reversed), "y"),
        color=alt.datum("best so far"),
    )  # fmt: skip
    selections = ()
    if len(x) > 1:
        choices = [
            Choice(a.label, a.changes("x", "layer/0/") | a.changes("x", "layer/1/")) for a in x
        ]
        selections = (Selection("across", tuple(choices)),)
    return Picture(name, title, says, _specified(dots + line), columns, selections)


def front(
    name: str, title: str, says: str, names: Values, x: Axis, y: Axis, first: Values
) -> Picture:
    """Points, those of a front in a colour of their own, with a line through them."""
    import altair as alt

    columns: dict[str, Values] = {
        "name": names, x.field: x.values, y.field: y.values, "kind": first
    }  # fmt: skip
    across, upward = quantity(x, "x"), quantity(y, "y")
    shown = [alt.Tooltip("name:N", title="candidate"), alt.Tooltip(f"{x.field}:Q", title=x.label),
             alt.Tooltip(f"{y.field}:Q", title=y.label)]  # fmt: skip
    dots = points().encode(x=across, y=upward, color=alt.Color("kind:N", title=None), tooltip=shown)
    line = _chart().transform_filter("datum.kind == 'front'").mark_line(
        interpolate="step-after", opacity=0.6
    ).encode(x=across, y=upward)  # fmt: skip
    return Picture(name, title, says, _specified(line + dots), columns)


def coloured(
    name: str, title: str, says: str, names: Values, x: Axis, y: Axis, colour: Axis
) -> Picture:
    """Points whose colour is a third number."""
    import altair as alt

    columns: dict[str, Values] = {"name": names}
    columns |= {axis.field: axis.values for axis in (x, y, colour)}
    shown = [alt.Tooltip("name:N", title="candidate"),
             alt.Tooltip(f"{colour.field}:Q", title=colour.label)]  # fmt: skip
    color = alt.Color(f"{colour.field}:Q", title=colour.label, scale=alt.Scale(scheme="viridis"))
    chart = points().encode(x=quantity(x, "x"), y=quantity(y, "y"), color=color, tooltip=shown)
    return Picture(name, title, says, _specified(chart), columns)


def lines(
    name: str,
    title: str,
    says: str,
    x: Axis,
    y: Axis,
    groups: Values,
    *,
    group_label: str,
    low: Values | None = None,
    high: Values | None = None,
    diagonal: bool = False,
    has_points: bool = True,
) -> Picture:
    """Lines with points, one a group, each point with its ends where there are some.

    Args:
        groups: of each point.
        diagonal: whether to draw where both axes are equal, from 0 to 1.
        has_points: whether points are drawn.
    """
    import altair as alt

    columns: dict[str, Values] = {x.field: x.values, y.field: y.values, "group": groups}
    legend = alt.Legend() if len(set(groups)) > 1 else None
    color = alt.Color("group:N", title=group_label, legend=legend)
    across, upward = quantity(x, "x"), quantity(y, "y")
    shown = [alt.Tooltip("group:N", title=group_label), alt.Tooltip(f"{x.field}:Q", title=x.label),
             alt.Tooltip(f"{y.field}:Q", title=y.label)]  # fmt: skip
    drawn: Any = _chart().mark_line(point=has_points).encode(
        x=across, y=upward, color=color, tooltip=shown
    )  # fmt: skip
    if low is not None and high is not None:
        columns |= {"low": low, "high": high}
        ends = _chart().mark_rule(opacity=0.6).encode(
            x=across, y=quantity(Axis("low", y.label, ()), "y"), y2="high:Q", color=color
        )  # fmt: skip
        drawn = ends + drawn
    if diagonal:
        unit = alt.Chart(alt.InlineData([{"a": 0}, {"a": 1}])).mark_line(
            strokeDash=[4, 4], opacity=0.5
        ).encode(x="a:Q", y="a:Q")  # fmt: skip
        drawn = unit + drawn
    return Picture(name, title, says, _specified(drawn), columns)


def short(label: str) -> str:
    """A label for which there is room, without its middle."""
    return label if len(label) <= SHORT else f"{label[: SHORT // 2]}…{label[1 - SHORT // 2 :]}"


DATA = "rows"
"""The name of a picture's columns in its chart."""


def _chart() -> altair.Chart:
    import altair as alt

    return alt.Chart(alt.NamedData(DATA))


def _specified(chart: Any, height: int = HEIGHT) -> dict[str, Any]:
    found = chart.properties(width="container", height=height).to_dict()
    found.pop("config", None)  # the page has its own, by the reader's light
    return found
