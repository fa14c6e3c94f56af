"""Ways to build an :class:`Architecture`: chains, branches, residuals, and node by node."""

from __future__ import annotations

from kernas.errors import ArchitectureError

from .foreign_names import no_layer
from .graph import Architecture
from .layers import LAYERS, Identity, Input, Layer, Node, Sum

Piece = Layer | Architecture


class GraphBuilder:
    """Builds an architecture node by node, for graphs that are not chains of blocks.

    >>> from kernas.kernels import AvgPool, Conv, Flatten, GraphBuilder, Sum
    >>> builder = GraphBuilder()
    >>> x = builder.add(Conv(3), builder.input)
    >>> y = builder.add(Sum(), x, builder.add(AvgPool(3, padding="SAME"), x))
    >>> len(builder.build(builder.add(Flatten(), y)))
    5
    """

    def __init__(self) -> None:
        self._nodes: list[Node] = [Node(Input())]

    @property
    def input(self) -> int:
        """Index of the input node."""
        return 0

    def add(self, part: Piece, *inputs: int) -> int:
        """Append a layer, or a whole architecture in place of its input; return its index."""
        if isinstance(part, Layer):
            self._nodes.append(Node(part, inputs))
            return len(self._nodes) - 1
        if not isinstance(part, Architecture):
            raise ArchitectureError(no_layer(part, LAYERS))
        if len(inputs) != 1:
            raise ArchitectureError(
                f"an architecture has one input, {len(inputs)} were given; join them with Sum()"
            )
        index = {0: inputs[0]}
        for old, node in enumerate(part.nodes[1:], start=1):
            index[old] = self.add(node.layer, *(index[i] for i in node.inputs))
        return index[part.output]

    def build(self, output: int) -> Architecture:
        """The architecture that ends in node ``output``; nodes it does not read are left out."""
        if not 0 <= output < len(self._nodes):
            raise ArchitectureError(
                f"output={output}: expected a node from 0 to {len(self._nodes) - 1}, as add() "
                "returned it"
            )
        reached = {0, output}
        for index in range(output, 0, -1):
            if index in reached:
                reached.update(self._nodes[index].inputs)
        new = {old: i for i, old in enumerate(sorted(reached))}
        return Architecture(
            tuple(
                Node(self._nodes[old].layer, tuple(new[i] for i in self._nodes[old].inputs))
                for old in sorted(reached)
            )
        )


def serial(*parts: Piece) -> Architecture:
    """Parts one after the other.

    Args:
        parts: layers or architectures, at least one.

    Raises:
        ArchitectureError: no part is given, or the parts do not fit.

    >>> from kernas.kernels import Conv, Dense, Flatten, Relu, serial
    >>> serial(Conv(3), Relu(), Flatten(), Dense())
    <Architecture 5 nodes, 2 weight layers>
    """
    if not parts:
        raise ArchitectureError("serial() got no layers; give at least one, e.g. serial(Dense())")
    builder = GraphBuilder()
    node = builder.input
    for part in parts:
        node = builder.add(part, node)
    return builder.build(node)


def parallel(*branches: Piece, join: Layer | None = None) -> Architecture:
    """Branches that read one input, joined by ``join`` (default ``Sum()``)."""
    if not branches:
        raise ArchitectureError("parallel() got no branches; give at least one")
    builder = GraphBuilder()
    ends = [builder.add(branch, builder.input) for branch in branches]
    return builder.build(builder.add(join or Sum(), *ends))


def residual(branch: Piece, shortcut: Piece | None = None) -> Architecture:
    """``branch(x) + shortcut(x)``; the shortcut is the identity unless given (He et al. 2016)."""
    return parallel(branch, shortcut or Identity())
