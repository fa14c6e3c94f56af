"""Shapes and dtypes in signatures are checked in every test: jaxtyping reads them, beartype asks.

What must agree is said by the names of the axes, within a signature and within the fields of a
dataclass. Numbers are not checked: those that are wrong kernas refuses itself, in messages that
tests read.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from beartype import BeartypeConf, FrozenDict, beartype

CHECKED = (
    "kernas.kernels.covariance",
    "kernas.kernels.regression",
    "kernas.kernels.theory.from_gram",
    "kernas.kernels.theory.generalization",
    "kernas.kernels.theory.targets",
    "kernas.search.ranking.statistics",
)
"""Packages and modules whose signatures are checked."""

CHECKER = f"{__name__}.checked"
"""Where jaxtyping finds what checks a function."""

_checker = beartype(conf=BeartypeConf(hint_overrides=FrozenDict({int: object, float: object})))


def checked(function: Callable[..., Any]) -> Callable[..., Any]:
    """A function that raises where an argument or the result is not what its signature says.

    One inside another is left as it is: it is made at every call, which a check would make slow.
    """
    return function if "<locals>" in function.__qualname__ else _checker(function)
