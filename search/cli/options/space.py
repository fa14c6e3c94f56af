"""What decides the networks that cell strings stand for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

import tyro


@dataclass(frozen=True, kw_only=True)
class SpaceOptions:
    """What decides the networks that cell strings stand for."""

    space: Literal["nasbench201"] = "nasbench201"
    """The search space that cell strings belong to."""

    cells: int = 1
    """Cells in each of the three stages of the skeleton (published: 5)."""

    center: bool = True
    """Whether normalisation subtracts the mean, as batch normalisation does."""

    reduction: Annotated[
        Literal["residual", "pool"],
        tyro.conf.arg(
            help="What halves the image between stages: the published residual block, or a pool "
            "and a 1x1 convolution."
        ),
    ] = "residual"

    normalize: Annotated[
        Literal["batch", "layer", "none"],
        tyro.conf.arg(
            help="What cells normalise over: the batch, as published, the channels of every "
            "pixel, or nothing."
        ),
    ] = "batch"

    readout: Annotated[
        str,
        tyro.conf.arg(
            metavar="gap|lap:C|flatten",
            help="What a cell's network reads of its last image: the mean over pixels, as "
            "published, means over windows of 2 C + 1 pixels, or every pixel.",
        ),
    ] = "gap"

    padding: Annotated[
        Literal["zero", "circular"],
        tyro.conf.arg(help="Edges of the cells' windows: zero, as published, or around the image."),
    ] = "zero"
