"""Random valid networks for property tests: every layer, and every way branches meet.

A network is a stem, blocks and a readout. Between blocks there is one Gaussian node (a linear
combination of weight outputs), so that every nonlinearity reads a Gaussian node, and no sum mixes
the raw input with features.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
from oracles.random_blocks import Draw, Form
from oracles.random_layers import DrawAll

from kernas.kernels.architecture.graph import Architecture
from kernas.kernels.architecture.layers import Layer, Relu


def random_architecture(
    rng: np.random.Generator,
    *,
    image: tuple[int, int, int] = (4, 4, 3),
    normalize: Form | None = None,
    flat: bool = False,
    blocks: int | None = None,
    remeet: bool = False,
    activations: Sequence[Layer] = (Relu(),),
    layers: Literal["basic", "all"] = "basic",
) -> Architecture:
    """Draw a network.

    Args:
        rng: source of randomness; equal states give equal networks.
        image: height, width, channels of the images, at least 3 pixels each way.
        normalize: which form of ``Normalize`` stands in it (at least once), ``None`` for no such
            layer. Reference images: at least three, since two centred vectors are opposite, where
            the kernel's derivative is singular.
        flat: a fully-connected network on vectors; ``image`` is ignored.
        blocks: number of blocks, one to three if not given.
        remeet: also let a node meet its own normalised form without a weight layer between.
        activations: the nonlinearities to choose from, each anew.
        layers: "basic" or "all": also ``DepthwiseConv``, ``LayerNorm``, ``Concat``,
            ``LocalAvgPool``, ``MaxPool`` taken as an average, and windows that are dilated,
            circular or cropped.

    Returns:
        A network that ends in ``Dense``.
    """
    kind = Draw if layers == "basic" else DrawAll
    draw = kind(rng, normalize, () if flat else image[:2], activations)
    h = draw.stem()
    for _ in range(int(rng.integers(1, 4)) if blocks is None else blocks):
        h = draw.block(h, remeet and normalize is not None)
    return draw.builder.build(draw.readout(h))
