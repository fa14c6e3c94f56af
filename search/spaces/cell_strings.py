"""The text of NAS-Bench-201 cells: its operations, its edges, and what can be wrong in it."""

from __future__ import annotations

import re

from kernas.errors import ArchitectureError

OPERATIONS = ("none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3")
"""The operations of an edge, in the order of the published table."""

EDGES = ((0, 1), (0, 2), (1, 2), (0, 3), (1, 3), (2, 3))
"""The edges ``(source, target)`` of a cell, in the order of the cell string."""

EXAMPLE = "|nor_conv_3x3~0|+|skip_connect~0|none~1|+|none~0|none~1|avg_pool_3x3~2|"

_EDGE = re.compile(r"(?P<operation>[^|~+]+)~(?P<source>[0-9]{1,9})")


def parse_node(cell: str, target: int, group: str) -> list[str]:
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
