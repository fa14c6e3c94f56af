"""Lowering: from an architecture to the second moments between its nodes.

``moment(a, b)`` is the covariance of part ``a`` of the network at an image ``x`` with part ``b`` at
an image ``x'`` (a node has one part, but for concatenations). It is found by taking the two apart,
linear ones first, later ones before earlier:

- sums, pools, skips and normalisations are linear, so they act on one side of the moment;
- a weight layer has fresh weights: with itself its own rule, with any earlier part zero;
- φ(b) with a Gaussian ``u``: Stein, ``C_ub · E[φ'(b)]``; with ψ(a): the dual of ``C_ab``,
  which is not zero where ``C_ab`` is if φ and ψ have a mean.

So branches that meet again after sharing an input keep the covariance between them, which adding
the branches' kernels would lose.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Generator, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from typing import Any, TypeVar

from kernas.errors import ArchitectureError

from ..architecture.activations import Activation
from ..architecture.channels import Part, SplitNetwork
from ..architecture.graph import Architecture
from ..architecture.layers import (
    AvgPool,
    Conv,
    ConvLayer,
    Dense,
    Flatten,
    GlobalAvgPool,
    Identity,
    Input,
    Layer,
    LayerNorm,
    LocalAvgPool,
    MaxPool,
    Normalize,
    Sum,
    WeightLayer,
    Zero,
)
from ..architecture.windows import as_image, padding_of, stride_of, window_of
from .ops import (
    DualOp,
    FlattenOp,
    ImageOp,
    LayerNormOp,
    MeanOp,
    MomentOp,
    NormalizeOp,
    Op,
    PoolOp,
    Program,
    ScaleOp,
    SteinOp,
    SumOp,
    TapOp,
    VarianceOp,
    WeightOp,
    ZeroOp,
)
from .rules import check_rules

LINEAR = (Sum, Zero, AvgPool, MaxPool, LocalAvgPool, GlobalAvgPool, LayerNorm)
"""Layers that act on one side of a moment whatever the other side is."""

Pair = tuple[int, int]
"""Two parts: the left and the right one of a moment."""

Result = TypeVar("Result")

Asking = Generator[Pair, int | None, Result]
"""A computation that yields the pairs whose moments it needs, and is sent their values."""


def lower(architecture: Architecture, image_shape: tuple[int, ...]) -> Program:
    """The program of an architecture's kernel for images of one shape.

    Args:
        architecture: the network; its output must be a vector.
        image_shape: ``(height, width, channels)`` or ``(features,)``.

    Raises:
        ArchitectureError: the network does not fit the images, ends in an image, or has a node
            for which no exact rule exists; the message names the node and the layer to insert.
    """
    lowering = _Lowering(architecture, architecture.shapes(image_shape))
    output = lowering.output()
    return Program(tuple(lowering.ops), (output,), as_image(image_shape), lowering.scales())


def lower_together(architectures: Sequence[Architecture], image_shape: tuple[int, ...]) -> Program:
    """One program of several kernels, in which what they have in common stands once.

    Networks that are equal up to some layer have equal moments up to there, whatever their weights:
    a chain of fourteen layers holds those of eight and of five, and two readouts of one network
    differ in the readout only.

    Args:
        architectures: networks without ``Normalize``; each output a vector.
        image_shape: ``(height, width, channels)`` or ``(features,)``.

    Raises:
        ArchitectureError: as :func:`lower`.
    """
    ops: list[Op] = []
    known: dict[Op, int] = {}
    outputs = tuple(
        _Lowering(architecture, architecture.shapes(image_shape), ops, known).output()
        for architecture in architectures
    )
    return Program(tuple(ops), outputs, as_image(image_shape))


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
    lowering = _Lowering(architecture, architecture.shapes(image_shape))
    parts = lowering.parts
    read = set(architecture.split.of[architecture.output])
    found: dict[int, tuple[int, int]] = {}
    for index in range(len(parts) - 1, 0, -1):
        part = parts[index]
        if index not in read or lowering.moment(index, index) is None:
            continue
        read.update(part.inputs, part.statistics)
        if isinstance(part.layer, Sum):
            pairs = combinations(part.inputs, 2)
            correlated = (pair for pair in pairs if lowering.moment(*pair) is not None)
            first = next(correlated, None)
            if first is not None:
                found[part.node] = (parts[first[0]].node, parts[first[1]].node)
    return dict(sorted(found.items()))


def nodes_of_instructions(
    architecture: Architecture, image_shape: tuple[int, ...]
) -> tuple[int, ...]:
    """The node that each instruction of :func:`lower`'s program is of, for messages.

    A second moment of two nodes is of the later one, products of images are of the input. What has
    no node of its own, such as the mean over a window, is of the first node that reads it.
    """
    lowering = _Lowering(architecture, architecture.shapes(image_shape))
    lowering.output()
    of: dict[int, int] = {}
    for nodes, value in lowering._moments.items():  # those that others are made of come first
        if value is not None:
            of.setdefault(value, lowering.parts[max(nodes)].node)
    of.update({i: 0 for i, op in enumerate(lowering.ops) if isinstance(op, ImageOp)})
    own = set(of)
    for index in range(len(lowering.ops) - 1, -1, -1):
        node = of.setdefault(index, architecture.output)
        op = lowering.ops[index]
        for read in {*op.reads, *op.records} - own:
            of[read] = min(node, of.get(read, node))
    return tuple(of[index] for index in range(len(lowering.ops)))


@dataclass
class _Lowering:
    architecture: Architecture
    shapes: tuple[tuple[int, ...], ...]
    ops: list[Op] = field(default_factory=list)
    _known: dict[Op, int] = field(default_factory=dict)
    _moments: dict[Pair, int | None] = field(default_factory=dict)
    _scales: dict[int, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_rules(self.architecture, self.shapes)
        network = self.architecture.split
        self.parts = network.parts
        self.pixels = network.pixels(self.shapes)
        self._same = _representatives(network, self.shapes)

    def output(self) -> int | None:
        """The moment that is the kernel."""
        architecture, output = self.architecture, self.architecture.output
        if self.shapes[output]:
            raise ArchitectureError(
                f"{architecture.describe(output)} is the output but has pixels "
                f"{self.shapes[output]}; end with GlobalAvgPool() or Flatten(), then Dense()"
            )
        return self._answered(self._mixed(architecture.split.of[output], flat=True))

    def scales(self) -> tuple[tuple[int, tuple[int | None, ...]], ...]:
        """The records of the scales of each ``Normalize``, as a program lists them."""
        return tuple(
            (index, tuple(self._scales.get(self._same[part]) for part in of))
            for index, of in enumerate(self.architecture.split.of)
            if isinstance(self.architecture.nodes[index].layer, Normalize)
        )

    def _emit(self, op: Op) -> int:
        if op not in self._known:
            self._known[op] = len(self.ops)
            self.ops.append(op)
        return self._known[op]

    def moment(self, a: int, b: int) -> int | None:
        """The value that is the moment of parts ``a`` (left) and ``b``, ``None`` if it is zero."""
        return self._answered(self._asked(a, b))

    def _asked(self, a: int, b: int) -> Asking[int | None]:
        return (yield a, b)

    def _answered(self, asking: Asking[Result]) -> Result:
        """The result of a computation, its moments and theirs being built on the way.

        What waits for a moment stands in a list and not in Python's frames: networks are deep.
        """
        waiting: list[tuple[Pair | None, Asking[Any]]] = [(None, asking)]
        answer: int | None = None
        while True:
            built, asking = waiting[-1]
            try:
                a, b = asking.send(answer)
            except StopIteration as done:
                waiting.pop()
                if built is None:
                    return done.value
                answer = self._moments[built] = done.value
                continue
            pair = self._same[a], self._same[b]
            if pair not in self._moments:
                waiting.append((pair, self._build(*pair)))
            answer = self._moments.get(pair)

    def _mixed(self, read: Iterable[int], *, flat: bool) -> Asking[int | None]:
        """The mean over the channels of several parts of their moments with themselves."""
        channels: dict[int | None, float] = {}
        for part in read:
            value = yield part, part
            height, width = self.pixels[self._same[part]]
            key = value if value is None or not flat else self._flat(value)
            channels[key] = channels.get(key, 0.0) + self.parts[part].block.width * height * width
        whole = sum(channels.values())
        terms = [(value, w / whole) for value, w in channels.items() if value is not None]
        if len(channels) == 1:
            return next(iter(channels))
        op = self.ops[terms[0][0]]
        assert isinstance(op, MomentOp)
        return self._emit(SumOp(op.left, op.right, tuple(sorted(terms))))

    def _build(self, a: int, b: int) -> Asking[int | None]:
        """Take one of the two parts apart; ``side`` says whether it stands left or right.

        Of equals the right one: a pool with itself is then taken on the left side first, and a
        coarse left pixel meets few fine right ones.
        """
        if a != b and isinstance(self.parts[max(a, b)].layer, WeightLayer):
            return None  # fresh weights, and whatever does not read them
        side = 0 if self._order(a) > self._order(b) else 1
        part = self.parts[(a, b)[side]]
        layer = part.layer
        shape = (self.pixels[a], self.pixels[b])
        if isinstance(layer, Zero):
            return None
        if isinstance(layer, Sum):
            return (yield from self._sum(a, b, side, part.inputs))
        if isinstance(layer, LINEAR):
            source = yield _replaced(a, b, side, part.inputs[0])
            if source is None:
                return None
            if isinstance(layer, LayerNorm):
                variance = yield from self._layer_variance(part, layer)
                return self._emit(LayerNormOp(*shape, source, layer.eps, variance, side))
            return self._emit(PoolOp(*shape, source, _pool(layer), side))
        if isinstance(layer, Normalize):
            return (yield from self._normalize(a, b, side))
        if isinstance(layer, Activation):
            return (yield from self._activation(a, b, side, layer))
        if isinstance(layer, Input):
            return self._emit(ImageOp(*shape, flat=False))
        assert isinstance(layer, WeightLayer)
        source = yield from self._mixed(part.inputs, flat=isinstance(layer, Dense))
        before = (1, 1) if isinstance(layer, Dense) else self.pixels[part.inputs[0]]
        if source is None:
            if layer.b_std == 0:
                return None
            source = self._emit(ZeroOp(before, before))
        if isinstance(layer, ConvLayer) and (window_of(layer) != (1, 1) or before != shape[0]):
            window = Conv(
                window_of(layer),
                stride=stride_of(layer),
                padding=padding_of(layer),
                dilation=layer.dilations,
            )
            source = self._emit(TapOp(*shape, source, window))
        return self._emit(
            WeightOp(*shape, source, layer.W_std, layer.b_std, layer.trainable, layer.rates)
        )

    def _order(self, part: int) -> tuple[int, int]:
        """Which node to take apart first: linear ones, so that sources meet sources, then late."""
        layer = self.parts[part].layer
        return (2 if isinstance(layer, LINEAR) else isinstance(layer, Normalize)), part

    def _sum(self, a: int, b: int, side: int, inputs: tuple[int, ...]) -> Asking[int | None]:
        terms: Counter[int] = Counter()
        for part in inputs:
            value = yield _replaced(a, b, side, part)
            if value is not None:
                terms[value] += 1
        if not terms:
            return None
        if list(terms.values()) == [1]:
            return next(iter(terms))
        return self._emit(SumOp(self.pixels[a], self.pixels[b], tuple(sorted(terms.items()))))

    def _flat(self, value: int) -> int:
        """A moment with all pixels side by side, which is how a dense layer reads it."""
        op = self.ops[value]
        if isinstance(op, ImageOp):
            return self._emit(ImageOp((1, 1), (1, 1), flat=True))
        assert isinstance(op, MomentOp)
        if op.left == (1, 1):
            return value
        return self._emit(FlattenOp((1, 1), (1, 1), value))

    def _activation(self, a: int, b: int, side: int, layer: Activation) -> Asking[int | None]:
        parts = self.parts
        inner = parts[(a, b)[side]].inputs[0]
        shape = (self.pixels[a], self.pixels[b])
        left, right = parts[a].layer, parts[b].layer
        if not isinstance(left, Activation) or not isinstance(right, Activation):
            source = yield _replaced(a, b, side, inner)
            if source is None:
                return None
            variance = yield from self._variance(inner)
            return self._emit(SteinOp(*shape, source, layer, variance, side))
        inputs = parts[a].inputs[0], parts[b].inputs[0]
        for read, activation in zip(inputs, (left, right), strict=True):
            if (yield read, read) is None and activation.keeps_zero:
                return None
        source = yield inputs
        if source is None:
            source = self._emit(ZeroOp(*shape))
        left_variance = yield from self._variance(inputs[0])
        right_variance = yield from self._variance(inputs[1])
        return self._emit(DualOp(*shape, source, left, right, left_variance, right_variance))

    def _variance(self, part: int) -> Asking[int]:
        value = yield part, part
        if value is None:
            value = self._emit(ZeroOp(self.pixels[part], self.pixels[part]))
        return self._emit(VarianceOp(value))

    def _layer_variance(self, part: Part, layer: LayerNorm) -> Asking[int]:
        flat = layer.over == "channels and pixels" or not self.shapes[part.node]
        value = yield from self._mixed(part.statistics, flat=flat)
        assert value is not None
        return self._emit(VarianceOp(value))

    def _normalize(self, a: int, b: int, side: int) -> Asking[int | None]:
        parts = self.parts
        both = isinstance(parts[(b, a)[side]].layer, Normalize)
        left = parts[a].inputs[0] if both or side == 0 else None
        right = parts[b].inputs[0] if both or side == 1 else None
        inner = (a if left is None else left, b if right is None else right)
        source = yield inner
        if source is None:
            return None
        left_scale = None if left is None else (yield from self._scale(a))
        right_scale = None if right is None else (yield from self._scale(b))
        # The side that is centred needs the other side's covariance with its mean over the
        # reference images, which stand left in a mean: hence the mirrored moment for the left one.
        right_mean, left_mean = None, None
        if left is not None and _centred(parts[a]):
            right_mean = yield from self._mean(*inner)
        if right is not None and _centred(parts[b]):
            left_mean = yield from self._mean(inner[1], inner[0])
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

    def _mean(self, a: int, b: int) -> Asking[int | None]:
        value = yield a, b
        return None if value is None else self._mean_of(value)

    def _mean_of(self, value: int) -> int:
        op = self.ops[value]
        assert isinstance(op, MomentOp)
        if op.left != (1, 1):
            value = self._emit(PoolOp((1, 1), op.right, value, GlobalAvgPool(), 0))
        return self._emit(MeanOp(value))

    def _scale(self, normalized: int) -> Asking[int]:
        part = self.parts[normalized]
        value = yield part.inputs[0], part.inputs[0]
        assert value is not None
        mean = self._mean_of(value) if _centred(part) else None
        self._scales[normalized] = self._emit(ScaleOp(value, mean))
        return self._scales[normalized]


def _replaced(a: int, b: int, side: int, part: int) -> Pair:
    """The pair with another part on one side."""
    return (part, b) if side == 0 else (a, part)


def _pool(layer: Layer) -> AvgPool | GlobalAvgPool:
    if isinstance(layer, LocalAvgPool):
        return layer.pool
    if isinstance(layer, MaxPool):
        return layer.average
    assert isinstance(layer, AvgPool | GlobalAvgPool)
    return layer


def _centred(part: Part) -> bool:
    return isinstance(part.layer, Normalize) and part.layer.center


def _representatives(parts: SplitNetwork, shapes: tuple[tuple[int, ...], ...]) -> tuple[int, ...]:
    """The part that stands for each part: skips are what they skip, and weight-free twins one.

    ``Flatten`` stands for its input too: it moves no pixel, and what mixes channels flattens.
    """
    same: list[int] = []
    known: dict[tuple[object, ...], int] = {}
    for index, part in enumerate(parts.parts):
        layer = part.layer
        pools = isinstance(layer, GlobalAvgPool | LocalAvgPool)
        pools_vector = pools and not shapes[parts.parts[part.inputs[0]].node]
        if isinstance(layer, Identity | Flatten) or pools_vector:
            same.append(same[part.inputs[0]])
        elif isinstance(layer, WeightLayer):
            same.append(index)
        else:
            reads = (tuple(same[i] for i in read) for read in (part.inputs, part.statistics))
            # Of a vector, LayerNorm takes its statistics over what were pixels, too.
            vector = isinstance(layer, LayerNorm) and not shapes[part.node]
            same.append(known.setdefault((layer, *reads, vector), index))
    return tuple(same)
