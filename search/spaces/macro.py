"""Whole networks instead of cells: plain, residual and fully-connected ones."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, get_args

from kernas.errors import ConfigurationError, DataError
from kernas.kernels import (
    Abs,
    Architecture,
    AvgPool,
    Conv,
    Dense,
    Erf,
    Flatten,
    GraphBuilder,
    LeakyRelu,
    Relu,
    Sum,
)
from kernas.kernels.architecture import Layer
from kernas.kernels.data.checks import inputs_of

from .abilities import Distribution
from .base import shape_given
from .choices import BuiltSpace
from .parts import Normalization, check_one_of, normalization_layer, readout_layer

ACTIVATIONS: dict[str, Layer] = {
    "relu": Relu(),
    "leaky_relu": LeakyRelu(0.1),
    "abs": Abs(),
    "erf": Erf(),
}
"""The nonlinearities by name, all of them with a kernel in closed form."""

Network = Literal["any", "plain", "residual", "dense"]
Edge = Literal["any", "zero", "circular"]
Activation = Literal["any", "relu", "leaky_relu", "abs", "erf"]
Normalized = Literal["any", "batch", "layer", "none"]
Readout = Literal["any", "gap", "flatten"]


@dataclass(frozen=True)
class MacroSpace(BuiltSpace):
    """Plain, residual and fully-connected networks of one nonlinearity.

    A convolutional network is a stem, a convolution of ``stride``, and ``depth`` blocks of
    nonlinearity, convolution, and normalisation if there is one; a pool may follow the first half
    of them. In a residual network each block is added to its input, and in others with ``skips``
    every second one; then comes the nonlinearity once more, the readout and a dense layer. A
    fully-connected network is dense layers in their place, without windows, strides and pools.
    Windows keep the pixels' places, so that images of any size fit.

    Networks of one nonlinearity, window (with its dilation and padding), stride and pool are a
    family: whatever their depth, skips, normalisation, readout and gains, those of small images
    with strides or pools share at most five programs: of pairs, of images that meet reference
    images or none, of reference images that meet each other once or in both orders. There are four
    nonlinearities, nine windows of up to five pixels (one, and two others with two dilations and
    two paddings) and three pairs of stride and pool: no more than 4 · 9 · 3 families, of which
    those are compiled that candidates are of. Without strides and pools, networks are computed in
    planes, in programs of their own.

    Args:
        network: which of the three kinds; ``"any"``, here and below, for all of them.
        max_depth: most blocks, >= 1.
        max_window: largest side of a window in pixels, 3, 5 or 7.
        padding: edges of the windows.
        activation: the nonlinearity.
        normalize: what blocks normalise over.
        readout: what makes a vector of the last image.
        axes: of the windows, 2 for images and 1 for signals.

    Raises:
        ConfigurationError: an argument is out of its range.

    >>> space = MacroSpace(network="dense")
    >>> space.check_shape((13,))
    >>> space.sample(1)[0].architecture.shapes((13,))[-1]
    ()
    """

    network: Network = "any"
    max_depth: int = 4
    max_window: int = 5
    padding: Edge = "any"
    activation: Activation = "any"
    normalize: Normalized = "any"
    readout: Readout = "any"
    axes: int = 2

    def __post_init__(self) -> None:
        for name, kind in _LITERALS.items():
            check_one_of(name, getattr(self, name), kind)
        if type(self.max_depth) is not int or self.max_depth < 1:
            raise ConfigurationError(f"max_depth={self.max_depth!r}: expected an integer >= 1")
        if self.max_window not in (3, 5, 7):
            raise ConfigurationError(f"max_window={self.max_window!r}: expected 3, 5 or 7")
        if self.axes not in (1, 2):
            raise ConfigurationError(
                f"axes={self.axes!r}: expected 2, for images, or 1, for signals"
            )

    @property
    def name(self) -> str:
        """The name on the command line and in records."""
        return "macro"

    @property
    def choices(self) -> dict[str, Distribution]:
        """What is chosen; of a fully-connected network windows, strides and pools do not count."""
        return self._choices

    @cached_property
    def _choices(self) -> dict[str, Distribution]:
        own: dict[str, Distribution] = {
            name: [
                known
                for known in get_args(kind)
                if known != "any" and getattr(self, name) in ("any", known)
            ]
            for name, kind in _LITERALS.items()
        }
        dense = self.network == "dense"
        return {
            "network": own["network"],
            "depth": list(range(1, self.max_depth + 1)),
            "window": [1] if dense else list(range(1, self.max_window + 1, 2)),
            "stride": [1] if dense else [1, 2],
            "dilation": [1] if dense else [1, 2],
            "padding": ["zero"] if dense else own["padding"],
            "pool": [False] if dense else [False, True],
            "skips": [False, True],
            "activation": own["activation"],
            "normalize": own["normalize"],
            "readout": ["flatten"] if dense else own["readout"],
            "W_std": (0.5, 2.0),
            "b_std": (0.0, 1.0),
        }

    def built(self, values: dict[str, Any]) -> Architecture:
        """The network of one value for each choice."""
        return _Network(_without_idle(values), self.axes).whole()

    def family(self, genotype: tuple[Any, ...]) -> MacroFamily:
        """Networks of the same nonlinearity, window, stride and pool."""
        values = _without_idle(self.values(genotype))
        fixed = tuple(values[name] for name in FAMILY)
        return MacroFamily(self, values["network"] == "dense", fixed)

    def cover(self, image_shape: Sequence[int]) -> list[Architecture]:
        """The networks of the covers of all families."""
        listed = ([None] if isinstance(of, tuple) else of for of in self.choices.values())
        families = dict.fromkeys(map(self.family, itertools.product(*listed)))
        return [network for family in families for network in family.cover(image_shape)]

    def check_shape(self, image_shape: Sequence[int]) -> None:
        """Refuse what has other axes than the windows, unless all networks are fully connected.

        Raises:
            ConfigurationError: it is no shape.
            DataError: there are no pixels, or along other axes.
        """
        shape = shape_given(image_shape)
        if self.network == "dense" or len(shape) == self.axes + 1:
            return
        needed = ("signals (length, channels)", "images (height, width, channels)")[self.axes - 1]
        other = {1: "network=dense", 2: "axes=1", 3: "axes=2"}[len(shape)]
        raise DataError(
            f"{inputs_of(shape)}: the networks of {self.text} need {needed}; give macro:{other}"
        )


FAMILY = ("window", "dilation", "padding", "stride", "pool", "activation")
"""What a family of networks has in common."""


@dataclass(frozen=True)
class MacroFamily:
    """Networks of a macro space that need the same operations.

    Attributes:
        space: that they are of.
        dense: whether they are fully connected.
        fixed: their values of the choices in :data:`FAMILY`.
    """

    space: MacroSpace
    dense: bool
    fixed: tuple[Any, ...]

    def cover(self, image_shape: Sequence[int]) -> list[Architecture]:
        """The deepest networks, with all kinds of skips, normalisations and readouts.

        They need whatever shallower ones need. A plain network whose every second block is added,
        one with none and a residual one have all places at which a moment has two readers.
        """
        choices = self.space.choices
        if self.dense:
            kinds = [("dense", False), ("dense", True)]
        else:
            kinds = [("residual", False)]
            if self.space.network != "residual":
                kinds += [("plain", False), ("plain", True)]
        return [
            self.space.built(
                {
                    **dict(zip(FAMILY, self.fixed, strict=True)),
                    "network": network,
                    "depth": self.space.max_depth,
                    "skips": skips,
                    "normalize": normalize,
                    "readout": readout,
                    "W_std": 1.0,
                    "b_std": 1.0,
                }
            )
            for (network, skips), normalize, readout in itertools.product(
                kinds, choices["normalize"], ["flatten"] if self.dense else choices["readout"]
            )
        ]


_LITERALS: dict[str, Any] = {
    "network": Network,
    "padding": Edge,
    "activation": Activation,
    "normalize": Normalized,
    "readout": Readout,
}


def _without_idle(values: dict[str, Any]) -> dict[str, Any]:
    """Values of which those that mean nothing beside others are as if none had been chosen."""
    if values["network"] == "dense":
        values = {**values, "window": 1, "stride": 1, "pool": False}
    return {**values, "dilation": 1, "padding": "zero"} if values["window"] == 1 else values


class _Network:
    """A network in the making; its methods append to it and return the last node."""

    def __init__(self, values: dict[str, Any], axes: int) -> None:
        self.values = values
        self.axes = axes
        self.builder = GraphBuilder()
        self.add = self.builder.add
        self.dense = values["network"] == "dense"
        self.activation = ACTIVATIONS[values["activation"]]

    def whole(self) -> Architecture:
        values, depth = self.values, self.values["depth"]
        node = self.builder.input
        if self.dense:
            node = self.add(Flatten(), node)
        node = self.weighted(node, values["stride"])
        for number in range(1, depth + 1):
            block = self.block(node)
            skipped = values["network"] == "residual" or (values["skips"] and number % 2 == 0)
            node = self.add(Sum(), node, block) if skipped else block
            if values["pool"] and number == (depth + 1) // 2:
                node = self.add(
                    AvgPool(self.along(2), stride=2, padding="SAME", divisor="valid"), node
                )
        node = self.add(self.activation, node)
        if not self.dense:
            node = self.add(readout_layer(values["readout"]), node)
        return self.builder.build(self.add(self.last(), node))

    def block(self, node: int) -> int:
        node = self.weighted(self.add(self.activation, node), 1)
        normalize: Normalization = self.values["normalize"]
        layer = normalization_layer(normalize)
        return node if layer is None else self.add(layer, node)

    def weighted(self, node: int, stride: int) -> int:
        """A convolution, or a dense layer."""
        if self.dense:
            return self.add(self.last(), node)
        circular = self.values["padding"] == "circular"
        return self.add(
            Conv(
                self.along(self.values["window"]),
                stride=stride,
                dilation=self.values["dilation"],
                padding="CIRCULAR" if circular else "SAME",
                W_std=self.values["W_std"],
                b_std=self.values["b_std"],
            ),
            node,
        )

    def along(self, pixels: int) -> int | tuple[int]:
        """A window of so many pixels along every axis."""
        return (pixels,) if self.axes == 1 else pixels

    def last(self) -> Layer:
        return Dense(W_std=self.values["W_std"], b_std=self.values["b_std"])
