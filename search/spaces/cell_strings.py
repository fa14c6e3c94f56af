"""NAS-Bench-201 cells however they are given: text, operations, NASLib's indices, their number.

All of them become six operations here, and nowhere else.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np

from kernas.arrays import open_npz
from kernas.errors import ArchitectureError, DataError

Cell = str | int | Sequence[str] | Sequence[int]
"""What :func:`operations_of` takes for a cell."""

OPERATIONS = ("none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3")
"""The operations of an edge, in the order of the published table."""

EDGES = ((0, 1), (0, 2), (1, 2), (0, 3), (1, 3), (2, 3))
"""The edges ``(source, target)`` of a cell, in the order of the cell string."""

EXAMPLE = "|nor_conv_3x3~0|+|skip_connect~0|none~1|+|none~0|none~1|avg_pool_3x3~2|"

INDEXED = ("skip_connect", "none", "nor_conv_3x3", "nor_conv_1x1", "avg_pool_3x3")
"""The operations by NASLib's indices, ``OP_NAMES`` of its ``nasbench201/conversions.py``."""

INDEXED_EDGES = ((0, 1), (0, 2), (0, 3), (1, 2), (1, 3), (2, 3))
"""The edges in the order of NASLib's tuples, its ``EDGE_LIST`` with nodes from zero."""

TABLE = "nasbench201.npz"
"""The published table, in whose order cells have numbers; it lies in a folder of data."""

NAMES = "arch_str"
"""The array of the table that holds the cell strings."""

NUMBER_OF_CELLS = len(OPERATIONS) ** len(EDGES)

_NUMBER = re.compile(r"[0-9]{1,9}")
_INDICES = re.compile(r"[(\[]?\s*([0-9]\s*,\s*){5}[0-9]\s*[)\]]?")
_EDGE = re.compile(r"(?P<operation>[^|~+]+)~(?P<source>[0-9]{1,9})")


def operations_of(cell: Cell) -> tuple[str, ...]:
    """The six operations of a cell, in the order of :data:`EDGES`.

    Args:
        cell: a cell string, whose edges may stand in any order; six operations in the order of
            :data:`EDGES`; six of NASLib's indices in NASLib's order, ``(4, 0, 3, 1, 4, 3)``, by
            which NAS-Bench-Suite-Zero names cells (:data:`INDEXED`, :data:`INDEXED_EDGES`); the
            number of the cell in the published table, 0 to 15,624; or the text of the latter two.

    Raises:
        ArchitectureError: it is none of these.
    """
    if isinstance(cell, str):
        return _of_text(cell)
    if isinstance(cell, int | np.integer) and not isinstance(cell, bool):
        return _of_number(int(cell))
    if isinstance(cell, list | tuple) and len(cell) == len(EDGES):
        if all(isinstance(part, str) for part in cell):
            for part in cell:
                check_operation(str(part))
            return tuple(str(part) for part in cell)
        if all(_is_integer(part) for part in cell):
            return _of_indices(cell)
    raise ArchitectureError(
        f"cell {cell!r:.120}: expected a cell string such as {EXAMPLE}, a tuple of six operations "
        "or of six of NASLib's indices, or a number of the published table"
    )


def name_of(cell: Cell) -> str:
    """The cell string with the edges in the published order: equal for equal cells.

    Raises:
        ArchitectureError: as :func:`operations_of`.
    """
    return format_cell(operations_of(cell))


def format_cell(operations: Sequence[str]) -> str:
    """The cell string of six operations in the order of :data:`EDGES`.

    Raises:
        ArchitectureError: there are not six operations, or one is unknown.
    """
    if isinstance(operations, str) or len(operations) != len(EDGES):
        raise ArchitectureError(
            f"{len(operations)} operations: expected {len(EDGES)}, one for each edge of "
            f"{', '.join(f'{s}→{t}' for s, t in EDGES)}"
        )
    nodes: dict[int, str] = {1: "|", 2: "|", 3: "|"}
    for operation, (source, target) in zip(operations, EDGES, strict=True):
        check_operation(operation)
        nodes[target] += f"{operation}~{source}|"
    return "+".join(nodes.values())


def is_cell_text(text: str) -> bool:
    """Whether a text is meant as a cell, and not as the name of a file."""
    meant = "|" in text or _NUMBER.fullmatch(text) or _INDICES.fullmatch(text)
    return bool(meant)


