"""Options of ``kernas data``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from kernas.published import PUBLISHED

from .arguments import Json, Quiet


@dataclass(frozen=True)
class FetchOptions:
    """Download the published files of a data set, compared with their published SHA-256.

    A file that is there and whole is not downloaded again, and none is left half written.
    """

    name: Annotated[
        tyro.conf.Positional[str],
        tyro.conf.arg(
            metavar="NAME",
            help=f"{', '.join(name for name, known in PUBLISHED.items() if known.files)}.",
        ),
    ]

    folder: Annotated[
        Path | None,
        tyro.conf.arg(
            metavar="PATH",
            help="Folder of all data.",
            help_behavior_hint="(default: $KERNAS_DATA, or else the cache folder)",
        ),
    ] = None

    quiet: Quiet = False


@dataclass(frozen=True)
class VerifyOptions:
    """Read data sets as a whole: where they lie, how many images and classes, what is damaged.

    The exit code is 1 if one is damaged, or if one that was named is absent.
    """

    names: Annotated[
        tyro.conf.Positional[tuple[str, ...]],
        tyro.conf.arg(
            metavar="[NAME ...]",
            help=f"{', '.join(PUBLISHED)}.",
            help_behavior_hint="(default: all)",
        ),
    ] = ()

    json: Json = False
