"""Types and descriptions of single options that several subcommands have."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import tyro

from kernas.files import Location, is_url
from kernas.published import PUBLISHED

Device = Literal["auto", "cpu", "gpu", "tpu"]

Dtype = Annotated[
    Literal["float32", "float64"],
    tyro.conf.arg(help="Floating-point type of the kernels; a regression is always in float64."),
]

Flag = Annotated[bool, tyro.conf.FlagCreatePairsOff]
"""What is on if it is given."""

Json = Annotated[Flag, tyro.conf.arg(help="Print JSON and nothing else on stdout.")]

Quiet = Annotated[Flag, tyro.conf.arg(help="No progress bar.")]

DatasetName = Annotated[
    str,
    tyro.conf.arg(
        metavar="NAME|PATH",
        help=f"{', '.join(PUBLISHED)}, or the path of an .npz with x and y, or of a folder of "
        "images by class. `kernas data verify` shows which are there. Or points whose class is the "
        "sign of a known function: hypersphere:d=4,degree=2,n=400,seed=0, circle:degree=2,n=400 or "
        "hypercube:d=10,degree=2. Or signals: images row by row, rows:of=digits, or windows of a "
        "text, text:path=FILE,length=16.",
    ),
]

ImageSize = Annotated[
    int | None,
    tyro.conf.arg(
        metavar="INT",
        help="Side in pixels that images are resized to by area averaging; a multiple of 4 for "
        "cells.",
        help_behavior_hint="(default: the stored size)",
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

Get = Annotated[
    Literal["nngp", "ntk"],
    tyro.conf.arg(
        help="The kernel: nngp, of networks whose last layer alone is trained, or ntk, of networks "
        "that are trained as a whole."
    ),
]

NETWORK = tyro.conf.arg(
    metavar="CELL|FILE",
    help="A cell string, or a .json file written with Architecture.to_json().",
)
"""How a network is given."""


PLACE = tyro.constructors.PrimitiveConstructorSpec[Location](
    nargs=1,
    metavar="PATH|URL",
    instance_from_str=lambda texts: texts[0] if is_url(texts[0]) else Path(texts[0]),
    is_instance=lambda value: isinstance(value, str | Path),
    str_from_instance=lambda value: [str(value)],
)
"""A folder, or the URL of objects, which is no path."""
