"""Cells of NAS-Bench-101 by brute force: every labelled graph, and every renumbering of it.

What Ying et al. 2019, section 2.3, describe: all matrices above the diagonal, without those that
have a vertex on no path, with all operations; two are one if some renumbering of the vertices
between input and output makes them equal. Written with sets and explicit matrices, independent of
the space.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator

Matrix = tuple[tuple[int, ...], ...]
Labelled = tuple[Matrix, tuple[int, ...]]
"""A matrix of edges, and a number for the operation of each vertex between input and output."""


def labelled_cells(size: int, max_edges: int, operations: int = 3) -> Iterator[Labelled]:
    """Every graph of so many vertices with edges from lower to higher numbers, all on paths."""
    pairs = list(itertools.combinations(range(size), 2))
    for present in itertools.product((0, 1), repeat=len(pairs)):
        if sum(present) > max_edges:
            continue
        edges = {pair for pair, there in zip(pairs, present, strict=True) if there}
        if not all(_ways(v, size - 1, edges) and _ways(0, v, edges) for v in range(size)):
            continue
        matrix = tuple(tuple(int((i, j) in edges) for j in range(size)) for i in range(size))
        for labels in itertools.product(range(operations), repeat=size - 2):
            yield matrix, labels


def _ways(start: int, end: int, edges: set[tuple[int, int]]) -> bool:
    return start == end or any(s == start and _ways(t, end, edges) for s, t in edges)


def isomorphism_class(cell: Labelled) -> Labelled:
    """The least of all its renumberings, whether their edges rise or not: equal for isomorphic
    cells, and for no others."""
    matrix, labels = cell
    size = len(matrix)
    orders = ((0, *inner, size - 1) for inner in itertools.permutations(range(1, size - 1)))
    return min(
        (
            tuple(tuple(matrix[i][j] for j in order) for i in order),
            tuple(labels[v - 1] for v in order[1:-1]),
        )
        for order in orders
    )
