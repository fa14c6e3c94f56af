"""Published tables of measured accuracies: their files, and how they name candidates."""

from __future__ import annotations

import re
from collections.abc import Hashable
from typing import Any

from kernas.errors import ArchitectureError

from .cell_strings import NAMES as NAMES
from .cell_strings import TABLE, is_cell_text, name_of

TABLES = {"nasbench201": TABLE}
"""The file of each, by the name that commands take."""

IN_ORDER = re.compile(r"\|\w+~0\|\+\|\w+~0\|\w+~1\|\+\|\w+~0\|\w+~1\|\w+~2\|")
"""A cell string in the published order, recognised without parsing a table of them."""


def own_name(name: Any) -> Any:
    """The name of a cell in the published order of edges; other names as they are.

    A text of digits may be a name of another kind, and is no number of the table here.
    """
    if isinstance(name, str) and (
        IN_ORDER.fullmatch(name) or name.isdecimal() or not is_cell_text(name)
    ):
        return name
    try:
        return name_of(name)
    except ArchitectureError:
        return name if isinstance(name, Hashable) else repr(name)