def _of_text(text: str) -> tuple[str, ...]:
    cell = text.strip()
    if _NUMBER.fullmatch(cell):
        return _of_number(int(cell))
    if _INDICES.fullmatch(cell):
        return _of_indices([int(index) for index in re.findall("[0-9]", cell)])
    groups = cell.split("+")
    if len(groups) != 3:
        raise ArchitectureError(
            f"cell {text!r} has {len(groups)} node(s): expected three, joined by '+', as in "
            f"{EXAMPLE}"
        )
    operations: list[str] = []
    for target, group in enumerate(groups, start=1):
        operations += _parse_node(text, target, group)
    return tuple(operations)


def _of_indices(indices: Sequence[Any]) -> tuple[str, ...]:
    wrong = [index for index in indices if not 0 <= index < len(INDEXED)]
    if wrong:
        raise ArchitectureError(
            f"cell {tuple(map(int, indices))}: {wrong[0]} is no operation, expected NASLib's "
            f"indices 0 to {len(INDEXED) - 1} of {', '.join(INDEXED)}"
        )
    edges = dict(zip(INDEXED_EDGES, indices, strict=True))
    return tuple(INDEXED[edges[edge]] for edge in EDGES)


def _of_number(number: int) -> tuple[str, ...]:
    if not 0 <= number < NUMBER_OF_CELLS:
        raise ArchitectureError(
            f"cell {number}: expected a number of the published table, 0 to {NUMBER_OF_CELLS - 1}"
        )
    return _of_text(_published_cells()[number])


@cache
def _published_cells() -> tuple[str, ...]:
    """The cells of the published table, in its order.

    Raises:
        ArchitectureError: the table is in no folder of data.
        DataError: it cannot be read, or is another one.
    """
    from kernas.kernels.data import data_folders

    places = [folder / TABLE for folder in data_folders()]
    path = next((place for place in places if place.is_file()), None)
    if path is None:
        raise ArchitectureError(
            f"a number is the place of a cell in the published table, but there is no file at "
            f"{' or '.join(map(str, places))}; set KERNAS_DATA to the folder of {TABLE}, or give "
            f"the cell itself, {EXAMPLE}"
        )
    with open_npz(path) as table:
        names = table.read(NAMES)
    if names.shape != (NUMBER_OF_CELLS,):
        raise DataError(
            f"{NAMES!r} of {path} has shape {names.shape}: expected the {NUMBER_OF_CELLS:,} cells "
            "of the published table"
        )
    return tuple(np.char.decode(names).tolist() if names.dtype.kind == "S" else names.tolist())


def _is_integer(value: Any) -> bool:
    return isinstance(value, int | np.integer) and not isinstance(value, bool)


def _parse_node(cell: str, target: int, group: str) -> list[str]:
    """The operations of one node, by source."""
    group = group.strip()
    if len(group) < 2 or group[0] != "|" or group[-1] != "|":
        raise ArchitectureError(
            f"cell {cell!r}: node {target} is {group!r}, expected |operation~source|… as in "
            f"{EXAMPLE}"
        )
    by_source: dict[int, str] = {}
    for edge in group[1:-1].split("|"):
        match = _EDGE.fullmatch(edge.strip())
        if match is None:
            raise ArchitectureError(
                f"cell {cell!r}: {edge!r} at node {target} is not operation~source, for example "
                "nor_conv_3x3~0"
            )
        operation, source = match["operation"], int(match["source"])
        check_operation(operation)
        if source >= target:
            raise ArchitectureError(
                f"cell {cell!r}: {edge!r} makes node {target} read node {source}, which does not "
                f"come before it; read nodes 0 to {target - 1}"
            )
        if source in by_source:
            raise ArchitectureError(
                f"cell {cell!r}: node {target} reads node {source} twice; give one operation for "
                "each earlier node"
            )
        by_source[source] = operation
    missing = [str(source) for source in range(target) if source not in by_source]
    if missing:
        raise ArchitectureError(
            f"cell {cell!r}: node {target} has no operation from node {', '.join(missing)}; write "
            f"none~{missing[0]} for an absent edge"
        )
    return [by_source[source] for source in range(target)]


def check_operation(operation: str) -> None:
    if operation not in OPERATIONS:
        raise ArchitectureError(
            f"unknown operation {operation!r}: expected one of {', '.join(OPERATIONS)}"
        )
