"""What proxies are computed from: numbers of one candidate's network, taken to the host."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from scipy import stats

Need = Literal[
    "weights",
    "first_order",
    "second_batch",
    "curvature",
    "tangent",
    "flow",
    "perturbed",
    "inside",
    "information",
    "regions",
]
"""What has to be computed for a proxy: each is one program, run once a network."""

ByLayer = Mapping[str, np.ndarray]
"""Layer → array, in the order of the layers."""


class UnscoredError(Exception):
    """A network says nothing by a proxy; the message says why."""


@dataclass(frozen=True)
class Probed:
    """A network with the weights of one seed, and what its programs found.

    Arrays by layer are those of the candidate's own weight layers. What no proxy asked for is
    empty.

    Attributes:
        labels: ``(n,)``, of the batch.
        n_classes: of the labels.
        weights: the kernels θ of the layers that train.
        gradients: ∂L/∂θ, with L the mean cross-entropy of the batch.
        other_gradients: the same of another batch.
        curvature: the Hessian of L times its gradient.
        flow: ``(θ, ∂R/∂|θ|)`` in float64: R is the sum of the logits of an image of ones, with all
            weights' magnitudes and without normalisation.
        gates: ``(n, …, channels)``: ``Σ_pixels z ∂L/∂z`` of the outputs z.
        codes: ``(n, …)`` of booleans by activation layer: whether the output is above φ(0).
        jacobian: ``(n, pixels and channels)``: of the sum of all logits by the images.
        tangent: ``(n, n)``: inner products of the gradients by the weights of each image's sum of
            logits.
        perturbed: see :class:`Perturbed`.
        inside: see :class:`Inside`.
        information: ``(logits, slopes)`` without normalisation: ``(n, classes)``, and by layer its
            derivative by the layer's first weight.
        regions: codes as above of the network whose widths are their relative ones, for small
            images; ``None`` where it takes no images smaller than those that are given.
    """

    labels: np.ndarray
    n_classes: int
    weights: ByLayer
    gradients: ByLayer = field(default_factory=dict)
    other_gradients: ByLayer = field(default_factory=dict)
    curvature: ByLayer = field(default_factory=dict)
    flow: tuple[ByLayer, ByLayer] = field(default_factory=lambda: ({}, {}))
    gates: ByLayer = field(default_factory=dict)
    codes: ByLayer = field(default_factory=dict)
    jacobian: np.ndarray = field(default_factory=lambda: np.zeros((0, 0)))
    tangent: np.ndarray = field(default_factory=lambda: np.zeros((0, 0)))
    perturbed: Perturbed | None = None
    inside: Inside | None = None
    information: tuple[np.ndarray, ByLayer] = field(default_factory=lambda: (np.zeros((0, 0)), {}))
    regions: ByLayer | None = None


@dataclass(frozen=True)
class Inside:
    """What layers and blocks make of the images.

    Blocks follow one another (:func:`kernas.search.scores.proxies.parts.blocks_of`).

    Attributes:
        values: ``(images, …, channels)`` by activation and weight layer: their outputs for the
            first images, which have at least as many pixels together as there are channels, if the
            batch has.
        spreads: of every block the covariance ``(channels, channels)`` over the pixels of all
            images of what it makes.
        passages: of every block from the second on ``mean G_in ⊗ G_out`` over pixels, with G_out
            random signs, and G_in the gradient of their inner product with what the block makes by
            what it reads.
        identities: of the same blocks whether G_in is G_out.
    """

    values: ByLayer
    spreads: list[np.ndarray]
    passages: list[np.ndarray]
    identities: list[bool]


@dataclass(frozen=True)
class Perturbed:
    """Features of noise and of noise that was moved a little; all weights are standard normal.

    Attributes:
        features: ``(n, …)``, what the readout reads, of x, which is standard normal.
        moved: the same of ``x + ε x'``, with x' another draw.
        variances: by normalisation, ``(channels,)``: over the batch x, of what it reads.
        averages: the running averages of the variances after both, which begin at 1 and keep 0.9
            of what they were.
    """

    features: np.ndarray
    moved: np.ndarray
    variances: ByLayer
    averages: ByLayer


def logarithm(value: float, what: str, zero: str) -> float:
    """The logarithm of a number that a network may make zero, or too large.

    Raises:
        UnscoredError: it is zero, for the reason given, or not finite.
    """
    if not np.isfinite(value):
        raise UnscoredError(f"{what} is {value}, not finite")
    if value <= 0:
        raise UnscoredError(f"{what} is {value:g}: {zero}")
    return float(np.log(value))


def entropy(values: np.ndarray) -> float:
    """``−Σ p log p`` with p the positive ones of some numbers over their sum."""
    return float(stats.entropy(np.maximum(values, 0.0)))
