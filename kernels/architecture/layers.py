"""Every layer by its name, and those that only route: frozen descriptions of what a node computes.

A layer says nothing of images or of widths in absolute numbers. ``width`` is relative: a finite
network multiplies it by its base width, the infinite one needs only the ratios.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from .activations import ACTIVATIONS
from .activations import Activation as Activation
from .activations import Relu as Relu
from .base import Layer as Layer
from .normalization import LayerNorm as LayerNorm
from .normalization import Normalize as Normalize
from .pools import AvgPool as AvgPool
from .pools import Flatten as Flatten
from .pools import GlobalAvgPool as GlobalAvgPool
from .pools import LocalAvgPool as LocalAvgPool
from .pools import MaxPool as MaxPool
from .weights import Conv as Conv
from .weights import ConvLayer as ConvLayer
from .weights import Dense as Dense
from .weights import DepthwiseConv as DepthwiseConv
from .weights import FullWeightLayer as FullWeightLayer
from .weights import WeightLayer as WeightLayer
from .windows import Padding as Padding
from .windows import WindowLayer as WindowLayer


@dataclass(frozen=True)
class Input(Layer):
    """The image ``(height, width, channels)`` or the vector ``(features,)``: node 0."""

    arity: ClassVar[int | None] = 0


@dataclass(frozen=True)
class Sum(Layer):
    """Sum of one or more inputs of equal shape; an input may stand in it several times."""

    arity: ClassVar[int | None] = None


@dataclass(frozen=True)
class Concat(Layer):
    """The channels of one or more inputs side by side, in their order.

    ``K ← Σ_i w_i K_i / Σ_i w_i``, and ``Θ`` alike, with ``w_i`` the channels of input ``i``. What
    acts on every channel by itself (nonlinearities, pools, ``Normalize``, sums of concatenations
    whose parts are equally wide) acts on every part by itself, and the parts keep their covariances
    with everything else; a weight layer reads the mean.
    """

    arity: ClassVar[int | None] = None


@dataclass(frozen=True)
class Identity(Layer):
    """The input unchanged: a skip connection."""


@dataclass(frozen=True)
class Zero(Layer):
    """Zeros of the input's shape: the absent edge of a benchmark's cell."""


@dataclass(frozen=True)
class Node:
    """One layer of a graph and the indices of the nodes it reads."""

    layer: Layer
    inputs: tuple[int, ...] = ()


LAYERS: dict[str, type[Layer]] = {
    layer.__name__: layer
    for layer in (
        Input,
        Dense,
        Conv,
        DepthwiseConv,
        AvgPool,
        LocalAvgPool,
        GlobalAvgPool,
        MaxPool,
        Flatten,
        *ACTIVATIONS,
        Normalize,
        LayerNorm,
        Sum,
        Concat,
        Identity,
        Zero,
    )
}
"""Every layer by its name in the JSON form."""
