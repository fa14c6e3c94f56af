"""Lowering: from an architecture to the second moments between its nodes.

``moment(a, b)`` is the covariance of node ``a`` at an image ``x`` with node ``b`` at an image
``x'``. It is found by taking the two nodes apart, linear ones first, later ones before earlier:

- sums, pools, skips and normalisations are linear, so they act on one side of the moment;
- a weight layer has fresh weights: with itself its own rule, with any earlier node zero;
- φ(b) with a Gaussian node ``u``: Stein, ``C_ub · E[φ'(b)]``; with ψ(a): the dual of ``C_ab``,
  which is not zero where ``C_ab`` is if φ and ψ have a mean.

So branches that meet again after sharing an input keep the covariance between them, which adding
the branches' kernels would lose.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from itertools import combinations

from kernas.errors import ArchitectureError

from ..architecture.activations import Activation, Elementwise
from ..architecture.graph import Architecture
from ..architecture.layers import (
    AvgPool,
    Dense,
    Flatten,
    GlobalAvgPool,
    Identity,
    Input,
    Node,
    Normalize,
    Sum,
    WeightLayer,
    Zero,
)
from ..covariance.activations import check_smooth
from .ops import (
    DualOp,
    FlattenOp,
    ImageOp,
    MeanOp,
    MomentOp,
    NormalizeOp,
    Op,
    Pixels,
    PoolOp,
    Program,
    ScaleOp,
    SteinOp,
    SumOp,
    VarianceOp,
    WeightOp,
    ZeroOp,
)


def lower(architecture: Architecture, image_shape: tuple[int, ...]) -> Program:
    """The program of an architecture's kernel for images of one shape.

    Args:
        architecture: the network; its output must be a vector.
        image_shape: ``(height, width, channels)`` or ``(features,)``.

    Raises:
        ArchitectureError: the network does not fit the images, ends in an image, or has a node
            for which no exact rule exists; the message names the node and the layer to insert.
    """
    shapes = architecture.shapes(image_shape)
    if shapes[architecture.output]:
        raise ArchitectureError(
            f"{architecture.describe(architecture.output)} is the output but has pixels "
            f"{shapes[architecture.output]}; end with GlobalAvgPool() or Flatten(), then Dense()"
        )
    lowering = _Lowering(architecture, shapes)
    output = lowering.moment(architecture.output, architecture.output)
    if output is not None:
        output = lowering.flat(output)
    return Program(tuple(lowering.ops), output, tuple(image_shape))


def correlated_terms(
    architecture: Architecture, image_shape: tuple[int, ...]
) -> dict[int, tuple[int, int]]:
    """The sums whose kernel is not the sum of their terms' kernels.

    Two terms are correlated when their second moment is not zero by the structure of the network:
    they share a source, or are nonlinearities' outputs, which have a mean.

    Args:
        architecture: a network that :func:`lower` accepts.
        image_shape: ``(height, width, channels)`` or ``(features,)``.

    Returns:
        For each such ``Sum`` node that the kernel reads, two of its inputs that are correlated; one
        input twice where it stands in the sum twice.
    """
    nodes = architecture.nodes
    lowering = _Lowering(architecture, architecture.shapes(image_shape))
    read = {architecture.output}
    found: dict[int, tuple[int, int]] = {}
    for index in range(architecture.output, 0, -1):
        if index not in read or lowering.moment(index, index) is None:
            continue
        read.update(nodes[index].inputs)
        if isinstance(nodes[index].layer, Sum):
            pairs = combinations(nodes[index].inputs, 2)
            correlated = (pair for pair in pairs if lowering.moment(*pair) is not None)
            first = next(correlated, None)
            if first is not None:
                found[index] = first
    return dict(sorted(found.items()))


@dataclass
class _Lowering:
    architecture: Architecture
    shapes: tuple[tuple[int, ...], ...]
    ops: list[Op] = field(default_factory=list)
    pixels: list[Pixels] = field(default_factory=list)
    """Pixels of each node's moments: those of a flattened image stay apart until a dense layer."""
    _moments: dict[tuple[int, int], int | None] = field(default_factory=dict)
    _known: dict[Op, int] = field(default_factory=dict)
    _same: dict[int, int] = field(default_factory=dict)
    _gaussian: dict[int, bool] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._same = _representatives(self.architecture.nodes, self.shapes)
        for index, node in enumerate(self.architecture.nodes):
            self.pixels.append(self._pixels(node, self.shapes[index]))
            self._gaussian[index] = self._is_gaussian(node)
            if isinstance(node.layer, Activation) and not self._gaussian[node.inputs[0]]:
                raise ArchitectureError(
                    f"{self.architecture.describe(index)} acts on node {node.inputs[0]}, which is "
                    "not Gaussian in the infinite-width limit (it reads the raw input, or a "
                    "nonlinearity's output, without a weight layer between); insert Conv(1) or "
                    "Dense() before it"
                )
            if isinstance(node.layer, Normalize):
                self._check_normalize(index, node)
            if isinstance(node.layer, Elementwise):
                check_smooth(node.layer, self.architecture.describe(index))

    def _check_normalize(self, index: int, node: Node) -> None:
        """Refuse what has no channels to take statistics over, or several kinds of them."""
        if not self.shapes[index] and self.pixels[index] != (1, 1):
            raise ArchitectureError(
                f"{self.architecture.describe(index)} normalises a flattened image, every pixel "
                "by itself; put it before Flatten(), or insert Dense() between"
            )
        while not isinstance(node.layer, WeightLayer | Activation | Input | Zero):
            node = self.architecture.nodes[node.inputs[0]]
        if isinstance(node.layer, Input):
            raise ArchitectureError(
                f"{self.architecture.describe(index)} normalises the raw input, whose few channels "
                "have no limit; standardise the data instead, or insert Conv(1) or Dense() before"
            )

    def _pixels(self, node: Node, shape: tuple[int, ...]) -> Pixels:
        if shape:
            return shape[0], shape[1]
        if isinstance(node.layer, Input | Dense | GlobalAvgPool):
            return 1, 1
        return self.pixels[node.inputs[0]]

    def _is_gaussian(self, node: Node) -> bool:
        layer = node.layer
        if isinstance(layer, WeightLayer | Zero):
            return True
        if isinstance(layer, Input | Activation):
            return False
        return all(self._gaussian[i] for i in node.inputs)

    def _emit(self, op: Op) -> int:
        if op not in self._known:
            self._known[op] = len(self.ops)
            self.ops.append(op)
        return self._known[op]

    def moment(self, a: int, b: int) -> int | None:
        """The value that is the moment of nodes ``a`` (left) and ``b``, ``None`` if it is zero."""
        a, b = self._same[a], self._same[b]
        if (a, b) not in self._moments:
            self._moments[a, b] = self._build(a, b)
        return self._moments[a, b]

    def _build(self, a: int, b: int) -> int | None:
        """Take one of the two nodes apart; ``side`` says whether it stands left or right."""
        side = 0 if self._order(a) >= self._order(b) else 1
        node = self.architecture.nodes[(a, b)[side]]
        layer = node.layer
        shape = (self.pixels[a], self.pixels[b])
        if isinstance(layer, Zero):
            return None
        if isinstance(layer, Sum):
            return self._sum(a, b, side, node.inputs)
        if isinstance(layer, AvgPool | GlobalAvgPool):
            source = self._replaced(a, b, side, node.inputs[0])
            return None if source is None else self._emit(PoolOp(*shape, source, layer, side))
        if isinstance(layer, Normalize):
            return self._normalize(a, b, side)
        if isinstance(layer, Activation):
            return self._activation(a, b, side, layer)
        if a != b:
            return None  # a weight layer, or the input, with an earlier or unrelated node
        if isinstance(layer, Input):
            return self._emit(ImageOp(*shape, flat=False))
        assert isinstance(layer, WeightLayer)
        source = self.moment(node.inputs[0], node.inputs[0])
        if source is None:
            if layer.b_std == 0:
                return None
            before = self.pixels[node.inputs[0]]
            source = self._emit(ZeroOp(before, before))
        if isinstance(layer, Dense):
            source = self.flat(source)
        return self._emit(WeightOp(*shape, source, layer))

    def _order(self, node: int) -> tuple[int, int]:
        """Which node to take apart first: linear ones, so that sources meet sources, then late."""
        layer = self.architecture.nodes[node].layer
        if isinstance(layer, Sum | Zero | AvgPool | GlobalAvgPool):
            return 3, node
        return (2 if isinstance(layer, Normalize) else 0), node

    def _replaced(self, a: int, b: int, side: int, node: int) -> int | None:
        return self.moment(node, b) if side == 0 else self.moment(a, node)

    def _sum(self, a: int, b: int, side: int, inputs: tuple[int, ...]) -> int | None:
        terms: Counter[int] = Counter()
        for node in inputs:
            value = self._replaced(a, b, side, node)
            if value is not None:
                terms[value] += 1
        if not terms:
            return None
        if list(terms.values()) == [1]:
            return next(iter(terms))
        return self._emit(SumOp(self.pixels[a], self.pixels[b], tuple(sorted(terms.items()))))

    def flat(self, value: int) -> int:
        """A moment with all pixels side by side, which is how a dense layer reads it."""
        op = self.ops[value]
        if isinstance(op, ImageOp):
            return self._emit(ImageOp((1, 1), (1, 1), flat=True))
        assert isinstance(op, MomentOp)
        if op.left == (1, 1):
            return value
        return self._emit(FlattenOp((1, 1), (1, 1), value))

    def _activation(self, a: int, b: int, side: int, layer: Activation) -> int | None:
        nodes = self.architecture.nodes
        inner = nodes[(a, b)[side]].inputs[0]
        shape = (self.pixels[a], self.pixels[b])
        left, right = nodes[a].layer, nodes[b].layer
        if not isinstance(left, Activation) or not isinstance(right, Activation):
            source = self._replaced(a, b, side, inner)
            if source is None:
                return None
            return self._emit(SteinOp(*shape, source, layer, self._variance(inner), side))
        inputs = nodes[a].inputs[0], nodes[b].inputs[0]
        for node, activation in zip(inputs, (left, right), strict=True):
            if self.moment(node, node) is None and activation.keeps_zero:
                return None
        source = self.moment(*inputs)
        if source is None:
            source = self._emit(ZeroOp(*shape))
        variances = self._variance(inputs[0]), self._variance(inputs[1])
        return self._emit(DualOp(*shape, source, left, right, *variances))

    def _variance(self, node: int) -> int:
        value = self.moment(node, node)
        if value is None:
            value = self._emit(ZeroOp(self.pixels[node], self.pixels[node]))
        return self._emit(VarianceOp(value))

    def _normalize(self, a: int, b: int, side: int) -> int | None:
        nodes = self.architecture.nodes
        both = isinstance(nodes[(b, a)[side]].layer, Normalize)
        left = nodes[a].inputs[0] if both or side == 0 else None
        right = nodes[b].inputs[0] if both or side == 1 else None
        inner = (a if left is None else left, b if right is None else right)
        source = self.moment(*inner)
        if source is None:
            return None
        left_scale = None if left is None else self._scale(left, nodes[a])
        right_scale = None if right is None else self._scale(right, nodes[b])
        # The side that is centred needs the other side's covariance with its mean over the
        # reference images, which stand left in a mean: hence the mirrored moment for the left one.
        right_mean = self._mean(*inner) if left is not None and _centred(nodes[a]) else None
        mirrored = (inner[1], inner[0])
        left_mean = self._mean(*mirrored) if right is not None and _centred(nodes[b]) else None
        return self._emit(
            NormalizeOp(
                self.pixels[a],
                self.pixels[b],
                source,
                left_scale,
                right_scale,
                left_mean,
                right_mean,
            )
        )

    def _mean(self, a: int, b: int) -> int | None:
        value = self.moment(a, b)
        return None if value is None else self._emit(MeanOp(value))

    def _scale(self, node: int, normalize: Node) -> int | None:
        value = self.moment(node, node)
        assert value is not None
        mean = self._emit(MeanOp(value)) if _centred(normalize) else None
        return self._emit(ScaleOp(value, mean))


def _centred(node: Node) -> bool:
    return isinstance(node.layer, Normalize) and node.layer.center


def _representatives(
    nodes: tuple[Node, ...], shapes: tuple[tuple[int, ...], ...]
) -> dict[int, int]:
    """The node that stands for each node: skips are what they skip, and weight-free twins one.

    ``Flatten`` stands for its input too: it moves no pixel, dense layers and the output read it.
    """
    same: dict[int, int] = {}
    known: dict[Node, int] = {}
    for index, node in enumerate(nodes):
        pools_vector = isinstance(node.layer, GlobalAvgPool) and not shapes[node.inputs[0]]
        if isinstance(node.layer, Identity | Flatten) or pools_vector:
            same[index] = same[node.inputs[0]]
        elif isinstance(node.layer, WeightLayer):
            same[index] = index
        else:
            key = Node(node.layer, tuple(same[i] for i in node.inputs))
            same[index] = known.setdefault(key, index)
    return same
