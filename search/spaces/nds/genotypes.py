"""Genotypes in the spelling of the published code: two cells, read without running anything.

``Genotype(normal=[('sep_conv_3x3', 0), …], normal_concat=[2, 3, 4, 5], reduce=[…], …)`` lists the
edges of each cell, two for each node, from node 2 on: 0 and 1 are the outputs of the last cell but
one and of the last one. (``genotypes.py`` of the code of Liu, Simonyan and Yang 2019.)
"""

from __future__ import annotations

import ast
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from kernas.errors import ArchitectureError
from kernas.fields import nearest

Edge = tuple[str, int]
"""An operation, and the node that it reads."""

Cell = tuple[Edge, ...]
"""The edges of the nodes, two each, from node 2 on."""

LONGEST_TEXT = 10_000
"""Characters of a genotype that are read."""


class Cells(NamedTuple):
    """Both cells of a network."""

    normal: Cell
    reduce: Cell


FIELDS = ("normal", "normal_concat", "reduce", "reduce_concat")


def concatenated(edges: Cell, *, loose: bool) -> tuple[int, ...]:
    """The nodes whose concatenation is a cell's output.

    Args:
        edges: of the cell.
        loose: those that no node reads, and not all of them.
    """
    read = {source for _, source in edges} if loose else set()
    return tuple(node for node in range(2, 2 + len(edges) // 2) if node not in read)


def genotype_text(cells: Cells, *, loose: bool) -> str:
    """The published spelling of two cells."""
    parts = (
        f"{name}={list(edges)}, {name}_concat={list(concatenated(edges, loose=loose))}"
        for name, edges in zip(cells._fields, cells, strict=True)
    )
    return f"Genotype({', '.join(parts)})"


def read_genotype(
    given: Any, operations: Sequence[str], nodes: int, *, loose: bool, name: str
) -> Cells:
    """The cells of a text ``Genotype(…)``, or of the four values of one.

    Args:
        given: the text; or a mapping or a tuple of ``normal``, ``normal_concat``, ``reduce`` and
            ``reduce_concat``.
        operations: that there are.
        nodes: of a cell, its inputs left out.
        loose: see :func:`concatenated`.
        name: of the space, in messages.

    Raises:
        ArchitectureError: it is none, or a cell has another number of edges, an unknown operation,
            a node that reads itself or a later one, or other nodes concatenated.
    """
    fields = _fields(given, name)
    cells: list[Cell] = []
    for kind in Cells._fields:
        edges = tuple(_edge(edge, kind) for edge in _items(fields[kind], kind))
        if len(edges) != 2 * nodes:
            raise ArchitectureError(
                f"{kind} has {len(edges)} edges: expected {2 * nodes}, two for each of the "
                f"{nodes} nodes of {name}"
            )
        for place, (operation, source) in enumerate(edges):
            node = 2 + place // 2
            if operation not in operations:
                raise ArchitectureError(
                    f"{kind}: unknown operation {operation!r:.60}{nearest(operation, operations)}, "
                    f"expected one of {', '.join(operations)}"
                )
            if not 0 <= source < node:
                raise ArchitectureError(
                    f"{kind}: node {node} reads node {source!r:.20}, expected one before it, 0 to "
                    f"{node - 1}"
                )
        chosen = list(concatenated(edges, loose=loose))
        found = _items(fields[f"{kind}_concat"], f"{kind}_concat")
        if found != chosen:
            which = "those that no node reads" if loose else "all of them"
            raise ArchitectureError(
                f"{kind}_concat={found!r:.60}: expected {chosen}, cells of {name} concatenate "
                f"{which}"
            )
        cells.append(edges)
    return Cells(*cells)


def _fields(given: Any, name: str) -> Mapping[str, Any]:
    """The four values by name."""
    if isinstance(given, str):
        given = _literal(given)
    elif isinstance(given, tuple) and len(given) == len(FIELDS):
        given = dict(zip(FIELDS, given, strict=True))
    if not isinstance(given, Mapping) or set(given) != set(FIELDS):
        raise ArchitectureError(
            f"{given!r:.60} is no genotype of {name}: expected Genotype(normal=[('skip_connect', "
            "0), …], normal_concat=[…], reduce=[…], reduce_concat=[…])"
        )
    return given


def _literal(text: str) -> Any:
    """The arguments of a text ``Genotype(name=literal, …)``; the text where it is none."""
    if len(text) > LONGEST_TEXT or not text.strip().startswith("Genotype("):
        return text
    try:
        call = ast.parse(text.strip(), mode="eval").body
        if not isinstance(call, ast.Call) or ast.unparse(call.func) != "Genotype" or call.args:
            return text  # Genotype(…)(…)
        return {str(argument.arg): _value(argument.value) for argument in call.keywords}
    except (SyntaxError, ValueError, TypeError, RecursionError, MemoryError):
        return text  # what Python's parser raises, of a text that is not its own


def _value(node: ast.expr) -> Any:
    """A literal, or the list that ``range(…)`` of literals stands for."""
    if not isinstance(node, ast.Call) or ast.unparse(node.func) != "range" or node.keywords:
        return ast.literal_eval(node)
    numbers = range(*(ast.literal_eval(argument) for argument in node.args))
    return list(numbers[:100])


def _items(given: Any, name: str) -> list[Any]:
    if isinstance(given, list | tuple | range):
        return list(given)
    raise ArchitectureError(f"{name}={given!r:.60}: expected a list")


def _edge(given: Any, kind: str) -> Edge:
    match given:
        case (str(operation), int(source)) if not isinstance(source, bool):
            return operation, source
    raise ArchitectureError(
        f"{kind}: {given!r:.60} is no edge, expected an operation and the node that it reads, such "
        "as ('skip_connect', 0)"
    )
