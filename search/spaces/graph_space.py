"""A bag of operations on numbered nodes, and any edges between them."""

from __future__ import annotations

import itertools
import random
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import comb
from typing import Any

import numpy as np

from kernas.errors import ArchitectureError, ConfigurationError
from kernas.fields import nearest
from kernas.kernels import (
    Architecture,
    AvgPool,
    Conv,
    Dense,
    DepthwiseConv,
    GlobalAvgPool,
    GraphBuilder,
    Relu,
    Sum,
)
from kernas.kernels.architecture import Layer

from .base import (
    PATIENCE,
    Candidate,
    Picture,
    Space,
    check_sample_size,
    distinct,
    genotype_of,
    pixels_given,
    random_neighbour,
    shape_given,
)
from .parts import RELU_GAIN
from .pictures import picture_of_nodes
from .sampled_cover import cover_by_draws

OPERATIONS: dict[str, tuple[Layer, ...]] = {
    "skip_connect": (),
    "conv_1x1": (Relu(), Conv(1, W_std=RELU_GAIN)),
    "conv_3x3": (Relu(), Conv(3, W_std=RELU_GAIN)),
    "conv_5x5": (Relu(), Conv(5, W_std=RELU_GAIN)),
    "dilated_conv_3x3": (Relu(), Conv(3, dilation=2, W_std=RELU_GAIN)),
    "separable_conv_3x3": (Relu(), DepthwiseConv(3), Conv(1, W_std=RELU_GAIN)),
    "avg_pool_3x3": (AvgPool(3, stride=1, padding="SAME", divisor="valid"),),
}
"""What nodes may do, by name: layers that keep the pixels."""

Edge = tuple[int, int]
Genotype = tuple[tuple[str, ...], tuple[Edge, ...]]
"""The operations of the nodes, in the order of the space, and the edges in rising order."""


