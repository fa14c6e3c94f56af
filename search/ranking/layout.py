"""A table as text, narrower where there is no room for it."""

from __future__ import annotations

from collections.abc import Collection, Sequence

BETWEEN = "  "

LEAST_NAME = 16
"""Columns that names keep while there is something else to leave out."""


def aligned(lines: Sequence[Sequence[str]]) -> str:
    """The cells of a table below each other: all columns to the right, the last one, of names, to
    the left."""
    widths = _widths(lines)
    return "\n".join(
        BETWEEN.join([*(f"{c:>{w}}" for c, w in zip(line[:-1], widths, strict=False)), line[-1]])
        for line in lines
    )


def fitted(lines: Sequence[Sequence[str]], width: int | None, spare: Collection[int]) -> str:
    """The same in a number of columns: the middle of names gives way first, then whole columns.

    Args:
        lines: of the table, its head first; names stand in the last column.
        width: of the terminal; ``None`` for as many as the table takes.
        spare: columns that may be left out, the last of them first.

    Returns:
        The table, and if anything is left out a line that says what. What is left of it may still
        be wider, in a terminal of a few columns.
    """
    if width is None:
        return aligned(lines)
    kept, left_out = list(range(len(lines[0]))), []
    for column in sorted(spare, reverse=True):
        if _room(lines, kept, width) >= min(LEAST_NAME, _widths(lines)[-1]):
            break
        kept.remove(column)
        left_out.append(lines[0][column])
    room = max(3, _room(lines, kept, width))
    chosen = [[*(line[column] for column in kept[:-1]), _cut(line[-1], room)] for line in lines]
    said = list(reversed(left_out))
    if any(len(line[-1]) > room for line in lines):
        said.append("the middle of names")
    if not said:
        return aligned(chosen)
    return f"{aligned(chosen)}\nLeft out in {width} columns: {', '.join(said)}."


def _widths(lines: Sequence[Sequence[str]]) -> list[int]:
    return [max(map(len, column)) for column in zip(*lines, strict=True)]


def _room(lines: Sequence[Sequence[str]], kept: Sequence[int], width: int) -> int:
    """Columns that the other columns leave for names."""
    widths = _widths(lines)
    return width - sum(widths[column] + len(BETWEEN) for column in kept[:-1])


def _cut(name: str, room: int) -> str:
    """A name, or its beginning and its end."""
    if len(name) <= room:
        return name
    end = (room - 1) // 2
    return f"{name[: room - 1 - end]}…{name[len(name) - end :]}"
