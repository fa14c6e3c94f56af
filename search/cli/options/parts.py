"""Parts that the options of subcommands are composed of: each option is described once.

Help lists the parts from the last base class to the first: what a command is about comes last.
Texts of more than a line are arguments of ``arg``, since help keeps the lines of docstrings.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from ...defaults import SPACE
from .arguments import (
    Augment,
    Backend,
    DatasetName,
    Device,
    Dtype,
    Flag,
    ImageSize,
    Json,
    Quiet,
    Resize,
)


@dataclass(frozen=True, kw_only=True)
class SpaceOptions:
    """The space that candidates' names belong to."""

    space: Annotated[
        str | None,
        tyro.conf.arg(
            metavar="NAME[:FIELD=VALUE,...]",
            help=f"The search space and its fields, such as {SPACE},reduction=pool; `kernas "
            "spaces` lists them. Your own Space is MODULE:NAME.",
            help_behavior_hint=f"(default: {SPACE})",
        ),
    ] = None


@dataclass(frozen=True, kw_only=True)
class ImageOptions:
    """A data set, and what becomes of its images."""

    dataset: DatasetName = "digits"

    image_size: ImageSize = None

    resize: Resize = None

    seed: int = 0
    """Fixes everything that is drawn, such as the images."""


@dataclass(frozen=True, kw_only=True)
class KernelOptions:
    """Which kernel of a network, and what computes it."""

    n_reference: int = 32
    """Images of the regression that batch normalisation has its statistics from."""

    augment: Augment = ()

    backend: Backend = "kernas"


@dataclass(frozen=True, kw_only=True)
class DeviceOptions:
    """Where to compute."""

    device: Device = "auto"
    """Where to compute."""

    compilation_cache: Annotated[
        bool,
        tyro.conf.arg(
            help="Whether compiled programs are kept in the user's cache folder, so that a later "
            "run starts at once."
        ),
    ] = True


@dataclass(frozen=True, kw_only=True)
class ComputingOptions(DeviceOptions):
    """Where kernels are computed, and in which precision."""

    dtype: Dtype = "float32"


@dataclass(frozen=True, kw_only=True)
class ExecutorOptions:
    """Who computes."""

    executor: Annotated[
        str,
        tyro.conf.arg(
            metavar="NAME",
            help="Who computes: local is this machine; ray[:HOST:PORT] the nodes of a Ray cluster, "
            "without an address one of this machine alone.",
        ),
    ] = "local"


@dataclass(frozen=True, kw_only=True)
class EvaluatingOptions(ExecutorOptions):
    """How candidates are evaluated."""

    workers: int = 1
    """Processes that evaluate candidates, each with its share of the cores."""

    yes: Flag = False
    """Begin without asking what takes more than 10 minutes."""


@dataclass(frozen=True, kw_only=True)
class PrintingOptions:
    """What a command prints."""

    json: Json = False

    quiet: Quiet = False

    log_file: Annotated[
        Path | None, tyro.conf.arg(metavar="FILE", help_behavior_hint="(default: none)")
    ] = None
    """A file to add to, a line with its time for what the command says and how far it is."""