@dataclass(frozen=True)
class GraphSpace(Space):
    """Numbered nodes, each with an operation, and edges from lower to higher numbers.

    A node applies its operation to the sum of the nodes that it reads, or to the stem, a 3×3
    convolution, if it reads none; nodes that nobody reads are added and go through ReLU, a global
    average pool and a dense layer. The operations are a bag: with repeats, and given to the nodes
    in the order of ``operations``. With ``|S|`` operations and L nodes there are
    ``C(|S| + L − 1, L)`` bags and 2^(L (L − 1) / 2) maps of edges (:meth:`bags`,
    :meth:`edge_maps`); several may be the same network.

    Args:
        operations: names, of which ``OPERATIONS`` has the layers.
        n_nodes: L, >= 1.
        max_edges: most edges between nodes, >= 0; ``None`` for no bound.

    Raises:
        ConfigurationError: an argument is out of its range, or an operation is unknown.

    >>> GraphSpace(("conv_3x3", "skip_connect"), n_nodes=3).bags()
    4
    """

    operations: tuple[str, ...] = ("skip_connect", "conv_1x1", "conv_3x3", "avg_pool_3x3")
    n_nodes: int = 4
    max_edges: int | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "operations", tuple(self.operations))
        for operation in self.operations:
            if operation not in OPERATIONS:
                raise ConfigurationError(
                    f"operations: unknown {operation!r}{nearest(str(operation), OPERATIONS)}, "
                    f"expected some of {', '.join(OPERATIONS)}"
                )
        if not self.operations or len(set(self.operations)) < len(self.operations):
            raise ConfigurationError(
                f"operations={self.operations!r:.80}: expected one or more different names"
            )
        if type(self.n_nodes) is not int or self.n_nodes < 1:
            raise ConfigurationError(f"n_nodes={self.n_nodes!r}: expected an integer >= 1")
        most = self.max_edges
        if most is not None and (type(most) is not int or most < 0):
            raise ConfigurationError(f"max_edges={most!r}: expected an integer >= 0, or none")

    @property
    def name(self) -> str:
        """The name on the command line and in records."""
        return "graph"

    @property
    def pairs(self) -> list[Edge]:
        """All edges that there may be, in rising order."""
        return list(itertools.combinations(range(self.n_nodes), 2))

    def pictures(self, genotype: Genotype) -> list[Picture]:
        """The graph, with an operation at each node."""
        operations, edges = genotype
        last = len(operations) + 1
        readers, read = {target for _, target in edges}, {source for source, _ in edges}
        ends = [(0, node + 1) for node in range(last - 1) if node not in readers]
        ends += [(node + 1, last) for node in range(last - 1) if node not in read]
        inner = [(source + 1, target + 1) for source, target in edges]
        return [("graph", picture_of_nodes(("stem", *operations, "sum"), [*inner, *ends]))]

    def bags(self) -> int:
        """How many bags of operations there are: ``C(|S| + L − 1, L)``."""
        return comb(len(self.operations) + self.n_nodes - 1, self.n_nodes)

    def edge_maps(self) -> int:
        """How many sets of edges: ``Σ_k C(L (L − 1) / 2, k)`` for k up to ``max_edges``,
        without a bound ``2^(L (L − 1) / 2)``."""
        return sum(comb(len(self.pairs), k) for k in range(self._most + 1))

    def size(self) -> int:
        """Bags times edge maps."""
        return self.bags() * self.edge_maps()

    def enumerate(self) -> Iterator[Candidate]:
        """Every bag with every map of edges, those of fewer edges first."""
        for bag in itertools.combinations_with_replacement(self.operations, self.n_nodes):
            for count in range(self._most + 1):
                for edges in itertools.combinations(self.pairs, count):
                    yield self.candidate((bag, edges))

    def candidate(self, given: Any) -> Candidate:
        """The candidate of ``"conv_1x1,conv_3x3;0-1"``, or of operations and edges.

        Raises:
            ArchitectureError: it is neither, has another number of nodes or too many edges.
        """
        bag, edges = self._parsed(given)
        unknown = [operation for operation in bag if operation not in self.operations]
        wrong = [edge for edge in edges if edge not in self.pairs]
        if unknown or wrong or len(bag) != self.n_nodes or len(set(edges)) > self._most:
            problem = (
                f"unknown operation {unknown[0]!r}"
                if unknown
                else f"{len(bag)} nodes"
                if len(bag) != self.n_nodes
                else f"no edge {wrong[0]}"
                if wrong
                else f"{len(set(edges))} edges"
            )
            raise ArchitectureError(
                f"{given!r:.120}: {problem}; expected {self.n_nodes} of "
                f"{', '.join(self.operations)}, and at most {self._most} edges from lower to "
                f"higher nodes, for example {self._example()}"
            )
        genotype = (tuple(sorted(bag, key=self.operations.index)), tuple(sorted(set(edges))))
        return Candidate(self, genotype, _name(genotype))

    def recognises(self, text: str) -> bool:
        """Whether a text has the semicolon between operations and edges."""
        return ";" in text

    def architecture(self, genotype: Genotype) -> Architecture:
        """The whole network of a genotype."""
        bag, edges = genotype
        builder = GraphBuilder()
        stem = builder.add(Conv(3), builder.input)
        values: list[int] = []
        for target, operation in enumerate(bag):
            sources = [values[s] for s, t in edges if t == target] or [stem]
            node = sources[0] if len(sources) == 1 else builder.add(Sum(), *sources)
            for layer in OPERATIONS[operation]:
                node = builder.add(layer, node)
            values.append(node)
        read = {source for source, _ in edges}
        ends = [value for node, value in enumerate(values) if node not in read]
        for layer in (Sum(), Relu(), GlobalAvgPool(), Dense()):
            ends = [builder.add(layer, *ends)]
        return builder.build(ends[0])

    def sample(self, n: int, seed: int = 0) -> list[Candidate]:
        """Candidates drawn uniformly, bags and edges apart, without repeats of one network.

        Args:
            n: how many, >= 1.
            seed: fixes the order; ``sample(m)`` begins with ``sample(n)`` for n < m.

        Raises:
            ConfigurationError: n < 1, or more than there are different networks.
        """
        check_sample_size(n, self.size())
        rng = random.Random(seed)
        return distinct(iter(lambda: self.draw(rng), None), n, patience=PATIENCE)

    def draw(self, rng: random.Random) -> Candidate:
        """A candidate: a bag and a map of edges, each drawn uniformly."""
        length, kinds = self.n_nodes, len(self.operations)
        bars = sorted(rng.sample(range(length + kinds - 1), length))  # stars among bars
        bag = tuple(self.operations[place - k] for k, place in enumerate(bars))
        ways = [comb(len(self.pairs), k) for k in range(self._most + 1)]
        (count,) = rng.choices(range(len(ways)), ways)
        return self.candidate((bag, tuple(rng.sample(self.pairs, count))))

    def mutate(self, candidate: Candidate, rng: random.Random) -> Candidate:
        """One of the neighbours, drawn uniformly.

        Raises:
            ConfigurationError: there is none.
        """
        return random_neighbour(self, self.neighbours(candidate), rng)

    def neighbours(self, candidate: Candidate) -> list[Candidate]:
        """All that have another operation in the bag, or one edge more or less."""
        bag, edges = genotype_of(self, candidate)
        found: dict[Candidate, None] = {}
        for place, operation in itertools.product(range(self.n_nodes), self.operations):
            if bag[place] != operation:
                changed = (*bag[:place], operation, *bag[place + 1 :])
                found[self.candidate((changed, edges))] = None
        for edge in self.pairs:
            toggled = set(edges) ^ {edge}
            if len(toggled) <= self._most:
                found[self.candidate((bag, tuple(toggled)))] = None
        return list(found)

    def crossover(self, first: Candidate, second: Candidate, rng: random.Random) -> Candidate:
        """Every node's operation and every edge from one of two; edges above the bound go."""
        (bag, edges), (other, others) = genotype_of(self, first), genotype_of(self, second)
        child = tuple(rng.choice(pair) for pair in zip(bag, other, strict=True))
        kept = [edge for edge in self.pairs if edge in rng.choice((edges, others))]
        if len(kept) > self._most:
            kept = rng.sample(kept, self._most)
        return self.candidate((child, tuple(kept)))

    def encode(self, candidate: Candidate) -> np.ndarray:
        """One-hot of each node's operation, then 0 or 1 for each edge there may be."""
        bag, edges = genotype_of(self, candidate)
        parts = [float(of == known) for of in bag for known in self.operations]
        return np.array(parts + [float(pair in edges) for pair in self.pairs])

    def cover(self, image_shape: Sequence[int]) -> Sequence[Architecture]:
        """Networks drawn until 1,000 draws need no new operation."""
        return cover_by_draws(self, shape_given(image_shape))

    def check_shape(self, image_shape: Sequence[int]) -> None:
        """Refuse vectors.

        Raises:
            ConfigurationError: it is no shape.
            DataError: there are no pixels.
        """
        pixels_given(image_shape, f"the networks of {self.name}")

    @property
    def _most(self) -> int:
        pairs = len(self.pairs)
        return pairs if self.max_edges is None else min(pairs, self.max_edges)

    def _example(self) -> str:
        edges = self.pairs[: min(1, self._most)]
        return _name(((self.operations[0],) * self.n_nodes, tuple(edges)))

    def _parsed(self, given: Any) -> Genotype:
        if isinstance(given, str):
            bag, semicolon, edges = given.strip().partition(";")
            parts = [part.strip() for part in edges.split(",")] if edges.strip() else []
            found = [re.fullmatch("([0-9]{1,6})-([0-9]{1,6})", part) for part in parts]
            if semicolon and all(found):
                pairs = tuple((int(edge[1]), int(edge[2])) for edge in found if edge)
                return tuple(part.strip() for part in bag.split(",")), pairs
        elif isinstance(given, tuple) and len(given) == 2:
            bag, edges = given
            if isinstance(bag, tuple) and isinstance(edges, tuple):
                return bag, edges
        raise ArchitectureError(
            f"{given!r:.120}: expected operations and edges, for example {self._example()}"
        )


def _name(genotype: Genotype) -> str:
    bag, edges = genotype
    return f"{','.join(bag)};{','.join(f'{source}-{target}' for source, target in edges)}"
