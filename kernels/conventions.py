"""What papers decide when they build a convolutional kernel and regress with it, said in words.

Published accuracies of one kernel differ by these choices, which papers make in code rather than in
text: whether the first and the last layer are trained, what the first layer reads and how it is
scaled, how labels are coded, which ridge is added, and whether the readout counts as a layer.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike

from kernas.errors import ArchitectureError, ConfigurationError

from .architecture import (
    Architecture,
    AvgPool,
    Conv,
    Dense,
    Flatten,
    GlobalAvgPool,
    Relu,
    serial,
)
from .architecture.base import Layer
from .regression.targets import centred_one_hot

Scale = Literal["mean", "sum"]
Reads = Literal["patch", "pixel", "image"]
Labels = Literal["one-hot", "one-hot minus 1/C"]

WINDOW = 3
"""Pixels ``q`` of a convolution's side."""


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
        first_reads: what a pixel ``p`` of the first layer reads, and so the second moment ``Σ⁰``
            of pixels ``p`` and ``q`` is a sum over: ``"patch"``, the window around it,
            ``Σ_k x[p + k] · x'[q + k]``; ``"pixel"``, itself, ``x[p] · x'[q]``; ``"image"``, the
            whole image, ``Σ_k x[k] · x'[k]``, whatever ``p`` and ``q`` are.
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
    first_reads: Reads = "patch"
    readout_counts: bool = False
    labels: Labels = "one-hot minus 1/C"
    ridge: float = 1e-4
    padding: Literal["SAME", "CIRCULAR"] = "SAME"
    source: str = "kernas"

    def __post_init__(self) -> None:
        if self.first_scale not in ("mean", "sum"):
            raise ConfigurationError(f"first_scale={self.first_scale!r}: expected 'mean' or 'sum'")
        if self.first_reads not in ("patch", "pixel", "image"):
            raise ConfigurationError(
                f"first_reads={self.first_reads!r}: expected 'patch', 'pixel' or 'image'"
            )
        if self.labels not in ("one-hot", "one-hot minus 1/C"):
            raise ConfigurationError(
                f"labels={self.labels!r}: expected 'one-hot' or 'one-hot minus 1/C'"
            )

    def network(
        self,
        depth: int,
        readout: Layer,
        channels: int,
        sides: tuple[int, int] | None = None,
    ) -> Architecture:
        """The network of a depth ``L`` as the convention counts it.

        Args:
            depth: ``L``, with at least one convolution.
            readout: ``Flatten()``, ``LocalAvgPool(c)`` or ``GlobalAvgPool()``.
            channels: of the images, which ``first_scale="sum"`` needs.
            sides: height and width of the images, which ``first_reads="image"`` needs.

        Raises:
            ArchitectureError: there would be no convolution, or the sides are needed.
        """
        convolutions = depth - 1 if self.readout_counts else depth
        if convolutions < 1:
            raise ArchitectureError(
                f"depth={depth}: expected at least {1 + self.readout_counts}, since "
                f"readout_counts={self.readout_counts}"
            )
        layers = [*self._first(channels, sides), Relu()]
        layers += [Conv(WINDOW, W_std=2**0.5, padding=self.padding), Relu()] * (convolutions - 1)
        return serial(*layers, readout, Dense(trainable=self.trains_last))

    def _first(self, channels: int, sides: tuple[int, int] | None) -> list[Layer]:
        """The first weight layer, and what brings its output to the size of the image."""
        if self.first_reads == "image":
            if sides is None:
                raise ArchitectureError(
                    "first_reads='image' without sides: expected those of the images, which the "
                    "first layer reads as a whole; give sides=(height, width)"
                )
            height, width = sides
            fan_in, window, padding = height * width * channels, (height, width), "VALID"
            # One pixel comes out; every window of this pool has it, alone, and is divided by one.
            around = ((height - 1, height - 1), (width - 1, width - 1))
            after: list[Layer] = [AvgPool(window, padding=around)] if window != (1, 1) else []
        else:
            window, padding, after = (WINDOW, WINDOW), self.padding, []
            if self.first_reads == "pixel":
                window = (1, 1)
            fan_in = window[0] * window[1] * channels
        variance = 2.0 if self.first_scale == "mean" else float(fan_in)
        weights = Conv(window, W_std=variance**0.5, trainable=self.trains_first, padding=padding)
        return [weights, *after]

    def scale(self, readout: Layer, sides: tuple[int, int]) -> float:
        """The number by which the kernel of the published recursion is that of :meth:`network`.

        The recursion with ``first_scale="sum"`` has the factor ``c_σ / q² = 2 / 9`` of a
        convolution in every nonlinearity, so in the last one too, which no convolution follows,
        and it reads the trace over pixels where ``Flatten`` takes their mean; its global average
        pool is a mean there as well. ``1`` with ``first_scale="mean"``.

        Args:
            readout: ``Flatten()`` or ``GlobalAvgPool()``.
            sides: height and width of the images.

        Raises:
            ArchitectureError: another readout, whose published scale is not known here.
        """
        if self.first_scale == "mean":
            return 1.0
        pixels = {Flatten(): sides[0] * sides[1], GlobalAvgPool(): 1}
        if readout not in pixels:
            raise ArchitectureError(
                f"readout {readout}: its published scale is not known; expected Flatten() or "
                "GlobalAvgPool()"
            )
        return 2.0 / WINDOW**2 * pixels[readout]

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
    "survey": Convention(
        first_scale="sum",
        first_reads="image",
        ridge=0.0,
        source="Wu, Analysis of heuristics for neural architecture search, section 5.3, as "
        "printed; it differs from Arora et al. 2019, which it reports, in equation 4: the trace "
        "has no window there and runs over the whole image; the variances in Λ, printed as Σ(x, x')"
        " too, are those of each image; first and last layer are trained, depth is the number of "
        "convolutions; labels and ridge are not said, and are those of 'arora2019'",
    ),
}
"""Conventions by name; ``docs/formulas.md`` says where printed formulas differ from each."""
