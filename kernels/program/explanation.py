"""In words, for each node of a network: its sources, its rule, and why a network is refused."""

from __future__ import annotations

from dataclasses import dataclass

from kernas.errors import ArchitectureError

from ..architecture.activations import Activation
from ..architecture.graph import Architecture
from ..architecture.layers import (
    AvgPool,
    Concat,
    Dense,
    DepthwiseConv,
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
from ..architecture.weights import RATES
from ..covariance.activations import has_closed_form
from .lowering import correlated_terms, lower
from .rules import sources


@dataclass(frozen=True)
class NodeExplanation:
    """One node.

    Attributes:
        index: of the node.
        name: of its layer.
        pixels: of its output, ``()`` for a vector.
        sources: nodes whose linear combination it is: the input, weight layers, nonlinearities.
        rule: what its second moments are.
    """

    index: int
    name: str
    pixels: tuple[int, ...]
    sources: tuple[int, ...]
    rule: str


@dataclass(frozen=True)
class Explanation:
    """A network, node by node; ``print`` shows it as a table.

    Attributes:
        nodes: in topological order.
        refusal: why there is no exact kernel, ``None`` if there is one.
    """

    nodes: tuple[NodeExplanation, ...]
    refusal: str | None

    def __str__(self) -> str:
        lines = [("node", "layer", "pixels", "sources", "rule")]
        for node in self.nodes:
            pixels = "×".join(map(str, node.pixels)) or "vector"
            sources = " ".join(map(str, node.sources)) or "none"
            lines.append((str(node.index), node.name, pixels, sources, node.rule))
        widths = [max(len(line[i]) for line in lines) for i in range(4)]
        table = [
            "  ".join([*(f"{c:<{w}}" for c, w in zip(line[:4], widths, strict=True)), line[4]])
            for line in lines
        ]
        verdict = "exact" if self.refusal is None else f"refused: {self.refusal}"
        return "\n".join([*table, verdict])


def explain(architecture: Architecture, image_shape: tuple[int, ...]) -> Explanation:
    """What the kernel of a network is made of, and why it is refused if it is.

    Args:
        architecture: the network.
        image_shape: ``(height, width, channels)`` or ``(features,)``.

    Raises:
        ArchitectureError: the images do not fit the network, so that no node can be described.
    """
    pixels = architecture.shapes(image_shape)
    refusal, correlated = None, {}
    try:
        lower(architecture, image_shape)
    except ArchitectureError as error:
        refusal = str(error)
    else:
        correlated = correlated_terms(architecture, image_shape)
    parts = architecture.split
    made_of = sources(parts)
    nodes: list[NodeExplanation] = []
    for index, node in enumerate(architecture.nodes):
        of = sorted({parts.parts[s].node for part in parts.of[index] for s in made_of[part]})
        rule = _rule(node.layer)
        if index in correlated:
            first, second = correlated[index]
            rule += f"; nodes {first} and {second} are correlated, their moments are in it"
        name = type(node.layer).__name__
        nodes.append(NodeExplanation(index, name, pixels[index], tuple(of), rule))
    return Explanation(tuple(nodes), refusal)


def _rule(layer: Layer) -> str:
    match layer:
        case Input():
            return "K = x·x'/C, Θ = 0"
        case WeightLayer():
            where = "pixels of K[p, p]" if isinstance(layer, Dense) else "the window of K[p+k, q+k]"
            new = "the new K" if layer.trainable else "nothing: not trained"
            if layer.rates != RATES:
                weights, biases = layer.rates
                new = f"{weights:.4g} times its new K"
                new += f", of the bias {biases:.4g} times" if layer.b_std else ""
            bias = f" + {layer.b_std**2:.4g}" if layer.b_std else ""
            depthwise = "; not Gaussian" if isinstance(layer, DepthwiseConv) else ""
            what = f"K ← {layer.W_std**2:.4g} · mean over {where}{bias}"
            return f"{what}; Θ alike without bias, plus {new}{depthwise}"
        case Activation():
            how = "closed form" if has_closed_form(layer, layer) else "Hermite series"
            return f"K ← E[φ(u)φ(v)], Θ ← Θ · E[φ'(u)φ'(v)]: {how}"
        case AvgPool() | GlobalAvgPool():
            return "K ← L K Lᵀ, Θ alike"
        case LocalAvgPool():
            return "K ← L K Lᵀ, Θ alike, then all pixels side by side"
        case MaxPool(as_average=True):
            return "K ← L K Lᵀ, Θ alike: the average in place of the maximum"
        case MaxPool():
            return "no exact rule"
        case LayerNorm():
            return "K ← K / sqrt((v + eps)(v' + eps)), Θ alike"
        case Concat():
            return "its parts by themselves; their mean over channels where channels are mixed"
        case Normalize(center=True):
            return "K ← (K − u − u' + m)/(v − m), Θ alike with means of its own"
        case Normalize():
            return "K ← K/v, Θ ← Θ/v"
        case Sum():
            return "all second moments of its terms"
        case Zero():
            return "zero"
        case Identity() | Flatten():
            return "as its input"
    raise TypeError(f"no rule is known for {layer}")
