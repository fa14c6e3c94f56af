"""Cells of NAS-Bench-101 as graphs: pruned, in canonical form, hashed, enumerated.

Vertex 0 is the cell's input, the last one its output, those between have operations. Two cells are
one if a renumbering of the vertices between turns one into the other.

Reference: Ying et al., NAS-Bench-101: Towards Reproducible Neural Architecture Search, ICML 2019,
sections 2.2 and 2.3, and the code published with it.
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Collection, Iterator, Sequence
from functools import cache, lru_cache

import numpy as np

OPERATIONS = ("conv3x3-bn-relu", "conv1x1-bn-relu", "maxpool3x3")
"""The operations of a vertex, in the order in which the published hash numbers them."""

Edge = tuple[int, int]
Cell = tuple[tuple[str, ...], tuple[Edge, ...]]
"""The operations of the vertices between input and output, and the edges in rising order."""

INPUT, OUTPUT = -1, -2
"""What the published hash labels input and output with."""


def cycle_of(size: int, edges: Collection[Edge]) -> list[int]:
    """The vertices of a graph that lie on cycles or between them; none of an acyclic one."""
    left = set(range(size))
    for ends in (0, 1):  # what nobody leads to, then what leads nowhere
        while free := left - {e[1 - ends] for e in edges if e[0] in left and e[1] in left}:
            left -= free
    return sorted(left)


def pruned(operations: Sequence[str], edges: Collection[Edge]) -> Cell | None:
    """The cell without the vertices that are on no path from the input to the output.

    Args:
        operations: of the vertices between.
        edges: without cycles, between any numbers from 0 to ``len(operations) + 1``.

    Returns:
        The cell with vertices numbered so that edges rise, not in canonical form; ``None`` where no
        path leads from input to output.
    """
    last = len(operations) + 1
    on_path = _reached(0, edges) & _reached(last, [(t, s) for s, t in edges])
    if 0 not in on_path:
        return None
    order: list[int] = []
    while rest := on_path.difference(order):
        order.append(min(v for v in rest if not any(t == v and s in rest for s, t in edges)))
    place = {vertex: number for number, vertex in enumerate(order)}
    kept = {(place[s], place[t]) for s, t in edges if s in place and t in place}
    return tuple(operations[v - 1] for v in order[1:-1]), tuple(sorted(kept))


def _reached(start: int, edges: Collection[Edge]) -> set[int]:
    """The vertices to which ways lead from one, and itself."""
    found, new = {start}, {start}
    while new:
        new = {t for s, t in edges if s in new} - found
        found |= new
    return found


@lru_cache(maxsize=2**16)
def canonical(cell: Cell) -> Cell:
    """The least of all renumberings in which edges rise: by their matrix of edges, read as a
    number, then by their operations.

    Args:
        cell: of few vertices, in whose order edges rise.
    """
    operations, edges = cell
    size = len(operations) + 2
    numbers = [OPERATIONS.index(operation) for operation in operations]
    places = [_permuted(order, edges) for order in itertools.permutations(range(1, size - 1))]
    forms = [
        (mask, tuple(numbers[v - 1] for v in order)) for mask, order in places if mask is not None
    ]
    mask, least = min(forms)
    return tuple(OPERATIONS[number] for number in least), edges_of(mask, size)


def _permuted(
    order: tuple[int, ...], edges: tuple[Edge, ...]
) -> tuple[int | None, tuple[int, ...]]:
    """The matrix of edges of the vertices in this order; ``None`` where an edge falls."""
    place = {vertex: number for number, vertex in enumerate(order, start=1)}
    place |= {0: 0, len(order) + 1: len(order) + 1}
    mask = 0
    for source, target in edges:
        if place[source] >= place[target]:
            return None, order
        mask |= 1 << bit_of(place[source], place[target])
    return mask, order


def bit_of(source: int, target: int) -> int:
    """The bit of an edge in the number that a matrix of edges is read as: column by column."""
    return target * (target - 1) // 2 + source


def edges_of(mask: int, size: int) -> tuple[Edge, ...]:
    """The edges of such a number, in rising order."""
    pairs = itertools.combinations(range(size), 2)
    return tuple(pair for pair in pairs if mask >> bit_of(*pair) & 1)


def module_hash(cell: Cell) -> str:
    """The published hash of a cell, by which its table knows it.

    ``h_v ← md5(out-degree, in-degree, label)``, and as many times as there are vertices
    ``h_v ← md5(sorted hashes of predecessors | those of successors | h_v)``; the hash is that of
    the sorted ``h_v``. It is equal for isomorphic cells, and of cells of up to seven vertices and
    nine edges different for others.
    """
    operations, edges = cell
    labels = [INPUT, *(OPERATIONS.index(operation) for operation in operations), OUTPUT]
    vertices = range(len(labels))
    before = [[s for s, t in edges if t == v] for v in vertices]
    after = [[t for s, t in edges if s == v] for v in vertices]
    hashes = [_md5(str((len(after[v]), len(before[v]), labels[v]))) for v in vertices]
    for _ in vertices:
        joined = [
            ["".join(sorted(hashes[w] for w in near[v])) for near in (before, after)]
            for v in vertices
        ]
        hashes = [_md5("|".join([*joined[v], hashes[v]])) for v in vertices]
    return _md5(str(sorted(hashes)))


def _md5(text: str) -> str:
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()


def neighbours_of(cell: Cell, max_vertices: int, max_edges: int) -> list[Cell]:
    """All cells with another operation at one vertex, with one edge more or less, or with one
    vertex more or less that has one edge in and one out; in canonical form."""
    operations, edges = cell
    last = len(operations) + 1
    vertices, inner = range(last + 1), range(1, last)
    found: dict[Cell, None] = {}

    def note(operations: tuple[str, ...], edges: set[Edge]) -> None:
        size = len(operations) + 2
        if size > max_vertices or len(edges) > max_edges or cycle_of(size, edges):
            return
        kept = pruned(operations, edges)
        if kept is not None and (len(kept[0]) + 2, len(kept[1])) == (size, len(edges)):
            found[canonical(kept)] = None

    for place, operation in itertools.product(range(last - 1), OPERATIONS):
        note((*operations[:place], operation, *operations[place + 1 :]), set(edges))
    for source, target in itertools.product(vertices[:-1], vertices[1:]):
        if source != target:
            note(operations, set(edges) ^ {(source, target)})
    for source, target in itertools.product(vertices[:-1], vertices[1:]):
        moved = {(s + (s == last), t + (t == last)) for s, t in edges}
        new = {(source, last), (last, target + (target == last))}
        for operation in OPERATIONS:
            note((*operations, operation), moved | new)
    for vertex in inner:
        if sum(vertex in edge for edge in edges) == 2:
            left = {(s - (s > vertex), t - (t > vertex)) for s, t in edges if vertex not in (s, t)}
            note((*operations[: vertex - 1], *operations[vertex:]), left)
    found.pop(cell, None)
    return list(found)


def cells(max_vertices: int, max_edges: int) -> Iterator[Cell]:
    """Every cell once, in canonical form, those of fewer vertices first."""
    for size in range(2, max_vertices + 1):
        labellings = list(itertools.product(range(len(OPERATIONS)), repeat=size - 2))
        for mask in least_matrices(size, max_edges):
            edges, symmetries = edges_of(mask, size), _symmetries(mask, size)
            for labels in labellings:
                if all(labels <= tuple(labels[v - 1] for v in order) for order in symmetries):
                    yield tuple(OPERATIONS[number] for number in labels), edges


@cache
def number_of_cells(max_vertices: int, max_edges: int) -> int:
    """How many :func:`cells` there are: by Burnside's lemma, for each matrix of edges the mean
    over its symmetries of ``3^cycles``."""
    total = 0
    for size in range(2, max_vertices + 1):
        for mask in least_matrices(size, max_edges):
            orders = _symmetries(mask, size)
            total += sum(len(OPERATIONS) ** _cycles(order) for order in orders) // len(orders)
    return total


def _symmetries(mask: int, size: int) -> list[tuple[int, ...]]:
    """The renumberings that leave a matrix of edges as it is."""
    edges = edges_of(mask, size)
    return [
        order
        for order in itertools.permutations(range(1, size - 1))
        if _permuted(order, edges)[0] == mask
    ]


def _cycles(order: tuple[int, ...]) -> int:
    left, count = set(order), 0
    while left:
        count, vertex = count + 1, min(left)
        while vertex in left:
            left.remove(vertex)
            vertex = order[vertex - 1]
    return count


@cache
def least_matrices(size: int, max_edges: int) -> tuple[int, ...]:
    """The matrices of edges of which all vertices are on paths from input to output and which no
    renumbering makes less, in rising order.

    Args:
        size: vertices, >= 2.
        max_edges: most edges.
    """
    pairs = list(itertools.combinations(range(size), 2))
    masks = np.arange(1 << len(pairs), dtype=np.int64)
    present = {pair: (masks >> bit_of(*pair) & 1).astype(bool) for pair in pairs}
    keep = sum(edge.astype(np.int64) for edge in present.values()) <= max_edges
    for v in range(size - 1):
        keep &= np.any([present[v, w] for w in range(v + 1, size)], axis=0)
        keep &= np.any([present[w, v + 1] for w in range(v + 1)], axis=0)
    masks = masks[keep]
    present = {pair: edge[keep] for pair, edge in present.items()}
    least = np.ones(len(masks), dtype=bool)
    for order in itertools.permutations(range(1, size - 1)):
        place = (0, *(order.index(v) + 1 for v in range(1, size - 1)), size - 1)
        rises, other = np.ones(len(masks), dtype=bool), np.zeros_like(masks)
        for (source, target), edge in present.items():
            new = place[source], place[target]
            if new[0] > new[1]:
                rises &= ~edge
            else:
                other |= edge.astype(np.int64) << bit_of(*new)
        least &= ~rises | (masks <= other)
    return tuple(masks[least].tolist())
