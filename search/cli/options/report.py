"""Options of ``kernas report``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from .arguments import Flag, Json
from .parts import SpaceOptions


@dataclass(frozen=True, kw_only=True)
class PageOptions(SpaceOptions):
    """What a page is about, and where it goes."""

    runs: Annotated[tuple[Path, ...], tyro.conf.Positional, tyro.conf.arg(metavar="RUN ...")]
    """Folders of kernas rank, search, train and fit, finished or not, and tables of kernas predict;
    of several rankings the page compares the scores too."""

    output: Annotated[
        Path | None,
        tyro.conf.arg(
            metavar="PATH", help_behavior_hint="(default: RUN/report.html, of several report.html)"
        ),
    ] = None
    """The file to write; one that is there is replaced."""

    pictures: Annotated[
        Path | None, tyro.conf.arg(metavar="FOLDER", help_behavior_hint="(default: none)")
    ] = None
    """A folder for every picture as SVG and PNG too."""

    space: Annotated[
        str | None,
        tyro.conf.arg(
            metavar="NAME[:FIELD=VALUE,...]", help_behavior_hint="(default: that of each run)"
        ),
    ] = None
    """The space whose candidates are drawn; your own Space is MODULE:NAME."""

    open: Flag = False
    """Open the page in the browser."""

    json: Json = False


@dataclass(frozen=True, kw_only=True)
class ReportOptions(PageOptions):
    """Write one page of HTML about runs, to look at or to send.

    The page needs no network and no other file, and prints: candidates in a table to sort and
    filter, pictures, networks drawn, what was run and by which command. --space is needed for the
    drawings of candidates of your own space, module:attribute.
    """
