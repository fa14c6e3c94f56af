"""Cells whose networks need every operation that a NAS-Bench-201 network of one cell a stage needs.

How operations are joined depends on what lies around them, so that single random cells leave some
out for long: 31 cells are the fewest that a greedy choice finds among all 5,044 different networks.
Eight networks of six or seven cells a stage hold as much. They were found by exchanging cells at
random until nothing was missing of what 3,100 cells need, in the skeletons of both reductions,
but for :data:`NOTHING` where a normalisation stands before the cell.
"""

from __future__ import annotations

from .cell_strings import OPERATIONS

_ROWS = (
    "424202 120321 440444 211100 440423 404224 311200",
    "010101 110444 111444 201333 201423 221323 100010",
    "430100 201322 414100 404141 104114 330244",
    "220444 002114 211114 122334 204404 104404",
    "404124 004132 114444 101233 000100 001313",
    "101114 013100 113411 144010 421144 204004",
    "111244 221100 122003 110100 414144 404004",
    "130434 014031 430100 440044 201044 133004",
)
"""A network a row: of each cell the numbers of its operations, in the order of the cell string."""

COVER = [
    [tuple(OPERATIONS[int(number)] for number in cell) for cell in row.split()] for row in _ROWS
]
"""The cells of each network's stages."""

NOTHING = ("none", "none", "none", "skip_connect", "none", "none")
"""The cell that returns what it reads."""
