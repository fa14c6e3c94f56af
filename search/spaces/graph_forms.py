"""Cells of NAS-Bench-101 however they are given: names, genotypes, matrices and their texts.

All of them become operations and edges in canonical form here, and nowhere else.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import numpy as np

from kernas import documents
from kernas.errors import ArchitectureError, DocumentError
from kernas.fields import nearest

from .cell_graphs import OPERATIONS, Cell, Edge, canonical, cycle_of, pruned

EXAMPLE = "conv3x3-bn-relu,maxpool3x3;0-1,0-2,1-3,2-3"

MATRIX_NAMES = (("matrix", "ops"), ("module_adjacency", "module_operations"))
"""What the published code and table call a matrix and its operations."""

_EDGE = re.compile("([0-9]{1,6})-([0-9]{1,6})")


def cell_of(cell: Any, max_vertices: int, max_edges: int) -> Cell:
    """A cell in canonical form, pruned.

    Args:
        cell: in any form that :meth:`NasBench101.parse` takes.
        max_vertices: most vertices on paths from input to output, both included.
        max_edges: most edges on such paths.

    Raises:
        ArchitectureError: it is none.
    """
    operations, edges = _parts_of(cell)
    for operation in operations:
        if operation not in OPERATIONS:
            raise ArchitectureError(
                f"cell {_shown(cell)}: unknown operation {operation!r:.60}"
                f"{nearest(str(operation), OPERATIONS)}, expected some of "
                f"{', '.join(OPERATIONS)}"
            )
    size = len(operations) + 2
    for edge in edges:
        if not all(type(end) is int and 0 <= end < size for end in edge):
            raise ArchitectureError(
                f"cell {_shown(cell)}: no edge {edge!r:.60} between its {size} vertices; "
                f"expected numbers from 0, the input, to {size - 1}, the output"
            )
    cycle = cycle_of(size, edges)
    if cycle:
        raise ArchitectureError(
            f"cell {_shown(cell)}: a cycle through vertices {', '.join(map(str, cycle))}; "
            "expected edges from earlier vertices to later ones"
        )
    found = pruned(operations, edges)
    if found is None:
        raise ArchitectureError(
            f"cell {_shown(cell)}: no path leads from its input, vertex 0, to its output, "
            f"vertex {size - 1}; add edges, as in {EXAMPLE}"
        )
    for what, count, most in (
        ("vertices", len(found[0]) + 2, max_vertices),
        ("edges", len(found[1]), max_edges),
    ):
        if count > most:
            raise ArchitectureError(
                f"cell {_shown(cell)}: {count} {what} on paths from input to output, expected "
                f"at most {most}"
            )
    return canonical(found)


def name_of_cell(cell: Cell) -> str:
    """The operations and the edges: the name of a cell in canonical form."""
    operations, edges = cell
    return f"{','.join(operations)};{','.join(f'{source}-{target}' for source, target in edges)}"


def _shown(cell: Any) -> str:
    return f"{' '.join(repr(cell).split()):.120}"


def _parts_of(cell: Any) -> tuple[tuple[Any, ...], tuple[Edge, ...]]:
    """The operations between and the edges of a cell that is given in any form."""
    found = _evaluated(cell) if isinstance(cell, str) else cell
    if isinstance(found, Mapping):
        pairs = [pair for pair in MATRIX_NAMES if set(pair) <= set(found)]
        found = tuple(found[name] for name in pairs[0]) if pairs else None
    if isinstance(found, tuple | list) and len(found) == 2:
        first, second = found
        if _is_genotype(first, second):
            return tuple(first), tuple(map(tuple, second))
        matrix = _matrix(first)
        if matrix is not None and isinstance(second, tuple | list) and len(second) == len(matrix):
            edges = [(int(source), int(target)) for source, target in np.argwhere(matrix)]
            return tuple(second)[1:-1], tuple(edges)
    raise ArchitectureError(
        f"cell {_shown(cell)}: expected operations and edges, such as {EXAMPLE}, or a square "
        "matrix of zeros and ones of at least two vertices with as many operations"
    )


def _evaluated(text: str) -> Any:
    """What a text stands for: a name's operations and edges, or a JSON value, also as Python writes
    it."""
    operations, semicolon, edges = text.strip().partition(";")
    if semicolon:
        found = [_EDGE.fullmatch(part.strip()) for part in edges.split(",")]
        if all(found):
            pairs = tuple((int(edge[1]), int(edge[2])) for edge in found if edge)
            named = [part.strip() for part in operations.split(",")] if operations.strip() else []
            return tuple(named), pairs
        return None
    brackets = str.maketrans("'()", '"[]')
    try:
        return documents.parse(text.translate(brackets))
    except DocumentError:
        return None


def _is_genotype(operations: Any, edges: Any) -> bool:
    """Whether these are the operations between and pairs of numbers."""
    return (
        isinstance(operations, tuple | list)
        and isinstance(edges, tuple | list)
        and all(isinstance(operation, str) for operation in operations)
        and all(isinstance(edge, tuple | list) and len(edge) == 2 for edge in edges)
    )


def _matrix(given: Any) -> np.ndarray | None:
    """A square matrix of zeros and ones; ``None`` of what is none."""
    try:
        matrix = np.asarray(given)
    except ValueError:  # rows of different lengths
        return None
    square = matrix.ndim == 2 and matrix.shape[0] == matrix.shape[1] >= 2
    if not square or matrix.dtype.kind not in "biuf" or not np.isin(matrix, (0, 1)).all():
        return None
    return matrix.astype(bool)
