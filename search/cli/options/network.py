"""Options of ``kernas explain`` and ``kernas plan``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from .arguments import NETWORK, Augment, Get
from .parts import SpaceOptions


@dataclass(frozen=True, kw_only=True)
class SeenOptions(SpaceOptions):
    """One network, and the images that it is to see."""

    architecture: Annotated[tyro.conf.Positional[str], NETWORK]

    image_size: int = 8
    """Side of the images, or length of the signals, in pixels; 0 for vectors."""

    channels: int = 3
    """Channels of an image or signal, or features of a vector."""


@dataclass(frozen=True, kw_only=True)
class ExplainOptions(SeenOptions):
    """Show what the kernel of a network is made of, node by node, and why one is refused."""

    svg: Annotated[
        Path | None,
        tyro.conf.arg(
            metavar="PATH",
            help="New file for a picture: of the cells, or of the whole network where there are "
            "none.",
            help_behavior_hint="(default: none)",
        ),
    ] = None


@dataclass(frozen=True, kw_only=True)
class PlanOptions(SeenOptions):
    """Show what a kernel computes for a pair of images and what that costs; computes nothing.

    A short measurement of the device comes first, once.
    """

    n: Annotated[int | None, tyro.conf.arg(metavar="INT", help_behavior_hint="(default: none)")] = (
        None
    )
    """Images of a matrix, for its pairs, time and memory."""

    workers: Annotated[
        int | None, tyro.conf.arg(metavar="INT", help_behavior_hint="(default: none)")
    ] = None
    """Devices of a cluster that are to compute the matrix, for wall time, device-hours, bytes of
    the store and what binds."""

    device: Annotated[
        str | None,
        tyro.conf.arg(metavar="NAME", help_behavior_hint="(default: machines like this one)"),
    ] = None
    """What each of the workers is, h100 or v5e: at best, by its roofline."""

    get: Get = "ntk"

    augment: Augment = ()
