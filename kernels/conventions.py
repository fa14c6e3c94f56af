"""What papers decide when they build a convolutional kernel and regress with it, said in words.

Published accuracies of one kernel differ by these choices, which papers make in code rather than in
text: whether the first and the last layer are trained, how the first layer is scaled, how labels
are coded, which ridge is added, and whether the readout counts as a layer.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike

from kernas.errors import ArchitectureError, ConfigurationError

from .architecture import Architecture, Conv, Dense, Relu, serial
from .architecture.base import Layer
from .regression.targets import centred_one_hot

Scale = Literal["mean", "sum"]
Labels = Literal["one-hot", "one-hot minus 1/C"]


@dataclass(frozen=True)
class Convention:
    """A chain of 3×3 convolutions and ReLUs with a readout, and the regression with its kernel.

    Args:
        trains_first: whether the first layer's weights are trained, so that its tangents count.
        trains_last: likewise of the linear layer after the readout.
        first_scale: ``"mean"``: the first convolution has ``σ_w² = 2`` over its fan-in, like the
            others; ``"sum"``: its second moment is the plain sum ``Σ x · x'`` over the window. ReLU
            networks without biases are homogeneous: this multiplies the whole kernel by a number,
            which only an absolute ridge sees.
        readout_counts: whether a network "of depth L" has ``L − 1`` convolutions, the linear layer
            being the last, or ``L``.
        labels: the targets, ``[y = c]`` or ``[y = c] − 1/C``.
        ridge: added to the diagonal, relative to its mean.
        padding: of every convolution.
        source: where this is from, and what of it could not be checked.

    Raises:
        ConfigurationError: a choice that is none.
    """

    trains_first: bool = True
    trains_last: bool = True
    first_scale: Scale = "mean"
    readout_counts: bool = False
    labels: Labels = "one-hot minus 1/C"
    ridge: float = 1e-4
    padding: Literal["SAME", "CIRCULAR"] = "SAME"
    source: str = "kernas"

    def __post_init__(self) -> None:
        if self.first_scale not in ("mean", "sum"):
            raise ConfigurationError(f"first_scale={self.first_scale!r}: expected 'mean' or 'sum'")
        if self.labels not in ("one-hot", "one-hot minus 1/C"):
            raise ConfigurationError(
                f"labels={self.labels!r}: expected 'one-hot' or 'one-hot minus 1/C'"
            )

    def network(self, depth: int, readout: Layer, channels: int) -> Architecture:
        """The network of a depth ``L`` as the convention counts it.

        Args:
            depth: ``L``, with at least one convolution.
            readout: ``Flatten()``, ``LocalAvgPool(c)`` or ``GlobalAvgPool()``.
            channels: of the images, which ``first_scale="sum"`` needs.

        Raises:
            ArchitectureError: there would be no convolution.
        """
        convolutions = depth - 1 if self.readout_counts else depth
        if convolutions < 1:
            raise ArchitectureError(
                f"depth={depth}: expected at least {1 + self.readout_counts}, since "
                f"readout_counts={self.readout_counts}"
            )
        first = 2.0 if self.first_scale == "mean" else 9.0 * channels
        layers: list[Layer] = [
            Conv(3, W_std=first**0.5, trainable=self.trains_first, padding=self.padding),
            Relu(),
        ]
        layers += [Conv(3, W_std=2**0.5, padding=self.padding), Relu()] * (convolutions - 1)
        return serial(*layers, readout, Dense(trainable=self.trains_last))

    def targets(self, labels: ArrayLike, n_classes: int) -> np.ndarray:
        """Regression targets ``(n, C)``.

        Raises:
            DataError: labels are not in ``0 … C − 1``.
        """
        centred = centred_one_hot(labels, n_classes)
        return centred if self.labels == "one-hot minus 1/C" else centred + 1.0 / n_classes

    def record(self) -> dict[str, Any]:
        """All choices, as JSON values."""
        return asdict(self)


CONVENTIONS: dict[str, Convention] = {
    "kernas": Convention(),
    "arora2019": Convention(
        trains_first=False,
        trains_last=False,
        first_scale="sum",
        readout_counts=True,
        ridge=0.0,
        source="Arora et al. 2019, On exact computation with an infinitely wide neural net, "
        "section 4 and the published code's defaults: depth is the number of convolutions + 1, "
        "first and last layer fixed, targets 0.9 and -0.1, no ridge",
    ),
    "li2019": Convention(
        trains_first=False,
        trains_last=False,
        first_scale="sum",
        readout_counts=True,
        source="Li et al. 2019, Enhanced convolutional neural tangent kernels: layers and labels "
        "as in Arora et al. 2019, which it builds on (not checked); the ridge is ours",
    ),
}
"""Conventions by name."""
