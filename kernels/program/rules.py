"""Which networks have an exact kernel: what each node is made of, and refusals by name."""

from __future__ import annotations

from collections.abc import Iterable

from kernas.errors import ArchitectureError

from ..architecture.activations import Activation, Elementwise
from ..architecture.channels import SplitNetwork
from ..architecture.graph import Architecture
from ..architecture.layers import (
    DepthwiseConv,
    FullWeightLayer,
    Input,
    Layer,
    LayerNorm,
    MaxPool,
    Normalize,
    WeightLayer,
    Zero,
)
from ..architecture.slots import Slot
from ..covariance.activations import check_smooth


def sources(parts: SplitNetwork) -> tuple[frozenset[int], ...]:
    """For each part, the parts whose linear combination it is.

    A source is the input, or the output of a weight layer or of a nonlinearity; zeros have none.
    """
    found: list[frozenset[int]] = []
    for index, part in enumerate(parts.parts):
        if isinstance(part.layer, Input | WeightLayer | Activation):
            found.append(frozenset([index]))
        elif isinstance(part.layer, Zero):
            found.append(frozenset())
        else:
            found.append(frozenset().union(*(found[i] for i in part.inputs)))
    return tuple(found)


def _kinds(parts: SplitNetwork) -> list[frozenset[type[Layer]]]:
    """For each part, which layers its :func:`sources` are."""
    found: list[frozenset[type[Layer]]] = []
    for part in parts.parts:
        if isinstance(part.layer, Input | WeightLayer | Activation):
            found.append(frozenset([type(part.layer)]))
        elif isinstance(part.layer, Zero):
            found.append(frozenset())
        else:
            found.append(frozenset().union(*(found[i] for i in part.inputs)))
    return found


def check_rules(architecture: Architecture, shapes: tuple[tuple[int, ...], ...]) -> None:
    """Refuse a network with a node for which no exact rule exists.

    Args:
        architecture: the network.
        shapes: the pixels of its nodes.

    Raises:
        ArchitectureError: the message names the node, and the layer to insert.
    """
    parts = architecture.split
    made_of, pixels = _kinds(parts), parts.pixels(shapes)
    for part in parts.parts:
        kinds = frozenset[type[Layer]]().union(*(made_of[i] for i in part.inputs))
        name = architecture.describe(part.node)
        reads = architecture.nodes[part.node].inputs
        match part.layer:
            case Activation():
                _check_gaussian(name, reads[0], kinds)
                if isinstance(part.layer, Elementwise):
                    check_smooth(part.layer, name)
            case Normalize():
                if not shapes[part.node] and pixels[part.inputs[0]] != (1, 1):
                    raise ArchitectureError(
                        f"{name} normalises a flattened image, every pixel by itself; put it "
                        "before Flatten(), or insert Dense() between"
                    )
                _check_features(name, kinds)
            case LayerNorm():
                _check_features(name, kinds)
                _check_zero_mean(name, reads[0], kinds)
            case DepthwiseConv():
                if part.block.raw:
                    raise ArchitectureError(
                        f"{name} convolves each channel of the raw input, whose few channels have "
                        "no limit; insert Conv(1) before"
                    )
            case MaxPool(as_average=False):
                raise ArchitectureError(
                    f"{name} takes a maximum, which has no exact kernel; use AvgPool(), or "
                    "MaxPool(..., as_average=True) for the kernel with the average in its place"
                )
            case Slot():
                raise ArchitectureError(
                    f"{name} is open, and a kernel is that of one network; fill it with "
                    "filled(network, choices)"
                )


def _check_gaussian(name: str, read: int, kinds: Iterable[type[Layer]]) -> None:
    if all(issubclass(kind, FullWeightLayer) for kind in kinds):
        return
    raise ArchitectureError(
        f"{name} acts on node {read}, which is not Gaussian in the infinite-width limit (it reads "
        "the raw input, or the output of a nonlinearity or a depthwise convolution, without a "
        "weight layer between that mixes channels); insert Conv(1) or Dense() before it"
    )


def _check_features(name: str, kinds: Iterable[type[Layer]]) -> None:
    if any(issubclass(kind, Input) for kind in kinds):
        raise ArchitectureError(
            f"{name} normalises the raw input, whose few channels have no limit; standardise the "
            "data instead, or insert Conv(1) or Dense() before"
        )


def _check_zero_mean(name: str, read: int, kinds: Iterable[type[Layer]]) -> None:
    if any(issubclass(kind, Activation) for kind in kinds):
        raise ArchitectureError(
            f"{name} subtracts the mean over the channels of node {read}, which has one since it "
            "reads a nonlinearity's output; insert Conv(1) or Dense() before it"
        )
