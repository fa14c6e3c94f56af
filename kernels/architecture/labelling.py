"""Canonical labelling of an acyclic multigraph: equal graphs get one certificate.

Colour refinement, then individualisation of one node of a tied class at a time, keeping the
smallest certificate and skipping branches that an automorphism maps onto an explored one (McKay and
Piperno, Practical graph isomorphism II, 2014, section 2). Every tied class that refinement leaves
takes a refinement of the whole graph: where there are as many as layers, the time grows with the
square of the depth.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

Terms = tuple[tuple[int, int], ...]
"""A linear combination of nodes: ``(node, multiplicity)``, sorted, no node twice."""


def canonical_certificate(labels: Sequence[str], reads: Sequence[Terms]) -> list[Any]:
    """The graph with its nodes renumbered: ``[label, [[source, times], …]]`` of each in order.

    Args:
        labels: what the nodes are.
        reads: what each reads, earlier nodes only.
    """
    return _Labelling(labels, reads).certificate()


def _digest(*parts: object) -> bytes:
    return hashlib.blake2b(repr(parts).encode(), digest_size=16).digest()


Moves = dict[int, int]
"""An automorphism: the images of the nodes that it moves."""


@dataclass
class _Branching:
    """A node of the search tree, at which the nodes of a tied class are individualised in turn.

    Attributes:
        colours: refined, of all nodes of the graph.
        left: of the class, those that were not tried.
        explored: those that were, or are images of such.
        vertex: the one that is being tried.
    """

    colours: list[bytes]
    left: Iterator[int]
    explored: list[int] = field(default_factory=list)
    vertex: int = -1

    def individualised(self, vertex: int) -> list[bytes]:
        """The colours with one of the class set apart."""
        colours = list(self.colours)
        colours[vertex] = _digest(colours[vertex], "individualised")
        return colours


def _cells(colours: list[bytes]) -> dict[bytes, list[int]]:
    """The nodes of each colour, in order."""
    found: dict[bytes, list[int]] = {}
    for index, colour in enumerate(colours):
        found.setdefault(colour, []).append(index)
    return found


class _Labelling:
    """Search for the canonical numbering."""

    def __init__(self, labels: Sequence[str], reads: Sequence[Terms]) -> None:
        self.labels = labels
        self.reads = reads
        self.readers: list[list[tuple[int, int]]] = [[] for _ in reads]
        for index, terms in enumerate(reads):
            for source, times in terms:
                self.readers[source].append((index, times))
        self.best: list | None = None
        self.best_order: list[int] = []
        self.automorphisms: list[Moves] = []  # each with its inverse

    def certificate(self) -> list:
        """The smallest certificate of all numberings that the search has to look at."""
        self._search()
        assert self.best is not None
        return self.best

    def _refine(self, colours: list[bytes]) -> list[bytes]:
        """Colour by what a node reads and by what reads it, until no class splits any more.

        One sweep in each direction carries a colour along every path, so few rounds are needed.
        """
        classes = len(set(colours))
        while True:
            for index, terms in enumerate(self.reads):
                read = sorted((colours[source], times) for source, times in terms)
                colours[index] = _digest(colours[index], read)
            for index in range(len(self.reads) - 1, -1, -1):
                read_by = sorted((colours[reader], times) for reader, times in self.readers[index])
                colours[index] = _digest(colours[index], read_by)
            refined = len(set(colours))
            if refined == classes:
                return colours
            classes = refined

    def _search(self) -> None:
        """Go through the search tree; the way to where it stands is a list, for it may be long."""
        path: list[_Branching] = []
        automorphic = self._enter([_digest(label) for label in self.labels], path)
        while path:
            branching = path[-1]
            if automorphic and not branching.explored:
                # What is below is the image of what was explored below the deepest node at which
                # the two paths part, and only that one has anything new to try.
                path.pop()
                continue
            if automorphic is not None:
                branching.explored.append(branching.vertex)
            vertex = next(branching.left, None)
            if vertex is None:
                path.pop()
                automorphic = False
                continue
            branching.vertex, automorphic = vertex, None
            fixed = {above.vertex for above in path[:-1]}
            if not self._explored_alike(branching, fixed):
                automorphic = self._enter(branching.individualised(vertex), path)

    def _enter(self, colours: list[bytes], path: list[_Branching]) -> bool | None:
        """Add a node of the search tree to the path; of a leaf, whether it shows an automorphism.

        ``None`` of a node that is none.
        """
        colours = self._refine(colours)
        tied = [cell for _, cell in sorted(_cells(colours).items()) if len(cell) > 1]
        if not tied:
            return self._leaf(sorted(range(len(colours)), key=colours.__getitem__))
        path.append(_Branching(colours, iter(min(tied, key=len))))
        return None

    def _explored_alike(self, branching: _Branching, fixed: set[int]) -> bool:
        """Whether an automorphism maps the branch of the vertex onto an explored one."""
        if not branching.explored:
            return False
        first, vertex = branching.explored[0], branching.vertex
        if not self._orbit(vertex, fixed).isdisjoint(branching.explored):
            return True
        moves = {first: vertex, vertex: first}
        if not self._is_automorphism(moves):
            cells, others = (
                _cells(self._refine(branching.individualised(one))) for one in (first, vertex)
            )
            sizes, of_others = ({c: len(cell) for c, cell in f.items()} for f in (cells, others))
            if sizes != of_others:
                return False
            pairs = (zip(cell, others[colour], strict=True) for colour, cell in cells.items())
            moves = {source: image for pair in pairs for source, image in pair if source != image}
            if moves.get(first) != vertex or not fixed.isdisjoint(moves):
                return False
            if not self._is_automorphism(moves):
                return False
        self._keep(moves)
        branching.explored.append(vertex)
        return True

    def _is_automorphism(self, moves: Moves) -> bool:
        """Whether an exchange of nodes leaves the graph what it is."""
        changed = moves.keys() | {reader for node in moves for reader, _ in self.readers[node]}
        for node in changed:
            image = moves.get(node, node)
            read = sorted((moves.get(i, i), times) for i, times in self.reads[node])
            if self.labels[node] != self.labels[image] or read != sorted(self.reads[image]):
                return False
        return True

    def _keep(self, moves: Moves) -> None:
        self.automorphisms += [moves, {image: node for node, image in moves.items()}]

    def _leaf(self, order: list[int]) -> bool:
        position = {node: i for i, node in enumerate(order)}
        certificate = [
            [
                self.labels[node],
                sorted([position[source], times] for source, times in self.reads[node]),
            ]
            for node in order
        ]
        if self.best is None or certificate < self.best:
            self.best, self.best_order = certificate, order
            return False
        if certificate == self.best:
            pairs = zip(order, self.best_order, strict=True)
            self._keep({ours: theirs for ours, theirs in pairs if ours != theirs})
            return True
        return False

    def _orbit(self, vertex: int, fixed: set[int]) -> set[int]:
        """Images of a vertex under the found automorphisms that fix the path to this node."""
        group = [moves for moves in self.automorphisms if fixed.isdisjoint(moves)]
        orbit, queue = {vertex}, [vertex]
        while queue:
            current = queue.pop()
            for moves in group:
                image = moves.get(current, current)
                if image not in orbit:
                    orbit.add(image)
                    queue.append(image)
        return orbit
