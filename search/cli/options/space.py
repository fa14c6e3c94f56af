"""The space that candidates' names belong to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import tyro


@dataclass(frozen=True, kw_only=True)
class SpaceOptions:
    """The space that candidates' names belong to."""

    space: Annotated[
        str,
        tyro.conf.arg(
            metavar="NAME[:FIELD=VALUE,...]",
            help="The search space and its fields, such as nasbench201:cells=1,reduction=pool; "
            "`kernas spaces` lists them. Your own Space is MODULE:NAME.",
        ),
    ] = "nasbench201:cells=1"
