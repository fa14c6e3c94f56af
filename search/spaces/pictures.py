"""Pictures of cells: operations and nodes as boxes, as a space's papers draw them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from kernas.kernels.architecture.drawing import NONLINEARITY, PLAIN, WEIGHTS, Box

Edge = tuple[int, int, str]
"""Source, target and operation."""

SKIPS = ("skip_connect", "")
"""Operations that are a line."""

ABSENT = "none"
"""The operation that is no line."""


def picture_of_edges(
    edges: Iterable[Edge], names: Mapping[int, str], before: Sequence[tuple[int, ...]] = ((),)
) -> list[Box]:
    """The picture of nodes with operations on the edges between them.

    Nodes that carry nothing, because no edge comes from the inputs, and those that nobody reads are
    left out.

    Args:
        edges: in any order; sources are less than targets.
        names: of the nodes, the last of which is the output.
        before: of the first nodes, which are inputs, what each reads of them: the very first
            nothing, others the first.
    """
    output = max(names)
    carried = _carried([edge for edge in edges if edge[2] != ABSENT], len(before), output)
    read = {source for source, _, _ in carried}
    boxes: list[Box] = []
    place: dict[int, int] = {}

    def put(node: int, inputs: tuple[int, ...], title: str = "") -> None:
        place[node] = len(boxes)
        boxes.append(Box(names[node], inputs, title))

    for node, reads in enumerate(before):
        if node == 0 or node in read:
            put(node, reads)
    for node in range(len(before), output + 1):
        inputs: list[int] = []
        for source, target, operation in carried:
            if target == node and operation in SKIPS:
                inputs.append(place[source])
            elif target == node:
                inputs.append(len(boxes))
                boxes.append(Box(operation, (place[source],), operation, _fill(operation)))
        if inputs:
            put(node, tuple(inputs))
    if output not in place:
        put(output, (0,), "nothing but zero reaches it")
    return boxes


def picture_of_nodes(operations: Sequence[str], edges: Iterable[tuple[int, int]]) -> list[Box]:
    """The picture of nodes that each do something.

    Args:
        operations: of all nodes; the first is the input and the last the output.
        edges: source and target; all nodes but the first read one, and all but the last are read.
    """
    sources: dict[int, list[int]] = {node: [] for node in range(len(operations))}
    for source, target in sorted(edges):
        sources[target].append(source)
    return [
        Box(operation, tuple(sources[node]), operation, _fill(operation))
        for node, operation in enumerate(operations)
    ]


def _carried(edges: Sequence[Edge], inputs: int, output: int) -> list[Edge]:
    """The edges on paths from an input to the output."""
    ahead, back = set(range(inputs)), {output}
    for source, target, _ in sorted(edges, key=lambda edge: edge[1]):
        if source in ahead:
            ahead.add(target)
    for source, target, _ in sorted(edges, key=lambda edge: -edge[0]):
        if target in back:
            back.add(source)
    return [edge for edge in edges if edge[0] in ahead and edge[1] in back]


def _fill(operation: str) -> str:
    if "conv" in operation:
        return WEIGHTS
    return NONLINEARITY if "pool" in operation else PLAIN
