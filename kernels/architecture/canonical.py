"""The canonical form of a network, and the content hash made of it.

Two graphs are one network when a sequence of exact rewritings and a renumbering of nodes turns one
into the other. The rewritings (:func:`simplify`) only use identities that hold for every network
whatever its weights: a skip is what it skips, zeros stay zeros through layers without bias and
nonlinearities with φ(0) = 0, weight-free layers are linear where they are linear, and one
weight-free layer applied twice to one input is one layer. Weight layers are never merged.

What is left is a labelled multigraph whose nodes are renumbered by canonical labelling
(``labelling.py``). A bottom-up hash would not do: it cannot tell two equal convolutions of one
input from one convolution read twice.

A combination of nodes grows with the skips above it, so that with skips alone, no weights or
nonlinearities on them, the time grows with the square of the depth.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from dataclasses import dataclass, replace

from .activations import Activation
from .channels import SplitNetwork
from .labelling import Terms, canonical_certificate
from .layers import (
    AvgPool,
    Dense,
    Flatten,
    FullWeightLayer,
    GlobalAvgPool,
    Identity,
    Input,
    Layer,
    LayerNorm,
    LocalAvgPool,
    Sum,
    WeightLayer,
    Zero,
)
from .serialization import layer_to_dict
from .windows import WindowLayer, stride_of

DISTRIBUTED = (AvgPool, GlobalAvgPool, Flatten)
"""Weight-free linear layers: they are applied to the terms of a sum one by one."""


@dataclass(frozen=True)
class Term:
    """A node of the simplified graph: a layer applied to an integer combination of nodes.

    Where a layer mixes the channels of a concatenation it reads a ``_Share`` of each part.
    """

    layer: Layer
    inputs: Terms


@dataclass(frozen=True)
class _Share(Layer):
    """Part of a concatenation where a layer mixes its channels with the others'."""

    share: float


def simplify(parts: SplitNetwork) -> tuple[tuple[Term, ...], Terms]:
    """Rewrite a graph into nodes that read integer combinations of nodes.

    ``Sum`` and ``Identity`` disappear into the combinations, ``Zero`` into the empty one; what is
    made of zeros (a bias, φ(0) ≠ 0) or beside them (a share of a concatenation) reads a ``Zero`` of
    something of their size. Pools are distributed over sums, so that cells which differ only in
    where they add are equal. Nodes that the output does not read are dropped.

    Returns:
        The nodes in topological order, and the combination that is the output.
    """
    nodes: list[Term] = []
    known: dict[Term, int] = {}

    def add(term: Term) -> Terms:
        if isinstance(term.layer, WeightLayer) or term not in known:
            nodes.append(term)
            if isinstance(term.layer, WeightLayer):
                return ((len(nodes) - 1, 1),)
            known[term] = len(nodes) - 1
        return ((known[term], 1),)

    def linear(layer: Layer, inputs: Terms) -> Terms:
        return _combine([(add(Term(layer, ((source, 1),))), times) for source, times in inputs])

    def zeros(size: Terms) -> Terms:
        return add(Term(Zero(), size))

    def mixed(read: tuple[int, ...]) -> Terms:
        shares: dict[Terms, float] = {}
        whole_zero = not any(values[part] for part in read)
        for part in read:
            value = values[part] if values[part] or whole_zero else zeros(sizes[part])
            shares[value] = shares.get(value, 0.0) + parts.parts[part].block.width
        if len(shares) == 1:
            return next(iter(shares))
        whole = sum(shares.values())
        terms = [add(Term(_Share(round(w / whole, 12)), inputs)) for inputs, w in shares.items()]
        return _combine([(term, 1) for term in terms])

    values: list[Terms] = []
    sizes: list[Terms] = []  # for each part something of its size, further up where it can be
    for part in parts.parts:
        layer = part.layer
        size = next((sizes[i] for i in part.inputs), ())
        if isinstance(layer, FullWeightLayer):
            inputs = mixed(part.inputs)
        else:
            inputs = _combine([(values[i], 1) for i in part.inputs])
        if not inputs and part.inputs and not _keeps_zero(layer, inputs):
            inputs = zeros(size)
        if isinstance(layer, Sum | Identity):
            values.append(inputs)
        elif isinstance(layer, Zero) or _keeps_zero(layer, inputs):
            values.append(())
        elif isinstance(layer, DISTRIBUTED):
            values.append(linear(layer, inputs))
        elif isinstance(layer, LocalAvgPool):
            pooled = linear(layer.pool, inputs) if layer.radius else inputs
            values.append(linear(Flatten(), pooled))
        elif isinstance(layer, LayerNorm) and (whole := mixed(part.statistics)) != inputs:
            values.append(add(Term(layer, _combine([(inputs, 1), (whole, 1)]))))
        else:
            values.append(add(Term(layer, inputs)))
        if not part.inputs or _resizes(layer):
            size = values[-1] or add(Term(layer, size))
        sizes.append(size)
    return _drop_unread(nodes, mixed(parts.of[-1]))


def _resizes(layer: Layer) -> bool:
    """Whether the layer's output may have other pixels than its input."""
    if isinstance(layer, WindowLayer):
        return stride_of(layer) != (1, 1) or layer.padding not in ("SAME", "CIRCULAR")
    return isinstance(layer, Flatten | GlobalAvgPool | LocalAvgPool | Dense)


def _keeps_zero(layer: Layer, inputs: Terms) -> bool:
    """Whether the layer's output is zero because its input is."""
    if isinstance(layer, Input) or inputs:
        return False
    if isinstance(layer, Activation):
        return layer.keeps_zero
    return not (isinstance(layer, WeightLayer) and layer.b_std > 0)


def _combine(parts: list[tuple[Terms, int]]) -> Terms:
    total: Counter[int] = Counter()
    for terms, times in parts:
        for source, multiplicity in terms:
            total[source] += times * multiplicity
    return tuple(sorted(total.items()))


def _drop_unread(nodes: list[Term], output: Terms) -> tuple[tuple[Term, ...], Terms]:
    reached = {source for source, _ in output}
    for index in range(len(nodes) - 1, -1, -1):
        if index in reached:
            reached.update(source for source, _ in nodes[index].inputs)
    new = {old: i for i, old in enumerate(sorted(reached))}

    def renumber(terms: Terms) -> Terms:
        return tuple(sorted((new[source], times) for source, times in terms))

    kept = tuple(replace(nodes[old], inputs=renumber(nodes[old].inputs)) for old in sorted(reached))
    return kept, renumber(output)


def content_hash(parts: SplitNetwork) -> str:
    """SHA-256, in hexadecimal, of the canonical form: equal networks have equal hashes."""
    nodes, output = simplify(parts)
    readout = (*nodes, Term(Sum(), output))
    labels = [json.dumps(layer_to_dict(node.layer)) for node in readout]
    certificate = canonical_certificate(labels, [node.inputs for node in readout])
    text = json.dumps(certificate, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()
