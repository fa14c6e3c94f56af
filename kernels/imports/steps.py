"""What every library's network is read into: operations with their weights, as NumPy arrays.

Features are counted as the library counts them. Kernels lie as flax lays them, ``(height, width,
channels in, channels out)`` or ``(features in, features out)``.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from ..architecture import Layer

Array = np.ndarray
Both = tuple[int, int]
Edges = tuple[Both, Both]


def float64(array: Any) -> Array:
    """In which weights are taken together."""
    return np.asarray(array, dtype=np.float64)


IMAGES = "input"
"""The name of what the network reads."""


UNSCALED = " without scale and shift"
"""What the name of a normalisation ends in, whose own name has the scale and the shift."""


@dataclass(frozen=True)
class Images:
    """The network's input."""


@dataclass(frozen=True, eq=False)
class Weights:
    """A convolution or a matrix product with weights of its own, and the bias after it.

    Attributes:
        kernel: of four axes or of two.
        bias: one number for each output, or none.
        key: equal for operations that share their weights.
        padding: rows and columns, or ``"SAME"`` and ``"CIRCULAR"`` as kernas has them.
        depthwise: every channel by itself; the third axis of the kernel has length 1.
    """

    kernel: Array
    bias: Array | None
    key: Hashable
    stride: Both = (1, 1)
    padding: Edges | Literal["SAME", "VALID", "CIRCULAR"] = ((0, 0), (0, 0))
    dilation: Both = (1, 1)
    depthwise: bool = False

    @property
    def made(self) -> int:
        """Channels of the output."""
        return self.kernel.shape[-1]

    @property
    def pads(self) -> bool:
        """Whether windows may hang over the edge."""
        window = self.kernel.shape[:2] if self.kernel.ndim == 4 else (1, 1)
        if isinstance(self.padding, str):
            return self.padding != "VALID" and max(window) > 1
        return self.padding != ((0, 0), (0, 0))


@dataclass(frozen=True, eq=False)
class Affine:
    """``scale · x + shift``, a number for every channel, or one number for all.

    Attributes:
        normalizes: it is a batch normalisation with its running averages, scale and shift.
        of_last_axis: the numbers are those of the last axis, which is of channels where images lie
            with channels last, and of vectors.
    """

    scale: Array
    shift: Array
    normalizes: bool = False
    of_last_axis: bool = False


def batch_normalization(scale: Any, shift: Any, mean: Any, variance: Any, eps: float) -> Affine:
    """``scale · (x − mean) / √(variance + eps) + shift``."""
    scale, shift, mean, variance = map(float64, (scale, shift, mean, variance))
    scale = scale / np.sqrt(variance + eps)
    return Affine(scale, shift - mean * scale, normalizes=True)


@dataclass(frozen=True)
class LayerNormalization:
    """Over the channels of every pixel, or over channels and pixels; without scale and shift."""

    eps: float
    over: Literal["channels", "channels and pixels", "last axis"]


@dataclass(frozen=True)
class Pool:
    """A maximum or an average over windows.

    Attributes:
        ceil: a last window that hangs over the edge counts.
        counts_padding: an average divides by the whole window at the edges too.
    """

    kind: Literal["max", "average"]
    window: Both
    stride: Both
    padding: Edges = ((0, 0), (0, 0))
    ceil: bool = False
    counts_padding: bool = False


@dataclass(frozen=True)
class Adaptive:
    """Averages that leave ``size`` pixels along both axes, ``None`` for as many as there are."""

    size: tuple[int | None, int | None]


@dataclass(frozen=True)
class Flattening:
    """All pixels side by side, in the library's own order."""


@dataclass(frozen=True)
class Pointwise:
    """A function of numbers, one for each input: part of an activation, or of arithmetic.

    Attributes:
        function: of as many arrays as the operation has inputs.
        adds: it adds its two inputs.
    """

    function: Callable[..., Array]
    adds: bool = False


@dataclass(frozen=True)
class NoRule:
    """What no layer here computes.

    Attributes:
        reason: why, and what could stand in.
    """

    reason: str


Step = (
    Images
    | Weights
    | Affine
    | LayerNormalization
    | Pool
    | Adaptive
    | Flattening
    | Pointwise
    | NoRule
    | Layer
)
"""A layer of kernas stands for itself: an activation, ``Sum``, ``Concat``, ``Identity``."""


@dataclass(frozen=True, eq=False)
class Operation:
    """One step of a network.

    Attributes:
        name: in the network.
        kind: what the library calls it.
        step: what it computes.
        inputs: names of the operations that it reads.
    """

    name: str
    kind: str
    step: Step
    inputs: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.name!r} ({self.kind})"
