"""The layers: frozen descriptions of what a node of an :class:`Architecture` computes.

A layer says nothing of images or of widths in absolute numbers. ``width`` is relative: a finite
network multiplies it by its base width, the infinite one needs only the ratios.

Weights follow the NTK parameterisation (Jacot et al. 2018; Lee et al. 2019): a weight layer with
fan-in ``n`` computes ``W_std / sqrt(n) * W x + b_std * b`` with standard normal ``W`` and ``b``.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

from kernas.errors import ArchitectureError

from .activations import ACTIVATIONS
from .activations import Activation as Activation
from .activations import Relu as Relu
from .base import Layer as Layer

Padding = Literal["SAME", "VALID"] | tuple[tuple[int, int], tuple[int, int]]


def _pair(value: Any, name: str, minimum: int) -> tuple[int, int]:
    """``3`` or ``(3, 5)`` as a pair of integers, checked against ``minimum``."""
    pair = tuple(value) if isinstance(value, list | tuple) else (value, value)
    if len(pair) != 2 or not all(
        isinstance(v, int) and not isinstance(v, bool) and v >= minimum for v in pair
    ):
        raise ArchitectureError(
            f"{name}={value!r}: expected an integer >= {minimum} or a pair (height, width) of them"
        )
    return pair[0], pair[1]


def _padding(value: Any) -> Padding:
    """Check a padding and return it in its hashable form."""
    if value in ("SAME", "VALID"):
        return value
    try:
        (top, bottom), (left, right) = value
    except (TypeError, ValueError):
        top = bottom = left = right = -1
    if not all(
        isinstance(v, int) and not isinstance(v, bool) and v >= 0
        for v in (top, bottom, left, right)
    ):
        raise ArchitectureError(
            f"padding={value!r}: expected 'SAME', 'VALID' or non-negative rows and columns "
            "((top, bottom), (left, right))"
        )
    return (top, bottom), (left, right)


def _number(value: Any, name: str, *, positive: bool) -> float:
    """A finite float that is positive, or at least not negative."""
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = float("nan")
    if not (0 < number < float("inf")) and not (number == 0 and not positive):
        bound = "> 0" if positive else ">= 0"
        raise ArchitectureError(f"{name}={value!r}: expected a finite number {bound}")
    return number


@dataclass(frozen=True)
class Input(Layer):
    """The image ``(height, width, channels)`` or the vector ``(features,)``: node 0."""

    arity: ClassVar[int | None] = 0


@dataclass(frozen=True)
class WeightLayer(Layer):
    """A layer with weights of its own: two of them in one graph are never the same layer.

    Args:
        W_std: standard deviation σ_w of the weights, >= 0.
        b_std: standard deviation σ_b of the biases, >= 0.
        trainable: whether the weights move in training; if not, the layer adds nothing to the
            tangent kernel (Arora et al. 2019 leave the first and the last layer untrained).
        width: number of output channels relative to the other weight layers, > 0.

    Raises:
        ArchitectureError: a parameter is out of its range.
    """

    W_std: float = field(default=1.0, kw_only=True)
    b_std: float = field(default=0.0, kw_only=True)
    trainable: bool = field(default=True, kw_only=True)
    width: float = field(default=1.0, kw_only=True)

    def __post_init__(self) -> None:
        object.__setattr__(self, "W_std", _number(self.W_std, "W_std", positive=False))
        object.__setattr__(self, "b_std", _number(self.b_std, "b_std", positive=False))
        object.__setattr__(self, "width", _number(self.width, "width", positive=True))
        if not isinstance(self.trainable, bool):
            raise ArchitectureError(f"trainable={self.trainable!r}: expected True or False")


@dataclass(frozen=True)
class Dense(WeightLayer):
    """Fully-connected layer on a vector: ``K ← σ_w² K + σ_b²``, ``Θ ← σ_w² Θ`` plus the new ``K``.

    See :class:`WeightLayer` for the arguments. Needs an input without pixels: put ``Flatten()``
    or ``GlobalAvgPool()`` before it.
    """


@dataclass(frozen=True)
class Conv(WeightLayer):
    """Convolution: ``K[p, q] ← σ_w²/(q_h q_w) · Σ_k K[p + k, q + k] + σ_b²``, zero-padded.

    The divisor is the full window also at the edges. ``Θ`` follows the same sum without bias,
    plus the new ``K`` if trainable (Novak et al. 2019, section 2.1; Arora et al. 2019, section 4).

    Args:
        window: height and width of the filter, one integer for both.
        stride: step in pixels, one integer for both axes.
        padding: ``"SAME"``, ``"VALID"`` or ``((top, bottom), (left, right))`` rows and columns of
            zeros. ``"SAME"`` pads as XLA does: at stride 2 and window 3 an even side gets (0, 1),
            where PyTorch's ``padding=1`` is ``((1, 1), (1, 1))``.

    The other arguments are those of :class:`WeightLayer`.
    """

    window: int | tuple[int, int]
    stride: int | tuple[int, int] = 1
    padding: Padding = "SAME"

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_window(self)


@dataclass(frozen=True)
class AvgPool(Layer):
    """Mean over a window; ``K ← L K Lᵀ`` and likewise ``Θ``, with ``L`` separable per axis.

    Args:
        window: height and width of the window, one integer for both.
        stride: step in pixels (default 1).
        padding: as for :class:`Conv` (default ``"VALID"``).
        divisor: what the sum is divided by where the window hangs over the edge: the number of
            ``"valid"`` pixels (NAS-Bench-201; PyTorch's ``count_include_pad=False``) or the full
            ``"window"`` (the default of neural-tangents).
    """

    window: int | tuple[int, int]
    stride: int | tuple[int, int] = 1
    padding: Padding = "VALID"
    divisor: Literal["valid", "window"] = "valid"

    def __post_init__(self) -> None:
        _check_window(self)
        if self.divisor not in ("valid", "window"):
            raise ArchitectureError(f"divisor={self.divisor!r}: expected 'valid' or 'window'")


def _check_window(layer: Conv | AvgPool) -> None:
    window, stride = _pair(layer.window, "window", 1), _pair(layer.stride, "stride", 1)
    padding = _padding(layer.padding)
    if isinstance(padding, tuple) and any(
        max(edges) >= size for edges, size in zip(padding, window, strict=True)
    ):
        raise ArchitectureError(
            f"padding={padding} with window={window}: a window would lie entirely in the padding; "
            "every edge must be smaller than the window"
        )
    object.__setattr__(layer, "window", window)
    object.__setattr__(layer, "stride", stride)
    object.__setattr__(layer, "padding", padding)


@dataclass(frozen=True)
class GlobalAvgPool(Layer):
    """Mean over all pixels: ``K ← (1/P²) Σ_{p,q} K[p, q]``."""

    flattens: ClassVar[bool] = True


@dataclass(frozen=True)
class Flatten(Layer):
    """All pixels side by side as one vector: ``K ← (1/P) Σ_p K[p, p]``."""

    flattens: ClassVar[bool] = True


@dataclass(frozen=True)
class Normalize(Layer):
    """Subtract the mean and divide by the standard deviation over images and pixels.

    Stands for batch normalisation. The statistics are those of the reference images that
    ``NeuralKernel.bind`` takes; scale and shift are not trained.

    Args:
        over: ``"batch"``, the only choice: per channel, over images and pixels.
        center: whether the mean is subtracted; if not, the layer divides by the root mean square.
    """

    over: Literal["batch"] = "batch"
    center: bool = True

    def __post_init__(self) -> None:
        if self.over != "batch":
            raise ArchitectureError(f"over={self.over!r}: expected 'batch'")
        if not isinstance(self.center, bool):
            raise ArchitectureError(f"center={self.center!r}: expected True or False")


@dataclass(frozen=True)
class Sum(Layer):
    """Sum of one or more inputs of equal shape; an input may stand in it several times."""

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
        AvgPool,
        GlobalAvgPool,
        Flatten,
        *ACTIVATIONS,
        Normalize,
        Sum,
        Identity,
        Zero,
    )
}
"""Every layer by its name in the JSON form."""
