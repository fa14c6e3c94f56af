"""Cells of NAS-Bench-101 whose networks need what any cell's network does.

The first three need every operation, the others the room that programs have for values: they were
found by going from cell to neighbour towards more room. 1,000 draws needed nothing else in the
skeletons of one cell and of three cells a stack, nor did all cells of up to five vertices in the
former.
"""

from __future__ import annotations

from .cell_graphs import OPERATIONS, Cell

_ROWS = (
    "0 2 2; 01 03 04 12 13 14 23 24 34",
    "1 0 1 2 1; 01 06 12 23 34 45 56",
    "2 0; 01 12 23",
    "2 2 0 2; 01 03 05 12 14 24 25 34 45",
    "0 2 2; 01 02 03 04 12 13 23 24 34",
    "0 0 1 1 0; 01 04 12 14 23 24 34 45 56",
)
"""Of each cell the numbers of its operations, and its edges."""


def _cell(row: str) -> Cell:
    operations, edges = (part.split() for part in row.split(";"))
    pairs = tuple((int(source), int(target)) for source, target in edges)
    return tuple(OPERATIONS[int(number)] for number in operations), pairs


COVER = [_cell(row) for row in _ROWS]
