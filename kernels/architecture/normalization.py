"""Normalisations: over a batch per channel, and over the channels of an image."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from kernas.errors import ArchitectureError

from .base import Layer, finite_number, flag


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
            raise ArchitectureError(
                f"over={self.over!r}: expected 'batch'; over channels it is LayerNorm()"
            )
        flag(self.center, "center")


@dataclass(frozen=True)
class LayerNorm(Layer):
    """Subtract the mean and divide by the standard deviation over the channels of each image.

    In the limit the mean over channels of a weight layer's output is zero and its variance is
    ``K(x, x)``, so ``K ← K[p, q] / sqrt((v[p] + eps)(v'[q] + eps))`` and ``Θ`` alike, with ``v[p]``
    the variance of pixel ``p``, or its mean over pixels (Ba et al. 2016, section 3; the limit as
    ``stax.LayerNorm`` of neural-tangents takes it). Scale and shift are not trained.

    Args:
        over: ``"channels"``, at every pixel by itself, or ``"channels and pixels"``. A vector has
            no pixels, a flattened image has them among its channels.
        eps: added to the variance, > 0.
    """

    over: Literal["channels", "channels and pixels"] = "channels"
    eps: float = 1e-12

    def __post_init__(self) -> None:
        if self.over not in ("channels", "channels and pixels"):
            raise ArchitectureError(
                f"over={self.over!r}: expected 'channels' or 'channels and pixels'; "
                "over a batch it is Normalize()"
            )
        object.__setattr__(self, "eps", finite_number(self.eps, "eps", above=0))
