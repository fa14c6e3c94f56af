"""Options of ``kernas explain`` and ``kernas plan``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

import tyro

from .arguments import Augment
from .space import SpaceOptions


@dataclass(frozen=True)
class ExplainOptions(SpaceOptions):
    """Show what the kernel of a network is made of, node by node, and why one is refused."""

    architecture: Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="CELL|FILE")]
    """A cell string, or a .json file written with Architecture.to_json()."""

    image_size: int = 8
    """Side of the images in pixels; 0 for vectors."""

    channels: int = 3
    """Channels of an image, or features of a vector."""


@dataclass(frozen=True)
class PlanOptions(ExplainOptions):
    """Show what a kernel computes for a pair of images and what that costs; computes nothing.

    A short measurement of the device comes first, once.
    """

    n: Annotated[int | None, tyro.conf.arg(metavar="INT", help_behavior_hint="(default: none)")] = (
        None
    )
    """Images of a matrix, for its pairs, time and memory."""

    get: Literal["nngp", "ntk"] = "ntk"
    """The kernel."""

    augment: Augment = ()
