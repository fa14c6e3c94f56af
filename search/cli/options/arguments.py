"""Arguments that several subcommands have."""

from __future__ import annotations

from typing import Annotated, Literal

import tyro

from kernas.published import PUBLISHED

Device = Literal["auto", "cpu", "gpu", "tpu"]
Dtype = Literal["float32", "float64"]
DatasetName = Annotated[
    str,
    tyro.conf.arg(
        metavar="NAME|PATH",
        help=f"{', '.join(PUBLISHED)}, or the path of an .npz with x and y, or of a folder of "
        "images by class. `kernas data verify` shows which are there.",
    ),
]
Resize = Annotated[
    Literal["crop", "pad", "stretch"] | None,
    tyro.conf.arg(
        help="How images of another shape come to --image-size: cut to their middle, between black "
        "borders, or distorted.",
        help_behavior_hint="(default: a folder's images of different sizes crop, others stretch)",
    ),
]
Augment = Annotated[
    tuple[Literal["flip", "translate"], ...],
    tyro.conf.arg(
        help="Regress on transformed copies too, by the kernel's mean over them: mirror images, "
        "and all shifts around the edges of a circular network.",
        help_behavior_hint="(default: none)",
    ),
]


Backend = Annotated[
    Literal["kernas", "neural-tangents"],
    tyro.conf.arg(
        help="What computes the kernels. neural-tangents refuses networks that normalise over a "
        "batch and those that add correlated branches."
    ),
]
