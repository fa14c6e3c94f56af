"""What the networks of several spaces are made of: what normalises, and what reads the result."""

from __future__ import annotations

from typing import Literal, get_args

from kernas.errors import ConfigurationError
from kernas.kernels import (
    Flatten,
    GlobalAvgPool,
    LayerNorm,
    LocalAvgPool,
    Normalize,
)
from kernas.kernels.architecture import Layer
from kernas.kernels.architecture.windows import Padding

RELU_GAIN = 2**0.5
"""``W_std`` that keeps the variance through a ReLU (He et al. 2015)."""

PYTORCH_GAIN = 3**-0.5
"""``W_std`` of layers that no normalisation follows, as networks in PyTorch start: it draws a
layer's weights uniformly from ``±1/sqrt(fan_in)``, a variance of ``1/(3 fan_in)``."""

Normalization = Literal["batch", "layer", "none"]
MaxPooling = Literal["maximum", "average"]
"""What kernels take a max-pool for."""

Edges = Literal["zero", "circular"]


def check_one_of(name: str, value: object, kind: object) -> None:
    """Refuse what is none of a ``Literal``.

    Raises:
        ConfigurationError: it is not.
    """
    known = get_args(kind)
    if value not in known:
        raise ConfigurationError(f"{name}={value!r}: expected one of {', '.join(map(str, known))}")


def readout_layer(name: str) -> Layer:
    """The layer that a readout's name stands for: ``gap``, ``flatten``, or ``lap:C``.

    Raises:
        ConfigurationError: there is none of this name.
    """
    kind, _, radius = name.partition(":") if isinstance(name, str) else ("", "", "")
    match kind:
        case "gap" if not radius:
            return GlobalAvgPool()
        case "flatten" if not radius:
            return Flatten()
        case "lap" if radius.isascii() and radius.isdecimal():
            return LocalAvgPool(int(radius))
    raise ConfigurationError(
        f"readout={name!r}: expected gap, flatten, or lap: and the radius of its windows in "
        "pixels, for example lap:1"
    )


def normalization_layer(kind: Normalization, center: bool = True) -> Layer | None:
    """The layer that normalises, if one does."""
    match kind:
        case "batch":
            return Normalize(center=center)
        case "layer":
            return LayerNorm()
        case "none":
            return None


def check_center(center: bool, normalize: Normalization) -> None:
    """Refuse a form of a normalisation that has none.

    Raises:
        ConfigurationError: only batch normalisation has a form that subtracts no mean.
    """
    if normalize != "batch" and not center:
        raise ConfigurationError(
            f"center=False with normalize={normalize!r}: only batch normalisation has a form that "
            "subtracts no mean"
        )


def same_padding(edges: Edges, window: int) -> Padding:
    """The padding of an odd window that keeps every pixel's place."""
    if edges == "circular" and window > 1:
        return "CIRCULAR"
    edge = window // 2
    return ((edge, edge), (edge, edge))
