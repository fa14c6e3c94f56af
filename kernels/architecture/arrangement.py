"""Where the nodes of a graph stand in a drawing: rows from top to bottom, places side by side.

After Sugiyama, Tagawa and Toda 1981, Methods for visual understanding of hierarchical system
structures: a node's row is its longest path from the input; a node that is read further down has a
*bend* in each row between, a place of its own like a box, so that lines pass beside boxes; rows are
ordered by barycentres. All that read one node share its bends.
"""

from __future__ import annotations

from bisect import bisect_right, insort
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from random import Random

SWEEPS = 16

BESIDE = 20.0
"""Between places of a row, in the unit of their widths."""


@dataclass(eq=False)
class Place:
    """A box, or a bend if it has no node, in its row; ``x`` is its middle."""

    row: int
    node: int | None = None
    width: float = 0.0
    x: float = 0.0
    above: list[Place] = field(default_factory=list)
    below: list[Place] = field(default_factory=list)

    def link(self, below: Place) -> None:
        self.below.append(below)
        below.above.append(self)


Rows = list[list[Place]]


def arranged(inputs: Sequence[tuple[int, ...]], widths: Sequence[float]) -> Rows:
    """The rows of a graph, each from left to right.

    Args:
        inputs: for each node the earlier ones that it reads; only node 0 reads none, and all but
            the last are read.
        widths: of the nodes' boxes.
    """
    rows = _rows(inputs, widths)
    _put_in_order(rows)
    _put_beside(rows)
    return rows


def _rows(inputs: Sequence[tuple[int, ...]], widths: Sequence[float]) -> Rows:
    """Boxes and bends in their rows, with the links between them."""
    boxes: list[Place] = []
    for index, (read, width) in enumerate(zip(inputs, widths, strict=True)):
        row = 1 + max((boxes[i].row for i in read), default=-1)
        boxes.append(Place(row, index, width))
    rows: Rows = [[] for _ in range(boxes[-1].row + 1)]
    ways = [[box] for box in boxes]  # a box and its bends
    for index, read in enumerate(inputs):
        rows[boxes[index].row].append(boxes[index])
        for source in read:
            way = ways[source]
            while way[-1].row < boxes[index].row - 1:
                bend = Place(way[-1].row + 1)
                rows[bend.row].append(bend)
                way[-1].link(bend)
                way.append(bend)
            way[boxes[index].row - 1 - boxes[source].row].link(boxes[index])
    return rows


def _put_in_order(rows: Rows) -> None:
    """Fewer crossings, in each stretch between rows of one place by itself."""
    narrow = [index for index, row in enumerate(rows) if len(row) == 1]
    for first, last in pairwise(narrow):
        rows[first : last + 1] = _ordered(rows[first : last + 1])


def _ordered(rows: Rows) -> Rows:
    """Rows sorted by barycentres, down and up in turn; of all sweeps that of fewest crossings.

    Which of equal barycentres comes first is left to chance, the same each time: where always the
    same one did, lines that cross would cross elsewhere after each sweep.
    """
    chance = Random(0)
    best, fewest = rows, _crossings(rows)
    for sweep in range(SWEEPS):
        if not fewest:
            break
        down = sweep % 2 == 0
        rows = [list(row) for row in rows]
        for before, row in _pairs(rows, down):
            at = {place: i for i, place in enumerate(before)}
            if sweep > 1:
                chance.shuffle(row)
            middle = {
                place: _mean([at[other] for other in (place.above if down else place.below)])
                for place in row
            }
            row.sort(key=middle.__getitem__)
        crossings = _crossings(rows)
        if crossings < fewest:
            best, fewest = rows, crossings
    return best


def _pairs(rows: Rows, down: bool) -> list[tuple[list[Place], list[Place]]]:
    """Each row with the one that is placed before it."""
    ordered = rows if down else rows[::-1]
    return list(pairwise(ordered))


def _mean(numbers: Sequence[float]) -> float:
    return sum(numbers) / len(numbers)


def _crossings(rows: Rows) -> int:
    total = 0
    for row, below in _pairs(rows, down=True):
        at = {place: i for i, place in enumerate(below)}
        passed: list[int] = []  # where the lines of the places before end, in order
        for place in row:
            ends = [at[other] for other in place.below]
            total += sum(len(passed) - bisect_right(passed, end) for end in ends)
            for end in ends:
                insort(passed, end)
    return total


def _put_beside(rows: Rows) -> None:
    """Places under and over the middle of what they are linked with, as far as there is room.

    Where a row has one place the whole network passes through it, and it is in the middle.
    """
    for sweep in range(SWEEPS + 1):  # the last one goes down: what follows a box is under it
        down = sweep % 2 == 0
        for row in rows if down else rows[::-1]:
            if len(row) > 1:
                _spread(row, [place.above if down else place.below for place in row])


def _spread(row: list[Place], linked: list[list[Place]]) -> None:
    """Put a row where Σ w (x − mean x of the linked)² is least and no two places overlap.

    Without the distances between places it is isotonic regression, by pooling neighbours.
    """
    starts, start = [], 0.0
    for i, place in enumerate(row):
        start += (place.width + row[i - 1].width) / 2 + BESIDE if i else 0.0
        starts.append(start)
    pools: list[tuple[float, float, int]] = []  # value, weight, places
    for place, others, start in zip(row, linked, starts, strict=True):
        straight = place.node is None and any(other.node is None for other in others)
        weight = 16.0 if straight else 1.0 + len(others)
        value, count = (_mean([o.x for o in others]) if others else 0.0) - start, 1
        while pools and pools[-1][0] > value:
            other, heavy, more = pools.pop()
            value = (value * weight + other * heavy) / (weight + heavy)
            weight, count = weight + heavy, count + more
        pools.append((value, weight, count))
    values = [value for value, _, count in pools for _ in range(count)]
    for place, value, start in zip(row, values, starts, strict=True):
        place.x = value + start
