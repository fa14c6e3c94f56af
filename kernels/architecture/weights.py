"""Layers with weights.

Weights follow the NTK parameterisation (Jacot et al. 2018; Lee et al. 2019): a weight layer with
fan-in ``n`` computes ``W_std / sqrt(n) * W x + b_std * b`` with standard normal ``W`` and ``b``.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, cast

from kernas.errors import ArchitectureError

from .base import Layer, finite_number, flag
from .windows import Pair, Steps, WindowLayer, axes_of, of_image, steps

RATES = (1.0, 1.0)
"""Of a layer in the NTK parameterisation."""


@dataclass(frozen=True)
class WeightLayer(Layer):
    """A layer with weights of its own: two of them in one graph are never the same layer.

    Args:
        W_std: standard deviation σ_w of the weights, >= 0.
        b_std: standard deviation σ_b of the biases, >= 0.
        trainable: whether the weights move in training; if not, the layer adds nothing to the
            tangent kernel (Arora et al. 2019 leave the first and the last layer untrained).
        rates: learning rates of the weights and of the biases relative to that of the network, > 0:
            what they add to the tangent kernel is multiplied by them, ``Σ_θ η_θ ∂f/∂θ ∂f/∂θ``
            (Yang and Hu 2021, section 2). :func:`kernas.kernels.standard_parameterization` finds
            those of networks as they are usually trained.

    Raises:
        ArchitectureError: a parameter is out of its range, or an untrained layer has rates.
    """

    W_std: float = field(default=1.0, kw_only=True)
    b_std: float = field(default=0.0, kw_only=True)
    trainable: bool = field(default=True, kw_only=True)
    rates: tuple[float, float] = field(default=RATES, kw_only=True)

    def __post_init__(self) -> None:
        for name in ("W_std", "b_std"):
            value = finite_number(getattr(self, name), name, at_least=0)
            object.__setattr__(self, name, value)
        flag(self.trainable, "trainable")
        if not isinstance(self.rates, tuple | list) or len(self.rates) != 2:
            raise ArchitectureError(
                f"rates={self.rates!r}: expected two numbers, of the weights and of the biases"
            )
        rates = tuple(finite_number(rate, "rates", above=0) for rate in self.rates)
        object.__setattr__(self, "rates", rates)
        if not self.trainable and rates != RATES:
            raise ArchitectureError(
                f"rates={rates} of a layer with trainable=False: leave them out"
            )

    def parameters(self) -> dict[str, Any]:
        """The fields; rates only where they are not 1."""
        found = super().parameters()
        if self.rates == RATES:
            del found["rates"]
        return found


@dataclass(frozen=True)
class FullWeightLayer(WeightLayer):
    """Every output channel reads every input channel, so outputs are Gaussian in the limit.

    Args:
        width: number of output channels relative to the other weight layers, > 0.

    The other arguments are those of :class:`WeightLayer`.
    """

    width: float = field(default=1.0, kw_only=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        width = finite_number(self.width, "width", above=0)
        object.__setattr__(self, "width", width)


@dataclass(frozen=True)
class Dense(FullWeightLayer):
    """Fully-connected layer on a vector: ``K ← σ_w² K + σ_b²``, ``Θ ← σ_w² Θ`` plus the new ``K``.

    See :class:`FullWeightLayer` for the arguments. Needs an input without pixels: put ``Flatten()``
    or ``GlobalAvgPool()`` before it.
    """


@dataclass(frozen=True)
class ConvLayer(WindowLayer):
    """A window of weights.

    Args:
        dilation: pixels from one tap of the window to the next, one integer for every axis.

    The other arguments are those of :class:`WindowLayer`.
    """

    dilation: int | Steps = field(default=1, kw_only=True)

    def __post_init__(self) -> None:
        axes = axes_of(self.window)
        object.__setattr__(self, "dilation", steps(self.dilation, "dilation", axes))
        super().__post_init__()

    @property
    def dilations(self) -> Pair:
        return of_image(cast(Steps, self.dilation))


@dataclass(frozen=True)
class Conv(ConvLayer, FullWeightLayer):
    """Convolution: ``K[p, q] ← σ_w²/(q_h q_w) · Σ_k K[p + k, q + k] + σ_b²``.

    The divisor is the full window also at the edges. ``Θ`` follows the same sum without bias,
    plus the new ``K`` if trainable (Novak et al. 2019, section 2.1; Arora et al. 2019, section 4).
    The arguments are those of :class:`ConvLayer` and :class:`FullWeightLayer`.
    """

    def __post_init__(self) -> None:
        ConvLayer.__post_init__(self)
        FullWeightLayer.__post_init__(self)


@dataclass(frozen=True)
class DepthwiseConv(ConvLayer, WeightLayer):
    """Convolution of every channel by itself, with a filter of its own.

    ``K`` and ``Θ`` follow the rule of :class:`Conv`: the mean over channels of the products of
    channels is the same. But a channel is a filter times one channel, which is not Gaussian: a
    nonlinearity of it is refused, a ``Conv(1)`` between (a depthwise separable convolution, Chollet
    2017, section 3) makes it one. Both count in ``Θ``.

    The arguments are those of :class:`ConvLayer` and :class:`WeightLayer`. The output has the
    channels of the input.
    """

    def __post_init__(self) -> None:
        ConvLayer.__post_init__(self)
        WeightLayer.__post_init__(self)
